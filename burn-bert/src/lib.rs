#![doc = include_str!("../README.md")]

mod attention;
mod bert;
pub mod checkpoint;
mod config;
mod config_file;
mod convolution;
mod embeddings;
mod encoder;
mod error;
mod families;
mod feed_forward;
mod init;
mod input;
mod insertion;
mod layer;
mod paths;
mod pooler;
mod precision;
mod projection;
mod relative_bias;
mod relative_embeddings;
mod residual;
mod variations;

pub use bert::Bert;
pub use checkpoint::{load, load_weights};
pub use config::{BertConfig, HiddenActivation, NormPosition, Positions};
pub use encoder::{EmbeddingSizes, Encoder};
pub use error::{BertError, ConfigError, InputError, TensorProblem, WeightsError};
pub use families::{
    ClassifierConfig, ClassifierHidden, ClassifierLayer, ClassifierNames, ClassifierNorm,
    ClassifierPooling, Family, FineTuning, PretrainedHead, SequenceClassifier,
};
pub use input::BertInput;
pub use insertion::{EncoderPart, Insertions, Prefix, Projection, ResidualNorm, Site};
pub use paths::ModulePaths;
pub use precision::Precision;
pub use variations::{ConvolutionConfig, LocalAttention, OutputDropout, RelativeAttention};
