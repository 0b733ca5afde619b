//! The tasks in memory: those of the bank as it is now.

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
use burn_bert::{Bert, BertConfig, BertInput};
use glue_data::TextEncoder;

use super::log::log;
use crate::base::Base;
use crate::inference::bank_base;
use crate::task_data::kind::{labels_texts, task_kind};

/// A bank that is served, and what of it is in memory.
pub(super) struct ReloadingRegistry {
    bert: Bert,
    base: Base,
    pub(super) bert_config: BertConfig,
    fingerprint: String,
    now: Mutex<Now>,
}

/// The bank as it was when it could last be read.
struct Now {
    bank: Bank,
    registry: Arc<Registry>,
    /// Why it cannot be read now.
    fault: Option<String>,
}

/// The tasks of a bank at one time. A request keeps its own, whatever is added or removed meanwhile.
pub(super) struct Registry {
    pub(super) bert: Bert,
    pub(super) tasks: BTreeMap<String, LoadedTask>,
    set: StackedTasks,
    /// Of each longest length.
    encoders: BTreeMap<usize, TextEncoder>,
}

/// A task that is served.
#[derive(Clone)]
pub(super) struct LoadedTask {
    pub(super) metadata: AdapterMetadata,
    pub(super) place: BatchSlot,
    model: Arc<AdaptedBert>,
    entry: Entry,
}

/// How a task's texts are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchSlot {
    /// With those of other tasks; the number in the set.
    Mixed(usize),
    /// In batches of its own.
    Alone,
}

impl ReloadingRegistry {
    /// Opens a bank and loads its tasks.
    pub(super) fn open(path: &Path, base: Option<&str>, device: &Device) -> Result<Self> {
        let bank = Bank::open(path)?;
        warn(&bank);
        let (bert, fingerprint, base) = bank_base::load(&bank, base, device)?;
        let bert = bert.valid();
        let bert_config = base.config()?;
        let registry = load(&bank, &bert, &fingerprint, &base, &BTreeMap::new())?;
        let now = Now { bank, registry: Arc::new(registry), fault: None };
        Ok(Self { bert, base, bert_config, fingerprint, now: Mutex::new(now) })
    }

    /// The tasks as the bank has them now; only what was added since is read.
    ///
    /// Where the bank cannot be read, its tasks are those that are in memory.
    pub(super) fn current(&self) -> Arc<Registry> {
        self.state().0
    }

    /// Why the bank cannot be read now, if it cannot.
    pub(super) fn fault(&self) -> Option<String> {
        self.state().1
    }

    fn state(&self) -> (Arc<Registry>, Option<String>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = self.refresh(&mut now).err().map(|error| format!("{error:#}"));
        // Once, and not for every request.
        match (&now.fault, &fault) {
            (None, Some(fault)) => log(&format!(
                "the bank cannot be read, and the tasks in memory are served: {fault}"
            )),
            (Some(_), None) => log("the bank can be read again"),
            _ => {}
        }
        now.fault.clone_from(&fault);
        (now.registry.clone(), fault)
    }

    fn refresh(&self, now: &mut Now) -> Result<()> {
        if now.bank.is_current()? {
            return Ok(());
        }
        let bank = Bank::open(now.bank.path())?;
        let base = &bank.index().base;
        ensure!(
            base.fingerprint == self.fingerprint,
            "{} was replaced by a bank for another base, `{}` with fingerprint {}",
            bank.path().display(),
            base.name,
            base.fingerprint
        );
        if let Some(warning) = bank.warnings().first()
            && bank.generation() < now.bank.generation()
        {
            // It is older than what is in memory.
            bail!("{warning}");
        }
        warn(&bank);
        let known = &now.registry.tasks;
        let registry = load(&bank, &self.bert, &self.fingerprint, &self.base, known)?;
        (now.bank, now.registry) = (bank, Arc::new(registry));
        Ok(())
    }
}

/// Says what is wrong with a bank that is read nevertheless.
fn warn(bank: &Bank) {
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
        let unchanged = known.get(name).filter(|served| served.entry == *entry);
        let (model, metadata) = match unchanged {
            Some(served) => (served.model.clone(), served.metadata.clone()),
            None => match bank.load(name, bert.clone(), fingerprint).and_then(|loaded| {
                loaded.1.base.check_tokenizer(bank.path(), Some(&tokenizer))?;
                Ok(loaded)
            }) {
                Ok((model, metadata)) => (Arc::new(model.valid()), metadata),
                // One damaged adapter does not take the others down.
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
        let place = if check_mixable(model.task.config()).is_ok() {
            mixed += 1;
            BatchSlot::Mixed(mixed - 1)
        } else {
            BatchSlot::Alone
        };
        let entry = entry.clone();
        tasks.insert(name.clone(), LoadedTask { metadata, place, model, entry });
    }
    let together: Vec<_> = tasks
        .values()
        .filter(|served| served.place != BatchSlot::Alone)
        .map(|served| &served.model.task)
        .collect();
    let set = StackedTasks::new(bert, &together)?;
    let config = base.config()?;
    let mut encoders = BTreeMap::new();
    for served in tasks.values() {
        let length = served.metadata.max_length;
        if let Slot::Vacant(slot) = encoders.entry(length) {
            slot.insert(base.encoder(&config, length)?);
        }
    }
    Ok(Registry { bert: bert.clone(), tasks, set, encoders })
}

impl Registry {
    /// The encoder of a task's texts.
    pub(super) fn encoder(&self, task: &LoadedTask) -> Result<&TextEncoder> {
        self.encoders.get(&task.metadata.max_length).context("every length has its encoder")
    }

    /// Logits of texts of tasks that mix.
    pub(super) fn run_mixed(
        &self,
        places: &[usize],
        input: &BertInput,
        device: &Device,
    ) -> Vec<Vec<f32>> {
        let rows: Vec<_> = places.iter().copied().map(Some).collect();
        MixedBatch::new(&self.set, &rows, device).forward(&self.bert, input)
    }

    /// Logits of texts of one task.
    pub(super) fn run_alone(&self, task: &str, input: &BertInput) -> Vec<Vec<f32>> {
        let Some(served) = self.tasks.get(task) else { return Vec::new() };
        let logits = served.model.forward(input);
        let outputs = logits.dims()[1];
        let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
        values.chunks(outputs).map(<[f32]>::to_vec).collect()
    }
}
