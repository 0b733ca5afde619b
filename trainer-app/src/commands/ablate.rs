//! `trainer ablate`: the score of an adapter without its modules in each span of layers, as a heat map.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cli::AblateArgs;
use crate::commands::labeled_rows::LabeledRows;
use crate::inference::predictor::Predictor;
use crate::report::ablation::{Ablation, SpanScore};
use crate::report::heat_map;
use crate::system::files::write_atomically;
use crate::task_data::data_set::PreparedSplit;
use crate::task_data::evaluator::RowOutput;

/// Runs `trainer ablate`.
///
/// # Errors
/// An adapter without modules in layers; an adapter, base or rows that cannot be read; or a directory that cannot be
/// written.
pub fn run(args: &AblateArgs) -> Result<()> {
    // The rows before the base, which takes longest to load.
    let mut rows = LabeledRows::read(&args.rows, &args.adapter, false)?;
    rows.truncate(args.limit.unwrap_or(usize::MAX));
    let predictor = Predictor::load(&args.adapter, &args.inference.options())?;
    ensure!(
        predictor.inserts(),
        "{} has no modules in layers to leave out: its method is {}",
        args.adapter.display(),
        predictor.metadata.method
    );
    let ablation = ablate(&predictor, &rows)?;

    // Printed first: the result of minutes of computing is not lost if it cannot be written.
    if args.inference.json {
        outln!("{}", serde_json::to_string(&ablation)?);
    } else {
        out!("{}", heat_map::text(&ablation, std::io::stdout().is_terminal()));
    }
    let default = args.adapter.parent().unwrap_or(Path::new("."));
    let out = args.out.as_deref().unwrap_or(default);
    write(&ablation, out).with_context(|| {
        format!(
            "the heat map was printed, but cannot be written to {}; choose another directory with --out",
            out.display()
        )
    })?;
    if !args.inference.json {
        outln!("written to {}", out.join("ablation.svg").display());
    }
    Ok(())
}

fn write(ablation: &Ablation, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    write_atomically(&out.join("ablation.json"), &serde_json::to_vec_pretty(ablation)?)?;
    write_atomically(&out.join("ablation.svg"), heat_map::svg(ablation)?.as_bytes())
}

fn ablate(predictor: &Predictor, rows: &LabeledRows) -> Result<Ablation> {
    let PreparedSplit { rows: encoded, evaluator } = rows.prepare(predictor)?;
    let metric = evaluator.metric();
    let score = |scored: &[RowOutput]| -> Result<f64> {
        let scores = evaluator
            .scores(scored, &predictor.metadata.calibration)
            .context("these rows have no labels to evaluate against")?;
        scores.get(metric).and_then(Value::as_f64).context("the score is not a number")
    };
    let mut passes = predictor.outputs_without_spans(&encoded)?.into_iter();
    let (_, whole) = passes.next().context("nothing was evaluated")?;
    let mut spans = Vec::new();
    for (span, scored) in passes {
        let span = span.context("a span has layers")?;
        spans.push(SpanScore { first: span.start, last: span.end - 1, score: score(&scored)? });
    }
    Ok(Ablation {
        task: predictor.metadata.task.clone(),
        metric: metric.to_owned(),
        rows: rows.len(),
        layers: spans.iter().map(|span| span.last + 1).max().unwrap_or(0),
        whole: score(&whole)?,
        spans,
    })
}
