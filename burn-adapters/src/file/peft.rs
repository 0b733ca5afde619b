//! `PEFT`'s directories: `adapter_config.json` with `adapter_model.safetensors` or `adapter_model.bin`.
//!
//! Low-rank corrections, (IA)³ and tuned norms have a place there, and the `classifier` of a BERT with its pooler;
//! bottlenecks and prefixes have none.
//! <https://github.com/huggingface/peft/tree/v0.18.1/src/peft/tuners>

use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::TensorData;
use burn_bert::{Bert, Projection};
use serde_json::{Value, json};

use super::adapter_hub::names::{DENSE, dense};
use super::adapter_hub::numbered_labels;
use super::foreign::{
    Imported, Tensors, check_sizes, fill, find, make_directory, read_tensors, tensors_of,
    write_json, write_safetensors,
};
use super::layout::{Axes, Place};
use super::settings::Settings;
use crate::adapted::AdaptedBert;
use crate::error::{AdapterError, TensorProblems};
use crate::head::{HeadKind, Pooling};
use crate::layers::Layers;
use crate::low_rank::{LowRankPlan, RankScaling};
use crate::plan::{Plan, Tuned};
use crate::scale::ScalePlan;
use crate::task_adapter::TaskAdapterConfig;

const FORMAT: &str = "PEFT";
const CONFIG: &str = "adapter_config.json";
const PREFIX: &str = "base_model.model.";
/// Before the number of a layer.
const ENCODER: &str = "bert.encoder.layer.";
const POOLER: &str = "bert.pooler.dense";
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
    let mut settings = Settings::read(&directory.join(CONFIG))?;
    let task_type = settings.text("task_type", "SEQ_CLS")?;
    if task_type != "SEQ_CLS" {
        return Err(settings.refuse("task_type", &json!(task_type), "SEQ_CLS"));
    }
    let plan = plan(settings, bert.n_layers())?;
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

fn plan(mut settings: Settings, n_layers: usize) -> Result<Plan, AdapterError> {
    let mut plan = Plan::without_insertions(Tuned::Nothing);
    let kind = settings.text("peft_type", "")?;
    // Where the adapter came from, how it starts and what it drops out; and the head, which is looked for anyway.
    settings.skip(&[
        "auto_mapping",
        "base_model_name_or_path",
        "revision",
        "peft_version",
        "inference_mode",
        "modules_to_save",
        "init_lora_weights",
        "init_ia3_weights",
        "lora_dropout",
        "megatron_core",
        "qalora_group_size",
        "ensure_weight_tying",
    ]);
    match kind.as_str() {
        "LORA" => plan.low_rank = Some(low_rank(&mut settings, n_layers)?),
        "IA3" => plan.scale = Some(scale(&mut settings, n_layers)?),
        "LN_TUNING" => {
            settings.skip(&["target_modules"]);
            settings.must_be_off(&["exclude_modules"])?;
            plan.tuned = Tuned::LayerNorms;
        }
        other => {
            return Err(settings.refuse("peft_type", &json!(other), "LORA, IA3 or LN_TUNING"));
        }
    }
    settings.finish()?;
    Ok(plan)
}

/// What a list of modules hits: names, or endings of names that begin after a dot.
struct Targets {
    layers: Layers,
    projections: BTreeSet<Projection>,
    pooler: bool,
}

