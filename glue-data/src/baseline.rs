//! What a model has to beat: the commonest answer, and a bag of words.

use std::collections::HashMap;

use crate::task::{Example, Label, Labels, Prediction, argmax};

/// The commonest class, or the mean score, for every row.
///
/// # Panics
/// If no training row has a label.
pub fn majority(labels: &Labels, train: &[Example], rows: usize) -> Vec<Prediction> {
    let answer = match labels {
        Labels::Classes(names) => {
            let counts = class_counts(names.len(), train);
            Prediction::Class(argmax(&counts).expect("a classification has classes"))
        }
        Labels::Score => {
            let scores: Vec<f32> = train
                .iter()
                .filter_map(|example| match example.label {
                    Some(Label::Score(score)) => Some(score),
                    _ => None,
                })
                .collect();
            Prediction::Score(scores.iter().sum::<f32>() / scores.len() as f32)
        }
    };
    vec![answer; rows]
}

/// Multinomial naive Bayes over lower-cased words, with one added to every count; `None` for a regression.
pub fn bag_of_words(
    labels: &Labels,
    train: &[Example],
    rows: &[Example],
) -> Option<Vec<Prediction>> {
    let Labels::Classes(names) = labels else { return None };
    let mut words: HashMap<String, Vec<f64>> = HashMap::new();
    let mut totals = vec![0.0; names.len()];
    for example in train {
        let Some(Label::Class(class)) = example.label else { continue };
        for word in words_of(example) {
            words.entry(word).or_insert_with(|| vec![0.0; names.len()])[class] += 1.0;
            totals[class] += 1.0;
        }
    }
    let priors = class_counts(names.len(), train);
    let vocabulary = words.len() as f64;
    let predict = |example: &Example| {
        let mut score: Vec<f64> = priors.iter().map(|count| (*count as f64).ln()).collect();
        for counts in words_of(example).filter_map(|word| words.get(&word)) {
            for (class, score) in score.iter_mut().enumerate() {
                *score += ((counts[class] + 1.0) / (totals[class] + vocabulary)).ln();
            }
        }
        Prediction::Class(argmax(&score).expect("a classification has classes"))
    };
    Some(rows.iter().map(predict).collect())
}

fn class_counts(classes: usize, train: &[Example]) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for example in train {
        if let Some(Label::Class(class)) = example.label {
            counts[class] += 1;
        }
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
    fn baselines_answer_as_counted() {
        let labels = Labels::Classes(vec!["dry".to_owned(), "wet".to_owned()]);
        let train = [example("Sun and sand", 0), example("rain", 1), example("rain, snow", 1)];
        assert_eq!(majority(&labels, &train, 2), [Prediction::Class(1); 2]);
        let rows = [example("sun, SAND!", 0), example("snow", 0), example("unheard of", 0)];
        let expected = [Prediction::Class(0), Prediction::Class(1), Prediction::Class(1)];
        assert_eq!(bag_of_words(&labels, &train, &rows).unwrap(), expected);
        // Classes that are equally common, and a text that says nothing: the first.
        let train = [example("rain", 1), example("sun", 0)];
        assert_eq!(majority(&labels, &train, 1), [Prediction::Class(0)]);
        let unknown = [example("", 1)];
        assert_eq!(bag_of_words(&labels, &train, &unknown).unwrap(), [Prediction::Class(0)]);
    }
}
