//! `AdapterHub`'s directories: what `save_adapter` of the Python package `adapters` writes and `load_adapter` reads.
//!
//! `adapter_config.json` with `adapter.safetensors` or `pytorch_adapter.bin`, and, with a head, `head_config.json` with
//! `model_head.safetensors` or `pytorch_model_head.bin`.
//! The package is <https://github.com/adapter-hub/adapters/tree/v1.3.0>.

mod config;
mod head;
pub(super) mod names;

use std::path::Path;

use burn_bert::{Bert, Encoder};
use serde_json::{Value, json};

use self::config::Version;
use self::head::HubHead;
pub(super) use self::head::numbered_labels;
use self::names::Names;
use super::interchange::{
    Imported, Tensors, check_sizes, fill, find, make_directory, read_tensors, tensors_of, write,
    write_json, write_safetensors,
};
use super::pickle;
use super::settings::Settings;
use crate::adapted::AdaptedBert;
use crate::error::{AdapterError, BaseShape, TensorProblems};
use crate::head::HeadKind;
use crate::inner_norm::InnerNorm;
use crate::plan::{Plan, TrainableBase};
use crate::task_adapter::TaskAdapterConfig;

pub(super) const FORMAT: &str = "AdapterHub";
/// The version whose layout is written.
const VERSION: &str = "adapters.1.3.0";
const CONFIG: &str = "adapter_config.json";
const FUSION_CONFIG: &str = "adapter_fusion_config.json";
const HEAD_CONFIG: &str = "head_config.json";
/// Of the paper, and of BERT; a file does not say what the base had.
const HEAD_DROPOUT: f64 = 0.1;

/// Reads an adapter and its head, and joins them with their base.
///
/// `labels` name the answers of a directory without a head, which gets an untrained one; where there is a head, they
/// take the place of its own names.
///
/// # Errors
/// If a file is missing or damaged, a setting cannot be honored (it is named, and what would be understood), or a
/// tensor is missing, left over, of another shape or not finite (all are named).
pub fn read(
    directory: &Path,
    bert: Bert,
    labels: Option<Vec<String>>,
) -> Result<Imported, AdapterError> {
    let base = BaseShape { n_layers: bert.n_layers(), d_model: bert.d_model() };
    let config_path = directory.join(CONFIG);
    let fusion = directory.join(FUSION_CONFIG);
    if fusion.is_file() && !config_path.is_file() {
        return Err(AdapterError::IsFusion { path: fusion });
    }
    let (name, mut plan) = plan_of(Settings::read(&config_path)?, base)?;

    let path = find(directory, &["adapter.safetensors", "pytorch_adapter.bin"])?;
    let mut tensors = renamed(&path, read_tensors(&path)?)?;
    if tensors.keys().any(|name| name.contains("LayerNorm.")) {
        plan.tuned = TrainableBase::LayerNorms;
    }
    let mut warnings = Vec::new();
    let head_config = directory.join(HEAD_CONFIG);
    let head = if head_config.is_file() {
        let head = HubHead::of(Settings::read(&head_config)?)?;
        let head_path = find(directory, &["model_head.safetensors", "pytorch_model_head.bin"])?;
        tensors.extend(renamed(&head_path, read_tensors(&head_path)?)?);
        Some(head)
    } else {
        None
    };
    let fresh = head.is_none().then_some("head.");
    let head = match (head, labels) {
        (Some(mut head), Some(labels)) => {
            head.kind = HeadKind::with_labels(labels, head.kind.outputs())?;
            head
        }
        (Some(head), None) => head,
        (None, Some(labels)) => {
            warnings.push("the directory holds no head: this one is untrained".to_owned());
            let outputs = labels.len();
            HubHead {
                name: None,
                kind: HeadKind::with_labels(labels, outputs)?,
                pooling: crate::head::Pooling::FirstToken,
                hidden: None,
            }
        }
        (None, None) => return Err(AdapterError::NoHead { directory: directory.to_owned() }),
    };

    if fresh.is_none() {
        check_sizes(&path, &plan, head.kind.outputs(), &tensors)?;
    } else {
        check_sizes(&path, &plan, 1, &tensors)?;
    }
    let naming = names(&plan, base, name.clone(), head.name.clone(), head.hidden.is_some());
    drop_copies(&mut tensors, base.n_layers);
    let config = TaskAdapterConfig {
        plan,
        outputs: head.kind.outputs(),
        pooling: head.pooling,
        head_dropout: HEAD_DROPOUT,
        head_hidden: head.hidden,
        seed: 0,
        fused: Vec::new(),
    };
    let model = fill(&path, bert, &config, tensors, |path| naming.place(path), fresh)?;
    Ok(Imported { model, name, head: head.kind, warnings })
}

