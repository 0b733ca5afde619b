//! Attention over heads that are side by side in rows: no transposes, and the scores of one head and of one block of
//! queries at a time.
//!
//! The probabilities are not stored, only each row's normaliser; the backward pass computes them again, as in
//! Dao et al. 2022, *FlashAttention*, section 3.

mod backward;
mod block;
mod forward;
mod relative;
mod scores;

use std::sync::Arc;

use burn::backend::TensorMetadata;
use burn::tensor::{Bool, Tensor};
use burn_flex::FlexTensor;

pub(super) use backward::backward;
pub(super) use forward::forward;

use self::relative::Distances;
use super::dropout::Mask;
use super::tensor::Rows;
use crate::attention_options::AttentionOptions;

/// How attention is computed, apart from its tensors.
#[derive(Debug, Clone)]
pub(crate) struct Heads {
    count: usize,
    scale: f32,
    /// For each text, which keys belong to a token.
    tokens: Arc<[Vec<bool>]>,
    /// The largest distance between query and key.
    window: Option<usize>,
    /// The rows of the tables of distances.
    distances: Option<Arc<Distances>>,
    dropout: Option<Mask>,
}

impl Heads {
    /// `[batch, sequence, d_model]` is the shape of the query.
    pub(super) fn new(
        [_, sequence, d_model]: [usize; 3],
        attention_mask: &Tensor<2, Bool>,
        options: &AttentionOptions<'_>,
        dropout: Option<Mask>,
    ) -> Self {
        let [_, keys] = attention_mask.dims();
        let mask: Vec<bool> = attention_mask.to_data().iter::<bool>().collect();
        Self {
            count: options.heads,
            scale: options.scale(d_model / options.heads) as f32,
            tokens: mask.chunks(keys).map(<[bool]>::to_vec).collect(),
            window: options.window,
            distances: options
                .relative
                .map(|terms| Arc::new(Distances::new(terms.buckets, sequence))),
            dropout,
        }
    }
}

/// The tensors of an attention; those that it does not have are without elements.
#[derive(Debug, Clone)]
pub(super) struct Operands {
    /// `[batch, sequence, d_model]`
    pub(super) query: FlexTensor,
    /// `[batch, keys, d_model]`
    pub(super) key: FlexTensor,
    /// `[batch, keys, d_model]`
    pub(super) value: FlexTensor,
    /// `[1 or batch, heads, sequence, sequence]`
    pub(super) bias: FlexTensor,
    /// `[1 or batch, rows, d_model]`
    pub(super) relative_key: FlexTensor,
    /// `[1 or batch, rows, d_model]`
    pub(super) relative_query: FlexTensor,
}

/// The operands as slices.
struct Slices {
    query: Rows,
    key: Rows,
    value: Rows,
    bias: Option<Rows>,
    relative_key: Option<Rows>,
    relative_query: Option<Rows>,
    batch: usize,
    sequence: usize,
    keys: usize,
    d_model: usize,
}

impl Slices {
    fn of(operands: &Operands) -> Self {
        let [batch, sequence, d_model] = operands.query.shape().dims();
        let present =
            |tensor: &FlexTensor| (tensor.shape().num_elements() > 0).then(|| Rows::of(tensor));
        Self {
            query: Rows::of(&operands.query),
            key: Rows::of(&operands.key),
            value: Rows::of(&operands.value),
            bias: present(&operands.bias),
            relative_key: present(&operands.relative_key),
            relative_query: present(&operands.relative_query),
            batch,
            sequence,
            keys: operands.key.shape()[1],
            d_model,
        }
    }

    /// Query, key and value of one text.
    fn text(&self, index: usize) -> [&[f32]; 3] {
        let of = |positions: usize| {
            let length = positions * self.d_model;
            index * length..(index + 1) * length
        };
        [
            &self.query.data()[of(self.sequence)],
            &self.key.data()[of(self.keys)],
            &self.value.data()[of(self.keys)],
        ]
    }

    /// The bias of one head of one text, `[sequence, sequence]`.
    fn bias(&self, heads: &Heads, text: usize, head: usize) -> Option<&[f32]> {
        let length = self.sequence * self.sequence;
        let of_text = of_text(self.bias.as_ref()?, heads.count * length, text);
        Some(&of_text[head * length..(head + 1) * length])
    }

    /// The tables of distances of one text as keys and as queries, `[rows, d_model]`.
    fn tables(&self, heads: &Heads, text: usize) -> [Option<&[f32]>; 2] {
        let rows = heads.distances.as_ref().map_or(0, |distances| distances.rows);
        [&self.relative_key, &self.relative_query]
            .map(|table| Some(of_text(table.as_ref()?, rows * self.d_model, text)))
    }
}

/// The part of one text, if the operand is not shared by all texts.
fn of_text(operand: &Rows, length: usize, text: usize) -> &[f32] {
    let first = text * length % operand.data().len();
    &operand.data()[first..first + length]
}

/// The result, and what the backward pass needs besides the operands.
pub(super) struct AttentionOutput {
    pub(super) context: FlexTensor,
    /// `[batch, sequence, heads]`: logarithm of each row's sum of exponentials.
    pub(super) normaliser: FlexTensor,
}
