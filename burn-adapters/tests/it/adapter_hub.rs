//! Adapters trained with `AdapterHub` and `PEFT` compute here what they compute there.

use burn::tensor::{Device, Tensor, TensorData};
use burn_adapters::{
    Activation, AdaptedBert, AdapterPlan, BottleneckConfig, FinalNorm, Ia3Config, InnerNorm,
    LoraConfig, Method, OuterNorm, Pooling, PrefixConfig, PrefixGate, ResidualSource, Scaling,
    TaskAdapterConfig, TrainableBase,
};
use burn_bert::{BertInput, Projection};

use crate::fixtures::{
    Tensors, adapted, base, config, input, max_abs_difference, path, read, with_tensors,
};
use crate::reference_parity::{load_adapter_hub, load_peft};

/// The peers' own single-precision results are up to 6e-6 off their double-precision ones.
pub(crate) const TOLERANCE: f32 = 2e-5;

/// A plan that tunes nothing of BERT: `AdapterHub` leaves the norms frozen.
fn frozen() -> AdapterPlan {
    AdapterPlan::new(TrainableBase::Nothing)
}

fn plan(method: Method, activation: Activation) -> AdapterPlan {
    let bottleneck = method.plan(8).bottleneck.map(|plan| BottleneckConfig { activation, ..plan });
    AdapterPlan { bottleneck, ..frozen() }
}

fn outputs(name: &str) -> Tensors {
    read(path(&format!("adapters/{name}/outputs.safetensors")))
}

/// The tensors of some files of the adapter `name`.
fn files(name: &str, files: &[&str]) -> Tensors {
    let files = files.iter().map(|file| read(path(&format!("adapters/{name}/{file}.safetensors"))));
    files.flatten().collect()
}

/// A model all of whose trained parameters come from somewhere.
fn model(config: &TaskAdapterConfig, get: impl Fn(&str) -> Option<TensorData>) -> AdaptedBert {
    let model = adapted(base(&Device::flex()), config);
    let tensors = model.trainable_parameters().into_iter().map(|parameter| {
        let data = get(&parameter.path).unwrap_or_else(|| panic!("no {}", parameter.path));
        (parameter.path, data)
    });
    let tensors = tensors.collect();
    with_tensors(model, tensors)
}

pub(crate) fn texts() -> BertInput {
    input(&read(path("inputs.safetensors")), "", &Device::flex())
}

fn assert_close(what: &str, found: Tensor<2>, expected: &TensorData) {
    let difference = max_abs_difference(&found.into_data(), expected);
    println!("{what}: {difference:e}");
    assert!(difference <= TOLERANCE, "{what}: {difference:e}");
}

/// The pooler and classifier of the sequence classification model.
pub(crate) fn static_model(name: &str, plan: &AdapterPlan) -> AdaptedBert {
    let mut tensors = files(name, &["adapter"]);
    tensors.extend(read(path("train/houlsby.init.safetensors")));
    model(&config(plan.clone()), |path| load_adapter_hub(path, name, &tensors))
}

/// The head of two layers on the first token.
fn flexible_model(name: &str, plan: &AdapterPlan) -> AdaptedBert {
    let tensors = files(name, &["adapter", "model_head"]);
    let config = TaskAdapterConfig {
        pooling: Pooling::FirstToken,
        head_hidden: Some(Activation::Tanh),
        ..config(plan.clone())
    };
    model(&config, |path| load_adapter_hub(path, name, &tensors))
}

fn check_both(name: &str, plan: &AdapterPlan) {
    let expected = outputs(name);
    let found = static_model(name, plan).forward(&texts());
    assert_close(name, found, &expected["static_logits.f64"]);
    let found = flexible_model(name, plan).forward(&texts());
    assert_close(&format!("{name}, flexible head"), found, &expected["logits.f64"]);
}

#[test]
fn houlsby_adapters_give_the_same_logits() {
    check_both("houlsby", &plan(Method::Houlsby, Activation::Swish));
    check_both("houlsby_gelu_m8", &plan(Method::Houlsby, Activation::Gelu));
}

#[test]
fn pfeiffer_adapters_give_the_same_logits() {
    check_both("pfeiffer", &Method::Pfeiffer.plan(8));
}

#[test]
fn norms_inside_and_behind_give_the_same_logits() {
    let bottleneck = Method::Pfeiffer.plan(8).bottleneck.map(|plan| BottleneckConfig {
        inner_norm: InnerNorm::Layer,
        inner_norm_epsilon: 1e-5,
        outer_norm: OuterNorm::Sum,
        skip: ResidualSource::BottleneckInput,
        final_norm: FinalNorm::Omitted,
        ..plan
    });
    check_both("pfeiffer_ln", &AdapterPlan { bottleneck, ..frozen() });
}

#[test]
fn parallel_adapters_give_the_same_logits() {
    check_both("parallel", &Method::Parallel.plan(8));
    check_both("scaled_parallel", &Method::ScaledParallel.plan(8));
}

