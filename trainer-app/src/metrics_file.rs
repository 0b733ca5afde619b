//! `metrics.jsonl`: one line a training step, one line an epoch; for scripts and plots.
//! A run that is taken up again drops the lines its last checkpoint does not know, so that no step stands there twice.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::artifacts::write_atomically;
use crate::learner::checkpoint::{EpochReport, Progress};
use crate::learner::step::StepOutput;

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

/// What places a line within the run.
#[derive(Deserialize)]
struct Place {
    kind: String,
    epoch: usize,
    #[serde(default)]
    step: usize,
}

impl MetricsFile {
    /// Opens the file of a run that has come so far, and drops the lines beyond.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: &Path, progress: &Progress) -> Result<Self> {
        let known = |line: &str| {
            serde_json::from_str::<Place>(line).is_ok_and(|place| match place.kind.as_str() {
                "epoch" => place.epoch <= progress.epochs.len(),
                _ => place.step <= progress.steps,
            })
        };
        if path.exists() {
            let text =
                fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            let kept: String =
                text.lines().filter(|line| known(line)).flat_map(|line| [line, "\n"]).collect();
            write_atomically(path, kept.as_bytes())?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let writer = BufWriter::new(file.with_context(|| format!("opening {}", path.display()))?);
        Ok(Self { path: path.to_owned(), writer })
    }

    /// Adds a training step.
    ///
    /// # Errors
    /// What the file system says.
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

    /// Adds an epoch that was scored.
    ///
    /// # Errors
    /// What the file system says.
    pub fn epoch(&mut self, report: &EpochReport) -> Result<()> {
        self.line(&Line::Epoch(report))
    }

    /// Hands everything to the operating system.
    ///
    /// # Errors
    /// What the file system says.
    pub fn flush(&mut self) -> Result<()> {
        self.writer.flush().with_context(|| format!("writing {}", self.path.display()))
    }

    fn line(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.writer
            .write_all(text.as_bytes())
            .with_context(|| format!("writing {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_checkpoint_are_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.jsonl");
        let mut metrics = MetricsFile::open(&path, &Progress::default()).unwrap();
        let output = StepOutput { loss: 0.5, ..StepOutput::default() };
        for step in 1..=5 {
            metrics.step(1, step, 1e-3, &output).unwrap();
        }
        metrics.flush().unwrap();
        // A line cut by a kill.
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"kind\":\"st").unwrap();

        let progress = Progress { steps: 3, ..Progress::default() };
        drop(MetricsFile::open(&path, &progress).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().all(|line| line.starts_with("{\"kind\":\"step\",\"epoch\":1,")));
    }
}
