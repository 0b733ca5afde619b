//! Checkpoints in Hugging Face's layout: `model.safetensors`, whole or in shards, or `pytorch_model.bin`.
//! Prefix, old LayerNorm names and heads are dealt with by one rename table.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use burn::store::{ModuleStore, PytorchStore, SafetensorsStore, bridge};
use burn::tensor::{DType, TensorData};
use serde::Deserialize;

use super::fill::{Checkpoint, Stored, parameters, transposed};
use crate::bert::Bert;
use crate::error::BertError;

/// The weights of a BERT by their names in a checkpoint without prefix, laid out as there.
pub fn tensors(bert: &Bert) -> BTreeMap<String, TensorData> {
    parameters(bert)
        .into_iter()
        .map(|(path, data)| {
            let data = if is_transposed(&path) { transposed(&data) } else { data };
            (name_of(&path), data)
        })
        .collect()
}

/// What a directory holds of an encoder.
///
/// # Errors
/// Weights that are missing or damaged, or hold no single encoder.
pub(super) fn read(directory: &Path) -> Result<Checkpoint, BertError> {
    let mut tensors = Vec::new();
    let mut bytes = 0;
    for path in files(directory)? {
        let unreadable = |source| BertError::Read { path: path.clone(), source };
        bytes += std::fs::metadata(&path).map_err(unreadable)?.len();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            read_file(&mut SafetensorsStore::from_file(&path), &path, &mut tensors)?;
        } else {
            read_file(&mut PytorchStore::from_file(&path), &path, &mut tensors)?;
        }
    }
    let prefix = prefix(directory, &tensors)?;
    let tensors = tensors.into_iter().filter_map(|stored| {
        let path = path_of(stored.name.strip_prefix(&prefix)?)?;
        Some(Stored { path, ..stored })
    });
    Ok(Checkpoint { tensors: tensors.collect(), bytes, name_of, is_transposed })
}

const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const PICKLE: &str = "pytorch_model.bin";

/// Whether there are such weights in a directory.
pub(super) fn is_in(directory: &Path) -> bool {
    [WHOLE, INDEX, PICKLE].iter().any(|file| directory.join(file).is_file())
}

/// The files of the weights, in the order in which they are read.
pub(super) fn files(directory: &Path) -> Result<Vec<PathBuf>, BertError> {
    let [whole, index, pickle] = [WHOLE, INDEX, PICKLE].map(|file| directory.join(file));
    if whole.is_file() {
        Ok(vec![whole])
    } else if index.is_file() {
        Ok(shards(&index)?.iter().map(|shard| directory.join(shard)).collect())
    } else if pickle.is_file() {
        Ok(vec![pickle])
    } else {
        Err(BertError::NoWeights { directory: directory.to_owned() })
    }
}

/// What stands before the names of the encoder's tensors.
fn prefix(directory: &Path, tensors: &[Stored]) -> Result<String, BertError> {
    /// What models are wrapped in: BERT with a head, on several devices, compiled, or by another library.
    const WRAPPERS: [&str; 7] =
        ["bert", "model", "module", "base_model", "_orig_mod", "auto_model", "0"];
    const TABLE: &str = "embeddings.word_embeddings.weight";
    /// Names in a message.
    const SHOWN: usize = 3;
    let prefixes: BTreeSet<&str> = tensors
        .iter()
        .filter_map(|stored| stored.name.strip_suffix(TABLE))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .collect();
    let directory = directory.to_owned();
    if prefixes.is_empty() {
        let first: Vec<&str> =
            tensors.iter().take(SHOWN).map(|stored| stored.name.as_str()).collect();
        return Err(BertError::NoEncoder {
            directory,
            count: tensors.len(),
            first: first.join(", "),
        });
    }
    let is_wrapper =
        |prefix: &str| prefix.split_terminator('.').all(|part| WRAPPERS.contains(&part));
    match prefixes.iter().next() {
        Some(prefix) if prefixes.len() == 1 && is_wrapper(prefix) => Ok((*prefix).to_owned()),
        _ => {
            let found: Vec<String> =
                prefixes.iter().take(SHOWN).map(|prefix| format!("`{prefix}`")).collect();
            Err(BertError::Prefix { directory, found: found.join(", ") })
        }
    }
}

/// The largest index that is read; that of a model of a hundred layers has 200 kB.
const LARGEST_INDEX: u64 = 16 << 20;

