//! Where a task meets the encoder: the sites, and the trait through which a task answers there.
//! What a task inserts (adapters, norms, low-rank corrections) lives elsewhere; this file names none of it.
//!
//! The two sites of a layer are those of Houlsby et al. 2019, section 2.1 and figure 2.

use burn::tensor::Tensor;
use burn_fused::LayerNorm;
use serde::{Deserialize, Serialize};

/// A place whose result passes through a LayerNorm; layers count from 0 at the bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    /// After the sum of word, position and token-type embeddings.
    Embeddings,
    /// After the attention output projection of a layer.
    Attention(usize),
    /// After the second feed-forward projection of a layer.
    FeedForward(usize),
}

/// One of a layer's six linear projections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Projection {
    /// `attention.self.query`
    Query,
    /// `attention.self.key`
    Key,
    /// `attention.self.value`
    Value,
    /// `attention.output.dense`
    AttentionOutput,
    /// `intermediate.dense`
    FeedForwardIn,
    /// `output.dense`
    FeedForwardOut,
}

impl Projection {
    /// Every projection, in the order in which a layer computes them.
    pub const ALL: [Self; 6] = [
        Self::Query,
        Self::Key,
        Self::Value,
        Self::AttentionOutput,
        Self::FeedForwardIn,
        Self::FeedForwardOut,
    ];

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Key => "key",
            Self::Value => "value",
            Self::AttentionOutput => "attention-output",
            Self::FeedForwardIn => "feed-forward-in",
            Self::FeedForwardOut => "feed-forward-out",
        }
    }
}

/// Keys and values that stand before a layer's own: every token attends to them, and no mask hides them.
#[derive(Debug, Clone)]
pub struct Prefix {
    /// `[batch, length, d_model]`, heads side by side as the projections leave them.
    pub keys: Tensor<3>,
    /// `[batch, length, d_model]`
    pub values: Tensor<3>,
}

impl Prefix {
    /// This prefix with another behind it.
    #[must_use]
    pub fn followed_by(self, next: Self) -> Self {
        Self {
            keys: Tensor::cat(vec![self.keys, next.keys], 1),
            values: Tensor::cat(vec![self.values, next.values], 1),
        }
    }
}

/// What a task puts into a BERT that itself does not change.
///
/// The encoder asks at each place and goes on with the answer; every default leaves BERT as it is.
/// Hidden states are `[batch, sequence, d_model]`.
pub trait Insertions {
    /// Closes a sub-layer.
    ///
    /// `output` is what the sub-layer made (projected, dropped out), `residual` what it read, `norm` BERT's own
    /// LayerNorm at that site.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    fn add_and_norm(
        &self,
        site: Site,
        residual: Tensor<3>,
        output: Tensor<3>,
        norm: &LayerNorm,
    ) -> Tensor<3> {
        let _ = site;
        norm.forward([output, residual])
    }

    /// The norm of a site where nothing is added: the embeddings.
    ///
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    fn norm(&self, site: Site, hidden: Tensor<3>, norm: &LayerNorm) -> Tensor<3> {
        let _ = site;
        norm.forward(hidden)
    }

    /// Changes what one linear projection reads.
    ///
    /// # Shapes
    /// - input, result: `[batch, sequence, d_input]`
    fn project_input(&self, layer: usize, projection: Projection, input: Tensor<3>) -> Tensor<3> {
        let _ = (layer, projection);
        input
    }

    /// Corrects one linear projection: `input` is what it read, `output` what it made.
    ///
    /// # Shapes
    /// - input: `[batch, sequence, d_input]`
    /// - output, result: `[batch, sequence, d_output]`
    fn project(
        &self,
        layer: usize,
        projection: Projection,
        input: &Tensor<3>,
        output: Tensor<3>,
    ) -> Tensor<3> {
        let _ = (layer, projection, input);
        output
    }

    /// Corrects the pooler's linear projection, before its activation: `input` is what it read, the first token of
    /// each text, and `output` what it made.
    ///
    /// # Shapes
    /// - input, output, result: `[batch, d_model]`
    fn project_pooler(&self, input: &Tensor<2>, output: Tensor<2>) -> Tensor<2> {
        let _ = input;
        output
    }

    /// Keys and values to put before a layer's own; `hidden` is what the layer reads.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    fn prefix(&self, layer: usize, hidden: &Tensor<3>) -> Option<Prefix> {
        let _ = (layer, hidden);
        None
    }
}

/// Nothing inserted: plain BERT.
impl Insertions for () {}
