//! The slots at the beginning of a bank, and how they change.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::{BankError, BankWarning, io};
use super::index::{BANK_VERSION, Index};
use crate::file::atomic;

const MAGIC: &[u8; 8] = b"burnbank";
pub(super) const SLOT: usize = 64;
/// Bytes of a slot that its checksum covers.
const SLOT_CHECKED: usize = 40;
/// Position of the first adapter or index.
pub(super) const START: u64 = 2 * SLOT as u64;

/// The content of a bank's slots, and the index that they point to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    /// Both slots, byte for byte.
    slots: Vec<u8>,
    /// The number of changes since the bank was created.
    pub(super) generation: u64,
    pub(super) index: Index,
    pub(super) index_bytes: u64,
    pub(super) file_bytes: u64,
    /// The end of the data of both slots; unknown if one of the slots is damaged.
    end: Option<u64>,
    pub(super) warnings: Vec<BankWarning>,
}

impl State {
    /// Whether the bank at `path` is unchanged since it was read.
    pub(super) fn is_current(&self, path: &Path) -> Result<bool, BankError> {
        let read = |source| io(path, "read", source);
        let slots = read_slots(&mut File::open(path).map_err(read)?).map_err(read)?;
        Ok(slots == self.slots)
    }

    /// The generation of the next change of the bank at `path`.
    pub(super) fn next_generation(&self, path: &Path) -> Result<u64, BankError> {
        self.generation.checked_add(1).ok_or_else(|| BankError::Damaged {
            path: path.to_owned(),
            reason: "its count of changes is at its end".to_owned(),
        })
    }
}

/// Changes a bank while no other process does: append, flush, publish.
pub(super) fn change(
    path: &Path,
    make: impl FnOnce(&mut Index, &mut File) -> Result<(), BankError>,
) -> Result<State, BankError> {
    let write = |source| io(path, "write", source);
    let (mut file, mut state) = lock(path)?;
    let generation = state.next_generation(path)?;
    // The remains of an interrupted change only take space on the disk.
    if let Some(end) = state.end
        && end < state.file_bytes
    {
        file.set_len(end).map_err(write)?;
    }
    let end = file.metadata().map_err(write)?.len();
    let appended = || {
        make(&mut state.index, &mut file)?;
        let index = to_json(&state.index);
        let offset = append(path, &mut file, &index)?;
        file.sync_all().map_err(write)?;
        Ok((offset, index))
    };
    let (offset, index) = match appended() {
        Ok(appended) => appended,
        Err(error) => {
            // Frees the space on a full disk; if that fails as well, the next change does it.
            let _ = file.set_len(end);
            return Err(error);
        }
    };
    file.seek(SeekFrom::Start(generation % 2 * SLOT as u64)).map_err(write)?;
    file.write_all(&slot(generation, offset, &index)).map_err(write)?;
    file.sync_all().map_err(write)?;
    read_state(path, &mut file)
}

/// Opens a bank and locks it: two processes that add at once would overwrite each other's slot.
pub(super) fn lock(path: &Path) -> Result<(File, State), BankError> {
    let write = |source| io(path, "write", source);
    loop {
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(write)?;
        // The lock is released with the file handle.
        file.lock().map_err(write)?;
        let state = read_state(path, &mut file)?;
        // While waiting for the lock, the file may have been replaced by a compact one.
        if state.is_current(path)? {
            // A process that writes such files holds the lock, or is about to be refused.
            atomic::remove_partial_of(path).map_err(write)?;
            return Ok((file, state));
        }
    }
}

pub(super) fn append(path: &Path, file: &mut File, bytes: &[u8]) -> Result<u64, BankError> {
    let write = |source| io(path, "write", source);
    let offset = file.seek(SeekFrom::End(0)).map_err(write)?;
    file.write_all(bytes).map_err(write)?;
    Ok(offset)
}

pub(super) fn to_json(index: &Index) -> Vec<u8> {
    serde_json::to_vec(index).expect("an index is strings and numbers")
}

pub(super) fn slot(generation: u64, offset: u64, index: &[u8]) -> Vec<u8> {
    let mut slot = MAGIC.to_vec();
    slot.extend(u64::from(BANK_VERSION).to_le_bytes());
    for number in [generation, offset, index.len() as u64] {
        slot.extend(number.to_le_bytes());
    }
    let checksum = Sha256::new().chain_update(&slot).chain_update(index).finalize();
    slot.extend(&checksum[..SLOT - SLOT_CHECKED]);
    slot
}

