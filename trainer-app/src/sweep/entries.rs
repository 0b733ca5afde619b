//! Reads all ledgers of a directory together.
//!
//! If a cell has several lines, the one with the best status counts (done, then collapsed, then failed), and of equals
//! the latest.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::entry::{Entry, LineError};
use super::shard::Shard;

const VERSION: u32 = 1;

/// The first line of a ledger.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    ledger: u32,
}

/// The cells of a directory's ledgers.
#[derive(Debug, Default)]
pub struct Entries {
    by_cell: BTreeMap<String, Entry>,
    /// What was found and ignored.
    pub notes: Vec<Note>,
}

/// A file or line in a sweep's directory that looks like a result and is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A file with a name similar to a ledger's: a copy or a backup.
    Stray(PathBuf),
    /// A line whose cell id does not match its configuration.
    OtherCell {
        /// The ledger.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The error.
        reason: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stray(path) => write!(
                f,
                "{} is ignored: ledgers are named ledger.jsonl or ledger-1-of-4.jsonl",
                path.display()
            ),
            Self::OtherCell { path, line, reason } => {
                write!(f, "{} line {line} is ignored: {reason}", path.display())
            }
        }
    }
}

impl Entries {
    /// The entry of a cell, if it has ended.
    pub fn get(&self, cell: &str) -> Option<&Entry> {
        self.by_cell.get(cell)
    }

    /// All cells that have ended.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.by_cell.values()
    }

    /// Adds an entry that is later than all others.
    pub(super) fn add(&mut self, entry: Entry) {
        keep(&mut self.by_cell, entry, |known, entry| known.end.rank() <= entry.end.rank());
    }
}

/// Adds an entry, unless its cell already has one that it does not replace.
fn keep(
    entries: &mut BTreeMap<String, Entry>,
    entry: Entry,
    replaces: impl Fn(&Entry, &Entry) -> bool,
) {
    match entries.get(&entry.cell) {
        Some(known) if !replaces(known, &entry) => {}
        _ => {
            entries.insert(entry.cell.clone(), entry);
        }
    }
}

/// The entries of every ledger in a directory.
///
/// # Errors
/// A directory without a ledger, a ledger of another version, or an invalid line.
pub fn read(directory: &Path) -> Result<Entries> {
    let (paths, strays) = ledgers(directory)
        .with_context(|| format!("looking for ledgers in {}", directory.display()))?;
    ensure!(
        !paths.is_empty(),
        "there is no ledger in {}; expected the directory of a sweep, such as sweeps/minilm",
        directory.display()
    );
    read_all(&paths, strays)
}

/// The entries of a directory that may have no ledger yet, or not exist.
///
/// # Errors
/// A ledger of another version, or an invalid line.
pub fn read_if_any(directory: &Path) -> Result<Entries> {
    match ledgers(directory) {
        Ok((paths, strays)) => read_all(&paths, strays),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Entries::default()),
        Err(error) => {
            Err(error).with_context(|| format!("looking for ledgers in {}", directory.display()))
        }
    }
}

/// The ledgers of a directory in the order of their names, and files with similar names.
fn ledgers(directory: &Path) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut ledgers, mut strays) = (Vec::new(), Vec::new());
    for file in fs::read_dir(directory)? {
        let file = file?;
        let name = file.file_name();
        let name = name.to_string_lossy();
        if Shard::of_ledger(&name).is_some() {
            ledgers.push(file.path());
        } else if name.starts_with("ledger") && name.contains(".jsonl") {
            strays.push(file.path());
        }
    }
    ledgers.sort();
    strays.sort();
    Ok((ledgers, strays))
}

fn read_all(paths: &[PathBuf], strays: Vec<PathBuf>) -> Result<Entries> {
    let mut all =
        Entries { notes: strays.into_iter().map(Note::Stray).collect(), ..Entries::default() };
    for path in paths {
        let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let Entries { by_cell, notes } = parse(path, &bytes)?;
        all.notes.extend(notes);
        for (_, entry) in by_cell {
            // Lines of two files can only be compared by time. Entries of version 0.1.0 have none, and count as the
            // earliest.
            keep(&mut all.by_cell, entry, |known, entry| {
                (known.end.rank(), known.finished_at) <= (entry.end.rank(), entry.finished_at)
            });
        }
    }
    Ok(all)
}

/// The entries of a ledger; `path` is for the errors and notes.
///
/// # Errors
/// A ledger of another version, or an invalid line.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Entries> {
    // A last line without a line feed is being written by another process.
    let mut lines = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map_while(|line| line.strip_suffix(b"\n"))
        .enumerate();
    check_header(path, lines.next().map_or(bytes, |(_, line)| line))?;
    let mut entries = Entries::default();
    for (index, line) in lines {
        match Entry::from_line(line) {
            // Within a file the order of the lines counts, not the time.
            Ok(entry) => entries.add(entry),
            Err(error @ LineError::OtherCell { .. }) => entries.notes.push(Note::OtherCell {
                path: path.to_owned(),
                line: index + 1,
                reason: error.to_string(),
            }),
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("{} line {}", path.display(), index + 1));
            }
        }
    }
    Ok(entries)
}

/// Checks the first line of a ledger.
pub(super) fn check_header(path: &Path, line: &[u8]) -> Result<()> {
    let header: Header = serde_json::from_slice(line).ok().with_context(|| {
        format!(
            "{} is not a ledger: expected {{\"ledger\":{VERSION}}} as its first line",
            path.display()
        )
    })?;
    ensure!(
        header.ledger == VERSION,
        "{} has version {}, this program reads version {VERSION}",
        path.display(),
        header.ledger
    );
    Ok(())
}

