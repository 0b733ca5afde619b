//! `trainer bank`: the adapters of many tasks in one file.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use burn_adapters::file::bank::{Bank, NewTask};
use burn_adapters::file::native::{self, AdapterMetadata};
use serde_json::{Value, json};

use crate::base::Base;
use crate::cli::BankCommand;
use crate::exit::UsageError;
use crate::inference::bank_base;
use crate::run_config::adapter_path;
use crate::system::devices;
use crate::task_data::kind::task_kind;
use crate::terminal::{self, hints};

/// Runs `trainer bank`.
///
/// # Errors
/// A bank, adapter or base that cannot be read, or adapters that are refused.
pub fn run(command: &BankCommand) -> Result<()> {
    match command {
        BankCommand::Create { bank, base } => create(bank, base),
        BankCommand::Add { bank, adapters, name } => add(bank, adapters, name.as_deref()),
        BankCommand::Remove { bank, tasks } => {
            open(bank)?;
            Bank::remove_all(bank, tasks)?;
            let (bank, tasks) = (hints::path(bank), tasks.join(", "));
            noteln!("removed {tasks}; `trainer bank compact {bank}` frees the space");
            Ok(())
        }
        BankCommand::Compact { bank } => compact(bank),
        BankCommand::List { bank, json } => list(bank, *json),
        BankCommand::Verify { bank, base, device, json } => {
            verify(bank, base.as_deref(), device, *json)
        }
    }
}

/// Opens a bank and prints its warnings.
fn open(path: &Path) -> Result<Bank> {
    let bank = Bank::open(path)?;
    bank_base::print_warnings(&bank);
    Ok(bank)
}

fn create(path: &Path, name: &str) -> Result<()> {
    let base = Base::locate(name)?;
    Bank::create(path, base.identity()?, base.bytes()?)?;
    outln!("{}", path.display());
    let bank = hints::path(path);
    hints::next(&[(format!("bank add {bank} ADAPTER…"), "add adapter files, one for each task")]);
    Ok(())
}

fn compact(path: &Path) -> Result<()> {
    open(path)?;
    let bytes = || std::fs::metadata(path).with_context(|| format!("reading {}", path.display()));
    let before = bytes()?.len();
    Bank::compact(path)?;
    outln!("{} bytes freed", before.saturating_sub(bytes()?.len()));
    Ok(())
}

/// Adds adapter files: all of them, or none.
fn add(path: &Path, adapters: &[PathBuf], name: Option<&str>) -> Result<()> {
    open(path)?;
    let mut candidates = Vec::new();
    for typed in adapters {
        let (named, file) = split_name(typed)?;
        let header = native::read_header(&file)?;
        if header.sha256.is_none() {
            noteln!(
                "note: {} has no checksum, since an older version wrote it; `trainer bank verify` detects most damage",
                file.display()
            );
        }
        let named = named.or(name).map(str::to_owned);
        candidates.push(Candidate { file, named, metadata: header.metadata });
    }
    let (chosen, skipped) = best_of_each_task(candidates)?;
    let tasks: Vec<NewTask> = chosen
        .iter()
        .map(|candidate| NewTask { file: &candidate.file, name: candidate.named.as_deref() })
        .collect();
    let bank = Bank::add_all(path, &tasks)?;
    for candidate in &skipped {
        noteln!(
            "skipped {}: another of these files has a better score for `{}`; to add it too, use NAME={}",
            candidate.described(),
            candidate.task(),
            candidate.file.display()
        );
    }
    chosen.iter().for_each(|candidate| describe(&bank, candidate.task()));
    let bank = hints::path(path);
    hints::next(&[
        (format!("serve --bank {bank}"), "serve the tasks over HTTP, with a page to try texts"),
        (format!("bank list {bank}"), "list the tasks and their sizes"),
    ]);
    Ok(())
}

/// An adapter file that may be added.
struct Candidate {
    file: PathBuf,
    /// The name given for it on the command line.
    named: Option<String>,
    metadata: AdapterMetadata,
}

impl Candidate {
    fn task(&self) -> &str {
        self.named.as_deref().unwrap_or(&self.metadata.task)
    }

    fn described(&self) -> String {
        let score = self.metadata.score.as_ref();
        let score = score.map_or("no score".to_owned(), |score| {
            format!("{} {}", score.metric, terminal::score(score.value))
        });
        format!("{} ({score})", self.file.display())
    }
}

