//! Scores of labels, one by one and together, with the values of scikit-learn: for tasks with one label a row and with
//! several.
//!
//! The functions of several labels take, for each row, the indices of its labels in ascending order.

use crate::metric::ratio;

/// Precision, recall and F1 of one label.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LabelScore {
    /// Share of the predictions of the label that are right; 0 if it is never predicted, as in scikit-learn.
    pub precision: f64,
    /// Share of the rows with the label for which it is predicted; 0 if no row has it.
    pub recall: f64,
    /// Harmonic mean of precision and recall; 0 if both are.
    pub f1: f64,
    /// Number of rows with the label.
    pub support: usize,
}

/// How often a label is predicted, expected, and both.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    predicted: usize,
    expected: usize,
    both: usize,
}

impl Counts {
    fn f1(self) -> f64 {
        ratio(2.0 * self.both as f64, (self.predicted + self.expected) as f64)
    }

    fn score(self) -> LabelScore {
        LabelScore {
            precision: ratio(self.both as f64, self.predicted as f64),
            recall: ratio(self.both as f64, self.expected as f64),
            f1: self.f1(),
            support: self.expected,
        }
    }
}

fn counts<'a>(
    predicted: impl IntoIterator<Item = &'a [usize]>,
    expected: impl IntoIterator<Item = &'a [usize]>,
    labels: usize,
) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); labels];
    for (predicted, expected) in predicted.into_iter().zip(expected) {
        for label in predicted {
            counts[*label].predicted += 1;
            counts[*label].both += usize::from(expected.binary_search(label).is_ok());
        }
        expected.iter().for_each(|label| counts[*label].expected += 1);
    }
    counts
}

/// Precision, recall, F1 and support of each of `labels` labels, in their order.
///
/// # Panics
/// If the index of a label is not below `labels`.
pub fn by_label<'a>(
    predicted: impl IntoIterator<Item = &'a [usize]>,
    expected: impl IntoIterator<Item = &'a [usize]>,
    labels: usize,
) -> Vec<LabelScore> {
    counts(predicted, expected, labels).into_iter().map(Counts::score).collect()
}

/// F1 over all labels of all rows: of the numbers of labels that are predicted, expected, and both.
///
/// # Panics
/// If the index of a label is not below `labels`.
pub fn micro_f1(predicted: &[&[usize]], expected: &[&[usize]], labels: usize) -> f64 {
    let of_each = counts(predicted.iter().copied(), expected.iter().copied(), labels);
    let sum = of_each.into_iter().fold(Counts::default(), |sum, counts| Counts {
        predicted: sum.predicted + counts.predicted,
        expected: sum.expected + counts.expected,
        both: sum.both + counts.both,
    });
    sum.f1()
}

/// The mean of the labels' F1. A label that no row has and that is never predicted counts as 0, as in scikit-learn.
///
/// # Panics
/// If the index of a label is not below `labels`.
pub fn macro_f1(predicted: &[&[usize]], expected: &[&[usize]], labels: usize) -> f64 {
    let of_each = counts(predicted.iter().copied(), expected.iter().copied(), labels);
    ratio(of_each.into_iter().map(Counts::f1).sum(), labels as f64)
}

/// Share of the rows whose labels are predicted exactly.
pub fn subset_accuracy(predicted: &[&[usize]], expected: &[&[usize]]) -> f64 {
    let right =
        predicted.iter().zip(expected).filter(|(predicted, expected)| predicted == expected);
    ratio(right.count() as f64, predicted.len() as f64)
}

/// For each label of a row, the share of the row's labels among all that are ranked as high or higher; the mean over the
/// row's labels, and over the rows. Labels of equal score share the lowest of their ranks. A row without labels, or with
/// all, counts as 1.
///
/// `label_ranking_average_precision_score` of scikit-learn.
pub fn label_ranking_average_precision(scores: &[&[f32]], expected: &[&[usize]]) -> f64 {
    let of_row = |(scores, expected): (&&[f32], &&[usize])| {
        if expected.is_empty() || expected.len() == scores.len() {
            return 1.0;
        }
        let share = |label: &usize| {
            let is_as_high = |other: &usize| scores[*other] >= scores[*label];
            let relevant = expected.iter().filter(|label| is_as_high(label)).count();
            let all = (0..scores.len()).filter(|label| is_as_high(label)).count();
            relevant as f64 / all as f64
        };
        expected.iter().map(share).sum::<f64>() / expected.len() as f64
    };
    ratio(scores.iter().zip(expected).map(of_row).sum(), scores.len() as f64)
}

/// How many rows of each class, in the order of the lines, are predicted as each class, in the order of the columns.
///
/// # Panics
/// If a class is not below `classes`.
pub fn confusion_matrix(
    predicted: &[usize],
    expected: &[usize],
    classes: usize,
) -> Vec<Vec<usize>> {
    let mut matrix = vec![vec![0; classes]; classes];
    for (predicted, expected) in predicted.iter().zip(expected) {
        matrix[*expected][*predicted] += 1;
    }
    matrix
}

/// The mean of the recall of the classes that occur.
pub fn balanced_accuracy(predicted: &[usize], expected: &[usize]) -> f64 {
    let mut counts = vec![Counts::default(); expected.iter().max().map_or(0, |class| class + 1)];
    for (predicted, expected) in predicted.iter().zip(expected) {
        counts[*expected].expected += 1;
        counts[*expected].both += usize::from(predicted == expected);
    }
    let occurring = counts.into_iter().filter(|counts| counts.expected > 0);
    let recalls: Vec<f64> = occurring.map(|counts| counts.score().recall).collect();
    ratio(recalls.iter().sum(), recalls.len() as f64)
}

/// The threshold for a label's probability with the highest F1 of the label.
///
/// The candidates lie between two neighboring probabilities, so that rounding does not change a prediction. Of several with
/// the same F1, the one nearest to 0.5 is taken, and of two the lower. It is 0.5 if no row has the label.
pub fn best_threshold(probabilities: &[f64], expected: &[bool]) -> f64 {
    const DEFAULT: f64 = 0.5;
    let mut rows: Vec<(f64, bool)> =
        probabilities.iter().copied().zip(expected.iter().copied()).collect();
    rows.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let support = rows.iter().filter(|(_, has)| *has).count();
    let f1 = |predicted, both| Counts { predicted, expected: support, both }.f1();
    let at_default = rows.iter().filter(|(probability, _)| *probability >= DEFAULT);
    let both = at_default.clone().filter(|(_, has)| *has).count();
    let mut best = (f1(at_default.count(), both), DEFAULT);
    let mut both = 0;
    for (index, (probability, has)) in rows.iter().enumerate() {
        both += usize::from(*has);
        let next = rows.get(index + 1).map(|(next, _)| *next);
        let threshold = f64::midpoint(*probability, next.unwrap_or(0.0));
        // Equal probabilities are predicted together.
        if next.is_none_or(|next| next < threshold) {
            let candidate = (f1(index + 1, both), threshold);
            let is_nearer = (candidate.1 - DEFAULT).abs() <= (best.1 - DEFAULT).abs();
            #[expect(clippy::float_cmp, reason = "equal counts give equal quotients")]
            if candidate.0 > best.0 || candidate.0 == best.0 && is_nearer {
                best = candidate;
            }
        }
    }
    best.1
}
