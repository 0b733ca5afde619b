//! What came out of each cell: a file that only grows, one line a cell.
//!
//! ```text
//! sweeps/<name>/
//!   sweep.toml              the grids, as they were asked for
//!   ledger.jsonl            a line that says the layout, then one line a finished cell
//!   ledger-1-of-4.jsonl     the same of one machine of four; all ledgers of a directory are read together
//!   runs/<task>/<cell>/     the cells' runs
//! ```
//!
//! A line is written whole and brought to the disk before the next cell starts. A line that a crash cut short is the
//! last one, and is dropped; its cell is run again.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::artifacts::write_atomically;
use crate::run::RunResult;
use crate::run_config::RunConfig;

const VERSION: u32 = 1;

/// The first line of a ledger.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    ledger: u32,
}

/// A cell that has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// The cell's name.
    pub cell: String,
    /// How it ended.
    pub end: CellEnd,
    /// The run.
    pub config: RunConfig,
}

/// How a cell ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum CellEnd {
    /// With a score.
    Done {
        /// What came out.
        result: RunResult,
    },
    /// Given up: the same answer for every row, or a loss that is no number.
    Collapsed {
        /// What was seen.
        why: String,
        /// What came out until then, where a score did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<RunResult>,
    },
    /// It could not be run.
    Failed {
        /// Why not.
        why: String,
    },
}

impl CellEnd {
    /// What came out, if anything did.
    pub fn result(&self) -> Option<&RunResult> {
        match self {
            Self::Done { result } => Some(result),
            Self::Collapsed { result, .. } => result.as_ref(),
            Self::Failed { .. } => None,
        }
    }
}

/// One of several machines that share a sweep: `2/4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 1.
    pub number: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// Everything on one machine.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// Whether the cell of this place in the sweep is this machine's.
    pub fn takes(self, index: usize) -> bool {
        index % self.of == self.number - 1
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(number, of)| {
            Some(Self { number: number.parse().ok()?, of: of.parse().ok()? })
        });
        parsed.filter(|shard| (1..=shard.of).contains(&shard.number)).ok_or_else(|| {
            format!("a shard is written i/n with i from 1 to n, as in 2/4, and not {text}")
        })
    }
}

/// The ledgers of a directory, and the one that this process adds to.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
}

impl Ledger {
    /// Opens the ledger of a shard, with what every ledger of the directory knows.
    ///
    /// # Errors
    /// A ledger of another layout, a line that is no entry, or what the file system says.
    pub fn open(directory: &Path, shard: Shard) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
        let name = match shard {
            Shard::WHOLE => "ledger.jsonl".to_owned(),
            Shard { number, of } => format!("ledger-{number}-of-{of}.jsonl"),
        };
        let path = directory.join(name);
        if path.exists() {
            drop_torn_line(&path)?;
        } else {
            let header = serde_json::to_string(&Header { ledger: VERSION })? + "\n";
            write_atomically(&path, header.as_bytes())?;
        }
        let entries = read(directory)?;
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        Ok(Self { file, path, entries })
    }

    /// What came out of a cell, if it has ended.
    pub fn get(&self, cell: &str) -> Option<&Entry> {
        self.entries.get(cell)
    }

    /// Every cell that has ended.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Adds a cell that has ended, and brings the line to the disk.
    ///
    /// # Errors
    /// What the file system says.
    pub fn add(&mut self, entry: Entry) -> Result<()> {
        let line = serde_json::to_string(&entry)? + "\n";
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.with_context(|| format!("writing {}", self.path.display()))?;
        self.entries.insert(entry.cell.clone(), entry);
        Ok(())
    }
}

/// The entries of every ledger in a directory; of a cell that two machines ran, the first.
///
/// # Errors
/// A directory without a ledger, a ledger of another layout, a line in the middle that is no entry.
pub fn read(directory: &Path) -> Result<BTreeMap<String, Entry>> {
    let found = fs::read_dir(directory)
        .with_context(|| format!("looking for ledgers in {}", directory.display()))?;
    let is_ledger = |path: &PathBuf| {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        stem.is_some_and(|stem| stem.starts_with("ledger"))
            && path.extension().is_some_and(|extension| extension == "jsonl")
    };
    let mut paths: Vec<PathBuf> =
        found.flatten().map(|entry| entry.path()).filter(is_ledger).collect();
    paths.sort();
    ensure!(!paths.is_empty(), "there is no ledger in {}", directory.display());
    let mut entries = BTreeMap::new();
    for path in paths {
        for entry in read_one(&path)? {
            entries.entry(entry.cell.clone()).or_insert(entry);
        }
    }
    Ok(entries)
}

