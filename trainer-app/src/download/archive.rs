//! Unpacks untrusted ZIP archives: with limits, and never outside of the target directory.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

/// The limits of an archive's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Number of files and directories.
    pub entries: usize,
    /// Total size of all files in bytes.
    pub bytes: u64,
}

impl Limits {
    /// Limits for an archive of `bytes` bytes: texts are rarely compressed to a tenth, and never to a hundredth.
    pub fn of_archive(bytes: u64) -> Self {
        Self { entries: 10_000, bytes: bytes.saturating_mul(100).min(8 << 30) }
    }
}

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is damaged, not a ZIP archive, or has an unsupported compression.
    #[error("this is not a zip archive, or it is damaged")]
    Damaged(#[from] ZipError),
    /// An entry would be written outside of the directory, or is not a file.
    #[error("the entry `{name}` {reason}")]
    Entry {
        /// Its name in the archive.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The content exceeds the limits.
    #[error("it unpacks to more than {} files or {} bytes", limits.entries, limits.bytes)]
    TooLarge {
        /// The limits.
        limits: Limits,
    },
    /// The content of an entry cannot be read: the checksum is wrong, or it is truncated.
    #[error("the entry `{name}` is damaged")]
    Content {
        /// Its name in the archive.
        name: String,
        /// The error.
        source: io::Error,
    },
    /// The disk.
    #[error("{} cannot be read or written", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the file system reports.
        source: io::Error,
    },
}

/// Unpacks an archive into a directory, which is created. All names are checked before anything is written.
///
/// # Errors
/// An archive that is damaged, too large, or has an entry outside of the directory; a full disk.
pub fn unpack(archive: &Path, into: &Path) -> Result<(), ArchiveError> {
    let disk = |path: &Path| {
        let path = path.to_owned();
        move |source| ArchiveError::Disk { path, source }
    };
    let file = File::open(archive).map_err(disk(archive))?;
    let bytes = file.metadata().map_err(disk(archive))?.len();
    for_each_file(io::BufReader::new(file), Limits::of_archive(bytes), |name, content| {
        let path = into.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(disk(parent))?;
        }
        // With two entries of the same name, it would be unclear which one is kept.
        let mut file = File::create_new(&path).map_err(disk(&path))?;
        copy(content, &mut file, name).map_err(|error| match error {
            CopyError::Read(error) => error,
            CopyError::Write(source) => disk(&path)(source),
        })?;
        file.sync_all().map_err(disk(&path))
    })
}

enum CopyError {
    Read(ArchiveError),
    Write(io::Error),
}

/// Copies; the error tells whether reading or writing failed.
fn copy(from: &mut dyn Read, to: &mut impl io::Write, name: &Path) -> Result<(), CopyError> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count]).map_err(CopyError::Write)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => {
                let name = name.display().to_string();
                return Err(CopyError::Read(ArchiveError::Content { name, source }));
            }
        }
    }
}

/// Calls `with` for every file of an archive, with its path and its content.
///
/// # Errors
/// What `with` returns, and an archive that is damaged, too large, or has an entry outside of the directory.
pub fn for_each_file<R: Read + Seek>(
    archive: R,
    limits: Limits,
    mut with: impl FnMut(&Path, &mut dyn Read) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let too_large = || ArchiveError::TooLarge { limits };
    let mut zip = ZipArchive::new(archive)?;
    if zip.len() > limits.entries {
        return Err(too_large());
    }
    let mut files: Vec<(usize, PathBuf)> = Vec::new();
    for index in 0..zip.len() {
        let entry = zip.by_index_raw(index)?;
        let wrong = |reason| {
            let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
            Err(ArchiveError::Entry { name, reason })
        };
        match entry.enclosed_name() {
            None => return wrong("is outside of the directory"),
            Some(_) if entry.is_symlink() => return wrong("is a symbolic link"),
            Some(_) if entry.is_dir() => {}
            Some(name) if name.as_os_str().is_empty() => return wrong("has no name"),
            Some(name) => files.push((index, name)),
        }
    }
    let mut left = limits.bytes;
    for (index, name) in files {
        // The bytes read are counted; the sizes in the archive are not trusted.
        let mut content = zip.by_index(index)?.take(left.saturating_add(1));
        with(&name, &mut content)?;
        let unread = content.limit();
        left = unread.checked_sub(1).ok_or_else(too_large)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn unpacked(bytes: &[u8]) -> (tempfile::TempDir, Result<(), ArchiveError>) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.zip");
        fs::write(&file, bytes).unwrap();
        let result = unpack(&file, &directory.path().join("into"));
        (directory, result)
    }

    #[test]
    fn files_and_folders_are_unpacked() {
        let (directory, result) = unpacked(&archive(&[("a/b.txt", b"one"), ("c.txt", b"two")]));
        result.unwrap();
        let read = |name| fs::read(directory.path().join("into").join(name)).unwrap();
        assert_eq!((read("a/b.txt"), read("c.txt")), (b"one".to_vec(), b"two".to_vec()));
    }

    #[test]
    fn an_entry_outside_of_the_directory_is_refused_before_anything_is_written() {
        let (directory, result) =
            unpacked(&archive(&[("inside/fine.txt", b"fine"), ("../outside.txt", b"bad")]));
        let error = result.unwrap_err().to_string();
        assert!(error.contains("`../outside.txt` is outside"), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_symbolic_link_is_refused() {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.add_symlink("link", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        let (_directory, result) = unpacked(&zip.finish().unwrap().into_inner());
        assert!(result.unwrap_err().to_string().contains("is a symbolic link"));
    }

    #[test]
    fn a_bomb_is_stopped() {
        let bytes = archive(&[("zeros", &vec![0; 10 << 20])]);
        assert!(bytes.len() < 20_000);
        let (directory, result) = unpacked(&bytes);
        assert!(matches!(result, Err(ArchiveError::TooLarge { .. })));
        let written = fs::metadata(directory.path().join("into/zeros")).unwrap().len();
        assert!(written <= 100 * bytes.len() as u64 + 1);

        let many: Vec<(String, &[u8])> =
            (0..20).map(|number| (number.to_string(), &b""[..])).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|(name, empty)| (&**name, *empty)).collect();
        let limits = Limits { entries: 19, bytes: 1000 };
        let result = for_each_file(Cursor::new(archive(&many)), limits, |_, _| Ok(()));
        assert!(matches!(result, Err(ArchiveError::TooLarge { .. })));
    }

    #[test]
    fn a_changed_byte_and_a_cut_are_found() {
        let text: Vec<u8> = (0..2000_u32).flat_map(u32::to_le_bytes).collect();
        let bytes = archive(&[("a", &text)]);
        let mut changed = bytes.clone();
        changed[300] ^= 1;
        assert!(matches!(unpacked(&changed).1, Err(ArchiveError::Content { .. })));
        let cut = &bytes[..bytes.len() - 30];
        assert!(matches!(unpacked(cut).1, Err(ArchiveError::Damaged(_))));
        assert!(matches!(unpacked(b"<html>no such file</html>").1, Err(ArchiveError::Damaged(_))));
    }
}
