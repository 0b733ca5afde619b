//! Activations and their derivatives, element by element.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::simd::{ELEMENTS_AT_ONCE, ROWS_AT_ONCE, normal, sigmoid, vectorised};
use super::tensor::{Rows, in_memory_order, tensor};
use crate::types::{Activation, CUBE, SQRT_2_OVER_PI};

/// An activation as a function of numbers.
trait Function {
    fn value(x: f32) -> f32;

    /// The gradient of `x`; `gradient` is that of the value.
    fn backward(gradient: f32, x: f32) -> f32;
}

struct Relu;
struct Gelu;
struct GeluNew;
struct Silu;
struct Tanh;

impl Function for Relu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        // Keeps NaN, which is not below 0.
        if x < 0.0 { 0.0 } else { x }
    }

    #[inline(always)]
    fn backward(gradient: f32, x: f32) -> f32 {
        // A factor of 0 would turn an infinite gradient into NaN.
        if x <= 0.0 { 0.0 } else { gradient }
    }
}

impl Function for Gelu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x * normal(x).0
    }

    #[inline(always)]
    fn backward(gradient: f32, x: f32) -> f32 {
        let (distribution, density) = normal(x);
        gradient * x.mul_add(density, distribution)
    }
}

impl Function for GeluNew {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x * sigmoid(gelu_new_slope(x).0)
    }

    #[inline(always)]
    fn backward(gradient: f32, x: f32) -> f32 {
        let (argument, derivative) = gelu_new_slope(x);
        let sigma = sigmoid(argument);
        gradient * (x * sigma * (1.0 - sigma)).mul_add(derivative, sigma)
    }
}

impl Function for Silu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x * sigmoid(x)
    }

    #[inline(always)]
    fn backward(gradient: f32, x: f32) -> f32 {
        let sigma = sigmoid(x);
        gradient * (x * sigma).mul_add(1.0 - sigma, sigma)
    }
}

impl Function for Tanh {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x.tanh()
    }

    #[inline(always)]
    fn backward(gradient: f32, x: f32) -> f32 {
        let y = x.tanh();
        gradient * y.mul_add(-y, 1.0)
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

/// Calls a function with the type of an activation.
macro_rules! for_kind {
    ($kind:expr, $function:ident($($argument:expr),*)) => {
        match $kind {
            Activation::Relu => $function::<Relu>($($argument),*),
            Activation::Gelu => $function::<Gelu>($($argument),*),
            Activation::GeluNew => $function::<GeluNew>($($argument),*),
            Activation::Silu => $function::<Silu>($($argument),*),
            Activation::Tanh => $function::<Tanh>($($argument),*),
        }
    };
}

pub(super) fn forward(x: &FlexTensor, kind: Activation) -> FlexTensor {
    for_kind!(kind, forward_of(x))
}

/// The gradient of `x`; `gradient` is that of the output.
pub(super) fn backward(gradient: FlexTensor, x: &FlexTensor, kind: Activation) -> FlexTensor {
    for_kind!(kind, backward_of(gradient, x))
}

/// The activation of the first half of each row, times its second half.
pub(super) fn gated_forward(x: &FlexTensor, kind: Activation) -> FlexTensor {
    for_kind!(kind, gated_forward_of(x))
}

/// The gradient of `x`; `gradient` is that of the output.
pub(super) fn gated_backward(
    gradient: &FlexTensor,
    x: &FlexTensor,
    kind: Activation,
) -> FlexTensor {
    for_kind!(kind, gated_backward_of(gradient, x))
}

fn forward_of<F: Function>(x: &FlexTensor) -> FlexTensor {
    let x = Rows::of(x);
    let mut output = vec![0.0; x.data().len()];
    output.par_chunks_mut(ELEMENTS_AT_ONCE).zip(x.data().par_chunks(ELEMENTS_AT_ONCE)).for_each(
        |(output, x)| {
            vectorised(
                #[inline(always)]
                || {
                    for (output, &x) in output.iter_mut().zip(x) {
                        *output = F::value(x);
                    }
                },
            );
        },
    );
    tensor(output, x.shape())
}

/// In place if the gradient's memory is not shared.
fn backward_of<F: Function>(gradient: FlexTensor, x: &FlexTensor) -> FlexTensor {
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
                        *gradient = F::backward(*gradient, x);
                    }
                },
            );
        });
    gradient
}

fn gated_forward_of<F: Function>(x: &FlexTensor) -> FlexTensor {
    let x = Rows::of(x);
    let width = x.width / 2;
    let mut output = vec![0.0; x.data().len() / 2];
    output
        .par_chunks_mut(ROWS_AT_ONCE * width)
        .zip(x.data().par_chunks(ROWS_AT_ONCE * x.width))
        .for_each(|(output, x)| {
            vectorised(
                #[inline(always)]
                || {
                    for (output, x) in output.chunks_exact_mut(width).zip(x.chunks_exact(2 * width))
                    {
                        let (first, second) = x.split_at(width);
                        for ((output, &first), &second) in output.iter_mut().zip(first).zip(second)
                        {
                            *output = F::value(first) * second;
                        }
                    }
                },
            );
        });
    let mut shape = x.shape();
    *shape.last_mut().expect("three axes") = width;
    tensor(output, shape)
}

fn gated_backward_of<F: Function>(gradient: &FlexTensor, x: &FlexTensor) -> FlexTensor {
    let (gradient, x) = (Rows::of(gradient), Rows::of(x));
    let width = gradient.width;
    let mut output = vec![0.0; x.data().len()];
    output
        .par_chunks_mut(ROWS_AT_ONCE * x.width)
        .zip(x.data().par_chunks(ROWS_AT_ONCE * x.width))
        .zip(gradient.data().par_chunks(ROWS_AT_ONCE * width))
        .for_each(|((output, x), gradient)| {
            vectorised(
                #[inline(always)]
                || {
                    let rows = output.chunks_exact_mut(2 * width).zip(x.chunks_exact(2 * width));
                    for ((output, x), gradient) in rows.zip(gradient.chunks_exact(width)) {
                        let (of_first, of_second) = output.split_at_mut(width);
                        let (first, second) = x.split_at(width);
                        let x = first.iter().zip(second).zip(gradient);
                        for ((of_first, of_second), ((&first, &second), &gradient)) in
                            of_first.iter_mut().zip(of_second).zip(x)
                        {
                            *of_first = F::backward(gradient * second, first);
                            *of_second = gradient * F::value(first);
                        }
                    }
                },
            );
        });
    tensor(output, x.shape())
}
