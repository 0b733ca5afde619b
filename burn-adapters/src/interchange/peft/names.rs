//! The names of parameters in `PEFT`, without prefixes; those of joined matrices are the names of their parts.

use super::joined;
use crate::interchange::base_names::BaseNames;
use crate::interchange::tensor_mapping::{Axes, TensorLocation};

/// The location of a parameter, by its path in a task.
pub(super) fn locate(base: BaseNames, path: &str) -> Option<TensorLocation> {
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
    if path.starts_with("head.") {
        return base.classifier_parameter(path);
    }
    if let Some(name) = path.strip_prefix("pooler.") {
        return factor(name, &base.paths.pooler_dense());
    }
    if let Some((module, kind)) = base.norm(path) {
        let name = format!("{module}.ln_tuning_layers.{kind}");
        return Some(TensorLocation::whole(name, Axes::Same));
    }
    let (index, rest) = path.strip_prefix("layers.")?.split_once('.')?;
    let (part, rest) = rest.split_once('.')?;
    let (projection, name) = rest.split_once('.')?;
    let dense = || {
        let layer = base.linear_layer(projection)?;
        let module = format!("{}.{index}.{layer}", base.paths.layers);
        let is_joined = base.joined() == Some(layer);
        Some(if is_joined { joined::part(&module, projection) } else { module })
    };
    match part {
        "low_rank" => factor(name, &dense()?),
        "scale_output" | "scale_input" => {
            let axes = if part == "scale_input" { Axes::Row } else { Axes::Column };
            Some(TensorLocation::whole(format!("{}.ia3_l", dense()?), axes))
        }
        _ => None,
    }
}
