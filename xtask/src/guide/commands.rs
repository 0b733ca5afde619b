//! The commands of a chapter: the lines that start with `$ ` in its blocks marked `console`.
//!
//! They run in order, in an empty directory with the files of `docs/examples`. A command must end with exit code 0, and
//! the lines shown below it must be in its output, in their order; `…` stands for any text.
//! A command that ends with ` &` runs until the chapter ends. Blocks with another mark, such as `sh`, are not run.
//! The README's commands are those of a checkout; `trainer` runs instead of `cargo xtask trainer`.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use xshell::Shell;

use crate::train;

/// A command and the lines that it is shown to print.
#[derive(Debug, PartialEq)]
struct Step {
    command: String,
    expected: Vec<String>,
}

/// Runs a chapter's commands, with `trainer` found in the directory `programs`.
pub(crate) fn run(shell: &Shell, chapter: &Path, programs: &Path) -> Result<()> {
    let steps = steps(&fs::read_to_string(chapter)?);
    if steps.is_empty() {
        return Ok(());
    }
    let started = Instant::now();
    let directory = shell.create_temp_dir()?;
    for entry in fs::read_dir(train::workspace().join("docs/examples"))? {
        let file = entry?;
        fs::copy(file.path(), directory.path().join(file.file_name()))?;
    }
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let search = std::iter::once(programs.to_owned()).chain(std::env::split_paths(&inherited));
    let search = std::env::join_paths(search)?;
    let bash = |command: &str| {
        let mut bash = Command::new("bash");
        bash.args(["-o", "pipefail", "-c", command]);
        bash.current_dir(directory.path()).env("PATH", &search).stdin(Stdio::null());
        bash
    };

    let mut background = Background(Vec::new());
    for step in &steps {
        let Step { command, expected } = step;
        let command = &installed(command);
        let context = || format!("{}: $ {command}", chapter.display());
        if let Some(server) = command.strip_suffix(" &") {
            // `exec`, so that the program itself is ended.
            let child = bash(&format!("exec {server} >/dev/null 2>&1")).spawn();
            background.0.push(child.with_context(context)?);
            continue;
        }
        let output = bash(&format!("exec 2>&1; {command}")).output().with_context(context)?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{}\nended with {}:\n{text}", context(), output.status);
        if let Some(missing) = missing(expected, &text) {
            bail!("{}\ndid not print `{missing}`, but\n{text}", context());
        }
    }
    let name = chapter.file_name().unwrap_or_default().to_string_lossy();
    eprintln!("{name}: {} commands, {} s", steps.len(), started.elapsed().as_secs());
    Ok(())
}

/// The command with an installed program, of one in a checkout.
fn installed(command: &str) -> String {
    command
        .replace("cargo xtask trainer ", "trainer ")
        .replace("cargo xtask train", "trainer train")
}

/// Programs that are ended with the chapter.
struct Background(Vec<Child>);

impl Drop for Background {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that has ended already is no error.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut block: Option<&str> = None;
    let mut continued = false;
    for line in text.lines() {
        if let Some(info) = line.strip_prefix("```") {
            block = if block.is_some() { None } else { Some(info) };
        } else if block == Some("console") {
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push(Step { command: command.to_owned(), expected: Vec::new() });
                continued = command.ends_with('\\');
            } else if let Some(step) = steps.last_mut() {
                if continued {
                    step.command += "\n";
                    step.command += line;
                    continued = line.ends_with('\\');
                } else if !line.trim().is_empty() && line.trim() != "…" {
                    step.expected.push(without_scores(line.trim_end()));
                }
            }
        }
    }
    steps
}

/// A line without the numbers of a trained model's score, which depend on the processor's rounding.
fn without_scores(line: &str) -> String {
    if !line.contains(" accuracy ") {
        return line.to_owned();
    }
    let is_number = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    let words = line.split(' ').map(|word| if is_number(word) { "…" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// The first expected line that is not found in the output after the ones before it.
fn missing<'a>(expected: &'a [String], output: &str) -> Option<&'a String> {
    let mut lines = output.lines();
    expected.iter().find(|pattern| !lines.any(|line| matches(pattern, line.trim_end())))
}

/// Whether a line is what a pattern shows, where `…` stands for any text.
fn matches(pattern: &str, line: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('…') else { return pattern == line };
    let Some(line) = line.strip_prefix(start) else { return false };
    (0..=line.len()).any(|at| line.get(at..).is_some_and(|line| matches(rest, line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_their_lines_are_found() {
        let text = "```sh\nno\n```\n```console\n$ a \\\n  b\none\n\n…\ntwo\n$ c\n```\n$ d\n";
        let step = |command: &str, expected: &[&str]| Step {
            command: command.to_owned(),
            expected: expected.iter().map(|&line| line.to_owned()).collect(),
        };
        assert_eq!(steps(text), [step("a \\\n  b", &["one", "two"]), step("c", &[])]);
    }

    #[test]
    fn commands_of_a_checkout_run_the_installed_program() {
        assert_eq!(installed("cargo xtask train"), "trainer train");
        assert_eq!(
            installed("echo a | cargo xtask trainer predict A"),
            "echo a | trainer predict A"
        );
    }

    #[test]
    fn scores_of_trained_models_are_not_compared() {
        let line = "mails accuracy 90.7 on the validation rows (epoch 8 of 10)";
        let expected = "mails accuracy … on the validation rows (epoch … of …";
        assert_eq!(without_scores(line), expected);
        assert_eq!(without_scores("majority class 16.7"), "majority class 16.7");
    }

    #[test]
    fn an_ellipsis_stands_for_any_text() {
        assert!(matches("a … c", "a b b c"));
        assert!(matches("é…", "é"));
        assert!(!matches("a … c", "a b"));
        assert!(!matches("a", "a b"));
        let expected = ["b".to_owned(), "a".to_owned()];
        assert_eq!(missing(&expected, "a\nb"), Some(&expected[1]));
        assert_eq!(missing(&expected, "b\na"), None);
    }
}
