//! `trainer predict`: labels for texts, or GLUE's submission files.

use std::io::{BufRead, Write};

use anyhow::{Context, Result, ensure};
use glue_data::{Example, Labels, Prediction, tasks};
use serde_json::{Map, Value, json};

use crate::cli::PredictArgs;
use crate::learner::step::ScoredRow;
use crate::recipes::inference::Answerer;
use crate::recipes::submission;

/// Runs `trainer predict`.
///
/// # Errors
/// An adapter, base or texts that cannot be read.
pub fn run(args: &PredictArgs) -> Result<()> {
    let mut answerer = Answerer::load(&args.adapter, &args.inference)?;
    let (stack_on, drop_layers) = (&args.compose.stack_on, &args.compose.drop_layers);
    answerer.compose(stack_on.as_deref(), drop_layers.as_deref())?;
    if let Some(directory) = &args.submission {
        return submission::write(&answerer, args.data.as_deref(), directory);
    }
    let examples = read(args)?;
    ensure!(
        !examples.is_empty(),
        "there are no texts; give some on standard input, one a line, or name a file with --input"
    );
    let scored = answerer.answer(&examples)?.rows;
    let mut out = std::io::stdout().lock();
    for (example, row) in examples.iter().zip(&scored) {
        let line = if args.inference.json {
            json_line(&answerer, example, row).to_string()
        } else {
            plain_line(&answerer, example, row)
        };
        match writeln!(out, "{line}") {
            // Whoever reads has seen enough (`| head`).
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("writing to standard output")?,
        }
    }
    Ok(())
}

fn read(args: &PredictArgs) -> Result<Vec<Example>> {
    if let (Some(path), Some(text)) = (&args.input, &args.columns.text) {
        return Ok(tasks::custom::read_unlabeled(path, text, args.columns.text2.as_deref())?);
    }
    let lines: std::io::Result<Vec<String>> = match &args.input {
        Some(path) => {
            let file =
                std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
            std::io::BufReader::new(file).lines().collect()
        }
        None => std::io::stdin().lock().lines().collect(),
    };
    let lines = lines.context("reading texts, one a line")?;
    let examples = lines.into_iter().filter(|line| !line.trim().is_empty()).map(|line| match line
        .split_once('\t')
    {
        Some((text, text2)) => {
            Example { text: text.to_owned(), text2: Some(text2.to_owned()), label: None }
        }
        None => Example { text: line, text2: None, label: None },
    });
    Ok(examples.collect())
}

fn plain_line(answerer: &Answerer, example: &Example, row: &ScoredRow) -> String {
    match (answerer.task.labels.predict(&row.logits), &answerer.task.labels) {
        (Prediction::Class(class), Labels::Classes(names)) => {
            format!("{}\t{:.3}\t{}", names[class], softmax(&row.logits)[class], example.text)
        }
        (Prediction::Class(class), Labels::Score) => format!("{class}\t{}", example.text),
        (Prediction::Score(score), _) => format!("{score:.3}\t{}", example.text),
    }
}

fn json_line(answerer: &Answerer, example: &Example, row: &ScoredRow) -> Value {
    let mut line = Map::new();
    line.insert("text".to_owned(), json!(example.text));
    if let Some(text2) = &example.text2 {
        line.insert("text2".to_owned(), json!(text2));
    }
    match (answerer.task.labels.predict(&row.logits), &answerer.task.labels) {
        (Prediction::Class(class), Labels::Classes(names)) => {
            let probabilities: Map<String, Value> = names
                .iter()
                .cloned()
                .zip(softmax(&row.logits).into_iter().map(Value::from))
                .collect();
            line.insert("label".to_owned(), json!(names[class]));
            line.insert("probabilities".to_owned(), Value::Object(probabilities));
        }
        (Prediction::Class(class), Labels::Score) => {
            line.insert("score".to_owned(), json!(class));
        }
        (Prediction::Score(score), _) => {
            line.insert("score".to_owned(), json!(score));
        }
    }
    line.insert("logits".to_owned(), json!(row.logits));
    Value::Object(line)
}

/// The probabilities of logits.
pub(crate) fn softmax(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|logit| f64::from(logit - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_positive_and_sum_to_one() {
        let probabilities = softmax(&[1000.0, 1001.0, -1000.0]);
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(probabilities[1] > probabilities[0] && probabilities[2] >= 0.0);
    }
}
