//! Google's own checkpoints: `bert_model.ckpt.index` with its data files, and `bert_config.json` beside them.
//! Names and layout are here; the files themselves are [`TensorBundle`]'s.
//!
//! <https://github.com/google-research/bert/blob/eedf5716ce1268e56f0a50264a88cafad334ac61/modeling.py>

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fill::{Checkpoint, Stored};
use crate::error::BertError;

mod bundle;
mod table;

pub use bundle::TensorBundle;

/// The published checkpoints' name.
const CHECKPOINT: &str = "bert_model.ckpt";

/// Whether there is such a checkpoint in a directory.
pub(super) fn is_in(directory: &Path) -> bool {
    directory.join(format!("{CHECKPOINT}.index")).is_file()
}

/// The files with the numbers of the checkpoint in a directory, in their order.
pub(super) fn files(directory: &Path) -> Result<Vec<PathBuf>, BertError> {
    Ok(TensorBundle::open(&directory.join(CHECKPOINT))?.data_files())
}

/// What a directory holds of an encoder.
pub(super) fn read(directory: &Path) -> Result<Checkpoint, BertError> {
    let bundle = Arc::new(TensorBundle::open(&directory.join(CHECKPOINT))?);
    let mut bytes = 0;
    for path in bundle.data_files() {
        let metadata = std::fs::metadata(&path);
        bytes += metadata.map_err(|source| BertError::Read { path, source })?.len();
    }
    let stored = bundle.names().filter_map(|name| {
        let (name, bundle) = (name.to_owned(), Arc::clone(&bundle));
        Some(Stored {
            path: path_of(&name)?,
            shape: bundle.shape(&name)?,
            // The bundle says it itself, with TensorFlow's number of the type.
            not_floats: None,
            read: Box::new({
                let name = name.clone();
                move || bundle.read(&name)
            }),
            name,
        })
    });
    let tensors = stored.collect();
    // A kernel is `[d_input, d_output]`, as Burn's.
    Ok(Checkpoint { tensors, bytes, name_of, is_transposed: |_| false })
}

/// Whether a tensor belongs to training, and to no model: the optimizer's moments and the count of steps.
pub fn is_of_training(name: &str) -> bool {
    name == "global_step" || name.ends_with("/adam_m") || name.ends_with("/adam_v")
}

/// A checkpoint's spellings and ours; applied to whole segments of a name.
const RENAMES: [(&str, &str); 3] = [
    (".self.", ".self_attention."),
    (".LayerNorm.", ".layer_norm."),
    ("encoder.layer_", "encoder.layer."),
];

/// The parameter that a checkpoint's name stands for; `None` for what is not part of the encoder.
fn path_of(name: &str) -> Option<String> {
    if is_of_training(name) {
        return None;
    }
    let name = name.strip_prefix("bert/")?.replace('/', ".");
    let path = RENAMES.iter().fold(name, |path, (theirs, ours)| path.replace(theirs, ours));
    Some(match path.strip_suffix(".kernel") {
        Some(layer) => format!("{layer}.weight"),
        None if path.ends_with("_embeddings") => format!("{path}.weight"),
        None => path,
    })
}

/// The checkpoint's name of the parameter at a path of a [`Bert`](crate::Bert).
pub fn name_of(path: &str) -> String {
    let name =
        RENAMES.iter().fold(path.to_owned(), |name, (theirs, ours)| name.replace(ours, theirs));
    let name = match name.strip_suffix(".weight") {
        Some(table) if table.ends_with("_embeddings") => table.to_owned(),
        Some(layer) => format!("{layer}.kernel"),
        None => name,
    };
    format!("bert/{}", name.replace('.', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_path_stand_for_each_other() {
        for (name, path) in [
            (
                "bert/encoder/layer_11/attention/self/query/kernel",
                "encoder.layer.11.attention.self_attention.query.weight",
            ),
            (
                "bert/encoder/layer_0/output/LayerNorm/gamma",
                "encoder.layer.0.output.layer_norm.gamma",
            ),
            (
                "bert/encoder/layer_0/intermediate/dense/bias",
                "encoder.layer.0.intermediate.dense.bias",
            ),
            ("bert/embeddings/word_embeddings", "embeddings.word_embeddings.weight"),
            ("bert/embeddings/LayerNorm/beta", "embeddings.layer_norm.beta"),
            ("bert/pooler/dense/kernel", "pooler.dense.weight"),
        ] {
            assert_eq!(path_of(name).as_deref(), Some(path));
            assert_eq!(name_of(path), name);
        }
    }

    #[test]
    fn heads_and_moments_are_no_part_of_the_encoder() {
        for name in [
            "cls/predictions/transform/dense/kernel",
            "output_weights",
            "global_step",
            "bert/pooler/dense/kernel/adam_m",
            "bert/pooler/dense/kernel/adam_v",
        ] {
            assert_eq!(path_of(name), None);
        }
    }
}