fn low_rank(projections: &[Projection], alpha: f64) -> LoraConfig {
    LoraConfig::new(projections.iter().copied().collect(), 4, alpha)
}

/// `AdapterHub`'s fixtures that weights of BERT's can hold.
pub(crate) fn hub_corrections() -> [(&'static str, AdapterPlan); 3] {
    use Projection::{FeedForwardIn, FeedForwardOut, Key, Query, Value};
    let plan =
        |projections, alpha| AdapterPlan { lora: Some(low_rank(projections, alpha)), ..frozen() };
    [
        ("lora", plan(&[Query, Value], 16.0)),
        ("lora_all", plan(&[Query, Key, Value, FeedForwardIn, FeedForwardOut], 8.0)),
        ("ia3", Method::Ia3.plan(1)),
    ]
}

#[test]
fn low_rank_corrections_and_scales_give_the_same_logits() {
    for (name, plan) in hub_corrections() {
        check_both(name, &plan);
    }
}

#[test]
fn prefixes_give_the_same_logits() {
    let plan = |width| AdapterPlan { prefix: Some(PrefixConfig::new(5, width)), ..frozen() };
    check_both("prefix_tuning", &plan(Some(16)));
    check_both("prefix_tuning_flat", &plan(None));
}

#[test]
fn several_kinds_together_give_the_same_logits() {
    let prefix = PrefixConfig::new(5, Some(16));
    let mam = AdapterPlan { prefix: Some(prefix.clone()), ..Method::Parallel.plan(8) };
    check_both("mam", &mam);

    let bottleneck =
        Method::Pfeiffer.plan(8).bottleneck.map(|plan| BottleneckConfig { gate: true, ..plan });
    let low_rank =
        LoraConfig { gate: true, ..low_rank(&[Projection::Query, Projection::Value], 2.0) };
    let unipelt = AdapterPlan {
        bottleneck,
        lora: Some(low_rank),
        prefix: Some(PrefixConfig { gate: PrefixGate::Shared, ..prefix }),
        ..frozen()
    };
    check_both("unipelt", &unipelt);
}

#[test]
fn a_static_head_gives_the_same_logits() {
    let name = "houlsby_static";
    let tensors = files(name, &["adapter", "model_head"]);
    let config = config(plan(Method::Houlsby, Activation::Swish));
    let model = model(&config, |path| load_adapter_hub(path, name, &tensors));
    assert_close(name, model.forward(&texts()), &outputs(name)["logits.f64"]);
}

pub(crate) fn peft_model(name: &str, plan: AdapterPlan) -> (AdaptedBert, Tensors) {
    let file = |file: &str| read(path(&format!("peft/{name}/{file}.safetensors")));
    let tensors = file("adapter_model");
    (model(&config(plan), |path| load_peft(path, &tensors)), file("outputs"))
}

/// What `PEFT` calls `all-linear` has the pooler among them.
pub(crate) fn peft_plans() -> [(&'static str, AdapterPlan); 3] {
    use Projection::{AttentionOutput, FeedForwardOut, Key, Query, Value};
    let all = LoraConfig { pooler: true, ..low_rank(&Projection::ALL, 8.0) };
    let scale = Ia3Config {
        inputs: [AttentionOutput, FeedForwardOut].into(),
        ..Ia3Config::new([Key, Value].into())
    };
    [
        ("lora_qv", AdapterPlan { lora: Some(low_rank(&[Query, Value], 16.0)), ..frozen() }),
        ("lora_all_linear", AdapterPlan { lora: Some(all), ..frozen() }),
        ("ia3", AdapterPlan { ia3: Some(scale), ..frozen() }),
    ]
}

#[test]
fn what_peft_trained_gives_the_same_logits() {
    for (name, plan) in peft_plans() {
        let (model, expected) = peft_model(name, plan);
        assert_close(&format!("PEFT {name}"), model.forward(&texts()), &expected["logits.f64"]);
    }
}

#[test]
fn a_fixed_factor_is_that_factor_in_the_way_up() {
    let scaled = |scaling| {
        let bottleneck = Method::Houlsby.plan(8).bottleneck;
        let bottleneck = bottleneck.map(|plan| BottleneckConfig { scaling, init_std: 0.5, ..plan });
        adapted(base(&Device::flex()), &config(AdapterPlan { bottleneck, ..frozen() }))
    };
    let fixed = scaled(Scaling::Fixed(0.25)).forward(&texts());
    let mut folded = scaled(Scaling::None);
    for layer in &mut folded.task.layers {
        for site in [&mut layer.attention, &mut layer.feed_forward] {
            let up = &mut site.bottleneck.as_mut().unwrap().up;
            up.weight = up.weight.clone().map(|weight| weight * 0.25);
        }
    }
    assert_close("a fixed factor", folded.forward(&texts()), &fixed.into_data());
}