/// The first line of a ledger, with its line feed.
///
/// # Errors
/// None in practice: a number is always JSON.
pub(super) fn header() -> Result<String> {
    Ok(serde_json::to_string(&Header { ledger: VERSION })? + "\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::entry::CellEnd;
    use super::super::entry::tests::{done, failed};
    use super::super::ledger::Ledger;
    use super::*;

    fn open(directory: &Path) -> Ledger {
        Ledger::open(directory, Shard::WHOLE).unwrap()
    }

    fn status(entries: &Entries, entry: &Entry) -> u8 {
        entries.get(&entry.cell).unwrap().end.rank()
    }

    #[test]
    fn a_success_after_a_failure_counts_when_the_ledger_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = open(directory.path());
        ledger.add(failed(1)).unwrap();
        ledger.add(done(1, 0.5)).unwrap();
        assert_eq!(status(ledger.entries(), &failed(1)), 2);
        drop(ledger);
        assert_eq!(status(&read(directory.path()).unwrap(), &failed(1)), 2);
    }

    #[test]
    fn the_best_status_counts_and_of_equals_the_latest_over_all_ledgers() {
        let directory = tempfile::tempdir().unwrap();
        let add = |shard: &str, entries: &[Entry]| {
            let mut ledger = Ledger::open(directory.path(), shard.parse().unwrap()).unwrap();
            entries.iter().for_each(|entry| ledger.add(entry.clone()).unwrap());
        };
        let at = |entry: Entry, seconds| Entry { finished_at: Some(seconds), ..entry };
        let collapsed = |seed, why: &str| Entry {
            end: CellEnd::Collapsed { why: why.to_owned(), result: None },
            ..failed(seed)
        };
        // Written first, read last: the names decide only between entries of one time.
        add("2/2", &[at(done(1, 0.1), 50), failed(2), at(collapsed(3, "late"), 9), done(4, 0.4)]);
        add("1/2", &[at(failed(1), 99), collapsed(2, "x"), at(collapsed(3, "early"), 8)]);
        add("1/1", &[at(done(4, 0.6), 7)]);
        let entries = read(directory.path()).unwrap();
        assert_eq!(status(&entries, &failed(1)), 2, "done counts before failed, even a later one");
        assert_eq!(status(&entries, &failed(2)), 1, "collapsed counts before failed");
        let why = |seed| match &entries.get(&failed(seed).cell).unwrap().end {
            CellEnd::Collapsed { why, .. } => why.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(why(3), "late", "of equals the latest");
        let score = entries.get(&failed(4).cell).unwrap().end.result().unwrap().score;
        assert!((score - 0.6).abs() < 1e-12, "an entry without a time is the earlier one: {score}");
    }

    #[test]
    fn in_one_file_the_later_line_is_the_later_one_whatever_the_clock_says() {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = open(directory.path());
        ledger.add(Entry { finished_at: Some(2_000), ..done(1, 0.2) }).unwrap();
        ledger.add(Entry { finished_at: Some(1_000), ..done(1, 0.7) }).unwrap();
        let entries = read(directory.path()).unwrap();
        let score = entries.get(&failed(1).cell).unwrap().end.result().unwrap().score;
        assert!((score - 0.7).abs() < 1e-12, "{score}");
    }

    #[test]
    fn copies_and_backups_are_not_read_and_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = open(directory.path());
        ledger.add(done(1, 0.5)).unwrap();
        drop(ledger);
        let line = done(2, 0.9).to_line().unwrap();
        let strays = [
            "ledger copy.jsonl",
            "ledger-1-of-4.jsonl~",
            "ledger-5-of-4.jsonl",
            "ledger.jsonl.orig",
            "ledger-01-of-4.jsonl",
            "ledger-1-of-1.jsonl",
        ];
        for name in strays {
            fs::write(directory.path().join(name), format!("{{\"ledger\":1}}\n{line}")).unwrap();
        }
        fs::write(directory.path().join("notes.txt"), "").unwrap();
        let entries = read(directory.path()).unwrap();
        assert_eq!(entries.iter().count(), 1);
        let named: BTreeSet<String> = entries.notes.iter().map(ToString::to_string).collect();
        assert_eq!(named.len(), strays.len());
        assert!(
            named.iter().all(|note| note.contains("is ignored: ledgers are named")),
            "{named:?}"
        );
    }

    #[test]
    fn an_entry_of_another_configuration_is_ignored_with_a_note() {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = open(directory.path());
        ledger.add(Entry { cell: failed(2).cell, ..done(1, 0.5) }).unwrap();
        drop(ledger);
        let entries = read(directory.path()).unwrap();
        assert_eq!(entries.iter().count(), 0);
        let note = entries.notes[0].to_string();
        assert!(note.contains("ledger.jsonl line 2 is ignored: the cell"), "{note}");
    }

    #[test]
    fn ledgers_of_several_machines_are_read_together() {
        let directory = tempfile::tempdir().unwrap();
        for number in 1..=3 {
            let shard = Shard { number, of: 3 };
            let mut ledger = Ledger::open(directory.path(), shard).unwrap();
            ledger.add(failed(number as u64)).unwrap();
        }
        assert_eq!(open(directory.path()).entries().iter().count(), 3);
    }
}
