//! The tags of words: from the outputs of rows to entities with their probabilities, and their scores.

use std::borrow::Cow;
use std::ops::Range;

use burn_adapters::file::native::Calibration;
use glue_data::argmax;
use glue_data::calibration::softmax;
use glue_data::tagging::{
    EntityCounts, EntityF1, EntityScores, Mode, OUTSIDE, TaggedText, UnknownPrefix, WordWindows,
    conll_word, entities, parse_tag, words,
};
use glue_data::tasks::entities::METRICS;
use serde_json::{Map, Value, json};

use super::evaluator::{Evaluator, RowOutput};
use super::score_details::{NamedScore, ScoreDetails};

/// The file with the predictions for the validation texts of a run.
const PREDICTIONS: &str = "predictions.conll";

/// The tag of a word, and its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WordTag {
    /// The index of the tag among the labels.
    pub tag: usize,
    /// The probability of the tag.
    pub probability: f64,
}

/// An entity that a model found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundEntity {
    /// The type.
    pub label: String,
    /// Its words.
    pub words: Range<usize>,
    /// The mean of the probabilities of its words' tags.
    pub probability: f64,
}

/// A text that is split into words here.
pub fn split(text: String, line: usize) -> TaggedText {
    TaggedText { words: words(&text), text, tags: None, line }
}

/// The predicted tag of each word of a text, from the logits of its rows; none for a word without tokens.
///
/// # Panics
/// If `rows` are not those of the text.
pub fn word_tags(
    windows: &WordWindows,
    text: usize,
    rows: &[&[f32]],
    outputs: usize,
) -> Vec<Option<WordTag>> {
    let words = windows.logits_of_text(text, rows, outputs);
    let tag = |logits: Vec<f32>| {
        let tag = argmax(&logits)?;
        Some(WordTag { tag, probability: softmax(&logits, 1.0)[tag] })
    };
    words.into_iter().map(|logits| tag(logits?)).collect()
}

/// The tags of words by name; `O` for a word without tokens.
pub fn names<'a>(tags: &[Option<WordTag>], labels: &'a [String]) -> Vec<&'a str> {
    tags.iter().map(|tag| tag.map_or(OUTSIDE, |tag| labels[tag.tag].as_str())).collect()
}

/// The entities of a text.
pub fn found_entities(tags: &[Option<WordTag>], labels: &[String]) -> Vec<FoundEntity> {
    let names: Vec<Cow<str>> = names(tags, labels).into_iter().map(with_prefix).collect();
    let found = entities(&names).into_iter().map(|entity| {
        let own = tags[entity.words.clone()].iter().flatten();
        let sum: f64 = own.map(|tag| tag.probability).sum();
        let probability = sum / entity.words.len() as f64;
        FoundEntity { label: entity.label, words: entity.words, probability }
    });
    found.collect()
}

/// The entities of a text as JSON: `start` and `end` in Unicode characters, the type, the text and the probability.
pub fn entities_json(text: &TaggedText, found: &[FoundEntity]) -> Value {
    // Characters are counted from one entity to the next.
    let (mut byte, mut character) = (0, 0);
    let mut position = |at: usize| {
        character += text.text[byte..at].chars().count();
        byte = at;
        character
    };
    let entities = found.iter().map(|entity| {
        let bytes = bytes_of(text, entity);
        json!({
            "start": position(bytes.start),
            "end": position(bytes.end),
            "label": entity.label,
            "text": text.text[bytes],
            "probability": entity.probability,
        })
    });
    Value::Array(entities.collect())
}

/// The bytes of an entity in its text.
pub fn bytes_of(text: &TaggedText, entity: &FoundEntity) -> Range<usize> {
    text.words[entity.words.start].start..text.words[entity.words.end - 1].end
}

/// A tag as one of a scheme: a name without a prefix, such as a part of speech of an imported adapter, is read as if it
/// had the prefix `I-`, as by the pipeline of transformers.
fn with_prefix(tag: &str) -> Cow<'_, str> {
    if parse_tag(tag).is_ok() { Cow::Borrowed(tag) } else { Cow::Owned(format!("I-{tag}")) }
}

/// Scores the entities of texts.
#[derive(Debug)]
pub struct EntityEvaluator {
    /// The names of the tags.
    pub labels: Vec<String>,
    /// The texts, of which those with tags are scored.
    pub texts: Vec<TaggedText>,
    /// Their rows.
    pub windows: WordWindows,
    /// Which sequences of tags are entities.
    pub mode: Mode,
}

