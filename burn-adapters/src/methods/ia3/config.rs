//! Which projections of a BERT have an (IA)³.

use std::collections::BTreeSet;

use burn_bert::Projection;
use derive_new::new;
use serde::{Deserialize, Serialize};

use crate::methods::error::PlanError;
use crate::methods::kind::KindConfig;
use crate::methods::layers::Layers;

/// Configuration of the (IA)³ factors of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, new)]
#[serde(deny_unknown_fields)]
pub struct Ia3Config {
    /// The layers with factors.
    #[new(value = "Layers::All")]
    pub layers: Layers,
    /// The projections whose outputs are scaled in each of these layers.
    pub outputs: BTreeSet<Projection>,
    /// The projections whose inputs are scaled.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[new(default)]
    pub inputs: BTreeSet<Projection>,
}

impl KindConfig for Ia3Config {
    fn name(&self) -> &'static str {
        "(IA)³"
    }

    fn layers(&self) -> &Layers {
        &self.layers
    }

    fn layers_mut(&mut self) -> &mut Layers {
        &mut self.layers
    }

    fn check(&self) -> Result<(), PlanError> {
        if self.outputs.is_empty() && self.inputs.is_empty() {
            return Err(PlanError::NoProjections { what: self.name() });
        }
        Ok(())
    }

    fn sizes(&self) -> Vec<usize> {
        Vec::new()
    }

    fn is_mergeable(&self) -> bool {
        true
    }

    fn mixing_obstacle(&self) -> Option<&'static str> {
        None
    }
}
