//! `AdapterHub`'s directories, which `save_adapter` of the Python package `adapters` writes and `load_adapter` reads.
//!
//! `adapter_config.json` with `adapter.safetensors` or `pytorch_adapter.bin`, and, with a head, `head_config.json` with
//! `model_head.safetensors` or `pytorch_model_head.bin`.
//! The package is <https://github.com/adapter-hub/adapters/tree/v1.3.0>.

mod config;
mod head;
mod names;

use std::path::Path;

use burn_bert::{Bert, Encoder, Family};
use serde_json::{Value, json};

use self::config::{FORMAT, Version};
use self::head::HubHead;
use self::names::{FamilyNames, Names, family_names};
use super::base_names::BaseNames;
use super::directory::{
    Imported, Tensors, check_sizes, fill, find, make_directory, read_tensors, tensors_of, write,
    write_json, write_safetensors,
};
use super::pickle;
use super::settings::Settings;
use crate::error::{AdapterError, BaseShape, FileError, InterchangeError, TensorProblems};
use crate::methods::bottleneck::InnerNorm;
use crate::methods::plan::{AdapterPlan, TrainableBase};
use crate::model::TaskAdapterConfig;
use crate::model::adapted::AdaptedBert;
use crate::model::head::HeadKind;

/// The version whose format is written.
const VERSION: &str = "adapters.1.3.0";
const CONFIG: &str = "adapter_config.json";
const FUSION_CONFIG: &str = "adapter_fusion_config.json";
const HEAD_CONFIG: &str = "head_config.json";
/// The paper's and BERT's; files do not have the base's.
const HEAD_DROPOUT: f64 = 0.1;

/// Reads an adapter and its head, and joins them with their base.
///
/// A directory without a head gets an untrained one with these `labels`; if there is a head, they replace its own.
///
/// # Errors
/// If a file is missing or damaged, a setting is not supported (the error names it, and supported values), or a tensor is
/// missing, unexpected, of another shape or not finite (all are named).
pub fn read(
    directory: &Path,
    bert: Bert,
    labels: Option<Vec<String>>,
) -> Result<Imported, AdapterError> {
    let base = shape(&bert);
    let base_names = BaseNames::new(&bert);
    let config_path = directory.join(CONFIG);
    let fusion = directory.join(FUSION_CONFIG);
    if fusion.is_file() && !config_path.is_file() {
        return Err(InterchangeError::IsFusion { path: fusion }.into());
    }
    let (name, mut plan) = plan_of(Settings::read(&config_path)?, bert.family(), base)?;
    let family = supported(bert.family())?;

    let path = find(directory, &["adapter.safetensors", "pytorch_adapter.bin"])?;
    let mut tensors = renamed(&path, read_tensors(&path)?, base_names)?;
    let mut warnings = family_warnings(&plan, family);
    let head_config = directory.join(HEAD_CONFIG);
    let head = if head_config.is_file() {
        let head = HubHead::from_settings(Settings::read(&head_config)?, base_names)?;
        let head_path = find(directory, &["model_head.safetensors", "pytorch_model_head.bin"])?;
        tensors.extend(renamed(&head_path, read_tensors(&head_path)?, base_names)?);
        Some(head)
    } else {
        None
    };
    let fresh: &[&str] = if head.is_none() { &["head."] } else { &[] };
    let head = match (head, labels) {
        (Some(mut head), Some(labels)) => {
            head.kind = head.kind.relabeled(labels)?;
            head
        }
        (Some(head), None) => head,
        (None, Some(labels)) => {
            warnings.push("the directory has no head: this one is untrained".to_owned());
            let outputs = labels.len();
            HubHead {
                name: None,
                kind: HeadKind::with_labels(labels, outputs)?,
                pooling: crate::model::head::Pooling::FirstToken,
                hidden: None,
            }
        }
        (None, None) => {
            return Err(InterchangeError::NoHead { directory: directory.to_owned() }.into());
        }
    };

    if fresh.is_empty() {
        check_sizes(&path, &plan, head.kind.outputs(), &tensors)?;
    } else {
        check_sizes(&path, &plan, 1, &tensors)?;
    }
    let hidden = head.hidden.is_some();
    let named = base_names.of_head(&head.kind);
    let naming = names(&plan, base, (named, family), name.clone(), head.name.clone(), hidden);
    if tensors.keys().any(|name| naming.is_norm(name)) {
        plan.trainable_base = TrainableBase::LayerNorms;
    }
    drop_copies(&mut tensors, &naming, base.n_layers);
    let config = TaskAdapterConfig::new(plan, head.kind.clone())
        .with_pooling(head.pooling)
        .with_head_dropout(HEAD_DROPOUT)
        .with_head_hidden(head.hidden);
    let model = fill(&path, bert, &config, tensors, |path| naming.locate(path), fresh)?;
    Ok(Imported { model, name, head: head.kind, warnings })
}