/// Splits `NAME=FILE`, where the directory of a run stands for its adapter; an existing file whose own name has this form is a file.
///
/// # Errors
/// A name that a task cannot have, before an existing file.
fn split_name(typed: &Path) -> Result<(Option<&str>, PathBuf)> {
    let parts = typed.to_str().and_then(|text| text.split_once('='));
    let Some((name, file)) = parts.filter(|_| !typed.exists()) else {
        return Ok((None, adapter_path::in_run(typed).map_err(UsageError::new)?));
    };
    if !name.is_empty() && !name.contains(['/', '\\']) {
        let file = adapter_path::in_run(Path::new(file)).map_err(UsageError::new)?;
        return Ok((Some(name), file));
    }
    if !Path::new(file).exists() {
        return Ok((None, typed.to_owned()));
    }
    Err(UsageError::new(format!(
        "`{name}` before {file} cannot be the name of a task; expected NAME=FILE, where the name is not empty and \
         contains neither / nor \\"
    )))
}

/// The adapter with the best score of each task, in the order of the command line, and the others. Adapters whose scores
/// cannot be compared are refused.
fn best_of_each_task(candidates: Vec<Candidate>) -> Result<(Vec<Candidate>, Vec<Candidate>)> {
    let (mut chosen, mut skipped): (Vec<Candidate>, Vec<Candidate>) = (Vec::new(), Vec::new());
    for candidate in candidates {
        let same = chosen.iter().position(|known| known.task() == candidate.task());
        let Some(place) = same else {
            chosen.push(candidate);
            continue;
        };
        let known = &chosen[place];
        // A name that was given is for one file.
        let are_named = known.named.is_some() || candidate.named.is_some();
        let reason = match (&known.metadata.score, &candidate.metadata.score) {
            _ if !have_same_labels(&known.metadata, &candidate.metadata) => {
                "their labels or their kinds of text differ"
            }
            (Some(best), Some(score)) if best.metric == score.metric && !are_named => {
                match score.value.total_cmp(&best.value) {
                    Ordering::Greater => {
                        skipped.push(std::mem::replace(&mut chosen[place], candidate));
                        continue;
                    }
                    Ordering::Less => {
                        skipped.push(candidate);
                        continue;
                    }
                    Ordering::Equal => "their scores are equal",
                }
            }
            _ => "their scores cannot be compared",
        };
        return Err(UsageError::new(format!(
            "{} and {} are both adapters for the task `{}`, and {reason}; add one of them, or give them names: NAME={}",
            known.described(),
            candidate.described(),
            candidate.task(),
            candidate.file.display()
        )));
    }
    Ok((chosen, skipped))
}

/// Whether two adapters predict the same labels, in any order, for the same kind of texts.
fn have_same_labels(one: &AdapterMetadata, other: &AdapterMetadata) -> bool {
    let have_same_input = one.input.is_none() || other.input.is_none() || one.input == other.input;
    have_same_input && task_kind(&one.head).permutation_to(&task_kind(&other.head)).is_some()
}

/// Prints the size of a task.
fn describe(bank: &Bank, task: &str) {
    let (bytes, share) = cost(bank, task);
    outln!("{task:<20} {bytes:>10} bytes  {share:>6.2} % of base", share = 100.0 * share);
}

/// Size of a task in bytes, and relative to the base.
fn cost(bank: &Bank, task: &str) -> (u64, f64) {
    let bytes = bank.index().entries.get(task).map_or(0, |entry| entry.bytes);
    (bytes, bytes as f64 / bank.index().base_bytes.max(1) as f64)
}

fn list(path: &Path, as_json: bool) -> Result<()> {
    let bank = open(path)?;
    let mut damaged = 0;
    for task in bank.index().entries.keys() {
        let header = match bank.header(task) {
            Ok(header) => header,
            Err(error) => {
                damaged += 1;
                noteln!("`{task}` cannot be read: {:#}", anyhow::Error::from(error));
                continue;
            }
        };
        let (bytes, share) = cost(&bank, task);
        let metadata = &header.metadata;
        if as_json {
            outln!(
                "{}",
                json!({ "task": task, "bytes": bytes, "share_of_base": share, "metadata": metadata, "plan": header.config.plan })
            );
            continue;
        }
        let head = metadata.head.to_string();
        let score = metadata.score.as_ref();
        let score = score.map_or(String::new(), |score| {
            format!("{} {}", score.metric, terminal::score(score.value))
        });
        let share = 100.0 * share;
        outln!(
            "{task:<20} {method:<16} {head:<18} {score:<18} {bytes:>10} bytes  {share:>6.2} % of base",
            method = metadata.method
        );
    }
    if !as_json {
        let index = bank.index();
        let bytes = index.entries.values().map(|entry| entry.bytes).fold(0, u64::saturating_add);
        outln!(
            "{} tasks on {}: {bytes} bytes, {:.2} % of base; {} bytes of the file are unused",
            index.entries.len(),
            index.base.name,
            100.0 * bytes as f64 / index.base_bytes.max(1) as f64,
            bank.unused()
        );
    }
    ensure!(
        damaged == 0,
        "{damaged} of {} tasks in {} cannot be read; remove them and add them again",
        bank.index().entries.len(),
        path.display()
    );
    Ok(())
}

