//! Bases, tokenized data and cached activations in memory, so that the runs of a sweep read each only once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Result, anyhow, ensure};
use burn::tensor::Device;
use burn_bert::{Bert, BertConfig, Encoder, Precision};
use derive_new::new;
use glue_data::TextEncoder;

use crate::activation_cache::files::{self, ActivationFiles};
use crate::activation_cache::{self, CachedActivations, SplitActivations, Storage};
use crate::base::{Base, own_cache};
use crate::exit::UsageError;
use crate::run_config::{ActivationCacheMode, ModelConfig, RunConfig};
use crate::system::devices;
use crate::task_data;
use crate::task_data::data_set::{PreparedData, TaskData};

/// A device, and the resources that were loaded for it.
#[derive(new)]
pub struct ResourceCache {
    device: Device,
    #[new(default)]
    replicas: Vec<Device>,
    #[new(default)]
    bases: HashMap<String, Arc<LoadedBase>>,
    #[new(default)]
    data: HashMap<String, Arc<LoadedData>>,
    /// Those of the last run alone, because they are large; the next run of a sweep most likely needs the same.
    #[new(default)]
    activations: Option<(String, Arc<SplitActivations>)>,
}

/// A base in memory.
pub struct LoadedBase {
    /// The directory and the name.
    pub base: Base,
    /// The configuration.
    pub config: BertConfig,
    /// The configuration as it is in the base's directory, before a run's settings, as JSON.
    pub published_config: serde_json::Value,
    bert: Bert,
    fingerprint: OnceLock<String>,
    /// Computes the fingerprint while the run starts.
    hashing: Mutex<Option<JoinHandle<Result<String>>>>,
}

/// The data of a run, tokenized for a base.
pub struct LoadedData {
    /// The data as it was read.
    pub source: Box<dyn TaskData>,
    /// The tokenized rows, and how they are scored.
    pub prepared: PreparedData,
    /// The tokenizer.
    pub encoder: TextEncoder,
}

impl ResourceCache {
    /// The cache with further devices, which compute a share of every batch.
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
    /// If the base cannot be found or read, or reads fewer tokens than the run needs.
    pub fn base(&mut self, model: &ModelConfig) -> Result<Arc<LoadedBase>> {
        let key = format!("{} {:?} {}", model.base, model.dropout, model.precision);
        let loaded = if let Some(loaded) = self.bases.get(&key) {
            Arc::clone(loaded)
        } else {
            let base = Base::locate(&model.base)?;
            let config = base.config()?;
            let published_config = serde_json::to_value(&config)?;
            let config = match model.dropout {
                Some(dropout) => config.with_dropout(dropout),
                None => config,
            };
            // An adapter file contains the fingerprint, and hashing takes longer than loading.
            let hashed = base.clone();
            let hashing = Mutex::new(Some(std::thread::spawn(move || hashed.fingerprint())));
            let device = self.device.clone().autodiff();
            devices::check_precision(&device, model.precision)?;
            let bert = burn_bert::load_weights(&config, base.directory(), &device)?
                .with_precision(model.precision);
            let fingerprint = OnceLock::new();
            let loaded =
                Arc::new(LoadedBase { base, config, published_config, bert, fingerprint, hashing });
            self.bases.insert(key, Arc::clone(&loaded));
            loaded
        };
        ensure!(
            model.max_length <= loaded.config.longest_text(),
            "max_length is {}, but {} reads {} tokens at most; lower it with --max-length, in a grid with `max_length`",
            model.max_length,
            loaded.base.name(),
            loaded.config.longest_text()
        );
        Ok(loaded)
    }

    /// The data of a run.
    ///
    /// # Errors
    /// If it cannot be read or tokenized.
    pub fn data(&mut self, config: &RunConfig) -> Result<Arc<LoadedData>> {
        let key = data_key(config);
        if let Some(loaded) = self.data.get(&key) {
            return Ok(Arc::clone(loaded));
        }
        // Read before the base, so that errors in the rows are found quickly.
        let source = task_data::read(config)?;
        let base = self.base(&config.model)?;
        let max_length = config.model.max_length;
        let encoder = base.base.encoder(&base.config, max_length)?;
        let prepared = source.prepare(&encoder, &base.config, max_length)?;
        let loaded = Arc::new(LoadedData { source, prepared, encoder });
        self.data.insert(key, Arc::clone(&loaded));
        Ok(loaded)
    }

