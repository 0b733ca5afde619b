//! The optimizers by name. Only matrices of adapters, head and base have weight decay.

use burn::optim::{AdamConfig, AdamWConfig, ModuleOptimizer};

use super::bert_adam::BertAdamConfig;
use super::step::TrainableModel;
use crate::run_config::{OptimizerKind, TrainingConfig};

/// The optimizer of a run. The ids of the model's parameters must be final.
pub fn build_optimizer(training: &TrainingConfig, trainable: &TrainableModel) -> ModuleOptimizer {
    let decaying = trainable.model.weight_decay_group();
    match training.optimizer {
        OptimizerKind::BertAdam => {
            let group = |decay| BertAdamConfig::new().with_weight_decay(decay).build();
            ModuleOptimizer::from(group(0.0)).with_group(
                decaying,
                group(training.weight_decay),
                None,
            )
        }
        OptimizerKind::AdamW => {
            #[expect(clippy::cast_possible_truncation, reason = "Burn's configuration wants f32")]
            let group = |decay: f64| {
                AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(decay as f32).build()
            };
            ModuleOptimizer::from(group(0.0)).with_group(
                decaying,
                group(training.weight_decay),
                None,
            )
        }
        OptimizerKind::Adam => AdamConfig::new().with_epsilon(1e-8).init(),
    }
}