impl EntityEvaluator {
    /// The predicted tags of a text.
    fn predicted(&self, text: usize, rows: &[RowOutput]) -> Vec<Option<WordTag>> {
        let own = rows[self.windows.of_text(text)].iter().map(|row| row.logits.as_slice());
        word_tags(&self.windows, text, &own.collect::<Vec<_>>(), self.labels.len())
    }

    /// The scores of all texts with tags; `None` if there are none.
    ///
    /// # Errors
    /// In the strict mode, a tag whose prefix is not one of the scheme.
    pub fn entity_scores(&self, rows: &[RowOutput]) -> Result<Option<EntityScores>, UnknownPrefix> {
        let mut counts = EntityCounts::new(self.mode);
        let mut has_tags = false;
        for (index, text) in self.texts.iter().enumerate() {
            let Some(gold) = &text.tags else { continue };
            has_tags = true;
            let gold: Vec<&str> = gold.iter().map(|tag| self.labels[*tag].as_str()).collect();
            let predicted = self.predicted(index, rows);
            counts.add(&gold, &names(&predicted, &self.labels))?;
        }
        Ok(has_tags.then(|| counts.scores()))
    }
}

/// The scores of tags for all words of texts that have tags.
///
/// # Panics
/// If there are not as many tags as words.
pub fn scores_of_tags(
    texts: &[TaggedText],
    predicted: &[Vec<usize>],
    labels: &[String],
) -> EntityScores {
    let mut counts = EntityCounts::new(Mode::Default);
    let names = |tags: &[usize]| tags.iter().map(|tag| labels[*tag].as_str()).collect::<Vec<_>>();
    for (text, predicted) in texts.iter().zip(predicted) {
        let Some(gold) = &text.tags else { continue };
        counts.add(&names(gold), &names(predicted)).expect("the default mode reads every tag");
    }
    counts.scores()
}

/// The scores by name, as shares.
pub fn main_scores(scores: &EntityScores) -> Map<String, Value> {
    let EntityScores { micro, accuracy, .. } = scores;
    let values = [micro.f1, micro.precision, micro.recall, *accuracy];
    METRICS.into_iter().zip(values).map(|(name, score)| (name.to_owned(), score.into())).collect()
}

/// The scores of each type, and which were predicted in place of which.
fn details_of(scores: EntityScores) -> ScoreDetails {
    let by_label = scores.by_type.into_iter().map(|of| {
        let EntityF1 { precision, recall, f1 } = of.scores;
        let (label, support) = (of.label, of.support);
        NamedScore { label, precision, recall, f1, support, threshold: None }
    });
    ScoreDetails {
        by_label: by_label.collect(),
        confusion: scores.confusion.counts,
        without_label: Some("no entity".to_owned()),
        ..ScoreDetails::default()
    }
}

impl Evaluator for EntityEvaluator {
    fn metric(&self) -> &'static str {
        METRICS[0]
    }

    fn scores(&self, rows: &[RowOutput], _calibration: &Calibration) -> Option<Map<String, Value>> {
        // Tags that are not of the scheme have no score.
        self.entity_scores(rows).ok().flatten().map(|scores| main_scores(&scores))
    }

    fn has_prediction_files(&self) -> bool {
        true
    }

    /// A word, its tag and the predicted tag on each line.
    fn prediction_files(&self, rows: &[RowOutput]) -> Vec<(&'static str, String)> {
        let mut lines = String::new();
        for (index, text) in self.texts.iter().enumerate() {
            let predicted = self.predicted(index, rows);
            let predicted = names(&predicted, &self.labels);
            let gold = text.tags.iter().flatten().map(|tag| self.labels[*tag].as_str());
            for ((word, gold), predicted) in text.words.iter().zip(gold).zip(predicted) {
                let word = conll_word(&text.text[word.clone()]);
                lines += &format!("{word}\t{gold}\t{predicted}\n");
            }
            lines.push('\n');
        }
        vec![(PREDICTIONS, lines)]
    }

    fn details(&self, rows: &[RowOutput], _calibration: &Calibration) -> Option<ScoreDetails> {
        self.entity_scores(rows).ok().flatten().map(details_of)
    }

    fn reference_texts(&self) -> Vec<&str> {
        // The tags of words without tokens are in no row.
        let tags = self.texts.iter().flat_map(|text| text.tags.iter().flatten());
        tags.map(|tag| self.labels[*tag].as_str()).collect()
    }
}
