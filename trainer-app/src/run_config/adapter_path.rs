//! Adapter files on the command line: a run's directory stands for the adapter in it.

use std::path::{Path, PathBuf};

/// The adapter file that was typed, or the one in the directory of a run.
///
/// # Errors
/// As [`in_run`].
pub(crate) fn parse(typed: &str) -> Result<PathBuf, String> {
    in_run(Path::new(typed))
}

/// The adapter of a run, if the path is its directory; otherwise the path itself.
///
/// # Errors
/// A directory without an adapter.
pub(crate) fn in_run(path: &Path) -> Result<PathBuf, String> {
    let adapter = path.join("adapter.safetensors");
    if adapter.is_file() {
        return Ok(adapter);
    }
    if path.is_dir() {
        return Err(format!(
            "the directory {} has no adapter.safetensors; expected an adapter file, or the directory of a run with one, \
             such as runs/helpdesk/houlsby-64-seed42",
            path.display()
        ));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_a_run_stands_for_its_adapter() {
        let run = tempfile::tempdir().unwrap();
        let error = in_run(run.path()).unwrap_err();
        assert!(error.contains("has no adapter.safetensors"), "{error}");
        let file = run.path().join("mine");
        assert_eq!(in_run(&file), Ok(file));
        let adapter = run.path().join("adapter.safetensors");
        std::fs::write(&adapter, "an adapter").unwrap();
        assert_eq!(in_run(run.path()).as_ref(), Ok(&adapter));
        assert_eq!(in_run(&adapter).as_ref(), Ok(&adapter));
    }
}
