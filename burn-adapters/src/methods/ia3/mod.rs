//! (IA)³: a trainable factor for each channel of a linear projection's input or output, initially 1.
//! [`Ia3`] itself knows nothing of BERT; [`Ia3Config`] names the projections that have one.
//!
//! Liu et al. 2022, *Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning*,
//! section 3.3.
//! `AdapterHub` scales the outputs of key, value and `intermediate.dense`, bias included, before the activation; `PEFT`
//! scales the outputs of key and value and the input of `output.dense`,
//! <https://github.com/huggingface/peft/blob/v0.18.1/src/peft/tuners/ia3/layer.py>.

mod config;

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear};
use burn::tensor::{Device, Tensor, assert_shape};

pub use self::config::Ia3Config;
use super::kind::{ProjectionModule, Weights};
use crate::error::MergeError;

/// What an [`Ia3`] scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ia3Target {
    /// The projection's input.
    Input,
    /// The projection's output, bias included.
    Output,
}

/// One factor for each channel.
#[derive(Module, Debug)]
pub struct Ia3 {
    /// `[channels]`
    pub factors: Param<Tensor<1>>,
    /// What is scaled.
    #[module(skip)]
    pub target: Ia3Target,
}

impl Ia3 {
    /// Factors of 1.
    pub fn new(target: Ia3Target, channels: usize, device: &Device) -> Self {
        Self { factors: Initializer::Ones.init([channels], device), target }
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

impl ProjectionModule for Ia3 {
    fn transform_input(&self, input: Tensor<3>) -> Tensor<3> {
        match self.target {
            Ia3Target::Input => self.forward(input),
            Ia3Target::Output => input,
        }
    }

    fn transform_output(
        &self,
        _input: &Tensor<3>,
        output: Tensor<3>,
        _dense: &Linear,
    ) -> Tensor<3> {
        match self.target {
            Ia3Target::Input => output,
            Ia3Target::Output => self.forward(output),
        }
    }

    fn merge(&self, Weights { weight, bias }: Weights) -> Result<Weights, MergeError> {
        let factors = self.factors.val();
        Ok(match self.target {
            Ia3Target::Input => Weights { weight: weight * factors.unsqueeze_dim(1), bias },
            Ia3Target::Output => Weights {
                weight: weight * factors.clone().unsqueeze_dim(0),
                bias: bias.map(|bias| bias * factors),
            },
        })
    }
}
