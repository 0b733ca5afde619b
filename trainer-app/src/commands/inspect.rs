//! `trainer devices` and `trainer adapter inspect`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use burn_adapters::file::native::{self, Calibration, DataSource};
use burn_adapters::{AdapterPlan, BottleneckConfig, HeadKind};
use burn_bert::Projection;
use serde_json::Value;

use crate::cli::DevicesArgs;
use crate::system::devices;
use crate::terminal;
use crate::terminal::output::visible;

/// Runs `trainer devices`.
///
/// # Errors
/// None in practice: the entries are always JSON.
pub fn devices(args: &DevicesArgs) -> Result<()> {
    for entry in devices::list() {
        if args.json {
            outln!("{}", serde_json::to_string(&entry)?);
        } else {
            outln!("{:<8} {}", entry.name, entry.description);
        }
    }
    Ok(())
}

/// Runs `trainer adapter inspect`.
///
/// # Errors
/// A file that is not an adapter.
pub fn adapter(path: &Path, as_json: bool) -> Result<()> {
    let header = native::read_header(path)?;
    if as_json {
        outln!("{}", serde_json::to_string(&header)?);
        return Ok(());
    }
    let metadata = &header.metadata;
    outln!("task      {}", metadata.task);
    match metadata.data {
        Some(DataSource::Published) => outln!("rows      the published rows of the task"),
        Some(DataSource::Own) => outln!("rows      your own files"),
        None => {}
    }
    let head = &metadata.head;
    let names = head.labels().map(|names| names.join(", "));
    outln!(
        "labels    {}",
        visible(&match (names, head) {
            (Some(names), HeadKind::MultiLabel { .. }) => format!("any of {names}"),
            (Some(names), _) => names,
            (None, head) => head.to_string(),
        })
    );
    let Calibration { temperature, thresholds } = &metadata.calibration;
    if let Some(temperature) = temperature {
        outln!("          temperature {temperature:.3}");
    }
    if !thresholds.is_empty() {
        let thresholds: Vec<_> =
            thresholds.iter().map(|threshold| format!("{threshold:.3}")).collect();
        outln!("          thresholds {}", thresholds.join(", "));
    }
    if let Some(score) = &metadata.score {
        let value = terminal::score(score.value);
        outln!("score     {} {value} on the validation rows", score.metric);
    }
    outln!("method    {}", metadata.method);
    print_plan(&header.config.plan)?;
    if let Some(activation) = header.config.head_hidden {
        let norm = if header.config.head_norm.is_some() { " and a LayerNorm" } else { "" };
        outln!("head      a hidden layer with {}{norm}", activation.name());
    }
    if !header.config.fused.is_empty() {
        outln!("fuses     {} adapters, included in the file", header.config.fused.len());
    }
    if head.reads_tokens() {
        outln!(
            "length    {} tokens at most; longer texts are read in windows",
            metadata.max_length
        );
    } else {
        outln!("pooling   {}", header.config.pooling.name());
        outln!("length    {} tokens at most; longer texts are cut", metadata.max_length);
    }
    outln!(
        "base      {} ({} layers, {} wide)",
        metadata.base.name,
        header.n_layers,
        header.d_model
    );
    outln!("          {}", metadata.base.fingerprint);
    if let Some(tokenizer) = &metadata.base.tokenizer {
        outln!("tokenizer {tokenizer}");
    }
    let parameters: usize =
        header.tensors.values().map(|shape| shape.iter().product::<usize>()).sum();
    outln!("tensors   {} with {parameters} parameters", header.tensors.len());
    Ok(())
}

/// Prints what a plan inserts.
fn print_plan(plan: &AdapterPlan) -> Result<()> {
    if let Some(bottleneck) = &plan.bottleneck {
        outln!("adapters  size {}, {}", bottleneck.size, bottleneck.activation.name());
        outln!("          {} in a layer, layers {}", bottleneck.sites.name(), bottleneck.layers);
        let (depth, inner_norm) = (bottleneck.depth, bottleneck.inner_norm.name());
        outln!("          depth {depth}, inner norm {inner_norm}, {}", bottleneck.combine.name());
        let switches = switches(bottleneck)?;
        if !switches.is_empty() {
            outln!("          {}", switches.join(", "));
        }
    }
    if let Some(lora) = &plan.lora {
        let gate = if lora.gate { ", gated" } else { "" };
        let name = if lora.dora.is_some() { "DoRA" } else { "LoRA" };
        outln!("{name}      rank {}, alpha {}{gate}", lora.rank, lora.alpha);
        let pooler = if lora.pooler { ", pooler" } else { "" };
        let projections = names(&lora.projections);
        outln!("          {projections}{pooler}, layers {}", lora.layers);
    }
    if let Some(scale) = &plan.ia3 {
        outln!("(IA)³     outputs of {}, layers {}", names(&scale.outputs), scale.layers);
        if !scale.inputs.is_empty() {
            outln!("          inputs of {}", names(&scale.inputs));
        }
    }
    if let Some(prefix) = &plan.prefix {
        let network =
            prefix.reparameterization.map(|width| format!(", reparameterized with width {width}"));
        outln!("prefix    length {}{}", prefix.length, network.unwrap_or_default());
        outln!("          layers {}", prefix.layers);
    }
    Ok(())
}

/// The options of a bottleneck that are switched on; the JSON of a plan leaves out those that are off.
fn switches(bottleneck: &BottleneckConfig) -> Result<Vec<String>> {
    const ALWAYS_PRESENT: [&str; 9] = [
        "layers",
        "sites",
        "placement",
        "size",
        "activation",
        "init_std",
        "inner_norm",
        "depth",
        "combine",
    ];
    let Value::Object(fields) = serde_json::to_value(bottleneck)? else { return Ok(Vec::new()) };
    let switched = fields.iter().filter(|(name, _)| !ALWAYS_PRESENT.contains(&name.as_str()));
    let switched = switched.map(|(name, value)| match value {
        Value::Bool(_) => name.clone(),
        Value::String(value) => format!("{name} {value}"),
        value => format!("{name} {value}"),
    });
    Ok(switched.collect())
}

fn names(projections: &BTreeSet<Projection>) -> String {
    let names: Vec<_> = projections.iter().map(|projection| projection.name()).collect();
    names.join(", ")
}
