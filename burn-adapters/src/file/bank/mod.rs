//! A bank: the adapters of many tasks on one base in one file, opened without reading a weight.
//!
//! ```text
//! 0    slot      64 bytes
//! 64   slot      64 bytes
//! 128  adapters and indices, in the order in which they were added
//! ```
//!
//! An adapter is a [`native`] file byte for byte, its header included.
//! An index is the JSON of an [`Index`]: the base, and the position of each adapter with the SHA-256 of its bytes.
//! A slot is the magic `burnbank`, then little-endian the version (`u32`), 4 bytes of zeros, a generation, the position and
//! the length of an index (`u64` each), and the first 24 bytes of the SHA-256 of the slot so far followed by the index.
//!
//! The content of the bank is that of the intact slot with the highest generation; a slot that is neither intact nor
//! empty is [a warning](Bank::warnings).
//! A change appends adapters and an index, flushes them to the disk, and then writes the slot that is *not* in use, so
//! that a change that is interrupted anywhere leaves the bank as it was; the next change removes what it appended.
//! Removed adapters and old indices are unused space ([`Bank::unused`]).
//! Data that is in use is never overwritten, so that one program can add adapters while others read; [`Bank::compact`] writes a new
//! file in the place of the old one.
//!
//! Adapters are read and not memory-mapped: Burn copies weights into its own tensors, so that a mapping would save
//! nothing, and a process is killed if a mapped file is truncated.

mod error;
mod index;
mod slots;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use burn_bert::Bert;
use sha2::{Digest, Sha256};

use self::error::io;
pub use self::error::{BankError, BankWarning};
pub use self::index::{BANK_VERSION, Entry, Index};
use self::slots::{SLOT, START, State, append, change, lock, read_state, slot, to_json};
use super::atomic;
use super::checksum::hexadecimal;
use super::native::{self, AdapterHeader, AdapterMetadata, BaseIdentity};
use crate::error::{AdapterError, FileError};
use crate::model::adapted::AdaptedBert;

/// An open bank. Its index is in memory; adapters are read on demand.
#[derive(Debug, Clone, PartialEq)]
pub struct Bank {
    path: PathBuf,
    /// Its slots and its index when it was opened.
    state: State,
}

/// An adapter file to add.
#[derive(Debug, Clone, Copy)]
pub struct NewTask<'a> {
    /// The file.
    pub file: &'a Path,
    /// The name in the bank, if it is not that of the adapter's task.
    pub name: Option<&'a str>,
}

