//! `trainer predict`: predicted labels of texts, or GLUE's submission files.

use anyhow::{Context, Result, ensure};
use burn_adapters::HeadKind;
use burn_adapters::file::native;
use glue_data::{Example, Lines};
use serde_json::{Map, Value, json};

use crate::cli::PredictArgs;
use crate::commands::texts::{self, Text, Texts};
use crate::commands::{entities, submission};
use crate::inference::adapter_task::AdapterTask;
use crate::inference::predictor::Predictor;
use crate::task_data::evaluator::RowOutput;
use crate::task_data::kind::{prediction_columns, prediction_fields};
use crate::task_data::rows;
use crate::terminal::output;

/// Batches of a chunk: texts of similar length share a batch.
pub(super) const CHUNK_BATCHES: usize = 32;

/// Runs `trainer predict`.
///
/// # Errors
/// An adapter, base or texts that cannot be read.
pub fn run(args: &PredictArgs) -> Result<()> {
    if let Some(directory) = &args.submission {
        let metadata = native::read_header(&args.adapter)?.metadata;
        // The task before the base, which takes longest to load.
        let task = AdapterTask::of_published(&metadata, args.task.as_deref())?;
        let mut predictor = load(args)?;
        predictor.task = task;
        return submission::write(&predictor, args.data.as_deref(), directory);
    }
    // Cheap checks first: flags, texts, and then the base.
    let metadata = native::read_header(&args.adapter)?.metadata;
    if let HeadKind::TokenClassification { labels } = &metadata.head {
        return entities::run(args, labels);
    }
    entities::refuse_words(args)?;
    texts::check(args)?;
    let input = texts::input(args, metadata.input)?;
    let chunk = CHUNK_BATCHES * args.inference.batch_size;
    let mut texts = Texts::open(args, input)?;
    let mut next = texts.next_chunk(chunk)?;
    ensure!(
        !next.is_empty(),
        "there are no texts; write them to standard input, one per line, or give a file with --input"
    );
    let predictor = load(args)?;
    let mut notes = Notes::default();
    while !next.is_empty() && !output::is_closed() {
        predict(&predictor, &next, args.inference.json, &mut notes)?;
        output::flush();
        next = texts.next_chunk(chunk)?;
    }
    let may_be_pairs = input.is_none() && args.columns.text.is_none();
    notes.print(may_be_pairs, predictor.metadata.max_length);
    Ok(())
}

/// Prints the predictions for a chunk of texts.
fn predict(predictor: &Predictor, texts: &[Text], json: bool, notes: &mut Notes) -> Result<()> {
    let examples: Vec<Example> = texts
        .iter()
        .filter(|text| !text.example.is_blank())
        .map(|text| text.example.clone())
        .collect();
    let predictions = predictor
        .predict(&examples)
        .with_context(|| format!("predicting the texts from line {} on", texts[0].line))?;
    notes.texts += texts.len();
    notes.cut += predictions.cut;
    let mut rows = predictions.rows.iter();
    for text in texts {
        if text.example.text.contains('\t') {
            notes.tabs.add(text.line);
        }
        let row = if text.example.is_blank() {
            notes.blank.add(text.line);
            None
        } else {
            rows.next()
        };
        let line = if json {
            json_line(predictor, &text.example, row).to_string()
        } else {
            row.map_or_else(String::new, |row| plain_line(predictor, &text.example, row))
        };
        outln!("{line}");
    }
    Ok(())
}

pub(super) fn load(args: &PredictArgs) -> Result<Predictor> {
    let mut predictor = Predictor::load(&args.adapter, &args.inference.options())?;
    let (stack_on, drop_layers) = (&args.compose.stack_on, &args.compose.drop_layers);
    predictor.compose(stack_on.as_deref(), drop_layers.as_deref())?;
    Ok(predictor)
}

/// Notes on texts that are valid, but may not be what was intended.
#[derive(Default)]
struct Notes {
    texts: usize,
    cut: usize,
    blank: Lines,
    tabs: Lines,
}

impl Notes {
    fn print(&self, may_be_pairs: bool, max_length: usize) {
        let Self { texts, cut, blank, tabs } = self;
        if blank.count() > 0 {
            let count = blank.count();
            noteln!("note: {count} of {texts} texts are blank and have no label: {blank}");
        }
        if may_be_pairs && tabs.count() > 0 {
            noteln!(
                "note: a tab is part of the text in {tabs}; with --pairs it separates the two texts of a pair"
            );
        }
        rows::report_truncation(*cut, texts - blank.count(), max_length);
    }
}

fn plain_line(predictor: &Predictor, example: &Example, row: &RowOutput) -> String {
    let AdapterTask { task, calibration, .. } = &predictor.task;
    let columns = prediction_columns(&task.kind, calibration, &row.logits).into_iter();
    columns
        .chain([example.text.clone()])
        .chain(example.text2.clone())
        .map(|column| escaped(&column))
        .collect::<Vec<_>>()
        .join("\t")
}

/// A text as a field of a line: characters that would end the field or the line, or control a terminal, are escaped with
/// a backslash, and so is a backslash.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter == '\\' || letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') {
            escaped.extend(letter.escape_default());
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

/// The prediction for a text as a JSON object; without `row` for a blank text.
fn json_line(predictor: &Predictor, example: &Example, row: Option<&RowOutput>) -> Value {
    let mut line = Map::new();
    line.insert("text".to_owned(), json!(example.text));
    if let Some(text2) = &example.text2 {
        line.insert("text2".to_owned(), json!(text2));
    }
    let logits = row.map(|row| row.logits.as_slice());
    let AdapterTask { task, calibration, .. } = &predictor.task;
    line.extend(prediction_fields(&task.kind, calibration, logits));
    if let Some(logits) = logits {
        line.insert("logits".to_owned(), json!(logits));
    }
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_field_of_one_line() {
        assert_eq!(escaped("a\tb\r\nc\\d \u{e9}"), "a\\tb\\r\\nc\\\\d \u{e9}");
        assert_eq!(escaped("\u{1b}[2J\u{2028}\u{85}"), "\\u{1b}[2J\\u{2028}\\u{85}");
    }
}
