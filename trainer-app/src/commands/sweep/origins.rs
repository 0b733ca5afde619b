//! Whether the finished cells of a sweep were trained on the base and the rows that are there now.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::cells::{Fingerprints, Sweep};
use crate::base::Base;
use crate::learner::checkpoint::identity;
use crate::run::RunResult;
use crate::run::resource_cache::ResourceCache;
use crate::run_config::ModelConfig;
use crate::sweep::cell::Cell;
use crate::sweep::entries::Entries;
use crate::task_data;

/// What determines the outputs of a base.
struct BaseState {
    weights: String,
    config: Value,
    tokenizer: String,
}

impl Sweep<'_> {
    /// Reads the base and the rows, and checks that the finished cells were trained on the same.
    ///
    /// Without cells to train, a base or rows that are not on this machine are a note.
    pub(super) fn check_origins(
        &self,
        entries: &Entries,
        shared: &mut ResourceCache,
    ) -> Result<Fingerprints> {
        let mut rows = Fingerprints::new();
        let mut model = None;
        for Cell { config, .. } in self.open_cells(entries) {
            model.get_or_insert(&config.model);
            if !rows.contains_key(&config.task.name) {
                let data = task_data::read(config).with_context(|| {
                    format!("reading the rows of {} (no cell was started)", config.task.name)
                })?;
                rows.insert(config.task.name.clone(), data.fingerprint().map(str::to_owned));
            }
        }
        // Errors of the base are found before a cell is started.
        let loaded = match model {
            // Whether a cell's maximum length fits the base is checked with that cell.
            Some(model) => Some(shared.base(&ModelConfig { max_length: 1, ..model.clone() })?),
            None => None,
        };
        let finished: Vec<(&Cell, &RunResult)> = self
            .cells
            .iter()
            .filter_map(|cell| Some((cell, entries.get(&cell.id)?.end.result()?)))
            .collect();
        for (cell, result) in &finished {
            self.check_rows(cell, result, &mut rows)?;
        }
        if finished.iter().all(|(_, result)| result.base_fingerprint.is_none()) {
            return Ok(rows);
        }
        let base = match loaded {
            Some(loaded) => BaseState {
                weights: loaded.fingerprint()?,
                config: loaded.published_config.clone(),
                tokenizer: loaded.base.tokenizer()?,
            },
            None => match self.find_base() {
                Ok(base) => base,
                Err(error) => {
                    noteln!(
                        "note: the base cannot be compared with that of the finished cells: {error:#}"
                    );
                    return Ok(rows);
                }
            },
        };
        finished.iter().try_for_each(|(cell, result)| self.check_base(cell, result, &base))?;
        Ok(rows)
    }

    /// Compares the rows of a finished cell's task with those that are there now.
    fn check_rows(&self, cell: &Cell, result: &RunResult, rows: &mut Fingerprints) -> Result<()> {
        let Some(then) = &result.rows_fingerprint else { return Ok(()) };
        let task = &cell.config.task.name;
        if !rows.contains_key(task) {
            let now =
                task_data::read(&cell.config).map(|data| data.fingerprint().map(str::to_owned));
            let now = now.unwrap_or_else(|error| {
                noteln!(
                    "note: the rows of {task} cannot be compared with those of the finished cells: {error:#}"
                );
                None
            });
            rows.insert(task.clone(), now);
        }
        match rows.get(task) {
            Some(Some(now)) if now != then => bail!(
                "the rows of {task} differ from those on which the cell {} in {} was trained; give the directory of the \
                 earlier rows with --data, or choose another --name for a sweep on the new rows",
                cell.id,
                self.directory.display()
            ),
            _ => Ok(()),
        }
    }

    /// The base of the command line, if it is on this machine.
    fn find_base(&self) -> Result<BaseState> {
        let name = &self.args.base;
        let base = Base::find(name)?.with_context(|| format!("{name} is not on this machine"))?;
        Ok(BaseState {
            weights: base.fingerprint()?,
            config: serde_json::to_value(base.config()?)?,
            tokenizer: base.tokenizer()?,
        })
    }

    /// Compares a finished cell's base with the one that is there now.
    fn check_base(&self, cell: &Cell, result: &RunResult, base: &BaseState) -> Result<()> {
        let differs =
            |then: &Option<String>, now: &str| then.as_deref().is_some_and(|then| then != now);
        let mut changes = Vec::new();
        if differs(&result.base_fingerprint, &base.weights) {
            changes.push("its weights changed".to_owned());
        }
        if differs(&result.tokenizer_fingerprint, &base.tokenizer) {
            changes.push("its tokenizer changed".to_owned());
        }
        if let Some(then) = &result.base_config {
            // Settings that the program did not know at that time are not compared.
            let mut now = base.config.clone();
            if let Value::Object(now) = &mut now {
                now.retain(|key, _| then.get(key).is_some());
            }
            changes.extend(identity::changed("its ", then, &now, &[]));
        }
        if changes.is_empty() {
            return Ok(());
        }
        bail!(
            "the base {} differs from the one on which the cell {} in {} was trained: {}; choose another --name for a \
             sweep on the new base",
            self.args.base,
            cell.id,
            self.directory.display(),
            changes.join(", ")
        )
    }
}
