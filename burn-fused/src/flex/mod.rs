//! The operations on Burn's CPU backend: kernels on slices, and their nodes in Burn's autodiff graph.
//!
//! A kernel reads and writes rows of `f32`. rayon distributes the rows over threads, and `pulp` compiles the loops for
//! the widest vectors of the machine. Sums over rows add chunks of a fixed size in a fixed order, so that results do not
//! depend on the number of threads.

#![expect(clippy::inline_always, reason = "a loop vectorises only where all it calls is inlined")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "options in f64 become f32 in a kernel; hashes keep the low bits"
)]

mod activation;
mod adam;
mod attention;
mod autodiff;
mod dropout;
mod linear;
mod matrix;
mod norm;
mod rotary;
mod simd;
mod tensor;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchDevice, Flex, backend_extension};
use burn::nn::Dropout;
use burn::tensor::{Bool, DType, Device, Tensor};

use self::attention::{Heads, Operands};
use self::dropout::Mask;
use self::rotary::Turn;
use crate::attention_options::AttentionOptions;
use crate::rotary::Rotary;
use crate::types::{Activation, AdamRates, AdamState, ResidualInputs};

/// The operations as Burn dispatches them.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait FusedOps: Backend {
    /// `x W + b`; a bias without elements is left out.
    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// An activation of each element.
    fn fused_activation(x: FloatTensor<Self>, kind: Activation) -> FloatTensor<Self>;

    /// An activation of the first half of each row, times its second half.
    fn fused_gated_activation(x: FloatTensor<Self>, kind: Activation) -> FloatTensor<Self>;

    /// Rotary position embeddings.
    fn fused_rotary(x: FloatTensor<Self>, rotary: Rotary) -> FloatTensor<Self>;

    /// The tensor times a dropout mask.
    fn fused_dropout(x: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self>;

    /// LayerNorm of a sum; an input or β without elements is left out.
    fn fused_layer_norm(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        third: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    /// Attention over heads; a bias or a table of distances without elements is left out.
    fn fused_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        relative_key: FloatTensor<Self>,
        relative_query: FloatTensor<Self>,
        heads: Heads,
    ) -> FloatTensor<Self>;
}

/// Operations on gradients, which are not differentiated themselves.
#[backend_extension(Flex)]
pub(crate) trait GradientOps: Backend {
    /// The running mean of gradients, with one more gradient.
    fn fused_mean(
        mean: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        beta: f64,
    ) -> FloatTensor<Self>;

    /// The running mean of squared gradients, with one more gradient.
    fn fused_mean_of_squares(
        mean: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        beta: f64,
    ) -> FloatTensor<Self>;

    /// The parameter after a step.
    fn fused_update(
        parameter: FloatTensor<Self>,
        moment_1: FloatTensor<Self>,
        moment_2: FloatTensor<Self>,
        rates: AdamRates,
    ) -> FloatTensor<Self>;

    /// The sum of the squares of all elements.
    fn fused_sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl FusedOps for Flex {
    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        linear::forward(&x, &weight, &bias)
    }

    fn fused_activation(x: FloatTensor<Self>, kind: Activation) -> FloatTensor<Self> {
        activation::forward(&x, kind)
    }

    fn fused_gated_activation(x: FloatTensor<Self>, kind: Activation) -> FloatTensor<Self> {
        activation::gated_forward(&x, kind)
    }

    fn fused_rotary(x: FloatTensor<Self>, rotary: Rotary) -> FloatTensor<Self> {
        rotary::rotate(x, &rotary, Turn::Forward)
    }

    fn fused_dropout(x: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self> {
        dropout::apply(x, mask)
    }

    fn fused_layer_norm(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        third: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        norm::forward([&first, &second, &third], &gamma, &beta, epsilon).normed
    }

    fn fused_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        relative_key: FloatTensor<Self>,
        relative_query: FloatTensor<Self>,
        heads: Heads,
    ) -> FloatTensor<Self> {
        let operands = Operands { query, key, value, bias, relative_key, relative_query };
        attention::forward(&operands, &heads).context
    }
}

impl GradientOps for Flex {
    fn fused_mean(
        mean: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        beta: f64,
    ) -> FloatTensor<Self> {
        adam::mean(mean, &gradient, beta)
    }

    fn fused_mean_of_squares(
        mean: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        beta: f64,
    ) -> FloatTensor<Self> {
        adam::mean_of_squares(mean, &gradient, beta)
    }