/// The name of an adapter and its plan, of the bytes of an `adapter_config.json`; `path` is where they are from, for
/// the errors.
///
/// # Errors
/// If they are no JSON, or a setting cannot be honored.
pub fn parse_settings(
    path: &Path,
    bytes: &[u8],
    base: BaseShape,
) -> Result<(String, Plan), AdapterError> {
    plan_of(Settings::parse(path, bytes)?, base)
}

/// What the outputs of a head mean, of the bytes of a `head_config.json`.
///
/// # Errors
/// If they are no JSON, or a setting cannot be honored.
pub fn parse_head(path: &Path, bytes: &[u8]) -> Result<HeadKind, AdapterError> {
    HubHead::of(Settings::parse(path, bytes)?).map(|head| head.kind)
}

fn plan_of(mut file: Settings, base: BaseShape) -> Result<(String, Plan), AdapterError> {
    let version = file.take("version");
    let version = Version::of(version.as_ref().and_then(Value::as_str));
    let name = file.text("name", "default")?;
    let model_type = file.text("model_type", "bert")?;
    if model_type != "bert" {
        return Err(file.refuse("model_type", &json!(model_type), "bert"));
    }
    let width = file.size("hidden_size", base.d_model)?;
    if width != base.d_model {
        return Err(file.refuse("hidden_size", &json!(width), &base.d_model.to_string()));
    }
    // What else stands beside the settings is whatever was given to `save_adapter` to describe the adapter.
    let Some(settings) = file.object("config")? else {
        return Err(file.refuse("config", &Value::Null, "the adapter's settings"));
    };
    Ok((name, config::plan(settings, version, base)?))
}

fn names(
    plan: &Plan,
    base: BaseShape,
    adapter: String,
    head: Option<String>,
    hidden: bool,
) -> Names {
    let prefix = plan.prefix.as_ref();
    let has_prefix = |layer: &usize| prefix.is_some_and(|plan| plan.layers.contains(*layer));
    let bottleneck = plan.bottleneck.as_ref();
    Names {
        adapter,
        head,
        hidden,
        inner_norm: bottleneck.is_some_and(|plan| plan.inner_norm == InnerNorm::Layer),
        prefix_layers: (0..base.n_layers).filter(has_prefix).collect(),
    }
}

/// Names of 2020, and the prefix that a model with heads puts before its encoder's names.
fn renamed(path: &Path, tensors: Tensors) -> Result<Tensors, AdapterError> {
    const OLD: [(&str, &str); 4] = [
        ("attention_text_task_adapters", "adapters"),
        ("attention_text_lang_adapters", "adapters"),
        ("layer_text_task_adapters", "adapters"),
        ("layer_text_lang_adapters", "adapters"),
    ];
    let mut renamed = Tensors::new();
    for (name, data) in tensors {
        let new = name.strip_prefix("bert.").unwrap_or(&name);
        let new = OLD.iter().fold(new.to_owned(), |new, (old, now)| new.replace(old, now));
        if renamed.insert(new.clone(), data).is_some() {
            let problems = TensorProblems {
                wrong: vec![format!("{new} is there twice")],
                ..Default::default()
            };
            return Err(AdapterError::Tensors { path: path.to_owned(), problems });
        }
    }
    Ok(renamed)
}

