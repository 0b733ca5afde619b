//! Merged models as Hugging Face checkpoints: the base with all mergeable modules in its weights, and the head.
//!
//! `AutoModelForSequenceClassification.from_pretrained` reads it, or `AutoModelForQuestionAnswering`, or `AutoModel`.
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/bert/modeling_bert.py>

use std::path::Path;

use burn_bert::BertConfig;
use burn_bert::checkpoint::hugging_face;
use serde_json::{Map, Value, json};

use super::directory::{Tensors, make_directory, write_json, write_safetensors};
use crate::error::{AdapterError, FileError, InterchangeError};
use crate::methods::kind::KindConfig;
use crate::model::adapted::AdaptedBert;
use crate::model::head::{HeadKind, Pooling};
use crate::model::weights::is_finite;

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
    let unsupported = |what: &str| InterchangeError::Unsupported {
        format: FORMAT,
        what: what.to_owned(),
        remedy: "low-rank corrections, scales and norms are what merges; export to AdapterHub, or keep our own file",
    };
    let unmergeable = plan.kinds().find(|kind| !kind.is_mergeable()).map(KindConfig::name);
    let fusion = model.task.fusion.as_ref().map(|_| "fused adapters");
    if let Some(what) = unmergeable.or(fusion) {
        return Err(unsupported(what).into());
    }
    let merged = model.merged()?;
    let encoder = hugging_face::tensors(&merged.bert);
    let format = HeadFormat::new(&merged, head);
    let (tensors, warnings) = if let Some(format) = format {
        (with_head(encoder, &merged, format), Vec::new())
    } else {
        let warning = "the encoder is written without its head, for which BertForSequenceClassification has no place: it reads the pooler through one layer; train with --pooling pooler to have both";
        (encoder, vec![warning.to_owned()])
    };
    if let Some((name, _)) = tensors.iter().find(|(_, data)| !is_finite(data)) {
        let what = format!("the tensor {name}");
        return Err(FileError::CannotSave { path: directory.to_owned(), what }.into());
    }
    make_directory(directory)?;
    write_safetensors(&directory.join("model.safetensors"), &tensors)?;
    write_json(&directory.join("config.json"), &settings(config, format, head))?;
    Ok(warnings)
}

/// The tensors of a model with this head.
fn with_head(encoder: Tensors, model: &AdaptedBert, format: HeadFormat) -> Tensors {
    let named = encoder.into_iter();
    let kept = named.filter(|(name, _)| format.has_pooler || !name.starts_with("pooler."));
    let mut tensors: Tensors = kept.map(|(name, data)| (format!("bert.{name}"), data)).collect();
    let layer = &model.task.head.linear;
    let weight = layer.weight.val().transpose().into_data();
    tensors.insert(format!("{}.weight", format.layer), weight);
    let bias = layer.bias.as_ref().map(|bias| bias.val().into_data());
    tensors.extend(bias.map(|bias| (format!("{}.bias", format.layer), bias)));
    tensors
}

/// How a class of Hugging Face models stores its head.
#[derive(Clone, Copy)]
struct HeadFormat {
    architecture: &'static str,
    layer: &'static str,
    has_pooler: bool,
}

impl HeadFormat {
    fn new(model: &AdaptedBert, head: &HeadKind) -> Option<Self> {
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

fn settings(config: &BertConfig, format: Option<HeadFormat>, head: &HeadKind) -> Value {
    let mut settings = json!(config);
    let architecture = format.map_or("BertModel", |format| format.architecture);
    settings["architectures"] = json!([architecture]);
    settings["torch_dtype"] = json!("float32");
    if format.is_none() {
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