fn read_one(path: &Path) -> Result<Vec<Entry>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let mut lines = text.lines();
    let header = lines.next().and_then(|line| serde_json::from_str::<Header>(line).ok());
    let header =
        header.with_context(|| format!("{} does not start as a ledger does", path.display()))?;
    ensure!(
        header.ledger == VERSION,
        "{} has version {}, this program reads version {VERSION}",
        path.display(),
        header.ledger
    );
    // Another machine may be in the middle of writing its last line.
    let whole = text.ends_with('\n');
    let lines: Vec<&str> = lines.collect();
    let count = lines.len() - usize::from(!whole && !lines.is_empty());
    lines[..count]
        .iter()
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_str(line)
                .with_context(|| format!("{}, line {}: no entry", path.display(), index + 2))
        })
        .collect()
}

/// Cuts off a last line that has no end.
fn drop_torn_line(path: &Path) -> Result<()> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    if whole < bytes.len() {
        let file = OpenOptions::new().write(true).open(path);
        let cut = file.and_then(|file| file.set_len(whole as u64));
        cut.with_context(|| format!("cutting the unfinished last line off {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use burn_adapters::Method;

    use super::*;
    use crate::sweep::grid::Cell;

    fn entry(seed: u64) -> Entry {
        let cell = Cell::new(RunConfig { seed, ..RunConfig::defaults(Method::Houlsby) });
        let end = CellEnd::Failed { why: "a test".to_owned() };
        Entry { cell: cell.id, end, config: cell.config }
    }

    #[test]
    fn a_ledger_remembers_and_a_torn_line_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(directory.path(), Shard::WHOLE).unwrap();
        ledger.add(entry(1)).unwrap();
        ledger.add(entry(2)).unwrap();
        drop(ledger);
        let path = directory.path().join("ledger.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 20]).unwrap();

        let mut ledger = Ledger::open(directory.path(), Shard::WHOLE).unwrap();
        assert!(ledger.get(&entry(1).cell).is_some());
        assert!(ledger.get(&entry(2).cell).is_none());
        ledger.add(entry(3)).unwrap();
        assert_eq!(read(directory.path()).unwrap().len(), 2);
    }

    #[test]
    fn ledgers_of_several_machines_are_one() {
        let directory = tempfile::tempdir().unwrap();
        for number in 1..=3 {
            let shard = Shard { number, of: 3 };
            let mut ledger = Ledger::open(directory.path(), shard).unwrap();
            ledger.add(entry(number as u64)).unwrap();
        }
        assert_eq!(Ledger::open(directory.path(), Shard::WHOLE).unwrap().entries().count(), 3);
    }

    #[test]
    fn a_ledger_of_another_version_or_with_a_broken_line_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.jsonl");
        let sentence =
            || format!("{:#}", Ledger::open(directory.path(), Shard::WHOLE).unwrap_err());
        fs::write(&path, "{\"ledger\":9}\n").unwrap();
        assert!(sentence().contains("has version 9, this program reads version 1"));
        fs::write(&path, "{\"ledger\":1}\n{\"cell\":1}\n{\"cell\":2}\n").unwrap();
        assert!(sentence().contains("line 2: no entry"));
        fs::write(&path, "hello\n").unwrap();
        assert!(sentence().contains("does not start as a ledger does"));
    }

    #[test]
    fn shards_share_the_cells_out() {
        let shard: Shard = "2/4".parse().unwrap();
        let taken: Vec<usize> = (0..8).filter(|index| shard.takes(*index)).collect();
        assert_eq!(taken, [1, 5]);
        for wrong in ["0/4", "5/4", "2", "a/b"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
