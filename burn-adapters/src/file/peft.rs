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
use crate::low_rank::{LowRankPlan, RankScaling};
use crate::plan::{Plan, Tuned};
use crate::scale::ScalePlan;
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
    let mut settings = Settings::read(&directory.join(CONFIG))?;
    let task_type = settings.text("task_type", "SEQ_CLS")?;
    if task_type != "SEQ_CLS" {
        return Err(settings.refuse("task_type", &json!(task_type), "SEQ_CLS"));
    }
    let plan = plan(settings)?;
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
        Some(labels) if labels.len() != outputs => {
            return Err(AdapterError::HeadKind { described: labels.len(), found: outputs });
        }
        Some(labels) => HeadKind::Classification { labels },
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

fn plan(mut settings: Settings) -> Result<Plan, AdapterError> {
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
        "LORA" => plan.low_rank = Some(low_rank(&mut settings)?),
        "IA3" => plan.scale = Some(scale(&mut settings)?),
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

/// The projections that a list of endings hits, and whether the pooler's is among them.
fn targets(modules: &[String]) -> (BTreeSet<Projection>, bool) {
    let hits = |dense: &str| {
        modules.iter().any(|module| {
            dense
                .strip_suffix(module.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    };
    let projections = Projection::ALL.into_iter().zip(DENSE);
    let projections = projections.filter(|(_, dense)| hits(&format!("encoder.layer.{dense}")));
    (projections.map(|(projection, _)| projection).collect(), hits("pooler.dense"))
}

fn target_modules(settings: &mut Settings) -> Result<Vec<String>, AdapterError> {
    const KEY: &str = "target_modules";
    let Some(modules) = settings.texts(KEY)? else {
        return Err(settings.refuse(KEY, &Value::Null, "a list of modules"));
    };
    Ok(modules)
}

fn low_rank(settings: &mut Settings) -> Result<LowRankPlan, AdapterError> {
    let (rank, alpha) = (settings.size("r", 8)?, settings.number("lora_alpha", 8.0)?);
    let (projections, pooler) = targets(&target_modules(settings)?);
    let mut plan = LowRankPlan { pooler, ..LowRankPlan::new(projections, rank, alpha) };
    if settings.flag("use_rslora", false)? {
        plan.scaling = RankScaling::RootRank;
    }
    settings.must_be_off(&[
        "bias",
        "use_dora",
        "rank_pattern",
        "alpha_pattern",
        "fan_in_fan_out",
        "layers_to_transform",
        "layers_pattern",
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

fn scale(settings: &mut Settings) -> Result<ScalePlan, AdapterError> {
    let (all, pooler) = targets(&target_modules(settings)?);
    let (inputs, _) = targets(&settings.texts("feedforward_modules")?.unwrap_or_default());
    if pooler {
        return Err(settings.refuse(
            "target_modules",
            &json!("dense"),
            "projections of the encoder",
        ));
    }
    settings.must_be_off(&["fan_in_fan_out", "exclude_modules"])?;
    let inputs: BTreeSet<_> = inputs.intersection(&all).copied().collect();
    let mut plan = ScalePlan::new(all.difference(&inputs).copied().collect());
    plan.inputs = inputs;
    Ok(plan)
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
    let settings = settings(&config.plan, base)?;
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

fn settings(plan: &Plan, base: &str) -> Result<Value, AdapterError> {
    let no_place = |what: &str| AdapterError::NoPlace {
        format: FORMAT,
        what: what.to_owned(),
        remedy: "export to AdapterHub, or keep our own file",
    };
    // A list of full names is as good as endings, and says which layers.
    let modules = |layers: &crate::layers::Layers, projections: &BTreeSet<Projection>| match layers
    {
        crate::layers::Layers::All => {
            let named = Projection::ALL.into_iter().zip(DENSE);
            let named = named.filter(|(projection, _)| projections.contains(projection));
            let endings = named.map(|(projection, dense)| match projection {
                // `output.dense` alone would be the end of the attention's as well.
                Projection::FeedForwardOut => ".output.dense".to_owned(),
                _ => dense.to_owned(),
            });
            Ok(endings.collect::<Vec<String>>())
        }
        _ => Err(no_place("corrections of some layers only")),
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
            let mut targets = modules(&low_rank.layers, &low_rank.projections)?;
            if low_rank.pooler {
                targets.push("pooler.dense".to_owned());
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
            let inputs = modules(&scale.layers, &scale.inputs)?;
            let mut targets = modules(&scale.layers, &scale.outputs)?;
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
