//! Loading checkpoints: the whole encoder, or an error that lists all problems.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use crate::bert::Bert;
use crate::config::BertConfig;
use crate::error::{BertError, WeightsError};

mod fill;
pub mod hugging_face;
pub mod tensorflow;

pub use fill::transposed;

/// Loads the configuration and the weights of a directory, in Hugging Face's layout or in Google's.
///
/// # Errors
/// If a file is missing, damaged or not a BERT's; all problems with tensors are listed.
pub fn load(directory: &Path, device: &Device) -> Result<Bert, BertError> {
    load_weights(&BertConfig::from_directory(directory)?, directory, device)
}

/// The files of a directory's weights, in the order in which they are read.
///
/// # Errors
/// If the directory has no weights, or an index cannot be read.
pub fn files(directory: &Path) -> Result<Vec<PathBuf>, BertError> {
    match hugging_face::files(directory) {
        Err(BertError::Weights(WeightsError::None { .. })) if tensorflow::is_in(directory) => {
            tensorflow::files(directory)
        }
        files => files,
    }
}

/// Whether the weights that [`load`] reads are in Google's layout.
pub(crate) fn is_google_format(directory: &Path) -> bool {
    !hugging_face::is_in(directory) && tensorflow::is_in(directory)
}

/// Loads the weights of a directory into a BERT of the given configuration, which may differ from that of the directory
/// in values that are not shapes, such as dropout.
///
/// # Errors
/// If weights are missing, damaged or do not match the configuration; all problems with tensors are listed.
pub fn load_weights(
    config: &BertConfig,
    directory: &Path,
    device: &Device,
) -> Result<Bert, BertError> {
    config.check()?;
    let stored = match hugging_face::read(directory) {
        Err(BertError::Weights(WeightsError::None { .. })) if tensorflow::is_in(directory) => {
            tensorflow::read(directory)
        }
        read => read,
    }?;
    fill::fill(config, directory, stored, device)
}
