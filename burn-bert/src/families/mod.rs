//! The families of encoders: how their `config.json` and their checkpoints describe the one encoder of this crate.
//!
//! A family is a file here, a variant of [`Family`] and a row of the table.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::config::BertConfig;
use crate::paths::ModulePaths;
use keys::Keys;

pub use classifier::{
    ClassifierConfig, ClassifierHidden, ClassifierLayer, ClassifierNames, ClassifierNorm,
    ClassifierPooling, PretrainedHead, SequenceClassifier,
};

mod bert;
mod classifier;
mod deberta;
mod distilbert;
mod electra;
pub(crate) mod keys;
mod modernbert;
mod mpnet;
mod roberta;

/// A family of encoders, by its `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Family {
    /// Devlin et al. 2019.
    #[default]
    Bert,
    /// Liu et al. 2019.
    Roberta,
    /// Conneau et al. 2020.
    XlmRoberta,
    /// Martin et al. 2020.
    Camembert,
    /// Sanh et al. 2019.
    Distilbert,
    /// Clark et al. 2020.
    Electra,
    /// Song et al. 2020.
    Mpnet,
    /// He et al. 2021, versions 2 and 3.
    DebertaV2,
    /// Warner et al. 2024.
    ModernBert,
}

static FAMILIES: [(Family, &FamilyFiles); 9] = [
    (Family::Bert, &bert::FILES),
    (Family::Roberta, &roberta::ROBERTA),
    (Family::XlmRoberta, &roberta::XLM_ROBERTA),
    (Family::Camembert, &roberta::CAMEMBERT),
    (Family::Distilbert, &distilbert::FILES),
    (Family::Electra, &electra::FILES),
    (Family::Mpnet, &mpnet::FILES),
    (Family::DebertaV2, &deberta::FILES),
    (Family::ModernBert, &modernbert::FILES),
];

/// What Hugging Face's files of a family contain.
pub(crate) struct FamilyFiles {
    /// The value of `model_type`.
    pub(crate) model_type: &'static str,
    /// The family's name in its paper.
    pub(crate) name: &'static str,
    /// The keys of `config.json`; the first table that has a key has its rule.
    pub(crate) keys: &'static [Keys],
    /// Turns the keys into those of [`BertConfig`], with the defaults of transformers.
    pub(crate) read: fn(&mut Map<String, Value>),
    /// Turns the keys of a [`BertConfig`] back into the family's.
    pub(crate) write: fn(&mut Map<String, Value>),
    /// Names in checkpoints.
    pub(crate) names: CheckpointNames,
    /// The sequence classifier of transformers.
    pub(crate) classifier: ClassifierNames,
    /// The published rate of fine-tuning; BERT has none, because its users choose among those of its paper.
    pub(crate) fine_tuning: Option<FineTuning>,
}

/// A published learning rate for the fine-tuning of a whole encoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FineTuning {
    /// The highest rate of a schedule that warms up and decays, with Adam and batches of 16 to 64.
    pub learning_rate: f64,
    /// Where it is from.
    pub source: &'static str,
}

/// The names of a family's parameters in checkpoints.
pub(crate) struct CheckpointNames {
    /// The prefix in the checkpoint of a model with a head: `roberta.`.
    pub(crate) prefix: &'static str,
    /// Where the modules are, without the prefix.
    pub(crate) paths: ModulePaths,
    /// Pieces of a name in the checkpoint and of the parameter's path. They are replaced in this order.
    pub(crate) renames: &'static [(&'static str, &'static str)],
    /// Projections of one layer that are one tensor in the checkpoint.
    pub(crate) joined: Option<Joined>,
}

/// Query, key and value as one tensor: one after the other in its rows.
#[derive(Clone, Copy)]
pub(crate) struct Joined {
    /// A piece of the name in the checkpoint.
    pub(crate) name: &'static str,
    /// The pieces of the parameters' paths.
    pub(crate) parts: [&'static str; 3],
}

impl Family {
    /// Every family.
    pub fn all() -> impl Iterator<Item = Self> {
        FAMILIES.iter().map(|(family, _)| *family)
    }

    /// The family with this `model_type`.
    pub fn from_model_type(model_type: &str) -> Option<Self> {
        Self::all().find(|family| family.model_type() == model_type)
    }

    /// The value of `model_type` in `config.json`.
    pub fn model_type(self) -> &'static str {
        self.files().model_type
    }

    /// The family's name: `XLM-RoBERTa`.
    pub fn name(self) -> &'static str {
        self.files().name
    }

    /// The head of the family's sequence classifier in transformers.
    pub fn classifier(self) -> &'static ClassifierNames {
        &self.files().classifier
    }

    /// A published learning rate for the fine-tuning of the whole encoder.
    pub fn fine_tuning(self) -> Option<FineTuning> {
        self.files().fine_tuning
    }

    /// Where modules are in the family's checkpoints, without the [prefix](Self::checkpoint_prefix).
    pub fn checkpoint_paths(self) -> &'static ModulePaths {
        &self.files().names.paths
    }

    /// The prefix of the encoder's names in the checkpoint of a model with a head: `roberta.`.
    pub fn checkpoint_prefix(self) -> &'static str {
        self.files().names.prefix
    }

    pub(crate) fn files(self) -> &'static FamilyFiles {
        let row = FAMILIES.iter().find(|(family, _)| *family == self);
        row.expect("every family has a row").1
    }

    /// Whether a class of transformers, as in `architectures`, is one of the family's.
    pub(crate) fn has_class(self, class: &str) -> bool {
        let encoder = self.classifier().encoder;
        class.starts_with(encoder.strip_suffix("Model").unwrap_or(encoder))
    }
}

impl Serialize for Family {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.model_type())
    }
}

impl<'de> Deserialize<'de> for Family {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let model_type = String::deserialize(deserializer)?;
        Self::from_model_type(&model_type)
            .ok_or_else(|| serde::de::Error::custom(format!("unknown model_type `{model_type}`")))
    }
}

impl BertConfig {
    /// The object of a Hugging Face `config.json` with this configuration.
    pub fn to_config_json(&self) -> Map<String, Value> {
        // A configuration has string keys and finite numbers, which always serialize.
        let Ok(Value::Object(mut json)) = serde_json::to_value(self) else { return Map::new() };
        (self.family.files().write)(&mut json);
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_its_row_and_its_model_type() {
        for (family, files) in FAMILIES {
            assert_eq!(Family::from_model_type(files.model_type), Some(family));
            let json = serde_json::to_string(&family).unwrap();
            assert_eq!(serde_json::from_str::<Family>(&json).unwrap(), family);
        }
    }
}
