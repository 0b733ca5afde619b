//! The head that transformers' classifier of a family has.

use burn_bert::{ClassifierPooling, SequenceClassifier};

use super::config::TaskAdapterConfig;
use super::head::{HeadNorm, Pooling};
use crate::methods::Activation;

/// How a sequence classifier reads a text: what it pools, and its hidden layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassifierHead {
    /// How the hidden states of a text become one vector.
    pub pooling: Pooling,
    /// Activation of a hidden layer, if there is one.
    pub hidden: Option<Activation>,
    /// Whether the hidden layer has a bias.
    pub hidden_bias: bool,
    /// The LayerNorm after the hidden layer, if there is one.
    pub norm: Option<HeadNorm>,
}

impl ClassifierHead {
    /// A linear layer on pooled texts.
    pub fn linear(pooling: Pooling) -> Self {
        Self { pooling, hidden: None, hidden_bias: true, norm: None }
    }

    /// Whether its layers before the last are those of another.
    pub fn has_layers_of(&self, other: &Self) -> bool {
        *self == Self { pooling: self.pooling, ..*other }
    }
}

impl From<SequenceClassifier> for ClassifierHead {
    /// The head of the base's class for sequence classification in transformers: BERT's reads the pooler, that of the
    /// others the first token or the mean through a hidden layer. Its dropouts are not part of it.
    fn from(classifier: SequenceClassifier) -> Self {
        let pooling = match classifier.pooling {
            ClassifierPooling::Pooler => Pooling::Pooler,
            ClassifierPooling::Cls => Pooling::FirstToken,
            ClassifierPooling::Mean => Pooling::Mean,
        };
        match classifier.hidden {
            None => Self::linear(pooling),
            Some(layer) => Self {
                pooling,
                hidden: Some(layer.activation.into()),
                hidden_bias: layer.has_bias,
                norm: layer
                    .norm
                    .map(|norm| HeadNorm { epsilon: norm.epsilon, bias: norm.has_bias }),
            },
        }
    }
}

impl TaskAdapterConfig {
    /// Pooling and layers of the head.
    pub fn classifier(&self) -> ClassifierHead {
        ClassifierHead {
            pooling: self.pooling,
            hidden: self.head_hidden,
            hidden_bias: self.head_hidden_bias,
            norm: self.head_norm,
        }
    }

    /// Sets pooling and layers of the head to those of a classifier.
    ///
    /// A head that reads every token has the layers only if they end in a LayerNorm, as those of `ModernBERT` do, whose
    /// classes all have them.
    #[must_use]
    pub fn with_classifier(self, classifier: impl Into<ClassifierHead>) -> Self {
        let classifier: ClassifierHead = classifier.into();
        if !self.head.reads_tokens() {
            return self.with_head_layers(classifier);
        }
        if classifier.norm.is_none() {
            return self;
        }
        self.with_head_layers(ClassifierHead { pooling: Pooling::FirstToken, ..classifier })
    }

    /// Sets pooling and layers of the head.
    #[must_use]
    pub fn with_head_layers(self, layers: ClassifierHead) -> Self {
        Self {
            pooling: layers.pooling,
            head_hidden: layers.hidden,
            head_hidden_bias: layers.hidden_bias,
            head_norm: layers.norm,
            ..self
        }
    }
}
