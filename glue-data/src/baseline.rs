//! Baselines for a model's scores: the majority class, and a bag of words.

use std::collections::HashMap;

use crate::rows::Example;
use crate::task_kind::{Label, argmax};

/// The most frequent class, the labels that more than half of the rows have, or the mean score, for every row; `None` for
/// labels of other kinds.
pub fn majority(train: &[Example], rows: usize) -> Option<Vec<Label>> {
    if let Some(of) = n_labels(train) {
        let counts = label_counts(train, of);
        let classes = (0..of).filter(|label| 2 * counts[*label] > train.len()).collect();
        return Some(vec![Label::Set { classes, of }; rows]);
    }
    let scores: Vec<f32> = labels(train).filter_map(Label::score).collect();
    let prediction = if scores.is_empty() {
        Label::Class(argmax(&class_counts(train))?)
    } else {
        Label::Score(scores.iter().sum::<f32>() / scores.len() as f32)
    };
    Some(vec![prediction; rows])
}

/// Multinomial naive Bayes over lower-cased words, with add-one smoothing; of several labels a row, one for each. `None` for
/// labels of other kinds.
pub fn bag_of_words(train: &[Example], rows: &[Example]) -> Option<Vec<Label>> {
    if let Some(of) = n_labels(train) {
        return Some(bag_of_words_for_sets(train, rows, of));
    }
    let priors = class_counts(train);
    if priors.is_empty() {
        return None;
    }
    let mut words: HashMap<String, Vec<f64>> = HashMap::new();
    let mut totals = vec![0.0; priors.len()];
    for example in train {
        let Some(class) = example.label.as_ref().and_then(Label::class) else { continue };
        for word in words_of(example) {
            words.entry(word).or_insert_with(|| vec![0.0; priors.len()])[class] += 1.0;
            totals[class] += 1.0;
        }
    }
    let vocabulary = words.len() as f64;
    let predict = |example: &Example| {
        let mut score: Vec<f64> = priors.iter().map(|count| (*count as f64).ln()).collect();
        for counts in words_of(example).filter_map(|word| words.get(&word)) {
            for (class, score) in score.iter_mut().enumerate() {
                *score += ((counts[class] + 1.0) / (totals[class] + vocabulary)).ln();
            }
        }
        Label::Class(argmax(&score).expect("a class for each prior"))
    };
    Some(rows.iter().map(predict).collect())
}

/// For each label, a naive Bayes of the rows with it and of those without.
fn bag_of_words_for_sets(train: &[Example], rows: &[Example], of: usize) -> Vec<Label> {
    let with_label = label_counts(train, of);
    // For each word, the number of its occurrences in all rows, and in the rows with each label.
    let mut words: HashMap<String, (f64, Vec<f64>)> = HashMap::new();
    let (mut total, mut totals) = (0.0, vec![0.0; of]);
    for example in train {
        let Some(classes) = example.label.as_ref().and_then(Label::set) else { continue };
        for word in words_of(example) {
            let (in_all, by_label) = words.entry(word).or_insert_with(|| (0.0, vec![0.0; of]));
            *in_all += 1.0;
            total += 1.0;
            for label in classes {
                by_label[*label] += 1.0;
                totals[*label] += 1.0;
            }
        }
    }
    let vocabulary = words.len() as f64;
    let predict = |example: &Example| {
        let prior = |label: usize| {
            let with = with_label[label] as f64;
            with.ln() - (train.len() as f64 - with).ln()
        };
        let mut odds: Vec<f64> = (0..of).map(prior).collect();
        for (in_all, by_label) in words_of(example).filter_map(|word| words.get(&word)) {
            for (label, odds) in odds.iter_mut().enumerate() {
                let (with, without) = (by_label[label], in_all - by_label[label]);
                *odds += ((with + 1.0) / (totals[label] + vocabulary)).ln();
                *odds -= ((without + 1.0) / (total - totals[label] + vocabulary)).ln();
            }
        }
        Label::Set { classes: (0..of).filter(|label| odds[*label] >= 0.0).collect(), of }
    };
    rows.iter().map(predict).collect()
}

/// The number of labels of the task, if a row may have several.
fn n_labels(train: &[Example]) -> Option<usize> {
    labels(train).find_map(|label| match label {
        Label::Set { of, .. } => Some(*of),
        _ => None,
    })
}

/// How many rows have each of several labels.
fn label_counts(train: &[Example], of: usize) -> Vec<usize> {
    let mut counts = vec![0; of];
    for class in labels(train).filter_map(Label::set).flatten() {
        counts[*class] += 1;
    }
    counts
}

fn labels(examples: &[Example]) -> impl Iterator<Item = &Label> {
    examples.iter().filter_map(|example| example.label.as_ref())
}

/// How many rows have each class, up to the last class that occurs.
fn class_counts(train: &[Example]) -> Vec<usize> {
    let mut counts = Vec::new();
    for class in labels(train).filter_map(Label::class) {
        counts.resize(counts.len().max(class + 1), 0);
        counts[class] += 1;
    }
    counts
}

fn words_of(example: &Example) -> impl Iterator<Item = String> {
    let texts = std::iter::once(&example.text).chain(&example.text2);
    texts
        .flat_map(|text| text.split(|letter: char| !letter.is_alphanumeric()))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(text: &str, class: usize) -> Example {
        Example { text: text.to_owned(), text2: None, label: Some(Label::Class(class)) }
    }

    #[test]
    fn baselines_predict_what_is_counted() {
        let train = [example("Sun and sand", 0), example("rain", 1), example("rain, snow", 1)];
        assert_eq!(majority(&train, 2).unwrap(), [Label::Class(1), Label::Class(1)]);
        let rows = [example("sun, SAND!", 0), example("snow", 0), example("unheard of", 0)];
        let expected = [Label::Class(0), Label::Class(1), Label::Class(1)];
        assert_eq!(bag_of_words(&train, &rows).unwrap(), expected);
        // The first of equally frequent classes, and of equally likely ones.
        let train = [example("rain", 1), example("sun", 0)];
        assert_eq!(majority(&train, 1).unwrap(), [Label::Class(0)]);
        assert_eq!(bag_of_words(&train, &[example("", 1)]).unwrap(), [Label::Class(0)]);
    }

    #[test]
    fn several_labels_a_row_are_predicted_one_by_one() {
        let set = |classes: &[usize]| Label::Set { classes: classes.to_vec(), of: 3 };
        let row = |text: &str, classes: &[usize]| Example {
            label: Some(set(classes)),
            ..example(text, 0)
        };
        let train = [
            row("sun and sand", &[0, 2]),
            row("rain", &[1, 2]),
            row("snow", &[1]),
            row("fog", &[]),
        ];
        assert_eq!(majority(&train, 2).unwrap(), [set(&[]), set(&[])]);
        assert_eq!(majority(&train[1..3], 1).unwrap(), [set(&[1])]);
        let rows = [row("Sand", &[]), row("rain!", &[])];
        assert_eq!(bag_of_words(&train, &rows).unwrap(), [set(&[2]), set(&[1, 2])]);
    }

    #[test]
    fn the_baseline_of_a_regression_is_the_mean() {
        let row = |score| Example { label: Some(Label::Score(score)), ..example("a text", 0) };
        let train = [row(1.0), row(4.0)];
        assert_eq!(majority(&train, 1).unwrap(), [Label::Score(2.5)]);
        assert_eq!(bag_of_words(&train, &train), None);
    }
}
