//! The names of parameters in `AdapterHub`, without the prefix of the base's family.

use burn_bert::Family;

use crate::interchange::base_names::{BaseNames, norm_location, norm_parameter};
use crate::interchange::tensor_mapping::{Axes, Part, TensorLocation};

/// How the package names what it adds to the models of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FamilyNames {
    /// The class with flexible heads.
    pub(super) model_class: &'static str,
    /// The modules with the bottlenecks after the attention and after the feed-forward, inside of a layer.
    sites: [&'static str; 2],
    /// The module with the prefixes, inside of a layer.
    attention: &'static str,
    /// The prefixes of an adapter, inside of their pool.
    prefix: &'static str,
    /// A warning about prefixes.
    pub(super) prefix_warning: Option<&'static str>,
    /// A warning about modules that depend on padding.
    pub(super) padding_warning: Option<&'static str>,
}

/// The names for a family; `None` if the package has no models of it.
///
/// <https://github.com/adapter-hub/adapters/tree/v1.3.0/src/adapters/models>, `mixin_*.py`
pub(super) fn family_names(family: Family) -> Option<FamilyNames> {
    const BERT: FamilyNames = FamilyNames {
        model_class: "BertAdapterModel",
        sites: ["attention.output", "output"],
        attention: "attention.self",
        prefix: "self_prefix",
        prefix_warning: None,
        padding_warning: None,
    };
    Some(match family.model_type() {
        "bert" => BERT,
        "roberta" => FamilyNames { model_class: "RobertaAdapterModel", ..BERT },
        "xlm-roberta" => FamilyNames { model_class: "XLMRobertaAdapterModel", ..BERT },
        "electra" => FamilyNames { model_class: "ElectraAdapterModel", ..BERT },
        "deberta-v2" => FamilyNames {
            model_class: "DebertaV2AdapterModel",
            padding_warning: Some(
                "gates read the hidden states of padding, which transformers masks as queries in DeBERTa; logits of \
                 padded texts differ",
            ),
            ..BERT
        },
        "distilbert" => FamilyNames {
            model_class: "DistilBertAdapterModel",
            sites: ["attention_adapters", "output_adapters"],
            attention: "attention",
            prefix: "self",
            prefix_warning: Some(
                "AdapterHub 1.3.0 adds 1 to the scores of prefixes on DistilBERT, unless the model is loaded with \
                 attn_implementation=\"eager\"; otherwise the logits differ",
            ),
            padding_warning: None,
        },
        _ => return None,
    })
}

/// What the names depend on.
pub(super) struct Names {
    /// The base's.
    pub(super) base: BaseNames,
    /// The package's for the base's family.
    pub(super) family: FamilyNames,
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
            let Some(head) = &self.head else { return self.base.classifier_parameter(path) };
            let (layer, kind) = rest.split_once('.')?;
            // Dropout is 0, the first linear layer 1, the activation 2, dropout again 3.
            let index = if layer == "linear" && self.hidden { 4 } else { 1 };
            return Some(TensorLocation::linear(format!("heads.{head}.{index}.{kind}")));
        }
        if let Some((module, kind)) = self.base.norm(path) {
            return Some(norm_location(&module, kind));
        }
        if let Some(rest) = path.strip_prefix("prefix.") {
            let prefix = self.prefix_of_adapter();
            return match rest.strip_prefix("down.") {
                Some(kind) => {
                    Some(TensorLocation::linear(format!("{prefix}.control_trans.0.{kind}")))
                }
                None => Some(TensorLocation::whole(format!("{prefix}.wte.weight"), Axes::Same)),
            };
        }
        let (index, rest) = path.strip_prefix("layers.")?.split_once('.')?;
        let (part, rest) = rest.split_once('.')?;
        let layer = format!("{}.{index}", self.base.paths.layers);
        let [attention, feed_forward] = self.family.sites;
        match part {
            "low_rank" | "scale_output" => {
                let (projection, rest) = rest.split_once('.')?;
                let dense =
                    format!("{layer}.{}.loras.{adapter}", self.base.linear_layer(projection)?);
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
            "attention" => self.site(&format!("{layer}.{attention}"), rest),
            "feed_forward" => self.site(&format!("{layer}.{feed_forward}"), rest),
            _ => None,
        }
    }

    fn prefix(&self, layer: &str, index: usize, rest: &str) -> Option<TensorLocation> {
        if rest.starts_with("gate.") {
            let attention = self.family.attention;
            let gates = format!("{layer}.{attention}.prefix_tuning.prefix_gates");
            let kind = rest.strip_prefix("gate.")?;
            return Some(TensorLocation::linear(format!("{gates}.{}.{kind}", self.adapter)));
        }
        let index = self.prefix_layers.iter().position(|layer| *layer == index)?;
        let part = Some(Part { index, of: self.prefix_layers.len() });
        let prefix = self.prefix_of_adapter();
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
            "layer_norm" => Some(norm_location(
                &format!("{adapter}.adapter_norm_before"),
                norm_parameter(kind)?,
            )),
            "outer_norm" => {
                Some(norm_location(&format!("{adapter}.adapter_norm_after"), norm_parameter(kind)?))
            }
            _ => None,
        }
    }

    fn prefix_of_adapter(&self) -> String {
        format!("prefix_tuning.prefix_tunings.{}.{}", self.adapter, self.family.prefix)
    }

    /// Whether a tensor is a parameter of one of the base's norms.
    pub(super) fn is_norm(&self, name: &str) -> bool {
        let Some((module, "weight" | "bias")) = name.rsplit_once('.') else { return false };
        let inside = module.strip_prefix(self.base.paths.layers);
        let in_layer = inside.and_then(|rest| rest.strip_prefix('.')?.split_once('.'));
        match in_layer {
            Some((_, module)) => self.base.paths.norms.contains(&module),
            None => module == self.base.paths.embeddings_norm,
        }
    }

    /// The other names under which the package writes a shared tensor.
    pub(super) fn copies(&self, name: &str, n_layers: usize) -> Vec<String> {
        if let Some((adapter, kind)) = name.split_once(".adapter_norm_before.") {
            return vec![format!("{adapter}.adapter_down.0.{kind}")];
        }
        let Some(rest) = name.strip_prefix("prefix_tuning.") else { return Vec::new() };
        let (layers, attention) = (self.base.paths.layers, self.family.attention);
        (0..n_layers)
            .map(|layer| format!("{layers}.{layer}.{attention}.prefix_tuning.pool.{rest}"))
            .collect()
    }
}
