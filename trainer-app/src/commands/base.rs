//! `trainer base`, `trainer base inspect` and `trainer base list`.

use std::error::Error;
use std::path::Path;

use anyhow::{Result, bail};
use burn::module::Module;
use burn_adapters::Method;
use burn_bert::{BertConfig, Encoder, checkpoint};
use glue_data::TextEncoder;
use indicatif::DecimalBytes;
use serde_json::{Value, json};

use crate::base::{self, Base, KNOWN};
use crate::cli::{BaseArgs, BaseCommand};
use crate::run_config::RunConfig;
use crate::system::devices;
use crate::terminal::hints;

/// Runs `trainer base`.
///
/// # Errors
/// A base that cannot be found or downloaded, or whose configuration, tokenizer or weights are incomplete.
pub fn run(args: &BaseArgs) -> Result<()> {
    match &args.command {
        None => verify(args),
        Some(BaseCommand::Inspect { base, json }) => inspect(base, *json),
        Some(BaseCommand::List { json }) => list(*json),
    }
}

/// Downloads a base if needed, and reads all of it.
fn verify(args: &BaseArgs) -> Result<()> {
    let base = if args.again { Base::fetch_again(&args.base)? } else { Base::locate(&args.base)? };
    let config = base.config()?;
    let encoder = base.encoder(&config, config.longest_text())?;
    // Loading checks every tensor: its shape, its checksum if there is one, and that its values are finite.
    let bert = burn_bert::load_weights(&config, base.directory(), &devices::resolve("auto")?)?;
    let (directory, fingerprint) = (base.directory().display(), base.fingerprint()?);
    let (parameters, tokenizer) = (bert.num_params(), encoder.fingerprint());
    if args.json {
        outln!(
            "{}",
            json!({
                "name": base.name(),
                "directory": directory.to_string(),
                "fingerprint": fingerprint,
                "tokenizer": { "fingerprint": tokenizer, "tokens": encoder.tokens() },
                "parameters": parameters,
                "pooler": bert.pooler().is_some(),
                "config": config,
            })
        );
    } else {
        outln!("{directory}");
        outln!(
            "{}: {} layers, {} wide, {} heads, {} token ids",
            base.name(),
            config.num_hidden_layers,
            config.hidden_size,
            config.num_attention_heads,
            config.vocab_size
        );
        let pooler = if bert.pooler().is_some() { "with" } else { "without" };
        outln!("weights     complete: {parameters} parameters, all finite, {pooler} pooler");
        outln!("tokenizer   {} tokens, {tokenizer}", encoder.tokens());
        outln!("fingerprint {fingerprint}");
        let name = hints::path(Path::new(&args.base));
        hints::next(&[(format!("train --base {name}"), "train an adapter for it, on helpdesk")]);
    }
    Ok(())
}

