//! The task of an adapter: what it predicts, and how it is scored. Its labels are matched by name with those of a
//! published task.

use std::fmt::Display;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use burn_adapters::file::native::{AdapterMetadata, Calibration, DataSource, TextInput};
use glue_data::{Example, Label, Split, Task, TaskKind, TaskSpec, tasks};
use serde_json::{Map, Value};

use crate::exit::UsageError;
use crate::task_data::evaluator::{self, Evaluator, RowOutput};
use crate::task_data::kind::{self, head_kind, labels_texts, task_kind};
use crate::task_data::score_details::ScoreDetails;

/// The flags that score an adapter on a user's own rows, which works for every adapter.
const OWN_ROWS: &str = "--input FILE --text COL --label COL";
/// Maximum number of names in a message.
const MAX_NAMES: usize = 20;

/// The task of an adapter.
#[derive(Debug, Clone)]
pub struct AdapterTask {
    /// The task, with its labels in the order of the adapter's logits.
    pub task: Task,
    /// The published task on whose rows the adapter can be scored.
    published: Option<Published>,
    /// How the adapter's outputs become labels.
    pub calibration: Calibration,
}

/// A published task whose labels are those of an adapter.
#[derive(Debug, Clone)]
struct Published {
    spec: &'static TaskSpec,
    /// For each class of the adapter its index in the table; none if the table lists no classes.
    permutation: Option<Vec<usize>>,
}

impl AdapterTask {
    /// The task of an adapter file. It is a published task only if the adapter was not trained on a user's own rows and
    /// has the labels of that task, in any order.
    ///
    /// # Errors
    /// If the adapter does not label texts.
    pub fn of(metadata: &AdapterMetadata) -> Result<Self> {
        let kind = kind(metadata)?;
        let spec = match metadata.data {
            Some(DataSource::Own) => None,
            Some(DataSource::Published) | None => tasks::lookup(&metadata.task).ok(),
        };
        let published = spec.and_then(|spec| Published::new(&kind, spec));
        Ok(Self::new(metadata, kind, published))
    }

    /// The published task that the adapter was trained on, or the one that is `named`.
    ///
    /// # Errors
    /// If no task is named and the adapter was trained on a user's own rows, there is no published task with the name, or
    /// the labels differ.
    pub fn of_published(metadata: &AdapterMetadata, named: Option<&str>) -> Result<Self> {
        let kind = kind(metadata)?;
        let spec = match (named, tasks::lookup(&metadata.task)) {
            (Some(name), _) => tasks::lookup(name)?,
            (None, found) if metadata.data == Some(DataSource::Own) => {
                let name = &metadata.task;
                let or = found.map_or(String::new(), |spec| {
                    let name = spec.name;
                    format!(
                        "; if they are rows of the published task {name}, say so with --task {name}"
                    )
                });
                return Err(UsageError::new(format!(
                    "this adapter was trained on rows of your own (`{name}` is the name of their file): score it on \
                     such rows with {OWN_ROWS}{or}"
                )));
            }
            (None, Ok(spec)) => spec,
            (None, Err(_)) => {
                return Err(UsageError::new(format!(
                    "`{}`, the task of this adapter, is no published one: score it on rows of your own with {OWN_ROWS}",
                    metadata.task
                )));
            }
        };
        let Some(published) = Published::new(&kind, spec) else {
            return Err(mismatch(&kind, spec, &spec.task().kind));
        };
        let has_pairs = spec.parts.iter().any(|part| part.text2.is_some());
        let (found, expected) = if has_pairs {
            (TextInput::Pair, TextInput::Single)
        } else {
            (TextInput::Single, TextInput::Pair)
        };
        if metadata.input == Some(expected) {
            return Err(UsageError::new(format!(
                "the rows of {} are {found}, and the adapter was trained on {expected}",
                spec.name
            )));
        }
        Ok(Self::new(metadata, kind, Some(published)))
    }

