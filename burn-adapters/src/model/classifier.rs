//! The head that transformers' classifier of a family has.

use burn_bert::Family;

use super::config::TaskAdapterConfig;
use super::head::Pooling;
use crate::methods::Activation;

/// How a sequence classifier reads a text: what it pools, and its hidden layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassifierHead {
    /// How the hidden states of a text become one vector.
    pub pooling: Pooling,
    /// Activation of a hidden layer, if there is one.
    pub hidden: Option<Activation>,
}

impl ClassifierHead {
    /// The head of the family's class for sequence classification in transformers: BERT's reads the pooler, that of
    /// the others the first token through a hidden layer. Its dropouts are not part of it, nor is the LayerNorm after
    /// ModernBERT's hidden layer.
    pub fn of(family: Family) -> Self {
        match family.classifier().hidden {
            None => Self { pooling: Pooling::Pooler, hidden: None },
            Some(layer) => {
                Self { pooling: Pooling::FirstToken, hidden: Some(layer.activation.into()) }
            }
        }
    }
}

impl TaskAdapterConfig {
    /// Sets pooling and hidden layer to those of transformers' sequence classifier of the base's family; a head that
    /// reads every token has neither.
    #[must_use]
    pub fn with_classifier_of(self, family: Family) -> Self {
        if self.head.reads_tokens() {
            return self;
        }
        let ClassifierHead { pooling, hidden } = ClassifierHead::of(family);
        self.with_pooling(pooling).with_head_hidden(hidden)
    }
}
