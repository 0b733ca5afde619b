//! Kinds of tasks: what a label is, how it is parsed, how logits become one, and the targets of the loss.
//!
//! A new kind of task is a variant of [`TaskKind`], [`Label`] and [`Targets`] in this file, and its scores in
//! [`metric`](crate::metric). Everything else in this crate treats labels as opaque.

use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::error::{DataError, LabelError};
use crate::label_forms;
use crate::listed::{listed, shortened};

/// What a task predicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskKind {
    /// One class of several for each row.
    Classification {
        /// The names of the classes, in the order of the logits.
        labels: Vec<String>,
    },
    /// Any number of labels for each row, also none.
    MultiLabel {
        /// The names of the labels, in the order of the logits.
        labels: Vec<String>,
    },
    /// A number for each row.
    Regression,
    /// The first and the last token of an answer in the row.
    Span,
    /// One tag for each word of the row, such as the parts of named entities.
    TokenClassification {
        /// The names of the tags, in the order of the logits: `B-product`, `I-product`, `O`.
        labels: Vec<String>,
    },
}

/// The label of a row: from a file, or predicted.
#[derive(Debug, Clone, PartialEq)]
pub enum Label {
    /// The index of a class.
    Class(usize),
    /// Which of the task's labels the row has.
    Set {
        /// The indices of its labels, in ascending order; there may be none.
        classes: Vec<usize>,
        /// The number of labels of the task.
        of: usize,
    },
    /// A number.
    Score(f32),
    /// The tokens of an answer; both positions are 0, the first token, if the answer is not in the row.
    Span {
        /// Position of the first token.
        start: usize,
        /// Position of the last token.
        end: usize,
    },
    /// The tag of each token of the row, special tokens included; none for a token without a label, such as those that
    /// continue a word.
    Tags(Vec<Option<usize>>),
}

/// The labels of a batch as tensors, for the loss.
#[derive(Debug, Clone)]
pub enum Targets {
    /// `[batch]`, the index of each row's class.
    Classes(Tensor<1, Int>),
    /// `[batch, labels]`, 1 for a label that the row has, otherwise 0.
    Sets(Tensor<2>),
    /// `[batch]`
    Scores(Tensor<1>),
    /// `[batch, 2]`, the first and the last token of each answer.
    Spans(Tensor<2, Int>),
    /// `[batch, sequence]`, the index of each token's tag, or [`IGNORED`](Self::IGNORED).
    Tags(Tensor<2, Int>),
}