    fn new(metadata: &AdapterMetadata, kind: TaskKind, published: Option<Published>) -> Self {
        let mut task = Task::new(metadata.task.clone(), kind);
        if let Some(published) = &published {
            task.metrics = published.spec.metrics.to_vec();
        }
        Self { task, published, calibration: metadata.calibration.clone() }
    }

    /// The published task, if there is one.
    pub fn published(&self) -> Option<&'static TaskSpec> {
        self.published.as_ref().map(|published| published.spec)
    }

    /// The rows of a split of the published task, with the adapter's class indices.
    ///
    /// # Errors
    /// If there is no published task or split, the labels differ, or a file cannot be read.
    pub fn read(&self, split: &str, data: Option<&Path>) -> Result<Vec<Example>> {
        let split = split_named(split)?;
        let Some(spec) = self.published() else {
            bail!("the task of this adapter is not a published one; score it with {OWN_ROWS}");
        };
        if spec.source.is_none() && data.is_some() {
            return Err(UsageError::new(format!(
                "--data has no effect: the rows of {} are part of the program; leave it out",
                spec.name
            )));
        }
        self.read_split(spec, split, data)
    }

    /// The rows of a split of a task, with the adapter's class indices.
    ///
    /// # Errors
    /// If the labels differ, or a file cannot be read.
    pub fn read_split(
        &self,
        spec: &'static TaskSpec,
        split: Split,
        data: Option<&Path>,
    ) -> Result<Vec<Example>> {
        let kind = spec.task_in(data)?.kind;
        let Some(permutation) = kind.permutation_to(&self.task.kind) else {
            return Err(mismatch(&self.task.kind, spec, &kind));
        };
        let mut examples = spec.read(data, split)?;
        for example in &mut examples {
            example.label = example.label.take().map(|label| label.permuted(&permutation));
        }
        Ok(examples)
    }

    /// The label that a row's logits predict.
    pub fn predict(&self, logits: &[f32]) -> Label {
        kind::predict(&self.task.kind, &self.calibration, logits)
    }
}

/// Scores each row by its label.
impl Evaluator for AdapterTask {
    fn metric(&self) -> &'static str {
        self.task.metric().name()
    }

    fn scores(&self, rows: &[RowOutput], calibration: &Calibration) -> Option<Map<String, Value>> {
        if let TaskKind::MultiLabel { .. } = self.task.kind {
            // No score of several labels depends on their order.
            return Evaluator::scores(&self.task, rows, calibration);
        }
        // The metric F1 is that of the second class in the table's order.
        let permutation = self.published.as_ref().and_then(|task| task.permutation.as_deref());
        let permuted = |label: Label| match permutation {
            Some(permutation) => label.permuted(permutation),
            None => label,
        };
        let predicted = rows.iter().map(|row| {
            let predicted = kind::predict(&self.task.kind, calibration, &row.logits);
            (permuted(predicted), row.label.clone().map(permuted))
        });
        evaluator::scores(&self.task, predicted)
    }

    fn details(&self, rows: &[RowOutput], calibration: &Calibration) -> Option<ScoreDetails> {
        ScoreDetails::of(&self.task.kind, rows, calibration)
    }
}

impl Published {
    /// A published task, if its labels are those of an adapter.
    fn new(kind: &TaskKind, spec: &'static TaskSpec) -> Option<Self> {
        let table = spec.task().kind;
        if table.outputs() == 0 {
            // The classes are those of the file.
            let has_classes = matches!(kind, TaskKind::Classification { .. });
            return has_classes.then_some(Self { spec, permutation: None });
        }
        let permutation = kind.permutation_to(&table)?;
        Some(Self { spec, permutation: Some(permutation) })
    }
}

