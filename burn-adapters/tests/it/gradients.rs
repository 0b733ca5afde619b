//! Loss and gradients of one step equal `PyTorch`'s, and those of double precision.

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};
use burn_adapters::interchange::{adapter_hub, peft};
use burn_adapters::{AdaptedBert, Method, TrainableBase, classification_loss};

use crate::fixtures::{
    adapted, base, config, from_torch, gradients_by_path, hub_name, input, labels, max_abs,
    max_abs_difference, path, read, training_start, with_noise,
};
use crate::samples::peers_plans;

/// Relative to the largest entry of each gradient.
const TOLERANCE: f32 = 1e-4;
/// The gradient of a key's bias is 0 in exact arithmetic (softmax does not see a shift); what both sides have there
/// is rounding.
const ROUNDING: f32 = 1e-7;

fn check_gradients(kind: &str, tuned: TrainableBase) {
    let device = Device::flex().autodiff();
    let model = training_start(tuned, &device);
    let batches = read(path("train/batches.safetensors"));
    let golden = read(path(&format!("train/{kind}.grads_step0.safetensors")));
    let logits = model.forward(&input(&batches, "step0.", &device));
    let loss = classification_loss(logits, labels(&batches, "step0.", &device));
    let difference =
        max_abs_difference(&loss.to_data(), &golden["loss.f64"]) / max_abs(&golden["loss.f64"]);
    println!("{kind} loss: {difference:e}");
    assert!(difference <= TOLERANCE, "{kind} loss: {difference:e}");

    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    let found = gradients_by_path(&model, &gradients);
    let expected = golden
        .keys()
        .filter(|name| name.starts_with("grad.") && name.strip_suffix(".f64").is_none())
        .count();
    assert_eq!(found.len(), expected, "{kind}");
    let mut worst = (0.0, String::new());
    for (path, gradient) in found {
        let name = format!("grad.{}", hub_name(&path, "t"));
        let expected = golden.get(&format!("{name}.f64")).unwrap_or_else(|| &golden[&name]);
        let expected = from_torch(&path, expected);
        let difference = max_abs_difference(&gradient, &expected);
        if path.ends_with(".key.bias") {
            assert!(difference <= ROUNDING, "{kind} {path}: {difference:e}");
            continue;
        }
        let relative = difference / max_abs(&expected);
        assert!(relative <= TOLERANCE, "{kind} {path}: {relative:e} of {:e}", max_abs(&expected));
        if relative > worst.0 {
            worst = (relative, path);
        }
    }
    println!("{kind} gradients: {worst:?}");
}

/// The model in double precision, which has no kernels: its numbers are plain Burn's.
fn in_double_precision(model: AdaptedBert) -> AdaptedBert {
    struct Caster;

    impl ModuleMapper for Caster {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, device) = (param.id, param.lazy_device());
            let data = param.val().into_data();
            param.transform_for_load(Tensor::from_data(data, (&device, DType::F64)), id)
        }
    }

    model.map(&mut Caster)
}

#[test]
fn whatever_is_inserted_gets_the_gradients_of_double_precision() {
    let device = Device::flex().autodiff();
    let texts = read(path("inputs.safetensors"));
    let gradients_of = |model: &AdaptedBert| {
        let logits = model.forward(&input(&texts, "", &device));
        let loss = classification_loss(logits, labels(&texts, "", &device));
        let gradients = GradientsParams::from_grads(loss.backward(), model);
        gradients_by_path(model, &gradients)
    };
    let methods = [
        Method::ScaledParallel,
        Method::Lora,
        Method::Dora,
        Method::DoraAdapterHub,
        Method::Ia3,
        Method::Prefix,
        Method::Mam,
    ];
    let methods = methods.map(|method| (method.to_string(), method.plan(4)));
    for (name, plan) in methods.into_iter().chain(peers_plans(4)) {
        let model = with_noise(adapted(base(&device), &config(plan)));
        let found = gradients_of(&model);
        let expected = gradients_of(&in_double_precision(model.clone()));
        assert_eq!(found.len(), model.trainable_parameters().len());
        let mut worst = (0.0, String::new());
        for (path, gradient) in found {
            let expected = &expected[&path];
            let difference = max_abs_difference(&gradient, expected);
            if path.contains(".key.b") && max_abs(expected) < ROUNDING {
                continue;
            }
            let relative = difference / max_abs(expected);
            assert!(
                relative <= TOLERANCE,
                "{name} {path}: {relative:e} of {:e}",
                max_abs(expected)
            );
            if relative > worst.0 {
                worst = (relative, path);
            }
        }
        println!("{name}: {worst:?}");
    }
}

#[test]
fn doras_get_the_gradients_of_both_packages() {
    let device = Device::flex().autodiff();
    let texts = read(path("inputs.safetensors"));
    let adapters = [
        ("adapters/dora", adapter_hub::read(&path("adapters/dora"), base(&device), None)),
        ("peft/dora_qv", peft::read(&path("peft/dora_qv"), base(&device), None)),
    ];
    for (name, imported) in adapters {
        let mut model = imported.unwrap().model;
        model.task.head.dropout.prob = 0.0;
        let golden = read(path(name).join("outputs.safetensors"));
        let logits = model.forward(&input(&texts, "", &device));
        let loss = classification_loss(logits, labels(&texts, "", &device));
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let found = gradients_by_path(&model, &gradients);
        let inserted = found.iter().filter(|(path, _)| path.contains(".low_rank."));
        assert_eq!(inserted.clone().count(), golden.len() - 1, "{name}");
        for (path, gradient) in inserted {
            let path = path.trim_start_matches("task.");
            let expected = &golden[&format!("gradient.{path}")];
            let relative = max_abs_difference(gradient, expected) / max_abs(expected);
            assert!(relative <= TOLERANCE, "{name} {path}: {relative:e}");
        }
    }
}

#[test]
fn adapters_and_head_get_the_gradients_of_pytorch() {
    check_gradients("houlsby", TrainableBase::Nothing);
}

#[test]
fn adapters_norms_and_head_get_the_gradients_of_pytorch() {
    check_gradients("houlsby_ln", TrainableBase::LayerNorms);
}

#[test]
fn the_whole_model_gets_the_gradients_of_pytorch() {
    check_gradients("full", TrainableBase::Everything);
}
