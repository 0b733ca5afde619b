//! Activations and their derivatives, element by element.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::simd::{ELEMENTS_AT_ONCE, normal, sigmoid, vectorised};
use super::tensor::{Rows, in_memory_order, tensor};
use crate::types::{Activation, CUBE, SQRT_2_OVER_PI};

pub(super) fn forward(x: &FlexTensor, kind: Activation) -> FlexTensor {
    match kind {
        // Keeps NaN, which is not below 0.
        Activation::Relu => map(x, |x| if x < 0.0 { 0.0 } else { x }),
        Activation::Gelu => map(x, |x| x * normal(x).0),
        Activation::GeluNew => map(x, |x| x * sigmoid(gelu_new_slope(x).0)),
        Activation::Silu => map(x, |x| x * sigmoid(x)),
        Activation::Tanh => map(x, f32::tanh),
    }
}

/// The gradient of `x`; `gradient` is that of the output.
pub(super) fn backward(gradient: FlexTensor, x: &FlexTensor, kind: Activation) -> FlexTensor {
    match kind {
        // A factor of 0 would turn an infinite gradient into NaN.
        Activation::Relu => {
            combine(gradient, x, |gradient, x| if x <= 0.0 { 0.0 } else { gradient })
        }
        Activation::Gelu => scale(gradient, x, |x| {
            let (distribution, density) = normal(x);
            x.mul_add(density, distribution)
        }),
        Activation::GeluNew => scale(gradient, x, |x| {
            let (argument, derivative) = gelu_new_slope(x);
            let sigma = sigmoid(argument);
            (x * sigma * (1.0 - sigma)).mul_add(derivative, sigma)
        }),
        Activation::Silu => scale(gradient, x, |x| {
            let sigma = sigmoid(x);
            (x * sigma).mul_add(1.0 - sigma, sigma)
        }),
        Activation::Tanh => scale(gradient, x, |x| {
            let y = x.tanh();
            y.mul_add(-y, 1.0)
        }),
    }
}

/// `2u` and its derivative, for the tanh approximation of GELU as `x σ(2u)`.
#[inline(always)]
fn gelu_new_slope(x: f32) -> (f32, f32) {
    const LINEAR: f32 = (2.0 * SQRT_2_OVER_PI) as f32;
    const CUBIC: f32 = (2.0 * SQRT_2_OVER_PI * CUBE) as f32;
    let square = x * x;
    (x * square.mul_add(CUBIC, LINEAR), square.mul_add(3.0 * CUBIC, LINEAR))
}

/// `f` of each element.
fn map(x: &FlexTensor, f: impl Fn(f32) -> f32 + Sync) -> FlexTensor {
    let x = Rows::of(x);
    let mut output = vec![0.0; x.data().len()];
    output.par_chunks_mut(ELEMENTS_AT_ONCE).zip(x.data().par_chunks(ELEMENTS_AT_ONCE)).for_each(
        |(output, x)| {
            vectorised(
                #[inline(always)]
                || {
                    for (output, &x) in output.iter_mut().zip(x) {
                        *output = f(x);
                    }
                },
            );
        },
    );
    tensor(output, x.shape())
}

/// `f(x)` times the gradient.
fn scale(gradient: FlexTensor, x: &FlexTensor, f: impl Fn(f32) -> f32 + Sync) -> FlexTensor {
    combine(
        gradient,
        x,
        #[inline(always)]
        |gradient, x| gradient * f(x),
    )
}

/// `f` of the gradient and `x`, in place if the gradient's memory is not shared.
fn combine(gradient: FlexTensor, x: &FlexTensor, f: impl Fn(f32, f32) -> f32 + Sync) -> FlexTensor {
    let x = Rows::of(x);
    let mut gradient = in_memory_order(gradient);
    gradient
        .storage_mut::<f32>()
        .par_chunks_mut(ELEMENTS_AT_ONCE)
        .zip(x.data().par_chunks(ELEMENTS_AT_ONCE))
        .for_each(|(gradient, x)| {
            vectorised(
                #[inline(always)]
                || {
                    for (gradient, &x) in gradient.iter_mut().zip(x) {
                        *gradient = f(*gradient, x);
                    }
                },
            );
        });
    gradient
}
