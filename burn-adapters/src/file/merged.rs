//! A model as one checkpoint of Hugging Face's: what merges is in the weights of the base, and the head beside them.
//!
//! `AutoModelForSequenceClassification.from_pretrained` reads it, or `AutoModelForQuestionAnswering`, or `AutoModel`.
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/bert/modeling_bert.py>

use std::path::Path;

use burn_bert::BertConfig;
use burn_bert::checkpoint::hugging_face;
use serde_json::{Map, Value, json};

use super::interchange::{Tensors, make_directory, write_json, write_safetensors};
use super::native::is_finite;
use crate::adapted::AdaptedBert;
use crate::error::AdapterError;
use crate::head::{HeadKind, Pooling};

const FORMAT: &str = "a checkpoint of BERT's";

/// Writes `config.json` and `model.safetensors`; the result is what is lost, as sentences.
///
/// `config` is the base's. Where its own kind of model has no place for the head, the encoder alone is written.
///
/// # Errors
/// If something of the task does not merge, a weight is not finite, or a file cannot be written.
pub fn write_directory(
    directory: &Path,
    model: &AdaptedBert,
    head: &HeadKind,
    config: &BertConfig,
) -> Result<Vec<String>, AdapterError> {
    let plan = &model.task.config().plan;
    let unsupported_modules = |what: &str| AdapterError::NoPlace {
        format: FORMAT,
        what: what.to_owned(),
        remedy: "low-rank corrections, scales and norms are what merges; export to AdapterHub, or keep our own file",
    };
    for (what, is_there) in [
        ("bottlenecks", plan.bottleneck.is_some()),
        ("prefixes", plan.prefix.is_some()),
        ("fused adapters", model.task.fusion.is_some()),
    ] {
        if is_there {
            return Err(unsupported_modules(what));
        }
    }
    let merged = model.merged()?;
    let encoder = hugging_face::tensors(&merged.bert);
    let place = HeadPlace::of(&merged, head);
    let (tensors, warnings) = if let Some(place) = place {
        (with_head(encoder, &merged, place), Vec::new())
    } else {
        let warning = "the encoder is written without its head, for which BertForSequenceClassification has no place: it reads the pooler through one layer; train with --pooling pooler to have both";
        (encoder, vec![warning.to_owned()])
    };
    if let Some((name, _)) = tensors.iter().find(|(_, data)| !is_finite(data)) {
        let what = format!("the tensor {name}");
        return Err(AdapterError::WillNotSave { path: directory.to_owned(), what });
    }
    make_directory(directory)?;
    write_safetensors(&directory.join("model.safetensors"), &tensors)?;
    write_json(&directory.join("config.json"), &settings(config, place, head))?;
    Ok(warnings)
}

/// The tensors of a model of that kind.
fn with_head(encoder: Tensors, model: &AdaptedBert, place: HeadPlace) -> Tensors {
    let named = encoder.into_iter();
    let kept = named.filter(|(name, _)| place.has_pooler || !name.starts_with("pooler."));
    let mut tensors: Tensors = kept.map(|(name, data)| (format!("bert.{name}"), data)).collect();
    let layer = &model.task.head.linear;
    let weight = layer.weight.val().transpose().into_data();
    tensors.insert(format!("{}.weight", place.layer), weight);
    let bias = layer.bias.as_ref().map(|bias| bias.val().into_data());
    tensors.extend(bias.map(|bias| (format!("{}.bias", place.layer), bias)));
    tensors
}

/// Where a kind of Hugging Face's models has its head.
#[derive(Clone, Copy)]
struct HeadPlace {
    architecture: &'static str,
    layer: &'static str,
    has_pooler: bool,
}

impl HeadPlace {
    fn of(model: &AdaptedBert, head: &HeadKind) -> Option<Self> {
        let task = model.task.config();
        if task.head_hidden.is_some() {
            return None;
        }
        match head {
            HeadKind::Span => Some(Self {
                architecture: "BertForQuestionAnswering",
                layer: "qa_outputs",
                has_pooler: false,
            }),
            HeadKind::Classification { .. } | HeadKind::Regression => {
                (task.pooling == Pooling::Pooler).then_some(Self {
                    architecture: "BertForSequenceClassification",
                    layer: "classifier",
                    has_pooler: true,
                })
            }
        }
    }
}

fn settings(config: &BertConfig, place: Option<HeadPlace>, head: &HeadKind) -> Value {
    let mut settings = json!(config);
    let architecture = place.map_or("BertModel", |place| place.architecture);
    settings["architectures"] = json!([architecture]);
    settings["torch_dtype"] = json!("float32");
    if place.is_none() {
        return settings;
    }
    match head {
        HeadKind::Classification { labels } => {
            let numbered = labels.iter().enumerate();
            let id_to_label: Map<String, Value> =
                numbered.clone().map(|(id, label)| (id.to_string(), json!(label))).collect();
            let label_to_id: Map<String, Value> =
                numbered.map(|(id, label)| (label.clone(), json!(id))).collect();
            settings["id2label"] = Value::Object(id_to_label);
            settings["label2id"] = Value::Object(label_to_id);
            settings["problem_type"] = json!("single_label_classification");
        }
        HeadKind::Regression => {
            settings["id2label"] = json!({ "0": "LABEL_0" });
            settings["label2id"] = json!({ "LABEL_0": 0 });
            settings["problem_type"] = json!("regression");
        }
        HeadKind::Span => {}
    }
    settings
}
