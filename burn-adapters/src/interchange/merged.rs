//! Merged models as Hugging Face checkpoints: the base with all mergeable modules in its weights, and the head.
//!
//! `AutoModelForSequenceClassification.from_pretrained` reads it, or `AutoModelForQuestionAnswering`, or `AutoModel`.
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/bert/modeling_bert.py>

use std::path::Path;

use burn::nn::Linear;
use burn_bert::BertConfig;
use burn_bert::checkpoint::hugging_face;
use serde_json::{Map, Value, json};

use super::base_names::BaseNames;
use super::directory::{Tensors, make_directory, write_json, write_safetensors};
use crate::error::{AdapterError, FileError, InterchangeError};
use crate::methods::kind::KindConfig;
use crate::model::adapted::AdaptedBert;
use crate::model::head::{HeadKind, Pooling};
use crate::model::weights::is_finite;

const FORMAT: &str = "a checkpoint of the base's family";

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
        remedy: "LoRA, DoRA, (IA)³, LayerNorms and trained weights of the base can be merged; use `--format adapter-hub`, or the adapter file itself",
    };
    let unmergeable = plan.kinds().find(|kind| !kind.is_mergeable()).map(KindConfig::name);
    let fusion = model.task.fusion.as_ref().map(|_| "fused adapters");
    if let Some(what) = unmergeable.or(fusion) {
        return Err(unsupported(what).into());
    }
    let merged = model.merged()?;
    let encoder = hugging_face::tensors(&merged.bert);
    let names = BaseNames::new(merged.bert.family());
    let class = class_of(&merged, head, names);
    let (tensors, warnings) = if class.is_some() {
        (with_head(encoder, &merged, head, names), Vec::new())
    } else {
        let warning = format!(
            "the encoder is written without its head, for which {} has no place; to have both, {}",
            names.classifier.architecture,
            names.remedy()
        );
        (encoder, vec![warning])
    };
    if let Some((name, _)) = tensors.iter().find(|(_, data)| !is_finite(data)) {
        let what = format!("the tensor {name}");
        return Err(FileError::CannotSave { path: directory.to_owned(), what }.into());
    }
    make_directory(directory)?;
    write_safetensors(&directory.join("model.safetensors"), &tensors)?;
    write_json(&directory.join("config.json"), &settings(config, class, head, names))?;
    Ok(warnings)
}

/// The class that stores the model's head; `None` if there is none.
fn class_of(model: &AdaptedBert, head: &HeadKind, names: BaseNames) -> Option<&'static str> {
    let task = model.task.config();
    match head {
        HeadKind::Span => task.head_hidden.is_none().then_some(names.classifier.question_answering),
        HeadKind::TokenClassification { .. } => None,
        HeadKind::Classification { .. } | HeadKind::Regression => {
            names.has_classifier(task).then_some(names.classifier.architecture)
        }
    }
}

/// The tensors of a model with its head.
fn with_head(encoder: Tensors, model: &AdaptedBert, head: &HeadKind, names: BaseNames) -> Tensors {
    let is_span = *head == HeadKind::Span;
    let reads_pooler = !is_span && names.head.pooling == Pooling::Pooler;
    let pooler = format!("{}.", names.paths.pooler);
    let kept = encoder.into_iter().filter(|(name, _)| reads_pooler || !name.starts_with(&pooler));
    let mut tensors: Tensors =
        kept.map(|(name, data)| (format!("{}{name}", names.prefix), data)).collect();
    let mut insert = |name: &str, layer: &Linear| {
        tensors.insert(format!("{name}.weight"), layer.weight.val().transpose().into_data());
        if let Some(bias) = &layer.bias {
            tensors.insert(format!("{name}.bias"), bias.val().into_data());
        }
    };
    let own = &model.task.head;
    insert(if is_span { "qa_outputs" } else { names.classifier.output }, &own.linear);
    if let Some((layer, names)) = own.hidden.as_ref().zip(names.classifier.hidden) {
        insert(names.name, layer);
    }
    tensors
}

fn settings(
    config: &BertConfig,
    class: Option<&'static str>,
    head: &HeadKind,
    names: BaseNames,
) -> Value {
    let mut settings = Value::Object(config.to_config_json());
    settings["architectures"] = json!([class.unwrap_or(names.classifier.encoder)]);
    settings["torch_dtype"] = json!("float32");
    if class.is_none() {
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
        HeadKind::Span | HeadKind::TokenClassification { .. } => {}
    }
    settings
}
