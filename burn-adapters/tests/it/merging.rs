//! Corrections and scales in the base's own weights compute what they compute beside it.

use burn::module::{Module, list_param_ids};
use burn::optim::GradientsParams;
use burn::tensor::Device;
use burn_adapters::{AdaptedBert, Method};
use burn_bert::{Encoder, Precision, Projection};

use crate::adapter_hub::{TOLERANCE, hub_corrections, peft_model, peft_plans, static_model, texts};
use crate::fixtures::{
    adapted, all_tensors, base, config, max_abs, max_abs_difference, path, read, with_noise,
};

use crate::samples::{plans, some_input};

#[test]
fn merged_weights_give_the_logits_of_the_peers() {
    let hub = hub_corrections().map(|(name, plan)| {
        let expected = read(path(&format!("adapters/{name}/outputs.safetensors")));
        // AdapterHub's own merge of scales leaves the bias out, so that what it computes without one is the measure.
        (name, static_model(name, &plan), expected["static_logits.f64"].clone())
    });
    let peft = peft_plans().map(|(name, plan)| {
        let (model, expected) = peft_model(name, plan);
        (name, model, expected["logits_merged"].clone())
    });
    for (name, model, expected) in hub.into_iter().chain(peft) {
        let merged = model.merged().unwrap();
        let difference = max_abs_difference(&merged.forward(&texts()).into_data(), &expected);
        println!("{name}: {difference:e}");
        assert!(difference <= TOLERANCE, "{name}: {difference:e}");
    }
}

#[test]
fn a_merged_task_keeps_what_no_weights_can_hold_and_the_base_stays() {
    for (name, plan) in plans(4) {
        let gated = plan.lora.as_ref().is_some_and(|plan| plan.gate);
        let model = with_noise(adapted(base(&Device::flex()), &config(plan)));
        let before = all_tensors(&model.bert);
        let merged = model.merged();
        assert_eq!(all_tensors(&model.bert), before, "{name}");
        if gated {
            assert!(merged.unwrap_err().to_string().contains("gates"), "{name}");
            continue;
        }
        let merged = merged.unwrap();
        let plan = &merged.task.config().plan;
        assert!(plan.lora.is_none() && plan.ia3.is_none(), "{name}");
        let own_norm = |path: &str| path.starts_with("task.") && path.contains("norm.");
        let paths: Vec<_> =
            merged.trainable_parameters().into_iter().map(|parameter| parameter.path).collect();
        let kept = model.trainable_parameters().into_iter().map(|parameter| parameter.path);
        let kept: Vec<_> = kept
            .filter(|path| !path.contains(".low_rank.") && !path.contains(".scale_"))
            .filter(|path| !path.starts_with("task.pooler."))
            .filter(|path| !own_norm(path) || path.contains(".bottleneck."))
            .collect();
        assert_eq!(paths, kept, "{name}");
        let difference = max_abs_difference(
            &merged.forward(&texts()).into_data(),
            &model.forward(&texts()).into_data(),
        );
        assert!(difference <= TOLERANCE, "{name}: {difference:e}");
    }
}

#[test]
fn half_a_base_merges_and_stays_in_half_precision() {
    for precision in [Precision::Bf16, Precision::F16] {
        for method in
            [Method::Lora, Method::Dora, Method::DoraAdapterHub, Method::Ia3, Method::LayerNorm]
        {
            let bert = base(&Device::flex()).with_precision(precision);
            let model = with_noise(adapted(bert, &config(method.plan(4))));
            let merged = model.merged().unwrap();
            assert_eq!(merged.bert.precision(), precision);
            let expected = model.forward(&texts()).into_data();
            let difference = max_abs_difference(&merged.forward(&texts()).into_data(), &expected);
            let relative = difference / max_abs(&expected);
            println!("{method} {precision}: {relative:e}");
            assert!(relative <= 5e-2, "{method} {precision}: {relative:e}");
        }
    }
}

#[test]
fn merged_weights_are_parameters_of_their_own() {
    let model = adapted(base(&Device::flex()), &config(Method::Lora.plan(4)));
    let merged = model.merged().unwrap();
    let ids = list_param_ids(&model);
    for layer in 0..model.bert.n_layers() {
        for projection in Projection::ALL {
            let changed = [Projection::Query, Projection::Value].contains(&projection);
            let merged = merged.bert.projection(layer, projection).weight.id;
            assert_eq!(model.bert.projection(layer, projection).weight.id != merged, changed);
            assert_eq!(ids.contains(&merged), !changed);
        }
    }
}

#[test]
fn a_model_for_inference_gives_the_same_bits_until_its_weights_change() {
    let device = Device::flex().autodiff();
    for (name, plan) in plans(4).into_iter().filter(|(_, plan)| plan.lora.is_some()) {
        let model = with_noise(adapted(base(&device), &config(plan)));
        let logits = |model: &AdaptedBert| model.forward(&texts()).into_data();
        let prepared = model.for_inference();
        assert_eq!(logits(&prepared), logits(&model.valid()), "{name}");
        // Other weights: what was computed from the old ones has no effect.
        let (changed, expected) = (with_noise(prepared.clone()), with_noise(model.valid()));
        assert_ne!(logits(&changed), logits(&prepared), "{name}");
        assert_eq!(logits(&changed), logits(&expected), "{name}");
        // Trained further, all parameters have gradients.
        let trained = prepared.train();
        let gradients = trained.forward(&some_input(&device)).sum().backward();
        let gradients = GradientsParams::from_grads(gradients, &trained);
        assert_eq!(gradients.len(), model.trainable_parameters().len(), "{name}");
    }
}
