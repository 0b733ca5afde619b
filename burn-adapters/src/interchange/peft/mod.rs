//! `PEFT`'s directories: `adapter_config.json` with `adapter_model.safetensors` or `adapter_model.bin`.
//!
//! They can hold LoRA, (IA)³ and trained norms, and the `classifier` of a BERT with its pooler, but no bottlenecks and
//! no prefixes with a head.
//! <https://github.com/huggingface/peft/tree/v0.18.1/src/peft/tuners>

mod config;
mod joined;
mod names;
mod targets;

use std::path::Path;

use burn::tensor::TensorData;
use burn_bert::{Bert, Encoder};

use self::config::FORMAT;
use self::names::locate;
use super::base_names::BaseNames;
use super::directory::{
    Imported, Tensors, check_sizes, fill, find, make_directory, read_tensors, tensors_of,
    write_json, write_safetensors,
};
use super::settings::Settings;
use crate::error::{AdapterError, FileError, InterchangeError, TensorProblems};
use crate::methods::plan::AdapterPlan;
use crate::model::TaskAdapterConfig;
use crate::model::adapted::AdaptedBert;
use crate::model::head::HeadKind;

const CONFIG: &str = "adapter_config.json";
const PREFIX: &str = "base_model.model.";
/// BERT's; files do not have the base's.
const HEAD_DROPOUT: f64 = 0.1;

/// Reads an adapter with its classifier, and joins them with their base; `labels` are the names of the classes, which
/// `PEFT`'s directories do not have.
///
/// # Errors
/// As [`adapter_hub::read`](super::adapter_hub::read).
pub fn read(
    directory: &Path,
    bert: Bert,
    labels: Option<Vec<String>>,
) -> Result<Imported, AdapterError> {
    let settings = Settings::read(&directory.join(CONFIG))?;
    let config::Read { mut plan, joined, labels_words } = config::read(settings, &bert)?;
    let names = BaseNames::new(&bert);
    let names = if labels_words { names.of_words() } else { names };
    let path = find(directory, &["adapter_model.safetensors", "adapter_model.bin"])?;
    let mut tensors = Tensors::new();
    for (name, data) in read_tensors(&path)? {
        let Some(inside) = name.strip_prefix(PREFIX) else {
            let problems = TensorProblems { left_over: vec![name], ..Default::default() };
            return Err(FileError::Tensors { path, problems }.into());
        };
        let inside = inside.strip_prefix(names.prefix).unwrap_or(inside);
        tensors.insert(inside.to_owned(), data);
    }
    let outputs =
        tensors.get(&format!("{}.bias", names.classifier.output)).map(TensorData::num_elements);
    let outputs = outputs.ok_or(InterchangeError::NoHead { directory: directory.to_owned() })?;
    let head = HeadKind::unnamed(outputs);
    let head = if labels_words { head.into_words() } else { head };
    let head = match labels {
        Some(labels) => head.relabeled(labels)?,
        None => head,
    };
    check_sizes(&path, &plan, outputs, &tensors)?;
    let tensors = joined::split(tensors, names, &bert, &mut plan, joined).map_err(|joined| {
        InterchangeError::Setting {
            path: directory.join(CONFIG),
            key: "rank_pattern".to_owned(),
            found: format!("a rank of {} and an α of {}", joined.rank, joined.alpha),
            expected: "those of the other modules, or a `B` of blocks for query, key and value"
                .to_owned(),
        }
    })?;
    let config = TaskAdapterConfig::new(plan, head.clone())
        .with_classifier(names.head)
        .with_head_dropout(HEAD_DROPOUT);
    // PEFT saves the last layer alone by default: the layers before it are then those of the base.
    let keeps_layers =
        bert.pretrained_head().is_some() && !tensors.keys().any(|name| names.is_hidden(name));
    let fresh: &[&str] = if keeps_layers { &["head.hidden.", "head.norm."] } else { &[] };
    let model = fill(&path, bert, &config, tensors, |path| locate(names, path), fresh)?;
    Ok(Imported { model, name: "default".to_owned(), head, warnings: Vec::new() })
}

/// The plan in the bytes of an `adapter_config.json`, for a base; `path` is for error messages.
///
/// # Errors
/// If they are not JSON, or a setting is not supported.
pub fn parse_settings(path: &Path, bytes: &[u8], bert: &Bert) -> Result<AdapterPlan, AdapterError> {
    config::read(Settings::parse(path, bytes)?, bert).map(|read| read.plan)
}

/// Writes a model as a directory that `PeftModel.from_pretrained` reads on a classifier of the base's family, such as
/// `BertForSequenceClassification`, or `BertForTokenClassification` for words.
///
/// # Errors
/// If the format does not support something of the task, a weight is not finite, or a file cannot be written.
pub fn write_directory(
    directory: &Path,
    model: &AdaptedBert,
    head: &HeadKind,
    base: &str,
) -> Result<(), AdapterError> {
    let task = model.task.config();
    let unsupported = |what: &str, remedy| InterchangeError::Unsupported {
        format: FORMAT,
        what: what.to_owned(),
        remedy,
    };
    if *head == HeadKind::Span {
        return Err(unsupported(
            "a head that finds answers in texts",
            "use the adapter file itself",
        )
        .into());
    }
    let names = BaseNames::new(&model.bert).of_head(head);
    if !names.has_classifier(task) {
        let what = format!("a head that is not that of {}", names.classifier.architecture);
        return Err(unsupported(&what, names.remedy()).into());
    }
    let tensors = tensors_of(directory, FORMAT, model, |path| locate(names, path))?;
    let (tensors, joined) =
        joined::join(tensors, names, &model.bert, &task.plan).ok_or_else(|| {
            unsupported(
                "different scales for what query, key and value read, which are one matrix there",
                "use the adapter file itself",
            )
        })?;
    let settings = config::settings(&task.plan, base, (&model.bert, head), joined)?;
    let tensors: Tensors = tensors
        .into_iter()
        .map(|(name, data)| {
            let encoder = if names.is_of_classifier(&name) { "" } else { names.prefix };
            (format!("{PREFIX}{encoder}{name}"), data)
        })
        .collect();
    make_directory(directory)?;
    write_safetensors(&directory.join("adapter_model.safetensors"), &tensors)?;
    write_json(&directory.join(CONFIG), &settings)?;
    Ok(())
}
