//! Names in, modules out: all of a checkpoint, or an error that lists what is wrong with it.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use crate::bert::Bert;
use crate::config::BertConfig;
use crate::error::BertError;

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

/// The files that hold the numbers of a directory's weights, in the order in which they are read.
///
/// # Errors
/// A directory without weights, or an index that cannot be read.
pub fn files(directory: &Path) -> Result<Vec<PathBuf>, BertError> {
    match hugging_face::files(directory) {
        Err(BertError::NoWeights { .. }) if tensorflow::is_in(directory) => {
            tensorflow::files(directory)
        }
        files => files,
    }
}

/// Whether the weights that [`load`] reads are in Google's layout.
pub(crate) fn is_google_format(directory: &Path) -> bool {
    !hugging_face::is_in(directory) && tensorflow::is_in(directory)
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
