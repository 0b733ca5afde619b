//! Attention with a window, a bias and terms for distances.

use burn::tensor::{Bool, DType, Device, Tensor};
use burn_fused::{AttentionOptions, DistanceBuckets, RelativeTerms, attention};
use proptest::prelude::*;

use crate::{Outcome, assert_close, leaf, mask, numbers, rate, values};

/// Which options, and for how many keys in front.
#[derive(Debug, Clone)]
struct Case {
    batch: usize,
    sequence: usize,
    prefix: usize,
    heads: usize,
    d_head: usize,
    scale: Option<f64>,
    window: Option<usize>,
    /// The number of texts that the bias and the distances as keys are for.
    bias: Option<usize>,
    /// Content to position, position to content.
    relative: Option<(bool, bool, DistanceBuckets)>,
}

/// Attention to a few keys in two heads.
fn plain(batch: usize, sequence: usize) -> Case {
    Case {
        batch,
        sequence,
        prefix: 0,
        heads: 2,
        d_head: 3,
        scale: None,
        window: None,
        bias: None,
        relative: None,
    }
}

impl Case {
    fn run(&self, mask: &Tensor<2, Bool>, dtype: DType) -> Outcome {
        let Self { batch, sequence, prefix, heads, d_head, .. } = *self;
        let d_model = heads * d_head;
        let query = leaf([batch, sequence, d_model], 9, dtype);
        let [key, value] =
            [10, 11].map(|seed| leaf([batch, prefix + sequence, d_model], seed, dtype));
        let bias = self.bias.map(|texts| leaf([texts, heads, sequence, sequence], 12, dtype));
        let texts = self.bias.unwrap_or(1);
        let terms = self.relative.map(|(has_key, has_query, buckets)| RelativeTerms {
            key: has_key.then(|| leaf([texts, buckets.rows(sequence).len(), d_model], 13, dtype)),
            query: has_query.then(|| leaf([1, buckets.rows(sequence).len(), d_model], 14, dtype)),
            buckets,
        });
        let layer = rate(0.0);
        let options = AttentionOptions {
            scale: self.scale,
            window: self.window,
            bias: bias.as_ref(),
            relative: terms.as_ref(),
            ..AttentionOptions::new(heads, &layer)
        };
        let output = attention(query.clone(), key.clone(), value.clone(), mask, options);
        let (mut outcome, gradients) = Outcome::new(&output);
        for (name, leaf) in [("query", query), ("key", key), ("value", value)] {
            outcome = outcome.with(name, &leaf, &gradients);
        }
        if let Some(bias) = &bias {
            outcome = outcome.with("bias", bias, &gradients);
        }
        let tables = terms.map_or([None, None], |terms| [terms.key, terms.query]);
        for (name, table) in ["relative key", "relative query"].into_iter().zip(tables) {
            if let Some(table) = table {
                outcome = outcome.with(name, &table, &gradients);
            }
        }
        outcome
    }

    fn check(&self) {
        let mask = mask(self.batch, self.prefix + self.sequence);
        self.check_with(&mask);
    }

    /// Scores of several terms are up to 50, and so is the factor of their rounding in a probability.
    fn check_with(&self, mask: &Tensor<2, Bool>) {
        assert_close(&self.run(mask, DType::F32), &self.run(mask, DType::F64), 2e-5);
    }
}

fn buckets() -> impl Strategy<Value = DistanceBuckets> {
    let each = (1..9_usize).prop_map(|span| DistanceBuckets::Each { span });
    let logarithmic = (2..9_usize, 0..30_usize).prop_map(|(half, more)| {
        DistanceBuckets::Logarithmic { span: 2 * half, max_distance: 2 * half + 1 + more }
    });
    prop_oneof![each, logarithmic]
}

