//! Adam's moments and update, each in one pass and in place; the sum of squares.

use burn::backend::TensorMetadata;
use burn::tensor::Shape;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::simd::{ELEMENTS_AT_ONCE, sum, vectorised};
use super::tensor::{Rows, in_memory_order, tensor};
use crate::types::AdamRates;

/// `beta · mean + (1 - beta) · gradient`.
pub(super) fn mean(mean: FlexTensor, gradient: &FlexTensor, beta: f64) -> FlexTensor {
    let (old, new) = (beta as f32, (1.0 - beta) as f32);
    updated(mean, [gradient], |mean, [g]| *mean = *mean * old + g * new)
}

/// `beta · mean + (1 - beta) · gradient²`.
pub(super) fn mean_of_squares(mean: FlexTensor, gradient: &FlexTensor, beta: f64) -> FlexTensor {
    let (old, new) = (beta as f32, (1.0 - beta) as f32);
    updated(mean, [gradient], |mean, [g]| *mean = *mean * old + g * g * new)
}

/// `p - lr (m / (√v + ε) + decay · p)`.
pub(super) fn update(
    parameter: FlexTensor,
    moments: [&FlexTensor; 2],
    rates: AdamRates,
) -> FlexTensor {
    let rate = rates.learning_rate as f32;
    let epsilon = rates.epsilon as f32;
    let decay = rates.weight_decay as f32;
    updated(parameter, moments, |p, [m, v]| *p -= (m / (v.sqrt() + epsilon) + *p * decay) * rate)
}

/// Updates each element of a tensor from those at the same index in others, in place if the tensor's memory is not
/// shared.
fn updated<const N: usize>(
    x: FlexTensor,
    others: [&FlexTensor; N],
    update: impl Fn(&mut f32, [f32; N]) + Sync,
) -> FlexTensor {
    let others = others.map(Rows::of);
    for other in &others {
        assert_eq!(x.shape(), other.shape(), "shapes of a parameter, its gradient and its moments");
    }
    let mut x = in_memory_order(x);
    x.storage_mut::<f32>().par_chunks_mut(ELEMENTS_AT_ONCE).enumerate().for_each(
        |(index, chunk)| {
            let start = index * ELEMENTS_AT_ONCE;
            let others = others.each_ref().map(|other| &other.data()[start..][..chunk.len()]);
            vectorised(
                #[inline(always)]
                || {
                    for (index, x) in chunk.iter_mut().enumerate() {
                        update(x, others.map(|other| other[index]));
                    }
                },
            );
        },
    );
    x
}

/// The sum of squares: of each chunk, then over the chunks in order.
pub(super) fn sum_of_squares(x: &FlexTensor) -> FlexTensor {
    let rows = Rows::of(x);
    let chunks: Vec<f64> = rows
        .data()
        .par_chunks(ELEMENTS_AT_ONCE)
        .map(|chunk| f64::from(vectorised(|| sum(chunk, |x| x * x))))
        .collect();
    tensor(vec![chunks.iter().sum::<f64>() as f32], Shape::from([1]))
}