/// The split with a name.
///
/// # Errors
/// A [`UsageError`] for another name.
pub(crate) fn split_named(name: &str) -> Result<Split> {
    Split::ALL.into_iter().find(|known| known.name() == name).ok_or_else(|| {
        let names = Split::ALL.map(Split::name).join(", ");
        UsageError::new(format!("there is no split `{name}`; choose one of {names}"))
    })
}

/// What an adapter predicts for a text.
fn kind(metadata: &AdapterMetadata) -> Result<TaskKind> {
    let kind = task_kind(&metadata.head);
    ensure!(
        labels_texts(&kind),
        "this adapter predicts {}, and no label for a text; it is scored during training",
        metadata.head
    );
    Ok(kind)
}

fn mismatch(kind: &TaskKind, spec: &TaskSpec, expected: &TaskKind) -> anyhow::Error {
    UsageError::new(format!(
        "the adapter predicts {}, but the published task {} has {}; labels are matched by name: score the adapter on \
         rows of your own with {OWN_ROWS}, or, if it was imported, import it again with --labels",
        listed(kind),
        spec.name,
        listed(expected)
    ))
}

/// Checks that two adapters have the same kind of input, where their files record it.
///
/// # Errors
/// An adapter for single texts and one for pairs.
pub(crate) fn check_same_input(
    (first, input): (impl Display, Option<TextInput>),
    (second, other): (impl Display, Option<TextInput>),
) -> Result<()> {
    let name = |input| match input {
        TextInput::Single => "single texts",
        TextInput::Pair => "pairs of texts",
    };
    if let (Some(input), Some(other)) = (input, other)
        && input != other
    {
        bail!(
            "{first} is for {}, but {second} is for {}; expected adapters with the same kind of input",
            name(input),
            name(other)
        );
    }
    Ok(())
}

/// The labels of a kind of task for a message, or what is predicted instead of labels.
pub(crate) fn listed(kind: &TaskKind) -> String {
    let Some(names) = kind.labels() else { return head_kind(kind).to_string() };
    let what = match kind {
        TaskKind::MultiLabel { .. } => "any of the labels",
        _ => "the labels",
    };
    match names.len().saturating_sub(MAX_NAMES) {
        0 => format!("{what} {}", names.join(", ")),
        more => format!("{what} {} and {more} more", names[..MAX_NAMES].join(", ")),
    }
}

