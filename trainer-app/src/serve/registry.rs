//! The loaded tasks, which follow the changes of the bank.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use burn::module::Module;
use burn::tensor::Device;
use burn_adapters::check_mixable;
use burn_adapters::file::bank::{Bank, Entry};
use burn_adapters::file::native::AdapterMetadata;
use burn_adapters::{AdaptedBert, MixedBatch, StackedTasks};
use burn_bert::{Bert, BertConfig, BertInput, Encoder};
use glue_data::TextEncoder;

use super::log::log;
use crate::base::Base;
use crate::inference::bank_base;
use crate::task_data::kind::{labels_texts, task_kind};

/// A bank and its loaded tasks.
pub(super) struct ReloadingRegistry {
    bert: Bert,
    base: Base,
    pub(super) bert_config: BertConfig,
    fingerprint: String,
    state: Mutex<BankState>,
}

/// The bank when it was last read successfully.
struct BankState {
    bank: Bank,
    registry: Arc<Registry>,
    /// Why it cannot be read now, if it cannot.
    fault: Option<String>,
}

/// The tasks of a bank at one time. A request keeps its registry, whatever is added or removed meanwhile.
pub(super) struct Registry {
    pub(super) bert: Bert,
    pub(super) tasks: BTreeMap<String, LoadedTask>,
    set: StackedTasks,
    /// By maximum length.
    encoders: BTreeMap<usize, TextEncoder>,
}

/// A task that is loaded.
#[derive(Clone)]
pub(super) struct LoadedTask {
    pub(super) metadata: AdapterMetadata,
    pub(super) slot: BatchSlot,
    model: Arc<AdaptedBert>,
    entry: Entry,
}

/// How a task's texts are batched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchSlot {
    /// Together with those of other tasks; the index in the stacked tasks.
    Mixed(usize),
    /// In batches of the task alone.
    Alone,
}

impl ReloadingRegistry {
    /// Opens a bank and loads its tasks.
    pub(super) fn open(path: &Path, base: Option<&str>, device: &Device) -> Result<Self> {
        let bank = Bank::open(path)?;
        log_warnings(&bank);
        let (bert, fingerprint, base) = bank_base::load(&bank, base, device)?;
        let bert = bert.valid();
        let bert_config = base.config()?;
        let registry = load(&bank, &bert, &fingerprint, &base, &BTreeMap::new())?;
        let state = BankState { bank, registry: Arc::new(registry), fault: None };
        Ok(Self { bert, base, bert_config, fingerprint, state: Mutex::new(state) })
    }

    /// The tasks of the bank as it is now; only new adapters are loaded.
    ///
    /// If the bank cannot be read, the tasks in memory.
    pub(super) fn current(&self) -> Arc<Registry> {
        self.refreshed().0
    }

    /// Why the bank cannot be read now, if it cannot.
    pub(super) fn fault(&self) -> Option<String> {
        self.refreshed().1
    }

    fn refreshed(&self) -> (Arc<Registry>, Option<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = self.refresh(&mut state).err().map(|error| format!("{error:#}"));
        // Logged once, not for every request.
        match (&state.fault, &fault) {
            (None, Some(fault)) => {
                log(&format!("the bank cannot be read; the tasks in memory are served: {fault}"));
            }
            (Some(_), None) => log("the bank can be read again"),
            _ => {}
        }
        state.fault.clone_from(&fault);
        (state.registry.clone(), fault)
    }

    fn refresh(&self, state: &mut BankState) -> Result<()> {
        if state.bank.is_current()? {
            return Ok(());
        }
        let bank = Bank::open(state.bank.path())?;
        let base = &bank.index().base;
        ensure!(
            base.fingerprint == self.fingerprint,
            "{} was replaced by a bank for another base, `{}` with fingerprint {}",
            bank.path().display(),
            base.name,
            base.fingerprint
        );
        if let Some(warning) = bank.warnings().first()
            && bank.generation() < state.bank.generation()
        {
            // It is older than the tasks in memory.
            bail!("{warning}");
        }
        log_warnings(&bank);
        let known = &state.registry.tasks;
        let registry = load(&bank, &self.bert, &self.fingerprint, &self.base, known)?;
        (state.bank, state.registry) = (bank, Arc::new(registry));
        Ok(())
    }
}

