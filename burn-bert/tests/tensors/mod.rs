//! Tensors of safetensors files as numbers.

#![allow(dead_code, reason = "not every test file uses everything")]

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_bert::BertInput;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A tensor of a file as numbers, with its shape.
pub(crate) fn read(file: &str, name: &str) -> (Vec<f64>, Vec<usize>) {
    let bytes = std::fs::read(fixture(file)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let view = tensors.tensor(name).unwrap();
    let data = view.data();
    #[expect(clippy::cast_precision_loss, reason = "token ids are small")]
    let values = match view.dtype() {
        Dtype::F32 => {
            data.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
        }
        Dtype::F64 => data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
        Dtype::I64 => {
            data.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f64).collect()
        }
        other => panic!("{name} is {other:?}"),
    };
    (values, view.shape().to_vec())
}

pub(crate) fn integers(file: &str, name: &str, device: &Device) -> Tensor<2, Int> {
    let (values, shape) = read(file, name);
    Tensor::<2>::from_data(TensorData::new(values, shape), device).int()
}

pub(crate) fn input(file: &str, prefix: &str, device: &Device) -> BertInput {
    BertInput {
        input_ids: integers(file, &format!("{prefix}input_ids"), device),
        token_type_ids: integers(file, &format!("{prefix}token_type_ids"), device),
        attention_mask: integers(file, &format!("{prefix}attention_mask"), device).equal_scalar(1),
    }
}

#[track_caller]
pub(crate) fn check_near<const D: usize>(found: Tensor<D>, file: &str, name: &str, tolerance: f64) {
    let (expected, shape) = read(file, name);
    assert_eq!(found.dims().to_vec(), shape, "{name}");
    let found = found.into_data();
    let worst = found
        .iter::<f64>()
        .zip(expected)
        .map(|(found, expected)| (found - expected).abs())
        .fold(0.0, f64::max);
    assert!(worst <= tolerance, "{name} is {worst:.1e} away, allowed {tolerance:.0e}");
}
