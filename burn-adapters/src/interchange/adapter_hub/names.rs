//! The names of parameters in `AdapterHub`, without the prefix `bert.`.

use crate::interchange::hf_names::linear_layer;
use crate::interchange::tensor_mapping::{Axes, Part, TensorLocation};

/// What the names depend on.
pub(super) struct Names {
    /// Name of the adapter.
    pub(super) adapter: String,
    /// Name of the head; `None` if it is `classifier`.
    pub(super) head: Option<String>,
    /// Whether the head has a hidden layer.
    pub(super) hidden: bool,
    /// Whether bottlenecks have an inner `LayerNorm`.
    pub(super) inner_norm: bool,
    /// The layers with prefixes.
    pub(super) prefix_layers: Vec<usize>,
}

impl Names {
    /// The location of a parameter, by its path in a task.
    pub(super) fn locate(&self, path: &str) -> Option<TensorLocation> {
        let adapter = &self.adapter;
        if let Some(rest) = path.strip_prefix("head.") {
            let (layer, kind) = rest.split_once('.')?;
            let Some(head) = &self.head else {
                return (layer == "linear")
                    .then(|| TensorLocation::linear(format!("classifier.{kind}")));
            };
            // Dropout is 0, the first linear layer 1, the activation 2, dropout again 3.
            let index = if layer == "linear" && self.hidden { 4 } else { 1 };
            return Some(TensorLocation::linear(format!("heads.{head}.{index}.{kind}")));
        }
        if let Some(rest) = path.strip_prefix("embeddings_norm.") {
            return norm(format!("embeddings.LayerNorm.{rest}"));
        }
        if let Some(rest) = path.strip_prefix("prefix.") {
            let prefix = self_prefix(adapter);
            return match rest.strip_prefix("down.") {
                Some(kind) => {
                    Some(TensorLocation::linear(format!("{prefix}.control_trans.0.{kind}")))
                }
                None => Some(TensorLocation::whole(format!("{prefix}.wte.weight"), Axes::Same)),
            };
        }
        let (index, rest) = path.strip_prefix("layers.")?.split_once('.')?;
        let (part, rest) = rest.split_once('.')?;
        let layer = format!("encoder.layer.{index}");
        match part {
            "low_rank" | "scale_output" => {
                let (projection, rest) = rest.split_once('.')?;
                let dense = format!("{layer}.{}.loras.{adapter}", linear_layer(projection)?);
                Some(match rest {
                    "a" => TensorLocation::whole(format!("{dense}.lora_A"), Axes::Transposed),
                    "b" => TensorLocation::whole(format!("{dense}.lora_B"), Axes::Transposed),
                    "factors" => TensorLocation::whole(format!("{dense}.lora_B"), Axes::Column),
                    "dora.magnitude" => {
                        TensorLocation::whole(format!("{dense}.m.weight"), Axes::Column)
                    }
                    gate => TensorLocation::linear(format!("{dense}.{gate}")),
                })
            }
            "prefix" => self.prefix(&layer, index.parse().ok()?, rest),
            "attention" => self.site(&format!("{layer}.attention.output"), rest),
            "feed_forward" => self.site(&format!("{layer}.output"), rest),
            _ => None,
        }
    }

    fn prefix(&self, layer: &str, index: usize, rest: &str) -> Option<TensorLocation> {
        if rest.starts_with("gate.") {
            let gates = format!("{layer}.attention.self.prefix_tuning.prefix_gates");
            let kind = rest.strip_prefix("gate.")?;
            return Some(TensorLocation::linear(format!("{gates}.{}.{kind}", self.adapter)));
        }
        let index = self.prefix_layers.iter().position(|layer| *layer == index)?;
        let part = Some(Part { index, of: self.prefix_layers.len() });
        let prefix = self_prefix(&self.adapter);
        Some(match rest.strip_prefix("up.") {
            Some(kind) => TensorLocation {
                part,
                ..TensorLocation::linear(format!("{prefix}.control_trans.2.{kind}"))
            },
            None => {
                TensorLocation { name: format!("{prefix}.control_trans"), axes: Axes::Flat, part }
            }
        })
    }

    fn site(&self, site: &str, rest: &str) -> Option<TensorLocation> {
        if let Some(rest) = rest.strip_prefix("norm.") {
            return norm(format!("{site}.LayerNorm.{rest}"));
        }
        let adapter = format!("{site}.adapters.{}", self.adapter);
        let rest = rest.strip_prefix("bottleneck.")?;
        if rest == "scaling" {
            return Some(TensorLocation::whole(format!("{adapter}.scaling"), Axes::Same));
        }
        let (module, kind) = rest.split_once('.')?;
        match module {
            "down" if self.inner_norm => {
                Some(TensorLocation::linear(format!("{adapter}.adapter_down.1.{kind}")))
            }
            "down" => Some(TensorLocation::linear(format!("{adapter}.adapter_down.0.{kind}"))),
            "up" => Some(TensorLocation::linear(format!("{adapter}.adapter_up.{kind}"))),
            "gate" => Some(TensorLocation::linear(format!("{adapter}.gate.{kind}"))),
            "layer_norm" => norm(format!("{adapter}.adapter_norm_before.{kind}")),
            "outer_norm" => norm(format!("{adapter}.adapter_norm_after.{kind}")),
            _ => None,
        }
    }
}

/// The other names under which the package writes a shared tensor.
pub(super) fn copies(name: &str, n_layers: usize) -> Vec<String> {
    if let Some((adapter, kind)) = name.split_once(".adapter_norm_before.") {
        return vec![format!("{adapter}.adapter_down.0.{kind}")];
    }
    let Some(rest) = name.strip_prefix("prefix_tuning.") else { return Vec::new() };
    let layers = 0..n_layers;
    layers
        .map(|layer| format!("encoder.layer.{layer}.attention.self.prefix_tuning.pool.{rest}"))
        .collect()
}

fn self_prefix(adapter: &str) -> String {
    format!("prefix_tuning.prefix_tunings.{adapter}.self_prefix")
}

/// The name of a norm's parameter from one that ends in `gamma` or `beta`.
fn norm(name: String) -> Option<TensorLocation> {
    let (norm, kind) = name.rsplit_once('.')?;
    let kind = match kind {
        "gamma" => "weight",
        "beta" => "bias",
        _ => return None,
    };
    Some(TensorLocation::whole(format!("{norm}.{kind}"), Axes::Same))
}
