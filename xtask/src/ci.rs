//! All checks, cheapest first. Tools are installed below `target/ci-tools`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::device::Backend;
use crate::fuzz::FuzzArgs;
use crate::guide::GuideArgs;
use crate::test::Resources;
use crate::torture::TortureArgs;
use crate::{fuzz, guide, interop, package, peers, test, torture, train};

const TYPOS: &str = "typos==1.52.0";
const CARGO_DENY: &str = "cargo-deny@0.20.2";

/// A step; what it skips is added to the list.
type Step = (&'static str, fn(&Shell, &mut Vec<String>) -> Result<()>);

const STEPS: [Step; 13] = [
    ("format", |shell, _| Ok(cmd!(shell, "cargo fmt --all --check").run()?)),
    ("spelling", |shell, _| spelling(shell)),
    ("lints", |shell, _| {
        // The features that nothing in the workspace enables are checked here.
        let features = "burn-adapters/train";
        let cargo = cmd!(shell, "cargo clippy --workspace --all-targets --features {features}");
        Ok(cargo.args(["--locked", "--", "-D", "warnings"]).run()?)
    }),
    ("features", |shell, _| features(shell)),
    ("tests", tests),
    ("documentation", |shell, _| {
        let cargo = cmd!(shell, "cargo doc --workspace --no-deps --locked");
        Ok(cargo.env("RUSTDOCFLAGS", "-D warnings").run()?)
    }),
    ("end to end", |shell, _| end_to_end(shell)),
    ("guide", |shell, _| guide::run(shell, &GuideArgs::with_book())),
    ("packages", |shell, _| package::check(shell)),
    ("interrupted", |shell, _| torture::run(shell, &TortureArgs::few())),
    ("damaged files", |shell, _| fuzz::run(shell, &FuzzArgs::minute_each())),
    ("exchange with Python", exchange),
    ("dependencies", |shell, _| dependencies(shell)),
];

pub(crate) fn run(shell: &Shell) -> Result<()> {
    let mut times = Vec::new();
    let mut skipped = Vec::new();
    for (name, step) in STEPS {
        eprintln!("\n=== {name}");
        let started = Instant::now();
        step(shell, &mut skipped).with_context(|| format!("the step `{name}` failed"))?;
        times.push(format!("{name} {} s", started.elapsed().as_secs()));
    }
    let outcome = if skipped.is_empty() { "all passed" } else { "passed, with parts skipped" };
    eprintln!("\n{outcome}: {}", times.join(", "));
    for line in skipped {
        eprintln!("{line}");
    }
    Ok(())
}

/// Checks the libraries with each of their features alone, which no other step does. Burn is built once for all.
fn features(shell: &Shell) -> Result<()> {
    let crates = ["-p", "burn-bert", "-p", "burn-adapters"];
    for feature in [
        "",
        "burn-adapters/bank",
        "burn-adapters/interchange",
        "burn-adapters/tensorflow",
        "burn-bert/tensorflow",
    ] {
        let clippy = cmd!(shell, "cargo clippy --quiet --locked {crates...} --no-default-features");
        clippy.args(["--features", feature, "--", "-D", "warnings"]).run()?;
    }
    Ok(())
}

/// The base is required; the published data belongs to others and may be missing.
fn tests(shell: &Shell, skipped: &mut Vec<String>) -> Result<()> {
    let resources = Resources::find(shell);
    ensure!(resources.has_minilm(), "the tests require the base minilm");
    skipped.extend(resources.skipped().into_iter().map(str::to_owned));
    test::on_cpu(shell, &resources)
}

fn spelling(shell: &Shell) -> Result<()> {
    // The version is part of the path, so that another version is installed when it changes.
    let environment = train::tools().join(TYPOS);
    let typos = environment.join("bin/typos");
    if !typos.is_file() {
        cmd!(shell, "python3 -m venv --clear {environment}").run()?;
        let pip = environment.join("bin/pip");
        cmd!(shell, "{pip} install --quiet --disable-pip-version-check {TYPOS}").run()?;
    }
    cmd!(shell, "{typos}").run()?;
    Ok(())
}

/// Skipped if the packages, which are several GB, cannot be installed.
fn exchange(shell: &Shell, skipped: &mut Vec<String>) -> Result<()> {
    match peers::python(shell, None) {
        Ok(python) => interop::exchange(shell, &python),
        Err(error) => {
            skipped.push(format!(
                "skipped: the exchange with Python; its packages cannot be installed: {error:#}"
            ));
            Ok(())
        }
    }
}

fn dependencies(shell: &Shell) -> Result<()> {
    let root = train::tools().join(CARGO_DENY);
    let deny = root.join("bin/cargo-deny");
    if !deny.is_file() {
        cmd!(shell, "cargo install --quiet --locked --root {root} {CARGO_DENY}").run()?;
    }
    // The advisories need a database from the network; these three only the registry.
    cmd!(shell, "{deny} --locked check bans licenses sources").run()?;
    Ok(())
}

/// Trains the embedded task on the real base, as a new user does, and uses the adapter.
fn end_to_end(shell: &Shell) -> Result<()> {
    let trainer = train::build(shell, Backend::Cpu)?;
    let directory = shell.create_temp_dir()?;
    let runs = directory.path();
    let json = cmd!(shell, "{trainer} train --runs {runs} --device cpu --json").read()?;
    eprintln!("{json}");
    let result: TrainingResult = serde_json::from_str(&json)?;
    let TrainingResult { score, majority, bag_of_words, adapter } = result;
    ensure!(
        score > majority + 0.3,
        "the score {score} is not clearly above the majority class's, {majority}"
    );
    ensure!(
        score > bag_of_words + 0.03,
        "the score {score} is not above that of a bag of words, {bag_of_words}"
    );

    let scores = cmd!(shell, "{trainer} evaluate {adapter} --device cpu --json").read()?;
    eprintln!("{scores}");
    let Evaluation { scores: Scores { accuracy } } = serde_json::from_str(&scores)?;
    ensure!(
        (accuracy - score).abs() < 1e-9,
        "the adapter file has the accuracy {accuracy}, and the run {score}"
    );
    let text = "The radiator in the meeting room is cold again";
    let label =
        cmd!(shell, "{trainer} predict {adapter} --device cpu --json").stdin(text).read()?;
    eprintln!("{label}");
    let prediction: Prediction = serde_json::from_str(&label)?;
    ensure!(prediction.label == "facilities", "`{text}` was not labeled facilities: {label}");
    Ok(())
}

/// The output of `trainer train --json`, as far as it is used here.
#[derive(Deserialize)]
struct TrainingResult {
    score: f64,
    majority: f64,
    bag_of_words: f64,
    adapter: PathBuf,
}

/// The output of `trainer evaluate --json`, as far as it is used here.
#[derive(Deserialize)]
struct Evaluation {
    scores: Scores,
}

#[derive(Deserialize)]
struct Scores {
    accuracy: f64,
}

/// The output of `trainer predict --json`, as far as it is used here.
#[derive(Deserialize)]
struct Prediction {
    label: String,
}
