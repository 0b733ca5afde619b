//! A bank that is created, filled, partly emptied and compacted, one command after another.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::program::Program;
use super::scenario::Scenario;
use super::train::{ROWS, train_line, write_base_and_rows};

/// A bank and two adapters for it.
pub(crate) struct Bank {
    /// Directory of the base and the adapters.
    prepared: PathBuf,
}

impl Bank {
    /// Trains the adapters, once.
    pub(crate) fn prepare(program: &Program, place: &Path) -> Result<Self> {
        write_base_and_rows(place, ROWS)?;
        for (name, seed) in [("a", 1), ("b", 2)] {
            program.succeed(place, &train_line(name, seed))?;
            let adapter = place.join(format!("runs/rows/{name}/adapter.safetensors"));
            std::fs::copy(adapter, place.join(format!("{name}.safetensors")))?;
        }
        Ok(Self { prepared: place.to_owned() })
    }
}

/// The tasks in the bank, by name; `None` while there is no bank.
fn tasks(program: &Program, directory: &Path) -> Result<Option<Vec<String>>> {
    if !directory.join("t.bank").exists() {
        return Ok(None);
    }
    let listed = program.succeed(directory, "bank list t.bank --json")?;
    let mut names = Vec::new();
    for line in listed.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        names.push(line["task"].as_str().unwrap_or_default().to_owned());
    }
    names.sort();
    Ok(Some(names))
}

impl Scenario for Bank {
    fn set_up(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir(directory.join("base"))?;
        for file in [
            "base/config.json",
            "base/model.safetensors",
            "base/vocab.txt",
            "a.safetensors",
            "b.safetensors",
        ] {
            std::fs::copy(self.prepared.join(file), directory.join(file))?;
        }
        Ok(())
    }

    /// The next command follows from the bank, and from a mark that is written before the first removal.
    fn next(&self, program: &Program, directory: &Path) -> Result<Option<Command>> {
        let tasks = tasks(program, directory)?;
        let tasks: Option<Vec<&str>> =
            tasks.as_ref().map(|tasks| tasks.iter().map(String::as_str).collect());
        let size = || directory.join("t.bank").metadata().map(|metadata| metadata.len());
        let mark = directory.join("full-size");
        let line = match tasks.as_deref() {
            None => "bank create t.bank --base base",
            Some([]) => "bank add t.bank a.safetensors --name a",
            Some(["a"]) => "bank add t.bank b.safetensors --name b",
            Some(["a", "b"]) => {
                std::fs::write(&mark, size()?.to_string())?;
                "bank remove t.bank a"
            }
            Some(_) => {
                let before: u64 = std::fs::read_to_string(&mark)?.parse()?;
                if size()? < before {
                    return Ok(None);
                }
                "bank compact t.bank"
            }
        };
        Ok(Some(program.command(directory, line)))
    }

    fn final_state(&self, program: &Program, directory: &Path) -> Result<String> {
        program.succeed(directory, "bank verify t.bank --device cpu")?;
        let tasks = tasks(program, directory)?.unwrap_or_default();
        Ok(tasks.join(" "))
    }
}
