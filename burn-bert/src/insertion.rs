//! Insertions: the sites and projections of an encoder, and the trait whose methods it calls there.
//! The inserted modules (adapters, norms, low-rank matrices) are implemented elsewhere.
//!
//! The two sites of a layer are those of Houlsby et al. 2019, section 2.1 and figure 2.

use burn::nn::Linear;
use burn::tensor::Tensor;
use burn_fused::{LayerNorm, ResidualInputs};
use serde::{Deserialize, Serialize};

/// A place of the encoder with a LayerNorm, most of them also with a residual connection; layers count from 0 at the
/// bottom.
///
/// In a post-norm encoder the LayerNorm of a sub-layer is at its end, in a pre-norm encoder at its start; the end of the
/// sub-layer, where adapters are inserted, is the same in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    /// After the sum of word, position and token-type embeddings.
    Embeddings,
    /// After the attention output projection of a layer.
    Attention(usize),
    /// After the second feed-forward projection of a layer.
    FeedForward(usize),
    /// Above the last layer of a pre-norm encoder.
    Final,
}

impl Site {
    /// All sites that an encoder of so many layers may have, from the bottom.
    pub fn all(n_layers: usize) -> impl Iterator<Item = Self> {
        let layers =
            (0..n_layers).flat_map(|layer| [Self::Attention(layer), Self::FeedForward(layer)]);
        std::iter::once(Self::Embeddings).chain(layers).chain([Self::Final])
    }

    /// The part of the encoder that the site is in.
    pub fn part(self) -> EncoderPart {
        match self {
            Self::Embeddings => EncoderPart::Embeddings,
            Self::Final => EncoderPart::Final,
            Self::Attention(layer) | Self::FeedForward(layer) => EncoderPart::Layer(layer),
        }
    }
}

/// The part of an encoder that a parameter belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncoderPart {
    /// The embedding tables and their norm, and the tables for distances, which all layers share.
    Embeddings,
    /// A layer, counted from 0 at the bottom.
    Layer(usize),
    /// The norm above the last layer.
    Final,
    /// The pooler.
    Pooler,
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

/// Keys and values in front of a layer's own: every token attends to them, and no mask hides them.
#[derive(Debug, Clone)]
pub struct Prefix {
    /// `[batch, length, d_model]`, heads side by side as after the projections.
    pub keys: Tensor<3>,
    /// `[batch, length, d_model]`
    pub values: Tensor<3>,
}

impl Prefix {
    /// This prefix followed by another.
    #[must_use]
    pub fn followed_by(self, next: Self) -> Self {
        Self {
            keys: Tensor::cat(vec![self.keys, next.keys], 1),
            values: Tensor::cat(vec![self.values, next.values], 1),
        }
    }
}

/// The LayerNorm at the end of a sub-layer, if the family of the encoder has one there.
#[derive(Debug, Clone, Copy)]
pub enum ResidualNorm<'a> {
    /// Post-norm: the sum with the residual passes through this LayerNorm.
    Post(&'a LayerNorm),
    /// Pre-norm: the sum with the residual is the result. The LayerNorm is at the sub-layer's input, where the encoder
    /// calls [`Insertions::norm`].
    Pre,
}

impl<'a> ResidualNorm<'a> {
    /// The sum of the inputs, through the LayerNorm if there is one.
    ///
    /// # Shapes
    /// - each input, result: `[batch, sequence, d_model]`
    pub fn forward(self, inputs: impl Into<ResidualInputs>) -> Tensor<3> {
        match self {
            Self::Post(norm) => norm.forward(inputs),
            Self::Pre => inputs.into().sum(),
        }
    }

    /// With `own` instead of the encoder's LayerNorm, if there are both.
    #[must_use]
    pub fn with_own(self, own: Option<&'a LayerNorm>) -> Self {
        match (self, own) {
            (Self::Post(_), Some(own)) => Self::Post(own),
            _ => self,
        }
    }
}

