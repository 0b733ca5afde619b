//! What is here: `trainer devices`, `trainer base`, `trainer adapter inspect`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use burn_adapters::file::native;
use burn_adapters::{BottleneckPlan, HeadKind, Plan};
use burn_bert::{BertConfig, Projection};
use serde_json::{Value, json};

use crate::base::Base;
use crate::cli::{BaseArgs, DevicesArgs};
use crate::devices;

/// Runs `trainer devices`.
///
/// # Errors
/// None that is known.
#[expect(clippy::print_stdout, reason = "the list is what was asked for")]
pub fn devices(args: &DevicesArgs) -> Result<()> {
    for entry in devices::list() {
        if args.json {
            println!("{}", serde_json::to_string(&entry)?);
        } else {
            println!("{:<8} {}", entry.name, entry.description);
        }
    }
    Ok(())
}

/// Runs `trainer base`.
///
/// # Errors
/// A base that cannot be located or fetched.
#[expect(clippy::print_stdout, reason = "the place is what was asked for")]
pub fn base(args: &BaseArgs) -> Result<()> {
    let base = Base::locate(&args.base)?;
    let config = BertConfig::from_directory(base.directory())?;
    let (directory, fingerprint) = (base.directory().display(), base.fingerprint()?);
    if args.json {
        println!(
            "{}",
            json!({ "name": base.name(), "directory": directory.to_string(), "fingerprint": fingerprint, "config": config })
        );
    } else {
        println!("{directory}");
        println!(
            "{}: {} layers, {} wide, {} heads, {} token ids",
            base.name(),
            config.num_hidden_layers,
            config.hidden_size,
            config.num_attention_heads,
            config.vocab_size
        );
        println!("fingerprint {fingerprint}");
    }
    Ok(())
}

/// Runs `trainer adapter inspect`.
///
/// # Errors
/// A file that is no adapter.
#[expect(clippy::print_stdout, reason = "the header is what was asked for")]
pub fn adapter(path: &Path, as_json: bool) -> Result<()> {
    let header = native::read_header(path)?;
    if as_json {
        println!("{}", serde_json::to_string(&header)?);
        return Ok(());
    }
    let metadata = &header.metadata;
    println!("task      {}", metadata.task);
    match &metadata.head {
        HeadKind::Classification { labels } => println!("labels    {}", labels.join(", ")),
        HeadKind::Regression => println!("labels    a score"),
        HeadKind::Span => println!("labels    where the answer starts and ends"),
    }
    if let Some(score) = &metadata.score {
        println!("score     {} {:.4} on the validation rows", score.metric, score.value);
    }
    println!("method    {}", metadata.method);
    inserted(&header.config.plan)?;
    if let Some(activation) = header.config.head_hidden {
        println!("head      a hidden layer with {}", activation.name());
    }
    if !header.config.fused.is_empty() {
        println!("fuses     {} adapters, which are in the file", header.config.fused.len());
    }
    println!("pooling   {}", header.config.pooling.name());
    println!("length    {} tokens at most", metadata.max_length);
    println!(
        "base      {} ({} layers, {} wide)",
        metadata.base.name, header.n_layers, header.d_model
    );
    println!("          {}", metadata.base.fingerprint);
    let parameters: usize =
        header.tensors.values().map(|shape| shape.iter().product::<usize>()).sum();
    println!("tensors   {} with {parameters} parameters", header.tensors.len());
    Ok(())
}

/// Tells what a plan inserts.
#[expect(clippy::print_stdout, reason = "a part of the header")]
fn inserted(plan: &Plan) -> Result<()> {
    if let Some(bottleneck) = &plan.bottleneck {
        println!("adapters  size {}, {}", bottleneck.size, bottleneck.activation.name());
        println!("          {} in a layer, layers {}", bottleneck.sites.name(), bottleneck.layers);
        let (depth, inner_norm) = (bottleneck.depth, bottleneck.inner_norm.name());
        println!("          depth {depth}, inner norm {inner_norm}, {}", bottleneck.combine.name());
        let switches = switches(bottleneck)?;
        if !switches.is_empty() {
            println!("          {}", switches.join(", "));
        }
    }
    if let Some(low_rank) = &plan.low_rank {
        let gate = if low_rank.gate { ", gated" } else { "" };
        println!("low rank  rank {}, alpha {}{gate}", low_rank.rank, low_rank.alpha);
        let pooler = if low_rank.pooler { ", pooler" } else { "" };
        let projections = names(&low_rank.projections);
        println!("          {projections}{pooler}, layers {}", low_rank.layers);
    }
    if let Some(scale) = &plan.scale {
        println!("scales    results of {}, layers {}", names(&scale.outputs), scale.layers);
        if !scale.inputs.is_empty() {
            println!("          inputs of {}", names(&scale.inputs));
        }
    }
    if let Some(prefix) = &plan.prefix {
        let network =
            prefix.reparameterization.map(|width| format!(", by a network of width {width}"));
        println!("prefix    length {}{}", prefix.length, network.unwrap_or_default());
        println!("          layers {}", prefix.layers);
    }
    Ok(())
}

/// What is switched on besides what every bottleneck has: a plan in JSON leaves out what is off.
fn switches(bottleneck: &BottleneckPlan) -> Result<Vec<String>> {
    const OF_EVERY_ONE: [&str; 9] = [
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
    let switched = fields.iter().filter(|(name, _)| !OF_EVERY_ONE.contains(&name.as_str()));
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
