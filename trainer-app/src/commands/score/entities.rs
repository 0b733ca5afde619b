//! Scores of tags of words, and of spans.

use anyhow::Result;
use glue_data::counted;
use glue_data::tagging::{self, EntityF1, EntityScores, TagFile};
use serde_json::{Value, json};

use crate::cli::ScoreArgs;
use crate::terminal::output::visible;

pub(super) fn run(args: &ScoreArgs) -> Result<()> {
    let [gold, predicted] = read(args)?;
    let scores = tagging::score(&gold, &predicted, args.strict)?;
    let mode = if args.strict {
        format!("strict {}", gold.scheme()?.name())
    } else {
        "default".to_owned()
    };
    if args.json {
        let mut line = json!({ "kind": "entities", "mode": mode, "texts": gold.len() });
        if let (Some(line), Value::Object(scores)) = (line.as_object_mut(), json!(scores)) {
            line.extend(scores);
        }
        outln!("{line}");
    } else {
        print(&scores, gold.len(), &mode);
    }
    Ok(())
}

fn read(args: &ScoreArgs) -> Result<[TagFile; 2]> {
    let Some(gold) = &args.gold else {
        let predicted = args.predicted_tags.as_deref();
        return Ok(tagging::read_both(&args.predictions, &args.gold_columns(), predicted)?);
    };
    let gold = tagging::read(gold, &args.gold_columns())?;
    let predicted = args.predicted_columns();
    let predicted = tagging::read_predictions(&args.predictions, &predicted, &gold)?;
    Ok([gold, predicted])
}

/// Prints the scores as seqeval's report, in percent.
fn print(scores: &EntityScores, texts: usize, mode: &str) {
    let EntityScores { words, support, .. } = scores;
    outln!(
        "{}, {}, {}; mode {mode}",
        counted(texts, "text", "texts"),
        counted(*words, "word", "words"),
        counted(*support, "entity", "entities")
    );
    let width = scores.by_type.iter().map(|of| of.label.chars().count()).max().unwrap_or(0).max(12);
    outln!("  {:<width$} {:>9} {:>9} {:>9} {:>9}", "", "precision", "recall", "f1", "support");
    let line = |name: &str, of: EntityF1, support: usize| {
        let EntityF1 { precision, recall, f1 } = of;
        let [precision, recall, f1] = [precision, recall, f1].map(|score| 100.0 * score);
        let name = visible(name);
        outln!("  {name:<width$} {precision:>9.3} {recall:>9.3} {f1:>9.3} {support:>9}");
    };
    for of in &scores.by_type {
        line(&of.label, of.scores, of.support);
    }
    line("micro avg", scores.micro, *support);
    line("macro avg", scores.macro_average, *support);
    line("weighted avg", scores.weighted, *support);
    outln!("  {:<width$} {:>29.3}", "accuracy", 100.0 * scores.accuracy);
}