/// Logs the warnings of a bank.
fn log_warnings(bank: &Bank) {
    bank.warnings().iter().for_each(|warning| log(&format!("warning: {warning}")));
}

fn load(
    bank: &Bank,
    bert: &Bert,
    fingerprint: &str,
    base: &Base,
    known: &BTreeMap<String, LoadedTask>,
) -> Result<Registry> {
    let tokenizer = base.tokenizer()?;
    let mut tasks = BTreeMap::new();
    let mut mixed = 0;
    for (name, entry) in &bank.index().entries {
        let unchanged = known.get(name).filter(|loaded| loaded.entry == *entry);
        let (model, metadata) = match unchanged {
            Some(loaded) => (loaded.model.clone(), loaded.metadata.clone()),
            None => match bank.load(name, bert.clone(), fingerprint).and_then(|loaded| {
                loaded.1.base.check_tokenizer(bank.path(), Some(&tokenizer))?;
                Ok(loaded)
            }) {
                Ok((model, metadata)) => (Arc::new(model.for_inference()), metadata),
                // A damaged adapter does not affect the others.
                Err(error) => {
                    log(&format!("`{name}` is not served: {:#}", anyhow::Error::from(error)));
                    continue;
                }
            },
        };
        if !labels_texts(&task_kind(&metadata.head)) {
            log(&format!("`{name}` is not served: it predicts {}", metadata.head));
            continue;
        }
        let slot = if check_mixable(model.task.config()).is_ok() {
            mixed += 1;
            BatchSlot::Mixed(mixed - 1)
        } else {
            BatchSlot::Alone
        };
        let entry = entry.clone();
        tasks.insert(name.clone(), LoadedTask { metadata, slot, model, entry });
    }
    let together: Vec<_> = tasks
        .values()
        .filter(|task| task.slot != BatchSlot::Alone)
        .map(|task| &task.model.task)
        .collect();
    let set = StackedTasks::new(bert, &together)?;
    let config = base.config()?;
    let mut encoders = BTreeMap::new();
    for task in tasks.values() {
        let length = task.metadata.max_length;
        if let Slot::Vacant(slot) = encoders.entry(length) {
            slot.insert(base.encoder(&config, length)?);
        }
    }
    Ok(Registry { bert: bert.clone(), tasks, set, encoders })
}

impl Registry {
    /// The encoder of a task's texts.
    pub(super) fn encoder(&self, task: &LoadedTask) -> Result<&TextEncoder> {
        self.encoders
            .get(&task.metadata.max_length)
            .context("there is an encoder for every maximum length")
    }

    /// The id with which texts are padded.
    pub(super) fn pad_id(&self) -> u32 {
        // They are all of one tokenizer.
        self.encoders.values().next().map_or(0, TextEncoder::pad_id)
    }

    /// Logits of texts of tasks that share a batch.
    pub(super) fn run_mixed(
        &self,
        slots: &[usize],
        input: &BertInput,
        device: &Device,
    ) -> Vec<Vec<f32>> {
        let rows: Vec<_> = slots.iter().copied().map(Some).collect();
        MixedBatch::new(&self.set, &rows, device).forward(&self.bert, input)
    }

    /// Logits of texts of one task.
    pub(super) fn run_alone(&self, task: &str, input: &BertInput) -> Vec<Vec<f32>> {
        let Some(loaded) = self.tasks.get(task) else { return Vec::new() };
        let model = &loaded.model;
        let hidden = model.bert.forward_with(input, &model.task);
        let logits = model.head_logits(hidden, &input.attention_mask);
        let outputs = logits.dims()[1];
        let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
        values.chunks(outputs).map(<[f32]>::to_vec).collect()
    }
}
