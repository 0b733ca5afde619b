//! Scales of what linear projections read or make: one trained number for each channel, 1 at the start.
//! Any Burn model may use the module; which projections of a BERT have one says [`Ia3Plan`].
//!
//! Liu et al. 2022, *Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning*,
//! section 3.3: (IA)³.
//! `AdapterHub` scales what key, value and `intermediate.dense` make, the bias too, before the activation; `PEFT` scales
//! what key and value make and what `output.dense` reads,
//! <https://github.com/huggingface/peft/blob/v0.18.1/src/peft/tuners/ia3/layer.py>.

use std::collections::BTreeSet;

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor, assert_shape};
use burn_bert::Projection;
use serde::{Deserialize, Serialize};

use crate::error::AdapterError;
use crate::layers::Layers;

/// Scales at some projections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ia3Plan {
    /// The layers they stand in.
    pub layers: Layers,
    /// The projections whose results are scaled in each of those layers.
    pub outputs: BTreeSet<Projection>,
    /// The projections that read something scaled.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub inputs: BTreeSet<Projection>,
}

impl Ia3Plan {
    /// Scales of what some projections make, in every layer.
    pub fn new(outputs: BTreeSet<Projection>) -> Self {
        Self { layers: Layers::All, outputs, inputs: BTreeSet::new() }
    }

    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        if self.outputs.is_empty() && self.inputs.is_empty() {
            return Err(AdapterError::NoProjections { what: "scales" });
        }
        Ok(())
    }
}

/// One factor for each channel.
#[derive(Module, Debug)]
pub struct Ia3 {
    /// `[channels]`
    pub factors: Param<Tensor<1>>,
}

impl Ia3 {
    /// A scale that starts by changing nothing.
    pub fn new(channels: usize, device: &Device) -> Self {
        Self { factors: Initializer::Ones.init([channels], device) }
    }

    /// Multiplies each channel by its factor.
    ///
    /// # Shapes
    /// - x, result: `[batch, sequence, channels]`
    ///
    /// # Panics
    /// If `x` has another number of channels.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [channels] = self.factors.dims();
        let [batch, sequence, _] = x.dims();
        assert_shape!(x, [batch, sequence, channels]);
        x * self.factors.val().unsqueeze()
    }
}
