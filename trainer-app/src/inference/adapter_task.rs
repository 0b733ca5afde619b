//! What an adapter predicts, and how that is judged; its labels and those of a published task are matched by name.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use burn_adapters::HeadKind;
use burn_adapters::file::native::{AdapterMetadata, DataSource, TextInput};
use glue_data::{Example, Label, Labels, Metric, Prediction, Split, Task, TaskSpec, tasks};
use serde_json::{Map, Value};

use crate::exit::UsageError;
use crate::learner::step::ScoredRow;
use crate::task_data::rows;

/// How the rows of a user's own are judged, which works for every adapter.
const OWN_ROWS: &str = "--input FILE --text COL --label COL";
/// Names of a list that a message has.
const MAX_NAMES: usize = 20;

/// What an adapter predicts.
#[derive(Debug, Clone)]
pub struct AdapterTask {
    /// Its labels are in the order of the adapter's logits.
    pub task: Task,
    /// The published task whose rows it can be judged by.
    published: Option<Published>,
}

/// A published task with the adapter's labels.
#[derive(Debug, Clone)]
struct Published {
    spec: &'static TaskSpec,
    /// For each class of the adapter its place among the table's; none where the table lists no classes.
    places: Option<Vec<usize>>,
}

impl AdapterTask {
    /// What an adapter file says of its task. It is judged as a published task only if it was not trained on rows of
    /// the user's own and has that task's labels, in whatever order.
    ///
    /// # Errors
    /// An adapter that has no label for a text.
    pub fn of(metadata: &AdapterMetadata) -> Result<Self> {
        let labels = labels(metadata)?;
        let spec = match metadata.data {
            Some(DataSource::Own) => None,
            Some(DataSource::Published) | None => tasks::lookup(&metadata.task).ok(),
        };
        let published = spec.and_then(|spec| Published::new(&labels, spec));
        Ok(Self::new(metadata, labels, published))
    }

    /// The same as the published task that the adapter was trained on, or as the one that is `named`.
    ///
    /// # Errors
    /// An adapter of rows of the user's own where no task is named, a name without a task, or labels that are not the
    /// task's.
    pub fn of_published(metadata: &AdapterMetadata, named: Option<&str>) -> Result<Self> {
        let labels = labels(metadata)?;
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
                    "this adapter was trained on rows of your own (`{name}` is the name of their file): judge it by \
                     such rows with {OWN_ROWS}{or}"
                )));
            }
            (None, Ok(spec)) => spec,
            (None, Err(_)) => {
                return Err(UsageError::new(format!(
                    "`{}`, the task of this adapter, is no published one: judge it by rows of your own with {OWN_ROWS}",
                    metadata.task
                )));
            }
        };
        let Some(published) = Published::new(&labels, spec) else {
            return Err(mismatch(&labels, spec, &spec.task().labels));
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
        Ok(Self::new(metadata, labels, Some(published)))
    }

    fn new(metadata: &AdapterMetadata, labels: Labels, published: Option<Published>) -> Self {
        let metrics = match &published {
            Some(published) => published.spec.metrics.to_vec(),
            None if labels == Labels::Score => vec![Metric::Spearman, Metric::Pearson],
            None => vec![Metric::Accuracy, Metric::MacroF1],
        };
        let task = Task { name: metadata.task.clone(), labels, metrics };
        Self { task, published }
    }

    /// The published task, where there is one.
    pub fn published(&self) -> Option<&'static TaskSpec> {
        self.published.as_ref().map(|published| published.spec)
    }

    /// The rows of a part of the published task, with the adapter's labels.
    ///
    /// # Errors
    /// No published task, a part that is none, labels that are not the adapter's, or files that cannot be read.
    pub fn read(&self, split: &str, data: Option<&Path>) -> Result<Vec<Example>> {
        let Some(split) = Split::ALL.into_iter().find(|known| known.name() == split) else {
            let names = Split::ALL.map(Split::name).join(", ");
            return Err(UsageError::new(format!(
                "there is no split `{split}`; choose one of {names}"
            )));
        };
        let Some(spec) = self.published() else {
            bail!("the rows of no published task are this adapter's; judge it with {OWN_ROWS}");
        };
        if spec.source.is_none() && data.is_some() {
            return Err(UsageError::new(format!(
                "--data has no effect: the rows of {} are part of the program; leave it out",
                spec.name
            )));
        }
        self.read_part(spec, split, data)
    }

    /// The rows of a part of a task, with the adapter's labels.
    ///
    /// # Errors
    /// Labels that are not the adapter's, or files that cannot be read.
    pub fn read_part(
        &self,
        spec: &'static TaskSpec,
        split: Split,
        data: Option<&Path>,
    ) -> Result<Vec<Example>> {
        let labels = spec.task_in(data)?.labels;
        let Some(places) = labels.permutation_to(&self.task.labels) else {
            return Err(mismatch(&self.task.labels, spec, &labels));
        };
        let mut examples = spec.read(data, split)?;
        for example in &mut examples {
            if let Some(Label::Class(class)) = &mut example.label {
                *class = places[*class];
            }
        }
        Ok(examples)
    }

    /// The scores of rows whose labels are known; none when there are no such rows.
    pub fn scores(&self, rows: &[ScoredRow]) -> Option<Map<String, Value>> {
        // F1 is that of the table's second class, so that it needs the table's order.
        let places = self.published.as_ref().and_then(|published| published.places.as_deref());
        let place = |class: usize| places.map_or(class, |places| places[class]);
        let judged = rows.iter().filter_map(|row| {
            let prediction = match self.task.labels.predict(&row.logits) {
                Prediction::Class(class) => Prediction::Class(place(class)),
                score @ Prediction::Score(_) => score,
            };
            let label = match row.label? {
                Label::Class(class) => Label::Class(place(class)),
                label => label,
            };
            Some((prediction, label))
        });
        rows::score_predictions(&self.task, judged)
    }
}

