//! A bank: the adapters of many tasks on one base in one file, opened without reading a weight.
//!
//! ```text
//! 0    slot      64 bytes
//! 64   slot      64 bytes
//! 128  adapters and indices, in the order in which they were added
//! ```
//!
//! An adapter is a [`native`] file byte for byte, its header included.
//! An index is the JSON of an [`Index`]: the base, and where each adapter lies with the SHA-256 of its bytes.
//! A slot is the magic `burnbank`, then little-endian the version (`u32`), 4 bytes of zeros, a generation, the place and
//! the length of an index (`u64` each), and the first 24 bytes of the SHA-256 of the slot so far followed by the index.
//!
//! The bank is what the whole slot with the highest generation says.
//! A change appends adapter and index, waits for the disk, and then writes the slot that is *not* in force, so that a
//! change that is cut off anywhere leaves the bank as it was; what it appended is dead weight, as are removed adapters
//! and old indices ([`Bank::unused`]).
//! Nothing in force is ever overwritten, so that one program may add while others read; [`Bank::compact`] writes a new
//! file in the place of the old one.
//!
//! Adapters are read, not mapped: Burn copies weights into tensors of its own, so that a mapping would save nothing and
//! cost a process its life where the file is cut short.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use burn_bert::Bert;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::native::{self, AdapterHeader, AdapterMetadata, BaseIdentity};
use crate::adapted::AdaptedBert;
use crate::error::AdapterError;

/// The version of the layout described above.
pub const BANK_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"burnbank";
const SLOT: usize = 64;
/// What of a slot its checksum covers.
const SLOT_SAID: usize = 40;
/// Where adapters and indices begin.
const START: u64 = 2 * SLOT as u64;

/// What a bank refuses, and why.
#[derive(Debug, thiserror::Error)]
pub enum BankError {
    /// The file system refused.
    #[error("cannot {doing} the bank {}", path.display())]
    File {
        /// What was to be done.
        doing: &'static str,
        /// The bank.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },

    /// A file that is in the way.
    #[error("there is a file {} already; choose another name, or add to that bank", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },

    /// Another kind of file.
    #[error("{} is not a bank: it does not begin with `burnbank`", path.display())]
    NotABank {
        /// The file.
        path: PathBuf,
    },

    /// A bank from the future or the past.
    #[error("the bank {} has version {found}, expected {BANK_VERSION}; use the release that wrote it", path.display())]
    Version {
        /// The bank.
        path: PathBuf,
        /// Version in the file.
        found: u32,
    },

    /// No index that holds together.
    #[error("the bank {} is damaged or was cut short: {reason}; add its adapters to a new bank", path.display())]
    Damaged {
        /// The bank.
        path: PathBuf,
        /// What was found.
        reason: String,
    },

    /// An adapter whose bytes are not those that were added.
    #[error("the adapter `{task}` in the bank {} is damaged: its bytes do not have the checksum in the index; remove it and add it again", path.display())]
    DamagedEntry {
        /// The bank.
        path: PathBuf,
        /// Its name.
        task: String,
    },

    /// A task that is not there.
    #[error("the bank {} has no task `{task}`; it has {}", path.display(), names(known))]
    UnknownTask {
        /// The bank.
        path: PathBuf,
        /// What was asked for.
        task: String,
        /// What there is.
        known: Vec<String>,
    },

    /// A name that is taken.
    #[error("the bank {} has a task `{task}` already; remove it first, or add this one under another name", path.display())]
    TakenTask {
        /// The bank.
        path: PathBuf,
        /// The name.
        task: String,
    },

    /// A name that is none.
    #[error(
        "`{task}` is no name for a task in a bank; expected 1 to 100 letters, digits, `-`, `_` and `.`"
    )]
    TaskName {
        /// What was asked for.
        task: String,
    },

    /// An adapter of another base.
    #[error(
        "the adapter {} was trained on the base `{}` with fingerprint {}, but the bank is for `{}` with fingerprint {}; put it into a bank of its base",
        adapter.display(), found.name, found.fingerprint, expected.name, expected.fingerprint
    )]
    OtherBase {
        /// The adapter file.
        adapter: PathBuf,
        /// The base of the adapter.
        found: BaseIdentity,
        /// The base of the bank.
        expected: BaseIdentity,
    },

    /// An adapter that cannot be read.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}

