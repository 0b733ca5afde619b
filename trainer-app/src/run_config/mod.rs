//! What a run does, resolved: written beside every result as `config.toml`, and enough to repeat it.
//! Every default of the program is in `defaults`; what can be typed is in `cli`, how it becomes this in `resolve`, and what
//! is refused in `check`.

mod check;
mod defaults;
mod resolve;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use burn_adapters::{
    Activation, AdapterPlan, BottleneckConfig, Combine, InnerNorm, Layers, Method, Pooling, Sites,
    TrainableBase,
};
use burn_bert::Precision;
use serde::{Deserialize, Serialize};

use crate::artifacts::write_atomically;
use crate::learner::schedule::{Decay, Schedule};

pub(crate) use defaults::default_pooling;
pub use resolve::TrainJob;

/// The layout of this file; a change that older programs cannot read raises it.
const VERSION: u32 = 1;

/// One training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Layout of the file.
    pub version: u32,
    /// Drives every random choice.
    pub seed: u64,
    /// `auto`, `cpu`, `wgpu` or `cuda`, with an index as in `cuda:1`; several that share every batch, as `cuda:0,cuda:1`.
    pub device: String,
    /// Where the run was started; relative paths begin there. Unset until the configuration is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// Where the rows come from.
    pub task: TaskConfig,
    /// What is trained.
    pub model: ModelConfig,
    /// How it is trained.
    pub training: TrainingConfig,
}

/// Where the rows come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskConfig {
    /// Name of the task; that of the file for one's own data.
    pub name: String,
    /// Directory of the published files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// At most so many training rows, drawn by the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// One's own files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomTaskConfig>,
}

impl TaskConfig {
    /// Whether the task is SQuAD, whose questions are answered from paragraphs.
    pub fn is_question_answering(&self) -> bool {
        self.custom.is_none() && self.name == glue_data::tasks::squad::NAME
    }
}

/// One's own files and their columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomTaskConfig {
    /// Training rows.
    pub train: PathBuf,
    /// Validation rows; a tenth of the training rows without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<PathBuf>,
    /// Test rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// Column of the text.
    pub text: String,
    /// Column of the second text of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text2: Option<String>,
    /// Column of the label.
    pub label: String,
    /// The label is a number.
    pub score: bool,
}

/// What is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// `minilm`, a hub name or a directory.
    pub base: String,
    /// The method, by its name.
    pub method: Method,
    /// Files of the adapters that are fused; for the method `fusion` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fuse: Vec<PathBuf>,
    /// Width of the bottlenecks, rank of the low-rank corrections or length of the prefixes.
    pub size: usize,
    /// Activation of the bottlenecks, where it is not the method's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Deviation of the bottlenecks' first weights, where it is not the method's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_std: Option<f64>,
    /// Sites of the bottlenecks in a layer, where they are not the method's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sites: Option<Sites>,
    /// Layers in which something is inserted, where they are not the method's: `all`, `3..`, `0..4` (without 4) or `0,2,5`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "layers_as_text")]
    pub adapt_layers: Option<Layers>,
    /// Layers of each bottleneck, where they are not the method's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// The norm inside the bottlenecks, where it is not the method's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner_norm: Option<InnerNorm>,
    /// How a bottleneck's answer joins, where it is not the method's way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub combine: Option<Combine>,
    /// What the head reads.
    pub pooling: Pooling,
    /// Longest text in tokens.
    pub max_length: usize,
    /// Dropout everywhere, where it is not the base's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// Precision of the base's matrices; what trains is in single precision.
    #[serde(default, skip_serializing_if = "is_single")]
    pub precision: Precision,
}

/// How it is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Passes over the training rows.
    pub epochs: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Rows of a batch.
    pub batch_size: usize,
    /// Batches of a step.
    pub accumulate: usize,
    /// The optimizer.
    pub optimizer: OptimizerKind,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Share of the steps that warm up, in `0..=1`.
    pub warmup: f64,
    /// How the learning rate falls.
    pub decay: Decay,
    /// Largest global gradient norm.
    pub clip: f64,
    /// Epochs without a better score before the run stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Where the states below the lowest tuned layer are kept between epochs.
    #[serde(default, skip_serializing_if = "StateCache::is_auto")]
    pub cache: StateCache,
    /// Whether each layer runs again going back, instead of keeping its activations.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gradient_checkpointing: bool,
}

/// Where the hidden states that enter the lowest tuned layer are kept, so that epochs start there.
///
/// Kept states are computed without dropout; layers that are computed anew drop out, as in the paper.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum StateCache {
    /// In memory or, where they are large, on the disk, if --adapt-layers leaves out the lowest layer; else nowhere
    #[default]
    Auto,
    /// Nowhere: every layer runs in every epoch, with dropout
    Off,
    /// In memory, in single precision
    Memory,
    /// In a file of half precision in the cache directory, for later runs as well
    Disk,
}

