//! LayerNorm of a sum, and its gradients.

use burn::backend::TensorMetadata;
use burn::tensor::Shape;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::simd::{ROWS_AT_ONCE, column_sums, sum, sum_of_two, vectorised};
use super::tensor::{Rows, tensor};

/// The result, and the state for the backward pass.
pub(super) struct LayerNormOutput {
    pub(super) normed: FlexTensor,
    pub(super) state: LayerNormState,
}

/// What the backward pass needs.
#[derive(Debug, Clone)]
pub(super) struct LayerNormState {
    /// The sum, scaled to mean 0 and variance 1.
    normal: FlexTensor,
    /// One over the standard deviation of each row.
    inverse_deviation: FlexTensor,
}

pub(super) fn forward(
    inputs: [&FlexTensor; 3],
    gamma: &FlexTensor,
    beta: &FlexTensor,
    epsilon: f64,
) -> LayerNormOutput {
    let [first, second, third] = inputs;
    let first = Rows::of(first);
    let more = [second, third].into_iter().filter(|next| next.shape().num_elements() > 0);
    let more: Vec<Rows> = more.map(Rows::of).collect();
    let gamma = Rows::of(gamma);
    let beta = match beta.shape().num_elements() {
        0 => Rows::of(&tensor(vec![0.0; gamma.width], gamma.shape())),
        _ => Rows::of(beta),
    };
    let (width, count) = (first.width, first.data().len());
    let epsilon = epsilon as f32;

    let mut output = vec![0.0; count];
    let mut normal = vec![0.0; count];
    let mut inverse_deviation = vec![0.0; count / width];
    let chunk = ROWS_AT_ONCE * width;
    output
        .par_chunks_mut(chunk)
        .zip(normal.par_chunks_mut(chunk))
        .zip(inverse_deviation.par_chunks_mut(ROWS_AT_ONCE))
        .enumerate()
        .for_each(|(index, ((output, normal), inverse_deviation))| {
            let start = index * chunk;
            vectorised(
                #[inline(always)]
                || {
                    let rows = output.chunks_exact_mut(width).zip(normal.chunks_exact_mut(width));
                    for (row, ((output, normal), inverse)) in
                        rows.zip(inverse_deviation).enumerate()
                    {
                        let here = start + row * width;
                        normal.copy_from_slice(&first.data()[here..here + width]);
                        for next in &more {
                            for (sum, &x) in normal.iter_mut().zip(&next.data()[here..here + width])
                            {
                                *sum += x;
                            }
                        }
                        let mean = sum(normal, |x| x) / width as f32;
                        let variance = sum(normal, |x| (x - mean) * (x - mean)) / width as f32;
                        *inverse = 1.0 / (variance + epsilon).sqrt();
                        for (((output, normal), &gamma), &beta) in
                            output.iter_mut().zip(normal).zip(gamma.data()).zip(beta.data())
                        {
                            *normal = (*normal - mean) * *inverse;
                            *output = normal.mul_add(gamma, beta);
                        }
                    }
                },
            );
        });
    let shape = first.shape();
    LayerNormOutput {
        normed: tensor(output, shape.clone()),
        state: LayerNormState {
            normal: tensor(normal, shape),
            inverse_deviation: tensor(inverse_deviation, Shape::new([count / width])),
        },
    }
}

/// The gradient of each input: with `n` the normed sum and `h = g γ`, `(h - mean(h) - n mean(h n)) / deviation`.
pub(super) fn backward(
    gradient: &FlexTensor,
    state: &LayerNormState,
    gamma: &FlexTensor,
) -> FlexTensor {
    let (gradient, gamma) = (Rows::of(gradient), Rows::of(gamma));
    let (normal, inverse_deviation) = (Rows::of(&state.normal), Rows::of(&state.inverse_deviation));
    let width = gradient.width;
    let chunk = ROWS_AT_ONCE * width;
    let mut output = vec![0.0; gradient.data().len()];
    output.par_chunks_mut(chunk).enumerate().for_each(|(index, output)| {
        let start = index * chunk;
        vectorised(
            #[inline(always)]
            || {
                for (row, output) in output.chunks_exact_mut(width).enumerate() {
                    let here = start + row * width;
                    let normal = &normal.data()[here..here + width];
                    let gradient = &gradient.data()[here..here + width];
                    for ((output, &g), &gamma) in output.iter_mut().zip(gradient).zip(gamma.data())
                    {
                        *output = g * gamma;
                    }
                    let mean = sum(output, |h| h) / width as f32;
                    let slope = sum_of_two(output, normal, |h, n| h * n) / width as f32;
                    let inverse = inverse_deviation.data()[here / width];
                    for (output, &n) in output.iter_mut().zip(normal) {
                        *output = (*output - mean - n * slope) * inverse;
                    }
                }
            },
        );
    });
    tensor(output, gradient.shape())
}

/// The gradients of γ and β: the sums of `g n` and of `g` over rows.
pub(super) fn backward_parameters(
    gradient: &FlexTensor,
    state: &LayerNormState,
) -> [FlexTensor; 2] {
    let (gradient, normal) = (Rows::of(gradient), Rows::of(&state.normal));
    let width = gradient.width;
    let rows = gradient.data().len() / width;
    let sums = column_sums(rows, [width, width], |rows, [gamma, beta]| {
        let here = rows.start * width..rows.end * width;
        let rows = gradient.data()[here.clone()].chunks_exact(width);
        for (gradient, normal) in rows.zip(normal.data()[here].chunks_exact(width)) {
            for (((gamma, beta), &g), &n) in
                gamma.iter_mut().zip(beta.iter_mut()).zip(gradient).zip(normal)
            {
                *gamma += g * n;
                *beta += g;
            }
        }
    });
    sums.map(|sums| tensor(sums, Shape::new([width])))
}