fn names(known: &[String]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

/// What a bank holds, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// The base that all adapters belong to.
    pub base: BaseIdentity,
    /// Bytes of the base's weights, beside which the adapters' are told.
    pub base_bytes: u64,
    /// The adapters by the names of their tasks.
    pub entries: BTreeMap<String, Entry>,
}

/// Where an adapter lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its first byte in the file.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// SHA-256 of its bytes, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// An open bank: its index; adapters are read when they are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Bank {
    path: PathBuf,
    /// Both slots, as they were.
    slots: Vec<u8>,
    generation: u64,
    index: Index,
    index_bytes: u64,
    file_bytes: u64,
}

impl Bank {
    /// Makes an empty bank for a base, whose weights have so many bytes.
    ///
    /// # Errors
    /// If there is a file already, or none can be written.
    pub fn create(path: &Path, base: BaseIdentity, base_bytes: u64) -> Result<Self, BankError> {
        if path.exists() {
            return Err(BankError::Exists { path: path.to_owned() });
        }
        let index = to_json(&Index { base, base_bytes, entries: BTreeMap::new() });
        let mut bytes = slot(0, START, &index);
        bytes.resize(2 * SLOT, 0);
        bytes.extend(index);
        native::write_aside(path, &bytes).map_err(|source| io(path, "write", source))?;
        Self::open(path)
    }

    /// Opens a bank: two slots and one index are read, however many adapters there are.
    ///
    /// # Errors
    /// If the file cannot be read, is no bank or one of another version, or is damaged.
    pub fn open(path: &Path) -> Result<Self, BankError> {
        let mut file = File::open(path).map_err(|source| io(path, "open", source))?;
        read_index(path, &mut file)
    }