fn read_slots(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut slots = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(START).read_to_end(&mut slots)?;
    Ok(slots)
}

/// The content of a slot.
enum Slot {
    /// It was never written.
    Empty,
    /// Its checksum matches the index.
    Whole { version: u64, generation: u64, offset: u64, json: Vec<u8> },
    /// Its checksum does not match; the version may be damaged as well.
    Damaged { version: Option<u64> },
}

/// Reads the slot that is in use.
pub(super) fn read_state(path: &Path, file: &mut File) -> Result<State, BankError> {
    let read = |source| io(path, "read", source);
    let damaged = |reason: String| BankError::Damaged { path: path.to_owned(), reason };
    let unknown = |version: u64| u32::try_from(version).ok().filter(|known| !is_known(*known));
    let file_bytes = file.metadata().map_err(read)?.len();
    let slots = read_slots(file).map_err(read)?;
    // The magic of either slot is sufficient: one of them may be damaged.
    if !slots.chunks(SLOT).any(|slot| slot.starts_with(MAGIC)) {
        return Err(BankError::NotABank { path: path.to_owned() });
    }
    let mut in_force: Option<State> = None;
    let mut other_version = None;
    let mut is_damaged = false;
    let mut end = 0;
    for slot in slots.chunks(SLOT) {
        let (version, generation, offset, json) = match read_slot(file, slot, file_bytes) {
            Ok(Slot::Empty) => continue,
            Ok(Slot::Damaged { version }) => {
                is_damaged = true;
                other_version = other_version.or(version.and_then(unknown));
                continue;
            }
            Ok(Slot::Whole { version, generation, offset, json }) => {
                (version, generation, offset, json)
            }
            Err(source) => return Err(read(source)),
        };
        // An index of a later release must not be ignored in favor of an older one.
        if let Some(found) = unknown(version) {
            return Err(BankError::Version { path: path.to_owned(), found });
        }
        let index_bytes = json.len() as u64;
        let index: Index = serde_json::from_slice(&json)
            .map_err(|error| damaged(format!("its index cannot be read ({error})")))?;
        let ends = index.entries.values().map(|entry| entry.offset.saturating_add(entry.bytes));
        end = ends.chain([offset + index_bytes]).fold(end, u64::max);
        if in_force.as_ref().is_none_or(|other| other.generation < generation) {
            let slots = slots.clone();
            in_force = Some(State {
                slots,
                generation,
                index,
                index_bytes,
                file_bytes,
                end: None,
                warnings: Vec::new(),
            });
        }
    }
    match (in_force, other_version) {
        (Some(mut state), _) => {
            if is_damaged {
                let (path, generation) = (path.to_owned(), state.generation);
                state.warnings.push(BankWarning::DamagedIndex { path, generation });
            } else {
                state.end = Some(end);
            }
            Ok(state)
        }
        (None, Some(found)) => Err(BankError::Version { path: path.to_owned(), found }),
        (None, None) => Err(damaged("no index has its checksum".to_owned())),
    }
}

fn is_known(version: u32) -> bool {
    (1..=BANK_VERSION).contains(&version)
}

fn read_slot(file: &mut File, slot: &[u8], file_bytes: u64) -> std::io::Result<Slot> {
    if slot.iter().all(|byte| *byte == 0) {
        return Ok(Slot::Empty);
    }
    if slot.len() < SLOT || !slot.starts_with(MAGIC) {
        return Ok(Slot::Damaged { version: None });
    }
    let number = |place: usize| {
        let bytes = slot[place..].first_chunk().expect("a slot has 64 bytes");
        u64::from_le_bytes(*bytes)
    };
    let (version, generation, offset, index_bytes) =
        (number(8), number(16), number(24), number(32));
    if offset.checked_add(index_bytes).is_none_or(|end| end > file_bytes) {
        return Ok(Slot::Damaged { version: Some(version) });
    }
    let mut json = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.take(index_bytes).read_to_end(&mut json)?;
    let checksum = Sha256::new().chain_update(&slot[..SLOT_CHECKED]).chain_update(&json).finalize();
    Ok(if checksum[..SLOT - SLOT_CHECKED] == slot[SLOT_CHECKED..] {
        Slot::Whole { version, generation, offset, json }
    } else {
        Slot::Damaged { version: Some(version) }
    })
}
