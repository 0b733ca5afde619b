//! Conversion between `PEFT`'s settings and plans.
//!
//! <https://github.com/huggingface/peft/blob/v0.18.1/src/peft/config.py>, and `config.py` of each tuner.

use std::collections::BTreeSet;

use burn_bert::{Bert, Encoder, Projection};
use serde_json::{Value, json};

use super::joined::{JoinedLora, PARTS, of_joined};
use super::targets::{Targets, alike, names};
use crate::error::{AdapterError, InterchangeError};
use crate::interchange::base_names::BaseNames;
use crate::interchange::settings::{Harmless, Settings};
use crate::methods::ia3::Ia3Config;
use crate::methods::layers::Layers;
use crate::methods::lora::{DoraFormula, LoraConfig, RankScaling};
use crate::methods::plan::{AdapterPlan, TrainableBase};
use crate::model::HeadKind;

/// The name of the format in messages.
pub(super) const FORMAT: &str = "PEFT";

/// Settings of every class that do not change results, and the reasons.
const OF_ALL: &[Harmless] = &[
    ("base_model_name_or_path", "where the base came from; the tensors tell whether it fits"),
    ("revision", "the same"),
    ("peft_version", "which release wrote the file; what it does not know, it does not write"),
    ("inference_mode", "whether the loaded weights train"),
];
/// Those of `LoraConfig`; the last is of releases 0.1 and 0.2.
const OF_LORA: &[Harmless] = &[
    ("lora_dropout", "of training"),
    ("eva_config", "how weights start that are in the file"),
    ("corda_config", "the same, for a start that is refused"),
    ("loftq_config", "the same, for a start that is refused"),
    ("megatron_core", "the name of a Python module, for `megatron_config`, which is refused"),
    ("qalora_group_size", "of `use_qalora`, which is refused"),
    ("ensure_weight_tying", "of embeddings in `modules_to_save`, which are refused"),
    ("merge_weights", "whether weights were merged for inference, which changes none of them"),
];
/// Those of `IA3Config`.
const OF_IA3: &[Harmless] = &[("init_ia3_weights", "how weights start that are in the file")];

/// Initializations that leave the base unchanged. Others (`pissa`, `olora`, `corda`, `loftq`) subtract the initial update
/// from the base's weights, and again when the adapter is loaded.
const KEPT_BASE_INITS: [&str; 3] = ["gaussian", "orthogonal", "eva"];

/// What settings say.
pub(super) struct Read {
    pub(super) plan: AdapterPlan,
    /// About joined matrices.
    pub(super) joined: Option<JoinedLora>,
    /// Whether the classifier is that of words.
    pub(super) labels_words: bool,
}

/// The plan for settings.
pub(super) fn read(mut settings: Settings, base: &Bert) -> Result<Read, AdapterError> {
    let task_type = settings.text("task_type", "")?;
    if !["", SEQUENCE, TOKENS].contains(&task_type.as_str()) {
        let expected = format!("{SEQUENCE} or {TOKENS}");
        return Err(settings.refuse("task_type", &json!(task_type), &expected));
    }
    let mut plan = AdapterPlan::new(TrainableBase::Nothing);
    let mut joined = None;
    let kind = settings.text("peft_type", "")?;
    settings.skip(OF_ALL);
    let names = BaseNames::new(base);
    let labels_words = check_model(&mut settings, names)? || task_type == TOKENS;
    let names = if labels_words { names.of_words() } else { names };
    check_modules_to_save(&mut settings, names)?;
    match kind.as_str() {
        "LORA" => {
            let (lora, of_joined) = read_lora(&mut settings, base)?;
            (plan.lora, joined) = (Some(lora), Some(of_joined));
        }
        "IA3" => plan.ia3 = Some(read_ia3(&mut settings, base)?),
        "LN_TUNING" => {
            settings.must_be_off(&["exclude_modules"])?;
            let (modules, targets) = target_modules(&mut settings, base)?;
            if !targets.are_all_norms() {
                let expected = "every LayerNorm and nothing else, such as [\"LayerNorm\"]";
                return Err(settings.refuse(TARGETS, &json!(modules), expected));
            }
            plan.trainable_base = TrainableBase::LayerNorms;
        }
        other => {
            return Err(settings.refuse("peft_type", &json!(other), "LORA, IA3 or LN_TUNING"));
        }
    }
    settings.finish()?;
    Ok(Read { plan, joined, labels_words })
}

