//! Copies of the model on further devices.

use burn::module::Module;
use burn::tensor::Device;

use crate::learner::step::TrainableModel;

/// A copy of the model on a further device.
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

    /// Copies what a step has changed: the adapters and the head, and the large base only if it is trained.
    pub(super) fn update_from(&mut self, model: &TrainableModel) {
        let trained = model.model.trainable_parameters();
        if trained.iter().any(|parameter| parameter.path.starts_with("bert.")) {
            self.model = model.clone().fork(&self.device);
        } else {
            self.model.model.task = model.model.task.clone().fork(&self.device);
        }
    }
}
