//! `x W + b` or `x W`, and its gradients.

use burn::tensor::Shape;
use burn_flex::FlexTensor;

use super::matrix::{Matrix, MatrixMut, Threads, multiply, product};
use super::simd::column_sums;
use super::tensor::{Rows, last_axis, tensor};

pub(super) fn forward(x: &FlexTensor, weight: &FlexTensor, bias: &FlexTensor) -> FlexTensor {
    let (x, weight, bias) = (Rows::of(x), Rows::of(weight), Rows::of(bias));
    let (d_input, d_output) = (x.width, weight.width);
    let rows = x.data().len() / d_input;
    let mut shape = x.shape();
    *shape.last_mut().expect("three axes") = d_output;
    let (x, weight) =
        (Matrix::new(x.data(), rows, d_input), Matrix::new(weight.data(), d_input, d_output));

    if bias.data().is_empty() {
        return tensor(product(x, weight, Threads::All), shape);
    }
    // The product is added to the bias.
    let mut output = Vec::with_capacity(rows * d_output);
    for _ in 0..rows {
        output.extend_from_slice(bias.data());
    }
    let out = MatrixMut::new(&mut output, rows, d_output);
    multiply(out, true, 1.0, x, weight, Threads::All);
    tensor(output, shape)
}

/// The gradient of `x`: `g Wᵗ`.
pub(super) fn backward_x(gradient: &FlexTensor, weight: &FlexTensor, x_shape: Shape) -> FlexTensor {
    let (gradient, weight) = (Rows::of(gradient), Rows::of(weight));
    let (d_input, d_output) = (last_axis(&x_shape), gradient.width);
    let rows = gradient.data().len() / d_output;
    let output = product(
        Matrix::new(gradient.data(), rows, d_output),
        Matrix::new(weight.data(), d_input, d_output).transposed(),
        Threads::All,
    );
    tensor(output, x_shape)
}

/// The gradient of `W`: `xᵗ g`.
pub(super) fn backward_weight(x: &FlexTensor, gradient: &FlexTensor) -> FlexTensor {
    let (x, gradient) = (Rows::of(x), Rows::of(gradient));
    let (d_input, d_output) = (x.width, gradient.width);
    let rows = x.data().len() / d_input;
    let output = product(
        Matrix::new(x.data(), rows, d_input).transposed(),
        Matrix::new(gradient.data(), rows, d_output),
        Threads::All,
    );
    tensor(output, Shape::new([d_input, d_output]))
}

/// The gradient of `b`: the sum over rows.
pub(super) fn backward_bias(gradient: &FlexTensor) -> FlexTensor {
    let gradient = Rows::of(gradient);
    let width = gradient.width;
    let sums = column_sums(gradient.data().len() / width, [width], |rows, [sums]| {
        for row in gradient.data()[rows.start * width..rows.end * width].chunks_exact(width) {
            for (sum, &g) in sums.iter_mut().zip(row) {
                *sum += g;
            }
        }
    });
    let [sums] = sums;
    tensor(sums, Shape::new([width]))
}