const SEQUENCE: &str = "SEQ_CLS";
const TOKENS: &str = "TOKEN_CLS";
const TARGETS: &str = "target_modules";
const ALIKE: &str = "the same modules in every layer that has any";

/// Without a task type, the model's class is used instead; the result is whether it is that of words.
fn check_model(settings: &mut Settings, base: BaseNames) -> Result<bool, AdapterError> {
    const KEY: &str = "auto_mapping";
    let Some(mapping) = settings.take(KEY) else { return Ok(false) };
    let (of_texts, of_words) = (base.classifier.architecture, base.classifier.token_classification);
    let class = mapping.get("base_model_class").and_then(Value::as_str);
    match class {
        Some(class) if class == of_texts => Ok(false),
        Some(class) if class == of_words => Ok(true),
        _ => {
            let expected = format!("the `base_model_class` {of_texts} or {of_words}");
            Err(settings.refuse(KEY, &mapping, &expected))
        }
    }
}

/// The modules of the head; PEFT adds the first two for every sequence classifier.
fn modules_to_save(base: BaseNames) -> Vec<&'static str> {
    let mut modules = vec!["classifier", "score"];
    // `classifier.dense` is inside of a module that is saved as a whole.
    let hidden = base.classifier.hidden.and_then(|hidden| hidden.name.split('.').next());
    modules.extend(hidden.filter(|module| *module != "classifier"));
    modules
}

/// The head is read anyway; other fully trained modules are not supported.
fn check_modules_to_save(settings: &mut Settings, base: BaseNames) -> Result<(), AdapterError> {
    const KEY: &str = "modules_to_save";
    let modules = settings.texts(KEY)?.unwrap_or_default();
    let known = modules_to_save(base);
    match modules.iter().find(|module| !known.contains(&module.as_str())) {
        None => Ok(()),
        Some(other) => {
            Err(settings.refuse(KEY, &json!(other), &format!("one of {}", known.join(", "))))
        }
    }
}

/// The target modules by name, and as modules of the base.
fn target_modules(
    settings: &mut Settings,
    base: &Bert,
) -> Result<(Vec<String>, Targets), AdapterError> {
    let modules = settings.texts(TARGETS)?;
    let modules =
        modules.ok_or_else(|| settings.refuse(TARGETS, &Value::Null, "a list of modules"))?;
    let targets = Targets::find(|module| names(module, &modules), base);
    Ok((modules, targets))
}

fn read_lora(
    settings: &mut Settings,
    base: &Bert,
) -> Result<(LoraConfig, JoinedLora), AdapterError> {
    let (rank, alpha) = (settings.size("r", 8)?, settings.number("lora_alpha", 8.0)?);
    check_init(settings)?;
    let only = layers_to_transform(settings, base)?;
    let (modules, targets) = target_modules(settings, base)?;
    let targets = targets.only_in(&only);
    let refuse = |expected| settings.refuse(TARGETS, &json!(modules), expected);
    if targets.others {
        return Err(refuse("linear layers of the encoder's layers, no embeddings"));
    }
    let pooler = targets.pooler;
    let (layers, projections) =
        alike(targets.layers, BTreeSet::is_empty).ok_or_else(|| refuse(ALIKE))?;
    if projections.is_empty() && !pooler {
        return Err(refuse("a linear layer of the base's among them"));
    }
    let mut plan = LoraConfig { layers, pooler, ..LoraConfig::new(projections, rank, alpha) };
    if settings.flag("use_rslora", false)? {
        plan.scaling = RankScaling::RankStabilized;
    }
    plan.dora = settings.flag("use_dora", false)?.then_some(DoraFormula::Peft);
    let joined = JoinedLora {
        rank: of_joined(settings, "rank_pattern", base)?.unwrap_or(rank),
        alpha: of_joined(settings, "alpha_pattern", base)?.unwrap_or(alpha),
    };
    settings.skip(OF_LORA);
    settings.must_be_off(&[
        "bias",
        "fan_in_fan_out",
        "exclude_modules",
        "lora_bias",
        "use_qalora",
        "layer_replication",
        "target_parameters",
        "trainable_token_indices",
        "megatron_config",
        "alora_invocation_tokens",
        "arrow_config",
        // Of releases 0.1 and 0.2.
        "enable_lora",
    ])?;
    Ok((plan, joined))
}

