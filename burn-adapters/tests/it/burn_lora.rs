//! Burn's own LoRA and ours give the same results, in both directions.

use burn::module::{Lora, Module, ParamGroup};
use burn::tensor::Device;
use burn_adapters::interchange::burn_lora::{from_burn, to_burn};
use burn_adapters::{AdapterPlan, HeadKind, Method, Pooling, TaskAdapterConfig, TrainableBase};
use burn_bert::{Bert, Encoder};

use crate::fixtures::{
    adapted, all_tensors, base, config, max_abs_difference, with_noise, with_tensors,
};
use crate::samples::some_input;

/// Burn computes `x (W + s A B)`, this crate `x W + s (x A) B`.
const TOLERANCE: f32 = 2e-5;

fn empty() -> TaskAdapterConfig {
    TaskAdapterConfig::new(AdapterPlan::new(TrainableBase::Nothing), HeadKind::unnamed(3))
        .with_head_dropout(0.0)
}

/// Burn's LoRA of rank 4 at query and value.
fn with_burns_lora(bert: Bert) -> Bert {
    let group = ParamGroup::from_any_predicates(vec![".query.weight", ".value.weight"]);
    bert.apply_lora(Lora::new(4, 8.0).set_param_group(group))
}

#[test]
fn a_base_with_burns_lora_gives_the_hidden_states_of_the_adapter() {
    let device = Device::flex();
    let mut plan = Method::Lora.plan(4);
    plan.lora.as_mut().unwrap().pooler = true;
    let model = with_noise(adapted(base(&device), &config(plan)));
    let burns = to_burn(&model).unwrap();
    let input = some_input(&device);
    let (ours, theirs) = (model.bert.forward_with(&input, &model.task), burns.forward(&input));
    let difference = max_abs_difference(&theirs.clone().into_data(), &ours.clone().into_data());
    assert!(difference <= TOLERANCE, "{difference:e}");
    let pooled = model.bert.pool_with(ours, &model.task).into_data();
    let difference = max_abs_difference(&burns.pool(theirs).into_data(), &pooled);
    assert!(difference <= TOLERANCE, "{difference:e}");
}

#[test]
fn a_lora_that_burn_attached_becomes_an_adapter() {
    let device = Device::flex();
    let burns = with_burns_lora(base(&device));
    // B starts at 0.
    let moved = all_tensors(&burns).into_iter().filter(|(path, _)| path.ends_with(".lora.b"));
    let moved = moved.map(|(path, mut data)| {
        let values = data.as_mut_slice::<f32>().unwrap();
        values.iter_mut().enumerate().for_each(|(index, x)| *x = (index as f32).sin() * 0.1);
        (path, data)
    });
    let burns = with_tensors(burns, moved.collect());
    let model = from_burn(burns.clone(), empty().with_pooling(Pooling::Mean)).unwrap();
    let lora = model.task.config().plan.lora.clone().unwrap();
    assert_eq!((lora.rank, lora.alpha.to_bits()), (4, 8.0_f64.to_bits()));
    assert_eq!(all_tensors(&model.bert), all_tensors(&base(&device)), "the base is as before");

    let input = some_input(&device);
    let difference = max_abs_difference(
        &model.bert.forward_with(&input, &model.task).into_data(),
        &burns.forward(&input).into_data(),
    );
    assert!(difference <= TOLERANCE, "{difference:e}");
}

#[test]
fn an_adapter_is_the_same_after_burns_record() {
    let device = Device::flex();
    let model = with_noise(adapted(base(&device), &config(Method::Lora.plan(4))));
    let lora = model.task.config().plan.lora.as_ref().unwrap();
    let record = to_burn(&model).unwrap().into_record();
    let group = ParamGroup::from_any_predicates(vec![".query.weight", ".value.weight"]);
    let burns = base(&device).apply_lora(Lora::new(4, lora.alpha).set_param_group(group));
    let loaded = from_burn(burns.load_record(record), empty()).unwrap();
    assert_eq!(loaded.task.config().plan, model.task.config().plan);
    let tensors = |model| -> Vec<_> {
        let tensors = all_tensors(model).into_iter();
        tensors.filter(|(path, _)| !path.contains(".head.")).collect()
    };
    assert_eq!(tensors(&loaded), tensors(&model));
}

#[test]
fn what_has_no_counterpart_is_refused() {
    let device = Device::flex();
    for method in [Method::Houlsby, Method::Ia3, Method::LayerNorm] {
        let model = adapted(base(&device), &config(method.plan(4)));
        let error = to_burn(&model).unwrap_err().to_string();
        assert!(error.contains("anything but LoRAs without gates"), "{method}: {error}");
    }
    let refused = |bert| from_burn(bert, empty()).unwrap_err().to_string();
    let error = refused(base(&device));
    assert!(error.contains("a base without attached LoRAs"), "{error}");
    let error = refused(base(&device).apply_lora(Lora::new(4, 8.0)));
    assert!(error.contains("embeddings.word_embeddings.weight"), "{error}");
    let first = ParamGroup::from_predicate("layer.0.attention.self_attention.query");
    let second = ParamGroup::from_predicate("layer.1.attention.self_attention.value");
    let different = base(&device).apply_lora(Lora::new(4, 8.0).set_param_group(first));
    let different = different.apply_lora(Lora::new(4, 8.0).set_param_group(second));
    let error = refused(different);
    assert!(error.contains("different projections in different layers"), "{error}");
}