fn case() -> impl Strategy<Value = Case> {
    let sizes = (1..4_usize, 1..40_usize, 0..4_usize, 1..4_usize, 1..9_usize);
    let relative = (any::<bool>(), any::<bool>(), buckets());
    let options = (
        proptest::option::of(0.1..1.0_f64),
        proptest::option::of(0..50_usize),
        proptest::option::of(any::<bool>()),
        proptest::option::of(relative),
    );
    (sizes, options).prop_map(
        |((batch, sequence, prefix, heads, d_head), (scale, window, bias, relative))| Case {
            batch,
            sequence,
            prefix,
            heads,
            d_head,
            scale,
            window,
            bias: bias.map(|of_each| if of_each { batch } else { 1 }),
            relative,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn attention_with_every_combination_of_options_is_plain_burns(case in case()) {
        case.check();
    }
}

#[test]
fn windows_of_texts_that_need_several_blocks_are_plain_burns() {
    for (sequence, window) in [(100, 3), (97, 40), (129, 16), (260, 130), (70, 0)] {
        for prefix in [0, 2] {
            Case { prefix, window: Some(window), ..plain(2, sequence) }.check();
        }
    }
}

#[test]
fn long_texts_without_a_window_are_plain_burns() {
    for bias in [None, Some(1)] {
        Case { prefix: 3, bias, ..plain(2, 300) }.check();
    }
}

#[test]
fn gradients_of_a_shared_bias_are_sums_over_many_texts() {
    let buckets = DistanceBuckets::Each { span: 3 };
    Case { bias: Some(1), relative: Some((true, true, buckets)), ..plain(37, 5) }.check();
}

#[test]
fn a_text_without_tokens_has_plain_burns_gradients_with_every_option() {
    let tokens = [[true, true, true, false], [false; 4]];
    let mask = Tensor::<2, Bool>::from_data(tokens, &Device::flex().autodiff());
    let relative = Some((true, true, DistanceBuckets::Each { span: 2 }));
    for window in [None, Some(1)] {
        let case = Case { window, bias: Some(1), relative, ..plain(2, 4) };
        case.check_with(&mask);
    }
}

#[test]
fn a_query_that_no_token_is_near_has_the_result_0() {
    let device = Device::flex();
    let tokens = [[true, false, false, false]];
    let mask = Tensor::<2, Bool>::from_data(tokens, &device);
    let layer = rate(0.0);
    let options = AttentionOptions { window: Some(1), ..AttentionOptions::new(1, &layer) };
    for dtype in [DType::F32, DType::F64] {
        let ones = Tensor::<3>::ones([1, 4, 1], (&device, dtype));
        let found = attention(ones.clone(), ones.clone(), ones, &mask, options);
        assert_eq!(values(&found), [1.0, 1.0, 0.0, 0.0]);
    }
}

#[test]
fn keys_outside_of_the_window_have_no_influence() {
    let device = Device::flex();
    let mask = Tensor::<2, Bool>::full([1, 200], true, &device);
    let layer = rate(0.0);
    let options = AttentionOptions { window: Some(5), ..AttentionOptions::new(1, &layer) };
    let run = |key: Tensor<3>| {
        let [query, value] = [1, 2]
            .map(|seed| Tensor::<3>::from_data(numbers([1, 200, 4], seed), (&device, DType::F32)));
        values(&attention(query, key, value, &mask, options).slice([0..1, 0..100]))
    };
    let key = Tensor::<3>::from_data(numbers([1, 200, 4], 3), (&device, DType::F32));
    let changed = key
        .clone()
        .slice_assign([0..1, 105..200], Tensor::full([1, 95, 4], 9.0, (&device, DType::F32)));
    assert_eq!(run(key), run(changed));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let relative = Some((true, true, DistanceBuckets::Logarithmic { span: 8, max_distance: 30 }));
    let cases = [
        Case { bias: Some(1), relative, ..plain(20, 33) },
        Case { window: Some(7), prefix: 1, ..plain(3, 200) },
        plain(2, 300),
    ];
    for case in cases {
        let mask = mask(case.batch, case.prefix + case.sequence);
        let on = |threads| {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let outcome = pool.install(|| case.run(&mask, DType::F32));
            outcome.what.into_iter().map(|(_, values)| values).collect::<Vec<_>>()
        };
        let alone = on(1);
        for threads in [2, 5] {
            assert!(alone == on(threads), "{case:?} on {threads} threads");
        }
    }
}

#[test]
fn dropout_in_blocks_has_the_mask_of_the_whole_text() {
    let device = Device::flex().autodiff();
    let mask = Tensor::<2, Bool>::full([1, 150], true, &device);
    let layer = rate(0.4);
    let run = |window: Option<usize>| {
        device.seed(3);
        let options = AttentionOptions { window, ..AttentionOptions::new(1, &layer) };
        let [query, key, value] = [1, 2, 3].map(|seed| leaf([1, 150, 4], seed, DType::F32));
        let context = attention(query.clone(), key.clone(), value.clone(), &mask, options);
        let (outcome, gradients) = Outcome::new(&context);
        let outcome = outcome.with("query", &query, &gradients).with("key", &key, &gradients);
        outcome.with("value", &value, &gradients)
    };
    assert_close(&run(Some(149)), &run(None), 2e-6);
}
