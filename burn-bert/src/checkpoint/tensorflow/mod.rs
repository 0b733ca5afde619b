//! Google's checkpoints: `bert_model.ckpt.index` with its data files and `bert_config.json`.
//! Names and layout are here; [`TensorBundle`] reads the files.
//!
//! <https://github.com/google-research/bert/blob/eedf5716ce1268e56f0a50264a88cafad334ac61/modeling.py>

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::GOOGLE_CHECKPOINT;
use super::fill::{Checkpoint, Stored};
use crate::error::BertError;

mod bundle;
mod table;

pub use bundle::TensorBundle;

/// The data files of the checkpoint in a directory, in order.
pub(super) fn files(directory: &Path) -> Result<Vec<PathBuf>, BertError> {
    Ok(TensorBundle::open(&directory.join(GOOGLE_CHECKPOINT))?.data_files())
}

/// Reads the tensors of the encoder in a directory.
pub(super) fn read(directory: &Path) -> Result<Checkpoint, BertError> {
    let bundle = Arc::new(TensorBundle::open(&directory.join(GOOGLE_CHECKPOINT))?);
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
            // The bundle checks the type itself.
            not_floats: None,
            read: Rc::new({
                let name = name.clone();
                move || bundle.read(&name)
            }),
            name,
        })
    });
    let tensors = stored.collect();
    // A kernel is `[d_input, d_output]`, as in Burn.
    let head = Vec::new();
    Ok(Checkpoint { tensors, head, bytes, name_of: Box::new(name_of), is_transposed: |_| false })
}

/// Whether a tensor is part of the training state, not of a model: the optimizer's moments and the step counter.
pub fn is_of_training(name: &str) -> bool {
    name == "global_step" || name.ends_with("/adam_m") || name.ends_with("/adam_v")
}

/// Segments of a name in the checkpoint and in the parameter path.
const RENAMES: [(&str, &str); 3] = [
    (".self.", ".self_attention."),
    (".LayerNorm.", ".layer_norm."),
    ("encoder.layer_", "encoder.layer."),
];

/// The parameter path of a name; `None` if it is not part of the encoder.
fn path_of(name: &str) -> Option<String> {
    if is_of_training(name) {
        return None;
    }
    let name = name.strip_prefix("bert/")?.replace('/', ".");
    let path = RENAMES.iter().fold(name, |path, (in_name, in_path)| path.replace(in_name, in_path));
    Some(match path.strip_suffix(".kernel") {
        Some(layer) => format!("{layer}.weight"),
        None if path.ends_with("_embeddings") => format!("{path}.weight"),
        None => path,
    })
}

/// The name in the checkpoint of the parameter at a path of a [`Bert`](crate::Bert).
pub fn name_of(path: &str) -> String {
    let name =
        RENAMES.iter().fold(path.to_owned(), |name, (in_name, path)| name.replace(path, in_name));
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
    fn names_and_paths_convert_both_ways() {
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
    fn heads_and_moments_are_not_part_of_the_encoder() {
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
