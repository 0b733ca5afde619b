//! Reads and writes `config.toml`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::run::{RunConfig, VERSION};
use super::task::TaskConfig;
use crate::system::files::write_atomically;
use crate::toml_file;

impl RunConfig {
    /// Reads a `config.toml`.
    ///
    /// # Errors
    /// A file that is missing, is not TOML, has an unknown key or another version.
    pub fn read(path: &Path) -> Result<Self> {
        let context = || format!("reading the configuration {}", path.display());
        let text = toml_file::read(path).with_context(context)?;
        Self::parse(&text).with_context(context)?.from_where_it_started()
    }

    /// Parses a `config.toml`; paths are kept as they are written.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = toml_file::parse(text)?;
        ensure!(
            config.version == VERSION,
            "it has version {}, this program reads version {VERSION}",
            config.version
        );
        config.check()?;
        Ok(config)
    }

    /// Writes a `config.toml`.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, self.to_text()?.as_bytes())
    }

    /// The text of a `config.toml`, with the directory to which paths are relative.
    ///
    /// # Errors
    /// A working directory that does not exist.
    pub fn to_text(&self) -> Result<String> {
        let mut config = self.clone();
        if config.directory.is_none() {
            config.directory =
                Some(std::env::current_dir().context("finding the working directory")?);
        }
        Ok(toml::to_string(&config)?)
    }

    /// The same with paths relative to the working directory, if that is not the one in which the run was started.
    #[expect(clippy::wrong_self_convention, reason = "`from` is a location here")]
    fn from_where_it_started(mut self) -> Result<Self> {
        let Some(start) = self.directory.take() else { return Ok(self) };
        let here = std::env::current_dir().context("finding the working directory")?;
        // If the directory was moved or renamed, paths are taken as relative to the current one.
        if here == start || !start.is_dir() {
            return Ok(self);
        }
        let resolve = |path: &mut PathBuf| *path = start.join(&*path);
        let TaskConfig { data, custom, tagged, .. } = &mut self.task;
        data.iter_mut().for_each(resolve);
        if let Some(custom) = custom {
            resolve(&mut custom.train);
            custom.validation.iter_mut().chain(&mut custom.test).for_each(resolve);
        }
        if let Some(tagged) = tagged {
            resolve(&mut tagged.train);
            tagged.validation.iter_mut().chain(&mut tagged.test).for_each(resolve);
        }
        self.model.fuse.iter_mut().for_each(resolve);
        // A base that is not a directory is a name.
        let base = start.join(&self.model.base);
        if base.is_dir() {
            self.model.base = base.to_string_lossy().into_owned();
        }
        Ok(self)
    }
}
