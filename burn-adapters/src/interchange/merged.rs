//! Merged models as Hugging Face checkpoints: the base with all mergeable modules in its weights, and the head.
//!
//! `AutoModelForSequenceClassification.from_pretrained` reads it, or `AutoModelForQuestionAnswering`, or `AutoModel`.
//! <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/bert/modeling_bert.py>

use std::path::Path;

use burn::nn::Linear;
use burn_bert::checkpoint::hugging_face;
use burn_bert::{BertConfig, ClassifierConfig, ClassifierNames, ClassifierPooling};
use serde_json::{Map, Value, json};

use super::base_names::BaseNames;
use super::directory::{Tensors, make_directory, write_json, write_safetensors};
use crate::error::{AdapterError, FileError, InterchangeError};
use crate::methods::kind::KindConfig;
use crate::model::ClassifierHead;
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
    let names = BaseNames::new(&merged.bert).of_head(head);
    let of_class = class_of(&merged, head, config, names);
    let (tensors, warnings) = if of_class.is_some() {
        (with_head(encoder, &merged, head, names), Vec::new())
    } else {
        let (class, remedy) = if *head == HeadKind::Span {
            (names.classifier.question_answering, "train without --head-hidden")
        } else {
            (names.classifier.architecture, names.remedy())
        };
        let warning = format!(
            "the encoder is written without its head, for which {class} has no place; to have both, {remedy}"
        );
        (encoder, vec![warning])
    };
    if let Some((name, _)) = tensors.iter().find(|(_, data)| !is_finite(data)) {
        let what = format!("the tensor {name}");
        return Err(FileError::CannotSave { path: directory.to_owned(), what }.into());
    }
    make_directory(directory)?;
    write_safetensors(&directory.join("model.safetensors"), &tensors)?;
    let settings = match &of_class {
        Some((class, config)) => with_labels(settings(config, class), head),
        None => settings(config, names.classifier.encoder),
    };
    write_json(&directory.join("config.json"), &settings)?;
    Ok(warnings)
}

/// The class that stores the model's head, and the configuration with which it computes it; `None` if there is none.
fn class_of(
    model: &AdaptedBert,
    head: &HeadKind,
    config: &BertConfig,
    names: BaseNames,
) -> Option<(&'static str, BertConfig)> {
    let own = model.task.config().classifier();
    let config =
        BertConfig { classifier: config.classifier.map(|it| fitted(it, own)), ..config.clone() };
    let of_class = ClassifierHead::from(config.sequence_classifier());
    match head {
        HeadKind::Span => {
            let layers = ClassifierHead::linear(Pooling::FirstToken);
            let expected = if of_class.norm.is_some() { of_class } else { layers };
            let class = names.classifier.question_answering;
            own.has_layers_of(&expected).then_some((class, config))
        }
        HeadKind::TokenClassification { .. } => {
            (own == names.head).then_some((names.classifier.architecture, config))
        }
        HeadKind::Classification { .. } | HeadKind::MultiLabel { .. } | HeadKind::Regression => {
            (own == of_class).then_some((names.classifier.architecture, config))
        }
    }
}

/// The settings of a class with those of a head, as far as the class has them.
fn fitted(settings: ClassifierConfig, head: ClassifierHead) -> ClassifierConfig {
    let pooling = match head.pooling {
        Pooling::Mean => ClassifierPooling::Mean,
        Pooling::FirstToken | Pooling::Pooler => ClassifierPooling::Cls,
    };
    ClassifierConfig {
        activation: head.hidden.map_or(settings.activation, Into::into),
        pooling: settings.pooling.map(|_| pooling),
        has_bias: settings.has_bias.map(|_| head.hidden_bias),
    }
}

/// The tensors of a model with its head.
fn with_head(encoder: Tensors, model: &AdaptedBert, head: &HeadKind, names: BaseNames) -> Tensors {
    let is_span = *head == HeadKind::Span;
    let reads_pooler = !head.reads_tokens() && names.head.pooling == Pooling::Pooler;
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
    let ClassifierNames { output, span_output, hidden, .. } = names.classifier;
    insert(if is_span { span_output } else { output }, &own.linear);
    if let Some((layer, names)) = own.hidden.as_ref().zip(hidden) {
        insert(names.name, layer);
    }
    if let Some((norm, name)) = own.norm.as_ref().zip(hidden.and_then(|hidden| hidden.norm)) {
        tensors.insert(format!("{name}.weight"), norm.gamma.val().into_data());
        if let Some(beta) = &norm.beta {
            tensors.insert(format!("{name}.bias"), beta.val().into_data());
        }
    }
    tensors
}

fn settings(config: &BertConfig, class: &str) -> Value {
    let mut settings = Value::Object(config.to_config_json());
    settings["architectures"] = json!([class]);
    settings["torch_dtype"] = json!("float32");
    settings
}

/// The settings with what the head predicts.
fn with_labels(mut settings: Value, head: &HeadKind) -> Value {
    match head {
        HeadKind::Classification { labels }
        | HeadKind::MultiLabel { labels }
        | HeadKind::TokenClassification { labels } => {
            let numbered = labels.iter().enumerate();
            let id_to_label: Map<String, Value> =
                numbered.clone().map(|(id, label)| (id.to_string(), json!(label))).collect();
            let label_to_id: Map<String, Value> =
                numbered.map(|(id, label)| (label.clone(), json!(id))).collect();
            settings["id2label"] = Value::Object(id_to_label);
            settings["label2id"] = Value::Object(label_to_id);
            match head {
                HeadKind::MultiLabel { .. } => {
                    settings["problem_type"] = json!("multi_label_classification");
                }
                HeadKind::Classification { .. } => {
                    settings["problem_type"] = json!("single_label_classification");
                }
                // The class for token classification has no such setting.
                _ => {}
            }
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
