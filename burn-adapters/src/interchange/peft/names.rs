//! The names of parameters in `PEFT`, without prefixes.

use crate::interchange::hf_names::linear_layer;
use crate::interchange::tensor_mapping::{Axes, TensorLocation};

/// The location of a parameter, by its path in a task.
pub(super) fn locate(path: &str) -> Option<TensorLocation> {
    let factor = |name: &str, of: &str| {
        let factor = match name {
            "dora.magnitude" => {
                let name = format!("{of}.lora_magnitude_vector");
                return Some(TensorLocation::whole(name, Axes::Same));
            }
            "a" => "lora_A",
            "b" => "lora_B",
            _ => return None,
        };
        Some(TensorLocation::linear(format!("{of}.{factor}.weight")))
    };
    if let Some(kind) = path.strip_prefix("head.linear.") {
        return Some(TensorLocation::linear(format!("classifier.{kind}")));
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
            factor(name, &format!("{layer}.{}", linear_layer(projection)?))
        }
        "scale_output" | "scale_input" => {
            let (projection, _) = rest.split_once('.')?;
            let axes = if part == "scale_input" { Axes::Row } else { Axes::Column };
            Some(TensorLocation::whole(
                format!("{layer}.{}.ia3_l", linear_layer(projection)?),
                axes,
            ))
        }
        _ => None,
    }
}

fn norm(site: &str, kind: &str) -> Option<TensorLocation> {
    let kind = match kind {
        "gamma" => "weight",
        "beta" => "bias",
        _ => return None,
    };
    Some(TensorLocation::whole(format!("{site}.LayerNorm.ln_tuning_layers.{kind}"), Axes::Same))
}
