//! Adapter files on the command line: a run's directory stands for the adapter in it.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

/// The adapter file that was typed, or the one in the directory of a run.
#[expect(clippy::unnecessary_wraps, reason = "clap's signature of a parser")]
pub(crate) fn parse(typed: &str) -> Result<PathBuf, Infallible> {
    Ok(in_run(Path::new(typed)))
}

/// The adapter of a run, if the path is its directory; otherwise the path itself.
pub(crate) fn in_run(path: &Path) -> PathBuf {
    let adapter = path.join("adapter.safetensors");
    if adapter.is_file() { adapter } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_a_run_stands_for_its_adapter() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(in_run(run.path()), run.path());
        let adapter = run.path().join("adapter.safetensors");
        std::fs::write(&adapter, "an adapter").unwrap();
        assert_eq!(in_run(run.path()), adapter);
        assert_eq!(in_run(&adapter), adapter);
    }
}
