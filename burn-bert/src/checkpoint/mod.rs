//! Loading checkpoints: the whole encoder, or an error that lists all problems.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use crate::bert::Bert;
use crate::config::BertConfig;
use crate::error::{BertError, WeightsError};

mod fill;
pub mod hugging_face;
#[cfg(feature = "tensorflow")]
pub mod tensorflow;

pub use fill::transposed;

/// The name of Google's published checkpoints.
const GOOGLE_CHECKPOINT: &str = "bert_model.ckpt";

/// In place of the reader of Google's checkpoints: they are recognized, and refused.
#[cfg(not(feature = "tensorflow"))]
mod tensorflow {
    use std::path::{Path, PathBuf};

    use super::fill::Checkpoint;
    use crate::error::{BertError, WeightsError};

    pub(super) fn files(directory: &Path) -> Result<Vec<PathBuf>, BertError> {
        Err(WeightsError::WithoutTensorflow { directory: directory.to_owned() }.into())
    }

    pub(super) fn read(directory: &Path) -> Result<Checkpoint, BertError> {
        Err(WeightsError::WithoutTensorflow { directory: directory.to_owned() }.into())
    }
}

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
        Err(BertError::Weights(WeightsError::None { .. })) if has_google_checkpoint(directory) => {
            tensorflow::files(directory)
        }
        files => files,
    }
}

/// Whether the weights that [`load`] reads are in Google's layout.
pub(crate) fn is_google_format(directory: &Path) -> bool {
    !hugging_face::is_in(directory) && has_google_checkpoint(directory)
}

fn has_google_checkpoint(directory: &Path) -> bool {
    directory.join(format!("{GOOGLE_CHECKPOINT}.index")).is_file()
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
    let stored = match hugging_face::read(directory, config.family) {
        Err(BertError::Weights(WeightsError::None { .. })) if has_google_checkpoint(directory) => {
            tensorflow::read(directory)
        }
        read => read,
    }?;
    fill::fill(config, directory, stored, device)
}
