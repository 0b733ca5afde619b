//! This crate's operations on Burn's CPU backend: kernels on slices, and how they hang in Burn's autodiff graph.
//!
//! A kernel reads and writes `f32` rows; rayon shares the rows out, and `pulp` compiles the loops for the widest
//! vectors the machine has. Sums over rows add up chunks of a fixed size in their order, so that results do not depend
//! on the number of threads.

#![expect(clippy::inline_always, reason = "a loop vectorises only where all it calls is inlined")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "settings in double precision meet numbers in single; hashes take the bits they take"
)]

mod activation;
mod adam;
mod attention;
mod autodiff;
mod dropout;
mod linear;
mod matrix;
mod norm;
mod simd;
mod tensor;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Bool, DType, Tensor};

use self::attention::Heads;
use self::dropout::Mask;
use crate::Activation;
use crate::adam::{AdamRates, AdamState};
use crate::attention::AttentionOptions;
use crate::dropout::active_rate;
use crate::norm::ResidualInputs;

/// The operations as Burn dispatches them.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait FusedOps: Backend {
    /// `x W + b`.
    fn fused_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// An activation of each element.
    fn fused_activation(x: FloatTensor<Self>, kind: Activation) -> FloatTensor<Self>;

    /// A mask times the tensor.
    fn fused_dropout(x: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self>;

    /// LayerNorm of a sum; a summand without elements is none.
    fn fused_layer_norm(
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        third: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    /// Attention over heads.
    fn fused_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        heads: Heads,
    ) -> FloatTensor<Self>;
}

/// What is done with gradients, and has none itself.
#[backend_extension(Flex)]
pub(crate) trait GradientOps: Backend {
    /// A mean after one more gradient.
    fn fused_mean(
        mean: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        beta: f64,
    ) -> FloatTensor<Self>;

    /// A mean of squares after one more gradient.
    fn fused_mean_of_squares(
        mean: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        beta: f64,
    ) -> FloatTensor<Self>;

    /// A parameter after a step by its moments.
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
        norm::forward([&first, &second, &third], &gamma, &beta, epsilon).output
    }

    fn fused_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        heads: Heads,
    ) -> FloatTensor<Self> {
        attention::forward(&query, &key, &value, &heads).context
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

/// Whether the kernels take a tensor: it lies on this backend and holds single-precision numbers.
pub(crate) fn supports<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && crate::is_fused(&x.device())
}

pub(crate) fn linear(x: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::fused_linear(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    ))
}

pub(crate) fn activation<const D: usize>(x: Tensor<D>, kind: Activation) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::fused_activation(x.into_dispatch(), kind))
}

pub(crate) fn dropout<const D: usize>(x: Tensor<D>, rate: f64) -> Tensor<D> {
    let mask = Mask::draw(rate, &x.device());
    Tensor::from_dispatch(Dispatch::fused_dropout(x.into_dispatch(), mask))
}

pub(crate) fn layer_norm(
    summands: ResidualInputs,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<3> {
    let nothing = Tensor::<3>::empty([0, 0, 0], &summands.first.device());
    let [second, third] = summands.more.map(|summand| summand.unwrap_or_else(|| nothing.clone()));
    Tensor::from_dispatch(Dispatch::fused_layer_norm(
        summands.first.into_dispatch(),
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
    let rate = active_rate(options.dropout, &query);
    let mask = rate.map(|rate| Mask::draw(rate, &query.device()));
    let heads = Heads::new(options.heads, attention_mask, mask);
    Tensor::from_dispatch(Dispatch::fused_attention(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
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