    /// Where the bank is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it held when it was opened.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The number of changes since the bank was made.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the bank is still what it was when it was opened; both slots are read for that.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn is_current(&self) -> Result<bool, BankError> {
        let read = |source| io(&self.path, "read", source);
        let slots = read_slots(&mut File::open(&self.path).map_err(read)?).map_err(read)?;
        Ok(slots == self.slots)
    }

    /// Bytes of the file in which nothing in force lies: removed adapters, old indices, what a cut-off change left.
    pub fn unused(&self) -> u64 {
        let used: u64 = self.index.entries.values().map(|entry| entry.bytes).sum();
        self.file_bytes.saturating_sub(START + self.index_bytes + used)
    }

    /// What an adapter says about itself, without its numbers.
    ///
    /// # Errors
    /// If there is no such task, or it cannot be read.
    pub fn header(&self, task: &str) -> Result<AdapterHeader, BankError> {
        let now = self.moved_on()?;
        let bank = now.as_ref().unwrap_or(self);
        let entry = bank.entry(task)?;
        let file = bank.at(entry)?;
        Ok(native::header_from(&self.place(task), file.take(entry.bytes), entry.bytes)?)
    }

    /// Reads an adapter and joins it with its base, which has this fingerprint; its checksum and its probe have to come
    /// out.
    ///
    /// # Errors
    /// If there is no such task, it is damaged, or it is refused as [`native::load`] refuses a file.
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
        match self.moved_on()? {
            Some(now) => now.read(task),
            None => Err(BankError::DamagedEntry { path: self.path.clone(), task: task.to_owned() }),
        }
    }

    /// Adds an adapter file under a name, or under that of its task, and publishes it.
    ///
    /// # Errors
    /// If the file is no whole adapter or one of another base, the name is taken or none, or the bank cannot be written.
    pub fn add(path: &Path, adapter: &Path, name: Option<&str>) -> Result<Self, BankError> {
        let header = native::read_header(adapter)?;
        let bytes = std::fs::read(adapter)
            .map_err(|source| AdapterError::Read { path: adapter.to_owned(), source })?;
        let task = name.unwrap_or(&header.metadata.task).to_owned();
        let is_in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !(1..=100).contains(&task.len()) || !task.bytes().all(is_in_name) {
            return Err(BankError::TaskName { task });
        }
        change(path, |bank, file| {
            let found = header.metadata.base;
            if found.fingerprint != bank.index.base.fingerprint {
                let (adapter, expected) = (adapter.to_owned(), bank.index.base.clone());
                return Err(BankError::OtherBase { adapter, found, expected });
            }
            if bank.index.entries.contains_key(&task) {
                return Err(BankError::TakenTask { path: path.to_owned(), task });
            }
            let offset = append(path, file, &bytes)?;
            let sha256 = hexadecimal(&Sha256::digest(&bytes));
            let entry = Entry { offset, bytes: bytes.len() as u64, sha256 };
            bank.index.entries.insert(task, entry);
            Ok(())
        })
    }

    /// Takes a task out of the index and publishes that; its bytes stay, [`unused`](Self::unused).
    ///
    /// # Errors
    /// If there is no such task, or the bank cannot be written.
    pub fn remove(path: &Path, task: &str) -> Result<Self, BankError> {
        change(path, |bank, _| {
            bank.entry(task)?;
            bank.index.entries.remove(task);
            Ok(())
        })
    }

    /// Writes the bank anew without what is [`unused`](Self::unused), aside and then in its place.
    ///
    /// Whoever opened the bank before reads on: a task that has moved is looked up again.
    ///
    /// # Errors
    /// If an adapter is damaged (the bank stays as it was), or the bank cannot be read or written.
    pub fn compact(path: &Path) -> Result<Self, BankError> {
        let (_locked, bank) = lock(path)?;
        let mut index = bank.index.clone();
        let mut offset = START;
        for entry in index.entries.values_mut() {
            entry.offset = offset;
            offset += entry.bytes;
        }
        let json = to_json(&index);
        let generation = bank.generation + 1;
        let mut slots = [vec![0; SLOT], vec![0; SLOT]];
        slots[usize::from(generation % 2 == 1)] = slot(generation, offset, &json);
        let mut damaged = None;
        let written = native::write_aside_with(path, |file| {
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

    /// The bank as it is now, where that is not as it was opened: its adapters may have moved.
    fn moved_on(&self) -> Result<Option<Self>, BankError> {
        Ok(if self.is_current()? { None } else { Some(Self::open(&self.path)?) })
    }

    fn entry(&self, task: &str) -> Result<&Entry, BankError> {
        self.index.entries.get(task).ok_or_else(|| BankError::UnknownTask {
            path: self.path.clone(),
            task: task.to_owned(),
            known: self.index.entries.keys().cloned().collect(),
        })
    }

    /// The file, where an adapter begins.
    fn at(&self, entry: &Entry) -> Result<File, BankError> {
        let read = |source| io(&self.path, "read", source);
        let mut file = File::open(&self.path).map_err(read)?;
        file.seek(SeekFrom::Start(entry.offset)).map_err(read)?;
        Ok(file)
    }

    /// What an adapter of this bank is called in errors.
    fn place(&self, task: &str) -> PathBuf {
        let mut place = self.path.clone().into_os_string();
        place.push(format!(" ({task})"));
        place.into()
    }
}

/// Changes a bank that nobody else changes meanwhile: append, wait for the disk, publish.
fn change(
    path: &Path,
    make: impl FnOnce(&mut Bank, &mut File) -> Result<(), BankError>,
) -> Result<Bank, BankError> {
    let write = |source| io(path, "write", source);
    let (mut file, mut bank) = lock(path)?;
    make(&mut bank, &mut file)?;
    let index = to_json(&bank.index);
    let offset = append(path, &mut file, &index)?;
    file.sync_all().map_err(write)?;
    let generation = bank.generation + 1;
    file.seek(SeekFrom::Start(generation % 2 * SLOT as u64)).map_err(write)?;
    file.write_all(&slot(generation, offset, &index)).map_err(write)?;
    file.sync_all().map_err(write)?;
    read_index(path, &mut file)
}

/// Opens a bank that nobody else changes while the file is open: two that add at once would publish over each other.
fn lock(path: &Path) -> Result<(File, Bank), BankError> {
    let write = |source| io(path, "write", source);
    loop {
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(write)?;
        // The lock ends with the file handle, however that ends.
        file.lock().map_err(write)?;
        let bank = read_index(path, &mut file)?;
        // While this one waited, the file may have been replaced by a compact one.
        if bank.is_current()? {
            return Ok((file, bank));
        }
    }
}

fn append(path: &Path, file: &mut File, bytes: &[u8]) -> Result<u64, BankError> {
    let write = |source| io(path, "write", source);
    let offset = file.seek(SeekFrom::End(0)).map_err(write)?;
    file.write_all(bytes).map_err(write)?;
    Ok(offset)
}

fn to_json(index: &Index) -> Vec<u8> {
    serde_json::to_vec(index).expect("an index is strings and numbers")
}

fn slot(generation: u64, offset: u64, index: &[u8]) -> Vec<u8> {
    let mut slot = MAGIC.to_vec();
    slot.extend(u64::from(BANK_VERSION).to_le_bytes());
    for number in [generation, offset, index.len() as u64] {
        slot.extend(number.to_le_bytes());
    }
    let checksum = Sha256::new().chain_update(&slot).chain_update(index).finalize();
    slot.extend(&checksum[..SLOT - SLOT_SAID]);
    slot
}

fn read_slots(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut slots = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(START).read_to_end(&mut slots)?;
    Ok(slots)
}

/// Reads what is in force.
fn read_index(path: &Path, file: &mut File) -> Result<Bank, BankError> {
    let read = |source| io(path, "read", source);
    let damaged = |reason: String| BankError::Damaged { path: path.to_owned(), reason };
    let file_bytes = file.metadata().map_err(read)?.len();
    let slots = read_slots(file).map_err(read)?;
    // The magic of either slot will do: one of them may be torn.
    if !slots.chunks(SLOT).any(|slot| slot.starts_with(MAGIC)) {
        return Err(BankError::NotABank { path: path.to_owned() });
    }
    let mut in_force: Option<Bank> = None;
    let mut other_version = None;
    for slot in slots.chunks_exact(SLOT).filter(|slot| slot.starts_with(MAGIC)) {
        let number = |place: usize| {
            let bytes = slot[place..].first_chunk().expect("a slot has 64 bytes");
            u64::from_le_bytes(*bytes)
        };
        let (version, generation, offset, index_bytes) =
            (number(8), number(16), number(24), number(32));
        if version != u64::from(BANK_VERSION) {
            other_version = u32::try_from(version).ok();
            continue;
        }
        if offset.checked_add(index_bytes).is_none_or(|end| end > file_bytes) {
            continue;
        }
        let mut json = Vec::new();
        file.seek(SeekFrom::Start(offset)).map_err(read)?;
        file.take(index_bytes).read_to_end(&mut json).map_err(read)?;
        let checksum =
            Sha256::new().chain_update(&slot[..SLOT_SAID]).chain_update(&json).finalize();
        if checksum[..SLOT - SLOT_SAID] != slot[SLOT_SAID..]
            || in_force.as_ref().is_some_and(|other| other.generation > generation)
        {
            continue;
        }
        let index: Index = serde_json::from_slice(&json)
            .map_err(|error| damaged(format!("its index cannot be read ({error})")))?;
        let (path, slots) = (path.to_owned(), slots.clone());
        in_force = Some(Bank { path, slots, generation, index, index_bytes, file_bytes });
    }
    match (in_force, other_version) {
        (Some(bank), _) => {
            let ends = |entry: &Entry| entry.offset.checked_add(entry.bytes);
            let beyond = bank
                .index
                .entries
                .iter()
                .find(|(_, entry)| ends(entry).is_none_or(|end| end > file_bytes));
            match beyond {
                Some((task, _)) => Err(damaged(format!("`{task}` ends beyond the file"))),
                None => Ok(bank),
            }
        }
        (None, Some(found)) => Err(BankError::Version { path: path.to_owned(), found }),
        (None, None) => Err(damaged("no index has its checksum".to_owned())),
    }
}

fn io(path: &Path, doing: &'static str, source: std::io::Error) -> BankError {
    BankError::File { doing, path: path.to_owned(), source }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
