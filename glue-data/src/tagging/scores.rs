//! Scores of predicted entities, with the values of seqeval 1.2.2 (<https://github.com/chakki-works/seqeval>).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use serde::Serialize;

use super::entities::{Entity, UnknownPrefix, entities, strict_entities};
use super::scheme::Scheme;

/// Which sequences of tags are entities: seqeval's argument `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Every sequence, as conlleval reads it.
    #[default]
    Default,
    /// Only entities that are complete in a scheme: seqeval's `mode="strict"`.
    Strict(Scheme),
}

impl Mode {
    fn entities(self, tags: &[impl AsRef<str>]) -> Result<Vec<Entity>, UnknownPrefix> {
        match self {
            Self::Default => Ok(entities(tags)),
            Self::Strict(scheme) => strict_entities(tags, scheme),
        }
    }
}

/// Precision, recall and F1, as shares; a score whose denominator is 0 is 0.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct EntityF1 {
    /// The share of the predicted entities that are right.
    pub precision: f64,
    /// The share of the entities that are found.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

/// The scores of the entities of one type.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TypeScores {
    /// The type.
    #[serde(rename = "type")]
    pub label: String,
    /// The scores.
    #[serde(flatten)]
    pub scores: EntityF1,
    /// How many entities there are.
    pub support: usize,
    /// How many were predicted.
    pub predicted: usize,
    /// How many of those are right: they have the same words.
    pub correct: usize,
}

/// The scores of predicted entities.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EntityScores {
    /// Of all entities together.
    pub micro: EntityF1,
    /// The mean over the types that occur in either file.
    #[serde(rename = "macro")]
    pub macro_average: EntityF1,
    /// The mean over the types, weighted by their number of entities.
    pub weighted: EntityF1,
    /// By type, sorted.
    pub by_type: Vec<TypeScores>,
    /// How many entities there are.
    pub support: usize,
    /// The share of words whose predicted tag is right.
    pub accuracy: f64,
    /// How many words there are.
    pub words: usize,
    /// Which types were taken for which.
    pub confusion: Confusion,
}

/// Which types of entities were predicted in place of which, over entities of the same words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// The types that occur, sorted.
    pub types: Vec<String>,
    /// `counts[type][predicted]`, in the order of the types. The last row and the last column are for no entity of these
    /// words: the last column counts entities that were not found, and the last row predicted ones that are none.
    pub counts: Vec<Vec<usize>>,
}

/// Counts of entities, to which sentences are added one by one.
#[derive(Debug, Clone, Default)]
pub struct EntityCounts {
    mode: Mode,
    words: usize,
    correct_words: usize,
    /// How often entities of the same words have these types; none if only one side has an entity there.
    pairs: BTreeMap<(Option<String>, Option<String>), usize>,
}

impl EntityCounts {
    /// No sentences yet.
    pub fn new(mode: Mode) -> Self {
        Self { mode, ..Self::default() }
    }

    /// Adds a sentence.
    ///
    /// # Errors
    /// In the strict mode, a tag whose prefix is not one of the scheme.
    ///
    /// # Panics
    /// If there are not as many predicted tags as tags.
    pub fn add(
        &mut self,
        tags: &[impl AsRef<str>],
        predicted: &[impl AsRef<str>],
    ) -> Result<(), UnknownPrefix> {
        assert_eq!(tags.len(), predicted.len(), "one predicted tag for each word");
        let (gold, found) = (self.mode.entities(tags)?, self.mode.entities(predicted)?);
        let pairs = tags.iter().zip(predicted);
        self.correct_words += pairs.filter(|(tag, other)| tag.as_ref() == other.as_ref()).count();
        self.words += tags.len();
        self.add_entities(gold, found);
        Ok(())
    }

    /// Adds the entities of a text without tags; its words do not count for the accuracy.
    pub fn add_entities(&mut self, gold: Vec<Entity>, predicted: Vec<Entity>) {
        let mut predicted: HashMap<Range<usize>, String> =
            predicted.into_iter().map(|entity| (entity.words, entity.label)).collect();
        for Entity { label, words } in gold {
            let found = predicted.remove(&words);
            *self.pairs.entry((Some(label), found)).or_insert(0) += 1;
        }
        for (_, label) in predicted {
            *self.pairs.entry((None, Some(label))).or_insert(0) += 1;
        }
    }

