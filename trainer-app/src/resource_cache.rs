//! What runs share: bases in memory and tokenised tasks, each read once however many runs there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Result, anyhow, ensure};
use burn::tensor::Device;
use burn_bert::{Bert, BertConfig, Encoder, Precision};
use glue_data::{TextEncoder, TokenizedDataset};

use crate::activation_cache::files::{self, ActivationFiles};
use crate::activation_cache::{self, CachedActivations, Storage, TaskActivations};
use crate::base::{Base, own_cache};
use crate::devices;
use crate::run_config::{ModelConfig, RunConfig, StateCache};
use crate::task_data::evaluator::Evaluator;
use crate::task_data::{PreparedData, TaskData};

/// A device, and what was read for it so far.
pub struct ResourceCache {
    device: Device,
    replicas: Vec<Device>,
    bases: HashMap<String, Arc<LoadedBase>>,
    tasks: HashMap<String, Arc<LoadedTask>>,
    /// Those of one task and layer: the next run of a sweep most likely wants the same, and they are large.
    frozen: Option<(String, Arc<TaskActivations>)>,
}

/// A base in memory, ready to be trained on.
pub struct LoadedBase {
    /// Where it came from.
    pub base: Base,
    /// Its configuration.
    pub config: BertConfig,
    bert: Bert,
    fingerprint: OnceLock<String>,
    /// What reads the weights for the fingerprint while the run starts.
    hashing: Mutex<Option<JoinHandle<Result<String>>>>,
}

/// What a task is about, tokenised for a base.
pub struct LoadedTask {
    /// As it was read.
    pub subject: TaskData,
    /// Rows to learn from.
    pub train: TokenizedDataset,
    /// Rows to choose by.
    pub validation: TokenizedDataset,
    /// How those are judged.
    pub evaluator: Arc<Evaluator>,
    /// What tokenised them.
    pub encoder: TextEncoder,
}

impl ResourceCache {
    /// Nothing read yet.
    pub fn new(device: Device) -> Self {
        Self {
            device,
            replicas: Vec::new(),
            bases: HashMap::new(),
            tasks: HashMap::new(),
            frozen: None,
        }
    }

    /// The same with further devices that take their share of every batch.
    #[must_use]
    pub fn with_replicas(self, replicas: Vec<Device>) -> Self {
        Self { replicas, ..self }
    }