/// An adapter's name and plan from the bytes of an `adapter_config.json`; `path` is for error messages.
///
/// # Errors
/// If they are not JSON, or a setting is not supported.
pub fn parse_settings(
    path: &Path,
    bytes: &[u8],
    bert: &Bert,
) -> Result<(String, AdapterPlan), AdapterError> {
    plan_of(Settings::parse(path, bytes)?, bert.family(), shape(bert))
}

/// What a head predicts, from the bytes of a `head_config.json` for a base.
///
/// # Errors
/// If they are not JSON, or a setting is not supported.
pub fn parse_head(path: &Path, bytes: &[u8], bert: &Bert) -> Result<HeadKind, AdapterError> {
    let settings = Settings::parse(path, bytes)?;
    HubHead::from_settings(settings, BaseNames::new(bert)).map(|head| head.kind)
}

fn shape(bert: &Bert) -> BaseShape {
    BaseShape { n_layers: bert.n_layers(), d_model: bert.d_model() }
}

/// The package's names for a family.
fn supported(family: Family) -> Result<FamilyNames, InterchangeError> {
    family_names(family).ok_or_else(|| InterchangeError::Unsupported {
        format: FORMAT,
        what: format!("models of the family {}", family.name()),
        remedy: "export to PEFT where it holds the method, or keep our own file",
    })
}

/// What the package computes differently on models of a family.
fn family_warnings(plan: &AdapterPlan, family: FamilyNames) -> Vec<String> {
    let prefix = family.prefix_warning.filter(|_| plan.prefix.is_some());
    let padding = family.padding_warning.filter(|_| plan.depends_on_padding());
    prefix.into_iter().chain(padding).map(str::to_owned).collect()
}

fn plan_of(
    mut file: Settings,
    family: Family,
    base: BaseShape,
) -> Result<(String, AdapterPlan), AdapterError> {
    let version = file.take("version");
    let version = Version::parse(version.as_ref().and_then(Value::as_str));
    let name = file.text("name", "default")?;
    let expected = family.model_type();
    let model_type = file.text("model_type", expected)?;
    if model_type != expected {
        let expected = format!("{expected}, as the base is");
        return Err(file.refuse("model_type", &json!(model_type), &expected));
    }
    let width = file.size("hidden_size", base.d_model)?;
    if width != base.d_model {
        return Err(file.refuse("hidden_size", &json!(width), &base.d_model.to_string()));
    }
    // Other entries are the description that was given to `save_adapter`.
    let Some(settings) = file.object("config")? else {
        return Err(file.refuse("config", &Value::Null, "the adapter's settings"));
    };
    Ok((name, config::plan(settings, version, base)?))
}

fn names(
    plan: &AdapterPlan,
    base: BaseShape,
    (base_names, family): (BaseNames, FamilyNames),
    adapter: String,
    head: Option<String>,
    hidden: bool,
) -> Names {
    let prefix = plan.prefix.as_ref();
    let has_prefix = |layer: &usize| prefix.is_some_and(|plan| plan.layers.contains(*layer));
    let bottleneck = plan.bottleneck.as_ref();
    Names {
        base: base_names,
        family,
        adapter,
        head,
        hidden,
        inner_norm: bottleneck.is_some_and(|plan| plan.inner_norm == InnerNorm::Layer),
        prefix_layers: (0..base.n_layers).filter(has_prefix).collect(),
    }
}

