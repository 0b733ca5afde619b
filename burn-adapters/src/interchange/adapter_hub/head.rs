//! `AdapterHub`'s heads: its own heads of one or two linear layers, or those of the model's class.
//!
//! <https://github.com/adapter-hub/adapters/blob/v1.3.0/src/adapters/heads/base.py>

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::config::{ACTIVATIONS, FORMAT, activation, unsupported};
use crate::error::{AdapterError, InterchangeError};
use crate::interchange::base_names::BaseNames;
use crate::interchange::settings::{Harmless, Settings};
use crate::methods::Activation;
use crate::model::adapted::AdaptedBert;
use crate::model::head::{HeadKind, Pooling};

/// The types of heads in files.
const CLASSIFICATION: &str = "classification";
const MULTI_LABEL: &str = "multilabel_classification";
const TAGGING: &str = "tagging";

const HARMLESS: &[Harmless] = &[("dropout_prob", "of training")];

/// A head as described by its settings.
pub(super) struct HubHead {
    /// Its name; `None` for the head of the family's own class.
    pub(super) name: Option<String>,
    /// What it predicts.
    pub(super) kind: HeadKind,
    /// How texts are pooled for it.
    pub(super) pooling: Pooling,
    /// Activation of its hidden layer.
    pub(super) hidden: Option<Activation>,
}

impl HubHead {
    /// The head in a `head_config.json`.
    pub(super) fn from_settings(mut file: Settings, base: BaseNames) -> Result<Self, AdapterError> {
        let old = !matches!(file.take("version"), Some(Value::String(_)));
        let Some(mut config) = file.object("config")? else {
            // Without settings, the head is the one of the model's class.
            let (of_texts, of_words) =
                (base.classifier.architecture, base.classifier.token_classification);
            let class = file.text("model_class", of_texts)?;
            if class != of_texts && class != of_words {
                let expected = format!("{of_texts} or {of_words}");
                return Err(file.refuse("model_class", &json!(class), &expected));
            }
            let labels_words = class == of_words;
            let base = if labels_words { base.of_words() } else { base };
            let outputs = file.size("num_labels", 2)?;
            // Whether labels exclude each other is not written for such a head.
            let kind = kind(&mut file, outputs, false)?;
            let kind = if labels_words { kind.into_words() } else { kind };
            let (pooling, hidden) = (base.head.pooling, base.head.hidden);
            return Ok(Self { name: None, kind, pooling, hidden });
        };
        let name = file.text("name", "default")?;
        let head_type = config.text("head_type", "classification")?;
        let (is_multi_label, labels_words) = (head_type == MULTI_LABEL, head_type == TAGGING);
        if head_type != CLASSIFICATION && !is_multi_label && !labels_words {
            let expected = format!("{CLASSIFICATION}, {MULTI_LABEL} or {TAGGING}");
            return Err(config.refuse("head_type", &json!(head_type), &expected));
        }
        let outputs = config.size("num_labels", 2)?;
        let kind = kind(&mut config, outputs, is_multi_label)?;
        let kind = if labels_words { kind.into_words() } else { kind };
        let activation_name = config.take("activation_function").unwrap_or(Value::Null);
        let hidden = match config.size("layers", if labels_words { 1 } else { 2 })? {
            1 => None,
            2 => {
                let known = activation_name.as_str().and_then(|name| activation(name, old));
                let refuse = || config.refuse("activation_function", &activation_name, ACTIVATIONS);
                Some(known.ok_or_else(refuse)?)
            }
            layers => return Err(config.refuse("layers", &json!(layers), "1 or 2")),
        };
        if !config.flag("bias", true)? {
            return Err(config.refuse("bias", &json!(false), "true"));
        }
        let pooling =
            if config.flag("use_pooler", false)? { Pooling::Pooler } else { Pooling::FirstToken };
        config.skip(HARMLESS);
        config.finish()?;
        Ok(Self { name: Some(name), kind, pooling, hidden })
    }
}

