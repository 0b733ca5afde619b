//! Files of activations in the cache directory: named by a hash of everything that determines their values, checked on
//! reading, and removed when they take too much space.
//!
//! ```text
//! states/KEY.states    values in half precision, little-endian, and a trailer: 8 bytes of magic, the CRC-32C
//! states/.lock         held while files are removed
//! ```
//!
//! The modification time of a file is the time of its last use.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, Result};
use burn_adapters::file::atomic;
use derive_new::new;
use glue_data::TokenizedDataset;
use sha2::{Digest, Sha256};

use crate::exit::UsageError;
use crate::system::digest::hexadecimal;
use crate::system::lock::Lock;

/// Increased whenever the same inputs give other activations, or the layout of the files changes.
const VERSION: u64 = 2;
const MAGIC: [u8; 8] = *b"bfstates";
const TRAILER: u64 = TRAILER_BYTES as u64;
/// The trailer's length in memory.
const TRAILER_BYTES: usize = 12;
const SUFFIX: &str = "states";
/// The suffix of version 0.1.0, in whose file names the precision is missing.
const OLD_SUFFIX: &str = "f16";
/// The environment variable with the limit for all files, in gigabytes.
const LIMIT: &str = "TRAINER_STATES_GB";
const DEFAULT_LIMIT: u64 = 20_000_000_000;

/// The files of one base.
#[derive(Debug, new)]
pub struct ActivationFiles {
    directory: PathBuf,
    /// Everything that determines activations beside the rows and the layer: weights, configuration, precision and
    /// device.
    base: String,
    /// The limit for all files, in bytes.
    limit: u64,
    /// Files that this process has opened, which are not removed.
    #[new(default)]
    in_use: Mutex<Vec<PathBuf>>,
}

impl ActivationFiles {
    /// Opens the file with the activations of rows that enter a layer, which has so many bytes of values. If there is no
    /// intact file, `compute` writes them into a new one. Waits for another process that computes the same file.
    ///
    /// # Errors
    /// If `compute` or the file system fails.
    pub fn open(
        &self,
        rows: &TokenizedDataset,
        layer: usize,
        bytes: u64,
        compute: impl FnOnce(&mut File) -> Result<()>,
    ) -> Result<File> {
        let path = self.directory.join(self.name(rows, layer));
        let context = || format!("caching activations in {}", path.display());
        let _lock = Lock::wait_beside(&path, || {
            noteln!("waiting for another process that computes the same activations");
        })
        .with_context(context)?;
        atomic::remove_partial_of(&path).with_context(context)?;
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
        match File::open(&path) {
            Ok(file) if is_intact(&file, bytes).with_context(context)? => {
                // Fails for a file of another user, which can be read nevertheless.
                let _ = file.set_modified(SystemTime::now());
                return Ok(file);
            }
            Ok(_) => noteln!("{} is damaged; computing it again", path.display()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(context),
        }
        self.free_space(bytes + TRAILER).with_context(context)?;
        let mut computed = Ok(());
        let written = atomic::write_with(&path, |file| {
            computed = compute(file);
            if computed.is_err() {
                return Err(io::Error::other("the activations could not be computed"));
            }
            let sum = checksum(&mut *file, bytes)?;
            file.seek(SeekFrom::Start(bytes))?;
            file.write_all(&MAGIC)?;
            file.write_all(&sum.to_le_bytes())
        });
        computed.with_context(context)?;
        written.with_context(context)?;
        File::open(&path).with_context(context)
    }

    /// The name of a file, which is a hash of everything that determines its content.
    fn name(&self, rows: &TokenizedDataset, layer: usize) -> String {
        let mut hash = Sha256::new();
        for number in [VERSION, layer as u64, self.base.len() as u64] {
            hash.update(number.to_le_bytes());
        }
        hash.update(&self.base);
        for row in rows.rows() {
            hash.update((row.ids.len() as u64).to_le_bytes());
            for number in row.ids.iter().chain(&row.type_ids) {
                hash.update(number.to_le_bytes());
            }
        }
        format!("{}.{SUFFIX}", hexadecimal(&hash.finalize()))
    }

    /// Removes the files that killed processes and older versions left, and then the least recently used files until
    /// there is space for so many bytes.
    fn free_space(&self, bytes: u64) -> Result<()> {
        let _lock = Lock::wait_directory(&self.directory)?;
        let in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if has_suffix(&path, OLD_SUFFIX) || is_temporary(&path) {
                remove(&path);
            } else if let Some(finished) = finished_name(&path) {
                // A process that writes the file holds its lock.
                if let Ok(_lock) = Lock::beside(&finished) {
                    remove(&path);
                }
            } else if has_suffix(&path, SUFFIX) {
                // The file may have been removed meanwhile.
                let Ok(metadata) = path.metadata() else { continue };
                files.push((metadata.modified()?, metadata.len(), path));
            }
        }
        files.sort();
        let mut taken = bytes + files.iter().map(|(_, length, _)| length).sum::<u64>();
        for (_, length, path) in files {
            if taken > self.limit && !in_use.contains(&path) {
                remove(&path);
                taken -= length;
            }
        }
        Ok(())
    }
}

