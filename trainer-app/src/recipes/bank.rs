//! `trainer bank`: the adapters of many tasks in one file.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use burn_adapters::HeadKind;
use burn_adapters::file::bank::Bank;
use burn_bert::Bert;
use serde_json::{Value, json};

use crate::base::Base;
use crate::cli::BankCommand;
use crate::devices;

/// Runs a job of `trainer bank`.
///
/// # Errors
/// A bank, adapter or base that cannot be read, or adapters that are refused.
pub fn run(command: &BankCommand) -> Result<()> {
    match command {
        BankCommand::Create { bank, base } => create(bank, base),
        BankCommand::Add { bank, adapters, name } => {
            for adapter in adapters {
                let before = Bank::open(bank)?;
                let after = Bank::add(bank, adapter, name.as_deref())?;
                let known = &before.index().entries;
                let added = after.index().entries.keys().filter(|task| !known.contains_key(*task));
                added.for_each(|task| tell(&after, task));
            }
            Ok(())
        }
        BankCommand::Remove { bank, tasks } => {
            for task in tasks {
                Bank::remove(bank, task)?;
            }
            Ok(())
        }
        BankCommand::Compact { bank } => compact(bank),
        BankCommand::List { bank, json } => list(bank, *json),
        BankCommand::Verify { bank, base, device, json } => {
            verify(bank, base.as_deref(), device, *json)
        }
    }
}

#[expect(clippy::print_stdout, reason = "the file is what was asked for")]
fn create(path: &Path, name: &str) -> Result<()> {
    let base = Base::locate(name)?;
    Bank::create(path, base.identity()?, base.bytes()?)?;
    println!("{}", path.display());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what was freed is what compacting tells")]
fn compact(path: &Path) -> Result<()> {
    let bytes = || std::fs::metadata(path).with_context(|| format!("reading {}", path.display()));
    let before = bytes()?.len();
    Bank::compact(path)?;
    println!("{} bytes freed", before.saturating_sub(bytes()?.len()));
    Ok(())
}

/// What a task costs.
#[expect(clippy::print_stdout, reason = "the cost is what adding tells")]
fn tell(bank: &Bank, task: &str) {
    let (bytes, share) = cost(bank, task);
    println!("{task:<20} {bytes:>10} bytes  {share:>6.2} % of the base", share = 100.0 * share);
}

/// Bytes of a task, and their share of the base's.
fn cost(bank: &Bank, task: &str) -> (u64, f64) {
    let bytes = bank.index().entries.get(task).map_or(0, |entry| entry.bytes);
    (bytes, bytes as f64 / bank.index().base_bytes.max(1) as f64)
}

#[expect(clippy::print_stdout, reason = "the list is what was asked for")]
fn list(path: &Path, as_json: bool) -> Result<()> {
    let bank = Bank::open(path)?;
    for task in bank.index().entries.keys() {
        let header = bank.header(task)?;
        let (bytes, share) = cost(&bank, task);
        let metadata = &header.metadata;
        if as_json {
            println!(
                "{}",
                json!({ "task": task, "bytes": bytes, "share_of_base": share, "metadata": metadata, "plan": header.config.plan })
            );
            continue;
        }
        let answers = match &metadata.head {
            HeadKind::Classification { labels } => format!("{} labels", labels.len()),
            HeadKind::Regression => "a score".to_owned(),
            HeadKind::Span => "answers".to_owned(),
        };
        let score = metadata.score.as_ref();
        let score =
            score.map_or(String::new(), |score| format!("{} {:.4}", score.metric, score.value));
        let share = 100.0 * share;
        println!(
            "{task:<20} {method:<16} {answers:<10} {score:<18} {bytes:>10} bytes  {share:>6.2} % of the base",
            method = metadata.method
        );
    }
    if !as_json {
        let index = bank.index();
        let bytes: u64 = index.entries.values().map(|entry| entry.bytes).sum();
        println!(
            "{} tasks on {}: {bytes} bytes, {:.2} % of the base; {} bytes of the file are not in use",
            index.entries.len(),
            index.base.name,
            100.0 * bytes as f64 / index.base_bytes.max(1) as f64,
            bank.unused()
        );
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the findings are what was asked for")]
fn verify(path: &Path, base: Option<&str>, device: &str, as_json: bool) -> Result<()> {
    let bank = Bank::open(path)?;
    let device = devices::resolve(device)?;
    let (bert, fingerprint, _) = load_base(&bank, base, &device)?;
    let mut damaged = 0;
    for task in bank.index().entries.keys() {
        let found = bank.load(task, bert.clone(), &fingerprint).err();
        damaged += usize::from(found.is_some());
        let error = found.map(|error| format!("{:#}", anyhow::Error::from(error)));
        if as_json {
            println!(
                "{}",
                json!({ "task": task, "sound": error.is_none(), "error": error.map_or(Value::Null, Value::from) })
            );
        } else {
            println!("{task:<20} {}", error.as_deref().unwrap_or("sound"));
        }
    }
    if damaged > 0 {
        bail!(
            "{damaged} of {} tasks in {} are not sound",
            bank.index().entries.len(),
            path.display()
        );
    }
    Ok(())
}

/// The base of a bank with its fingerprint, and where it is; `name` in the place of the name in the bank.
pub(crate) fn load_base(
    bank: &Bank,
    name: Option<&str>,
    device: &Device,
) -> Result<(Bert, String, Base)> {
    let named = &bank.index().base;
    let base = Base::locate(name.unwrap_or(&named.name))
        .with_context(|| format!("locating the base of {}", bank.path().display()))?;
    let fingerprint = base.fingerprint()?;
    ensure!(
        fingerprint == named.fingerprint,
        "the bank {} is for the base `{}` with fingerprint {}, but this base has fingerprint {fingerprint}",
        bank.path().display(),
        named.name,
        named.fingerprint
    );
    Ok((burn_bert::load(base.directory(), device)?, fingerprint, base))
}
