//! Conversion between `AdapterHub`'s settings and plans.
//!
//! <https://github.com/adapter-hub/adapters/blob/v1.3.0/src/adapters/configuration/adapter_config.py>; omitted settings
//! have the defaults of the classes there.

mod bottleneck;
mod lora;
mod prefix;
mod values;

use serde_json::{Map, Value, json};

pub(super) use self::values::{ACTIVATIONS, FORMAT, Version, activation, unsupported};
use crate::error::{AdapterError, BaseShape};
use crate::interchange::settings::Settings;
use crate::methods::plan::{AdapterPlan, TrainableBase};

/// The plan for a `config`; a union combines the plans of its parts.
pub(super) fn plan(
    mut settings: Settings,
    version: Version,
    base: BaseShape,
) -> Result<AdapterPlan, AdapterError> {
    let mut plan = AdapterPlan::new(TrainableBase::Nothing);
    let parts = match settings.take("configs") {
        None => {
            let nothing = settings.nested(Map::new());
            vec![std::mem::replace(&mut settings, nothing)]
        }
        Some(Value::Array(parts)) => {
            let architecture = settings.text("architecture", "union")?;
            if architecture != "union" {
                return Err(settings.refuse("architecture", &json!(architecture), "union"));
            }
            let inside = parts.into_iter().map(|part| match part {
                Value::Object(map) => Ok(settings.nested(map)),
                other => Err(settings.refuse("configs", &other, "a list of objects")),
            });
            let inside = inside.collect::<Result<Vec<_>, _>>()?;
            let nothing = settings.nested(Map::new());
            std::mem::replace(&mut settings, nothing).finish()?;
            inside
        }
        Some(other) => return Err(settings.refuse("configs", &other, "a list of objects")),
    };
    for mut part in parts {
        let architecture = part.text("architecture", "")?;
        let twice = match architecture.as_str() {
            "" => plan.bottleneck.replace(bottleneck::read(part, version, base)?).is_some(),
            "prefix_tuning" => plan.prefix.replace(prefix::read(part, base)?).is_some(),
            "lora" => match part.text("composition_mode", "add")?.as_str() {
                "add" => plan.lora.replace(lora::read_lora(part, version, base)?).is_some(),
                "scale" => plan.ia3.replace(lora::read_ia3(part, base)?).is_some(),
                mode => {
                    return Err(part.refuse("composition_mode", &json!(mode), "add or scale"));
                }
            },
            other => {
                let known = "prefix_tuning, lora, union, or none of it for a bottleneck";
                return Err(part.refuse("architecture", &json!(other), known));
            }
        };
        if twice {
            let expected = "parts of different kinds";
            return Err(settings.refuse("configs", &json!(architecture), expected));
        }
    }
    Ok(plan)
}

