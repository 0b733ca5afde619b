//! A sweep of four cells on the embedded task.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::program::Program;
use super::scenario::Scenario;
use super::train::{ROWS, without_times, write_base_and_rows};

const GRID: &str = "version = 1\n[[grid]]\ntasks = ['helpdesk']\nmethods = ['houlsby', 'layer-norm']\nsizes = [4]\n\
                    epochs = [2]\nseeds = [0, 1]\nlimit = 16\nmax_length = 8\nbatch_size = 8\n";
const CELLS: usize = 4;

pub(crate) struct Sweep;

impl Scenario for Sweep {
    fn set_up(&self, directory: &Path) -> Result<()> {
        write_base_and_rows(directory, ROWS)?;
        std::fs::write(directory.join("grid.toml"), GRID)?;
        Ok(())
    }

    fn next(&self, program: &Program, directory: &Path) -> Result<Option<Command>> {
        if entries(directory).is_ok_and(|entries| entries.len() == CELLS) {
            return Ok(None);
        }
        let line = "sweep grid.toml --base base --device cpu --name s --checkpoint-every 0 --json";
        Ok(Some(program.command(directory, line)))
    }

    fn final_state(&self, _: &Program, directory: &Path) -> Result<String> {
        let entries = entries(directory)?;
        let mut by_cell = BTreeMap::new();
        for mut entry in entries {
            without_times(&mut entry);
            let cell = entry["cell"].as_str().context("an entry without a cell")?.to_owned();
            // A checksum covers the times.
            entry.as_object_mut().map(|entry| entry.remove("checksum"));
            let before = by_cell.insert(cell.clone(), entry.to_string());
            ensure!(before.is_none(), "the cell {cell} is in the ledger twice");
        }
        Ok(by_cell.into_values().collect::<Vec<_>>().join("\n"))
    }
}

/// The whole lines of the ledger after its header.
fn entries(directory: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(directory.join("sweeps/s/ledger.jsonl"))?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().skip(1).map(|line| Ok(serde_json::from_str(line)?)).collect()
}
