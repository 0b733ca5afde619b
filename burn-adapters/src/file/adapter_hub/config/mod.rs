//! `AdapterHub`'s settings as plans, and plans as its settings.
//!
//! <https://github.com/adapter-hub/adapters/blob/v1.3.0/src/adapters/configuration/adapter_config.py>; what a file
//! leaves out has the default of the class there.

mod bottleneck;
mod corrections;
mod prefix;

use serde_json::{Value, json};

use super::FORMAT;
use crate::bottleneck::Activation;
use crate::error::{AdapterError, BaseShape};
use crate::file::settings::Settings;
use crate::layers::Layers;
use crate::plan::{Plan, Tuned};

/// What the package's versions have changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Version {
    /// `gelu` was the approximation by tanh.
    pub(super) old_activations: bool,
    /// `alpha` had no effect.
    pub(super) without_alpha: bool,
}

impl Version {
    /// The version that wrote a file, by the text in it.
    pub(super) fn of(text: Option<&str>) -> Self {
        let numbers = text.and_then(|text| text.strip_prefix("adapters."));
        let number = |part: Option<&str>| part.and_then(|part| part.parse().ok()).unwrap_or(0);
        let before_alpha = |numbers: &str| {
            let mut parts = numbers.split('.');
            (number(parts.next()), number(parts.next())) < (1_u64, 1_u64)
        };
        Self { old_activations: text.is_none(), without_alpha: numbers.is_some_and(before_alpha) }
    }
}

/// The plan of a `config`; a union is the plans of all its parts.
pub(super) fn plan(
    mut settings: Settings,
    version: Version,
    base: BaseShape,
) -> Result<Plan, AdapterError> {
    let mut plan = Plan::without_insertions(Tuned::Nothing);
    let parts = match settings.take("configs") {
        None => vec![settings],
        Some(Value::Array(parts)) => {
            settings.skip(&["architecture"]);
            let inside = parts.into_iter().map(|part| match part {
                Value::Object(map) => Ok(settings.inside(map)),
                other => Err(settings.refuse("configs", &other, "a list of objects")),
            });
            let inside = inside.collect::<Result<Vec<_>, _>>()?;
            settings.finish()?;
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
                "add" => plan
                    .low_rank
                    .replace(corrections::read_low_rank(part, version, base)?)
                    .is_some(),
                "scale" => plan.scale.replace(corrections::read_scale(part, base)?).is_some(),
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
            return Err(AdapterError::NoPlace {
                format: "a plan",
                what: "two parts of one kind in a union".to_owned(),
                remedy: "only parts of different kinds can be read",
            });
        }
    }
    Ok(plan)
}

fn layers(settings: &mut Settings, base: BaseShape) -> Result<Layers, AdapterError> {
    let left_out = settings.sizes("leave_out")?;
    if left_out.is_empty() {
        return Ok(Layers::All);
    }
    Ok(Layers::Only((0..base.n_layers).filter(|layer| !left_out.contains(layer)).collect()))
}

fn leave_out(layers: &Layers, base: BaseShape) -> Value {
    let out: Vec<usize> = (0..base.n_layers).filter(|layer| !layers.contains(*layer)).collect();
    json!(out)
}

/// An activation by its name; see [`Version`] for the old names.
pub(super) fn activation(name: &str, old: bool) -> Option<Activation> {
    Some(match name.to_lowercase().as_str() {
        "relu" => Activation::Relu,
        "gelu" if old => Activation::GeluNew,
        "gelu" | "gelu_orig" => Activation::Gelu,
        "gelu_new" => Activation::GeluNew,
        "swish" | "silu" => Activation::Swish,
        "tanh" => Activation::Tanh,
        _ => return None,
    })
}

pub(super) const ACTIVATIONS: &str = "relu, gelu, gelu_new, swish, silu or tanh";

/// The `config` of a plan.
pub(super) fn settings(plan: &Plan, base: BaseShape) -> Result<Value, AdapterError> {
    let mut parts = Vec::new();
    if let Some(plan) = &plan.prefix {
        parts.push(prefix::write(plan, base));
    }
    if let Some(plan) = &plan.bottleneck {
        parts.push(bottleneck::write(plan, base)?);
    }
    if let Some(plan) = &plan.low_rank {
        parts.push(corrections::write_low_rank(plan, base)?);
    }
    if let Some(plan) = &plan.scale {
        parts.push(corrections::write_scale(plan, base)?);
    }
    match parts.len() {
        0 => Err(no_place("a task that inserts nothing")),
        1 => Ok(parts.remove(0)),
        _ => Ok(json!({ "architecture": "union", "configs": parts })),
    }
}

pub(super) fn no_place(what: &str) -> AdapterError {
    let remedy = "keep our own file, or train without it";
    AdapterError::NoPlace { format: FORMAT, what: what.to_owned(), remedy }
}
