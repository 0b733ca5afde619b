//! All that has to pass, cheapest first. What a step needs, it installs below `target/ci-tools`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::device::Backend;
use crate::{interop, peers, test, train};

const TYPOS: &str = "typos==1.52.0";
const CARGO_DENY: &str = "cargo-deny@0.20.2";

type Step = (&'static str, fn(&Shell) -> Result<()>);

const STEPS: [Step; 8] = [
    ("format", |shell| Ok(cmd!(shell, "cargo fmt --all --check").run()?)),
    ("spelling", spelling),
    ("lints", |shell| {
        Ok(cmd!(shell, "cargo clippy --workspace --all-targets --locked -- -D warnings").run()?)
    }),
    ("tests", |shell| test::run(shell, "cpu")),
    ("documentation", |shell| {
        let cargo = cmd!(shell, "cargo doc --workspace --no-deps --locked");
        Ok(cargo.env("RUSTDOCFLAGS", "-D warnings").run()?)
    }),
    ("end to end", end_to_end),
    ("exchange with Python", exchange),
    ("dependencies", dependencies),
];

pub(crate) fn run(shell: &Shell) -> Result<()> {
    let mut times = Vec::new();
    for (name, step) in STEPS {
        eprintln!("\n=== {name}");
        let started = Instant::now();
        step(shell).with_context(|| format!("the step `{name}` failed"))?;
        times.push(format!("{name} {} s", started.elapsed().as_secs()));
    }
    eprintln!("\nall passed: {}", times.join(", "));
    Ok(())
}

fn tools() -> PathBuf {
    train::workspace().join("target/ci-tools")
}

fn spelling(shell: &Shell) -> Result<()> {
    let environment = tools().join("typos");
    let typos = environment.join("bin/typos");
    if !typos.is_file() {
        cmd!(shell, "python3 -m venv {environment}").run()?;
        let pip = environment.join("bin/pip");
        cmd!(shell, "{pip} install --quiet --disable-pip-version-check {TYPOS}").run()?;
    }
    cmd!(shell, "{typos}").run()?;
    Ok(())
}

/// Where the packages cannot be had, that is said and no reason to fail: they are several GB.
fn exchange(shell: &Shell) -> Result<()> {
    match peers::python(shell, None) {
        Ok(python) => interop::exchange(shell, &python),
        Err(error) => {
            eprintln!("not run: the Python packages cannot be installed here: {error:#}");
            Ok(())
        }
    }
}

fn dependencies(shell: &Shell) -> Result<()> {
    let root = tools();
    let deny = root.join("bin/cargo-deny");
    if !deny.is_file() {
        cmd!(shell, "cargo install --quiet --locked --root {root} {CARGO_DENY}").run()?;
    }
    // The advisories need a database from the network; these three need the registry alone.
    cmd!(shell, "{deny} --locked check bans licenses sources").run()?;
    Ok(())
}

/// Trains the embedded task on the real base, as a newcomer does, and uses what comes out.
fn end_to_end(shell: &Shell) -> Result<()> {
    let trainer = train::build(shell, Backend::Cpu)?;
    let directory = shell.create_temp_dir()?;
    let runs = directory.path();
    let json = cmd!(shell, "{trainer} train --runs {runs} --device cpu --json").read()?;
    eprintln!("{json}");
    let (score, majority) = (number(&json, "score")?, number(&json, "majority")?);
    let bag_of_words = number(&json, "bag_of_words")?;
    ensure!(
        score > majority + 0.3,
        "the score {score} is not clearly above the commonest answer's, {majority}"
    );
    ensure!(
        score > bag_of_words + 0.03,
        "the score {score} is not above a bag of words', {bag_of_words}"
    );

    let adapter = find_adapter(runs).context("the run left no adapter file")?;
    let scores = cmd!(shell, "{trainer} evaluate {adapter} --device cpu --json").read()?;
    eprintln!("{scores}");
    let again = number(&scores, "accuracy")?;
    ensure!(
        (again - score).abs() < 1e-9,
        "the adapter scores {again} from its file, and {score} in the run"
    );
    let text = "The radiator in the meeting room is cold again";
    let label =
        cmd!(shell, "{trainer} predict {adapter} --device cpu --json").stdin(text).read()?;
    eprintln!("{label}");
    ensure!(
        label.contains("\"label\":\"facilities\""),
        "`{text}` was not sent to facilities: {label}"
    );
    Ok(())
}

/// The number behind a key in a line of JSON that this project wrote itself.
fn number(json: &str, key: &str) -> Result<f64> {
    let pattern = format!("\"{key}\":");
    let (_, rest) = json.split_once(&pattern).with_context(|| format!("no `{key}` in {json}"))?;
    let end = rest.find([',', '}']).unwrap_or(rest.len());
    rest[..end].parse().with_context(|| format!("`{key}` is no number in {json}"))
}

fn find_adapter(directory: &Path) -> Option<PathBuf> {
    let entries: Vec<PathBuf> =
        directory.read_dir().ok()?.flatten().map(|entry| entry.path()).collect();
    let here = entries.iter().find(|path| path.ends_with("adapter.safetensors")).cloned();
    here.or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| find_adapter(path)))
}
