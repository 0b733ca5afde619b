//! The configuration of an encoder, with the keys of Hugging Face's `config.json`.

use burn_fused::Activation;
use serde::{Deserialize, Serialize};

use crate::error::{ConfigError, InputError};
use crate::families::{ClassifierConfig, Family};
use crate::relative_bias::BUCKETS;
use crate::variations::{ConvolutionConfig, LocalAttention, OutputDropout, RelativeAttention};

/// The activation of the feed-forward, named as in Hugging Face's `hidden_act`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenActivation {
    /// `x Φ(x)`, with the error function.
    #[serde(alias = "gelu_python")]
    Gelu,
    /// GELU by the tanh approximation.
    #[serde(alias = "gelu_pytorch_tanh", alias = "gelu_python_tanh", alias = "gelu_fast")]
    GeluNew,
    /// `max(x, 0)`
    Relu,
    /// `x σ(x)`
    #[serde(alias = "swish")]
    Silu,
    /// The hyperbolic tangent.
    Tanh,
}

impl From<HiddenActivation> for Activation {
    fn from(activation: HiddenActivation) -> Self {
        match activation {
            HiddenActivation::Gelu => Self::Gelu,
            HiddenActivation::GeluNew => Self::GeluNew,
            HiddenActivation::Relu => Self::Relu,
            HiddenActivation::Silu => Self::Silu,
            HiddenActivation::Tanh => Self::Tanh,
        }
    }
}

/// The embeddings of positions.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// A table, from its first row.
    #[default]
    Absolute,
    /// A table, from the row after that of the padding id. Padding has the row of its id, as in
    /// `create_position_ids_from_input_ids` of transformers.
    AfterPadding,
    /// None; the attention knows distances.
    None,
    /// Queries and keys are turned by an angle that grows with the position.
    Rotary {
        /// The base of the wavelengths in layers that attend to all keys.
        global_theta: f64,
        /// The base of the wavelengths in layers that attend to near keys.
        local_theta: f64,
    },
}

/// Where a sub-layer has its LayerNorm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormPosition {
    /// After the sum with the residual.
    #[default]
    Post,
    /// At the input of the sub-layer, and above the last layer. The first attention has none, because the embeddings have
    /// one.
    Pre,
}

