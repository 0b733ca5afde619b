//! The configuration of a task adapter.

use serde::{Deserialize, Serialize};

use super::head::{HeadKind, HeadNorm, Pooling};
use crate::methods::{Activation, AdapterPlan};

/// Configuration of a [`TaskAdapter`](crate::TaskAdapter): with the base, enough to build it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskAdapterConfig {
    /// What is inserted, and what of the base trains.
    pub plan: AdapterPlan,
    /// What the head predicts.
    ///
    /// A file holds the number of outputs here, and their meaning in its metadata.
    #[serde(rename = "outputs", with = "outputs")]
    pub head: HeadKind,
    /// How the hidden states of a text become one vector.
    pub pooling: Pooling,
    /// Rate of the dropout before the head's linear layers, at least 0 and below 1; the paper has 0.1. A span head has
    /// no dropout, whatever the rate.
    pub head_dropout: f64,
    /// Activation of a hidden layer of the head. The paper's head has none; `AdapterHub`'s has one, with tanh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_hidden: Option<Activation>,
    /// Whether the hidden layer has a bias, as all have but `ModernBERT`'s.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub head_hidden_bias: bool,
    /// The LayerNorm after the hidden layer, which `ModernBERT`'s head has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_norm: Option<HeadNorm>,
    /// Seed of every weight that starts at random.
    pub seed: u64,
    /// Plans of the trained adapters that are fused, in their order; empty for a task with adapters of its own.
    ///
    /// Files omit it if it is empty, as files from before it existed do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fused: Vec<AdapterPlan>,
}

fn yes() -> bool {
    true
}

/// A head in a file: its number of outputs.
mod outputs {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::HeadKind;

    pub(super) fn serialize<S: Serializer>(head: &HeadKind, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(head.outputs() as u64)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<HeadKind, D::Error> {
        let outputs = usize::deserialize(from)?;
        if outputs > HeadKind::MAX_UNNAMED {
            let most = HeadKind::MAX_UNNAMED;
            let message = format!("the head has {outputs} outputs, expected at most {most}");
            return Err(D::Error::custom(message));
        }
        Ok(HeadKind::unnamed(outputs))
    }
}

impl TaskAdapterConfig {
    /// A task with a plan and a head.
    ///
    /// By default, the head is one linear layer with a dropout of 0.1; a head of spans or tags reads every
    /// token, any other the base's pooler; the seed is 0, and nothing is fused.
    pub fn new(plan: AdapterPlan, head: HeadKind) -> Self {
        let pooling = if head.reads_tokens() { Pooling::FirstToken } else { Pooling::Pooler };
        Self {
            plan,
            head,
            pooling,
            head_dropout: 0.1,
            head_hidden: None,
            head_hidden_bias: true,
            head_norm: None,
            seed: 0,
            fused: Vec::new(),
        }
    }

    /// Sets how the hidden states of a text become one vector.
    #[must_use]
    pub fn with_pooling(self, pooling: Pooling) -> Self {
        Self { pooling, ..self }
    }

    /// Sets the rate of the dropout before the head's linear layers.
    #[must_use]
    pub fn with_head_dropout(self, head_dropout: f64) -> Self {
        Self { head_dropout, ..self }
    }

    /// Sets the activation of a hidden layer of the head.
    #[must_use]
    pub fn with_head_hidden(self, head_hidden: Option<Activation>) -> Self {
        Self { head_hidden, ..self }
    }

    /// Sets the seed of every weight that starts at random.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}
