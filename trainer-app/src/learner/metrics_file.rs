//! `metrics.jsonl`: one line per training step and one per epoch, for scripts and plots.
//! A resumed run drops damaged lines and those after its checkpoint, so that no step is there twice.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::learner::progress::{EpochReport, Progress};
use crate::learner::step::StepOutput;
use crate::system::files::write_atomically;

/// The open file.
pub struct MetricsFile {
    path: PathBuf,
    writer: BufWriter<File>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Step {
        epoch: usize,
        step: usize,
        loss: f64,
        learning_rate: f64,
        gradient_norm: Option<f64>,
        seconds: Option<f64>,
    },
    Epoch(&'a EpochReport),
}

/// The step or epoch of a line.
#[derive(Deserialize)]
struct LineKey {
    kind: Kind,
    epoch: usize,
    #[serde(default)]
    step: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Step,
    Epoch,
}

impl MetricsFile {
    /// Opens the file of a run with this progress, and drops the lines beyond it. The second value is a warning about
    /// lost lines.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(path: &Path, progress: &Progress) -> Result<(Self, Option<String>)> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let (kept, lost) = known_lines(&bytes, progress);
        if kept != bytes {
            write_atomically(path, &kept)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let writer = BufWriter::new(file.with_context(|| format!("opening {}", path.display()))?);
        let lost = (lost > 0).then(|| {
            format!("{lost} lines of completed steps and epochs are missing in {}", path.display())
        });
        Ok((Self { path: path.to_owned(), writer }, lost))
    }

    /// Adds a training step.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn step(
        &mut self,
        epoch: usize,
        step: usize,
        learning_rate: f64,
        output: &StepOutput,
    ) -> Result<()> {
        let StepOutput { loss, gradient_norm, seconds, .. } = *output;
        self.line(&Line::Step { epoch, step, loss, learning_rate, gradient_norm, seconds })
    }

    /// Adds a completed epoch.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn epoch(&mut self, report: &EpochReport) -> Result<()> {
        self.line(&Line::Epoch(report))
    }

    /// Flushes everything to the disk.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn sync(&mut self) -> Result<()> {
        let synced = self.writer.flush().and_then(|()| self.writer.get_ref().sync_data());
        synced.with_context(|| format!("writing {}", self.path.display()))
    }

    fn line(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.writer
            .write_all(text.as_bytes())
            .with_context(|| format!("writing {}", self.path.display()))
    }
}

/// The lines of completed steps and epochs, each once, and the number of missing lines.
pub fn known_lines(bytes: &[u8], progress: &Progress) -> (Vec<u8>, usize) {
    let mut kept = Vec::with_capacity(bytes.len());
    // The step or epoch of the last line, and the number of lines.
    let (mut steps, mut epochs) = ((0, 0), (0, 0));
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(key) = serde_json::from_slice::<LineKey>(line) else { continue };
        // Duplicate lines and lines out of order are dropped.
        let (last, now, done) = match key.kind {
            Kind::Step => (&mut steps, key.step, progress.steps),
            Kind::Epoch => (&mut epochs, key.epoch, progress.epochs.len()),
        };
        if now > last.0 && now <= done {
            *last = (now, last.1 + 1);
            kept.extend_from_slice(line);
            kept.push(b'\n');
        }
    }
    let lost = progress.steps + progress.epochs.len() - steps.1 - epochs.1;
    (kept, lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_checkpoint_are_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.jsonl");
        let (mut metrics, lost) = MetricsFile::open(&path, &Progress::default()).unwrap();
        assert_eq!(lost, None);
        let output = StepOutput { loss: 0.5, ..StepOutput::default() };
        for step in 1..=5 {
            metrics.step(1, step, 1e-3, &output).unwrap();
        }
        metrics.sync().unwrap();
        // A line cut by a kill.
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"kind\":\"st").unwrap();

        let progress = Progress { steps: 3, ..Progress::default() };
        let (metrics, lost) = MetricsFile::open(&path, &progress).unwrap();
        drop(metrics);
        assert_eq!(lost, None);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().all(|line| line.starts_with("{\"kind\":\"step\",\"epoch\":1,")));
    }

    #[test]
    fn damaged_lines_are_dropped_and_counted() {
        let line = |step: usize| {
            format!("{{\"kind\":\"step\",\"epoch\":1,\"step\":{step},\"loss\":0.5}}\n")
        };
        let mut bytes: Vec<u8> = (1..=4).flat_map(|step| line(step).into_bytes()).collect();
        let progress = Progress { steps: 4, ..Progress::default() };
        assert_eq!(known_lines(&bytes, &progress), (bytes.clone(), 0));

        bytes[5] = 0xff;
        bytes.extend_from_slice(line(2).as_bytes());
        bytes.extend_from_slice(&[0; 100]);
        let expected: Vec<u8> = (2..=4).flat_map(|step| line(step).into_bytes()).collect();
        assert_eq!(known_lines(&bytes, &progress), (expected, 1));
    }
}
