//! The layers of an encoder.

use burn::module::Module;
use burn::nn::{Embedding, Linear};
use burn::tensor::Tensor;
use burn_fused::LayerNorm;

use crate::attention::{Attention, AttentionContext};
use crate::convolution::Convolution;
use crate::feed_forward::Intermediate;
use crate::insertion::{Insertions, Projection, Site};
use crate::relative_bias::relative_bias;
use crate::relative_embeddings::RelativeEmbeddings;
use crate::residual::{Residual, ResidualPosition};

/// All layers, from the bottom: `encoder` in the checkpoint.
#[derive(Module, Debug)]
pub(crate) struct LayerStack {
    /// Named in the singular, as in the checkpoint.
    pub(crate) layer: Vec<Layer>,
    /// `[buckets, heads]`: see [`relative_bias`]. All layers share it.
    pub(crate) relative_attention_bias: Option<Embedding>,
    /// The embeddings of distances, which all layers share.
    pub(crate) relative: Option<RelativeEmbeddings>,
    /// Above the last layer, in a pre-norm encoder.
    pub(crate) layer_norm: Option<LayerNorm>,
    /// The bases of rotary positions in layers that attend to all keys, and to near keys.
    #[module(skip)]
    pub(crate) rotary_thetas: Option<[f64; 2]>,
}

impl LayerStack {
    /// The bias of the scores for distances, if there is one: `[1, heads, sequence, sequence]`.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    pub(crate) fn relative_bias(&self, hidden: &Tensor<3>) -> Option<Tensor<4>> {
        let [_, sequence, _] = hidden.dims();
        let table = self.relative_attention_bias.as_ref()?;
        Some(relative_bias(table, sequence, hidden.dtype()))
    }
}

/// Attention, then feed-forward; each ends with a residual connection, and has a LayerNorm at its end or at its start.
#[derive(Module, Debug)]
pub(crate) struct Layer {
    pub(crate) attention: Attention,
    /// The first half of the feed-forward.
    pub(crate) intermediate: Intermediate,
    /// The second half of the feed-forward, with the residual connection.
    pub(crate) output: Residual,
    /// Beside the layer.
    pub(crate) convolution: Option<Convolution>,
}

impl Layer {
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    pub(crate) fn forward(
        &self,
        hidden: Tensor<3>,
        context: AttentionContext<'_>,
        layer: usize,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        let beside = self.convolution.as_ref().map(|_| hidden.clone());
        let hidden = self.attention.forward(hidden, context, layer, insertions);
        let site = Site::FeedForward(layer);
        let input = self.output.sub_layer_input(site, &hidden, insertions);
        let wide = self.intermediate.forward(&input, layer, insertions);
        let position = ResidualPosition { layer, site, projection: Projection::FeedForwardOut };
        let output = self.output.forward(wide, hidden, position, insertions);
        match self.convolution.as_ref().zip(beside) {
            Some((convolution, input)) => {
                convolution.forward(input, output, context.attention_mask)
            }
            None => output,
        }
    }

    pub(crate) fn projection(&self, projection: Projection) -> &Linear {
        let attention = &self.attention.self_attention;
        match projection {
            Projection::Query => &attention.query,
            Projection::Key => &attention.key,
            Projection::Value => &attention.value,
            Projection::AttentionOutput => &self.attention.output.dense,
            Projection::FeedForwardIn => &self.intermediate.dense,
            Projection::FeedForwardOut => &self.output.dense,
        }
    }

    pub(crate) fn projection_mut(&mut self, projection: Projection) -> &mut Linear {
        let attention = &mut self.attention;
        match projection {
            Projection::Query => &mut attention.self_attention.query,
            Projection::Key => &mut attention.self_attention.key,
            Projection::Value => &mut attention.self_attention.value,
            Projection::AttentionOutput => &mut attention.output.dense,
            Projection::FeedForwardIn => &mut self.intermediate.dense,
            Projection::FeedForwardOut => &mut self.output.dense,
        }
    }
}
