//! What runs share: bases in memory and tokenised tasks, each read once however many runs there are.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use anyhow::{Result, ensure};
use burn::tensor::Device;
use burn_bert::{Bert, BertConfig};
use glue_data::{EncodedRows, TextEncoder};

use crate::base::Base;
use crate::judge::Judge;
use crate::run_config::{ModelConfig, RunConfig};
use crate::subject::{Material, Subject};

/// A device, and what was read for it so far.
pub struct Shared {
    device: Device,
    bases: HashMap<String, Arc<LoadedBase>>,
    tasks: HashMap<String, Arc<LoadedTask>>,
}

/// A base in memory, ready to be trained on.
pub struct LoadedBase {
    /// Where it came from.
    pub base: Base,
    /// Its configuration.
    pub config: BertConfig,
    bert: Bert,
    fingerprint: OnceLock<String>,
}

/// What a task is about, tokenised for a base.
pub struct LoadedTask {
    /// As it was read.
    pub subject: Subject,
    /// Rows to learn from.
    pub train: EncodedRows,
    /// Rows to choose by.
    pub validation: EncodedRows,
    /// How those are judged.
    pub judge: Arc<Judge>,
    /// What tokenised them.
    pub encoder: TextEncoder,
}

impl Shared {
    /// Nothing read yet.
    pub fn new(device: Device) -> Self {
        Self { device, bases: HashMap::new(), tasks: HashMap::new() }
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
        let key = format!("{} {:?}", model.base, model.dropout);
        let loaded = if let Some(loaded) = self.bases.get(&key) {
            Arc::clone(loaded)
        } else {
            let base = Base::locate(&model.base)?;
            let config = BertConfig::from_directory(base.directory())?;
            let config = match model.dropout {
                Some(dropout) => config.with_dropout(dropout),
                None => config,
            };
            let device = self.device.clone().autodiff();
            let bert = burn_bert::load_weights(&config, base.directory(), &device)?;
            let fingerprint = OnceLock::new();
            let loaded = Arc::new(LoadedBase { base, config, bert, fingerprint });
            self.bases.insert(key, Arc::clone(&loaded));
            loaded
        };
        ensure!(
            model.max_length <= loaded.config.max_position_embeddings,
            "max_length is {}, but {} reads {} tokens at most",
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
        // A seed chooses rows only where some are held out or left out.
        let chosen = config.task.limit.is_some() || config.task.custom.is_some();
        let seed = chosen.then_some(config.seed);
        let key =
            format!("{:?} {seed:?} {} {}", config.task, config.model.base, config.model.max_length);
        if let Some(loaded) = self.tasks.get(&key) {
            return Ok(Arc::clone(loaded));
        }
        // What costs little and may be wrong comes first: the rows before the base.
        let subject = Subject::read(config)?;
        let base = self.base(&config.model)?;
        let max_length = config.model.max_length;
        let encoder = TextEncoder::from_directory(base.base.directory(), max_length)?;
        let Material { train, validation, judge } =
            subject.material(&encoder, &base.config, max_length)?;
        let judge = Arc::new(judge);
        let loaded = Arc::new(LoadedTask { subject, train, validation, judge, encoder });
        self.tasks.insert(key, Arc::clone(&loaded));
        Ok(loaded)
    }
}

impl LoadedBase {
    /// The encoder; its tensors are shared with every other run's.
    pub fn bert(&self) -> Bert {
        self.bert.clone()
    }

    /// What an adapter file knows its base by.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn fingerprint(&self) -> Result<String> {
        if let Some(fingerprint) = self.fingerprint.get() {
            return Ok(fingerprint.clone());
        }
        let fingerprint = self.base.fingerprint()?;
        Ok(self.fingerprint.get_or_init(|| fingerprint).clone())
    }
}
