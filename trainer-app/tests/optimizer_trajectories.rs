//! Six steps of each optimizer follow `PyTorch`'s: losses, gradient norms, what was trained, and what it says then.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do, and tell what they measured"
)]

#[path = "../../burn-adapters/tests/it/fixtures.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod fixtures;

use std::path::PathBuf;

use burn::optim::{AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, TensorData};
use burn_adapters::{AdaptedBert, TrainableBase, classification_loss};
use fixtures::{
    all_tensors, from_torch, hub_name, input, labels, max_abs, max_abs_difference, path, read,
    training_start,
};
use serde::Deserialize;
use trainer_app::learner::bert_adam::BertAdamConfig;
use trainer_app::learner::clip::clip_to_global_norm;

/// Relative to the largest entry of what is compared; a loss or a norm is one entry.
const TOLERANCE: f32 = 1e-4;
/// The gradient of a key's bias is 0 in exact arithmetic (softmax does not see a shift); Adam divides the rounding
/// that is left by its own size.
const KEY_BIAS_TOLERANCE: f32 = 1e-3;

/// One entry of `trajectories.json`; `_f64` is the same run in double precision.
#[derive(Deserialize)]
struct Trajectory {
    lrs: Vec<f64>,
    losses_f64: Vec<f64>,
    grad_norms_before_clip_f64: Vec<f64>,
    final_eval_logits_f64: Vec<Vec<f64>>,
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/train").join(name)
}

fn trajectory(kind: &str, optimizer: &str) -> Trajectory {
    let text = std::fs::read_to_string(golden("trajectories.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(all[kind]["runs"][optimizer].clone()).unwrap()
}

fn row(values: &[f64]) -> TensorData {
    #[expect(clippy::cast_possible_truncation, reason = "compared in single precision")]
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    let shape = [values.len()];
    TensorData::new(values, shape)
}

fn assert_close(what: &str, found: &TensorData, expected: &TensorData) -> f32 {
    let relative = max_abs_difference(found, expected) / max_abs(expected);
    let tolerance = if what.ends_with(".key.bias") { KEY_BIAS_TOLERANCE } else { TOLERANCE };
    assert!(relative <= tolerance, "{what}: {relative:e}");
    relative
}

fn check_trajectory(
    (kind, tuned): (&str, TrainableBase),
    name: &str,
    max_norm: f64,
    optimizer: fn(&AdaptedBert) -> ModuleOptimizer,
) {
    let device = Device::flex().autodiff();
    let golden_run = trajectory(kind, name);
    let mut model = training_start(tuned, &device);
    let mut optimizer = optimizer(&model);
    let batches = read(path("train/batches.safetensors"));
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for (step, &learning_rate) in golden_run.lrs.iter().enumerate() {
        let prefix = format!("step{step}.");
        let logits = model.forward(&input(&batches, &prefix, &device));
        let loss = classification_loss(logits, labels(&batches, &prefix, &device));
        losses.push(loss.clone().into_scalar::<f64>());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let (gradients, norm) = clip_to_global_norm(&model, gradients, max_norm);
        norms.push(norm);
        model = optimizer.step(learning_rate, model, gradients);
    }

    let run = format!("{kind} {name}");
    let loss = assert_close(&format!("{run} losses"), &row(&losses), &row(&golden_run.losses_f64));
    let norm = assert_close(
        &format!("{run} norms"),
        &row(&norms),
        &row(&golden_run.grad_norms_before_clip_f64),
    );
    let logits = model.forward(&input(&read(path("inputs.safetensors")), "", &device)).into_data();
    let flat = TensorData::new(logits.iter::<f32>().collect::<Vec<_>>(), [logits.num_elements()]);
    let logits = assert_close(
        &format!("{run} logits"),
        &flat,
        &row(&golden_run.final_eval_logits_f64.concat()),
    );

    let expected = read(golden(&format!("{kind}.{name}.final.safetensors")));
    let found = all_tensors(&model);
    let trained = model.trainable_parameters();
    assert_eq!(trained.len(), expected.len(), "{run}");
    let mut worst = (0.0, String::new());
    for parameter in trained {
        let expected = from_torch(&parameter.path, &expected[&hub_name(&parameter.path, "t")]);
        let relative =
            assert_close(&format!("{run} {}", parameter.path), &found[&parameter.path], &expected);
        if relative > worst.0 {
            worst = (relative, parameter.path);
        }
    }
    println!(
        "{run}: losses {loss:.1e}, norms {norm:.1e}, logits {logits:.1e}, tensors {:.1e} ({})",
        worst.0, worst.1
    );
}

const HOULSBY: (&str, TrainableBase) = ("houlsby", TrainableBase::Nothing);
const HOULSBY_WITH_NORMS: (&str, TrainableBase) = ("houlsby_ln", TrainableBase::LayerNorms);
const FULL: (&str, TrainableBase) = ("full", TrainableBase::Everything);

fn adam(_: &AdaptedBert) -> ModuleOptimizer {
    AdamConfig::new().with_epsilon(1e-8).init()
}

fn adamw(_: &AdaptedBert) -> ModuleOptimizer {
    AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.01).init()
}

fn adamw_groups(model: &AdaptedBert) -> ModuleOptimizer {
    let adamw = |decay| AdamWConfig::new().with_epsilon(1e-6).with_weight_decay(decay).build();
    ModuleOptimizer::from(adamw(0.0)).with_group(model.weight_decay_group(), adamw(0.01), None)
}

fn bert_adam(model: &AdaptedBert) -> ModuleOptimizer {
    let bert_adam = |decay| BertAdamConfig::new().with_weight_decay(decay).build();
    ModuleOptimizer::from(bert_adam(0.0)).with_group(
        model.weight_decay_group(),
        bert_adam(0.01),
        None,
    )
}

#[test]
fn adam_follows_pytorch() {
    check_trajectory(HOULSBY, "adam", f64::INFINITY, adam);
    check_trajectory(HOULSBY_WITH_NORMS, "adam", f64::INFINITY, adam);
}

#[test]
fn adamw_follows_pytorch() {
    check_trajectory(HOULSBY, "adamw", f64::INFINITY, adamw);
    check_trajectory(HOULSBY_WITH_NORMS, "adamw", f64::INFINITY, adamw);
}

#[test]
fn adamw_with_decay_groups_and_clipping_follows_pytorch() {
    for kind in [HOULSBY, HOULSBY_WITH_NORMS, FULL] {
        check_trajectory(kind, "adamw_groups_clip", 1.0, adamw_groups);
    }
}

#[test]
fn bert_adam_with_decay_groups_and_clipping_follows_the_reference_code() {
    check_trajectory(HOULSBY, "bertadam_clip", 1.0, bert_adam);
    check_trajectory(HOULSBY_WITH_NORMS, "bertadam_clip", 1.0, bert_adam);
}