/// Modules that are inserted into an encoder whose own weights do not change.
///
/// The encoder calls a method at each site and projection, and continues with the result. Every method has a default
/// that forwards to [`inner`](Self::inner): the methods that a type does not implement are those of the insertions it
/// wraps, or of the plain encoder. Hidden states are `[batch, sequence, d_model]`.
pub trait Insertions {
    /// The insertions that the other methods forward to by default in a part of the encoder: what a wrapper wraps, or
    /// `&()`, the plain encoder.
    ///
    /// There is no default, so that no wrapper can lose the methods it does not implement.
    fn inner(&self, part: EncoderPart) -> &dyn Insertions;

    /// The end of a sub-layer: the sum with the residual, and the LayerNorm of post-norm encoders.
    ///
    /// `residual` is the sub-layer's input, `output` its output after projection and dropout.
    ///
    /// # Shapes
    /// - residual, output, result: `[batch, sequence, d_model]`
    fn add_and_norm(
        &self,
        site: Site,
        residual: Tensor<3>,
        output: Tensor<3>,
        norm: ResidualNorm<'_>,
    ) -> Tensor<3> {
        self.inner(site.part()).add_and_norm(site, residual, output, norm)
    }

    /// The LayerNorm of a site without a residual: the embeddings, the sub-layers of pre-norm encoders, and that above
    /// their last layer.
    ///
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    fn norm(&self, site: Site, hidden: Tensor<3>, norm: &LayerNorm) -> Tensor<3> {
        self.inner(site.part()).norm(site, hidden, norm)
    }

    /// The input of a linear projection.
    ///
    /// # Shapes
    /// - input, result: `[batch, sequence, d_input]`
    fn project_input(&self, layer: usize, projection: Projection, input: Tensor<3>) -> Tensor<3> {
        self.inner(EncoderPart::Layer(layer)).project_input(layer, projection, input)
    }

    /// The output of a linear projection; `input` is its input, and `dense` the encoder's layer, whose weights some
    /// modules need.
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
        dense: &Linear,
    ) -> Tensor<3> {
        self.inner(EncoderPart::Layer(layer)).project(layer, projection, input, output, dense)
    }

    /// The output of the pooler's linear projection, before its activation; `input` is the first token of each text.
    ///
    /// # Shapes
    /// - input, output, result: `[batch, d_model]`
    fn project_pooler(&self, input: &Tensor<2>, output: Tensor<2>, dense: &Linear) -> Tensor<2> {
        self.inner(EncoderPart::Pooler).project_pooler(input, output, dense)
    }

    /// Keys and values in front of a layer's own; `hidden` is the layer's input.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    fn prefix(&self, layer: usize, hidden: &Tensor<3>) -> Option<Prefix> {
        self.inner(EncoderPart::Layer(layer)).prefix(layer, hidden)
    }
}

/// No insertions: the plain encoder.
impl Insertions for () {
    fn inner(&self, _part: EncoderPart) -> &dyn Insertions {
        self
    }

    fn add_and_norm(
        &self,
        _site: Site,
        residual: Tensor<3>,
        output: Tensor<3>,
        norm: ResidualNorm<'_>,
    ) -> Tensor<3> {
        norm.forward([output, residual])
    }

    fn norm(&self, _site: Site, hidden: Tensor<3>, norm: &LayerNorm) -> Tensor<3> {
        norm.forward(hidden)
    }

    fn project_input(&self, _layer: usize, _at: Projection, input: Tensor<3>) -> Tensor<3> {
        input
    }

    fn project(
        &self,
        _layer: usize,
        _at: Projection,
        _input: &Tensor<3>,
        output: Tensor<3>,
        _dense: &Linear,
    ) -> Tensor<3> {
        output
    }

    fn project_pooler(&self, _input: &Tensor<2>, output: Tensor<2>, _dense: &Linear) -> Tensor<2> {
        output
    }

    fn prefix(&self, _layer: usize, _hidden: &Tensor<3>) -> Option<Prefix> {
        None
    }
}
