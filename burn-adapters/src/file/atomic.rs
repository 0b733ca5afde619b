//! Replacing files and directories so that a crash at any instruction leaves the old content or the new, never a part.
//!
//! Everything is written under a temporary name beside its target, flushed to the disk, renamed, and the directory's
//! entry is flushed too: without the last step a power failure can undo a rename that was already reported as done.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// What is being written is named `.NAME….part`, so that what a killed process left can be recognized.
const SUFFIX: &str = ".part";

/// Replaces the content of a file.
///
/// # Errors
/// What the file system reports; the old file is untouched then.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// Replaces a file by what `write` puts into an empty one.
///
/// # Errors
/// What `write` or the file system reports; the old file is untouched then.
pub fn write_with(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut temporary = write_aside(path, write)?;
    fs::rename(&temporary, path)?;
    temporary.disable_cleanup(true);
    sync_directory(parent(path))
}

/// Creates a file with this content, unless there is one of this name.
///
/// # Errors
/// [`AlreadyExists`](io::ErrorKind::AlreadyExists) where there is one, also if another process created it meanwhile; or
/// what the file system reports.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = write_aside(path, |file| file.write_all(bytes))?;
    // A rename would replace what another process has created since; a link fails then.
    match fs::hard_link(&temporary, path) {
        // Another process may have taken the other name for a leftover and removed it.
        Ok(()) => drop(temporary),
        Err(_) if path.exists() => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if has_no_links(&error) => {
            fs::rename(&temporary, path)?;
            temporary.disable_cleanup(true);
        }
        Err(error) => return Err(error),
    }
    sync_directory(parent(path))
}

/// Whether a file system refuses every link, as FAT does.
fn has_no_links(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported)
}

/// Writes a file beside its place, whole and flushed; it is removed when the result is dropped.
fn write_aside(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<tempfile::TempPath> {
    let mut prefix = prefix(path)?;
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX);
    // A temporary file is readable by its owner only; these are as readable as any other file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(parent(path))?;
    write(file.as_file_mut())?;
    file.as_file().sync_all()?;
    Ok(file.into_temp_path())
}

/// Creates a directory with all that `fill` writes into it, or not at all.
///
/// `fill` gets the path of an empty directory; plain files directly inside it are flushed before the rename.
///
/// # Errors
/// What `fill` or the file system reports, a directory of this name among it; nothing is left behind then.
pub fn create_directory<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let mut name = prefix(path)?;
    name.push(SUFFIX);
    let partial = path.with_file_name(name);
    let create = || {
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir_all(&partial)?;
        fill(&partial)?;
        for entry in fs::read_dir(&partial)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                File::open(entry.path())?.sync_all()?;
            }
        }
        sync_directory(&partial)?;
        rename(&partial, path)?;
        Ok(())
    };
    let created = create();
    if created.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&partial);
    }
    created
}

/// Removes what killed processes left of anything that they were writing into `directory`.
///
/// Only for a directory that no other process is writing into.
///
/// # Errors
/// What the file system reports; a directory that does not exist is none.
pub fn remove_partial(directory: &Path) -> io::Result<()> {
    remove_partial_with_prefix(directory, ".".as_ref())
}

/// Removes what killed processes left while they were writing `path`.
///
/// Only for a path that no other process is writing.
///
/// # Errors
/// What the file system reports; a directory that does not exist is none.
pub fn remove_partial_of(path: &Path) -> io::Result<()> {
    let mut prefix = prefix(path)?;
    prefix.push(".");
    remove_partial_with_prefix(parent(path), &prefix)
}

fn remove_partial_with_prefix(directory: &Path, prefix: &OsStr) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if !name.starts_with(prefix.as_encoded_bytes()) || !name.ends_with(SUFFIX.as_bytes()) {
            continue;
        }
        let is_directory = entry.file_type()?.is_dir();
        let remove = if is_directory { fs::remove_dir_all } else { fs::remove_file };
        match remove(entry.path()) {
            // A process that was refused removes its own file at the same time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    Ok(())
}

/// Renames a file or directory and flushes the directory that holds it.
///
/// # Errors
/// What the file system reports.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_directory(parent(to))
}

/// Flushes the entries of a directory, so that a rename, creation or removal in it survives a power failure.
///
/// # Errors
/// What the file system reports.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    // Only Unix opens directories as files; elsewhere the file system orders these itself.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// The beginning of the names of what is written on the way to a path.
fn prefix(path: &Path) -> io::Result<OsString> {
    let name = path.file_name().ok_or_else(|| {
        let message = format!("{} does not end in a file name", path.display());
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    Ok(prefix)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_stays_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        write(&path, b"long first content").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        let failed = write_with(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_two_that_create_a_file_at_once_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let path = directory.path().join(round.to_string());
            let created = std::thread::scope(|scope| {
                let creators: Vec<_> = (0..4_u8)
                    .map(|creator| {
                        let path = &path;
                        scope.spawn(move || (creator, create(path, &[creator])))
                    })
                    .collect();
                creators.into_iter().map(|creator| creator.join().unwrap()).collect::<Vec<_>>()
            });
            let (won, lost): (Vec<_>, Vec<_>) =
                created.into_iter().partition(|(_, created)| created.is_ok());
            assert_eq!(won.len(), 1);
            assert_eq!(fs::read(&path).unwrap(), [won[0].0]);
            for (_, error) in lost {
                assert_eq!(error.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            }
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 20);
    }

    #[test]
    fn a_directory_appears_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("step-1");
        let failed = create_directory(&path, |partial| {
            fs::write(partial.join("a"), b"a")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);

        // What a killed process left is in the way.
        fs::create_dir(directory.path().join(".step-1.part")).unwrap();
        create_directory(&path, |partial| fs::write(partial.join("b"), b"b")).unwrap();
        assert_eq!(fs::read(path.join("b")).unwrap(), b"b");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_killed_processes_left_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let names = || {
            let entries = fs::read_dir(directory.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        for file in [".a.bank.x1.part", ".b.bank.x2.part", "a.bank", "a.part", ".lock"] {
            fs::write(path(file), b"").unwrap();
        }
        fs::create_dir(path(".step-1.part")).unwrap();
        remove_partial_of(&path("a.bank")).unwrap();
        assert_eq!(names(), [".b.bank.x2.part", ".lock", ".step-1.part", "a.bank", "a.part"]);
        remove_partial(directory.path()).unwrap();
        assert_eq!(names(), [".lock", "a.bank", "a.part"]);
        remove_partial(&path("nowhere")).unwrap();
    }
}