/// Rejects initializations that change the base.
fn check_init(settings: &mut Settings) -> Result<(), AdapterError> {
    const KEY: &str = "init_lora_weights";
    match settings.take(KEY) {
        None | Some(Value::Bool(_)) => Ok(()),
        Some(Value::String(start)) if KEPT_BASE_INITS.contains(&start.to_lowercase().as_str()) => {
            Ok(())
        }
        Some(other) => {
            let expected = format!(
                "true, false or {}, which leave the base as it is; save with `path_initial_model_for_weight_conversion` to make it one of these",
                KEPT_BASE_INITS.join(", ")
            );
            Err(settings.refuse(KEY, &other, &expected))
        }
    }
}

/// The layers to which a list restricts an adapter; empty without a list.
fn layers_to_transform(settings: &mut Settings, base: &Bert) -> Result<Vec<usize>, AdapterError> {
    const KEY: &str = "layers_to_transform";
    // The layers are found under this name, `layer` or `layers`, even if it is not given.
    let name = base.checkpoint_paths().layers.rsplit('.').next().unwrap_or_default();
    let pattern = settings.take("layers_pattern").unwrap_or(Value::Null);
    if ![json!(null), json!([]), json!(name), json!([name])].contains(&pattern) {
        let expected = format!("`{name}`, as the base's layers are called");
        return Err(settings.refuse("layers_pattern", &pattern, &expected));
    }
    let layers = settings.sizes(KEY)?;
    match layers.iter().find(|layer| **layer >= base.n_layers()) {
        Some(layer) => {
            Err(settings.refuse(KEY, &json!(layer), &format!("less than {}", base.n_layers())))
        }
        None => Ok(layers),
    }
}

fn read_ia3(settings: &mut Settings, base: &Bert) -> Result<Ia3Config, AdapterError> {
    const INPUTS: &str = "feedforward_modules";
    let (modules, targets) = target_modules(settings, base)?;
    if targets.pooler || targets.others {
        let expected = "projections of the encoder, without the pooler's";
        return Err(settings.refuse(TARGETS, &json!(modules), expected));
    }
    // `_check_target_module_feedforward` matches any ending, also one that does not start after a dot.
    let endings = settings.texts(INPUTS)?.unwrap_or_default();
    let is_input = |module: &str| endings.iter().any(|ending| module.ends_with(ending.as_str()));
    let inputs = Targets::find(is_input, base).layers;
    let of_layer = |(targets, inputs): (BTreeSet<Projection>, BTreeSet<Projection>)| {
        let outputs: BTreeSet<_> = targets.difference(&inputs).copied().collect();
        let inputs: BTreeSet<_> = targets.intersection(&inputs).copied().collect();
        (outputs, inputs)
    };
    let of_layers = targets.layers.into_iter().zip(inputs).map(of_layer);
    let nothing = |(outputs, inputs): &(BTreeSet<Projection>, BTreeSet<Projection>)| {
        outputs.is_empty() && inputs.is_empty()
    };
    let refuse = |expected| settings.refuse(TARGETS, &json!(modules), expected);
    let (layers, (outputs, inputs)) = alike(of_layers, nothing).ok_or_else(|| refuse(ALIKE))?;
    if outputs.is_empty() && inputs.is_empty() {
        return Err(refuse("a linear layer of the base's among them"));
    }
    settings.skip(OF_IA3);
    settings.must_be_off(&["fan_in_fan_out", "exclude_modules"])?;
    Ok(Ia3Config { layers, outputs, inputs })
}