    /// The further devices.
    pub fn replicas(&self) -> &[Device] {
        &self.replicas
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The base of a run.
    ///
    /// # Errors
    /// A base that cannot be found or read, or reads fewer tokens than the run wants.
    pub fn base(&mut self, model: &ModelConfig) -> Result<Arc<LoadedBase>> {
        let key = format!("{} {:?} {}", model.base, model.dropout, model.precision);
        let loaded = if let Some(loaded) = self.bases.get(&key) {
            Arc::clone(loaded)
        } else {
            let base = Base::locate(&model.base)?;
            let config = base.config()?;
            let config = match model.dropout {
                Some(dropout) => config.with_dropout(dropout),
                None => config,
            };
            // A run needs the fingerprint when it saves an adapter, and hashing takes longer than loading.
            let hashed = base.clone();
            let hashing = Mutex::new(Some(std::thread::spawn(move || hashed.fingerprint())));
            let device = self.device.clone().autodiff();
            devices::check_precision(&device, model.precision)?;
            let bert = burn_bert::load_weights(&config, base.directory(), &device)?
                .with_precision(model.precision);
            let fingerprint = OnceLock::new();
            let loaded = Arc::new(LoadedBase { base, config, bert, fingerprint, hashing });
            self.bases.insert(key, Arc::clone(&loaded));
            loaded
        };
        ensure!(
            model.max_length <= loaded.config.max_position_embeddings,
            "max_length is {}, but {} reads {} tokens at most; --max-length sets it",
            model.max_length,
            loaded.base.name(),
            loaded.config.max_position_embeddings
        );
        Ok(loaded)
    }

    /// What a run is about.
    ///
    /// # Errors
    /// Rows or questions that cannot be read or tokenised.
    pub fn task(&mut self, config: &RunConfig) -> Result<Arc<LoadedTask>> {
        let key = task_key(config);
        if let Some(loaded) = self.tasks.get(&key) {
            return Ok(Arc::clone(loaded));
        }
        // What costs little and may be wrong comes first: the rows before the base.
        let subject = TaskData::read(config)?;
        let base = self.base(&config.model)?;
        let max_length = config.model.max_length;
        let encoder = base.base.encoder(&base.config, max_length)?;
        let PreparedData { train, validation, evaluator } =
            subject.material(&encoder, &base.config, max_length)?;
        let evaluator = Arc::new(evaluator);
        let loaded = Arc::new(LoadedTask { subject, train, validation, evaluator, encoder });
        self.tasks.insert(key, Arc::clone(&loaded));
        Ok(loaded)
    }

    /// The states that enter the lowest tuned layer of a run, where they are to be kept.
    ///
    /// # Errors
    /// States that cannot be kept: there is no layer below, an adapter looks at padding, or a file cannot be written.
    pub fn frozen(&mut self, config: &RunConfig) -> Result<Option<Arc<TaskActivations>>> {
        let Some(layer) = self.kept_layer(config)? else { return Ok(None) };
        let (base, task) = (self.base(&config.model)?, self.task(config)?);
        let cache = config.training.cache;
        let in_memory = cache == StateCache::Memory
            || cache == StateCache::Auto
                && !activation_cache::are_large(
                    [&task.train, &task.validation],
                    base.bert.d_model(),
                );
        let precision = config.model.precision;
        let key = format!("{} {layer} {precision} {in_memory}", task_key(config));
        if let Some((_, kept)) = self.frozen.as_ref().filter(|(known, _)| *known == key) {
            return Ok(Some(Arc::clone(kept)));
        }
        // The fingerprint is waited for only where a file is named after it.
        let files = if in_memory { None } else { Some(base.state_files(precision, &self.device)?) };
        let place = files.as_ref().map_or(Storage::Memory, Storage::Disk);
        let states = |rows| CachedActivations::of(&base.bert, rows, layer, place);
        let kept = Arc::new(TaskActivations {
            train: states(&task.train)?,
            validation: states(&task.validation)?,
        });
        self.frozen = Some((key, Arc::clone(&kept)));
        Ok(Some(kept))
    }

    /// The lowest layer that is run in every epoch, where what enters it is kept.
    ///
    /// # Errors
    /// States that are to be kept and cannot be: there is no layer below, or an adapter looks at padding.
    pub fn kept_layer(&mut self, config: &RunConfig) -> Result<Option<usize>> {
        let layer = self.lowest_layer(config)?;
        let sees_padding = config.plan().sees_padding();
        let gains_nothing = layer == 0 || sees_padding || config.model.adapt_layers.is_none();
        match config.training.cache {
            StateCache::Off => return Ok(None),
            StateCache::Auto if gains_nothing => return Ok(None),
            StateCache::Auto | StateCache::Memory | StateCache::Disk => {}
        }
        ensure!(
            layer > 0,
            "there is nothing to keep: {} tunes the lowest layer; --adapt-layers 3.. starts higher, or use --cache off",
            config.model.method
        );
        ensure!(
            !sees_padding,
            "batch norms and gates inside adapters read padding, which kept states have not; use --cache off"
        );
        Ok(Some(layer))
    }

    /// The lowest layer of a run with something of the task in it.
    ///
    /// # Errors
    /// A base that cannot be read.
    pub fn lowest_layer(&mut self, config: &RunConfig) -> Result<usize> {
        // Fused adapters are not in the plan.
        if !config.model.fuse.is_empty() {
            return Ok(0);
        }
        Ok(config.plan().lowest_layer(self.base(&config.model)?.bert.n_layers()))
    }
}

/// What decides which rows a run reads, and how they are tokenised.
fn task_key(config: &RunConfig) -> String {
    // A seed chooses rows only where some are held out or left out.
    let chosen = config.task.limit.is_some() || config.task.custom.is_some();
    let seed = chosen.then_some(config.seed);
    format!("{:?} {seed:?} {} {}", config.task, config.model.base, config.model.max_length)
}

impl LoadedBase {
    /// The encoder; its tensors are shared with every other run's.
    pub fn bert(&self) -> Bert {
        self.bert.clone()
    }

    /// The files of states that this base has computed.
    fn state_files(&self, precision: Precision, device: &Device) -> Result<ActivationFiles> {
        // States are computed without dropout, whatever its rate.
        let config = serde_json::to_string(&self.config.clone().with_dropout(0.0))?;
        let fingerprint = self.fingerprint()?;
        let base = format!("{fingerprint} {config} {precision} {}", devices::describe(device));
        Ok(ActivationFiles::new(own_cache()?.join("states"), base, files::limit()?))
    }

    /// What an adapter file knows its base by; waits for what computes it since the base was loaded.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn fingerprint(&self) -> Result<String> {
        if let Some(fingerprint) = self.fingerprint.get() {
            return Ok(fingerprint.clone());
        }
        let hashing = self.hashing.lock().unwrap_or_else(PoisonError::into_inner).take();
        let fingerprint = match hashing {
            Some(hashing) => hashing
                .join()
                .map_err(|_| anyhow!("reading the weights of {} broke off", self.base.name()))??,
            None => self.base.fingerprint()?,
        };
        Ok(self.fingerprint.get_or_init(|| fingerprint).clone())
    }
}
