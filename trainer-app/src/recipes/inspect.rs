//! What is here: `trainer devices`, `trainer base`, `trainer adapter inspect`.

use std::path::Path;

use anyhow::Result;
use burn_adapters::HeadKind;
use burn_adapters::file::native;
use burn_bert::BertConfig;
use serde_json::json;

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
    if let Some(bottleneck) = &header.config.plan.bottleneck {
        println!("adapters  size {}, {}", bottleneck.size, bottleneck.activation.name());
        println!("          {} in a layer, layers {}", bottleneck.sites.name(), bottleneck.layers);
        let (depth, inner_norm) = (bottleneck.depth, bottleneck.inner_norm.name());
        println!("          depth {depth}, inner norm {inner_norm}, {}", bottleneck.combine.name());
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
