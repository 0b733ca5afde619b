//! Devices beside the first one of a run.

use burn::module::Module;
use burn::tensor::Device;

use crate::learner::step::TrainableModel;

/// The model on a further device.
pub(super) struct Replica {
    pub(super) device: Device,
    pub(super) model: TrainableModel,
}

impl Replica {
    pub(super) fn all(model: &TrainableModel, devices: &[Device]) -> Vec<Self> {
        let replica = |device: &Device| {
            let device = device.clone().autodiff();
            Self { model: model.clone().fork(&device), device }
        };
        devices.iter().map(replica).collect()
    }

    /// Takes over what a step has changed: the task, and the base only where it trains, since it is large.
    pub(super) fn follow(&mut self, model: &TrainableModel) {
        let trained = model.model.trainable_parameters();
        if trained.iter().any(|parameter| parameter.path.starts_with("bert.")) {
            self.model = model.clone().fork(&self.device);
        } else {
            self.model.model.task = model.model.task.clone().fork(&self.device);
        }
    }
}
