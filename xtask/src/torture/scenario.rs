//! Runs a scenario with faults at chosen operations and kills at random moments.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::program::{Fault, Program, kill_after};

/// A task of the trainer that can be interrupted and continued.
pub(crate) trait Scenario {
    /// Writes the initial files into an empty directory.
    fn set_up(&self, directory: &Path) -> Result<()>;

    /// The command that starts it or continues it after an interruption; `None` when it is finished.
    fn next(&self, program: &Program, directory: &Path) -> Result<Option<Command>>;

    /// The final state, without what differs between two undisturbed runs (times, memory).
    fn final_state(&self, program: &Program, directory: &Path) -> Result<String>;

    /// Whether a file that an undisturbed run does not leave may remain.
    fn may_remain(&self, path: &str) -> bool {
        path.ends_with(".lock")
    }
}

/// The number of faults.
pub(crate) struct Counts {
    pub(crate) kills: usize,
    pub(crate) points: Option<usize>,
    pub(crate) seed: u64,
}

/// Maximum number of attempts to finish a continued run.
const ATTEMPTS: usize = 12;

/// Injects all faults into a scenario, and returns the failures, one line each.
pub(crate) fn torture(
    name: &str,
    scenario: &dyn Scenario,
    program: &Program,
    counts: &Counts,
) -> Result<Vec<String>> {
    let root = temporary_directory(name)?;
    let fresh = |label: &str| -> Result<PathBuf> {
        let directory = root.join(label);
        if directory.exists() {
            std::fs::remove_dir_all(&directory)?;
        }
        std::fs::create_dir_all(&directory)?;
        scenario.set_up(&directory)?;
        Ok(directory)
    };

    let directory = fresh("undisturbed")?;
    let started = Instant::now();
    let mut operations = Vec::new();
    while let Some(command) = scenario.next(program, &directory)? {
        operations.push(program.operations(command, &directory)?);
        ensure!(operations.len() < 50, "{name}: an undisturbed run does not finish");
    }
    let duration = started.elapsed();
    let expected = scenario.final_state(program, &directory)?;
    let files = listing(&directory)?;
    let compare = |directory: &Path| -> Result<()> {
        let found = scenario.final_state(program, directory)?;
        ensure!(found == expected, "the final state is\n{found}\nexpected\n{expected}");
        let extra: Vec<String> = listing(directory)?
            .into_iter()
            .filter(|path| !files.contains(path) && !scenario.may_remain(path))
            .collect();
        ensure!(extra.is_empty(), "it left {}", extra.join(", "));
        Ok(())
    };

    let mut failures = Vec::new();
    // The chosen operations, of every command of the scenario.
    let all: Vec<(usize, usize)> = operations
        .iter()
        .enumerate()
        .flat_map(|(command, operations)| (0..operations.len()).map(move |at| (command, at)))
        .collect();
    let chosen: Vec<(usize, usize)> = match counts.points {
        Some(points) if points < all.len() => {
            (0..points).map(|index| all[index * all.len() / points]).collect()
        }
        _ => all.clone(),
    };
    let (mut kills, mut errors, mut others) = (0, 0, 0);
    for (command, at) in &chosen {
        for fault in Fault::ALL {
            let operation = &operations[*command][*at];
            if fault == Fault::KillInside && !operation.starts_with("write ") {
                continue;
            }
            let directory = fresh("chosen")?;
            let what =
                format!("{name}: {fault:?} at operation {at} of command {command} ({operation})");
            match one_fault(scenario, program, &directory, *command, *at, fault) {
                Ok(Effect::Kill) => kills += 1,
                Ok(Effect::Error) => errors += 1,
                Ok(Effect::None) => others += 1,
                Err(error) => {
                    failures.push(format!("{what}: {error:#}"));
                    continue;
                }
            }
            if let Err(error) = compare(&directory) {
                failures.push(format!("{what}: {error:#}"));
            }
        }
    }

    let pairs = counts.kills / 2;
    for round in 0..pairs {
        let directory = fresh("pair")?;
        let ended = two_at_once(scenario, program, &directory).and_then(|()| compare(&directory));
        if let Err(error) = ended {
            failures.push(format!("{name}: two processes at once, round {round}: {error:#}"));
        }
    }

    let mut random = StdRng::seed_from_u64(counts.seed);
    let mut killed = 0;
    let mut rounds = 0;
    while killed < counts.kills && rounds < 10 * counts.kills + 10 {
        rounds += 1;
        let directory = fresh("random")?;
        match random_kills(scenario, program, &directory, duration, &mut random) {
            Ok(count) => killed += count,
            Err(error) => {
                failures.push(format!("{name}: killed at random, round {rounds}: {error:#}"));
                continue;
            }
        }
        if let Err(error) = compare(&directory) {
            failures.push(format!("{name}: killed at random, round {rounds}: {error:#}"));
        }
    }
    eprintln!(
        "{name}: {} operations; at {} of them {kills} kills, {errors} errors of a full or read-only disk, {others} faults \
         without an effect; {killed} kills at random; {pairs} pairs of processes; {} failures",
        all.len(),
        chosen.len(),
        failures.len()
    );
    std::fs::remove_dir_all(&root)?;
    Ok(failures)
}

