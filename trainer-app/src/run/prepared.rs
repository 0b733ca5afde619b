//! A run that is ready to train: its data, base and model.

use std::sync::Arc;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use burn_adapters::file::native;
use burn_adapters::{AdaptedBert, InnerNorm, TaskAdapterConfig, TrainableTable, fuse};
use glue_data::TokenizedDataset;

use crate::activation_cache::SplitActivations;
use crate::exit::UsageError;
use crate::learner::loss::loss_config;
use crate::learner::step::TrainableModel;
use crate::run::insertion_cost;
use crate::run::resource_cache::{LoadedBase, LoadedData, ResourceCache};
use crate::run_config::{Prediction, RunConfig, TrainingConfig};
use crate::task_data::kind::head_kind;

/// A run that is ready to train.
pub struct Run {
    pub(super) steps_per_epoch: usize,
    pub(super) config: RunConfig,
    pub(super) device: Device,
    pub(super) replicas: Vec<Device>,
    pub(super) base: Arc<LoadedBase>,
    pub(super) data: Arc<LoadedData>,
    pub(super) activations: Option<Arc<SplitActivations>>,
    pub(super) trainable: TrainableModel,
}

impl Run {
    /// Loads the data and the base of a run, and builds its model.
    ///
    /// # Errors
    /// If the data, the base or the adapter plan cannot be used.
    pub fn prepare(config: RunConfig, resources: &mut ResourceCache) -> Result<Self> {
        let data = resources.data(&config)?;
        let kind = data.source.kind();
        config
            .check_objective(Prediction::of(&kind))
            .map_err(|error| UsageError::new(format!("{error:#}")))?;
        let base = resources.base(&config.model)?;
        let bert = base.bert();
        insertion_cost::check(&config.plan(), &base.config)?;
        let task_config = TaskAdapterConfig::new(config.plan(), head_kind(&kind))
            .with_head_layers(config.model.classifier_on(&base.config))
            .with_head_dropout(base.config.hidden_dropout_prob)
            .with_seed(glue_data::derive_seed(config.seed, "task"));
        let adapter = if config.model.fuse.is_empty() {
            // The plan is not that of a file: what does not fit the base was typed.
            task_config.init(&bert).map_err(|error| UsageError::new(error.to_string()))?
        } else {
            let fingerprint = base.fingerprint()?;
            let adapters = config.model.fuse.iter().map(|path| {
                let (trained, metadata) = native::load(path, bert.clone(), &fingerprint)?;
                metadata.base.check_tokenizer(path, Some(&data.encoder.fingerprint()))?;
                Ok(trained.task)
            });
            fuse(&task_config, adapters.collect::<Result<_>>()?, &bert)?
        };
        let loss = loss_config(&config.training, &kind, &data.prepared.train);
        let trainable = TrainableModel { model: AdaptedBert::new(bert, adapter)?.with_loss(loss) };
        let (device, replicas) = (resources.device().clone(), resources.replicas().to_vec());
        // Each device would have statistics of its share of a batch, and only those of the first would be saved.
        if !replicas.is_empty() && has_batch_norm(trainable.model.task.config()) {
            return Err(UsageError::new(
                "the running statistics of batch norms are of one device; train on one with --device, or use \
                 --inner-norm layer",
            ));
        }
        let steps_per_epoch = steps_per_epoch(&data.prepared.train, &config.training)?;
        let activations = resources.activations(&config)?;
        Ok(Self { steps_per_epoch, config, device, replicas, base, data, activations, trainable })
    }

    /// The trainable parameters.
    pub fn table(&self) -> TrainableTable {
        self.trainable.model.trainable_table()
    }
}

/// Whether adapters, or adapters that are fused, have batch norms.
fn has_batch_norm(task: &TaskAdapterConfig) -> bool {
    let norms = std::iter::once(&task.plan)
        .chain(&task.fused)
        .filter_map(|plan| plan.bottleneck.as_ref().map(|bottleneck| bottleneck.inner_norm));
    norms.into_iter().any(|norm| norm == InnerNorm::Batch)
}

/// Optimizer steps of an epoch.
fn steps_per_epoch(train: &TokenizedDataset, training: &TrainingConfig) -> Result<usize> {
    let batches = (train.rows().len() / training.batch_size).max(1);
    let steps = batches / training.accumulate;
    ensure!(
        steps > 0,
        "the training rows make {batches} batches, fewer than the {} of one step; lower --accumulate or --batch-size",
        training.accumulate
    );
    ensure!(
        steps.checked_mul(training.epochs).is_some(),
        "{} epochs of {steps} steps are more than can be counted; lower --epochs",
        training.epochs
    );
    Ok(steps)
}