/// The `config` for a plan.
pub(super) fn settings(plan: &AdapterPlan, base: BaseShape) -> Result<Value, AdapterError> {
    let mut parts = Vec::new();
    if let Some(plan) = &plan.prefix {
        parts.push(prefix::write(plan, base));
    }
    if let Some(plan) = &plan.bottleneck {
        parts.push(bottleneck::write(plan, base)?);
    }
    if let Some(plan) = &plan.lora {
        parts.push(lora::write_lora(plan, base)?);
    }
    if let Some(plan) = &plan.ia3 {
        parts.push(lora::write_ia3(plan, base)?);
    }
    match parts.len() {
        0 => Err(unsupported("a task that inserts nothing").into()),
        1 => Ok(parts.remove(0)),
        _ => Ok(json!({ "architecture": "union", "configs": parts })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::InterchangeError;
    use crate::interchange::settings::Harmless;

    const BASE: BaseShape = BaseShape { n_layers: 2, d_model: 32 };

    /// What each class writes (`goldens/settings.py`).
    fn written() -> Map<String, Value> {
        let all = include_str!("../../../../tests/fixtures/settings.json");
        let all: Value = serde_json::from_str(all).unwrap();
        all["adapters"].as_object().unwrap().clone()
    }

    fn read(settings: &Value) -> Result<AdapterPlan, AdapterError> {
        let settings = settings.as_object().unwrap().clone();
        plan(Settings::from_map(settings), Version::parse(Some("adapters.1.3.0")), BASE)
    }

    fn harmless(settings: &Value) -> Vec<&'static str> {
        let lists: &[&[Harmless]] = match settings["architecture"].as_str() {
            None => &[bottleneck::HARMLESS],
            Some("prefix_tuning") => &[prefix::HARMLESS],
            Some(_) if settings["composition_mode"] == "scale" => {
                &[lora::HARMLESS, lora::HARMLESS_IN_IA3]
            }
            Some(_) => &[lora::HARMLESS],
        };
        lists.iter().flat_map(|list| list.iter()).map(|(key, _)| *key).collect()
    }

    /// The first unsupported setting of classes whose method is not supported.
    fn unsupported_setting(class: &str) -> Option<&'static str> {
        Some(match class {
            "AdapterPlusConfig" => "stochastic_depth",
            "CompacterConfig" | "CompacterPlusPlusConfig" => "phm_layer",
            "SeqBnInvConfig" | "DoubleSeqBnInvConfig" => "inv_adapter",
            "VeraConfig" | "DvoRAConfig" => "vera_d",
            "MTLLoRAConfig" | "PromptTuningConfig" | "LoReftConfig" | "NoReftConfig"
            | "DiReftConfig" => "architecture",
            _ => return None,
        })
    }

    #[test]
    fn every_setting_is_used_or_refused_or_listed_as_harmless() {
        let mut read_in = 0;
        for (class, settings) in written() {
            let found = read(&settings);
            if let Some(unsupported_setting) = unsupported_setting(&class) {
                let error = found.expect_err(&class);
                let AdapterError::Interchange(InterchangeError::Setting { key, .. }) = error else {
                    panic!("{class}: {error}")
                };
                assert_eq!(key, unsupported_setting, "{class}");
                continue;
            }
            let expected = found.unwrap_or_else(|error| panic!("{class}: {error}"));
            read_in += 1;
            let (keys, harmless) = (settings.as_object().unwrap().keys(), harmless(&settings));
            for key in keys {
                let mut changed = settings.clone();
                changed[key] = json!({ "nothing": [0.25] });
                match read(&changed) {
                    Err(AdapterError::Interchange(InterchangeError::Setting {
                        key: named,
                        ..
                    })) => assert_eq!(&named, key),
                    Err(error) => panic!("{class}: {key}: {error}"),
                    Ok(found) => {
                        assert!(harmless.contains(&key.as_str()), "{class}: {key}");
                        assert_eq!(found, expected, "{class}: {key}");
                    }
                }
            }
            for key in harmless {
                assert!(settings.get(key).is_some(), "{class} does not write {key}");
            }
        }
        assert_eq!(read_in, 8);
    }

    #[test]
    fn a_vera_of_zeros_is_one() {
        let mut settings = written()["LoRAConfig"].clone();
        settings["vera_d"] = json!(0.0);
        let error = read(&settings).unwrap_err().to_string();
        assert!(error.contains("`vera_d` is 0.0"), "{error}");
    }

    #[test]
    fn unions_of_one_kind_are_refused_by_name() {
        let part = &written()["SeqBnConfig"];
        let union = json!({ "architecture": "union", "configs": [part, part] });
        let error = read(&union).unwrap_err();
        let AdapterError::Interchange(InterchangeError::Setting { key, .. }) = error else {
            panic!("{error}")
        };
        assert_eq!(key, "configs");
    }

    #[test]
    fn an_inner_norm_has_the_epsilon_of_where_it_was_trained() {
        let mut settings = written()["DoubleSeqBnConfig"].clone();
        settings["ln_before"] = json!(true);
        let theirs = read(&settings).unwrap();
        let epsilon = |plan: &AdapterPlan| plan.bottleneck.as_ref().unwrap().inner_norm_epsilon;
        assert!((epsilon(&theirs) - 1e-5).abs() <= 0.0);
        assert_eq!(super::settings(&theirs, BASE).unwrap()["ln_before"], json!(true));
        let mut ours = theirs;
        ours.bottleneck.as_mut().unwrap().inner_norm_epsilon = crate::INNER_NORM_EPSILON;
        let error = super::settings(&ours, BASE).unwrap_err().to_string();
        assert!(error.contains("an inner LayerNorm with an ε of 1e-12"), "{error}");
    }
}