/// The limit for all files in bytes: `TRAINER_STATES_GB`, or 20 GB.
///
/// # Errors
/// If the variable is not a number.
pub fn limit() -> Result<u64> {
    let Some(value) = std::env::var_os(LIMIT).filter(|value| !value.is_empty()) else {
        return Ok(DEFAULT_LIMIT);
    };
    let gigabytes = value.to_str().and_then(|text| text.parse::<f64>().ok());
    match gigabytes {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number of bytes; too large a number saturates"
        )]
        Some(gigabytes) if gigabytes >= 0.0 => Ok((gigabytes * 1e9) as u64),
        _ => Err(UsageError::new(format!(
            "{LIMIT} is {}, expected a number of gigabytes of 0 or more",
            value.display()
        ))),
    }
}

/// Whether a file has so many bytes of values and the checksum in its trailer.
///
/// # Errors
/// What the file system reports.
pub fn is_intact(mut file: impl Read + Seek, bytes: u64) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? != bytes + TRAILER {
        return Ok(false);
    }
    let sum = checksum(&mut file, bytes)?;
    let mut trailer = [0; TRAILER_BYTES];
    file.seek(SeekFrom::Start(bytes))?;
    file.read_exact(&mut trailer)?;
    Ok(trailer[..8] == MAGIC && trailer[8..] == sum.to_le_bytes())
}

/// The CRC-32C of the first bytes of a file.
fn checksum(mut file: impl Read + Seek, bytes: u64) -> io::Result<u32> {
    file.seek(SeekFrom::Start(0))?;
    let mut values = file.take(bytes);
    let mut sum = 0;
    let mut piece = vec![0; 1 << 20];
    loop {
        let length = values.read(&mut piece)?;
        if length == 0 {
            break;
        }
        sum = crc32c::crc32c_append(sum, &piece[..length]);
    }
    if values.limit() == 0 { Ok(sum) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn has_suffix(path: &Path, suffix: &str) -> bool {
    path.extension().is_some_and(|extension| extension == suffix)
}

/// Whether a file is a temporary file of version 0.1.0.
fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".tmp"))
}

/// The final path of a partially written file, `.KEY.states….part`.
fn finished_name(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?.strip_prefix('.')?.strip_suffix(".part")?;
    let (key, _) = name.split_once(&format!(".{SUFFIX}"))?;
    Some(path.with_file_name(format!("{key}.{SUFFIX}")))
}