impl Published {
    /// A published task, if its labels are these.
    fn new(labels: &Labels, spec: &'static TaskSpec) -> Option<Self> {
        let table = spec.task().labels;
        if table.outputs() == 0 {
            // Its classes are those of its file.
            return matches!(labels, Labels::Classes(_)).then_some(Self { spec, places: None });
        }
        let places = labels.permutation_to(&table)?;
        Some(Self { spec, places: Some(places) })
    }
}

/// What an adapter's outputs mean.
fn labels(metadata: &AdapterMetadata) -> Result<Labels> {
    match &metadata.head {
        HeadKind::Classification { labels } => Ok(Labels::Classes(labels.clone())),
        HeadKind::Regression => Ok(Labels::Score),
        HeadKind::Span => bail!(
            "this adapter finds answers in paragraphs and has no label for a text; it is judged while it is trained"
        ),
    }
}

fn mismatch(labels: &Labels, spec: &TaskSpec, expected: &Labels) -> anyhow::Error {
    UsageError::new(format!(
        "the adapter gives {}, but the published task {} has {}; labels are matched by name: judge the adapter by rows \
         of your own with {OWN_ROWS}, or, where it was imported, import it again with --labels",
        listed(labels),
        spec.name,
        listed(expected)
    ))
}

/// Labels in a sentence.
pub(crate) fn listed(labels: &Labels) -> String {
    match labels {
        Labels::Score => "a score".to_owned(),
        Labels::Classes(names) => {
            if names.len().checked_sub(MAX_NAMES + 1).is_none() {
                format!("the labels {}", names.join(", "))
            } else {
                let more = names.len() - MAX_NAMES;
                format!("the labels {} and {more} more", names[..MAX_NAMES].join(", "))
            }
        }
    }
}

/// Makes sure that a model gave numbers.
///
/// # Errors
/// A logit that is NaN or infinite.
pub(crate) fn check_finite(rows: &[ScoredRow]) -> Result<()> {
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
    use burn_adapters::file::native::BaseIdentity;

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
            let Labels::Classes(names) = published.task().labels else { unreachable!() };
            for (row, expected) in rows.iter().zip(published.read(None, Split::Test).unwrap()) {
                let (Some(Label::Class(found)), Some(Label::Class(expected))) =
                    (row.label, expected.label)
                else {
                    unreachable!()
                };
                assert_eq!(TEAMS[found], names[expected]);
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
                .map(|(logits, class)| ScoredRow {
                    logits: logits.to_vec(),
                    label: Some(Label::Class(class)),
                })
                .collect();
            task.scores(&rows).unwrap()
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