impl TaskKind {
    /// The name in answers of the server and in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Classification { .. } => "classification",
            Self::MultiLabel { .. } => "multi-label",
            Self::Regression => "regression",
            Self::Span => "span",
            Self::TokenClassification { .. } => "token-classification",
        }
    }

    /// How many outputs the head of a model needs.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classification { labels }
            | Self::MultiLabel { labels }
            | Self::TokenClassification { labels } => labels.len(),
            Self::Regression => 1,
            Self::Span => 2,
        }
    }

    /// The names of the classes, labels or tags, if the outputs have names.
    pub fn labels(&self) -> Option<&[String]> {
        match self {
            Self::Classification { labels }
            | Self::MultiLabel { labels }
            | Self::TokenClassification { labels } => Some(labels),
            Self::Regression | Self::Span => None,
        }
    }

    /// The name of a predicted label: that of its class, those of its labels between semicolons, the number with three
    /// decimals, or the names of the tags.
    ///
    /// # Panics
    /// If the label is not of this kind.
    pub fn label_name(&self, label: &Label) -> String {
        match (self, label) {
            (Self::Classification { labels }, Label::Class(class)) => labels[*class].clone(),
            (Self::MultiLabel { labels }, Label::Set { classes, .. }) => {
                let names = classes.iter().map(|class| labels[*class].as_str());
                names.collect::<Vec<_>>().join(";")
            }
            (Self::Regression, Label::Score(score)) => format!("{score:.3}"),
            (Self::Span, Label::Span { start, end }) => format!("{start}-{end}"),
            (Self::TokenClassification { labels }, Label::Tags(tags)) => {
                let names = tags.iter().flatten().map(|tag| labels[*tag].as_str());
                names.collect::<Vec<_>>().join(" ")
            }
            _ => panic!("{label:?} is no label of {self:?}"),
        }
    }

    /// For each output its index among the outputs of `other`, where classes are matched by name.
    ///
    /// `None` if the kinds differ, or if a class is in only one of the two. Names are compared exactly.
    pub fn permutation_to(&self, other: &Self) -> Option<Vec<usize>> {
        match (self, other) {
            (Self::Classification { labels }, Self::Classification { labels: others })
            | (Self::MultiLabel { labels }, Self::MultiLabel { labels: others })
            | (
                Self::TokenClassification { labels },
                Self::TokenClassification { labels: others },
            ) if labels.len() == others.len() => {
                let indices: Option<Vec<usize>> = labels
                    .iter()
                    .map(|name| others.iter().position(|other| other == name))
                    .collect();
                // A duplicate name would hide a missing one.
                indices.filter(|indices| (0..others.len()).all(|index| indices.contains(&index)))
            }
            (
                Self::Classification { .. }
                | Self::MultiLabel { .. }
                | Self::TokenClassification { .. },
                _,
            ) => None,
            (Self::Regression | Self::Span, _) => {
                (self == other).then(|| (0..self.outputs()).collect())
            }
        }
    }

    /// Parses a label as it is written in a file; of several labels a row, one of them is written.
    pub(crate) fn parse_label(
        &self,
        text: &str,
        path: &Path,
        line: usize,
    ) -> Result<Label, DataError> {
        if let Some(class) = self.labels().and_then(|labels| position(labels, text)) {
            return Ok(match self {
                Self::MultiLabel { labels } => {
                    Label::Set { classes: vec![class], of: labels.len() }
                }
                _ => Label::Class(class),
            });
        }
        if text.trim().is_empty() {
            return Err(LabelError::Empty { path: path.to_owned(), line }.into());
        }
        let unknown = |expected: String, hint: String| {
            DataError::from(LabelError::Unknown {
                path: path.to_owned(),
                line,
                found: shortened(text),
                expected,
                hint,
            })
        };
        match self {
            Self::Classification { labels } | Self::MultiLabel { labels } => {
                let hint = label_forms::near(labels, text).map(|(name, difference)| {
                    format!("; it differs from `{name}` in {difference} alone: write it alike")
                });
                Err(unknown(listed(labels), hint.unwrap_or_default()))
            }
            Self::Regression => match text.trim().parse::<f32>() {
                Ok(score) if score.is_finite() => Ok(Label::Score(score)),
                _ => {
                    let with_point = text.trim().replacen(',', ".", 1);
                    let has_comma = text.contains(',') && with_point.parse::<f32>().is_ok();
                    Err(LabelError::NotANumber {
                        path: path.to_owned(),
                        line,
                        found: shortened(text),
                        hint: if has_comma { "; write it with a decimal point" } else { "" },
                    }
                    .into())
                }
            },
            Self::Span => Err(unknown("the answers of a SQuAD file".to_owned(), String::new())),
            Self::TokenClassification { .. } => {
                Err(unknown("a tag for each word".to_owned(), String::new()))
            }
        }
    }

    /// Parses the labels of a row, each written as it is in the list of labels; there may be none.
    pub(crate) fn parse_set(
        &self,
        texts: &[impl AsRef<str>],
        path: &Path,
        line: usize,
    ) -> Result<Label, DataError> {
        let mut classes = Vec::with_capacity(texts.len());
        for text in texts {
            let Label::Set { classes: one, .. } = self.parse_label(text.as_ref(), path, line)?
            else {
                unreachable!("a row has several labels only if the task has")
            };
            if one.iter().any(|class| classes.contains(class)) {
                return Err(LabelError::Twice {
                    path: path.to_owned(),
                    line,
                    label: text.as_ref().to_owned(),
                }
                .into());
            }
            classes.extend(one);
        }
        classes.sort_unstable();
        Ok(Label::Set { classes, of: self.outputs() })
    }

    /// The label that a row's logits predict; those of a span are the starts of all positions and then the ends, and those
    /// of tags the first tag at all positions, then the second, and so on. Of several labels a row, those whose probability
    /// is at least 0.5.
    ///
    /// # Panics
    /// If there are no logits.
    pub fn predict(&self, logits: &[f32]) -> Label {
        self.predict_with(logits, &[])
    }

    /// As [`predict`](Self::predict), where each of several labels a row has a threshold for its probability; without
    /// thresholds they are 0.5.
    ///
    /// # Panics
    /// If there are no logits.
    pub fn predict_with(&self, logits: &[f32], thresholds: &[f64]) -> Label {
        const HAS_LOGITS: &str = "a model has at least one output";
        match self {
            Self::Classification { .. } => Label::Class(argmax(logits).expect(HAS_LOGITS)),
            Self::MultiLabel { labels } => {
                let threshold = |class: usize| thresholds.get(class).copied().unwrap_or(0.5);
                let is_predicted =
                    |class: &usize| sigmoid(f64::from(logits[*class])) >= threshold(*class);
                let classes = (0..logits.len()).filter(is_predicted).collect();
                Label::Set { classes, of: labels.len() }
            }
            Self::Regression => Label::Score(logits[0]),
            Self::Span => {
                let (starts, ends) = logits.split_at(logits.len() / 2);
                Label::Span {
                    start: argmax(starts).expect(HAS_LOGITS),
                    end: argmax(ends).expect(HAS_LOGITS),
                }
            }
            Self::TokenClassification { .. } => {
                let tags = token_logits(logits, self.outputs());
                Label::Tags(tags.map(|logits| argmax(&logits)).collect())
            }
        }
    }
}