/// Removes a file of the cache. A file that cannot be removed is not an error.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use glue_data::Encoded;

    use super::*;

    fn rows(id: u32) -> TokenizedDataset {
        TokenizedDataset::from(vec![Encoded { ids: vec![id], type_ids: vec![0], label: None }])
    }

    fn files(directory: &Path, base: &str, limit: u64) -> ActivationFiles {
        ActivationFiles::new(directory.to_owned(), base.to_owned(), limit)
    }

    /// Opens a file of a thousand bytes; whether they were computed.
    fn is_computed(files: &ActivationFiles, id: u32, layer: usize) -> bool {
        let mut computed = false;
        let mut file = files
            .open(&rows(id), layer, 1000, |file| {
                computed = true;
                Ok(file.write_all(&[7; 1000])?)
            })
            .unwrap();
        let mut bytes = [0; 1000];
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, [7; 1000]);
        computed
    }

    fn names(directory: &Path, suffix: &str) -> Vec<PathBuf> {
        let entries = directory.read_dir().unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| has_suffix(path, suffix)).collect()
    }

    #[test]
    fn everything_that_determines_the_values_is_in_the_name() {
        let directory = tempfile::tempdir().unwrap();
        let f32 = files(directory.path(), "weights, config, f32", 1 << 20);
        assert!(is_computed(&f32, 1, 2));
        assert!(!is_computed(&f32, 1, 2));
        assert!(is_computed(&f32, 2, 2));
        assert!(is_computed(&f32, 1, 3));
        assert!(is_computed(&files(directory.path(), "weights, config, f16", 1 << 20), 1, 2));
    }

    #[test]
    fn a_damaged_file_is_computed_again() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(directory.path(), "base", 1 << 20);
        assert!(is_computed(&files, 1, 2));
        let [path] = names(directory.path(), SUFFIX).try_into().unwrap();
        let intact = fs::read(&path).unwrap();
        for place in [0, 500, 999, 1000, 1011] {
            let mut bytes = intact.clone();
            bytes[place] ^= 16;
            fs::write(&path, bytes).unwrap();
            assert!(is_computed(&files, 1, 2), "byte {place}");
        }
        fs::write(&path, &intact[..1000]).unwrap();
        assert!(is_computed(&files, 1, 2));
        assert!(!is_computed(&files, 1, 2));
    }

    #[test]
    fn the_least_recently_used_file_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        // Space for two, each opened by a run of its own.
        let open = |id| is_computed(&files(directory.path(), "base", 2 * (1000 + TRAILER)), id, 2);
        let age = |path: &Path, hours: u64| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(3600 * hours)).unwrap();
        };
        open(1);
        age(&names(directory.path(), SUFFIX)[0], 2);
        let first = names(directory.path(), SUFFIX)[0].clone();
        open(2);
        let second =
            names(directory.path(), SUFFIX).into_iter().find(|path| *path != first).unwrap();
        age(&second, 1);
        // Used again, so that the second is now the older one.
        assert!(!open(1));
        assert!(open(3));
        let left = names(directory.path(), SUFFIX);
        assert!(left.len() == 2 && left.contains(&first) && !left.contains(&second));
    }

    #[test]
    fn leftovers_of_kills_and_of_older_versions_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let key = "0f".repeat(32);
        for name in
            [format!("{key}.f16"), ".tmpAbCdEf".to_owned(), format!(".{key}.states.x1.part")]
        {
            fs::write(directory.path().join(name), b"left").unwrap();
        }
        assert!(is_computed(&files(directory.path(), "base", 1 << 20), 1, 2));
        let is_left = |path: &PathBuf| fs::read(path).unwrap() == b"left";
        let paths = directory.path().read_dir().unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(paths.filter(is_left).count(), 0);
    }

    #[test]
    fn a_failed_computation_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(directory.path(), "base", 1 << 20);
        let error =
            files.open(&rows(1), 2, 1000, |_| anyhow::bail!("the device is gone")).unwrap_err();
        assert!(format!("{error:#}").contains("the device is gone"), "{error:#}");
        assert_eq!(
            names(directory.path(), SUFFIX).len() + names(directory.path(), "part").len(),
            0
        );
    }
}
