//! The ledgers of a sweep: append-only files with one line for each cell that has ended.
//!
//! ```text
//! sweeps/<name>/
//!   sweep.toml              the sweep file
//!   ledger.jsonl            a line with the version, then one line for each cell that has ended
//!   ledger-1-of-4.jsonl     the same for a shard; all ledgers of a directory are read together
//!   runs/<task>/<cell>/     the cells' runs
//! ```
//!
//! A line is written and flushed to disk before the next cell starts. Only the last line can be truncated by a crash; it
//! is removed, and its cell is recorded again. A ledger is locked while a process appends to it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn_adapters::file::atomic;

use super::entries::{self, Entries};
use super::entry::Entry;
use super::shard::Shard;
use crate::system::files::write_atomically;
use crate::system::lock::Lock;

/// The ledger to which this process appends, and the entries of all ledgers of its directory.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    path: PathBuf,
    entries: Entries,
    _lock: Lock,
}

impl Ledger {
    /// Opens the ledger of a shard, locked, with the entries of every ledger of the directory.
    ///
    /// # Errors
    /// [`InUse`](crate::system::lock::InUse) if another process appends to it; a ledger of another version, an invalid line, or
    /// what the file system reports.
    pub fn open(directory: &Path, shard: Shard) -> Result<Self> {
        create_directory(directory)?;
        let path = directory.join(shard.ledger());
        let lock = Lock::beside(&path)?;
        atomic::remove_partial_of(&path)
            .with_context(|| format!("removing temporary files in {}", directory.display()))?;
        prepare(&path)?;
        let entries = entries::read(directory)?;
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        Ok(Self { file, path, entries, _lock: lock })
    }

    /// All cells that have ended.
    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Appends a cell that has ended, and flushes the line to disk.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn add(&mut self, entry: Entry) -> Result<()> {
        let line = entry.to_line()?;
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.with_context(|| format!("writing {}", self.path.display()))?;
        self.entries.add(entry);
        Ok(())
    }
}

/// Writes the sweep file into the directory of the sweep, if it is missing or differs.
///
/// # Errors
/// What the file system reports.
pub fn write_grids(directory: &Path, text: &str) -> Result<()> {
    let path = directory.join("sweep.toml");
    // Several shards may start at once.
    let _lock = Lock::wait_beside(&path, || ())?;
    atomic::remove_partial_of(&path)
        .with_context(|| format!("removing temporary files in {}", directory.display()))?;
    if fs::read(&path).is_ok_and(|present| present == text.as_bytes()) {
        return Ok(());
    }
    write_atomically(&path, text.as_bytes())
}

/// Creates an empty ledger, or removes a truncated last line.
fn prepare(path: &Path) -> Result<()> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let header = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if !bytes.is_empty() {
        entries::check_header(path, header)?;
    }
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    if whole == 0 {
        return write_atomically(path, entries::header()?.as_bytes());
    }
    if whole < bytes.len() {
        let file = OpenOptions::new().write(true).open(path);
        let cut = file.and_then(|file| file.set_len(whole as u64).and_then(|()| file.sync_data()));
        cut.with_context(|| format!("removing the truncated last line of {}", path.display()))?;
    }
    Ok(())
}

fn create_directory(directory: &Path) -> Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    atomic::sync_directory(parent.unwrap_or(Path::new(".")))
        .with_context(|| format!("creating {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::{done, failed};
    use super::*;
    use crate::system::lock::InUse;

    fn open(directory: &Path) -> Ledger {
        Ledger::open(directory, Shard::WHOLE).unwrap()
    }

    #[test]
    fn a_line_that_a_crash_cut_short_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = open(directory.path());
        ledger.add(failed(1)).unwrap();
        ledger.add(failed(2)).unwrap();
        drop(ledger);
        let path = directory.path().join("ledger.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 20]).unwrap();
        assert_eq!(entries::read(directory.path()).unwrap().iter().count(), 1);

        let mut ledger = open(directory.path());
        assert!(ledger.entries().get(&failed(1).cell).is_some());
        assert!(ledger.entries().get(&failed(2).cell).is_none());
        ledger.add(failed(3)).unwrap();
        assert_eq!(entries::read(directory.path()).unwrap().iter().count(), 2);
    }

    #[test]
    fn a_ledger_in_use_is_refused_and_another_shard_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let _held = open(directory.path());
        let error = Ledger::open(directory.path(), Shard::WHOLE).unwrap_err();
        assert!(error.downcast_ref::<InUse>().is_some(), "{error:#}");
        Ledger::open(directory.path(), Shard { number: 1, of: 2 }).unwrap();
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
        assert!(sentence().contains("line 2: the line is not an entry"), "{}", sentence());
        let line = done(1, 0.5).to_line().unwrap().replace("0.5", "0.9");
        fs::write(&path, format!("{{\"ledger\":1}}\n{line}")).unwrap();
        assert!(
            sentence().contains("line 2: the line does not match its checksum"),
            "{}",
            sentence()
        );
        for foreign in ["hello\n", "hello"] {
            fs::write(&path, foreign).unwrap();
            assert!(sentence().contains("is not a ledger"));
            assert_eq!(fs::read_to_string(&path).unwrap(), foreign, "a foreign file is left alone");
        }
    }

    #[test]
    fn a_ledger_without_a_whole_header_is_begun_again() {
        let directory = tempfile::tempdir().unwrap();
        for torn in ["", "{\"ledger\":1}"] {
            fs::write(directory.path().join("ledger.jsonl"), torn).unwrap();
            open(directory.path()).add(done(1, 0.5)).unwrap();
            assert_eq!(entries::read(directory.path()).unwrap().iter().count(), 1);
        }
    }
}
