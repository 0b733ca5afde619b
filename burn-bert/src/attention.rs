//! The attention sub-layer.

use burn::module::Module;
use burn::nn::{Dropout, Linear};
use burn::tensor::{Bool, Tensor};
use burn_fused::{AttentionOptions, RelativeTerms, Rotary, attention, dropout, linear};

use crate::insertion::{Insertions, Projection, Site};
use crate::projection::project;
use crate::residual::{Residual, ResidualPosition};
use crate::variations::RelativeAttention;

/// The attention of a layer, with its output projection and residual connection.
#[derive(Module, Debug)]
pub(crate) struct Attention {
    /// `attention.self` in the checkpoint; `self` is a keyword of Rust.
    pub(crate) self_attention: SelfAttention,
    pub(crate) output: Residual,
}

/// What the attention of every layer reads besides the hidden states.
#[derive(Clone, Copy)]
pub(crate) struct AttentionContext<'a> {
    /// `[batch, sequence]`
    pub(crate) attention_mask: &'a Tensor<2, Bool>,
    /// Added to the scaled scores: `[1, heads, sequence, sequence]`.
    pub(crate) bias: Option<&'a Tensor<4>>,
    /// The embeddings of the text's distances: `[1, rows, d_model]`.
    pub(crate) distances: Option<&'a Tensor<3>>,
    /// The angles of positions in layers that attend to all keys, and to near keys.
    pub(crate) rotary: Option<&'a [Rotary; 2]>,
}

/// Multi-head self-attention without its output projection.
///
/// <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/bert/modeling_bert.py> (`BertSelfAttention`)
#[derive(Module, Debug)]
pub(crate) struct SelfAttention {
    /// `[d_model, d_model]`
    pub(crate) query: Linear,
    /// `[d_model, d_model]`
    pub(crate) key: Linear,
    /// `[d_model, d_model]`
    pub(crate) value: Linear,
    /// Of the attention probabilities.
    pub(crate) dropout: Dropout,
    /// Number of heads.
    #[module(skip)]
    pub(crate) heads: usize,
    /// The factor of the scores.
    #[module(skip)]
    pub(crate) scale: f64,
    /// The largest distance between query and key.
    #[module(skip)]
    pub(crate) window: Option<usize>,
    /// `[d_model, d_model]`, of distances as keys, where they do not share the key's.
    pub(crate) pos_key_proj: Option<Linear>,
    /// `[d_model, d_model]`, of distances as queries, where they do not share the query's.
    pub(crate) pos_query_proj: Option<Linear>,
    /// Of the embeddings of distances.
    pub(crate) pos_dropout: Dropout,
    #[module(skip)]
    pub(crate) relative: Option<RelativeAttention>,
}

impl Attention {
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    pub(crate) fn forward(
        &self,
        hidden: Tensor<3>,
        context: AttentionContext<'_>,
        layer: usize,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        let site = Site::Attention(layer);
        let input = self.output.sub_layer_input(site, &hidden, insertions);
        let output = self.self_attention.forward(&input, context, layer, insertions);
        let position = ResidualPosition { layer, site, projection: Projection::AttentionOutput };
        self.output.forward(output, hidden, position, insertions)
    }
}

impl SelfAttention {
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    fn forward(
        &self,
        hidden: &Tensor<3>,
        context: AttentionContext<'_>,
        layer: usize,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        let project = |projection, dense: &Linear| {
            project(hidden.clone(), dense, layer, projection, insertions)
        };
        let query = project(Projection::Query, &self.query);
        let key = project(Projection::Key, &self.key);
        let value = project(Projection::Value, &self.value);
        let AttentionContext { attention_mask, bias, distances, rotary } = context;
        let [query, key] = match rotary {
            Some([_, near]) if self.window.is_some() => [near.turn(query), near.turn(key)],
            Some([all, _]) => [all.turn(query), all.turn(key)],
            None => [query, key],
        };
        let relative = distances.zip(self.relative).map(|(distances, settings)| {
            self.relative_terms(distances, settings, layer, insertions)
        });
        let options = AttentionOptions {
            scale: Some(self.scale),
            window: self.window,
            bias,
            relative: relative.as_ref(),
            ..AttentionOptions::new(self.heads, &self.dropout)
        };
        let Some(prefix) = insertions.prefix(layer, hidden) else {
            return attention(query, key, value, attention_mask, options);
        };
        let [batch, length, _] = prefix.keys.dims();
        let never_masked = Tensor::<2, Bool>::full([batch, length], true, &attention_mask.device());
        let attention_mask = Tensor::cat(vec![never_masked, attention_mask.clone()], 1); // [batch, length + sequence]
        let key = Tensor::cat(vec![prefix.keys, key], 1); // [batch, length + sequence, d_model]
        let value = Tensor::cat(vec![prefix.values, value], 1);
        attention(query, key, value, &attention_mask, options)
    }

    /// The embeddings of distances as keys and as queries; insertions may differ from text to text.
    ///
    /// <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/deberta_v2/modeling_deberta_v2.py>
    /// (`disentangled_attention_bias`)
    ///
    /// # Shapes
    /// - distances: `[1, rows, d_model]`
    fn relative_terms(
        &self,
        distances: &Tensor<3>,
        settings: RelativeAttention,
        layer: usize,
        insertions: &dyn Insertions,
    ) -> RelativeTerms {
        let distances = dropout(distances.clone(), &self.pos_dropout);
        let table = |own: &Option<Linear>, shared: &Linear, projection| match own {
            Some(own) => linear(distances.clone(), own),
            None => project(distances.clone(), shared, layer, projection, insertions),
        };
        let RelativeAttention { content_to_position, position_to_content, .. } = settings;
        RelativeTerms {
            key: content_to_position.then(|| table(&self.pos_key_proj, &self.key, Projection::Key)),
            query: position_to_content
                .then(|| table(&self.pos_query_proj, &self.query, Projection::Query)),
            buckets: settings.buckets(),
        }
    }
}
