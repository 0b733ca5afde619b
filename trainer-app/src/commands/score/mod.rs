//! `trainer score`: the scores of predictions that are in files, by whatever program they were made.

mod entities;
mod labels;

use std::path::Path;

use anyhow::{Context, Result, bail};
use glue_data::tasks::entities::find as find_entity_task;
use glue_data::tasks::squad::{self, Squad, SquadScores};
use serde_json::json;

use crate::cli::ScoreArgs;
use crate::exit::UsageError;

/// Runs `trainer score`.
///
/// # Errors
/// Files that cannot be read or do not fit each other.
pub fn run(args: &ScoreArgs) -> Result<()> {
    match (&args.gold, args.task.as_deref()) {
        (Some(gold), Some(squad::NAME)) => answers(gold, args),
        (_, Some(task)) if find_entity_task(task).is_some() => entities::run(args),
        (Some(gold), Some(task)) => labels::of_task(task, gold, args),
        (Some(gold), None) if args.label.is_none() && is_squad(gold)? => {
            let flags = [
                (args.tokens.is_some(), "--tokens"),
                (args.tags.is_some(), "--tags"),
                (args.predicted_tags.is_some(), "--predicted-tags"),
                (args.strict, "--strict"),
            ];
            if let Some((_, flag)) = flags.into_iter().find(|(is_given, _)| *is_given) {
                return Err(UsageError::new(format!(
                    "{flag} is for tags of words, and {} has questions",
                    gold.display()
                )));
            }
            answers(gold, args)
        }
        (Some(gold), None) if let Some(label) = &args.label => labels::of_table(gold, label, args),
        _ => entities::run(args),
    }
}

/// Whether a file is one of SQuAD: an object of JSON, where entities are lists or lines.
fn is_squad(path: &Path) -> Result<bool> {
    use std::io::Read;
    if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("json")) {
        return Ok(false);
    }
    let reading = || format!("{} cannot be read", path.display());
    let mut head = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(1 << 10).read_to_end(&mut head))
        .with_context(reading)?;
    Ok(head.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'['))
}

fn answers(gold: &Path, args: &ScoreArgs) -> Result<()> {
    let squad = Squad::read(gold)?;
    let predictions = squad::read_predictions(&args.predictions)?;
    let known = squad.questions.iter().filter(|question| predictions.contains_key(&question.id));
    if known.count() == 0 {
        bail!("{} has no answer to a question of {}", args.predictions.display(), gold.display());
    }
    let SquadScores { exact_match, f1, questions, unanswered } = squad::score(&squad, &predictions);
    if args.json {
        outln!(
            "{}",
            json!({
                "kind": "answers",
                "questions": questions,
                "unanswered": unanswered,
                "scores": { "f1": f1 / 100.0, "exact-match": exact_match / 100.0 },
            })
        );
    } else {
        outln!("{questions} questions, {unanswered} without an answer");
        outln!("  {:<12} {f1:>7.3}", "f1");
        outln!("  {:<12} {exact_match:>7.3}", "exact-match");
    }
    Ok(())
}
