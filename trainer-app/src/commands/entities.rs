//! `trainer predict` with an adapter that labels words: the entities of texts, or a tag for each word.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn_adapters::file::native::TextInput;
use glue_data::tagging::{self, TagColumns, TaggedText, conll_word, is_conll};
use serde_json::json;

use crate::cli::PredictArgs;
use crate::commands::predict::{CHUNK_BATCHES, escaped, load};
use crate::commands::texts::{self, Texts};
use crate::exit::UsageError;
use crate::inference::predictor::Predictor;
use crate::task_data::rows;
use crate::task_data::tags::{
    FoundEntity, WordTag, bytes_of, entities_json, found_entities, names, split, word_tags,
};
use crate::terminal::output;

/// Refuses what is only for adapters that label words.
///
/// # Errors
/// A [`UsageError`] for a flag or a file of words.
pub(super) fn refuse_words(args: &PredictArgs) -> Result<()> {
    if args.tokens.is_some() {
        return Err(UsageError::new(
            "--tokens has no effect: the adapter does not label words; leave out --tokens",
        ));
    }
    match args.input.as_deref().filter(|path| is_conll(path)) {
        Some(path) => Err(UsageError::new(format!(
            "{} has a word on each line, and the adapter does not label words; expected texts",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// Runs `trainer predict` with an adapter that predicts these tags.
///
/// # Errors
/// An adapter, base or texts that cannot be read, or flags without effect.
pub(super) fn run(args: &PredictArgs, labels: &[String]) -> Result<()> {
    let mut source = Source::open(args)?;
    let chunk = CHUNK_BATCHES * args.inference.batch_size;
    let mut next = source.next_chunk(chunk)?;
    ensure!(
        !next.is_empty(),
        "there are no texts; write them to standard input, one per line, or give a file with --input"
    );
    let has_texts = matches!(source, Source::Texts(_));
    let output = if args.inference.json {
        Output::Json
    } else if has_texts && std::io::stdout().is_terminal() {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Output::Marked { colored: !no_color }
    } else {
        Output::Conll
    };
    let predictor = load(args)?;
    let mut long = 0;
    while !next.is_empty() && !output::is_closed() {
        long += predict(&predictor, &next, labels, output)?;
        output::flush();
        next = source.next_chunk(chunk)?;
    }
    if let Some(note) = rows::window_note(long, predictor.metadata.max_length) {
        noteln!("{note}");
    }
    Ok(())
}

/// Where the texts come from.
enum Source {
    /// Texts that are split into words.
    Words(std::vec::IntoIter<TaggedText>),
    /// Texts that are not.
    Texts(Texts),
}

impl Source {
    fn open(args: &PredictArgs) -> Result<Self> {
        if args.pairs || args.columns.text2.is_some() {
            let flag = if args.pairs { "--pairs" } else { "--text2" };
            return Err(UsageError::new(format!(
                "{flag} has no effect: the adapter labels the words of single texts; leave out {flag}"
            )));
        }
        let path = args.input.as_deref().filter(|path| *path != Path::new("-"));
        let columns = TagColumns { tokens: args.tokens.clone(), ..TagColumns::default() };
        match path {
            Some(path) if is_conll(path) || args.tokens.is_some() => {
                if args.columns.text.is_some() {
                    return Err(UsageError::new(format!(
                        "--text has no effect: {} has words; leave out --text",
                        path.display()
                    )));
                }
                Ok(Self::Words(tagging::read_untagged(path, &columns)?.into_iter()))
            }
            None if args.tokens.is_some() => Err(UsageError::new(
                "--tokens needs a file of words: --input FILE; standard input is read as texts",
            )),
            _ => {
                texts::check(args)?;
                Ok(Self::Texts(Texts::open(args, Some(TextInput::Single))?))
            }
        }
    }

    /// The next texts, at most `count`; none at the end.
    fn next_chunk(&mut self, count: usize) -> Result<Vec<TaggedText>> {
        match self {
            Self::Words(texts) => Ok(texts.take(count).collect()),
            Self::Texts(texts) => {
                let texts = texts.next_chunk(count)?.into_iter();
                Ok(texts.map(|text| split(text.example.text, text.line)).collect())
            }
        }
    }
}

/// How predictions are printed.
#[derive(Debug, Clone, Copy)]
enum Output {
    /// An object for each text.
    Json,
    /// A word and its tag on each line, and an empty line after each text.
    Conll,
    /// Texts with marked entities, for a terminal.
    Marked { colored: bool },
}

/// Prints the predictions for texts; returns how many are longer than a row.
fn predict(
    predictor: &Predictor,
    texts: &[TaggedText],
    labels: &[String],
    output: Output,
) -> Result<usize> {
    let windows = predictor.windows(texts)?;
    let outputs = predictor
        .outputs(windows.rows())
        .with_context(|| format!("predicting the texts from line {} on", texts[0].line))?;
    for (index, text) in texts.iter().enumerate() {
        let rows = outputs.rows[windows.of_text(index)].iter().map(|row| row.logits.as_slice());
        let tags = word_tags(&windows, index, &rows.collect::<Vec<_>>(), labels.len());
        match output {
            Output::Json => {
                let found = entities_json(text, &found_entities(&tags, labels));
                outln!("{}", json!({ "text": text.text, "entities": found }));
            }
            Output::Conll => out!("{}", conll(text, &tags, labels)),
            Output::Marked { colored } => {
                outln!("{}", marked(text, &found_entities(&tags, labels), colored));
            }
        }
    }
    Ok(outputs.cut)
}

fn conll(text: &TaggedText, tags: &[Option<WordTag>], labels: &[String]) -> String {
    let mut lines = String::new();
    for (word, tag) in text.words.iter().zip(names(tags, labels)) {
        lines += &format!("{}\t{tag}\n", conll_word(&text.text[word.clone()]));
    }
    lines.push('\n');
    lines
}

/// A text as one line with its entities: colored and followed by their type, or as `[text](type)`.
fn marked(text: &TaggedText, found: &[FoundEntity], colored: bool) -> String {
    const ENTITY: &str = "\u{1b}[1;36m";
    const TYPE: &str = "\u{1b}[2m";
    const END: &str = "\u{1b}[0m";
    let mut line = String::new();
    let mut end = 0;
    for entity in found {
        let bytes = bytes_of(text, entity);
        line += &escaped(&text.text[end..bytes.start]);
        end = bytes.end;
        let (words, label) = (escaped(&text.text[bytes]), escaped(&entity.label));
        line += &if colored {
            format!("{ENTITY}{words}{END} {TYPE}{label}{END}")
        } else {
            format!("[{words}]({label})")
        };
    }
    line + &escaped(&text.text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(label: &str, words: std::ops::Range<usize>) -> FoundEntity {
        FoundEntity { label: label.to_owned(), words, probability: 0.75 }
    }

    #[test]
    fn entities_are_marked_in_the_text() {
        let text = split("Zoë's  PC-7\u{1b} broke".to_owned(), 1);
        let found = [entity("person", 0..1), entity("product", 3..6)];
        let expected = "[Zoë](person)'s  [PC-7](product)\\u{1b} broke";
        assert_eq!(marked(&text, &found, false), expected);
        let colored = marked(&text, &found[..1], true);
        assert!(
            colored.starts_with("\u{1b}[1;36mZoë\u{1b}[0m \u{1b}[2mperson\u{1b}[0m's"),
            "{colored}"
        );
    }

    #[test]
    fn positions_count_the_characters_of_the_text() {
        let text = split("Zoë's  PC-7 broke".to_owned(), 1);
        let found = entities_json(&text, &[entity("person", 0..1), entity("product", 3..6)]);
        let expected = json!([
            { "start": 0, "end": 3, "label": "person", "text": "Zoë", "probability": 0.75 },
            { "start": 7, "end": 11, "label": "product", "text": "PC-7", "probability": 0.75 },
        ]);
        assert_eq!(found, expected);
    }
}