/// The configuration of an encoder.
///
/// When a `config.json` is read, keys that change the result must be supported, keys that do not are ignored, and unknown
/// keys are listed in [`unknown_keys`](Self::unknown_keys). The names are those of BERT in every family.
///
/// <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/bert/configuration_bert.py>
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
    /// The family, which decides the names in files.
    #[serde(rename = "model_type", default)]
    pub family: Family,
    /// Number of token ids.
    pub vocab_size: usize,
    /// Width of the hidden states, d_model.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of attention heads; `hidden_size` is a multiple of it.
    pub num_attention_heads: usize,
    /// Width inside the feed-forward.
    pub intermediate_size: usize,
    /// Activation of the feed-forward.
    pub hidden_act: HiddenActivation,
    /// Dropout of hidden states, in `0..1`.
    pub hidden_dropout_prob: f64,
    /// Dropout of attention probabilities, in `0..1`.
    pub attention_probs_dropout_prob: f64,
    /// Rows of the table of positions; see [`longest_text`](Self::longest_text).
    pub max_position_embeddings: usize,
    /// Number of token types (segments); 0 if there are none.
    pub type_vocab_size: usize,
    /// Standard deviation of fresh weights.
    #[serde(default = "initializer_range")]
    pub initializer_range: f64,
    /// ε of every LayerNorm.
    #[serde(default = "layer_norm_eps")]
    pub layer_norm_eps: f64,
    /// The embeddings of positions.
    #[serde(rename = "position_embedding_type", default)]
    pub positions: Positions,
    /// The id of padding, from which [`Positions::AfterPadding`] counts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pad_token_id: usize,
    /// Rows of the table of biases for the distance between query and key, which all layers share; `None` if there is
    /// none.
    #[serde(
        rename = "relative_attention_num_buckets",
        default,
        skip_serializing_if = "is_default"
    )]
    pub relative_attention_buckets: Option<usize>,
    /// Width of the embeddings, which are then projected to `hidden_size`; `None` if it is the same.
    #[serde(default, skip_serializing_if = "is_default")]
    pub embedding_size: Option<usize>,
    /// Whether the embeddings are projected before their LayerNorm, not after it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub projects_embeddings_before_norm: bool,
    /// Dropout of the embeddings, in `0..1`, if it differs from that of hidden states.
    #[serde(default, skip_serializing_if = "is_default")]
    pub embedding_dropout: Option<f64>,
    /// Which outputs are dropped out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub output_dropout: OutputDropout,
    /// Whether half of the wide states of the feed-forward is multiplied with the activation of the other half; the
    /// first projection then is twice as wide.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gated_feed_forward: bool,
    /// Whether the projections of the attention have a bias.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub attention_bias: bool,
    /// Whether the projections of the feed-forward have a bias.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub feed_forward_bias: bool,
    /// Whether LayerNorms have a shift.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub norm_bias: bool,
    /// Width of a head, if a file names it: `hidden_size / num_attention_heads`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attention_head_size: Option<usize>,
    /// The factor of `1 / √score_terms` of the attention's scores: the number of terms of disentangled attention.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub score_terms: usize,
    /// Attention to near keys.
    #[serde(default, skip_serializing_if = "is_default")]
    pub local_attention: Option<LocalAttention>,
    /// Disentangled attention.
    #[serde(default, skip_serializing_if = "is_default")]
    pub relative_attention: Option<RelativeAttention>,
    /// A convolution beside the first layer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub convolution: Option<ConvolutionConfig>,
    /// Where sub-layers have their LayerNorm.
    #[serde(default, skip_serializing_if = "is_default")]
    pub norm_position: NormPosition,
    /// Whether there is a pooler; a checkpoint may leave it out.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub has_pooler: bool,
    /// The settings of the classifier of the family's class in transformers, if it has any; see
    /// [`sequence_classifier`](Self::sequence_classifier).
    #[serde(default, skip_serializing_if = "is_default")]
    pub classifier: Option<ClassifierConfig>,
    /// Keys of the file that neither transformers nor this crate knows; they have no effect.
    #[serde(skip)]
    pub unknown_keys: Vec<String>,
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(count: &usize) -> bool {
    *count == 1
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

// The defaults of transformers for keys that a config.json may leave out.
fn initializer_range() -> f64 {
    0.02
}

fn layer_norm_eps() -> f64 {
    1e-12
}

impl BertConfig {
    /// BERT-base, uncased: 12 layers, 768 wide.
    pub fn bert_base() -> Self {
        Self {
            family: Family::Bert,
            vocab_size: 30522,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: HiddenActivation::Gelu,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            initializer_range: initializer_range(),
            layer_norm_eps: layer_norm_eps(),
            positions: Positions::Absolute,
            pad_token_id: 0,
            relative_attention_buckets: None,
            embedding_size: None,
            projects_embeddings_before_norm: false,
            embedding_dropout: None,
            output_dropout: OutputDropout::SubLayers,
            gated_feed_forward: false,
            attention_bias: true,
            feed_forward_bias: true,
            norm_bias: true,
            attention_head_size: None,
            score_terms: 1,
            local_attention: None,
            relative_attention: None,
            convolution: None,
            norm_position: NormPosition::Post,
            has_pooler: true,
            classifier: None,
            unknown_keys: Vec::new(),
        }
    }

    /// BERT-large, uncased: 24 layers, 1024 wide.
    pub fn bert_large() -> Self {
        Self {
            hidden_size: 1024,
            num_hidden_layers: 24,
            num_attention_heads: 16,
            intermediate_size: 4096,
            ..Self::bert_base()
        }
    }

    /// Sets all dropout rates, in `0..1`.
    #[must_use]
    pub fn with_dropout(self, dropout: f64) -> Self {
        Self {
            hidden_dropout_prob: dropout,
            attention_probs_dropout_prob: dropout,
            embedding_dropout: None,
            ..self
        }
    }

    /// Checks that the values describe an encoder.
    ///
    /// # Errors
    /// The first value that does not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key, found, expected: &str| Err(ConfigError::value(key, found, expected));
        let counts = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("embedding_size", self.embedding_size.unwrap_or(self.hidden_size)),
        ];
        for (key, count) in counts {
            if count == 0 {
                return wrong(key, "0".to_owned(), "1 or more");
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let expected =
                format!("a multiple of num_attention_heads, {}", self.num_attention_heads);
            return wrong("hidden_size", self.hidden_size.to_string(), &expected);
        }
        if let Some(buckets) = self.relative_attention_buckets.filter(|count| *count < BUCKETS) {
            let expected = format!("{BUCKETS} or more, because distances have so many rows");
            return wrong("relative_attention_num_buckets", buckets.to_string(), &expected);
        }
        if self.longest_text() == 0 {
            let expected =
                format!("more than pad_token_id + 1, {}", self.pad_token_id.saturating_add(1));
            return wrong(
                "max_position_embeddings",
                self.max_position_embeddings.to_string(),
                &expected,
            );
        }
        let rates = [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
            ("embedding_dropout", self.embedding_dropout.unwrap_or(0.0)),
        ];
        for (key, rate) in rates {
            if !(0.0..1.0).contains(&rate) {
                return wrong(key, rate.to_string(), "a rate from 0 to below 1");
            }
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            let expected = "a small number above 0";
            return wrong("layer_norm_eps", self.layer_norm_eps.to_string(), expected);
        }
        if !(self.initializer_range >= 0.0 && self.initializer_range.is_finite()) {
            let expected = "a standard deviation";
            return wrong("initializer_range", self.initializer_range.to_string(), expected);
        }
        self.check_variations()
    }

    /// The most tokens of a text.
    pub fn longest_text(&self) -> usize {
        match self.positions {
            Positions::Absolute | Positions::None | Positions::Rotary { .. } => {
                self.max_position_embeddings
            }
            Positions::AfterPadding => {
                self.max_position_embeddings.saturating_sub(self.pad_token_id.saturating_add(1))
            }
        }
    }

    /// Checks the ids of one text before they become tensors of a [`BertInput`](crate::BertInput).
    ///
    /// A GPU does not report an index outside of an embedding table, so ids from other sources must be checked.
    ///
    /// # Errors
    /// If the text has no tokens, or a token id, token type or position without an embedding.
    pub fn check_text(&self, input_ids: &[u32], token_type_ids: &[u32]) -> Result<(), InputError> {
        let out_of_range =
            |what, found: usize, count| InputError::OutOfRange { what, found, count };
        if input_ids.is_empty() {
            return Err(InputError::NoTokens);
        }
        if let Some(&id) = input_ids.iter().find(|id| **id as usize >= self.vocab_size) {
            return Err(out_of_range("token id", id as usize, self.vocab_size));
        }
        // An encoder without token types does not read them.
        let types = self.type_vocab_size;
        let out_of_types = token_type_ids.iter().find(|kind| types > 0 && **kind as usize >= types);
        if let Some(&kind) = out_of_types {
            return Err(out_of_range("token type", kind as usize, types));
        }
        if input_ids.len() > self.longest_text() {
            return Err(out_of_range("position", input_ids.len() - 1, self.longest_text()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_refused(change: impl FnOnce(&mut BertConfig), sentence: &str) {
        let mut config = BertConfig::bert_base();
        change(&mut config);
        assert_eq!(config.check().unwrap_err().to_string(), sentence);
    }

    #[test]
    fn unsupported_values_are_refused() {
        check_refused(
            |config| (config.positions, config.pad_token_id) = (Positions::AfterPadding, 511),
            "the configuration has max_position_embeddings 512, expected more than pad_token_id + 1, 512",
        );
        check_refused(
            |config| config.relative_attention_buckets = Some(31),
            "the configuration has relative_attention_num_buckets 31, expected 32 or more, because distances have so many rows",
        );
        check_refused(
            |config| config.num_attention_heads = 7,
            "the configuration has hidden_size 768, expected a multiple of num_attention_heads, 7",
        );
        check_refused(
            |config| config.vocab_size = 0,
            "the configuration has vocab_size 0, expected 1 or more",
        );
        check_refused(
            |config| config.hidden_dropout_prob = 1.0,
            "the configuration has hidden_dropout_prob 1, expected a rate from 0 to below 1",
        );
        for epsilon in [0.0, -1e-12, f64::NAN, f64::INFINITY] {
            check_refused(
                |config| config.layer_norm_eps = epsilon,
                &format!(
                    "the configuration has layer_norm_eps {epsilon}, expected a small number above 0"
                ),
            );
        }
    }

    #[test]
    fn ids_without_an_embedding_are_refused() {
        let config = BertConfig::bert_base();
        config.check_text(&[101, 30521, 102], &[0, 1, 1]).unwrap();
        let sentence =
            |ids: &[u32], types: &[u32]| config.check_text(ids, types).unwrap_err().to_string();
        assert_eq!(
            sentence(&[30522], &[0]),
            "token id 30522 is out of range: the encoder has 30522"
        );
        assert_eq!(sentence(&[0], &[2]), "token type 2 is out of range: the encoder has 2");
        assert_eq!(
            sentence(&[0; 513], &[0; 513]),
            "position 512 is out of range: the encoder has 512"
        );
        assert_eq!(sentence(&[], &[]), "a text has no tokens, expected at least one");
    }

    #[test]
    fn a_configuration_is_the_same_after_json() {
        let json = serde_json::to_string(&BertConfig::bert_large()).unwrap();
        assert_eq!(serde_json::from_str::<BertConfig>(&json).unwrap(), BertConfig::bert_large());
    }
}