/// The effect of a fault.
enum Effect {
    Kill,
    Error,
    /// None: the command succeeded.
    None,
}

/// Injects one fault, and then continues to the end.
fn one_fault(
    scenario: &dyn Scenario,
    program: &Program,
    directory: &Path,
    command: usize,
    at: usize,
    fault: Fault,
) -> Result<Effect> {
    for _ in 0..command {
        let mut command = scenario.next(program, directory)?.context("the scenario ended early")?;
        let output = command.output()?;
        ensure!(output.status.success(), "{}", stderr_tail(&output));
    }
    let disturbed = scenario.next(program, directory)?.context("the scenario ended early")?;
    let output = program.with_fault(disturbed, directory, fault, at)?;
    let effect = match (fault.reason(), output.status.code()) {
        (_, Some(0)) => Effect::None,
        // An error, and not a panic or an abort.
        (Some(reason), Some(1)) => {
            ensure!(
                !stderr_tail(&output).contains("panicked"),
                "it panicked: {}",
                stderr_tail(&output)
            );
            ensure!(
                stderr_tail(&output).contains(reason),
                "no error contains `{reason}`: {}",
                stderr_tail(&output)
            );
            Effect::Error
        }
        (None, None) if fault != Fault::ClockSetBack => Effect::Kill,
        (_, code) => bail!("it exited with {code:?}: {}", stderr_tail(&output)),
    };
    run_to_end(scenario, program, directory)?;
    Ok(effect)
}

/// Runs every command of a scenario twice at the same time; a process may fail because the other one holds a lock.
fn two_at_once(scenario: &dyn Scenario, program: &Program, directory: &Path) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let Some(mut first) = scenario.next(program, directory)? else { return Ok(()) };
        let Some(mut second) = scenario.next(program, directory)? else { return Ok(()) };
        let (first, second) = (first.spawn()?, second.spawn()?);
        let outputs = [first.wait_with_output()?, second.wait_with_output()?];
        for output in &outputs {
            let code = output.status.code();
            ensure!(
                matches!(code, Some(0..=2)),
                "it exited with {code:?}: {}",
                stderr_tail(output)
            );
            ensure!(
                !stderr_tail(output).contains("panicked"),
                "it panicked: {}",
                stderr_tail(output)
            );
        }
        let messages: Vec<String> = outputs.iter().map(stderr_tail).collect();
        ensure!(
            outputs.iter().any(|output| output.status.success()),
            "neither process succeeded: {}",
            messages.join(" || ")
        );
    }
    bail!("it is not finished after {ATTEMPTS} commands")
}

fn run_to_end(scenario: &dyn Scenario, program: &Program, directory: &Path) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let Some(mut command) = scenario.next(program, directory)? else { return Ok(()) };
        let output = command.output()?;
        ensure!(output.status.success(), "it could not be continued: {}", stderr_tail(&output));
    }
    bail!("it is not finished after {ATTEMPTS} commands")
}

/// Kills each attempt at a random moment until one ends before, and returns the number of kills.
fn random_kills(
    scenario: &dyn Scenario,
    program: &Program,
    directory: &Path,
    duration: Duration,
    random: &mut StdRng,
) -> Result<usize> {
    let mut kills = 0;
    for _ in 0..ATTEMPTS {
        let Some(command) = scenario.next(program, directory)? else { break };
        let delay = duration.mul_f64(random.random_range(0.0..1.0));
        let (killed, output) = kill_after(command, delay)?;
        if killed {
            kills += 1;
        } else {
            ensure!(output.status.success(), "it could not be continued: {}", stderr_tail(&output));
        }
    }
    run_to_end(scenario, program, directory)?;
    Ok(kills)
}

fn stderr_tail(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stderr.lines().collect();
    lines[lines.len().saturating_sub(6)..].join(" | ")
}

fn temporary_directory(name: &str) -> Result<PathBuf> {
    let root = std::env::temp_dir().join(format!("torture-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&root)?;
    Ok(root.canonicalize()?)
}

/// Every path below a directory, relative to it.
fn listing(directory: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in next.read_dir()? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path.clone());
            }
            paths.push(path.strip_prefix(directory)?.to_string_lossy().into_owned());
        }
    }
    Ok(paths)
}