impl Label {
    /// The class, if the label is one.
    pub fn class(&self) -> Option<usize> {
        match self {
            Self::Class(class) => Some(*class),
            Self::Set { .. } | Self::Score(_) | Self::Span { .. } | Self::Tags(_) => None,
        }
    }

    /// The indices of the row's labels, if it may have several.
    pub fn set(&self) -> Option<&[usize]> {
        match self {
            Self::Set { classes, .. } => Some(classes),
            Self::Class(_) | Self::Score(_) | Self::Span { .. } | Self::Tags(_) => None,
        }
    }

    /// The index of the class, or those of the row's labels; none for labels of other kinds.
    pub fn classes(&self) -> &[usize] {
        match self {
            Self::Class(class) => std::slice::from_ref(class),
            Self::Set { classes, .. } => classes,
            Self::Score(_) | Self::Span { .. } | Self::Tags(_) => &[],
        }
    }

    /// The score, if the label is one.
    pub fn score(&self) -> Option<f32> {
        match self {
            Self::Score(score) => Some(*score),
            Self::Class(_) | Self::Set { .. } | Self::Span { .. } | Self::Tags(_) => None,
        }
    }

    /// The label with other class indices: class `c` becomes `indices[c]`.
    ///
    /// # Panics
    /// If there is no index for the class.
    #[must_use]
    pub fn permuted(self, indices: &[usize]) -> Self {
        match self {
            Self::Class(class) => Self::Class(indices[class]),
            Self::Tags(tags) => {
                Self::Tags(tags.into_iter().map(|tag| tag.map(|tag| indices[tag])).collect())
            }
            Self::Set { classes, of } => {
                let mut classes: Vec<usize> = classes.iter().map(|class| indices[*class]).collect();
                classes.sort_unstable();
                Self::Set { classes, of }
            }
            Self::Score(_) | Self::Span { .. } => self,
        }
    }

    /// Bytes that differ between any two labels, for checksums of rows.
    pub fn bytes(label: Option<&Self>) -> Vec<u8> {
        let number = |number: usize| (number as u64).to_le_bytes();
        match label {
            None => vec![0],
            Some(Self::Class(class)) => [&[1][..], &number(*class)].concat(),
            Some(Self::Score(score)) => [&[2][..], &score.to_le_bytes()].concat(),
            Some(Self::Span { start, end }) => [&[3][..], &number(*start), &number(*end)].concat(),
            Some(Self::Tags(tags)) => {
                let tags = tags.iter().map(|tag| tag.map_or(0, |tag| tag + 1));
                let numbers = std::iter::once(tags.len()).chain(tags);
                std::iter::once(5).chain(numbers.flat_map(number)).collect()
            }
            Some(Self::Set { classes, of }) => {
                let mut bytes = [&[4][..], &number(*of), &number(classes.len())].concat();
                bytes.extend(classes.iter().flat_map(|class| number(*class)));
                bytes
            }
        }
    }
}

impl Targets {
    /// The tag of a token without a label, which has no loss.
    pub const IGNORED: i64 = -100;