/// The labels in the order of their ids; one output is a regression, unless a text may have several labels.
fn kind(
    settings: &mut Settings,
    outputs: usize,
    is_multi_label: bool,
) -> Result<HeadKind, AdapterError> {
    let kind = classes(settings, outputs, is_multi_label)?;
    Ok(if is_multi_label { kind.into_multi_label() } else { kind })
}

fn classes(
    settings: &mut Settings,
    outputs: usize,
    is_multi_label: bool,
) -> Result<HeadKind, AdapterError> {
    const LABELS: &str = "label2id";
    let label_ids = settings.take(LABELS).unwrap_or(json!({}));
    if outputs == 1 && !is_multi_label {
        return Ok(HeadKind::Regression);
    }
    let refuse = || {
        let expected = format!("the numbers from 0 to {} for {outputs} labels", outputs.max(1) - 1);
        settings.refuse(LABELS, &label_ids, &expected)
    };
    let map = label_ids.as_object().ok_or_else(refuse)?;
    if map.is_empty() {
        // A malicious file may give billions of outputs without names.
        return (outputs <= HeadKind::MAX_UNNAMED)
            .then(|| HeadKind::unnamed(outputs))
            .ok_or_else(|| settings.refuse("num_labels", &json!(outputs), "fewer labels"));
    }
    let by_id: Option<BTreeMap<u64, &String>> =
        map.iter().map(|(label, id)| Some((id.as_u64()?, label))).collect();
    let by_id = by_id.ok_or_else(refuse)?;
    let in_order = by_id.keys().copied().eq(0..outputs as u64);
    if !in_order || map.len() != outputs {
        return Err(refuse());
    }
    Ok(HeadKind::Classification { labels: by_id.into_values().cloned().collect() })
}

/// `label2id` of a head.
fn label_ids(kind: &HeadKind) -> Map<String, Value> {
    let Some(labels) = kind.labels() else {
        return [("LABEL_0".to_owned(), json!(0))].into_iter().collect();
    };
    labels.iter().enumerate().map(|(id, label)| (label.clone(), json!(id))).collect()
}

/// The `config` for a model's head.
pub(super) fn settings(model: &AdaptedBert, kind: &HeadKind) -> Result<Value, AdapterError> {
    let config = model.task.config();
    if config.head_norm.is_some() || !config.head_hidden_bias {
        return Err(
            unsupported("a head with a LayerNorm, or with a hidden layer without bias").into()
        );
    }
    let pooler = match (config.pooling, kind) {
        (_, HeadKind::Span) => {
            return Err(unsupported("a head that finds answers in texts").into());
        }
        (_, HeadKind::TokenClassification { .. }) => {
            return Ok(json!({
                "head_type": TAGGING,
                "num_labels": config.head.outputs(),
                "layers": if config.head_hidden.is_some() { 2 } else { 1 },
                "activation_function": config.head_hidden.map(Activation::name),
                "label2id": label_ids(kind),
                "dropout_prob": config.head_dropout,
            }));
        }
        (Pooling::Pooler, _) => true,
        (Pooling::FirstToken, _) => false,
        (Pooling::Mean, _) => {
            return Err(InterchangeError::Unsupported {
                format: FORMAT,
                what: "a head that reads the mean over the tokens".to_owned(),
                remedy: "train with the pooling `first-token` or `pooler`",
            }
            .into());
        }
    };
    Ok(json!({
        "head_type": match kind {
            HeadKind::MultiLabel { .. } => MULTI_LABEL,
            _ => CLASSIFICATION,
        },
        "num_labels": config.head.outputs(),
        "layers": if config.head_hidden.is_some() { 2 } else { 1 },
        "activation_function": config.head_hidden.map(Activation::name),
        "label2id": label_ids(kind),
        "use_pooler": pooler,
        "bias": true,
        "dropout_prob": config.head_dropout,
    }))
}