/// The settings for a plan.
pub(super) fn settings(
    plan: &AdapterPlan,
    base_name: &str,
    (base, head): (&Bert, &HeadKind),
    joined: Option<JoinedLora>,
) -> Result<Value, AdapterError> {
    let names = BaseNames::new(base).of_head(head);
    let (BaseNames { prefix, paths, .. }, n_layers) = (names, base.n_layers());
    let unsupported = |what: &str| InterchangeError::Unsupported {
        format: FORMAT,
        what: what.to_owned(),
        remedy: "use `--format adapter-hub`, or the adapter file itself",
    };
    // Full names: an ending such as `output.dense` would match the attention's as well.
    let modules = |layers: &Layers, projections: &BTreeSet<Projection>| -> Vec<String> {
        let of_layer = |layer: usize| {
            let all = Projection::ALL.into_iter().filter(|at| projections.contains(at));
            all.map(move |projection| format!("{prefix}{}", paths.projection(layer, projection)))
        };
        let layers = (0..n_layers).filter(|layer| layers.contains(*layer));
        let mut modules: Vec<String> = layers.flat_map(of_layer).collect();
        // Query, key and value may be one.
        modules.dedup();
        modules
    };
    let common = json!({
        "task_type": if head.reads_tokens() { TOKENS } else { SEQUENCE },
        "base_model_name_or_path": base_name,
        "inference_mode": true,
        "modules_to_save": modules_to_save(names),
        "peft_version": "0.18.1",
    });
    let own = match (plan.lora.as_ref(), plan.ia3.as_ref(), plan.trainable_base) {
        _ if plan.bottleneck.is_some() => return Err(unsupported("a bottleneck").into()),
        _ if plan.prefix.is_some() => return Err(unsupported("a prefix with a head").into()),
        (Some(LoraConfig { dora: Some(DoraFormula::AdapterHub), .. }), ..) => {
            let what = "DoRA with AdapterHub's formula: `use_dora` has another formula there";
            return Err(unsupported(what).into());
        }
        (Some(lora), None, TrainableBase::Nothing) if !lora.gate => {
            let mut targets = modules(&lora.layers, &lora.projections);
            if lora.pooler {
                targets.push(format!("{prefix}{}", paths.pooler_dense()));
            }
            let mut settings = json!({
                "peft_type": "LORA",
                "r": lora.rank,
                "lora_alpha": lora.alpha,
                "use_rslora": lora.scaling == RankScaling::RankStabilized,
                "lora_dropout": 0.0,
                "bias": "none",
                "target_modules": targets,
            });
            if lora.dora.is_some() {
                settings["use_dora"] = json!(true);
            }
            if let Some((joined, name)) = joined.zip(names.joined()) {
                let has_others = lora.projections.iter().any(|at| !PARTS.contains(at));
                if !has_others {
                    (settings["r"], settings["lora_alpha"]) =
                        (json!(joined.rank), json!(joined.alpha));
                } else if joined.rank != lora.rank {
                    settings["rank_pattern"] = json!({ name: joined.rank });
                    settings["alpha_pattern"] = json!({ name: joined.alpha });
                }
            }
            settings
        }
        (None, Some(ia3), TrainableBase::Nothing) if ia3.inputs.is_disjoint(&ia3.outputs) => {
            let inputs = modules(&ia3.layers, &ia3.inputs);
            let mut targets = modules(&ia3.layers, &ia3.outputs);
            targets.extend(inputs.clone());
            json!({ "peft_type": "IA3", "target_modules": targets, "feedforward_modules": inputs })
        }
        (None, None, TrainableBase::LayerNorms) => {
            let norms =
                base.norm_sites().into_iter().map(|site| format!("{prefix}{}", paths.norm(site)));
            json!({ "peft_type": "LN_TUNING", "target_modules": norms.collect::<Vec<_>>() })
        }
        _ => return Err(unsupported("this union of things that are tuned").into()),
    };
    let (Value::Object(mut common), Value::Object(own)) = (common, own) else {
        unreachable!("both are written above as objects")
    };
    common.extend(own);
    Ok(Value::Object(common))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use burn_bert::BertConfig;
    use serde_json::Map;

    use super::*;

    /// What each class writes (`goldens/settings.py`), with modules to change.
    fn written() -> Vec<(String, Map<String, Value>)> {
        let all = include_str!("../../../tests/fixtures/settings.json");
        let all: Value = serde_json::from_str(all).unwrap();
        let classes = all["peft"].as_object().unwrap().iter();
        let filled = classes.map(|(class, settings)| {
            let mut settings = settings.as_object().unwrap().clone();
            let modules = match class.as_str() {
                "LNTuningConfig" => json!(["LayerNorm"]),
                _ => json!(["query", "output.dense"]),
            };
            settings.insert(TARGETS.to_owned(), modules);
            settings.insert("task_type".to_owned(), json!(SEQUENCE));
            (class.clone(), settings)
        });
        filled.collect()
    }

    fn read(settings: &Map<String, Value>) -> Result<AdapterPlan, AdapterError> {
        let config = BertConfig { num_hidden_layers: 2, ..BertConfig::bert_base() };
        super::read(Settings::from_map(settings.clone()), &config.init(&Device::flex()))
            .map(|read| read.plan)
    }

    fn harmless(class: &str) -> impl Iterator<Item = &'static str> {
        let own = match class {
            "IA3Config" => OF_IA3,
            "LNTuningConfig" => &[],
            _ => OF_LORA,
        };
        OF_ALL.iter().chain(own).map(|(key, _)| *key)
    }

    #[test]
    fn every_setting_is_used_or_refused_or_listed_as_harmless() {
        for (class, settings) in written() {
            let expected = read(&settings).unwrap_or_else(|error| panic!("{class}: {error}"));
            for key in settings.keys() {
                let mut changed = settings.clone();
                changed.insert(key.clone(), json!({ "nothing": [0.25] }));
                match read(&changed) {
                    Err(AdapterError::Interchange(InterchangeError::Setting {
                        key: named,
                        ..
                    })) => assert_eq!(&named, key),
                    Err(error) => panic!("{class}: {key}: {error}"),
                    Ok(found) => {
                        assert!(harmless(&class).any(|harmless| harmless == key), "{class}: {key}");
                        assert_eq!(found, expected, "{class}: {key}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_listed_as_harmless_is_written() {
        let written = written();
        for (class, key) in written.iter().flat_map(|(class, _)| {
            harmless(class).map(|key| (class.trim_end_matches(" 0.2.0").to_owned(), key))
        }) {
            let of_class = written.iter().filter(|(name, _)| name.starts_with(&class));
            assert!(of_class.clone().any(|(_, keys)| keys.contains_key(key)), "{class}: {key}");
        }
    }

    #[test]
    fn starts_that_change_the_base_are_refused() {
        let (_, settings) = written().swap_remove(2);
        let with = |start: Value| {
            let mut settings = settings.clone();
            settings.insert("init_lora_weights".to_owned(), start);
            read(&settings)
        };
        for start in
            [json!(true), json!(false), json!("gaussian"), json!("orthogonal"), json!("eva")]
        {
            assert_eq!(with(start).unwrap(), read(&settings).unwrap());
        }
        for start in ["pissa", "pissa_niter_4", "olora", "corda", "loftq"] {
            let said = with(json!(start)).unwrap_err().to_string();
            assert!(said.contains(&format!("`init_lora_weights` is \"{start}\"")), "{said}");
        }
    }

    #[test]
    fn modules_that_have_no_place_are_refused() {
        for (class, key, value) in [
            ("LoraConfig", TARGETS, json!(["query", "word_embeddings"])),
            ("LoraConfig", TARGETS, json!(["nothing"])),
            ("LoraConfig", TARGETS, json!(["layer.0.attention.self.query", "value"])),
            ("LoraConfig", TARGETS, json!(".*query")),
            ("LoraConfig", "modules_to_save", json!(["classifier", "pooler"])),
            (
                "LoraConfig",
                "auto_mapping",
                json!({ "base_model_class": "BertForQuestionAnswering" }),
            ),
            ("IA3Config", TARGETS, json!(["dense"])),
            ("LNTuningConfig", TARGETS, json!(["output.LayerNorm"])),
            ("LNTuningConfig", TARGETS, json!(["LayerNorm", "query"])),
        ] {
            let (_, mut settings) = written().into_iter().find(|(name, _)| name == class).unwrap();
            settings.insert(key.to_owned(), value);
            let error = read(&settings).unwrap_err();
            let AdapterError::Interchange(InterchangeError::Setting { key: named, .. }) = error
            else {
                panic!("{error}")
            };
            assert_eq!(named, key);
        }
    }

    #[test]
    fn what_a_projection_reads_is_scaled_where_it_is_named_for_that_layer() {
        let (_, mut settings) =
            written().into_iter().find(|(name, _)| name == "IA3Config").unwrap();
        settings.insert("feedforward_modules".to_owned(), json!(["layer.0.output.dense"]));
        // In the other layer what it makes is scaled: no plan says so.
        assert!(matches!(
            read(&settings),
            Err(AdapterError::Interchange(InterchangeError::Setting { .. }))
        ));
        settings.insert("feedforward_modules".to_owned(), json!(["put.dense"]));
        let ia3 = read(&settings).unwrap().ia3.unwrap();
        let inputs = [Projection::AttentionOutput, Projection::FeedForwardOut].into();
        assert_eq!((ia3.outputs, ia3.inputs), ([Projection::Query].into(), inputs));
    }
}