    /// The targets of a batch of rows that are padded to a length of `sequence`; `None` if a label is unknown, or labels
    /// are of different kinds.
    pub(crate) fn of(labels: &[Option<Label>], sequence: usize, device: &Device) -> Option<Self> {
        let rows = labels.len();
        // The kind of a batch is that of its first label.
        Some(match labels.first()?.as_ref()? {
            Label::Class(_) => {
                let classes = labels.iter().map(|label| label.as_ref()?.class());
                let classes = classes.map(|class| i64::try_from(class?).ok());
                let classes: Vec<i64> = classes.collect::<Option<_>>()?;
                Self::Classes(Tensor::from_data(TensorData::new(classes, [rows]), device))
            }
            Label::Set { of, .. } => {
                let of = *of;
                let mut sets = vec![0.0_f32; rows * of];
                for (row, label) in labels.iter().enumerate() {
                    let Some(Label::Set { classes, of: found }) = label else { return None };
                    if *found != of {
                        return None;
                    }
                    classes.iter().for_each(|class| sets[row * of + class] = 1.0);
                }
                Self::Sets(Tensor::from_data(TensorData::new(sets, [rows, of]), device))
            }
            Label::Score(_) => {
                let scores: Vec<f32> =
                    labels.iter().map(|label| label.as_ref()?.score()).collect::<Option<_>>()?;
                Self::Scores(Tensor::from_data(TensorData::new(scores, [rows]), device))
            }
            Label::Span { .. } => {
                let spans = labels.iter().map(|label| match label {
                    Some(Label::Span { start, end }) => Some([*start as i64, *end as i64]),
                    _ => None,
                });
                let spans: Vec<[i64; 2]> = spans.collect::<Option<_>>()?;
                Self::Spans(Tensor::from_data(TensorData::new(spans.concat(), [rows, 2]), device))
            }
            Label::Tags(_) => {
                let mut all = Vec::with_capacity(rows * sequence);
                for (row, label) in labels.iter().enumerate() {
                    let Some(Label::Tags(tags)) = label else { return None };
                    all.extend(tags.iter().map(|tag| tag.map_or(Self::IGNORED, |tag| tag as i64)));
                    all.resize((row + 1) * sequence, Self::IGNORED);
                }
                Self::Tags(Tensor::from_data(TensorData::new(all, [rows, sequence]), device))
            }
        })
    }
}

/// The logits of each token, from those of a row that are one output after the other.
pub(crate) fn token_logits(logits: &[f32], outputs: usize) -> impl Iterator<Item = Vec<f32>> {
    let sequence = logits.len() / outputs.max(1);
    (0..sequence)
        .map(move |position| logits.iter().skip(position).step_by(sequence).copied().collect())
}

fn position(labels: &[String], text: &str) -> Option<usize> {
    labels.iter().position(|name| name == text)
}

