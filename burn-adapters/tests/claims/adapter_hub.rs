//! Adapters trained with `AdapterHub` compute here what they compute there.

use burn::tensor::activation::tanh;
use burn::tensor::{Device, Tensor, TensorData};
use burn_adapters::head::first_token;
use burn_adapters::{Activation, AdaptedBert, Method, Placement, Plan, Tuned};
use burn_bert::BertInput;

use crate::fixtures::{
    Tensors, adapted, base, config, from_torch, hub_name, input, max_abs_difference, path, read,
    with_tensors,
};

/// The peers' own single-precision results are up to 6e-6 off their double-precision ones.
const TOLERANCE: f32 = 2e-5;

fn plan(method: Method, activation: Activation) -> Plan {
    let mut plan = method.plan(8);
    let bottleneck = plan.bottleneck.as_mut().unwrap();
    bottleneck.activation = activation;
    // AdapterHub leaves the norms frozen.
    plan.tuned = Tuned::Nothing;
    plan
}

fn fixture(name: &str, file: &str) -> Tensors {
    read(path(&format!("adapters/{name}/{file}.safetensors")))
}

/// A model with the adapter `name`, and the head of 3 classes that `head` has as `classifier.*`.
fn model(name: &str, plan: Plan, adapter: &Tensors, head: &Tensors) -> AdaptedBert {
    let model = adapted(base(&Device::flex()), &config(plan));
    let tensors = model.trained_parameters().into_iter().map(|parameter| {
        let hub = hub_name(&parameter.path, name);
        let data =
            adapter.get(&hub).or_else(|| head.get(&hub)).unwrap_or_else(|| panic!("no {hub}"));
        let data = from_torch(&parameter.path, data);
        (parameter.path, data)
    });
    let tensors = tensors.collect();
    with_tensors(model, tensors)
}

fn texts() -> BertInput {
    input(&read(path("inputs.safetensors")), "", &Device::flex())
}

fn assert_close(what: &str, found: Tensor<2>, expected: &TensorData) {
    let difference = max_abs_difference(&found.into_data(), expected);
    println!("{what}: {difference:e}");
    assert!(difference <= TOLERANCE, "{what}: {difference:e}");
}

/// The pooler and classifier of the sequence classification model.
fn check_static_logits(name: &str, plan: Plan, adapter: &Tensors) {
    let classifier = read(path("train/houlsby.init.safetensors"));
    let model = model(name, plan, adapter, &classifier);
    assert_close(name, model.forward(&texts()), &fixture(name, "outputs")["static_logits.f64"]);
}

/// The head of two layers on the first token, which is applied by hand.
fn check_flexible_logits(name: &str, plan: Plan, adapter: &Tensors) {
    let classifier = read(path("train/houlsby.init.safetensors"));
    let model = model(name, plan, adapter, &classifier);
    let head = fixture(name, "model_head");
    let linear = |x: Tensor<2>, layer: usize| {
        let weight =
            Tensor::from_data(head[&format!("heads.{name}.{layer}.weight")].clone(), &x.device());
        let bias = Tensor::<1>::from_data(
            head[&format!("heads.{name}.{layer}.bias")].clone(),
            &x.device(),
        );
        x.matmul(Tensor::<2>::transpose(weight)) + bias.unsqueeze()
    };
    let pooled = first_token(model.bert.forward_with(&texts(), &model.task));
    let logits = linear(tanh(linear(pooled, 1)), 4);
    assert_close(
        &format!("{name}, flexible head"),
        logits,
        &fixture(name, "outputs")["logits.f64"],
    );
}

fn check_both(name: &str, plan: &Plan) {
    let adapter = fixture(name, "adapter");
    check_static_logits(name, plan.clone(), &adapter);
    check_flexible_logits(name, plan.clone(), &adapter);
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
fn parallel_adapters_give_the_same_logits() {
    check_both("parallel", &Method::Parallel.plan(8));
}

#[test]
fn a_learned_scaling_can_be_folded_into_the_way_up() {
    let name = "scaled_parallel";
    let mut plan = Method::Parallel.plan(8);
    plan.bottleneck.as_mut().unwrap().placement = Placement::Parallel { scaling: 1.0 };
    let file = fixture(name, "adapter");
    let mut adapter = file.clone();
    for (tensor, data) in &mut adapter {
        if let Some((site, _)) = tensor.split_once(".adapter_up.") {
            let scaling = file[&format!("{site}.scaling")].iter::<f32>().next().unwrap();
            let scaled = data.iter::<f32>().map(|value| value * scaling).collect::<Vec<_>>();
            *data = TensorData::new(scaled, data.shape().clone());
        }
    }
    check_static_logits(name, plan.clone(), &adapter);
    check_flexible_logits(name, plan, &adapter);
}

#[test]
fn a_static_head_gives_the_same_logits() {
    let name = "houlsby_static";
    let model = model(
        name,
        plan(Method::Houlsby, Activation::Swish),
        &fixture(name, "adapter"),
        &fixture(name, "model_head"),
    );
    assert_close(name, model.forward(&texts()), &fixture(name, "outputs")["logits.f64"]);
}
