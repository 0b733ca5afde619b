//! Where a task meets the encoder: the sites, and the trait through which a task answers there.
//! What a task inserts (adapters, norms, low-rank corrections) lives elsewhere; this file names none of it.
//!
//! The two sites of a layer are those of Houlsby et al. 2019, section 2.1 and figure 2.

use burn::tensor::Tensor;
use burn_fused::LayerNorm;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
}

/// Nothing inserted: plain BERT.
impl Insertions for () {}
