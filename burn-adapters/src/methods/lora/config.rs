//! Which projections of a BERT have a LoRA, and its rank and scaling.

use std::collections::BTreeSet;

use burn_bert::Projection;
use derive_new::new;
use serde::{Deserialize, Serialize};

use super::dora::DoraFormula;
use crate::methods::error::PlanError;
use crate::methods::kind::KindConfig;
use crate::methods::layers::Layers;

/// Configuration of the LoRAs of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, new)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// The layers with LoRAs.
    #[new(value = "Layers::All")]
    pub layers: Layers,
    /// The projections with a LoRA in each of these layers.
    pub projections: BTreeSet<Projection>,
    /// Whether the pooler's projection has one too, if the pooler is used.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[new(default)]
    pub pooler: bool,
    /// The rank, 1 or more.
    pub rank: usize,
    /// α, the numerator of the scaling factor.
    pub alpha: f64,
    /// How the scaling factor depends on the rank.
    #[serde(default, skip_serializing_if = "RankScaling::is_default")]
    #[new(default)]
    pub scaling: RankScaling,
    /// Whether a gate for each text replaces the scaling factor; α then has no effect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[new(default)]
    pub gate: bool,
    /// Makes each a DoRA, with a magnitude for each output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[new(default)]
    pub dora: Option<DoraFormula>,
}

/// The scaling factor, from α and the rank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RankScaling {
    /// `α / rank`, as in the paper.
    #[default]
    Rank,
    /// `α / √rank`: Kalajdzievski 2023, *A Rank Stabilization Scaling Factor*.
    #[serde(rename = "root-rank")]
    RankStabilized,
}

impl RankScaling {
    /// The factor.
    pub fn factor(self, alpha: f64, rank: usize) -> f64 {
        match self {
            Self::Rank => alpha / rank as f64,
            Self::RankStabilized => alpha / (rank as f64).sqrt(),
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl KindConfig for LoraConfig {
    fn name(&self) -> &'static str {
        "LoRA"
    }

    fn layers(&self) -> &Layers {
        &self.layers
    }

    fn layers_mut(&mut self) -> &mut Layers {
        &mut self.layers
    }

    fn check(&self) -> Result<(), PlanError> {
        if self.rank == 0 {
            return Err(PlanError::Zero { what: "the rank of LoRA" });
        }
        if !self.alpha.is_finite() {
            let what = "the alpha of LoRA";
            return Err(PlanError::Factor { what, found: self.alpha });
        }
        if self.gate && self.dora == Some(DoraFormula::Peft) {
            return Err(PlanError::GatedDora);
        }
        if self.projections.is_empty() && !self.pooler {
            return Err(PlanError::NoProjections { what: self.name() });
        }
        Ok(())
    }

    fn sizes(&self) -> Vec<usize> {
        vec![self.rank]
    }

    fn depends_on_padding(&self) -> bool {
        self.gate
    }

    fn is_mergeable(&self) -> bool {
        true
    }

    fn mixing_obstacle(&self) -> Option<&'static str> {
        self.gate.then_some("LoRA with gates")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_is_made_of_alpha_and_rank() {
        for (scaling, factor) in [(RankScaling::Rank, 4.0), (RankScaling::RankStabilized, 8.0)] {
            assert!((scaling.factor(16.0, 4) - factor).abs() < 1e-12);
        }
    }
}
