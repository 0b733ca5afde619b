//! The options of attention: scale, window, and terms for the distance between query and key.

use burn::nn::Dropout;
use burn::tensor::{Tensor, assert_shape};

use crate::buckets::DistanceBuckets;

/// Options of [`attention`](crate::attention).
///
/// There may be more keys than queries: those in front belong to a prefix, which has no position. The terms for
/// distances are not added to its scores, and it is inside of every window.
#[derive(Debug, Clone, Copy)]
pub struct AttentionOptions<'a> {
    /// Number of heads; divides `d_model`.
    pub heads: usize,
    /// Dropout of the probabilities.
    pub dropout: &'a Dropout,
    /// The factor of the scores; `1 / √d_head` if there is none.
    pub scale: Option<f64>,
    /// The largest distance between query and key. Scores further apart are not computed; a query that no token is near
    /// has the result 0.
    pub window: Option<usize>,
    /// Added to the scaled scores: `[1 or batch, heads, sequence, sequence]`, without columns for the prefix.
    pub bias: Option<&'a Tensor<4>>,
    /// The terms of disentangled attention.
    pub relative: Option<&'a RelativeTerms>,
}

impl<'a> AttentionOptions<'a> {
    /// Attention as in BERT.
    pub fn new(heads: usize, dropout: &'a Dropout) -> Self {
        Self { heads, dropout, scale: None, window: None, bias: None, relative: None }
    }

    /// The factor of the scores.
    pub(crate) fn scale(&self, d_head: usize) -> f64 {
        self.scale.unwrap_or_else(|| 1.0 / (d_head as f64).sqrt())
    }

    /// # Panics
    /// If the options do not fit to the sizes.
    pub(crate) fn check(&self, [batch, sequence, d_model]: [usize; 3], keys: usize) {
        let heads = self.heads;
        assert!(
            heads > 0 && d_model.is_multiple_of(heads),
            "{heads} heads do not divide a d_model of {d_model}"
        );
        let has_distances = self.window.is_some() || self.bias.is_some() || self.relative.is_some();
        assert!(
            keys >= sequence || !has_distances,
            "{keys} keys have no distances to {sequence} queries, expected at least as many"
        );
        let check_texts = |texts: usize| {
            assert!(texts == 1 || texts == batch, "terms of {texts} texts, expected 1 or {batch}");
        };
        if let Some(bias) = self.bias {
            let [texts, ..] = bias.dims();
            check_texts(texts);
            assert_shape!(bias, [texts, heads, sequence, sequence]);
        }
        if let Some(relative) = self.relative {
            let rows = relative.buckets.rows(sequence).len();
            for table in [&relative.key, &relative.query].into_iter().flatten() {
                let [texts, ..] = table.dims();
                check_texts(texts);
                assert_shape!(table, [texts, rows, d_model]);
            }
        }
    }
}

/// The terms for distances of disentangled attention: with `r` the row of the distance between query `i` and key `j`,
/// the score is `scale · (qᵢ kⱼ + qᵢ key[r] + kⱼ query[r])`.
///
/// The tables have the rows of the text's distances only: [`DistanceBuckets::rows`] of its length.
///
/// He et al. 2021, *DeBERTa*, section 3.1; <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/deberta_v2/modeling_deberta_v2.py>
/// (`disentangled_attention_bias`)
#[derive(Debug, Clone)]
pub struct RelativeTerms {
    /// Content to position: the embeddings of distances as keys, `[1 or batch, rows, d_model]`.
    pub key: Option<Tensor<3>>,
    /// Position to content: the embeddings of distances as queries, `[1 or batch, rows, d_model]`.
    pub query: Option<Tensor<3>>,
    /// The rows of distances.
    pub buckets: DistanceBuckets,
}
