//! `cargo xtask memory`: checks that resident memory does not grow over a long training run.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use xshell::Shell;

use crate::device::Backend;
use crate::torture::program::Program;
use crate::torture::train::{TRAIN, write_base_and_rows};

#[derive(Args)]
pub(crate) struct MemoryArgs {
    /// Training steps
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    steps: usize,
    /// Steps between two measurements
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    every: usize,
    /// Fail if memory grows by more than this after the second measurement
    #[arg(long, value_name = "MIB", default_value_t = 2.0)]
    at_most: f64,
}

/// Rows of the task, of which one in ten is held out.
const ROWS: usize = 2_000;
const ROWS_A_STEP: usize = 8;
/// Measurements until everything that is allocated once exists: metrics, the first evaluation, retained buffers.
const WARM_UP: usize = 2;

pub(crate) fn run(shell: &Shell, args: &MemoryArgs) -> Result<()> {
    let program = Program::build(shell, Backend::Cpu)?;
    let directory = shell.create_temp_dir()?;
    let directory = directory.path();
    write_base_and_rows(directory, ROWS)?;
    let epochs = args.steps.div_ceil(ROWS * 8 / 10 / ROWS_A_STEP);
    let line = format!("{TRAIN} --name r --epochs {epochs}");
    // A pipe would not be read during training.
    let errors = directory.join("errors");
    let mut command = program.command(directory, &line);
    let mut child = command.stdout(Stdio::null()).stderr(File::create(&errors)?).spawn()?;
    let statistics = format!("/proc/{}/statm", child.id());
    let metrics = directory.join("runs/rows/r/metrics.jsonl");

    let mut steps = Steps::default();
    let mut measured: Vec<f64> = Vec::new();
    while child.try_wait()?.is_none() && measured.len() < args.steps / args.every {
        std::thread::sleep(Duration::from_millis(20));
        if steps.count(&metrics)? >= (measured.len() + 1) * args.every {
            let mebibytes = resident(&statistics)?;
            eprintln!("{:>8} steps  {mebibytes:.1} MiB", steps.seen);
            measured.push(mebibytes);
        }
    }
    // What the run ends with does not matter here; errors do.
    let ended = child.try_wait()?;
    child.kill()?;
    child.wait()?;
    ensure!(
        ended.is_none_or(|status| status.success()),
        "training failed: {}",
        std::fs::read_to_string(errors)?
    );
    ensure!(
        measured.len() == args.steps / args.every && measured.len() > WARM_UP,
        "training ended after {} steps, expected {}, and more than {WARM_UP} measurements",
        steps.seen,
        args.steps
    );
    let (start, rest) = (measured[WARM_UP - 1], &measured[WARM_UP..]);
    let growth = rest.iter().copied().fold(f64::MIN, f64::max) - start;
    eprintln!(
        "memory grows by {growth:.1} MiB after the first {} steps; {} MiB are allowed",
        WARM_UP * args.every,
        args.at_most
    );
    ensure!(growth <= args.at_most, "memory is not flat");
    Ok(())
}

/// Counts the steps in a file of metrics that grows.
#[derive(Default)]
struct Steps {
    file: Option<BufReader<File>>,
    seen: usize,
}

impl Steps {
    fn count(&mut self, path: &Path) -> Result<usize> {
        if self.file.is_none() {
            self.file = File::open(path).ok().map(BufReader::new);
        }
        let Some(file) = &mut self.file else { return Ok(0) };
        let mut line = String::new();
        while file.read_line(&mut line)? > 0 {
            // A line that is not whole yet is counted by its end, when that is there.
            if line.ends_with('\n') {
                self.seen += usize::from(line.contains(r#""kind":"step""#));
            }
            line.clear();
        }
        Ok(self.seen)
    }
}

/// Resident memory of a process in MiB, from its `/proc/PID/statm`.
fn resident(statistics: &str) -> Result<f64> {
    /// Of Linux on x86-64 and most others.
    const PAGE: f64 = 4096.0;
    let text = std::fs::read_to_string(statistics).context("reading the memory of the trainer")?;
    let pages = text.split(' ').nth(1).context("statm has no second number")?;
    Ok(pages.parse::<f64>()? * PAGE / f64::from(1 << 20))
}
