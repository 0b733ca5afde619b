//! What encoders of other families have instead of, or beside, the parts of a BERT.

use burn_fused::DistanceBuckets;
use serde::{Deserialize, Serialize};

use crate::config::{BertConfig, HiddenActivation, Positions};
use crate::error::ConfigError;

/// The most rows of one side of a table of distances, and the most positions of a kernel; a text is shorter.
const MOST_ROWS: usize = 1 << 20;

/// Which outputs are dropped out, besides the embeddings and the attention probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputDropout {
    /// Those of both sub-layers.
    #[default]
    SubLayers,
    /// That of the feed-forward.
    FeedForward,
    /// That of the attention, with the rate of its probabilities, and in the feed-forward the input of its second
    /// projection.
    BeforeProjection,
}

/// Attention of most layers to near keys only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalAttention {
    /// The largest distance between query and key.
    pub window: usize,
    /// Layers whose index is a multiple of this attend to all keys.
    pub global_every: usize,
}

/// Disentangled attention, with a table of distances that all layers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelativeAttention {
    /// Half of the number of rows of the table.
    pub span: usize,
    /// The distance of the last row plus one, if large distances share rows on a logarithmic scale.
    pub max_distance: Option<usize>,
    /// Whether queries are multiplied with the distances.
    pub content_to_position: bool,
    /// Whether keys are multiplied with the distances.
    pub position_to_content: bool,
    /// Whether the projections of queries and keys are those of the distances too.
    pub shares_projections: bool,
    /// Whether the table passes through a LayerNorm.
    pub has_norm: bool,
}

impl RelativeAttention {
    /// The rows of distances.
    pub(crate) fn buckets(&self) -> DistanceBuckets {
        let span = self.span;
        match self.max_distance {
            Some(max_distance) => DistanceBuckets::Logarithmic { span, max_distance },
            None => DistanceBuckets::Each { span },
        }
    }
}

/// A convolution over the positions of the embeddings, which is added to the first layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvolutionConfig {
    /// Positions of the kernel; odd.
    pub kernel_size: usize,
    /// The number of groups of channels.
    pub groups: usize,
    /// After the convolution.
    pub activation: HiddenActivation,
}

impl BertConfig {
    /// Checks the values of the variations.
    pub(crate) fn check_variations(&self) -> Result<(), ConfigError> {
        let wrong = |key, found, expected: &str| Err(ConfigError::value(key, found, expected));
        let d_head = self.hidden_size / self.num_attention_heads;
        if let Some(found) = self.attention_head_size.filter(|found| *found != d_head) {
            let expected = format!("{d_head}, hidden_size / num_attention_heads");
            return wrong("attention_head_size", found.to_string(), &expected);
        }
        if let Positions::Rotary { global_theta, local_theta } = self.positions {
            if !d_head.is_multiple_of(2) {
                let expected = "even heads, whose numbers are turned in pairs";
                return wrong("hidden_size / num_attention_heads", d_head.to_string(), expected);
            }
            for (key, theta) in
                [("global_rope_theta", global_theta), ("local_rope_theta", local_theta)]
            {
                if !(theta > 0.0 && theta.is_finite()) {
                    return wrong(key, theta.to_string(), "a number above 0");
                }
            }
        }
        if self.local_attention.is_some_and(|local| local.global_every == 0) {
            return wrong("global_attn_every_n_layers", "0".to_owned(), "1 or more");
        }
        if self.score_terms == 0 {
            return wrong("score_terms", "0".to_owned(), "1 or more");
        }
        if let Some(relative) = self.relative_attention {
            let RelativeAttention { span, max_distance, .. } = relative;
            // The logarithmic rows are those behind half of the span.
            let least = if max_distance.is_some() { 2 } else { 1 };
            if !(least..=MOST_ROWS).contains(&span) {
                let expected = format!("{least} to {MOST_ROWS}");
                return wrong("position_buckets", span.to_string(), &expected);
            }
            if let Some(max_distance) = max_distance.filter(|most| *most <= span / 2 + 1) {
                let expected = format!("more than position_buckets / 2 + 1, {}", span / 2 + 1);
                return wrong("max_relative_positions", max_distance.to_string(), &expected);
            }
        }
        if let Some(ConvolutionConfig { kernel_size, groups, .. }) = self.convolution {
            if kernel_size.is_multiple_of(2) || kernel_size > MOST_ROWS {
                let expected = "an odd number of positions";
                return wrong("conv_kernel_size", kernel_size.to_string(), expected);
            }
            if groups == 0 || !self.hidden_size.is_multiple_of(groups) {
                let expected = format!("a divisor of hidden_size, {}", self.hidden_size);
                return wrong("conv_groups", groups.to_string(), &expected);
            }
        }
        Ok(())
    }
}
