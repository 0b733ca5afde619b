//! What is trained: the section `[model]` of a configuration, and the flags of `trainer train` under `Model`.
//!
//! A field's documentation is the help of its flag.

use std::path::PathBuf;

use burn_adapters::{
    Activation, AdapterPlan, BottleneckConfig, ClassifierHead, Combine, HeadNorm, InnerNorm,
    Layers, Method, Pooling, Sites, TrainableBase,
};
use burn_bert::{BertConfig, Precision};
use clap::Args;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};

use crate::run_config::adapter_path;
use crate::run_config::limits;

/// The help of `--method`.
fn method_help() -> String {
    // Fusion is trained with --fuse.
    let fusion = Method::Fusion.to_string();
    let names: Vec<&str> = Method::NAMES.iter().copied().filter(|name| *name != fusion).collect();
    format!("What is trained: {}; top-K is the top K layers [default: houlsby]", names.join(", "))
}

/// What is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Model")]
pub struct ModelConfig {
    /// The pretrained BERT: minilm, a Hugging Face name such as
    /// bert-base-uncased, or a directory with its files [default: minilm]
    #[arg(long, value_name = "BASE")]
    pub base: String,
    /// What is trained.
    #[arg(long, value_name = "METHOD", help = method_help())]
    pub method: Method,
    /// Train AdapterFusion: attention over these adapters of the same base,
    /// given as files separated by commas
    #[arg(
        long,
        value_name = "FILES",
        value_delimiter = ',',
        value_parser = adapter_path::parse,
        conflicts_with = "method"
    )]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fuse: Vec<PathBuf>,
    /// Width of the bottlenecks, rank of LoRA, or length of the prefix
    /// [default: 64; lora: 8; prefix, prefix-flat: 30]
    #[arg(long, value_name = "M", value_parser = limits::SIZE)]
    pub size: usize,
    /// Activation in the bottlenecks: relu, gelu, gelu_new, swish, tanh
    /// [default: the method's]
    #[arg(long, value_name = "NAME", value_parser = by_name::<Activation>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Standard deviation of the bottlenecks' initial weights, a normal
    /// distribution truncated at two [default: the method's]
    #[arg(long, value_name = "SIGMA", value_parser = limits::INIT_STD)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_std: Option<f64>,
    /// Where in a layer the bottlenecks are: both, attention or feed-forward
    /// [default: the method's]
    #[arg(long, value_name = "SITES", value_parser = by_name::<Sites>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sites: Option<Sites>,
    /// Layers with adapters, counted from 0: all, 3.. (3 and above), 0..4 (0
    /// to 3) or a list such as 0,2,5 [default: all]
    #[arg(long, value_name = "RANGE")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "layers_as_text")]
    pub adapt_layers: Option<Layers>,
    /// Depth of each bottleneck: 1 is a down- and an up-projection, each more
    /// adds a layer between them [default: 1]
    #[arg(long, value_name = "N", value_parser = limits::DEPTH)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// Norm of the input of each bottleneck: none, layer or batch
    /// [default: none]
    #[arg(long, value_name = "NORM", value_parser = by_name::<InnerNorm>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner_norm: Option<InnerNorm>,
    /// How the output a of a bottleneck is combined with the hidden state h:
    /// add (h + a) or multiply (h * (1 + a)) [default: add]
    #[arg(long, value_name = "HOW", value_parser = by_name::<Combine>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub combine: Option<Combine>,
    /// Input of the classifier: pooler (the paper), first-token or mean
    /// [default: mean for minilm, pooler for BERT, else first-token]
    #[arg(long, value_name = "POOLING", value_parser = by_name::<Pooling>)]
    pub pooling: Pooling,
    /// Activation of a hidden layer of the classifier: none, relu, gelu,
    /// gelu_new, swish or tanh [default: that of transformers' classifier for
    /// the base's family: tanh for RoBERTa, relu for DistilBERT, none for BERT]
    #[arg(long, value_name = "NAME", value_parser = hidden_layer::parse)]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "hidden_layer::deserialize"
    )]
    // The whole path keeps clap from taking the option for a flag that may be absent: `none` is a value.
    pub head_hidden: std::option::Option<Activation>,
    /// Norm after the hidden layer of the classifier: none or layer
    /// [default: layer for ModernBERT, else none]
    #[arg(long, value_name = "NORM", value_parser = by_name::<HeadNormKind>)]
    #[serde(default, skip_serializing_if = "HeadNormKind::is_none")]
    pub head_norm: HeadNormKind,
    /// Maximum length of a text in tokens; longer texts are truncated
    /// [default: 128; squad: windows of 384]
    #[arg(long, value_name = "TOKENS", value_parser = limits::MAX_LENGTH)]
    pub max_length: usize,
    /// Dropout of hidden states, attention and classifier [default: the
    /// base's, usually 0.1]
    #[arg(long, value_name = "RATE", value_parser = limits::DROPOUT)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// Precision of the frozen base's weight matrices: f32, bf16 or f16;
    /// trainable parameters are always f32 [default: f32]
    #[arg(long, value_name = "NAME")]
    #[serde(default, skip_serializing_if = "is_single")]
    pub precision: Precision,
}

