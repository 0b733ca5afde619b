//! A base whose matrices are in half precision: what is inserted, and what it learns, stays in single precision.

use burn::optim::GradientsParams;
use burn::tensor::{DType, Device};
use burn_adapters::file::native::{load, save};
use burn_adapters::{AdaptedBert, Method, classification_loss};
use burn_bert::Precision;
use tempfile::TempDir;

use crate::files::{FINGERPRINT, metadata};
use crate::fixtures::{
    adapted, base, config, gradients_by_path, input, labels, max_abs, max_abs_difference, path,
    read, with_noise,
};

use crate::samples::some_input;

const HALVES: [Precision; 2] = [Precision::Bf16, Precision::F16];
/// Half precision has 8 or 11 digits of 24.
const TOLERANCE: f32 = 5e-2;

fn on_base_of(precision: Precision, method: Method, device: &Device) -> AdaptedBert {
    let bert = base(device).with_precision(precision);
    assert_eq!(bert.precision(), precision);
    with_noise(adapted(bert, &config(method.plan(4))))
}

#[test]
fn logits_on_half_a_base_are_nearly_those_on_a_whole_one() {
    let device = Device::flex();
    for method in [Method::Houlsby, Method::Mam, Method::Lora, Method::Ia3, Method::LayerNorm] {
        let logits = |precision| {
            let model = on_base_of(precision, method, &device);
            let logits = model.forward(&some_input(&device));
            assert_eq!(logits.dtype(), DType::F32);
            logits.into_data()
        };
        let whole = logits(Precision::F32);
        for half in HALVES {
            let difference = max_abs_difference(&logits(half), &whole);
            let relative = difference / max_abs(&whole);
            assert!(relative <= TOLERANCE, "{method} {half}: {relative:e}");
            assert!(difference > 0.0, "{method} {half} is not in half precision");
        }
    }
}

#[test]
fn gradients_on_half_a_base_are_single_and_nearly_those_on_a_whole_one() {
    let device = Device::flex().autodiff();
    let batches = read(path("train/batches.safetensors"));
    let gradients = |precision: Precision| {
        let model = on_base_of(precision, Method::Houlsby, &device);
        let logits = model.forward(&input(&batches, "step0.", &device));
        let loss = classification_loss(logits, labels(&batches, "step0.", &device));
        let gradients = (loss * precision.loss_scale()).backward();
        gradients_by_path(&model, &GradientsParams::from_grads(gradients, &model))
    };
    let whole = gradients(Precision::F32);
    for half in HALVES {
        let found = gradients(half);
        assert_eq!(found.len(), whole.len());
        for (path, expected) in &whole {
            assert_eq!(found[path].dtype(), DType::F32, "{path}");
            let unscaled = found[path].iter::<f64>().map(|x| x / half.loss_scale());
            let worst = unscaled
                .zip(expected.iter::<f64>())
                .fold(0.0, |worst: f64, (found, expected)| worst.max((found - expected).abs()));
            let relative = worst / f64::from(max_abs(expected));
            assert!(relative <= 0.1, "{half} {path}: {relative:e}");
        }
    }
}

#[test]
fn an_adapter_of_half_a_base_is_one_of_the_whole_base() {
    let device = Device::flex();
    let directory = TempDir::new().unwrap();
    for half in HALVES {
        let path = directory.path().join(format!("{half}.safetensors"));
        let model = on_base_of(half, Method::Houlsby, &device);
        save(&path, &model, &metadata(Method::Houlsby)).unwrap();
        load(&path, base(&device), FINGERPRINT).unwrap();
        let (again, _) = load(&path, base(&device).with_precision(half), FINGERPRINT).unwrap();
        let logits = |model: &AdaptedBert| model.forward(&some_input(&device)).into_data();
        assert_eq!(logits(&again), logits(&model));
    }
}
