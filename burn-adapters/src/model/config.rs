//! The configuration of a task adapter.

use burn_bert::{Encoder, Site};
use serde::{Deserialize, Serialize};

use super::fusion::Fusion;
use super::head::{HeadConfig, HeadKind, Pooling};
use super::layer::LayerAdapter;
use super::norm::task_norm;
use super::task_adapter::TaskAdapter;
use crate::error::AdapterError;
use crate::methods::{Activation, AdapterPlan, TrainableBase};
use crate::named_rng::NamedRng;

/// Configuration of a [`TaskAdapter`]: with the base, enough to build it again.
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
    /// Rate of the dropout before the head's linear layers, at least 0 and below 1; the paper has 0.1.
    pub head_dropout: f64,
    /// Activation of a hidden layer of the head. The paper's head has none; `AdapterHub`'s has one, with tanh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_hidden: Option<Activation>,
    /// Seed of every weight that starts at random.
    pub seed: u64,
    /// Plans of the trained adapters that are fused, in their order; empty for a task with adapters of its own.
    ///
    /// Files omit it if it is empty, as files from before it existed do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fused: Vec<AdapterPlan>,
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
    /// By default, the head is one linear layer with a dropout of 0.1; a span head reads every token, any other the
    /// base's pooler; the seed is 0, and nothing is fused.
    pub fn new(plan: AdapterPlan, head: HeadKind) -> Self {
        let pooling = if head == HeadKind::Span { Pooling::FirstToken } else { Pooling::Pooler };
        Self {
            plan,
            head,
            pooling,
            head_dropout: 0.1,
            head_hidden: None,
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

    /// A fresh task for a base: modules and head drawn from the seed, norms copied from the base.
    ///
    /// # Errors
    /// If the plan does not fit this base, the head has no outputs or an impossible dropout, or the base lacks the
    /// pooler that the task pools with.
    pub fn init(&self, bert: &dyn Encoder) -> Result<TaskAdapter, AdapterError> {
        self.plan.check(bert.n_layers())?;
        if self.head.outputs() == 0 {
            return Err(AdapterError::NoOutputs);
        }
        if !(0.0..1.0).contains(&self.head_dropout) {
            return Err(AdapterError::HeadDropout { found: self.head_dropout });
        }
        if self.pooling == Pooling::Pooler && bert.pooler().is_none() {
            return Err(AdapterError::NoPooler);
        }

        let device = bert.device();
        let rng = NamedRng::new(self.seed);
        let d_model = bert.d_model();
        let pooler = bert.pooler().filter(|_| self.pooling == Pooling::Pooler);
        let pooler = self.plan.lora.as_ref().filter(|config| config.pooler).zip(pooler);
        Ok(TaskAdapter {
            layers: LayerAdapter::init_all(&self.plan, bert, &rng),
            embeddings_norm: (self.plan.trainable_base == TrainableBase::LayerNorms)
                .then(|| task_norm(bert.norm(Site::Embeddings))),
            prefix: self
                .plan
                .prefix
                .as_ref()
                .and_then(|config| config.init_source(d_model, &rng.child("prefix"), &device)),
            pooler: pooler
                .map(|(config, pooler)| config.init(pooler, &rng.child("pooler"), &device)),
            fusion: self.init_fusion(bert, &rng)?,
            head: HeadConfig::new(d_model, self.head.outputs())
                .with_dropout(self.head_dropout)
                .with_hidden(self.head_hidden)
                .init(&rng.child("head"), &device),
            config: self.clone(),
        })
    }

    fn init_fusion(
        &self,
        bert: &dyn Encoder,
        rng: &NamedRng,
    ) -> Result<Option<Fusion>, AdapterError> {
        if self.fused.is_empty() {
            return Ok(None);
        }
        if self.plan.inserts() {
            let found = "the task has adapters of its own".to_owned();
            return Err(AdapterError::Unfusable { found });
        }
        Fusion::init(&self.fused, bert, rng).map(Some)
    }
}
