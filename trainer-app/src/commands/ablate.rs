//! `trainer ablate`: the score without what an adapter inserts in every span of layers, as a map.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn_adapters::file::native;
use glue_data::Example;
use glue_data::tasks::custom;
use serde_json::Value;

use crate::cli::AblateArgs;
use crate::files::write_atomically;
use crate::inference::adapter_task::AdapterTask;
use crate::inference::predictor::Predictor;
use crate::inference::texts;
use crate::report::ablation::{Ablation, SpanScore};
use crate::report::heat_map;
use crate::task_data::evaluator::RowOutput;

/// Runs `trainer ablate`.
///
/// # Errors
/// An adapter that inserts nothing; an adapter, base or rows that cannot be read; or a directory that cannot be written.
pub fn run(args: &AblateArgs) -> Result<()> {
    // The rows before the base, whose weights take longest.
    let (task, mut examples) = read(args)?;
    examples.truncate(args.limit.unwrap_or(usize::MAX));
    let mut predictor = Predictor::load(&args.adapter, &args.inference)?;
    predictor.task = task;
    ensure!(
        predictor.inserts(),
        "{} inserts nothing that could be left out: its method is {}",
        args.adapter.display(),
        predictor.metadata.method
    );
    let ablation = ablate(&predictor, &examples)?;

    // Printed first: what took minutes to compute is not lost where it cannot be written.
    if args.inference.json {
        outln!("{}", serde_json::to_string(&ablation)?);
    } else {
        out!("{}", heat_map::text(&ablation, std::io::stdout().is_terminal()));
    }
    let beside = args.adapter.parent().unwrap_or(Path::new("."));
    let out = args.out.as_deref().unwrap_or(beside);
    write(&ablation, out).with_context(|| {
        format!(
            "the map was printed, but cannot be kept in {}; name another directory with --out",
            out.display()
        )
    })?;
    if !args.inference.json {
        outln!("drawn in {}", out.join("ablation.svg").display());
    }
    Ok(())
}

/// The rows to score, one's own or a part of a published task, and what the adapter is judged as.
fn read(args: &AblateArgs) -> Result<(AdapterTask, Vec<Example>)> {
    let metadata = native::read_header(&args.adapter)?.metadata;
    if let (Some(path), Some(text), Some(label)) = (&args.input, &args.columns.text, &args.label) {
        texts::input_of_columns(&args.columns, metadata.input)?;
        let task = AdapterTask::of(&metadata)?;
        let text2 = args.columns.text2.as_deref();
        let rows = custom::read_labeled(path, text, text2, label, &task.task.kind)?;
        return Ok((task, rows));
    }
    let task = AdapterTask::of_published(&metadata, args.task.as_deref())?;
    let rows = task.read(&args.split, args.data.as_deref())?;
    Ok((task, rows))
}

fn write(ablation: &Ablation, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    write_atomically(&out.join("ablation.json"), &serde_json::to_vec_pretty(ablation)?)?;
    write_atomically(&out.join("ablation.svg"), heat_map::svg(ablation)?.as_bytes())
}

fn ablate(predictor: &Predictor, examples: &[Example]) -> Result<Ablation> {
    let metric = predictor.task.task.metric().name();
    let score = |scored: &[RowOutput]| -> Result<f64> {
        let scores =
            predictor.task.scores(scored).context("these rows have no labels to be scored by")?;
        scores.get(metric).and_then(Value::as_f64).context("the score is not a number")
    };
    let mut passes = predictor.predict_without_spans(examples)?.into_iter();
    let (_, whole) = passes.next().context("nothing was scored")?;
    let mut spans = Vec::new();
    for (span, scored) in passes {
        let span = span.context("a span has layers")?;
        spans.push(SpanScore { first: span.start, last: span.end - 1, score: score(&scored)? });
    }
    Ok(Ablation {
        task: predictor.metadata.task.clone(),
        metric: metric.to_owned(),
        rows: examples.len(),
        layers: spans.iter().map(|span| span.last + 1).max().unwrap_or(0),
        whole: score(&whole)?,
        spans,
    })
}