/// Prints what a base is, from its configuration and the names of its files. It may be incomplete, and is not downloaded.
fn inspect(name: &str, as_json: bool) -> Result<()> {
    let Some(directory) = Base::find_partial(name)? else {
        bail!(
            "{name} is not on this machine; download it with `{} base {}`",
            hints::program(),
            hints::quoted(name)
        );
    };
    let files = base::files_in(&directory)?;
    let config = BertConfig::from_directory(&directory);
    let length = config.as_ref().map_or(128, BertConfig::longest_text);
    let encoder = TextEncoder::from_directory(&directory, length);
    let weights = checkpoint::files(&directory);

    let mut missing: Vec<String> = Vec::new();
    missing.extend(config.as_ref().err().map(|error| format!("configuration: {}", whole(error))));
    missing.extend(encoder.as_ref().err().map(|error| format!("tokenizer: {}", whole(error))));
    if let (Ok(config), Ok(encoder)) = (&config, &encoder) {
        let checked = encoder.check_rows(config.vocab_size);
        missing.extend(checked.err().map(|error| format!("tokenizer: {error}")));
    }
    missing.extend(weights.as_ref().err().map(|error| format!("weights: {}", whole(error))));
    for shard in weights.iter().flatten().filter(|file| !file.is_file()) {
        missing.push(format!("weights: there is no {}", shard.display()));
    }
    let device = devices::resolve("cpu")?;
    // Parameters are initialized when they are read first, so that this counts them only.
    let parameters = config.as_ref().ok().map(|config| config.init(&device).num_params());
    // What a run on this base has by default.
    let defaults = config.as_ref().ok().map(|config| {
        let mut run = RunConfig::defaults(Method::Full);
        name.clone_into(&mut run.model.base);
        run.fit_to(Some(config));
        let source = run.fine_tuning(Some(config)).map(|published| published.source);
        (run.model, run.training.learning_rate, source)
    });
    if as_json {
        let encoder = encoder.as_ref().ok();
        outln!(
            "{}",
            json!({
                "name": name,
                "directory": directory.display().to_string(),
                "family": config.as_ref().ok().map(|config| config.family.name()),
                "config": config.as_ref().ok(),
                "parameters": parameters,
                "longest_text": config.as_ref().ok().map(BertConfig::longest_text),
                "tokenizer": encoder.map(|encoder| json!({
                    "class": encoder.class(),
                    "algorithm": encoder.algorithm(),
                    "tokens": encoder.tokens(),
                    "warnings": encoder.warnings().iter().map(ToString::to_string).collect::<Vec<_>>(),
                })),
                "defaults": defaults.map(|(model, rate, source)| json!({
                    "pooling": model.pooling,
                    "head_hidden": model.head_hidden,
                    "head_norm": model.head_norm,
                    "fine_tuning": { "learning_rate": rate, "source": source },
                })),
                "files": files.iter().map(|(file, bytes)| json!({ "name": file, "bytes": bytes })).collect::<Vec<Value>>(),
                "missing": missing,
            })
        );
        return Ok(());
    }
    outln!("{}", directory.display());
    if let Ok(config) = &config {
        outln!("family      {}", config.family.name());
        outln!(
            "size        {} layers, {} wide, {} heads, {} in the feed-forward",
            config.num_hidden_layers,
            config.hidden_size,
            config.num_attention_heads,
            config.intermediate_size
        );
        outln!("parameters  {}", parameters.unwrap_or_default());
        outln!("texts       {} tokens at most", config.longest_text());
    }
    if let Some((model, rate, source)) = defaults {
        outln!("classifier  {}", model.classifier(false));
        let source = source.map_or(String::new(), |source| format!(" ({source})"));
        outln!("rate        {rate:e} for --method full and top-K{source}");
    }
    if let Ok(encoder) = &encoder {
        outln!(
            "tokenizer   {} with {} tokens ({})",
            encoder.algorithm(),
            encoder.tokens(),
            encoder.class()
        );
    }
    for (index, (file, bytes)) in files.iter().enumerate() {
        let title = if index == 0 { "files" } else { "" };
        outln!("{title:<11} {file} ({})", DecimalBytes(*bytes));
    }
    for problem in &missing {
        outln!("missing     {problem}");
    }
    Ok(())
}

/// An error with its causes.
fn whole(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Prints the known names, and the bases in the caches with their sizes.
fn list(as_json: bool) -> Result<()> {
    let cached = base::cached()?;
    if as_json {
        let known = KNOWN.iter().map(|known| {
            json!({
                "name": known.name,
                "repository": known.repository,
                "description": known.description,
            })
        });
        let cached = cached.iter().map(|base| {
            json!({
                "name": base.name,
                "directory": base.directory.display().to_string(),
                "bytes": base.bytes,
            })
        });
        let (known, cached) = (known.collect::<Vec<_>>(), cached.collect::<Vec<_>>());
        outln!("{}", json!({ "known": known, "cached": cached }));
        return Ok(());
    }
    outln!("known names; any repository of these families can be named:");
    for known in KNOWN {
        outln!("  {:<30} {}", known.name, known.description);
    }
    if cached.is_empty() {
        outln!("\nno base is on this machine");
        return Ok(());
    }
    outln!("\non this machine:");
    for base in cached {
        outln!(
            "  {:<30} {:>9}  {}",
            base.name,
            DecimalBytes(base.bytes).to_string(),
            base.directory.display()
        );
    }
    Ok(())
}