    fn fused_update(
        parameter: FloatTensor<Self>,
        moment_1: FloatTensor<Self>,
        moment_2: FloatTensor<Self>,
        rates: AdamRates,
    ) -> FloatTensor<Self> {
        adam::update(parameter, [&moment_1, &moment_2], rates)
    }

    fn fused_sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self> {
        adam::sum_of_squares(&x)
    }
}

/// Whether the kernels support a tensor: it is on this backend, in single precision.
pub(crate) fn supports<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && is_flex(&x.device())
}

fn is_flex(device: &Device) -> bool {
    let device = device.as_dispatch();
    if let DispatchDevice::Autodiff(autodiff) = device {
        return matches!(autodiff.clone().inner(), DispatchDevice::Flex(_));
    }
    matches!(device, DispatchDevice::Flex(_))
}

/// A fresh mask for a dropout layer, if it drops elements of `x`.
fn mask_for<const D: usize>(layer: &Dropout, x: &Tensor<D>) -> Option<Mask> {
    let active = layer.training.is_enabled() && x.device().is_autodiff() && layer.prob > 0.0;
    active.then(|| Mask::draw(layer.prob, &x.device()))
}

/// A tensor without elements, for an operand that an operation does not have.
fn absent<const D: usize>(device: &Device) -> Tensor<D> {
    Tensor::empty([0; D], device)
}

pub(crate) fn linear(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3> {
    let bias = bias.unwrap_or_else(|| absent(&x.device()));
    Tensor::from_dispatch(Dispatch::fused_linear(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    ))
}

pub(crate) fn activation<const D: usize>(x: Tensor<D>, kind: Activation) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::fused_activation(x.into_dispatch(), kind))
}

pub(crate) fn gated_activation(x: Tensor<3>, kind: Activation) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::fused_gated_activation(x.into_dispatch(), kind))
}

pub(crate) fn rotate(x: Tensor<3>, rotary: Rotary) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::fused_rotary(x.into_dispatch(), rotary))
}

pub(crate) fn dropout<const D: usize>(x: Tensor<D>, layer: &Dropout) -> Tensor<D> {
    match mask_for(layer, &x) {
        Some(mask) => Tensor::from_dispatch(Dispatch::fused_dropout(x.into_dispatch(), mask)),
        None => x,
    }
}

pub(crate) fn layer_norm(
    inputs: ResidualInputs,
    gamma: Tensor<1>,
    beta: Option<Tensor<1>>,
    epsilon: f64,
) -> Tensor<3> {
    let device = inputs.first.device();
    let [second, third] = inputs.more.map(|input| input.unwrap_or_else(|| absent(&device)));
    let beta = beta.unwrap_or_else(|| absent(&device));
    Tensor::from_dispatch(Dispatch::fused_layer_norm(
        inputs.first.into_dispatch(),
        second.into_dispatch(),
        third.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        epsilon,
    ))
}

pub(crate) fn attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    attention_mask: &Tensor<2, Bool>,
    options: AttentionOptions<'_>,
) -> Tensor<3> {
    let device = query.device();
    let mask = mask_for(options.dropout, &query);
    let heads = Heads::new(query.dims(), attention_mask, &options, mask);
    let bias = options.bias.cloned().unwrap_or_else(|| absent(&device));
    let [relative_key, relative_query] = match options.relative {
        Some(terms) => [terms.key.clone(), terms.query.clone()],
        None => [None, None],
    }
    .map(|table| table.unwrap_or_else(|| absent(&device)));
    Tensor::from_dispatch(Dispatch::fused_attention(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        bias.into_dispatch(),
        relative_key.into_dispatch(),
        relative_query.into_dispatch(),
        heads,
    ))
}

pub(crate) fn bert_adam<const D: usize>(
    before: AdamState<D>,
    gradient: Tensor<D>,
    rates: AdamRates,
) -> AdamState<D> {
    let gradient = gradient.into_dispatch();
    let moment_1 =
        Dispatch::fused_mean(before.moment_1.into_dispatch(), gradient.clone(), rates.beta_1);
    let moment_2 =
        Dispatch::fused_mean_of_squares(before.moment_2.into_dispatch(), gradient, rates.beta_2);
    let parameter = Dispatch::fused_update(
        before.parameter.into_dispatch(),
        moment_1.clone(),
        moment_2.clone(),
        rates,
    );
    AdamState {
        parameter: Tensor::from_dispatch(parameter),
        moment_1: Tensor::from_dispatch(moment_1),
        moment_2: Tensor::from_dispatch(moment_2),
    }
}

pub(crate) fn sum_of_squares<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::fused_sum_of_squares(x.into_dispatch()))
}
