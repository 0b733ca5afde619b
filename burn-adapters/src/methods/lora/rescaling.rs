//! The rescaling of a projection's output by a DoRA, and its value for weights that do not change.

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
};
use burn::tensor::{Device, Tensor};

/// What a DoRA does with the updated output `y` of a projection: `y · factor + shift`.
#[derive(Debug, Clone)]
pub(crate) struct Rescaling {
    /// `m / n`, `[d_output]`
    pub(crate) factor: Tensor<1>,
    /// What keeps the bias out of it, `[d_output]`.
    pub(crate) shift: Option<Tensor<1>>,
}

impl Rescaling {
    /// # Shapes
    /// - output, result: `[…, d_output]`
    pub(crate) fn forward<const D: usize>(&self, output: Tensor<D>) -> Tensor<D> {
        let output = output * self.factor.clone().unsqueeze();
        match &self.shift {
            Some(shift) => output + shift.clone().unsqueeze(),
            None => output,
        }
    }
}

/// A rescaling that was computed once, for any number of forward passes.
///
/// Whatever can change the weights it was computed from, or their device, maps the module, and thus removes it; the
/// rescaling is then computed in every forward pass.
#[derive(Debug, Clone, Default)]
pub(super) struct FixedRescaling(pub(super) Option<Rescaling>);

impl Module for FixedRescaling {
    fn visit<V: ModuleVisitor>(&self, _visitor: &mut V) {}

    fn map<M: ModuleMapper>(self, _mapper: &mut M) -> Self {
        Self::default()
    }

    fn to_device(self, _device: &Device) -> Self {
        Self::default()
    }

    fn fork(self, _device: &Device) -> Self {
        Self::default()
    }

    fn collect_devices(&self, devices: Devices) -> Devices {
        devices
    }

    fn materialize(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        Self::default()
    }

    fn train(self) -> Self {
        Self::default()
    }
}

impl ModuleDisplayDefault for FixedRescaling {
    fn content(&self, content: Content) -> Option<Content> {
        content.optional()
    }
}

impl ModuleDisplay for FixedRescaling {}
