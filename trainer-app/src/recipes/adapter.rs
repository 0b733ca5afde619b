//! `trainer adapter average` and `trainer adapter import-tensorflow`: adapter files made without training.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use burn_adapters::file::native::{self, AdapterMetadata, BaseIdentity};
use burn_adapters::file::tensorflow;
use burn_adapters::{AdaptedBert, HeadKind, average_weights};
use burn_bert::Bert;

use crate::base::Base;
use crate::cli::{AverageArgs, ImportTensorflowArgs};
use crate::devices;

/// Runs `trainer adapter average`.
///
/// # Errors
/// Adapters that cannot be read or are not of one kind, or a file that cannot be written.
pub fn average(args: &AverageArgs) -> Result<()> {
    let weights =
        if args.weights.is_empty() { vec![1.0; args.adapters.len()] } else { args.weights.clone() };
    ensure!(
        weights.len() == args.adapters.len(),
        "there are {} weights for {} adapters; give one for each",
        weights.len(),
        args.adapters.len()
    );
    let first = args.adapters.first().context("there is no adapter to average")?;
    let name = native::read_header(first)?.metadata.base.name;
    let (bert, base) = load_base(args.base.as_deref().unwrap_or(&name))?;
    let mut models = Vec::new();
    let mut said: Option<AdapterMetadata> = None;
    for (path, weight) in args.adapters.iter().zip(weights) {
        let (model, metadata) = native::load(path, bert.clone(), &base.fingerprint)?;
        let said = said.get_or_insert_with(|| metadata.clone());
        ensure!(
            said.head == metadata.head,
            "{} and {} have different labels; only adapters with the same labels in the same order have a mean",
            first.display(),
            path.display()
        );
        said.max_length = said.max_length.max(metadata.max_length);
        models.push((model, weight));
    }
    let mean = average_weights(&models)?;
    let said = said.context("there is no adapter to average")?;
    write(&args.out, &mean, &AdapterMetadata { score: None, ..said })
}

/// Runs `trainer adapter import-tensorflow`.
///
/// # Errors
/// A checkpoint that cannot be read or belongs to another base, labels that are not as many as the head's outputs, or a
/// file that cannot be written.
pub fn import_tensorflow(args: &ImportTensorflowArgs) -> Result<()> {
    let (bert, base) = load_base(&args.base)?;
    let model = tensorflow::read(&args.checkpoint, bert)?;
    let metadata = AdapterMetadata {
        method: "houlsby-code".to_owned(),
        task: args.task.clone(),
        head: HeadKind::Classification { labels: args.labels.clone() },
        score: None,
        max_length: args.max_length,
        base,
    };
    write(&args.out, &model, &metadata)
}

/// On the CPU, whose numbers every machine repeats.
fn load_base(name: &str) -> Result<(Bert, BaseIdentity)> {
    let base = Base::locate(name)?;
    let device: Device = devices::resolve("cpu")?;
    let bert = burn_bert::load(base.directory(), &device)?;
    let identity = BaseIdentity { name: base.name().to_owned(), fingerprint: base.fingerprint()? };
    Ok((bert, identity))
}

#[expect(clippy::print_stdout, reason = "the file is what was asked for")]
fn write(path: &Path, model: &AdaptedBert, metadata: &AdapterMetadata) -> Result<()> {
    native::save(path, model, metadata)?;
    println!("{}", path.display());
    Ok(())
}
