//! Each operation, forward and backward, compared with plain Burn on the same device: `cargo bench --workspace --bench kernels`.
//! Shapes are those of a step of MiniLM on 32 texts of 128 tokens.

use std::hint::black_box;

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LinearConfig};
use burn::tensor::activation::{gelu, softmax};
use burn::tensor::module::layer_norm;
use burn::tensor::{Bool, Device, Distribution, Tensor};
use burn_fused::{
    Activation, AdamRates, AdamState, AttentionOptions, DistanceBuckets, LayerNorm, RelativeTerms,
    activation, attention, bert_adam, dropout, gated_activation, linear,
};
use divan::Bencher;

const HIDDEN: [usize; 3] = [32, 128, 384];
const WIDE: [usize; 3] = [32, 128, 1536];
const HEADS: usize = 12;

/// The implementations.
const BOTH: [&str; 2] = ["fused", "plain"];

fn main() {
    divan::main();
}

fn device() -> Device {
    Device::flex().autodiff()
}

/// A tensor that requires a gradient.
fn leaf<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device()).require_grad()
}

fn tenth() -> Dropout {
    DropoutConfig::new(0.1).init()
}

/// Measures an operation with its backward pass.
fn measure(bencher: Bencher, operation: impl Fn() -> Tensor<3> + Sync) {
    bencher.bench(|| black_box(operation().sum().backward()));
}

#[divan::bench(args = BOTH)]
fn gelu_of_the_wide_states(bencher: Bencher, implementation: &str) {
    let x = leaf(WIDE);
    measure(bencher, || match implementation {
        "fused" => activation(x.clone(), Activation::Gelu),
        _ => gelu(x.clone()),
    });
}

#[divan::bench(args = BOTH)]
fn sum_and_norm(bencher: Bencher, implementation: &str) {
    let (output, residual) = (leaf(HIDDEN), leaf(HIDDEN));
    let norm = LayerNorm::new(HIDDEN[2], 1e-12, &device());
    measure(bencher, || {
        if implementation == "fused" {
            return norm.forward([output.clone(), residual.clone()]);
        }
        let sum = output.clone() + residual.clone();
        layer_norm(sum, norm.gamma.val(), Some(norm.beta_or_zeros()), norm.epsilon)
    });
}

#[divan::bench(args = BOTH)]
fn dropout_of_hidden_states(bencher: Bencher, implementation: &str) {
    let (x, layer) = (leaf(HIDDEN), tenth());
    measure(bencher, || match implementation {
        "fused" => dropout(x.clone(), &layer),
        _ => layer.forward(x.clone()),
    });
}

#[divan::bench(args = BOTH)]
fn frozen_projection(bencher: Bencher, implementation: &str) {
    let x = leaf(HIDDEN);
    let layer = LinearConfig::new(HIDDEN[2], WIDE[2]).init(&device()).no_grad();
    measure(bencher, || match implementation {
        "fused" => linear(x.clone(), &layer),
        _ => layer.forward(x.clone()),
    });
}

#[divan::bench(args = BOTH)]
fn attention_with_dropout(bencher: Bencher, implementation: &str) {
    let [batch, sequence, d_model] = HIDDEN;
    let (query, key, value) = (leaf(HIDDEN), leaf(HIDDEN), leaf(HIDDEN));
    let layer = tenth();
    let mask = Tensor::<2, Bool>::full([batch, sequence], true, &device());
    measure(bencher, || {
        let (query, key, value) = (query.clone(), key.clone(), value.clone());
        if implementation == "fused" {
            let options = AttentionOptions::new(HEADS, &layer);
            return attention(query, key, value, &mask, options);
        }
        let d_head = d_model / HEADS;
        let split = |x: Tensor<3>| x.reshape([batch, sequence, HEADS, d_head]).swap_dims(1, 2);
        let (query, key, value) = (split(query), split(key), split(value));
        let scores = query.matmul(key.swap_dims(2, 3)) / (d_head as f64).sqrt();
        let context = layer.forward(softmax(scores, 3)).matmul(value);
        context.swap_dims(1, 2).reshape(HIDDEN)
    });
}

