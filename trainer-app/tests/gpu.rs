//! A GPU computes what the CPU computes. Built with a GPU's back-end alone: `cargo xtask test --device wgpu|cuda`.
#![cfg(any(feature = "wgpu", feature = "cuda"))]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do, and tell what they measured"
)]

#[path = "../../burn-adapters/tests/it/fixtures.rs"]
mod fixtures;
mod tiny_base;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use burn::optim::GradientsParams;
use burn::tensor::Device;
use burn_adapters::{AdaptedBert, Method, TrainableBase, classification_loss};
use burn_bert::Precision;
use fixtures::{
    Tensors, adapted, base, config, gradients_by_path, input, labels, max_abs, max_abs_difference,
    path, read, training_start, with_noise,
};
use serde_json::Value;
use trainer_app::system::devices;

/// Of logits and losses, relative to the largest of them: kernels sum in another order.
const FORWARD: f32 = 1e-3;
/// Of gradients, relative to the largest entry of each.
const BACKWARD: f32 = 1e-2;
/// Gradients that are 0 in exact arithmetic are rounding on both sides.
const ROUNDING: f32 = 1e-6;

const METHODS: [Method; 12] = [
    Method::Houlsby,
    Method::Pfeiffer,
    Method::Parallel,
    Method::ScaledParallel,
    Method::Mam,
    Method::Lora,
    Method::Dora,
    Method::Ia3,
    Method::Prefix,
    Method::LayerNorm,
    Method::TopLayers(1),
    Method::Full,
];

/// What `--device` was given to `cargo xtask test`.
fn name() -> String {
    let known = if cfg!(feature = "cuda") { "cuda" } else { "wgpu" };
    std::env::var("TRAINER_TEST_DEVICE").unwrap_or_else(|_| known.to_owned())
}

fn device() -> Device {
    devices::resolve(&name()).unwrap()
}

fn gradients(model: &AdaptedBert, loss_scale: f64, device: &Device) -> (f32, Tensors) {
    let batches = read(path("train/batches.safetensors"));
    let logits = model.forward(&input(&batches, "step0.", device));
    let loss = classification_loss(logits, labels(&batches, "step0.", device));
    let gradients = GradientsParams::from_grads((loss.clone() * loss_scale).backward(), model);
    (loss.into_scalar::<f32>(), gradients_by_path(model, &gradients))
}

fn assert_alike(what: &str, found: &Tensors, expected: &Tensors, scale: f32, tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let mut worst = 0.0_f32;
    for (path, expected) in expected {
        let largest = max_abs(expected);
        if largest < ROUNDING {
            continue;
        }
        let pairs = found[path].iter::<f32>().zip(expected.iter::<f32>());
        let apart = pairs.map(|(found, expected)| (found / scale - expected).abs());
        let relative = apart.fold(0.0, f32::max) / largest;
        assert!(relative <= tolerance, "{what} {path}: {relative:e}");
        worst = worst.max(relative);
    }
    println!("{what}: gradients apart by {worst:e}");
}

#[test]
fn logits_and_gradients_of_every_method_are_those_of_the_cpu() {
    let (gpu, cpu) = (device().autodiff(), Device::flex().autodiff());
    for method in METHODS {
        let model = |device| with_noise(adapted(base(device), &config(method.plan(4))));
        let (found_loss, found) = gradients(&model(&gpu), 1.0, &gpu);
        let (loss, expected) = gradients(&model(&cpu), 1.0, &cpu);
        assert!((found_loss - loss).abs() <= FORWARD * loss.abs(), "{method}: {found_loss} {loss}");
        assert_alike(&method.to_string(), &found, &expected, 1.0, BACKWARD);
    }
}

#[test]
fn logits_are_those_of_pytorch() {
    let device = device();
    let batches = read(path("train/batches.safetensors"));
    for (kind, tuned) in
        [("houlsby_ln", TrainableBase::LayerNorms), ("full", TrainableBase::Everything)]
    {
        let golden = read(path(&format!("train/{kind}.grads_step0.safetensors")));
        let model = training_start(tuned, &device);
        let logits = model.forward(&input(&batches, "step0.", &device));
        let loss = classification_loss(logits, labels(&batches, "step0.", &device));
        let expected = &golden["loss.f64"];
        let relative = max_abs_difference(&loss.into_data(), expected) / max_abs(expected);
        assert!(relative <= FORWARD, "{kind}: {relative:e}");
    }
}

#[test]
fn half_a_base_learns_nearly_the_same() {
    let (gpu, cpu) = (device().autodiff(), Device::flex().autodiff());
    let (_, expected) =
        gradients(&with_noise(adapted(base(&cpu), &config(Method::Houlsby.plan(4)))), 1.0, &cpu);
    for half in [Precision::Bf16, Precision::F16] {
        if let Err(refused) = devices::check_precision(&gpu, half) {
            println!("{refused}");
            continue;
        }
        let bert = base(&gpu).with_precision(half);
        let model = with_noise(adapted(bert, &config(Method::Houlsby.plan(4))));
        let (_, found) = gradients(&model, half.loss_scale(), &gpu);
        #[expect(clippy::cast_possible_truncation, reason = "a power of two")]
        let scale = half.loss_scale() as f32;
        assert_alike(half.name(), &found, &expected, scale, 0.1);
    }
}

#[test]
fn a_run_on_a_gpu_leaves_an_adapter_for_the_cpu() {
    let directory = tempfile::tempdir().unwrap();
    let words = tiny_base::lay_tiny_base(directory.path());
    let mut rows = String::from("body,team\n");
    for row in 0..96 {
        let (class, decides) = [("x", &words[0]), ("y", &words[1])][row % 2];
        writeln!(rows, "{} {decides},{class}", words[2 + row % (words.len() - 2)]).unwrap();
    }
    std::fs::write(directory.path().join("rows.csv"), rows).unwrap();
    let train = "train --train rows.csv --text body --label team --base base --size 4 --epochs 4 \
                 --batch-size 16 --lr 1e-2 --max-length 8 --json";
    let result = says(directory.path(), &format!("{train} --device {}", name()));
    let score = result["score"].as_f64().unwrap();
    assert!(score > 0.8, "{result}");
    let evaluate = "evaluate runs/rows/houlsby-4-seed42/adapter.safetensors --input rows.csv --text body \
                    --label team --base base --json --device";
    let scores =
        |device: &str| says(directory.path(), &format!("{evaluate} {device}"))["scores"].clone();
    assert_eq!(scores("cpu"), scores(&name()));
    let again = format!("{train} --name again --gradient-checkpointing --device {}", name());
    assert!(says(directory.path(), &again)["score"].as_f64().unwrap() > 0.8);
}

/// The line of JSON that a command prints.
fn says(directory: &Path, line: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    let output = command.current_dir(directory).args(line.split_whitespace()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "trainer {line}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}
