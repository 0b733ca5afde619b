//! Where a family of encoders has its parts: the paths of modules, in Burn or in a checkpoint.

use crate::insertion::{EncoderPart, Projection, Site};

/// The module paths of a family of encoders under one naming scheme.
///
/// [`Encoder::parameter_paths`](crate::Encoder::parameter_paths) are those of the Burn module,
/// [`Encoder::checkpoint_paths`](crate::Encoder::checkpoint_paths) those of Hugging Face's checkpoints. Trainable
/// parameters, adapter files and checkpoints are named by them.
#[derive(Debug, Clone, Copy)]
pub struct ModulePaths {
    /// The embedding tables and their norm: `embeddings`.
    pub embeddings: &'static str,
    /// The list of layers: `encoder.layer`.
    pub layers: &'static str,
    /// The pooler: `pooler`.
    pub pooler: &'static str,
    /// The pooler's linear layer, inside of the pooler: `dense`.
    pub pooler_dense: &'static str,
    /// The LayerNorm of the embeddings: `embeddings.layer_norm`.
    pub embeddings_norm: &'static str,
    /// The LayerNorms of the attention and of the feed-forward, inside of a layer: `output.layer_norm`.
    pub norms: [&'static str; 2],
    /// The table of biases for distances, which all layers share: `encoder.relative_attention_bias`.
    pub relative_bias: &'static str,
    /// The embeddings of distances and their LayerNorm, which all layers share: `encoder.relative`.
    pub distances: &'static [&'static str],
    /// The LayerNorm above the last layer: `encoder.layer_norm`.
    pub final_norm: &'static str,
    /// The projections, inside of a layer, in the order of [`Projection::ALL`].
    pub projections: [&'static str; 6],
}

impl ModulePaths {
    /// A layer: `encoder.layer.3`.
    pub fn layer(&self, layer: usize) -> String {
        format!("{}.{layer}", self.layers)
    }

    /// The LayerNorm of a site: `encoder.layer.3.attention.output.layer_norm`.
    pub fn norm(&self, site: Site) -> String {
        let [attention, feed_forward] = self.norms;
        match site {
            Site::Embeddings => self.embeddings_norm.to_owned(),
            Site::Final => self.final_norm.to_owned(),
            Site::Attention(layer) => format!("{}.{attention}", self.layer(layer)),
            Site::FeedForward(layer) => format!("{}.{feed_forward}", self.layer(layer)),
        }
    }

    /// A linear projection inside of its layer: `attention.output.dense`.
    pub fn projection_in_layer(&self, projection: Projection) -> &'static str {
        self.projections[projection as usize]
    }

    /// A linear projection: `encoder.layer.3.attention.output.dense`.
    pub fn projection(&self, layer: usize, projection: Projection) -> String {
        format!("{}.{}", self.layer(layer), self.projection_in_layer(projection))
    }

    /// The pooler's linear layer: `pooler.dense`.
    pub fn pooler_dense(&self) -> String {
        format!("{}.{}", self.pooler, self.pooler_dense)
    }

    /// The part that the parameter at a path belongs to, if it is one of the encoder's.
    pub fn part(&self, path: &str) -> Option<EncoderPart> {
        let inside = |module: &str| path.strip_prefix(module)?.strip_prefix('.');
        let shared =
            [self.embeddings, self.relative_bias].into_iter().chain(self.distances.iter().copied());
        if shared.into_iter().any(|module| inside(module).is_some()) {
            return Some(EncoderPart::Embeddings);
        }
        if inside(self.pooler).is_some() {
            return Some(EncoderPart::Pooler);
        }
        if inside(self.final_norm).is_some() {
            return Some(EncoderPart::Final);
        }
        let (layer, _) = inside(self.layers)?.split_once('.')?;
        layer.parse().ok().map(EncoderPart::Layer)
    }
}