/// The probability of a logit.
pub fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// The index of the largest value, the first of equal ones, as numpy's `argmax`; `None` if there are no values.
pub fn argmax<T: PartialOrd>(values: &[T]) -> Option<usize> {
    (0..values.len()).reduce(|best, index| if values[index] > values[best] { index } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(labels: &[&str]) -> TaskKind {
        TaskKind::Classification { labels: labels.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn classes_are_matched_by_their_names() {
        let abc = classes(&["a", "b", "c"]);
        assert_eq!(abc.permutation_to(&classes(&["c", "a", "b"])), Some(vec![1, 2, 0]));
        assert_eq!(abc.permutation_to(&abc), Some(vec![0, 1, 2]));
        for others in [&["a", "b"][..], &["a", "b", "C"], &["a", "b", "c", "d"], &["a", "a", "b"]] {
            assert_eq!(abc.permutation_to(&classes(others)), None, "{others:?}");
            assert_eq!(classes(others).permutation_to(&abc), None, "{others:?}");
        }
        assert_eq!(classes(&["a", "a", "b"]).permutation_to(&classes(&["a", "b", "b"])), None);
        assert_eq!(TaskKind::Regression.permutation_to(&TaskKind::Regression), Some(vec![0]));
        assert_eq!(TaskKind::Regression.permutation_to(&classes(&["a"])), None);
        assert_eq!(TaskKind::Span.permutation_to(&TaskKind::Regression), None);
    }

    #[test]
    fn the_first_of_equal_classes_is_predicted() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0, 2.0]), Some(1));
        assert_eq!(argmax::<f32>(&[]), None);
        let labels = classes(&["a", "b", "c"]);
        assert_eq!(labels.predict(&[0.5, 0.5, 0.5]), Label::Class(0));
        assert_eq!(labels.predict(&[0.0, -0.0, -1.0]), Label::Class(0));
    }

    #[test]
    fn a_span_is_predicted_from_starts_and_ends() {
        let logits = [0.0, 2.0, 1.0, 0.0, 0.0, 3.0];
        assert_eq!(TaskKind::Span.predict(&logits), Label::Span { start: 1, end: 2 });
    }

    #[test]
    fn a_tag_is_predicted_for_each_token() {
        let labels = ["B", "I", "O"].map(str::to_owned).to_vec();
        let kind = TaskKind::TokenClassification { labels };
        // Two tokens: the logits of `B`, of `I` and of `O`.
        let predicted = kind.predict(&[0.0, 5.0, 1.0, 0.0, 1.0, 0.0]);
        assert_eq!(predicted, Label::Tags(vec![Some(1), Some(0)]));
        assert_eq!(kind.label_name(&predicted), "I B");
        let permuted = Label::Tags(vec![None, Some(1), Some(0)]).permuted(&[2, 0, 1]);
        assert_eq!(permuted, Label::Tags(vec![None, Some(0), Some(2)]));
        assert_eq!(kind.predict(&[]), Label::Tags(Vec::new()));
    }

    #[test]
    fn the_bytes_of_different_tags_differ() {
        let tags = |tags: &[Option<usize>]| Label::bytes(Some(&Label::Tags(tags.to_vec())));
        let all = [tags(&[]), tags(&[None]), tags(&[Some(0)]), tags(&[Some(1)]), tags(&[None; 2])];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn tags_are_padded_to_the_length_of_a_batch() {
        let device = Device::flex();
        let rows = [vec![None, Some(2), Some(0)], vec![Some(1)]];
        let rows: Vec<_> = rows.into_iter().map(|tags| Some(Label::Tags(tags))).collect();
        let Some(Targets::Tags(tags)) = Targets::of(&rows, 4, &device) else {
            panic!("tags were given")
        };
        assert_eq!(tags.dims(), [2, 4]);
        let tags: Vec<i64> = tags.into_data().iter().collect();
        let ignored = Targets::IGNORED;
        assert_eq!(tags, [ignored, 2, 0, ignored, 1, ignored, ignored, ignored]);
    }

    #[test]
    fn every_label_with_a_probability_of_its_threshold_is_predicted() {
        let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
        let kind = TaskKind::MultiLabel { labels };
        let set = |classes: &[usize]| Label::Set { classes: classes.to_vec(), of: 3 };
        assert_eq!(kind.predict(&[0.0, -0.1, 5.0]), set(&[0, 2]));
        assert_eq!(kind.predict(&[-1.0, -1.0, -1.0]), set(&[]));
        let logits = [0.0, -0.1, 5.0];
        assert_eq!(kind.predict_with(&logits, &[0.6, 0.4, 1.0]), set(&[1]));
        assert_eq!(kind.label_name(&set(&[0, 2])), "a;c");
        assert_eq!(kind.label_name(&set(&[])), "");
        assert_eq!(set(&[0, 2]).permuted(&[2, 0, 1]), set(&[1, 2]));
    }

    #[test]
    fn the_targets_of_sets_are_zeros_and_ones() {
        let device = Device::flex();
        let set = |classes: &[usize]| Some(Label::Set { classes: classes.to_vec(), of: 3 });
        let Some(Targets::Sets(sets)) =
            Targets::of(&[set(&[2]), set(&[]), set(&[0, 1])], 4, &device)
        else {
            panic!("sets were given")
        };
        assert_eq!(sets.dims(), [3, 3]);
        let expected = [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0];
        assert_eq!(sets.into_data().try_to_vec::<f32>().unwrap(), expected);
        assert!(Targets::of(&[set(&[2]), None], 4, &device).is_none());
    }

    #[test]
    fn a_batch_without_a_label_has_no_targets() {
        let device = Device::flex();
        assert!(Targets::of(&[Some(Label::Class(1)), None], 4, &device).is_none());
        assert!(
            Targets::of(&[Some(Label::Class(1)), Some(Label::Score(1.0))], 4, &device).is_none()
        );
        assert!(Targets::of(&[], 4, &device).is_none());
    }
}