impl Bank {
    /// Creates an empty bank for a base, whose weights have `base_bytes` bytes.
    ///
    /// # Errors
    /// If the file exists already, or cannot be written.
    pub fn create(path: &Path, base: BaseIdentity, base_bytes: u64) -> Result<Self, BankError> {
        if path.exists() {
            return Err(BankError::Exists { path: path.to_owned() });
        }
        let index = to_json(&Index { base, base_bytes, entries: BTreeMap::new() });
        let mut bytes = slot(0, START, &index);
        bytes.resize(2 * SLOT, 0);
        bytes.extend(index);
        atomic::create(path, &bytes).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => BankError::Exists { path: path.to_owned() },
            _ => io(path, "write", source),
        })?;
        Self::open(path)
    }

    /// Opens a bank. Two slots and one index are read, whatever the number of adapters.
    ///
    /// # Errors
    /// If the file cannot be read, is no bank or one of another version, or is damaged.
    pub fn open(path: &Path) -> Result<Self, BankError> {
        let mut file = File::open(path).map_err(|source| io(path, "open", source))?;
        Ok(Self { path: path.to_owned(), state: read_state(path, &mut file)? })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content when it was opened.
    pub fn index(&self) -> &Index {
        &self.state.index
    }

    /// The number of changes since the bank was created.
    pub fn generation(&self) -> u64 {
        self.state.generation
    }

    /// Whether the bank is unchanged since it was opened. Both slots are read.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn is_current(&self) -> Result<bool, BankError> {
        self.state.is_current(&self.path)
    }

    /// Problems of the bank that do not prevent reading it.
    pub fn warnings(&self) -> &[BankWarning] {
        &self.state.warnings
    }

    /// Bytes of the file that are not in use: removed adapters, old indices, and the remains of an interrupted change.
    pub fn unused(&self) -> u64 {
        let State { index, index_bytes, file_bytes, .. } = &self.state;
        let used = index.entries.values().map(|entry| entry.bytes);
        let used = used.chain([START, *index_bytes]).fold(0, u64::saturating_add);
        file_bytes.saturating_sub(used)
    }

    /// The header of an adapter, without its weights.
    ///
    /// # Errors
    /// If there is no such task, or it cannot be read.
    pub fn header(&self, task: &str) -> Result<AdapterHeader, BankError> {
        let now = self.reopened_if_changed()?;
        let bank = now.as_ref().unwrap_or(self);
        let entry = bank.entry(task)?;
        let file = bank.at(entry)?;
        Ok(native::header_from(&self.place(task), file.take(entry.bytes), entry.bytes)?)
    }

    /// Reads an adapter and joins it with its base, which has this fingerprint; its checksum and its probe are checked.
    ///
    /// # Errors
    /// If there is no such task, it is damaged, or [`native::load`] would refuse its file.
    pub fn load(
        &self,
        task: &str,
        bert: Bert,
        fingerprint: &str,
    ) -> Result<(AdaptedBert, AdapterMetadata), BankError> {
        let bytes = self.read(task)?;
        Ok(native::load_bytes(&self.place(task), &bytes, bert, fingerprint)?)
    }

    /// The bytes of an adapter, which are those of its file.
    ///
    /// # Errors
    /// If there is no such task, or it is damaged.
    pub fn read(&self, task: &str) -> Result<Vec<u8>, BankError> {
        let entry = self.entry(task)?;
        let mut bytes = Vec::new();
        let file = self.at(entry)?;
        file.take(entry.bytes)
            .read_to_end(&mut bytes)
            .map_err(|source| io(&self.path, "read", source))?;
        if hexadecimal(&Sha256::digest(&bytes)) == entry.sha256 {
            return Ok(bytes);
        }
        match self.reopened_if_changed()? {
            Some(now) => now.read(task),
            None => Err(BankError::DamagedEntry { path: self.path.clone(), task: task.to_owned() }),
        }
    }

    /// Adds an adapter file under a name, or under that of its task, and publishes it.
    ///
    /// # Errors
    /// As [`add_all`](Self::add_all).
    pub fn add(path: &Path, adapter: &Path, name: Option<&str>) -> Result<Self, BankError> {
        Self::add_all(path, &[NewTask { file: adapter, name }])
    }

    /// Adds adapter files and publishes them in one change: all of them, or none.
    ///
    /// # Errors
    /// If a file is not a complete adapter, was changed, or belongs to another base or tokenizer; if a name is in use,
    /// appears twice or is invalid; or if the bank cannot be written.
    pub fn add_all(path: &Path, adapters: &[NewTask<'_>]) -> Result<Self, BankError> {
        let mut checked: Vec<(String, AdapterHeader, String)> = Vec::new();
        for NewTask { file, name } in adapters {
            let bytes = read_adapter(file)?;
            let header = native::check_bytes(file, &bytes)?;
            let task = name.unwrap_or(&header.metadata.task).to_owned();
            let is_in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if !(1..=100).contains(&task.len()) || !task.bytes().all(is_in_name) {
                return Err(BankError::TaskName { adapter: (*file).to_owned(), task });
            }
            if let Some(other) = checked.iter().position(|(known, ..)| *known == task) {
                let adapters = [adapters[other].file.to_owned(), (*file).to_owned()];
                return Err(BankError::SameTask { task, adapters });
            }
            checked.push((task, header, hexadecimal(&Sha256::digest(&bytes))));
        }
        let state = change(path, |index, file| {
            for (NewTask { file: adapter, .. }, (task, header, _)) in adapters.iter().zip(&checked)
            {
                let (found, expected) = (&header.metadata.base, &index.base);
                if found.fingerprint != expected.fingerprint {
                    let (found, expected) = (found.clone(), expected.clone());
                    let adapter = (*adapter).to_owned();
                    return Err(BankError::OtherBase { adapter, found, expected });
                }
                found.check_tokenizer(adapter, expected.tokenizer.as_deref())?;
                if index.entries.contains_key(task) {
                    let (path, adapter) = (path.to_owned(), (*adapter).to_owned());
                    return Err(BankError::TakenTask { path, adapter, task: task.clone() });
                }
            }
            for (NewTask { file: adapter, .. }, (task, _, sha256)) in adapters.iter().zip(checked) {
                // Read again: many adapters need not fit into memory together.
                let bytes = read_adapter(adapter)?;
                if hexadecimal(&Sha256::digest(&bytes)) != sha256 {
                    return Err(BankError::Changed { adapter: (*adapter).to_owned() });
                }
                let offset = append(path, file, &bytes)?;
                let entry = Entry { offset, bytes: bytes.len() as u64, sha256 };
                index.entries.insert(task, entry);
            }
            Ok(())
        })?;
        Ok(Self { path: path.to_owned(), state })
    }

    /// Removes a task from the index and publishes the change; its bytes stay in the file, [`unused`](Self::unused).
    ///
    /// # Errors
    /// If there is no such task, or the bank cannot be written.
    pub fn remove(path: &Path, task: &str) -> Result<Self, BankError> {
        Self::remove_all(path, &[task])
    }

    /// Removes tasks from the index and publishes that in one change: all of them, or none.
    ///
    /// # Errors
    /// If there is no such task, or the bank cannot be written.
    pub fn remove_all(path: &Path, tasks: &[impl AsRef<str>]) -> Result<Self, BankError> {
        let state = change(path, |index, _| {
            for task in tasks {
                entry(path, index, task.as_ref())?;
            }
            for task in tasks {
                index.entries.remove(task.as_ref());
            }
            Ok(())
        })?;
        Ok(Self { path: path.to_owned(), state })
    }

    /// Rewrites the bank without the [`unused`](Self::unused) bytes, under a temporary name that is then renamed.
    ///
    /// Programs that opened the bank before can continue: a task that has moved is looked up again.
    ///
    /// # Errors
    /// If an adapter is damaged (the bank stays as it was), or the bank cannot be read or written.
    pub fn compact(path: &Path) -> Result<Self, BankError> {
        let (_locked, state) = lock(path)?;
        let bank = Self { path: path.to_owned(), state };
        let mut index = bank.state.index.clone();
        let mut offset = START;
        for entry in index.entries.values_mut() {
            entry.offset = offset;
            offset = offset.saturating_add(entry.bytes);
        }
        let json = to_json(&index);
        let generation = bank.state.next_generation(path)?;
        let mut slots = [vec![0; SLOT], vec![0; SLOT]];
        slots[usize::from(generation % 2 == 1)] = slot(generation, offset, &json);
        let mut damaged = None;
        let written = atomic::write_with(path, |file| {
            file.write_all(&slots.concat())?;
            // In the order of the index, which is the order of their new places.
            for task in index.entries.keys() {
                match bank.read(task) {
                    Ok(bytes) => file.write_all(&bytes)?,
                    Err(error) => {
                        damaged = Some(error);
                        return Err(std::io::ErrorKind::InvalidData.into());
                    }
                }
            }
            file.write_all(&json)
        });
        match (written, damaged) {
            (Ok(()), _) => Self::open(path),
            (Err(_), Some(damaged)) => Err(damaged),
            (Err(source), None) => Err(io(path, "write", source)),
        }
    }

    /// The bank as it is now, if it changed since it was opened: its adapters may have moved.
    fn reopened_if_changed(&self) -> Result<Option<Self>, BankError> {
        Ok(if self.is_current()? { None } else { Some(Self::open(&self.path)?) })
    }

    fn entry(&self, task: &str) -> Result<&Entry, BankError> {
        entry(&self.path, &self.state.index, task)
    }

    /// The file, positioned at the beginning of an adapter.
    fn at(&self, entry: &Entry) -> Result<File, BankError> {
        let read = |source| io(&self.path, "read", source);
        let mut file = File::open(&self.path).map_err(read)?;
        file.seek(SeekFrom::Start(entry.offset)).map_err(read)?;
        Ok(file)
    }

    /// The path of an adapter of this bank in error messages.
    fn place(&self, task: &str) -> PathBuf {
        let mut place = self.path.clone().into_os_string();
        place.push(format!(" ({task})"));
        place.into()
    }
}

/// The entry of a task in the index of the bank at `path`.
fn entry<'a>(path: &Path, index: &'a Index, task: &str) -> Result<&'a Entry, BankError> {
    index.entries.get(task).ok_or_else(|| BankError::UnknownTask {
        path: path.to_owned(),
        task: task.to_owned(),
        known: index.entries.keys().cloned().collect(),
    })
}

fn read_adapter(path: &Path) -> Result<Vec<u8>, AdapterError> {
    std::fs::read(path).map_err(|source| FileError::Read { path: path.to_owned(), source }.into())
}
