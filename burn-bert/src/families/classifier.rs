//! The sequence classifier that transformers has for a family, and the settings of it in `config.json`.

use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};

use crate::config::{BertConfig, HiddenActivation};

/// The head of the class for sequence classification in transformers.
#[derive(Debug, Clone, Copy)]
pub struct ClassifierNames {
    /// Name of the class: `RobertaForSequenceClassification`.
    pub architecture: &'static str,
    /// Its hidden layer; without one, it reads the pooler.
    pub hidden: Option<ClassifierHidden>,
    /// Name of the last layer: `classifier.out_proj`.
    pub output: &'static str,
    /// Name of the class for question answering.
    pub question_answering: &'static str,
    /// Name of the class for token classification, whose last layer is `classifier`.
    pub token_classification: &'static str,
    /// Name of the layer of that class: `qa_outputs`.
    pub span_output: &'static str,
    /// Name of the class without a head.
    pub encoder: &'static str,
}

/// The hidden layer of a sequence classifier: a square matrix and an activation.
#[derive(Debug, Clone, Copy)]
pub struct ClassifierHidden {
    /// Its name in the checkpoint: `classifier.dense`.
    pub name: &'static str,
    /// After it, where `config.json` does not name another.
    pub activation: HiddenActivation,
    /// The name of a LayerNorm after the activation: `head.norm`. Such a layer is also in front of the other heads of the
    /// family, that of the language model included, so that published checkpoints have trained values of it.
    pub norm: Option<&'static str>,
}

/// What a `config.json` says about the classifier of a family whose class has settings for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassifierConfig {
    /// Activation of the hidden layer.
    pub activation: HiddenActivation,
    /// What it reads, if that is a setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooling: Option<ClassifierPooling>,
    /// Whether the hidden layer has a bias, if that is a setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_bias: Option<bool>,
}

/// What a sequence classifier reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassifierPooling {
    /// The pooler.
    Pooler,
    /// The first token.
    Cls,
    /// The mean of the tokens, without padding.
    Mean,
}

/// The sequence classifier of a base's class in transformers, without its last layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SequenceClassifier {
    /// What it reads.
    pub pooling: ClassifierPooling,
    /// Its hidden layer.
    pub hidden: Option<ClassifierLayer>,
}

/// The hidden layer of a sequence classifier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassifierLayer {
    /// After the square matrix.
    pub activation: HiddenActivation,
    /// Whether there is a bias beside the matrix.
    pub has_bias: bool,
    /// The LayerNorm after the activation.
    pub norm: Option<ClassifierNorm>,
}

/// The LayerNorm of a sequence classifier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassifierNorm {
    /// ε
    pub epsilon: f64,
    /// Whether it has a shift.
    pub has_bias: bool,
}

/// The weights of a classifier's hidden layer in a checkpoint.
#[derive(Debug, Clone)]
pub struct PretrainedHead {
    /// `[d_model, d_model]`, the input's axis first.
    pub weight: TensorData,
    /// `[d_model]`
    pub bias: Option<TensorData>,
    /// The LayerNorm's scale, `[d_model]`.
    pub gamma: TensorData,
    /// The LayerNorm's shift, `[d_model]`.
    pub beta: Option<TensorData>,
}

impl BertConfig {
    /// The sequence classifier of the base's class in transformers.
    pub fn sequence_classifier(&self) -> SequenceClassifier {
        let Some(hidden) = self.family.classifier().hidden else {
            return SequenceClassifier { pooling: ClassifierPooling::Pooler, hidden: None };
        };
        let own = self.classifier;
        let pooling = own.and_then(|own| own.pooling).unwrap_or(ClassifierPooling::Cls);
        let norm = ClassifierNorm { epsilon: self.layer_norm_eps, has_bias: self.norm_bias };
        let hidden = ClassifierLayer {
            activation: own.map_or(hidden.activation, |own| own.activation),
            has_bias: own.and_then(|own| own.has_bias).unwrap_or(true),
            norm: hidden.norm.map(|_| norm),
        };
        SequenceClassifier { pooling, hidden: Some(hidden) }
    }
}
