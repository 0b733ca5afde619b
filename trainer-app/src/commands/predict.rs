//! `trainer predict`: predicted labels of texts, or GLUE's submission files.

use anyhow::{Result, ensure};
use burn_adapters::file::native::{self, TextInput};
use glue_data::Example;
use serde_json::{Map, Value, json};

use crate::cli::PredictArgs;
use crate::commands::submission;
use crate::commands::texts::{self, Text};
use crate::inference::adapter_task::AdapterTask;
use crate::inference::predictor::Predictor;
use crate::task_data::evaluator::RowOutput;
use crate::task_data::kind::{prediction_columns, prediction_fields};
use crate::task_data::rows;

/// Maximum number of lines that a note lists.
const NAMED: usize = 10;

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
    texts::check(args)?;
    let metadata = native::read_header(&args.adapter)?.metadata;
    let input = texts::input(args, metadata.input)?;
    let texts = texts::read(args, input)?;
    ensure!(
        !texts.is_empty(),
        "there are no texts; write them to standard input, one per line, or give a file with --input"
    );
    let predictor = load(args)?;
    let examples: Vec<Example> =
        texts.iter().filter(|text| !text.is_blank()).map(|text| text.example.clone()).collect();
    let answers = predictor.predict(&examples)?;
    for note in notes(args, &texts, input) {
        noteln!("note: {note}");
    }
    rows::report_truncation(answers.cut, examples.len(), metadata.max_length);
    let mut answers = answers.rows.iter();
    for text in &texts {
        let row = if text.is_blank() { None } else { answers.next() };
        let line = if args.inference.json {
            json_line(&predictor, &text.example, row).to_string()
        } else {
            row.map_or_else(String::new, |row| plain_line(&predictor, &text.example, row))
        };
        outln!("{line}");
    }
    Ok(())
}

fn load(args: &PredictArgs) -> Result<Predictor> {
    let mut predictor = Predictor::load(&args.adapter, &args.inference.options())?;
    let (stack_on, drop_layers) = (&args.compose.stack_on, &args.compose.drop_layers);
    predictor.compose(stack_on.as_deref(), drop_layers.as_deref())?;
    Ok(predictor)
}

/// Notes on texts that are valid, but may not be what was intended.
fn notes(args: &PredictArgs, texts: &[Text], input: Option<TextInput>) -> Vec<String> {
    let mut notes = Vec::new();
    let blank = texts.iter().filter(|text| text.is_blank());
    let blank: Vec<usize> = blank.map(|text| text.line).collect();
    if !blank.is_empty() {
        let (count, all) = (blank.len(), texts.len());
        notes
            .push(format!("{count} of {all} texts are blank and have no label: {}", named(&blank)));
    }
    if input.is_none() && args.columns.text.is_none() {
        let tabs = texts.iter().filter(|text| text.example.text.contains('\t'));
        let tabs: Vec<usize> = tabs.map(|text| text.line).collect();
        if !tabs.is_empty() {
            notes.push(format!(
                "a tab is part of the text in {}; with --pairs it separates the two texts of a pair",
                named(&tabs)
            ));
        }
    }
    notes
}

fn named(lines: &[usize]) -> String {
    let numbers: Vec<String> = lines.iter().take(NAMED).map(ToString::to_string).collect();
    let noun = if lines.len() == 1 { "line" } else { "lines" };
    let rest = match lines.len().saturating_sub(NAMED) {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    format!("{noun} {}{rest}", numbers.join(", "))
}

fn plain_line(predictor: &Predictor, example: &Example, row: &RowOutput) -> String {
    let columns = prediction_columns(&predictor.task.task.kind, &row.logits).into_iter();
    columns
        .chain([example.text.clone()])
        .map(|column| escaped(&column))
        .collect::<Vec<_>>()
        .join("\t")
}

/// A text as a field of a line: characters that would end the field or the line, or control a terminal, are escaped with
/// a backslash, and so is a backslash.
fn escaped(text: &str) -> String {
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
    line.extend(prediction_fields(&predictor.task.task.kind, logits));
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

    #[test]
    fn a_note_names_the_first_lines() {
        assert_eq!(named(&[4]), "line 4");
        assert_eq!(
            named(&(1..=12).collect::<Vec<_>>()),
            "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"
        );
    }
}