/// Replaces names of 2020, and removes the prefix of models with heads.
fn renamed(path: &Path, tensors: Tensors, base: BaseNames) -> Result<Tensors, AdapterError> {
    const OLD: [(&str, &str); 4] = [
        ("attention_text_task_adapters", "adapters"),
        ("attention_text_lang_adapters", "adapters"),
        ("layer_text_task_adapters", "adapters"),
        ("layer_text_lang_adapters", "adapters"),
    ];
    let mut renamed = Tensors::new();
    for (name, data) in tensors {
        let new = name.strip_prefix(base.prefix).unwrap_or(&name);
        let new = OLD.iter().fold(new.to_owned(), |new, (old, now)| new.replace(old, now));
        if renamed.insert(new.clone(), data).is_some() {
            let problems = TensorProblems {
                wrong: vec![format!("{new} is there twice")],
                ..Default::default()
            };
            return Err(FileError::Tensors { path: path.to_owned(), problems }.into());
        }
    }
    Ok(renamed)
}

/// Removes identical copies of shared tensors.
fn drop_copies(tensors: &mut Tensors, names: &Names, n_layers: usize) {
    let all: Vec<String> = tensors.keys().cloned().collect();
    for name in all {
        for copy in names.copies(&name, n_layers) {
            if tensors.get(&copy).is_some_and(|copy| Some(copy) == tensors.get(&name)) {
                tensors.remove(&copy);
            }
        }
    }
}

/// Writes a model as a directory that the package's `load_adapter` reads; returns warnings about lossy conversions.
///
/// The package does not support trained `LayerNorm`s.
/// With `layer_norms` they are written nevertheless, and loading the adapter overwrites those of the base there.
///
/// # Errors
/// If the format does not support something of the task, a weight is not finite, or a file cannot be written.
pub fn write_directory(
    directory: &Path,
    model: &AdaptedBert,
    name: &str,
    head: &HeadKind,
    layer_norms: bool,
) -> Result<Vec<String>, AdapterError> {
    if name.is_empty() || name.contains('.') {
        return Err(InterchangeError::Unsupported {
            format: FORMAT,
            what: format!("an adapter named `{name}`"),
            remedy: "give it a name without dots",
        }
        .into());
    }
    let base = shape(&model.bert);
    let family = model.bert.family();
    let (base_names, family_names) = (BaseNames::new(&model.bert), supported(family)?);
    let task = model.task.config();
    let adapter_settings = config::settings(&task.plan, base)?;
    let head_settings = head::settings(model, head)?;
    let hidden = task.head_hidden.is_some();
    let named = || name.to_owned();
    let naming =
        names(&task.plan, base, (base_names, family_names), named(), Some(named()), hidden);
    let mut all = tensors_of(directory, FORMAT, model, |path| naming.locate(path))?;

    let mut warnings = family_warnings(&task.plan, family_names);
    let norms: Vec<String> = all.keys().filter(|name| naming.is_norm(name)).cloned().collect();
    if !norms.is_empty() && layer_norms {
        warnings.push(
            "the trained LayerNorms are written: loading this adapter overwrites those of the base, also for every other adapter on it".to_owned(),
        );
    } else if !norms.is_empty() {
        warnings.push(
            "the trained LayerNorms are left out, because AdapterHub has no place for them, and the logits will differ from those here; write them with --with-layer-norms, or train with a method that does not train LayerNorms".to_owned(),
        );
        for name in norms {
            all.remove(&name);
        }
    }
    let copies: Vec<_> = all
        .iter()
        .flat_map(|(name, data)| {
            naming.copies(name, base.n_layers).into_iter().map(|copy| (copy, data.clone()))
        })
        .collect();
    all.extend(copies);
    let (heads, adapter): (Tensors, Tensors) =
        all.into_iter().partition(|(name, _)| name.starts_with("heads."));
    let adapter: Tensors = adapter
        .into_iter()
        .map(|(name, data)| (format!("{}{name}", base_names.prefix), data))
        .collect();

    let outer = |config: Value| {
        json!({
            "config": config,
            "hidden_size": base.d_model,
            "model_class": family_names.model_class,
            "model_name": "",
            "model_type": family.model_type(),
            "name": name,
            "version": VERSION,
        })
    };
    make_directory(directory)?;
    for (file, tensors) in [("adapter", &adapter), ("model_head", &heads)] {
        write_safetensors(&directory.join(format!("{file}.safetensors")), tensors)?;
        let path = directory.join(format!("pytorch_{file}.bin"));
        let bytes = pickle::state_dict(tensors)
            .map_err(|source| FileError::Write { path: path.clone(), source })?;
        write(&path, &bytes)?;
    }
    write_json(&directory.join(CONFIG), &outer(adapter_settings))?;
    write_json(&directory.join(HEAD_CONFIG), &outer(head_settings))?;
    Ok(warnings)
}
