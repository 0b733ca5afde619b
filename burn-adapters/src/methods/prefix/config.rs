//! The length of prefixes, their layers, and whether a network generates them.

use derive_new::new;
use serde::{Deserialize, Serialize};

use crate::methods::error::PlanError;
use crate::methods::kind::KindConfig;
use crate::methods::layers::Layers;

/// Configuration of the prefixes of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, new)]
#[serde(deny_unknown_fields)]
pub struct PrefixConfig {
    /// The layers with prefixes.
    #[new(value = "Layers::All")]
    pub layers: Layers,
    /// The number of keys and of values, 1 or more.
    pub length: usize,
    /// Width of the network that generates them; without it they are parameters themselves.
    pub reparameterization: Option<usize>,
    /// Whether gates for each text scale them.
    #[serde(default, skip_serializing_if = "PrefixGate::is_default")]
    #[new(default)]
    pub gate: PrefixGate,
}

/// The gates of a layer's prefix.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrefixGate {
    /// None.
    #[default]
    None,
    /// One for keys and values.
    Shared,
    /// One for the keys and one for the values.
    Separate,
}

impl PrefixGate {
    /// How many gates there are.
    pub fn gates(self) -> usize {
        match self {
            Self::None => 0,
            Self::Shared => 1,
            Self::Separate => 2,
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl KindConfig for PrefixConfig {
    fn name(&self) -> &'static str {
        "prefixes"
    }

    fn layers(&self) -> &Layers {
        &self.layers
    }

    fn layers_mut(&mut self) -> &mut Layers {
        &mut self.layers
    }

    fn check(&self) -> Result<(), PlanError> {
        if self.length == 0 {
            return Err(PlanError::Zero { what: "the length of the prefixes" });
        }
        if self.reparameterization == Some(0) {
            return Err(PlanError::Zero { what: "the width of the prefixes' network" });
        }
        Ok(())
    }

    fn sizes(&self) -> Vec<usize> {
        self.reparameterization.into_iter().chain([self.length]).collect()
    }

    fn depends_on_padding(&self) -> bool {
        self.gate != PrefixGate::None
    }
}