/// The norm after the hidden layer of a classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadNormKind {
    /// No norm.
    #[default]
    None,
    /// A LayerNorm with the base's ε.
    Layer,
}

impl HeadNormKind {
    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Layer => "layer",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl ModelConfig {
    /// The method and its size, if it has one: `houlsby-64`.
    pub fn label(&self) -> String {
        if self.method.has_size() {
            format!("{}-{}", self.method, self.size)
        } else {
            self.method.to_string()
        }
    }

    /// What the classifier reads, and its layers, in words.
    pub(crate) fn classifier(&self, reads_tokens: bool) -> String {
        let input = match self.pooling {
            _ if reads_tokens => "every token",
            Pooling::Pooler => "the base's pooler",
            Pooling::FirstToken => "the first token",
            Pooling::Mean => "the mean of the tokens",
        };
        let norm = match self.head_norm {
            HeadNormKind::None => "",
            HeadNormKind::Layer => ", a LayerNorm",
        };
        let hidden = self
            .head_hidden
            .map(|activation| format!("a hidden layer with {}{norm} and ", activation.name()));
        format!("{}a linear layer on {input}", hidden.unwrap_or_default())
    }

    /// Replaces the pooler of a base that has none by a hidden layer of the classifier, which has the same shape.
    pub(crate) fn replace_pooler(&mut self) {
        if self.pooling == Pooling::Pooler {
            (self.pooling, self.head_hidden) = (Pooling::FirstToken, Some(Activation::Tanh));
        }
    }

    /// Sets what the classifier reads, and its layers.
    pub(crate) fn set_classifier(&mut self, classifier: ClassifierHead) {
        self.pooling = classifier.pooling;
        self.head_hidden = classifier.hidden;
        self.head_norm =
            if classifier.norm.is_some() { HeadNormKind::Layer } else { HeadNormKind::None };
    }

    /// What the classifier reads, and its layers, on a base of this configuration, from which the numbers of a LayerNorm
    /// are.
    pub(crate) fn classifier_on(&self, base: &BertConfig) -> ClassifierHead {
        let linear = ClassifierHead::linear(self.pooling);
        let layers = ClassifierHead { hidden: self.head_hidden, ..linear };
        if self.head_norm == HeadNormKind::None {
            return layers;
        }
        let of_base = ClassifierHead::from(base.sequence_classifier());
        let norm = HeadNorm { epsilon: base.layer_norm_eps, bias: base.norm_bias };
        ClassifierHead { norm: Some(norm), hidden_bias: of_base.hidden_bias, ..layers }
    }

    /// Sets the pooling; layers that are the default of another are left out.
    pub(crate) fn set_pooling(&mut self, pooling: Pooling) {
        if pooling != self.pooling {
            self.pooling = pooling;
            self.leave_layers_out();
        }
    }

    /// Leaves out layers that were the default of another pooling. Those that end in a LayerNorm are that of any text.
    pub(crate) fn leave_layers_out(&mut self) {
        if self.head_norm == HeadNormKind::None || self.pooling == Pooling::Pooler {
            self.set_classifier(ClassifierHead::linear(self.pooling));
        }
    }

    /// What is inserted at each site, and what of the base is trainable.
    pub fn plan(&self) -> AdapterPlan {
        let mut plan = self.method.plan(self.size);
        if let Some(layers) = &self.adapt_layers {
            plan = plan.in_layers(layers);
        }
        plan.bottleneck = plan.bottleneck.map(|method| BottleneckConfig {
            sites: self.sites.unwrap_or(method.sites),
            activation: self.activation.unwrap_or(method.activation),
            init_std: self.init_std.unwrap_or(method.init_std),
            inner_norm: self.inner_norm.unwrap_or(method.inner_norm),
            depth: self.depth.unwrap_or(method.depth),
            combine: self.combine.unwrap_or(method.combine),
            ..method
        });
        // Lower layers without adapters are left unchanged altogether, so that their hidden states can be cached.
        if let (Some(bottleneck), TrainableBase::LayerNorms) =
            (&plan.bottleneck, plan.trainable_base)
            && bottleneck.layers.lowest() > 0
        {
            plan.trainable_base = TrainableBase::LayerNormsFrom(bottleneck.layers.lowest());
        }
        plan
    }
}

/// Parses a value by the name that it has in a configuration file.
fn by_name<T: for<'de> Deserialize<'de>>(name: &str) -> Result<T, serde::de::value::Error> {
    T::deserialize(name.into_deserializer())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_single(precision: &Precision) -> bool {
    *precision == Precision::F32
}

/// The hidden layer of a classifier, by its activation or `none`.
mod hidden_layer {
    use burn_adapters::Activation;
    use serde::{Deserialize, Deserializer, de};

    pub(super) fn parse(name: &str) -> Result<Option<Activation>, de::value::Error> {
        if name == "none" {
            return Ok(None);
        }
        super::by_name(name).map(Some).map_err(|_| {
            let names = Activation::ALL.map(Activation::name).join(", ");
            de::Error::custom(format!("unknown activation `{name}`, expected none, {names}"))
        })
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Activation>, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Layers as they are given on the command line.
mod layers_as_text {
    use burn_adapters::Layers;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(
        layers: &Option<Layers>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        layers.as_ref().map(Layers::to_string).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Layers>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
