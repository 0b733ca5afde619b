//! Names in, modules out: all of a checkpoint, or an error that lists what is wrong with it.

use std::path::Path;

use burn::tensor::Device;

use crate::config::BertConfig;
use crate::error::BertError;
use crate::model::Bert;

mod fill;
pub mod hugging_face;
pub mod tensorflow;

/// Reads configuration and weights of a directory, in Hugging Face's layout or in Google's.
///
/// # Errors
/// Anything in the directory that is missing, damaged or not a BERT's; tensors are listed all at once.
pub fn load(directory: &Path, device: &Device) -> Result<Bert, BertError> {
    load_weights(&BertConfig::from_directory(directory)?, directory, device)
}

/// Reads the weights of a directory into a BERT of the given configuration, which may differ from that of the
/// directory in what is not a shape (dropout).
///
/// # Errors
/// Weights that are missing, damaged or not those of the configuration; tensors are listed all at once.
pub fn load_weights(
    config: &BertConfig,
    directory: &Path,
    device: &Device,
) -> Result<Bert, BertError> {
    config.check()?;
    let stored = match hugging_face::read(directory) {
        Err(BertError::NoWeights { .. }) if tensorflow::is_in(directory) => {
            tensorflow::read(directory)
        }
        read => read,
    }?;
    fill::fill(config, directory, stored, device)
}
