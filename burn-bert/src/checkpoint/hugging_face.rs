//! Checkpoints in Hugging Face's layout: `model.safetensors`, whole or in shards, or `pytorch_model.bin`.
//! Prefix, old LayerNorm names and heads are dealt with by one rename table.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use burn::store::{ModuleStore, PytorchStore, SafetensorsStore, bridge};
use burn::tensor::TensorData;
use serde::Deserialize;

use super::fill::{Checkpoint, Stored, parameters, transposed};
use crate::error::BertError;
use crate::model::Bert;

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
/// Weights that are missing or damaged.
pub(super) fn read(directory: &Path) -> Result<Checkpoint, BertError> {
    let tensors = read_files(directory)?;
    Ok(Checkpoint { tensors, name_of, is_transposed })
}

fn read_files(directory: &Path) -> Result<Vec<Stored>, BertError> {
    let (whole, index, pickle) = (
        directory.join("model.safetensors"),
        directory.join("model.safetensors.index.json"),
        directory.join("pytorch_model.bin"),
    );
    if whole.is_file() {
        read_file(&mut SafetensorsStore::from_file(&whole), &whole)
    } else if index.is_file() {
        let mut tensors = Vec::new();
        for shard in shards(&index)? {
            let shard = directory.join(shard);
            tensors.extend(read_file(&mut SafetensorsStore::from_file(&shard), &shard)?);
        }
        Ok(tensors)
    } else if pickle.is_file() {
        read_file(&mut PytorchStore::from_file(&pickle), &pickle)
    } else {
        Err(BertError::NoWeights { directory: directory.to_owned() })
    }
}

/// The files that an index names, each once.
fn shards(index_path: &Path) -> Result<Vec<String>, BertError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = std::fs::read_to_string(index_path)
        .map_err(|source| BertError::Read { path: index_path.to_owned(), source })?;
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

fn read_file<S: ModuleStore>(store: &mut S, path: &Path) -> Result<Vec<Stored>, BertError> {
    if !path.is_file() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(BertError::Read { path: path.to_owned(), source });
    }
    let tensors = store.get_all_tensors().map_err(|error| damaged(path, error))?;
    let stored = tensors.values().filter_map(|tensor| {
        let (tensor, path) = (tensor.clone(), path.to_owned());
        Some(Stored {
            path: path_of(&tensor.name)?,
            name: tensor.name.clone(),
            shape: tensor.shape.to_vec(),
            read: Box::new(move || {
                bridge::into_data(tensor).map_err(|error| damaged(&path, error))
            }),
        })
    });
    Ok(stored.collect())
}

fn damaged(path: &Path, error: impl std::fmt::Display) -> BertError {
    BertError::Weights { path: path.to_owned(), reason: error.to_string() }
}

/// A checkpoint's spellings and ours; applied to whole segments of a name.
const RENAMES: [(&str, &str); 2] =
    [(".self.", ".self_attention."), (".LayerNorm.", ".layer_norm.")];

/// The parameter that a checkpoint's name stands for; `None` for what is not part of the encoder: heads, and the
/// position ids that old checkpoints hold.
fn path_of(name: &str) -> Option<String> {
    let name = name.strip_prefix("bert.").unwrap_or(name);
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
        assert_eq!(path_of("bert.encoder.layer.0.attention.self.query.weight"), query);
        let gamma = Some("encoder.layer.0.output.layer_norm.gamma".to_owned());
        assert_eq!(path_of("bert.encoder.layer.0.output.LayerNorm.gamma"), gamma);
        assert_eq!(path_of("encoder.layer.0.output.LayerNorm.weight"), gamma);
        for head in [
            "cls.predictions.bias",
            "classifier.weight",
            "heads.cola.1.bias",
            "bert.embeddings.position_ids",
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