/// Takes out what the package writes twice, where both are the same.
fn drop_copies(tensors: &mut Tensors, n_layers: usize) {
    let all: Vec<String> = tensors.keys().cloned().collect();
    for name in all {
        for copy in names::copies(&name, n_layers) {
            if tensors.get(&copy).is_some_and(|copy| Some(copy) == tensors.get(&name)) {
                tensors.remove(&copy);
            }
        }
    }
}

/// Writes a model as a directory that `load_adapter` of the package reads; the result is what is lost, as sentences.
///
/// The package has no place for trained `LayerNorm`s.
/// With `layer_norms` they are written nevertheless, and loading the adapter overwrites those of the base there.
///
/// # Errors
/// If the format has no place for something of the task, a weight is not finite, or a file cannot be written.
pub fn write_directory(
    directory: &Path,
    model: &AdaptedBert,
    name: &str,
    head: &HeadKind,
    layer_norms: bool,
) -> Result<Vec<String>, AdapterError> {
    if name.is_empty() || name.contains('.') {
        return Err(AdapterError::NoPlace {
            format: FORMAT,
            what: format!("an adapter named `{name}`"),
            remedy: "give it a name without dots",
        });
    }
    let base = BaseShape { n_layers: model.bert.n_layers(), d_model: model.bert.d_model() };
    let task = model.task.config();
    let adapter_settings = config::settings(&task.plan, base)?;
    let head_settings = head::settings(model, head)?;
    let hidden = task.head_hidden.is_some();
    let naming = names(&task.plan, base, name.to_owned(), Some(name.to_owned()), hidden);
    let mut all = tensors_of(directory, FORMAT, model, |path| naming.place(path))?;

    let mut warnings = Vec::new();
    let norms: Vec<String> =
        all.keys().filter(|name| name.contains("LayerNorm.")).cloned().collect();
    if !norms.is_empty() && layer_norms {
        warnings.push(
            "the trained LayerNorms are written: loading this adapter overwrites those of the base, also for every other adapter on it".to_owned(),
        );
    } else if !norms.is_empty() {
        warnings.push(
            "the trained LayerNorms are left out, for which AdapterHub has no place: the logits will be others; write them with --with-layer-norms, or train with a method that keeps them".to_owned(),
        );
        for name in norms {
            all.remove(&name);
        }
    }
    let copies: Vec<_> = all
        .iter()
        .flat_map(|(name, data)| {
            names::copies(name, base.n_layers).into_iter().map(|copy| (copy, data.clone()))
        })
        .collect();
    all.extend(copies);
    let (heads, adapter): (Tensors, Tensors) =
        all.into_iter().partition(|(name, _)| name.starts_with("heads."));
    let adapter: Tensors =
        adapter.into_iter().map(|(name, data)| (format!("bert.{name}"), data)).collect();

    let outer = |config: Value| {
        json!({
            "config": config,
            "hidden_size": base.d_model,
            "model_class": "BertAdapterModel",
            "model_name": "",
            "model_type": "bert",
            "name": name,
            "version": VERSION,
        })
    };
    make_directory(directory)?;
    for (file, tensors) in [("adapter", &adapter), ("model_head", &heads)] {
        write_safetensors(&directory.join(format!("{file}.safetensors")), tensors)?;
        let path = directory.join(format!("pytorch_{file}.bin"));
        let bytes = pickle::state_dict(tensors)
            .map_err(|source| AdapterError::Write { path: path.clone(), source })?;
        write(&path, &bytes)?;
    }
    write_json(&directory.join(CONFIG), &outer(adapter_settings))?;
    write_json(&directory.join(HEAD_CONFIG), &outer(head_settings))?;
    Ok(warnings)
}