/// A ModernBERT's local layer on 2 texts of 1024 tokens, 12 heads of 64: in the window, and to all keys.
#[divan::bench(args = ["window", "all keys"])]
fn attention_to_near_keys(bencher: Bencher, keys: &str) {
    const LONG: [usize; 3] = [2, 1024, 768];
    let (query, key, value) = (leaf(LONG), leaf(LONG), leaf(LONG));
    let layer = tenth();
    let mask = Tensor::<2, Bool>::full([LONG[0], LONG[1]], true, &device());
    let window = (keys == "window").then_some(64);
    measure(bencher, || {
        let options = AttentionOptions { window, ..AttentionOptions::new(HEADS, &layer) };
        attention(query.clone(), key.clone(), value.clone(), &mask, options)
    });
}

/// A layer of DeBERTa-v3-base on 8 texts of 128 tokens: with its terms for distances, and without.
#[divan::bench(args = ["distances", "none"])]
fn disentangled_attention(bencher: Bencher, terms: &str) {
    const BASE: [usize; 3] = [8, 128, 768];
    let (query, key, value) = (leaf(BASE), leaf(BASE), leaf(BASE));
    let layer = tenth();
    let mask = Tensor::<2, Bool>::full([BASE[0], BASE[1]], true, &device());
    let buckets = DistanceBuckets::Logarithmic { span: 256, max_distance: 512 };
    let table = || Some(leaf([1, buckets.rows(BASE[1]).len(), BASE[2]]));
    let relative = RelativeTerms { key: table(), query: table(), buckets };
    measure(bencher, || {
        let relative = (terms == "distances").then_some(&relative);
        let options = AttentionOptions { relative, ..AttentionOptions::new(HEADS, &layer) };
        attention(query.clone(), key.clone(), value.clone(), &mask, options)
    });
}

#[divan::bench(args = BOTH)]
fn gated_gelu(bencher: Bencher, implementation: &str) {
    let x = leaf([8, 128, 2 * 1152]);
    measure(bencher, || match implementation {
        "fused" => gated_activation(x.clone(), Activation::Gelu),
        _ => gelu(x.clone().narrow(2, 0, 1152)) * x.clone().narrow(2, 1152, 1152),
    });
}

/// For the parameters of one feed-forward matrix.
#[divan::bench(args = BOTH)]
fn step_of_adam(bencher: Bencher, implementation: &str) {
    let numbers = || {
        let normal = Distribution::Normal(0.0, 1.0);
        Tensor::<2>::random([HIDDEN[2], WIDE[2]], normal, &Device::flex())
    };
    let (parameter, gradient) = (numbers(), numbers());
    let (mean, squares) = (numbers(), numbers().square());
    let rates = AdamRates {
        learning_rate: 1e-4,
        beta_1: 0.9,
        beta_2: 0.999,
        epsilon: 1e-6,
        weight_decay: 0.01,
    };
    bencher
        .with_inputs(|| (parameter.clone(), mean.clone() + 0.0, squares.clone() + 0.0))
        .bench_values(|(parameter, moment_1, moment_2)| {
            if implementation == "fused" {
                let before = AdamState { parameter, moment_1, moment_2 };
                return bert_adam(before, gradient.clone(), rates).parameter;
            }
            let moment_1 = moment_1 * rates.beta_1 + gradient.clone() * (1.0 - rates.beta_1);
            let moment_2 =
                moment_2 * rates.beta_2 + gradient.clone().square() * (1.0 - rates.beta_2);
            let update = moment_1 / (moment_2.sqrt() + rates.epsilon);
            let update = update + parameter.clone() * rates.weight_decay;
            black_box(parameter - update * rates.learning_rate)
        });
}
