//! Each operation in single precision, which runs the kernels, compared with double precision, which runs plain Burn:
//! values and every gradient.

mod attention_options;

use burn::module::Param;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Bool, DType, Device, Distribution, Tensor, TensorData};
use burn_fused::{
    Activation, AdamRates, AdamState, AttentionOptions, LayerNorm, Rotary, activation, attention,
    bert_adam, dropout, gated_activation, linear, sum_of_squares,
};
use proptest::prelude::*;

/// Pseudo-random numbers around 0 in double precision.
fn numbers<const D: usize>(shape: [usize; D], seed: u64) -> TensorData {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let values = (0..shape.iter().product()).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64 * 4.0 - 2.0
    });
    TensorData::new(values.collect::<Vec<f64>>(), shape)
}

/// A tensor of those numbers that requires a gradient.
fn leaf<const D: usize>(shape: [usize; D], seed: u64, dtype: DType) -> Tensor<D> {
    let device = Device::flex().autodiff();
    Tensor::from_data(numbers(shape, seed), (&device, dtype)).require_grad()
}

/// The output and the gradients of a weighted sum of it.
struct Outcome {
    what: Vec<(&'static str, Vec<f64>)>,
}

impl Outcome {
    fn new<const D: usize>(output: &Tensor<D>) -> (Self, burn::tensor::Gradients) {
        let shape: [usize; D] = output.dims();
        let weights =
            Tensor::<D>::from_data(numbers(shape, 99), (&output.device(), output.dtype()));
        let gradients = (output.clone() * weights).sum().backward();
        (Self { what: vec![("output", values(&output.clone().inner()))] }, gradients)
    }

