//! Predicted tags beside those of a reference file: the same texts, word by word.

use std::path::Path;

use super::columns::TagColumns;
use super::conll::conll_word;
use super::entities::UnknownPrefix;
use super::error::TaggingError;
use super::rows::bioes_letters;
use super::scores::{EntityCounts, EntityScores, Mode};
use super::tag_file::{TagFile, read};
use crate::error::DataError;

/// Scores the predicted tags of the texts of a file.
///
/// In the strict mode, the scheme is the one of the reference file.
///
/// # Errors
/// If the files have different words, as [`conll_word`] writes them, which the error names with their lines; and in the strict mode, if a scheme is not
/// recognized or a predicted tag is not of it.
pub fn score(
    gold: &TagFile,
    predicted: &TagFile,
    is_strict: bool,
) -> Result<EntityScores, DataError> {
    let mode = if is_strict { Mode::Strict(gold.scheme()?) } else { Mode::Default };
    let mut counts = EntityCounts::new(mode);
    for text in 0..gold.len().max(predicted.len()) {
        check_words(gold, predicted, text)?;
        let [tags, found] = [gold, predicted].map(|file| bioes_letters(&file.tags(text)));
        counts.add(&tags, &found).map_err(|reason| {
            // The tags of the reference are of its own scheme.
            let UnknownPrefix { word, .. } = reason;
            let line = predicted.line(text, word);
            TaggingError::Prefix { path: predicted.path().to_owned(), line, reason }
        })?;
    }
    Ok(counts.scores())
}

/// Reads the tags and the predicted tags of a file that has both, as conlleval expects it: by default the last column is
/// the predicted tag, and the one before it the tag.
///
/// # Errors
/// As [`read`](super::read), and if there are fewer than three columns.
pub fn read_both(
    path: &Path,
    columns: &TagColumns,
    predicted_tags: Option<&str>,
) -> Result<[TagFile; 2], DataError> {
    let with = |tags: Option<String>| read(path, &TagColumns { tags, ..columns.clone() });
    let predicted = with(predicted_tags.map(str::to_owned))?;
    let n_columns = predicted.columns.unwrap_or(0);
    if n_columns < 3 {
        let line = predicted.line(0, 0);
        return Err(TaggingError::NoGold { path: path.to_owned(), line }.into());
    }
    let tags = columns.tags.clone().unwrap_or_else(|| (n_columns - 1).to_string());
    Ok([with(Some(tags))?, predicted])
}

/// Checks that a text has the same words in both files.
fn check_words(gold: &TagFile, predicted: &TagFile, text: usize) -> Result<(), DataError> {
    let words = |file: &TagFile| file.texts.get(text).map_or(0, |text| text.words.len());
    let (n_gold, n_predicted) = (words(gold), words(predicted));
    let word_of = |file: &TagFile, word: usize| {
        let words = file.texts.get(text)?.words.get(word)?;
        Some(conll_word(&file.texts[text].text[words.clone()]).into_owned())
    };
    let different =
        (0..n_gold.max(n_predicted)).find(|word| word_of(gold, *word) != word_of(predicted, *word));
    let Some(word) = different else { return Ok(()) };
    let named = |word: Option<String>| {
        word.map_or_else(|| "the end of the text".to_owned(), |word| format!("the word `{word}`"))
    };
    Err(TaggingError::OtherWord {
        path: predicted.path().to_owned(),
        line: place(predicted, text, word),
        found: named(word_of(predicted, word)),
        gold: gold.path().to_owned(),
        gold_line: place(gold, text, word),
        expected: named(word_of(gold, word)),
    }
    .into())
}

/// The line of a word of a text, or of the last word before it.
fn place(file: &TagFile, text: usize, word: usize) -> usize {
    let last = file.texts.len() - 1;
    if text > last {
        return place(file, last, usize::MAX);
    }
    let words = file.texts[text].words.len();
    file.line(text, word.min(words.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tagging::parse;

    fn file(name: &str, text: &str) -> TagFile {
        parse(Path::new(name), text.as_bytes(), &TagColumns::default()).unwrap()
    }

    fn compared(gold: &str, predicted: &str, is_strict: bool) -> Result<EntityScores, String> {
        let scores = score(&file("gold.conll", gold), &file("found.conll", predicted), is_strict);
        scores.map_err(|error| error.to_string())
    }

    #[test]
    fn files_with_the_same_words_are_compared() {
        let scores = compared("a B-x\nb I-x\n\nc O\n", "a\tO\tI-x\nb\tO\tI-x\n\nc\tO\tO\n", false);
        assert!((scores.unwrap().micro.f1 - 1.0).abs() < 1e-12);
        let scores = compared("a B-x\nb I-x\n", "a I-x\nb I-x\n", true);
        assert!(scores.unwrap().micro.f1.abs() < 1e-12);
        // BILOU is BIOES with other letters, in both modes.
        let scores = compared("a U-x\nb U-x\n", "a U-x\nb S-x\n", true).unwrap();
        assert_eq!((scores.support, scores.by_type[0].correct), (2, 2));
        let scores = compared("a U-x\nb U-x\n", "a B-x\nb B-x\n", false).unwrap();
        assert_eq!((scores.support, scores.by_type[0].correct), (2, 2));
    }

    #[test]
    fn words_without_a_column_are_compared_as_they_are_written() {
        let gold = r#"{"tokens": ["a\tb", "\n"], "tags": ["B-x", "O"]}"#;
        let gold = file("gold.jsonl", gold);
        let scores = score(&gold, &file("found.conll", "a b\tB-x\n_\tO\n"), false).unwrap();
        assert!((scores.micro.f1 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn other_words_are_refused_with_the_lines_of_both_files() {
        let refused =
            |predicted: &str| compared("a B-x\nb O\n\nc O\n", predicted, false).unwrap_err();
        assert_eq!(
            refused("# made by us\na O\nB O\n\nc O\n"),
            "found.conll line 3: the word `B`, expected the word `b` as in gold.conll line 2"
        );
        assert_eq!(
            refused("a O\nb O\nc O\n"),
            "found.conll line 3: the word `c`, expected the end of the text as in gold.conll line 2"
        );
        assert_eq!(
            refused("a O\nb O\n"),
            "found.conll line 2: the end of the text, expected the word `c` as in gold.conll line 4"
        );
        let strict = compared("a B-x\n", "a E-x\n", true).unwrap_err();
        assert_eq!(
            strict,
            "found.conll line 1: the tag `E-x` is none of BIO, whose prefixes are O, B, I"
        );
    }
}