impl Targets {
    /// All layers that are hit have to be hit alike; where `only` names layers, nothing else is hit.
    fn of(modules: &[String], only: &[usize], n_layers: usize) -> Option<Self> {
        let hits = |name: &str| {
            let ends = |module: &String| {
                name.strip_suffix(module.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            modules.iter().any(ends)
        };
        let of_layer = |layer: usize| -> BTreeSet<Projection> {
            let named = Projection::ALL.into_iter().zip(DENSE);
            let hit = named.filter(|(_, dense)| hits(&format!("{ENCODER}{layer}.{dense}")));
            hit.map(|(projection, _)| projection).collect()
        };
        let layers: Vec<_> = (0..n_layers)
            .filter(|layer| only.is_empty() || only.contains(layer))
            .map(|layer| (layer, of_layer(layer)))
            .filter(|(_, projections)| !projections.is_empty())
            .collect();
        let projections = layers.first().map(|(_, first)| first.clone()).unwrap_or_default();
        let alike = layers.iter().all(|(_, of_layer)| *of_layer == projections);
        let all = layers.is_empty() || layers.len() == n_layers;
        alike.then(|| Self {
            layers: if all {
                Layers::All
            } else {
                Layers::Only(layers.into_iter().map(|(layer, _)| layer).collect())
            },
            projections,
            pooler: only.is_empty() && hits(POOLER),
        })
    }
}

/// The modules of a setting, if there are any.
fn targets(
    settings: &mut Settings,
    key: &str,
    only: &[usize],
    n_layers: usize,
) -> Result<Option<Targets>, AdapterError> {
    let Some(modules) = settings.texts(key)? else { return Ok(None) };
    let alike = Targets::of(&modules, only, n_layers);
    let expected = "the same modules in every layer that has any";
    alike.map(Some).ok_or_else(|| settings.refuse(key, &json!(modules), expected))
}

fn target_modules(
    settings: &mut Settings,
    only: &[usize],
    n_layers: usize,
) -> Result<Targets, AdapterError> {
    const KEY: &str = "target_modules";
    let targets = targets(settings, KEY, only, n_layers)?;
    targets.ok_or_else(|| settings.refuse(KEY, &Value::Null, "a list of modules"))
}

fn low_rank(settings: &mut Settings, n_layers: usize) -> Result<LowRankPlan, AdapterError> {
    let (rank, alpha) = (settings.size("r", 8)?, settings.number("lora_alpha", 8.0)?);
    let only = layers_to_transform(settings, n_layers)?;
    let Targets { layers, projections, pooler } = target_modules(settings, &only, n_layers)?;
    let mut plan = LowRankPlan { layers, pooler, ..LowRankPlan::new(projections, rank, alpha) };
    if settings.flag("use_rslora", false)? {
        plan.scaling = RankScaling::RootRank;
    }
    settings.must_be_off(&[
        "bias",
        "use_dora",
        "rank_pattern",
        "alpha_pattern",
        "fan_in_fan_out",
        "exclude_modules",
        "lora_bias",
        "use_qalora",
        "layer_replication",
        "loftq_config",
        "target_parameters",
        "trainable_token_indices",
    ])?;
    Ok(plan)
}

/// The layers that a list restricts an adapter to; empty where there is no list.
fn layers_to_transform(
    settings: &mut Settings,
    n_layers: usize,
) -> Result<Vec<usize>, AdapterError> {
    const KEY: &str = "layers_to_transform";
    // BERT's layers are found under this name with and without being told.
    let pattern = settings.take("layers_pattern").unwrap_or(Value::Null);
    if ![json!(null), json!([]), json!("layer"), json!(["layer"])].contains(&pattern) {
        return Err(settings.refuse("layers_pattern", &pattern, "`layer`, as BERT's are called"));
    }
    let layers = settings.sizes(KEY)?;
    match layers.iter().find(|layer| **layer >= n_layers) {
        Some(layer) => Err(settings.refuse(KEY, &json!(layer), &format!("less than {n_layers}"))),
        None => Ok(layers),
    }
}

fn scale(settings: &mut Settings, n_layers: usize) -> Result<ScalePlan, AdapterError> {
    let Targets { layers, projections, pooler } = target_modules(settings, &[], n_layers)?;
    let inputs = targets(settings, "feedforward_modules", &[], n_layers)?;
    if pooler {
        let expected = "projections of the encoder, without the pooler's";
        return Err(settings.refuse("target_modules", &json!("dense"), expected));
    }
    settings.must_be_off(&["fan_in_fan_out", "exclude_modules"])?;
    let inputs = inputs.map(|inputs| inputs.projections).unwrap_or_default();
    let inputs: BTreeSet<_> = inputs.intersection(&projections).copied().collect();
    let outputs = projections.difference(&inputs).copied().collect();
    Ok(ScalePlan { layers, outputs, inputs })
}

/// Where a parameter is, by its path in a task, without the prefixes.
fn place(path: &str) -> Option<Place> {
    let factor = |name: &str, of: &str| {
        let factor = match name {
            "a" => "lora_A",
            "b" => "lora_B",
            _ => return None,
        };
        Some(Place::linear(format!("{of}.{factor}.weight")))
    };
    if let Some(kind) = path.strip_prefix("head.linear.") {
        return Some(Place::linear(format!("classifier.{kind}")));
    }
    if let Some(name) = path.strip_prefix("pooler.") {
        return factor(name, "pooler.dense");
    }
    if let Some(kind) = path.strip_prefix("embeddings_norm.") {
        return norm("embeddings", kind);
    }
    let (index, rest) = path.strip_prefix("layers.")?.split_once('.')?;
    let (part, rest) = rest.split_once('.')?;
    let layer = format!("encoder.layer.{index}");
    match part {
        "attention" => norm(&format!("{layer}.attention.output"), rest.strip_prefix("norm.")?),
        "feed_forward" => norm(&format!("{layer}.output"), rest.strip_prefix("norm.")?),
        "low_rank" => {
            let (projection, name) = rest.split_once('.')?;
            factor(name, &format!("{layer}.{}", dense(projection)?))
        }
        "scale_output" | "scale_input" => {
            let (projection, _) = rest.split_once('.')?;
            let axes = if part == "scale_input" { Axes::Row } else { Axes::Column };
            Some(Place::whole(format!("{layer}.{}.ia3_l", dense(projection)?), axes))
        }
        _ => None,
    }
}

fn norm(site: &str, kind: &str) -> Option<Place> {
    let kind = match kind {
        "gamma" => "weight",
        "beta" => "bias",
        _ => return None,
    };
    Some(Place::whole(format!("{site}.LayerNorm.ln_tuning_layers.{kind}"), Axes::Same))
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
    let config = model.task.config();
    let no_place = |what: &str, remedy| AdapterError::NoPlace {
        format: FORMAT,
        what: what.to_owned(),
        remedy,
    };
    if *head == HeadKind::Span {
        return Err(no_place("a head that finds answers in texts", "keep our own file"));
    }
    if config.pooling != Pooling::Pooler || config.head_hidden.is_some() {
        let remedy = "train with the pooling `pooler`, which BertForSequenceClassification has";
        return Err(no_place("a head that is not one layer on the pooler", remedy));
    }
    let settings = settings(&config.plan, base, model.bert.n_layers())?;
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

fn settings(plan: &Plan, base: &str, n_layers: usize) -> Result<Value, AdapterError> {
    let no_place = |what: &str| AdapterError::NoPlace {
        format: FORMAT,
        what: what.to_owned(),
        remedy: "export to AdapterHub, or keep our own file",
    };
    // Whole names: an ending such as `output.dense` would hit the attention's as well.
    let modules = |layers: &Layers, projections: &BTreeSet<Projection>| -> Vec<String> {
        let named = || Projection::ALL.into_iter().zip(DENSE);
        let of_layer = |layer: usize| {
            let named = named().filter(|(projection, _)| projections.contains(projection));
            named.map(move |(_, dense)| format!("{ENCODER}{layer}.{dense}"))
        };
        (0..n_layers).filter(|layer| layers.contains(*layer)).flat_map(of_layer).collect()
    };
    let common = json!({
        "task_type": "SEQ_CLS",
        "base_model_name_or_path": base,
        "inference_mode": true,
        "modules_to_save": ["classifier", "score"],
        "peft_version": "0.18.1",
    });
    let own = match (plan.low_rank.as_ref(), plan.scale.as_ref(), plan.tuned) {
        _ if plan.bottleneck.is_some() => return Err(no_place("a bottleneck")),
        _ if plan.prefix.is_some() => return Err(no_place("a prefix with a head")),
        (Some(low_rank), None, Tuned::Nothing) if !low_rank.gate => {
            let mut targets = modules(&low_rank.layers, &low_rank.projections);
            if low_rank.pooler {
                targets.push(POOLER.to_owned());
            }
            json!({
                "peft_type": "LORA",
                "r": low_rank.rank,
                "lora_alpha": low_rank.alpha,
                "use_rslora": low_rank.scaling == RankScaling::RootRank,
                "lora_dropout": 0.0,
                "bias": "none",
                "target_modules": targets,
            })
        }
        (None, Some(scale), Tuned::Nothing) if scale.inputs.is_disjoint(&scale.outputs) => {
            let inputs = modules(&scale.layers, &scale.inputs);
            let mut targets = modules(&scale.layers, &scale.outputs);
            targets.extend(inputs.clone());
            json!({ "peft_type": "IA3", "target_modules": targets, "feedforward_modules": inputs })
        }
        (None, None, Tuned::LayerNorms) => {
            json!({ "peft_type": "LN_TUNING", "target_modules": ["LayerNorm"] })
        }
        _ => return Err(no_place("this union of things that are tuned")),
    };
    let (Value::Object(mut common), Value::Object(own)) = (common, own) else {
        unreachable!("both are written above as objects")
    };
    common.extend(own);
    Ok(Value::Object(common))
}