    /// The scores of all sentences so far.
    pub fn scores(&self) -> EntityScores {
        let pairs = self.pairs.iter();
        let types: BTreeSet<&str> = pairs
            .flat_map(|((gold, found), _)| [gold, found])
            .flatten()
            .map(String::as_str)
            .collect();
        let by_type: Vec<TypeScores> = types.iter().map(|label| self.of_type(label)).collect();
        let sum = |count: fn(&TypeScores) -> usize| by_type.iter().map(count).sum::<usize>();
        let (correct, predicted, support) =
            (sum(|of| of.correct), sum(|of| of.predicted), sum(|of| of.support));
        EntityScores {
            micro: EntityF1::of(correct, predicted, support),
            macro_average: EntityF1::mean(by_type.iter().map(|of| (of.scores, 1.0))),
            weighted: EntityF1::mean(by_type.iter().map(|of| (of.scores, of.support as f64))),
            support,
            accuracy: ratio(self.correct_words as f64, self.words as f64),
            words: self.words,
            confusion: self.confusion(&types),
            by_type,
        }
    }

    fn of_type(&self, label: &str) -> TypeScores {
        let is = |side: &Option<String>| side.as_deref() == Some(label);
        let count = |has: &dyn Fn(bool, bool) -> bool| -> usize {
            let pairs = self.pairs.iter();
            pairs
                .filter(|((gold, found), _)| has(is(gold), is(found)))
                .map(|(_, count)| count)
                .sum()
        };
        let support = count(&|gold, _| gold);
        let predicted = count(&|_, found| found);
        let correct = count(&|gold, found| gold && found);
        let scores = EntityF1::of(correct, predicted, support);
        TypeScores { label: label.to_owned(), scores, support, predicted, correct }
    }

    fn confusion(&self, types: &BTreeSet<&str>) -> Confusion {
        let types: Vec<String> = types.iter().map(ToString::to_string).collect();
        let index = |side: &Option<String>| {
            let known = side.as_ref().and_then(|label| types.binary_search(label).ok());
            known.unwrap_or(types.len())
        };
        let mut counts = vec![vec![0; types.len() + 1]; types.len() + 1];
        for ((gold, found), count) in &self.pairs {
            counts[index(gold)][index(found)] = *count;
        }
        Confusion { types, counts }
    }
}

impl EntityF1 {
    fn of(correct: usize, predicted: usize, support: usize) -> Self {
        let precision = ratio(correct as f64, predicted as f64);
        let recall = ratio(correct as f64, support as f64);
        Self { precision, recall, f1: ratio(2.0 * precision * recall, precision + recall) }
    }

    /// The weighted mean; 0 if the weights are.
    fn mean(scores: impl Iterator<Item = (Self, f64)> + Clone) -> Self {
        let total: f64 = scores.clone().map(|(_, weight)| weight).sum();
        let mean = |score: fn(&Self) -> f64| {
            ratio(scores.clone().map(|(of, weight)| weight * score(&of)).sum(), total)
        };
        Self {
            precision: mean(|of| of.precision),
            recall: mean(|of| of.recall),
            f1: mean(|of| of.f1),
        }
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(tags: &[&str], predicted: &[&str]) -> EntityScores {
        let mut counts = EntityCounts::default();
        for (tags, predicted) in tags.iter().zip(predicted) {
            let split = |tags: &str| tags.split(' ').map(str::to_owned).collect::<Vec<_>>();
            counts.add(&split(tags), &split(predicted)).unwrap();
        }
        counts.scores()
    }

    #[test]
    fn entities_of_the_same_words_are_compared_by_type() {
        let found = scores(&["B-a I-a O B-b", "B-a O"], &["B-a I-a O B-a", "O B-b"]);
        assert_eq!(found.confusion.types, ["a", "b"]);
        assert_eq!(found.confusion.counts, [[1, 0, 1], [1, 0, 0], [0, 1, 0]]);
        assert_eq!((found.support, found.words, found.accuracy), (3, 6, 0.5));
        let a = &found.by_type[0];
        assert_eq!((a.support, a.predicted, a.correct), (2, 2, 1));
        assert_eq!(a.scores, EntityF1 { precision: 0.5, recall: 0.5, f1: 0.5 });
    }

    #[test]
    fn without_entities_every_score_is_zero() {
        let found = scores(&["O O"], &["O O"]);
        assert_eq!((found.micro, found.macro_average), (EntityF1::default(), EntityF1::default()));
        assert_eq!((found.weighted, found.accuracy), (EntityF1::default(), 1.0));
        let found = scores(&["O O"], &["O B-a"]);
        assert_eq!(found.by_type[0].predicted, 1);
        assert_eq!(found.micro, EntityF1::default());
    }
}
