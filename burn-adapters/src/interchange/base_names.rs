//! The names of the parts of a base, and of its family's classifier, in Hugging Face's checkpoints.

use burn_bert::{Bert, ClassifierNames, Encoder, ModulePaths, Projection, Site};

use super::tensor_mapping::{Axes, TensorLocation};
use crate::model::{ClassifierHead, HeadKind, Pooling, TaskAdapterConfig};

/// The names of a family, without the [prefix](Self::prefix).
#[derive(Debug, Clone, Copy)]
pub(super) struct BaseNames {
    /// The modules of the encoder.
    pub(super) paths: &'static ModulePaths,
    /// Before the names of the encoder in a model with a head: `bert.`.
    pub(super) prefix: &'static str,
    /// The head of the class for sequence classification.
    pub(super) classifier: ClassifierNames,
    /// What that head reads, and its hidden layer.
    pub(super) head: ClassifierHead,
}

impl BaseNames {
    pub(super) fn new(bert: &Bert) -> Self {
        let family = bert.family();
        Self {
            paths: family.checkpoint_paths(),
            prefix: family.checkpoint_prefix(),
            classifier: *family.classifier(),
            head: bert.sequence_classifier().into(),
        }
    }

    /// The names of the family's class for token classification: a linear layer on every token, with the layers before it
    /// only where all classes of the family have them.
    pub(super) fn of_words(self) -> Self {
        let classifier = ClassifierNames {
            architecture: self.classifier.token_classification,
            output: "classifier",
            hidden: self.classifier.hidden.filter(|hidden| hidden.norm.is_some()),
            ..self.classifier
        };
        let head = match self.head.norm {
            Some(_) => ClassifierHead { pooling: Pooling::FirstToken, ..self.head },
            None => ClassifierHead::linear(Pooling::FirstToken),
        };
        Self { classifier, head, ..self }
    }

    /// The names for a head.
    pub(super) fn of_head(self, head: &HeadKind) -> Self {
        match head {
            HeadKind::TokenClassification { .. } => self.of_words(),
            _ => self,
        }
    }

    /// The linear layer inside of its layer, by the name of the field in [`Projections`](crate::Projections).
    pub(super) fn linear_layer(&self, field: &str) -> Option<&'static str> {
        let mut projections = Projection::ALL.into_iter();
        let projection =
            projections.find(|projection| projection.name().replace('-', "_") == field)?;
        Some(self.paths.projection_in_layer(projection))
    }

    /// The linear layer that is query, key and value together, inside of its layer, if the family has one.
    pub(super) fn joined(&self) -> Option<&'static str> {
        let [query, key, ..] = self.paths.projections;
        (query == key).then_some(query)
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
            "norm" => {
                let kind = norm_parameter(kind)?;
                return Some(norm_location(self.classifier.hidden?.norm?, kind));
            }
            _ => return None,
        };
        Some(TensorLocation::linear(format!("{module}.{kind}")))
    }

    /// Whether a tensor belongs to the classifier.
    pub(super) fn is_of_classifier(&self, name: &str) -> bool {
        self.is_hidden(name) || module_of(name) == self.classifier.output
    }

    /// Whether a tensor belongs to the layers of the classifier before the last.
    pub(super) fn is_hidden(&self, name: &str) -> bool {
        let module = module_of(name);
        let hidden = self.classifier.hidden;
        hidden.is_some_and(|hidden| module == hidden.name || Some(module) == hidden.norm)
    }

    /// Whether a task's head is the family's classifier.
    pub(super) fn has_classifier(&self, task: &TaskAdapterConfig) -> bool {
        task.classifier() == self.head
    }

    /// How to train a head that is the classifier.
    pub(super) fn remedy(&self) -> &'static str {
        match self.head.pooling {
            Pooling::Pooler => "train with the pooling `pooler`",
            Pooling::FirstToken => "train with the family's own head, on the pooling `first-token`",
            Pooling::Mean => "train with the family's own head, on the pooling `mean`",
        }
    }
}

/// The module of a tensor.
fn module_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(module, _)| module)
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