/// The files that an index names, each once.
fn shards(index_path: &Path) -> Result<Vec<String>, BertError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let unreadable = |source| BertError::Read { path: index_path.to_owned(), source };
    let bytes = std::fs::metadata(index_path).map_err(unreadable)?.len();
    if bytes > LARGEST_INDEX {
        let path = index_path.to_owned();
        return Err(BertError::TooLarge { path, bytes, limit: LARGEST_INDEX });
    }
    let text = std::fs::read_to_string(index_path).map_err(unreadable)?;
    let index: Index = serde_json::from_str(&text)
        .map_err(|source| BertError::IndexJson { path: index_path.to_owned(), source })?;
    let mut shards: Vec<_> = index.weight_map.into_values().collect();
    shards.sort();
    shards.dedup();
    // A file beside the index, and nothing else on the machine.
    match shards.iter().find(|shard| Path::new(shard).file_name() != Some(OsStr::new(shard))) {
        Some(shard) => Err(BertError::Shard { path: index_path.to_owned(), shard: shard.clone() }),
        None => Ok(shards),
    }
}

/// Adds the tensors of a file; their paths are not known yet.
fn read_file<S: ModuleStore>(
    store: &mut S,
    path: &Path,
    tensors: &mut Vec<Stored>,
) -> Result<(), BertError> {
    let found = store.get_all_tensors().map_err(|error| damaged(path, error))?;
    tensors.extend(found.values().map(|tensor| {
        let (tensor, path) = (tensor.clone(), path.to_owned());
        Stored {
            path: String::new(),
            name: tensor.name.clone(),
            shape: tensor.shape.to_vec(),
            not_floats: (!is_float(tensor.dtype)).then(|| format!("{:?}", tensor.dtype)),
            read: Box::new(move || {
                bridge::into_data(tensor).map_err(|error| damaged(&path, error))
            }),
        }
    }));
    Ok(())
}

/// Quantized weights have scales beside them, without which they mean nothing.
fn is_float(dtype: DType) -> bool {
    matches!(dtype, DType::F64 | DType::F32 | DType::F16 | DType::BF16)
}

fn damaged(path: &Path, error: impl std::fmt::Display) -> BertError {
    BertError::Weights { path: path.to_owned(), reason: error.to_string() }
}

/// A checkpoint's spellings and ours; applied to whole segments of a name.
const RENAMES: [(&str, &str); 2] =
    [(".self.", ".self_attention."), (".LayerNorm.", ".layer_norm.")];

/// The parameter that a checkpoint's name without prefix stands for; `None` for what is not part of the encoder: heads, and the
/// position ids that old checkpoints hold.
fn path_of(name: &str) -> Option<String> {
    let ours = ["embeddings.", "encoder.", "pooler."].iter().any(|part| name.starts_with(part));
    if !ours || name == "embeddings.position_ids" {
        return None;
    }
    let path =
        RENAMES.iter().fold(name.to_owned(), |path, (theirs, ours)| path.replace(theirs, ours));
    Some(match path.rsplit_once(".layer_norm.") {
        Some((site, "weight")) => format!("{site}.layer_norm.gamma"),
        Some((site, "bias")) => format!("{site}.layer_norm.beta"),
        _ => path,
    })
}

/// The checkpoint's usual name of a parameter.
fn name_of(path: &str) -> String {
    let name =
        RENAMES.iter().fold(path.to_owned(), |name, (theirs, ours)| name.replace(ours, theirs));
    name.replace(".gamma", ".weight").replace(".beta", ".bias")
}

/// The matrix of a linear layer is stored as `[d_output, d_input]`; Burn has it the other way round.
fn is_transposed(path: &str) -> bool {
    path.ends_with(".weight") && !path.contains("_embeddings.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_name_is_understood() {
        let query = Some("encoder.layer.0.attention.self_attention.query.weight".to_owned());
        assert_eq!(path_of("encoder.layer.0.attention.self.query.weight"), query);
        let gamma = Some("encoder.layer.0.output.layer_norm.gamma".to_owned());
        assert_eq!(path_of("encoder.layer.0.output.LayerNorm.gamma"), gamma);
        assert_eq!(path_of("encoder.layer.0.output.LayerNorm.weight"), gamma);
        for head in [
            "cls.predictions.bias",
            "classifier.weight",
            "heads.cola.1.bias",
            "embeddings.position_ids",
        ] {
            assert_eq!(path_of(head), None);
        }
    }

    #[test]
    fn a_parameter_is_named_as_in_the_checkpoint() {
        let path = "encoder.layer.0.attention.self_attention.query.weight";
        assert_eq!(name_of(path), "encoder.layer.0.attention.self.query.weight");
        assert_eq!(name_of("embeddings.layer_norm.gamma"), "embeddings.LayerNorm.weight");
    }
}