    fn with<const D: usize>(
        mut self,
        name: &'static str,
        leaf: &Tensor<D>,
        gradients: &burn::tensor::Gradients,
    ) -> Self {
        self.what.push((name, values(&leaf.grad(gradients).expect("a leaf has a gradient"))));
        self
    }
}

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

/// The largest difference, relative to the largest value, or to 1 if a sum cancels.
fn assert_close(single: &Outcome, double: &Outcome, tolerance: f64) {
    for ((name, found), (_, expected)) in single.what.iter().zip(&double.what) {
        assert_eq!(found.len(), expected.len(), "{name}");
        let finite = expected.iter().filter(|x| x.is_finite());
        let unit = finite.fold(1.0_f64, |most, x| most.max(x.abs()));
        for (found, expected) in found.iter().zip(expected) {
            let alike = found.is_nan() && expected.is_nan()
                || found.total_cmp(expected).is_eq()
                || (found - expected).abs() <= tolerance * unit;
            assert!(
                alike,
                "{name}: {found}, plain Burn in double precision has {expected} (largest: {unit})"
            );
        }
    }
}

fn both(run: impl Fn(DType) -> Outcome) {
    assert_close(&run(DType::F32), &run(DType::F64), 2e-6);
}

fn linear_outcome(shape: [usize; 3], d_output: usize, has_bias: bool, dtype: DType) -> Outcome {
    let [_, _, d_input] = shape;
    let x = leaf(shape, 1, dtype);
    let weight = leaf([d_input, d_output], 2, dtype);
    let bias = leaf([d_output], 3, dtype);
    let layer = Linear {
        weight: Param::from_tensor(weight.clone()),
        bias: has_bias.then(|| Param::from_tensor(bias)),
    };
    let (outcome, gradients) = Outcome::new(&linear(x.clone(), &layer));
    let outcome = outcome.with("x", &x, &gradients).with("weight", &layer.weight.val(), &gradients);
    match &layer.bias {
        Some(bias) => outcome.with("bias", &bias.val(), &gradients),
        None => outcome,
    }
}

fn norm_outcome(shape: [usize; 3], inputs: usize, has_beta: bool, dtype: DType) -> Outcome {
    let [_, _, d_model] = shape;
    let norm = LayerNorm {
        gamma: Param::from_tensor(leaf([d_model], 4, dtype)),
        beta: has_beta.then(|| Param::from_tensor(leaf([d_model], 5, dtype))),
        epsilon: 1e-12,
    };
    let [a, b, c] = [6, 7, 8].map(|seed| leaf(shape, seed, dtype));
    let output = match inputs {
        1 => norm.forward(a.clone()),
        2 => norm.forward([a.clone(), b.clone()]),
        _ => norm.forward([a.clone(), b.clone(), c.clone()]),
    };
    let (outcome, gradients) = Outcome::new(&output);
    let outcome = outcome.with("gamma", &norm.gamma.val(), &gradients);
    let outcome = match &norm.beta {
        Some(beta) => outcome.with("beta", &beta.val(), &gradients),
        None => outcome,
    };
    [("first", &a), ("second", &b), ("third", &c)]
        .into_iter()
        .take(inputs)
        .fold(outcome, |outcome, (name, leaf)| outcome.with(name, leaf, &gradients))
}

fn rate(rate: f64) -> Dropout {
    DropoutConfig::new(rate).init()
}

/// Texts of different lengths; the last position but one of text 0 is masked too.
fn mask(batch: usize, sequence: usize) -> Tensor<2, Bool> {
    let tokens: Vec<bool> = (0..batch * sequence)
        .map(|i| {
            let (text, position) = (i / sequence, i % sequence);
            position < sequence.saturating_sub(text).max(1)
                && (text != 0 || position + 2 != sequence)
        })
        .collect();
    Tensor::from_data(TensorData::new(tokens, [batch, sequence]), &Device::flex().autodiff())
}

fn attention_outcome(shape: [usize; 3], prefix: usize, heads: usize, dtype: DType) -> Outcome {
    let [batch, sequence, d_model] = shape;
    let keys = [batch, prefix + sequence, d_model];
    let inputs = [numbers(shape, 9), numbers(keys, 10), numbers(keys, 11)];
    attention_outcome_of(inputs, &mask(batch, prefix + sequence), heads, dtype)
}

/// Of query, key and value.
fn attention_outcome_of(
    inputs: [TensorData; 3],
    mask: &Tensor<2, Bool>,
    heads: usize,
    dtype: DType,
) -> Outcome {
    let device = Device::flex().autodiff();
    let [query, key, value] =
        inputs.map(|data| Tensor::<3>::from_data(data, (&device, dtype)).require_grad());
    let layer = rate(0.0);
    let options = AttentionOptions::new(heads, &layer);
    let output = attention(query.clone(), key.clone(), value.clone(), mask, options);
    let (outcome, gradients) = Outcome::new(&output);
    outcome
        .with("query", &query, &gradients)
        .with("key", &key, &gradients)
        .with("value", &value, &gradients)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn linear_is_plain_burns(batch in 1..5_usize, sequence in 1..40_usize, d_input in 1..33_usize, d_output in 1..33_usize, has_bias: bool) {
        both(|dtype| linear_outcome([batch, sequence, d_input], d_output, has_bias, dtype));
    }

    #[test]
    fn layer_norm_is_plain_burns(batch in 1..5_usize, sequence in 1..40_usize, d_model in 8..70_usize, inputs in 1..4_usize, has_beta: bool) {
        both(|dtype| norm_outcome([batch, sequence, d_model], inputs, has_beta, dtype));
    }

    #[test]
    fn rotary_embeddings_are_plain_burns(batch in 1..4_usize, positions in 1..90_usize, heads in 1..4_usize, half in 1..20_usize) {
        let rotary = Rotary::new(positions, 2 * half, 100.0);
        both(|dtype| {
            let x = leaf([batch, positions, heads * 2 * half], 16, dtype);
            let (outcome, gradients) = Outcome::new(&rotary.turn(x.clone()));
            outcome.with("x", &x, &gradients)
        });
    }

    #[test]
    fn attention_is_plain_burns(batch in 1..5_usize, sequence in 1..40_usize, heads in 1..4_usize, d_head in 1..20_usize) {
        both(|dtype| attention_outcome([batch, sequence, heads * d_head], 0, heads, dtype));
    }

    #[test]
    fn attention_to_more_keys_is_plain_burns(batch in 1..5_usize, sequence in 1..20_usize, prefix in 1..9_usize, heads in 1..4_usize) {
        both(|dtype| attention_outcome([batch, sequence, heads * 5], prefix, heads, dtype));
    }
}

#[test]
fn activations_are_plain_burns() {
    use Activation::{Gelu, GeluNew, Relu, Silu, Tanh};
    for kind in [Relu, Gelu, GeluNew, Silu, Tanh] {
        both(|dtype| {
            let x = leaf([3, 5, 1031], 12, dtype) * 3.0;
            let x = Tensor::<3>::from_inner(x.inner()).require_grad();
            let (outcome, gradients) = Outcome::new(&activation(x.clone(), kind));
            outcome.with("x", &x, &gradients)
        });
    }
}

#[test]
fn gated_activations_are_plain_burns() {
    use Activation::{Gelu, GeluNew, Relu, Silu, Tanh};
    for kind in [Relu, Gelu, GeluNew, Silu, Tanh] {
        for shape in [[3, 5, 2 * 131], [1, 1, 2], [2, 70, 6]] {
            both(|dtype| {
                let x = leaf(shape, 12, dtype);
                let (outcome, gradients) = Outcome::new(&gated_activation(x.clone(), kind));
                outcome.with("x", &x, &gradients)
            });
        }
    }
}

/// An infinity times a derivative is an infinity in the kernel; plain Burn sums the terms of some derivatives, and
/// has NaN where infinities of both signs meet.
#[test]
fn gated_activations_propagate_nan_and_infinities() {
    use Activation::{Gelu, GeluNew, Relu, Silu, Tanh};
    let device = Device::flex().autodiff();
    let shape = [1, 1, 2 * 19];
    let outcome = |kind, special, place, dtype| {
        let data = with_special(shape, 12, place, special);
        let x = Tensor::<3>::from_data(data, (&device, dtype)).require_grad();
        let (outcome, gradients) = Outcome::new(&gated_activation(x.clone(), kind));
        outcome.with("x", &x, &gradients)
    };
    for kind in [Relu, Gelu, GeluNew, Silu, Tanh] {
        for special in SPECIAL {
            for place in 0..shape[2] {
                let [single, double] =
                    [DType::F32, DType::F64].map(|dtype| outcome(kind, special, place, dtype));
                if special.is_nan() {
                    assert_close(&single, &double, 2e-6);
                }
                for ((name, found), (_, expected)) in single.what.iter().zip(&double.what) {
                    let finite = |values: &[f64]| -> Vec<bool> {
                        values.iter().map(|value| value.is_finite()).collect()
                    };
                    assert_eq!(
                        finite(found),
                        finite(expected),
                        "{kind:?}: {name}, {special} at {place}"
                    );
                }
            }
        }
    }
}

/// Values that are not finite; the kernels propagate them as plain Burn does.
const SPECIAL: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

/// The same numbers with one of them replaced.
fn with_special<const D: usize>(
    shape: [usize; D],
    seed: u64,
    place: usize,
    special: f64,
) -> TensorData {
    let mut values: Vec<f64> = numbers(shape, seed).iter().collect();
    values[place] = special;
    TensorData::new(values, shape)
}

#[test]
fn activations_propagate_nan_and_infinities_at_every_index() {
    use Activation::{Gelu, GeluNew, Relu, Silu, Tanh};
    // Longer than the widest vectors and not a multiple of them, so that every lane and every tail index is reached.
    const LENGTH: usize = 37;
    let device = Device::flex().autodiff();
    for kind in [Relu, Gelu, GeluNew, Silu, Tanh] {
        for special in SPECIAL {
            for place in 0..LENGTH {
                both(|dtype| {
                    let data = with_special([LENGTH], 12, place, special);
                    let x = Tensor::<1>::from_data(data, (&device, dtype)).require_grad();
                    let (outcome, gradients) = Outcome::new(&activation(x.clone(), kind));
                    outcome.with("x", &x, &gradients)
                });
            }
        }
    }
}

#[test]
fn relu_drops_infinite_gradients_as_plain_burn_does() {
    both(|dtype| {
        let device = Device::flex().autodiff();
        let x = leaf([5], 12, dtype);
        let weights = Tensor::<1>::from_data([f64::INFINITY; 5], (&device, dtype));
        let output = activation(x.clone(), Activation::Relu);
        let gradients = (output * weights).sum().backward();
        Outcome { what: Vec::new() }.with("x", &x, &gradients)
    });
}

#[test]
fn attention_propagates_nan_and_infinities_in_tokens_and_in_padding() {
    // The last text has padding; the first has a masked token inside.
    let shape = [2, 5, 6];
    for input in 0..3 {
        for special in SPECIAL {
            for place in 0..shape.iter().product() {
                both(|dtype| {
                    let mut inputs = [9, 10, 11].map(|seed| numbers(shape, seed));
                    inputs[input] = with_special(shape, 9 + input as u64, place, special);
                    attention_outcome_of(inputs, &mask(2, 5), 2, dtype)
                });
            }
        }
    }
}

#[test]
fn layer_norm_propagates_nan_and_infinities() {
    let (shape, d_model) = ([1, 2, 19], 19);
    let device = Device::flex().autodiff();
    for special in SPECIAL {
        for place in 0..2 * d_model {
            both(|dtype| {
                let data = with_special(shape, 6, place, special);
                let x = Tensor::<3>::from_data(data, (&device, dtype)).require_grad();
                let norm = LayerNorm {
                    gamma: Param::from_tensor(leaf([d_model], 4, dtype)),
                    beta: Some(Param::from_tensor(leaf([d_model], 5, dtype))),
                    epsilon: 1e-12,
                };
                let (outcome, gradients) = Outcome::new(&norm.forward(x.clone()));
                outcome.with("x", &x, &gradients)
            });
        }
    }
}

#[test]
fn views_give_the_same_values_as_copies() {
    both(|dtype| {
        let x = leaf([4, 6, 10], 13, dtype);
        let view = x.clone().swap_dims(0, 1).narrow(2, 3, 6); // [6, 4, 6]
        let norm = LayerNorm {
            gamma: Param::from_tensor(leaf([6], 14, dtype)),
            beta: Some(Param::from_tensor(leaf([6], 15, dtype))),
            epsilon: 1e-12,
        };
        let output = norm.forward([activation(view.clone(), Activation::Gelu), view]);
        let (outcome, gradients) = Outcome::new(&output);
        outcome.with("x", &x, &gradients)
    });
}

#[test]
fn without_autodiff_more_keys_than_queries_are_the_same_too() {
    let device = Device::flex();
    let ([query, keys], layer) = ([[2, 5, 6], [2, 8, 6]], rate(0.0));
    let options = AttentionOptions::new(2, &layer);
    let mask = mask(2, 8).inner();
    let run = |dtype| {
        let tensor = |shape, seed| Tensor::<3>::from_data(numbers(shape, seed), (&device, dtype));
        values(&attention(tensor(query, 9), tensor(keys, 10), tensor(keys, 11), &mask, options))
    };
    for (single, double) in run(DType::F32).into_iter().zip(run(DType::F64)) {
        assert!((single - double).abs() < 1e-5, "{single} {double}");
    }
}

#[test]
fn a_text_without_tokens_attends_to_all_positions_equally() {
    let device = Device::flex();
    let value = Tensor::<3>::from_data([[[1.0, 10.0], [3.0, 30.0]]], &device);
    let zeros = Tensor::<3>::zeros([1, 2, 2], &device);
    let nothing = Tensor::<2, Bool>::from_data([[false, false]], &device);
    let layer = rate(0.0);
    let options = AttentionOptions::new(1, &layer);
    let context = attention(zeros.clone(), zeros, value, &nothing, options);
    assert_eq!(values(&context), [2.0, 20.0, 2.0, 20.0]);
}

#[test]
fn a_text_without_tokens_has_plain_burns_gradients() {
    let tokens = [[true, true, false], [false, false, false]];
    let mask = Tensor::<2, Bool>::from_data(tokens, &Device::flex().autodiff());
    both(|dtype| {
        attention_outcome_of([9, 10, 11].map(|seed| numbers([2, 3, 6], seed)), &mask, 2, dtype)
    });
}

#[test]
fn without_autodiff_nothing_is_dropped() {
    let x = Tensor::<2>::ones([20, 20], &Device::flex());
    assert_eq!(values(&dropout(x, &rate(0.5))), vec![1.0; 400]);
}

#[test]
fn dropout_scales_and_uses_the_same_mask_for_gradients() {
    let device = Device::flex().autodiff();
    let x = Tensor::<2>::ones([300, 300], &device).require_grad();
    let y = dropout(x.clone(), &rate(0.25));
    let found = values(&y.clone().inner());
    let kept = found.iter().filter(|y| **y > 0.0).count() as f64 / found.len() as f64;
    assert!((kept - 0.75).abs() < 0.01, "{kept}");
    assert!(found.iter().all(|y| *y <= 0.0 || (y - 1.0 / 0.75).abs() < 1e-6));
    let gradient = values(&x.grad(&y.sum().backward()).expect("a leaf has a gradient"));
    assert_eq!(gradient, found, "the gradient of x·m is m, and x is 1");
}

#[test]
fn the_device_seed_determines_the_mask() {
    let device = Device::flex().autodiff();
    let draw = |seed| {
        device.seed(seed);
        values(&dropout(Tensor::<2>::ones([64, 64], &device), &rate(0.1)).inner())
    };
    let first = draw(7);
    assert_eq!(first, draw(7));
    assert_ne!(first, draw(8));
}

/// Checked by finite differences: plain Burn has no attention with the same dropout mask.
#[test]
fn attention_with_dropout_has_the_gradient_of_its_own_mask() {
    for prefix in [0, 3] {
        check_dropout_of_attention(prefix);
    }
}

fn check_dropout_of_attention(prefix: usize) {
    let device = Device::flex().autodiff();
    let shape = [2, 7, 6];
    let keys = [2, prefix + 7, 6];
    let shapes = [shape, keys, keys];
    let data = [(9, shape), (10, keys), (11, keys)].map(|(seed, shape)| numbers(shape, seed));
    let layer = rate(0.3);
    let options = AttentionOptions::new(2, &layer);
    let weights = Tensor::<3>::from_data(numbers(shape, 99), (&device, DType::F32));
    let run = |leaves: &[Tensor<3>; 3]| {
        device.seed(3);
        let [query, key, value] = leaves.clone();
        (attention(query, key, value, &mask(2, prefix + 7), options) * weights.clone()).sum()
    };
    let leaves =
        data.map(|data| Tensor::<3>::from_data(data, (&device, DType::F32)).require_grad());
    let gradients = run(&leaves).backward();

    device.seed(5);
    for (index, name) in ["query", "key", "value"].into_iter().enumerate() {
        let direction = Tensor::<3>::random(
            shapes[index],
            Distribution::Uniform(-1.0, 1.0),
            &device.clone().inner(),
        );
        let step = 1e-2;
        let moved = |sign: f64| {
            let mut moved = leaves.clone();
            let here = leaves[index].clone().inner() + direction.clone() * (sign * step);
            moved[index] = Tensor::from_inner(here);
            run(&moved).into_scalar::<f64>()
        };
        let found = (moved(1.0) - moved(-1.0)) / (2.0 * step);
        let gradient = leaves[index].grad(&gradients).expect("a leaf has a gradient");
        let expected = (gradient * direction).sum().into_scalar::<f64>();
        assert!(
            (found - expected).abs() < 2e-3 * expected.abs().max(1.0),
            "{name}, {prefix} keys in front: {found}, {expected}"
        );
    }
}

/// Three steps of Adam.
fn adam_outcome(length: usize, weight_decay: f64, dtype: DType) -> Outcome {
    let device = Device::flex();
    let tensor = |seed| Tensor::<1>::from_data(numbers([length], seed), (&device, dtype));
    let rates =
        AdamRates { learning_rate: 1e-2, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-6, weight_decay };
    let zeros = tensor(1).zeros_like();
    let mut now = AdamState { parameter: tensor(1), moment_1: zeros.clone(), moment_2: zeros };
    for seed in 2..5 {
        now = bert_adam(now, tensor(seed), rates);
    }
    Outcome {
        what: vec![
            ("parameter", values(&now.parameter)),
            ("moment 1", values(&now.moment_1)),
            ("moment 2", values(&now.moment_2)),
        ],
    }
}

#[test]
fn adam_steps_as_plain_burn_does() {
    for length in [1, 37, 40_000] {
        for decay in [0.0, 0.01] {
            both(|dtype| adam_outcome(length, decay, dtype));
        }
    }
}

#[test]
fn a_step_of_adam_does_not_change_shared_tensors() {
    let device = Device::flex();
    let shared = Tensor::<1>::from_data([1.0, 2.0], &device);
    let now =
        AdamState { parameter: shared.clone(), moment_1: shared.clone(), moment_2: shared.clone() };
    let rates = AdamRates {
        learning_rate: 1.0,
        beta_1: 0.5,
        beta_2: 0.5,
        epsilon: 1e-6,
        weight_decay: 0.0,
    };
    let after = bert_adam(now, shared.clone(), rates);
    assert_eq!(values(&shared), [1.0, 2.0]);
    assert!(values(&after.parameter)[0] < 0.5);
}

#[test]
fn sums_of_squares_are_plain_burns() {
    for length in [1, 37, 40_000] {
        both(|dtype| {
            let x = Tensor::<1>::from_data(numbers([length], 3), (&Device::flex(), dtype));
            Outcome { what: vec![("sum", values(&sum_of_squares(x)))] }
        });
    }
    let view = Tensor::<2>::from_data([[1.0, 2.0], [3.0, 4.0]], &Device::flex()).transpose();
    assert_eq!(values(&sum_of_squares(view.slice([0..1, 0..2]))), [10.0]);
}