/// Checks that the logits are finite.
///
/// # Errors
/// If a logit is NaN or infinite.
pub(crate) fn check_finite(rows: &[RowOutput]) -> Result<()> {
    let bad = rows.iter().position(|row| row.logits.iter().any(|logit| !logit.is_finite()));
    ensure!(
        bad.is_none(),
        "the model's output for row {} is NaN or infinite; half precision overflows with some bases: try --precision \
         f32",
        bad.unwrap_or_default() + 1
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use burn_adapters::HeadKind;
    use burn_adapters::file::native::{BaseIdentity, Calibration};

    use super::*;

    fn metadata(task: &str, data: Option<DataSource>, labels: &[&str]) -> AdapterMetadata {
        let labels = labels.iter().map(ToString::to_string).collect();
        AdapterMetadata {
            method: "houlsby".to_owned(),
            task: task.to_owned(),
            data,
            input: None,
            head: HeadKind::Classification { labels },
            score: None,
            calibration: Calibration::default(),
            max_length: 16,
            base: BaseIdentity::new("tiny", "5f0c"),
        }
    }

    const TEAMS: [&str; 6] =
        ["software", "payroll", "network", "hardware", "facilities", "accounts"];

    #[test]
    fn labels_in_another_order_are_matched_by_name() {
        for data in [None, Some(DataSource::Published)] {
            let task =
                AdapterTask::of_published(&metadata("helpdesk", data, &TEAMS), None).unwrap();
            let rows = task.read("test", None).unwrap();
            let published = tasks::lookup("helpdesk").unwrap();
            let kind = published.task().kind;
            let names = kind.labels().unwrap();
            for (row, expected) in rows.iter().zip(published.read(None, Split::Test).unwrap()) {
                let class = |label: &Option<Label>| label.as_ref().and_then(Label::class).unwrap();
                assert_eq!(TEAMS[class(&row.label)], names[class(&expected.label)]);
            }
        }
    }

    #[test]
    fn f1_is_that_of_the_tables_class_whatever_the_order() {
        let score = |labels: &[&str], logits: [[f32; 2]; 4], truth: [usize; 4]| {
            let task = AdapterTask::of(&metadata("mrpc", None, labels)).unwrap();
            assert_eq!(task.task.metrics, tasks::lookup("mrpc").unwrap().metrics);
            let rows: Vec<_> = logits
                .iter()
                .zip(truth)
                .map(|(logits, class)| RowOutput {
                    logits: logits.to_vec(),
                    label: Some(Label::Class(class)),
                })
                .collect();
            task.scores(&rows, &Calibration::default()).unwrap()
        };
        let logits = [[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]];
        let truth = [1, 1, 1, 0];
        let swapped = logits.map(|[a, b]| [b, a]);
        assert_eq!(
            score(&["0", "1"], logits, truth),
            score(&["1", "0"], swapped, truth.map(|class| 1 - class))
        );
    }

    #[test]
    fn rows_of_the_users_own_are_never_a_published_tasks() {
        let own = metadata("helpdesk", Some(DataSource::Own), &TEAMS);
        assert!(AdapterTask::of(&own).unwrap().published().is_none());
        let said = AdapterTask::of_published(&own, None).unwrap_err().to_string();
        assert!(said.contains("trained on rows of your own"), "{said}");
        assert!(said.contains("--input FILE") && said.contains("--task helpdesk"), "{said}");
        let named = AdapterTask::of_published(&own, Some("helpdesk")).unwrap();
        assert_eq!(named.read("test", None).unwrap().len(), 150);
        let mails = metadata("mails", Some(DataSource::Own), &["x", "y"]);
        let said = AdapterTask::of_published(&mails, None).unwrap_err().to_string();
        assert!(said.contains("`mails`") && !said.contains("--task"), "{said}");
    }

    #[test]
    fn pairs_are_not_scored_by_an_adapter_of_single_texts() {
        let of = |task: &str, input| {
            let metadata = AdapterMetadata { input, ..metadata(task, None, &["0", "1"]) };
            AdapterTask::of_published(&metadata, None)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        assert_eq!(of("mrpc", None), Ok(()));
        assert_eq!(of("mrpc", Some(TextInput::Pair)), Ok(()));
        let expected =
            "the rows of mrpc are pairs of texts, and the adapter was trained on single texts";
        assert_eq!(of("mrpc", Some(TextInput::Single)), Err(expected.to_owned()));
        let expected =
            "the rows of cola are single texts, and the adapter was trained on pairs of texts";
        assert_eq!(of("cola", Some(TextInput::Pair)), Err(expected.to_owned()));
    }

    #[test]
    fn labels_that_differ_are_refused_with_both_lists() {
        let said = |task: &str, labels: &[&str]| {
            let metadata = metadata(task, None, labels);
            assert!(AdapterTask::of(&metadata).unwrap().published().is_none());
            AdapterTask::of_published(&metadata, None).unwrap_err().to_string()
        };
        let cola = said("cola", &["acceptable", "unacceptable"]);
        assert!(cola.contains("the labels acceptable, unacceptable, but"), "{cola}");
        assert!(cola.contains("task cola has the labels 0, 1;"), "{cola}");
        assert!(cola.contains("--input FILE --text COL --label COL"), "{cola}");
        // Upper case is another label, and so is one more.
        said("cola", &["0", "1", "2"]);
        said("rte", &["Entailment", "not_entailment"]);
        let score = said("stsb", &["0", "1"]);
        assert!(score.contains("has a score"), "{score}");
        assert!(said("nosuch", &["a", "b"]).contains("is no published one"));
    }
}