    /// The activations that enter the lowest trained layer of a run, if they are cached.
    ///
    /// # Errors
    /// If they are to be cached and cannot be ([`cached_layer`](Self::cached_layer)), or a file cannot be written.
    pub fn activations(&mut self, config: &RunConfig) -> Result<Option<Arc<SplitActivations>>> {
        let Some(layer) = self.cached_layer(config)? else { return Ok(None) };
        let (base, data) = (self.base(&config.model)?, self.data(config)?);
        let PreparedData { train, validation, .. } = &data.prepared;
        let cache = config.training.cache;
        let in_memory = cache == ActivationCacheMode::Memory
            || cache == ActivationCacheMode::Auto
                && !activation_cache::are_large([train, validation], base.bert.d_model());
        let precision = config.model.precision;
        let key = format!("{} {layer} {precision} {in_memory}", data_key(config));
        if let Some((_, cached)) = self.activations.as_ref().filter(|(known, _)| *known == key) {
            return Ok(Some(Arc::clone(cached)));
        }
        // Only files are named after the fingerprint, which takes time to compute.
        let files =
            if in_memory { None } else { Some(base.activation_files(precision, &self.device)?) };
        let storage = files.as_ref().map_or(Storage::Memory, Storage::Disk);
        let activations = |rows| CachedActivations::new(&base.bert, rows, layer, storage);
        let cached = Arc::new(SplitActivations {
            train: activations(train)?,
            validation: activations(validation)?,
        });
        self.activations = Some((key, Arc::clone(&cached)));
        Ok(Some(cached))
    }

    /// The lowest layer that is computed in every epoch, if the activations that enter it are cached.
    ///
    /// # Errors
    /// If they are to be cached and cannot be: there is no layer below, or an adapter reads padding.
    pub fn cached_layer(&mut self, config: &RunConfig) -> Result<Option<usize>> {
        let layer = self.lowest_layer(config)?;
        let depends_on_padding = config.plan().depends_on_padding();
        let gains_nothing = layer == 0 || depends_on_padding || config.model.adapt_layers.is_none();
        match config.training.cache {
            ActivationCacheMode::Off => return Ok(None),
            ActivationCacheMode::Auto if gains_nothing => return Ok(None),
            ActivationCacheMode::Auto | ActivationCacheMode::Memory | ActivationCacheMode::Disk => {
            }
        }
        if layer == 0 {
            return Err(UsageError::new(format!(
                "there is nothing to cache: {} trains the lowest layer; --adapt-layers 3.. starts higher, or use \
                 --cache off",
                config.model.method
            )));
        }
        if depends_on_padding {
            return Err(UsageError::new(
                "batch norms and gates inside adapters read padding, which cached activations do not contain; use \
                 --cache off",
            ));
        }
        Ok(Some(layer))
    }

    /// The lowest layer of a run that is trained, or into which something is inserted.
    ///
    /// # Errors
    /// If the base cannot be read.
    pub fn lowest_layer(&mut self, config: &RunConfig) -> Result<usize> {
        // Fused adapters are not in the plan.
        if !config.model.fuse.is_empty() {
            return Ok(0);
        }
        Ok(config.plan().lowest_layer(self.base(&config.model)?.bert.n_layers()))
    }
}

/// The settings that decide which rows a run reads, and how they are tokenized.
fn data_key(config: &RunConfig) -> String {
    // The seed selects rows only if some are held out or left out.
    let is_sampled = config.task.limit.is_some() || config.task.has_own_files();
    let seed = is_sampled.then_some(config.seed);
    format!("{:?} {seed:?} {} {}", config.task, config.model.base, config.model.max_length)
}

impl LoadedBase {
    /// The encoder; its tensors are shared by all runs.
    pub fn bert(&self) -> Bert {
        self.bert.clone()
    }

    /// The files of this base's activations.
    fn activation_files(&self, precision: Precision, device: &Device) -> Result<ActivationFiles> {
        // Activations are computed without dropout, whatever its rate.
        let config = serde_json::to_string(&self.config.clone().with_dropout(0.0))?;
        let fingerprint = self.fingerprint()?;
        let base = format!("{fingerprint} {config} {precision} {}", devices::describe(device));
        Ok(ActivationFiles::new(own_cache()?.join("states"), base, files::limit()?))
    }

    /// The fingerprint of the weights, which is computed in the background since the base was loaded.
    ///
    /// # Errors
    /// If the weights cannot be read.
    pub fn fingerprint(&self) -> Result<String> {
        if let Some(fingerprint) = self.fingerprint.get() {
            return Ok(fingerprint.clone());
        }
        let hashing = self.hashing.lock().unwrap_or_else(PoisonError::into_inner).take();
        let fingerprint = match hashing {
            Some(hashing) => hashing.join().map_err(|_| {
                anyhow!("the thread that reads the weights of {} panicked", self.base.name())
            })??,
            None => self.base.fingerprint()?,
        };
        Ok(self.fingerprint.get_or_init(|| fingerprint).clone())
    }
}