fn verify(path: &Path, base: Option<&str>, device: &str, as_json: bool) -> Result<()> {
    let bank = Bank::open(path)?;
    let device = devices::resolve(device)?;
    let (bert, fingerprint, base) = bank_base::load(&bank, base, &device)?;
    let tokenizer = base.identity()?.tokenizer;
    let mut damaged = 0;
    for task in bank.index().entries.keys() {
        let loaded = bank.load(task, bert.clone(), &fingerprint).and_then(|(_, metadata)| {
            Ok(metadata.base.check_tokenizer(path, tokenizer.as_deref())?)
        });
        let found = loaded.err();
        damaged += usize::from(found.is_some());
        let error = found.map(|error| format!("{:#}", anyhow::Error::from(error)));
        if as_json {
            outln!(
                "{}",
                json!({ "task": task, "sound": error.is_none(), "error": error.map_or(Value::Null, Value::from) })
            );
        } else {
            outln!("{task:<20} {}", error.as_deref().unwrap_or("ok"));
        }
    }
    if damaged > 0 {
        bail!(
            "{damaged} of {} tasks in {} are damaged",
            bank.index().entries.len(),
            path.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use burn_adapters::HeadKind;
    use burn_adapters::file::native::{BaseIdentity, Calibration, Score};

    use super::*;

    fn candidate(file: &str, named: Option<&str>, task: &str, score: Option<f64>) -> Candidate {
        Candidate {
            file: file.into(),
            named: named.map(str::to_owned),
            metadata: AdapterMetadata {
                method: "lora".to_owned(),
                task: task.to_owned(),
                data: None,
                input: None,
                head: HeadKind::Regression,
                score: score.map(|value| Score { metric: "pearson".to_owned(), value }),
                calibration: Calibration::default(),
                max_length: 16,
                base: BaseIdentity::new("tiny", "5f0c"),
            },
        }
    }

    fn files(candidates: &[Candidate]) -> Vec<String> {
        candidates.iter().map(|candidate| candidate.file.display().to_string()).collect()
    }

    #[test]
    fn of_several_runs_of_a_task_the_best_is_chosen() {
        let (chosen, skipped) = best_of_each_task(vec![
            candidate("a1", None, "a", Some(0.5)),
            candidate("b1", None, "b", None),
            candidate("a2", None, "a", Some(0.7)),
            candidate("a3", None, "a", Some(0.6)),
            candidate("a4", Some("mine"), "a", Some(0.9)),
        ])
        .unwrap();
        assert_eq!(files(&chosen), ["a2", "b1", "a4"]);
        assert_eq!(files(&skipped), ["a1", "a3"]);
    }

    #[test]
    fn runs_that_do_not_compare_are_refused() {
        let refused = |candidates| {
            let Err(error) = best_of_each_task(candidates) else { panic!("both were chosen") };
            error.to_string()
        };
        let said =
            refused(vec![candidate("a1", None, "a", Some(0.5)), candidate("a2", None, "a", None)]);
        assert!(said.contains("a1 (pearson 50.0) and a2 (no score)"), "{said}");
        assert!(said.contains("NAME=a2"), "{said}");
        let equal =
            vec![candidate("a1", None, "a", Some(0.7)), candidate("a2", None, "a", Some(0.7))];
        assert!(refused(equal).contains("their scores are equal"));
        let mut other = candidate("a2", None, "a", Some(0.6));
        other.metadata.head = HeadKind::Classification { labels: vec!["x".into(), "y".into()] };
        let said = refused(vec![candidate("a1", None, "a", Some(0.5)), other]);
        assert!(said.contains("their labels or their kinds of text differ"), "{said}");
        refused(vec![
            candidate("a1", None, "a", Some(0.5)),
            candidate("b1", Some("a"), "b", Some(0.6)),
        ]);
    }

    #[test]
    fn a_file_may_have_a_name_before_it() {
        let split = |typed: &'static str| split_name(Path::new(typed)).unwrap();
        assert_eq!(split("mine=runs/a.safetensors"), (Some("mine"), "runs/a.safetensors".into()));
        assert_eq!(split("runs/x=1/a.safetensors"), (None, "runs/x=1/a.safetensors".into()));
        assert_eq!(split("a.safetensors"), (None, "a.safetensors".into()));
        let directory = tempfile::tempdir().unwrap();
        let odd = directory.path().join("x=1");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(split_name(&odd).unwrap(), (None, odd.clone()));
        for name in ["a/b", ""] {
            let typed = PathBuf::from(format!("{name}={}", directory.path().display()));
            let error = split_name(&typed).unwrap_err().to_string();
            assert!(error.contains("cannot be the name of a task"), "{error}");
        }
    }
}