impl StateCache {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// The optimizers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Adam as in the paper's code: no bias correction, decoupled decay, ε 1e-6
    BertAdam,
    /// Adam with decoupled weight decay (Loshchilov and Hutter), ε 1e-8
    AdamW,
    /// Plain Adam, no weight decay, ε 1e-8
    Adam,
}

impl RunConfig {
    /// Reads a `config.toml`.
    ///
    /// # Errors
    /// A file that is missing, is no TOML, has a key nobody knows or another version.
    pub fn read(path: &Path) -> Result<Self> {
        let context = || format!("reading the configuration {}", path.display());
        let text = std::fs::read_to_string(path).with_context(context)?;
        Self::parse(&text).with_context(context)?.from_where_it_started()
    }

    /// The configuration in a `config.toml`, with paths as they are there.
    ///
    /// # Errors
    /// As of [`read`](Self::read).
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text)?;
        ensure!(
            config.version == VERSION,
            "it has version {}, this program reads version {VERSION}",
            config.version
        );
        config.check()?;
        Ok(config)
    }

    /// Writes a `config.toml`.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, self.to_text()?.as_bytes())
    }

    /// The text of a `config.toml`, with the directory in which relative paths begin.
    ///
    /// # Errors
    /// A working directory that is not there.
    pub fn to_text(&self) -> Result<String> {
        let mut config = self.clone();
        if config.directory.is_none() {
            config.directory =
                Some(std::env::current_dir().context("asking for the working directory")?);
        }
        Ok(toml::to_string(&config)?)
    }

    /// The same with paths that are right in the working directory, where that is another than the one of the start.
    #[expect(clippy::wrong_self_convention, reason = "`from` is a place here")]
    fn from_where_it_started(mut self) -> Result<Self> {
        let Some(start) = self.directory.take() else { return Ok(self) };
        let here = std::env::current_dir().context("asking for the working directory")?;
        // Where the directory was moved or renamed, paths are taken as they would be in it.
        if here == start || !start.is_dir() {
            return Ok(self);
        }
        let place = |path: &mut PathBuf| *path = start.join(&*path);
        let TaskConfig { data, custom, .. } = &mut self.task;
        data.iter_mut().for_each(place);
        if let Some(custom) = custom {
            place(&mut custom.train);
            custom.validation.iter_mut().chain(&mut custom.test).for_each(place);
        }
        self.model.fuse.iter_mut().for_each(place);
        // A base is a name where it is not a directory.
        let base = start.join(&self.model.base);
        if base.is_dir() {
            self.model.base = base.to_string_lossy().into_owned();
        }
        Ok(self)
    }

    /// What stands at each site, and what trains.
    pub fn plan(&self) -> AdapterPlan {
        let mut plan = self.model.method.plan(self.model.size);
        let model = &self.model;
        if let Some(layers) = &model.adapt_layers {
            plan = plan.in_layers(layers);
        }
        plan.bottleneck = plan.bottleneck.map(|method| BottleneckConfig {
            sites: model.sites.unwrap_or(method.sites),
            activation: model.activation.unwrap_or(method.activation),
            init_std: model.init_std.unwrap_or(method.init_std),
            inner_norm: model.inner_norm.unwrap_or(method.inner_norm),
            depth: model.depth.unwrap_or(method.depth),
            combine: model.combine.unwrap_or(method.combine),
            ..method
        });
        // Where the lower layers have no adapters they are left alone altogether, so that their states can be kept.
        if let (Some(bottleneck), TrainableBase::LayerNorms) =
            (&plan.bottleneck, plan.trainable_base)
            && bottleneck.layers.lowest() > 0
        {
            plan.trainable_base = TrainableBase::LayerNormsFrom(bottleneck.layers.lowest());
        }
        plan
    }

    /// The learning rate over so many optimizer steps.
    pub fn schedule(&self, total_steps: usize) -> Schedule {
        // The reference code truncates: int(num_train_steps * warmup_proportion), run_classifier.py.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share in 0..=1 of a step count"
        )]
        let warmup_steps = (total_steps as f64 * self.training.warmup) as usize;
        Schedule {
            peak: self.training.learning_rate,
            warmup_steps,
            total_steps,
            decay: self.training.decay,
        }
    }

    /// Name of a run that was given none: `houlsby-64-seed42`.
    pub fn default_name(&self) -> String {
        let size = if self.model.method.has_size() {
            format!("-{}", self.model.size)
        } else {
            String::new()
        };
        format!("{}{size}-seed{}", self.model.method, self.seed)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_single(precision: &Precision) -> bool {
    *precision == Precision::F32
}

/// Layers as they are typed.
mod layers_as_text {
    use burn_adapters::Layers;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(
        layers: &Option<Layers>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        layers.as_ref().map(Layers::to_string).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Layers>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
