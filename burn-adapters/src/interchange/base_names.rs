//! The names of the parts of a base, and of its family's classifier, in Hugging Face's checkpoints.

use burn_bert::{ClassifierNames, Family, ModulePaths, Projection, Site};

use super::tensor_mapping::{Axes, TensorLocation};
use crate::model::{ClassifierHead, Pooling, TaskAdapterConfig};

/// The names of a family, without the [prefix](Self::prefix).
#[derive(Debug, Clone, Copy)]
pub(super) struct BaseNames {
    /// The modules of the encoder.
    pub(super) paths: &'static ModulePaths,
    /// Before the names of the encoder in a model with a head: `bert.`.
    pub(super) prefix: &'static str,
    /// The head of the class for sequence classification.
    pub(super) classifier: &'static ClassifierNames,
    /// What that head reads, and its hidden layer.
    pub(super) head: ClassifierHead,
}

impl BaseNames {
    pub(super) fn new(family: Family) -> Self {
        Self {
            paths: family.checkpoint_paths(),
            prefix: family.checkpoint_prefix(),
            classifier: family.classifier(),
            head: ClassifierHead::of(family),
        }
    }

    /// The linear layer inside of its layer, by the name of the field in [`Projections`](crate::Projections).
    pub(super) fn linear_layer(&self, field: &str) -> Option<&'static str> {
        let mut projections = Projection::ALL.into_iter();
        let projection =
            projections.find(|projection| projection.name().replace('-', "_") == field)?;
        Some(self.paths.projection_in_layer(projection))
    }

    /// A parameter of one of a task's own norms, by its path in the task: the module, and `weight` or `bias`.
    pub(super) fn norm(&self, path: &str) -> Option<(String, &'static str)> {
        let (module, kind) = path.rsplit_once('.')?;
        let kind = norm_parameter(kind)?;
        let site = match module {
            "embeddings_norm" => Site::Embeddings,
            "final_norm" => Site::Final,
            _ => {
                let (layer, site) = module.strip_prefix("layers.")?.split_once('.')?;
                let layer = layer.parse().ok()?;
                match site {
                    "attention.norm" => Site::Attention(layer),
                    "feed_forward.norm" => Site::FeedForward(layer),
                    _ => return None,
                }
            }
        };
        Some((self.paths.norm(site), kind))
    }

    /// A parameter of a head as the classifier's, by its path in a task.
    pub(super) fn classifier_parameter(&self, path: &str) -> Option<TensorLocation> {
        let (layer, kind) = path.strip_prefix("head.")?.split_once('.')?;
        let module = match layer {
            "linear" => self.classifier.output,
            "hidden" => self.classifier.hidden?.name,
            _ => return None,
        };
        Some(TensorLocation::linear(format!("{module}.{kind}")))
    }

    /// Whether a tensor belongs to the classifier.
    pub(super) fn is_of_classifier(&self, name: &str) -> bool {
        let module = name.rsplit_once('.').map_or(name, |(module, _)| module);
        let hidden = self.classifier.hidden.map(|hidden| hidden.name);
        module == self.classifier.output || Some(module) == hidden
    }

    /// Whether a task's head is the family's classifier.
    pub(super) fn has_classifier(&self, task: &TaskAdapterConfig) -> bool {
        let head = ClassifierHead { pooling: task.pooling, hidden: task.head_hidden };
        !self.has_head_norm() && self.head == head
    }

    /// Whether the classifier has a LayerNorm, which no head of this crate has.
    pub(super) fn has_head_norm(&self) -> bool {
        self.classifier.hidden.is_some_and(|hidden| hidden.norm.is_some())
    }

    /// How to train a head that is the classifier.
    pub(super) fn remedy(&self) -> &'static str {
        match self.head.pooling {
            _ if self.has_head_norm() => {
                "that class has a LayerNorm in its head, which is not supported; keep our own file"
            }
            Pooling::Pooler => "train with the pooling `pooler`",
            _ => "train with the family's own head, on the pooling `first-token`",
        }
    }
}

/// The name of a norm's parameter, which is `gamma` or `beta`.
pub(super) fn norm_parameter(name: &str) -> Option<&'static str> {
    match name {
        "gamma" => Some("weight"),
        "beta" => Some("bias"),
        _ => None,
    }
}

/// The location of a norm's parameter.
pub(super) fn norm_location(module: &str, kind: &str) -> TensorLocation {
    TensorLocation::whole(format!("{module}.{kind}"), Axes::Same)
}
