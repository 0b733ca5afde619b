//! `PEFT`'s directories: `adapter_config.json` with `adapter_model.safetensors` or `adapter_model.bin`.
//!
//! Low-rank corrections, (IA)³ and tuned norms have a place there, and the `classifier` of a BERT with its pooler;
//! bottlenecks and prefixes have none.
//! <https://github.com/huggingface/peft/tree/v0.18.1/src/peft/tuners>

mod config;
mod names;
mod targets;

use std::path::Path;

use burn::tensor::TensorData;
use burn_bert::{Bert, Encoder};

use self::names::place;
use super::adapter_hub::numbered_labels;
use super::interchange::{
    Imported, Tensors, check_sizes, fill, find, make_directory, read_tensors, tensors_of,
    write_json, write_safetensors,
};
use super::settings::Settings;
use crate::adapted::AdaptedBert;
use crate::error::{AdapterError, TensorProblems};
use crate::head::{HeadKind, Pooling};
use crate::plan::Plan;
use crate::task_adapter::TaskAdapterConfig;

const FORMAT: &str = "PEFT";
const CONFIG: &str = "adapter_config.json";
const PREFIX: &str = "base_model.model.";
/// Of BERT; a file does not say what the base had.
const HEAD_DROPOUT: f64 = 0.1;

/// Reads an adapter with its classifier, and joins them with their base; `labels` name the answers, which a directory
/// of `PEFT`'s does not.
///
/// # Errors
/// As [`adapter_hub::read`](super::adapter_hub::read).
pub fn read(
    directory: &Path,
    bert: Bert,
    labels: Option<Vec<String>>,
) -> Result<Imported, AdapterError> {
    let settings = Settings::read(&directory.join(CONFIG))?;
    let plan = config::plan(settings, bert.n_layers())?;
    let path = find(directory, &["adapter_model.safetensors", "adapter_model.bin"])?;
    let mut tensors = Tensors::new();
    for (name, data) in read_tensors(&path)? {
        let Some(inside) = name.strip_prefix(PREFIX) else {
            let problems = TensorProblems { left_over: vec![name], ..Default::default() };
            return Err(AdapterError::Tensors { path, problems });
        };
        let inside = inside.strip_prefix("bert.").unwrap_or(inside);
        tensors.insert(inside.to_owned(), data);
    }
    let outputs = tensors.get("classifier.bias").map(TensorData::num_elements);
    let outputs = outputs.ok_or(AdapterError::NoHead { directory: directory.to_owned() })?;
    let head = match labels {
        Some(labels) => HeadKind::with_labels(labels, outputs)?,
        None if outputs == 1 => HeadKind::Regression,
        None => numbered_labels(outputs),
    };
    check_sizes(&path, &plan, outputs, &tensors)?;
    let config = TaskAdapterConfig {
        plan,
        outputs,
        pooling: Pooling::Pooler,
        head_dropout: HEAD_DROPOUT,
        head_hidden: None,
        seed: 0,
        fused: Vec::new(),
    };
    let model = fill(&path, bert, &config, tensors, place, None)?;
    Ok(Imported { model, name: "default".to_owned(), head, warnings: Vec::new() })
}

/// The plan of the bytes of an `adapter_config.json`, on a base of so many layers; `path` is where they are from, for
/// the errors.
///
/// # Errors
/// If they are no JSON, or a setting cannot be honored.
pub fn parse_settings(path: &Path, bytes: &[u8], n_layers: usize) -> Result<Plan, AdapterError> {
    config::plan(Settings::parse(path, bytes)?, n_layers)
}

/// Writes a model as a directory that `PeftModel.from_pretrained` reads on a `BertForSequenceClassification`.
///
/// # Errors
/// If the format has no place for something of the task, a weight is not finite, or a file cannot be written.
pub fn write_directory(
    directory: &Path,
    model: &AdaptedBert,
    head: &HeadKind,
    base: &str,
) -> Result<(), AdapterError> {
    let task = model.task.config();
    let unsupported_modules = |what: &str, remedy| AdapterError::NoPlace {
        format: FORMAT,
        what: what.to_owned(),
        remedy,
    };
    if *head == HeadKind::Span {
        return Err(unsupported_modules("a head that finds answers in texts", "keep our own file"));
    }
    if task.pooling != Pooling::Pooler || task.head_hidden.is_some() {
        let remedy = "train with the pooling `pooler`, which BertForSequenceClassification has";
        return Err(unsupported_modules("a head that is not one layer on the pooler", remedy));
    }
    let settings = config::settings(&task.plan, base, model.bert.n_layers())?;
    let tensors: Tensors = tensors_of(directory, FORMAT, model, place)?
        .into_iter()
        .map(|(name, data)| {
            let encoder = if name.starts_with("classifier.") { "" } else { "bert." };
            (format!("{PREFIX}{encoder}{name}"), data)
        })
        .collect();
    make_directory(directory)?;
    write_safetensors(&directory.join("adapter_model.safetensors"), &tensors)?;
    write_json(&directory.join(CONFIG), &settings)
}
