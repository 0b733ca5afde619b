//! Losses and their gradients against torch.

use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_adapters::{multi_label_loss, weighted_classification_loss};
use serde_json::Value;

use crate::fixtures::path;

/// Values of single precision, relative to the largest.
const TOLERANCE: f64 = 2e-6;

#[expect(clippy::cast_possible_truncation, reason = "the fixture is of double precision")]
fn numbers(value: &Value) -> Vec<f32> {
    let items = value.as_array().into_iter().flatten();
    items
        .flat_map(|item| match item.as_f64() {
            Some(number) => vec![number as f32],
            None => numbers(item),
        })
        .collect()
}

fn matrix(value: &Value, device: &Device) -> Tensor<2> {
    let rows = value.as_array().unwrap().len();
    let values = numbers(value);
    let columns = values.len() / rows;
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

#[test]
fn losses_and_gradients_are_torchs() {
    let device = Device::flex().autodiff();
    let cases: Value =
        serde_json::from_slice(&std::fs::read(path("losses.json")).unwrap()).unwrap();
    for case in cases.as_array().unwrap() {
        let logits = matrix(&case["logits"], &device).require_grad();
        let weights = numbers(&case["weights"]);
        let weights =
            (!weights.is_empty()).then(|| Tensor::<1>::from_data(weights.as_slice(), &device));
        let loss = if case["sets"].is_array() {
            multi_label_loss(logits.clone(), matrix(&case["sets"], &device), weights)
        } else {
            let labels: Vec<i64> =
                case["labels"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
            let labels = Tensor::<1, Int>::from_data(labels.as_slice(), &device);
            let smoothing = case["smoothing"].as_f64().unwrap();
            weighted_classification_loss(logits.clone(), labels, weights, smoothing)
        };
        let gradients = loss.backward();
        let (found, expected) = (loss.into_scalar::<f64>(), case["loss"].as_f64().unwrap());
        assert!(
            (found - expected).abs() <= TOLERANCE * expected.abs(),
            "{found}, expected {expected}"
        );
        let found = logits.grad(&gradients).unwrap().into_data().try_to_vec::<f32>().unwrap();
        let expected = numbers(&case["gradient"]);
        let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            let apart = f64::from((found - expected).abs());
            assert!(apart <= TOLERANCE * f64::from(largest), "{found}, expected {expected}");
        }
    }
}
