//! Checkpoints in Hugging Face's layout: `model.safetensors` or `pytorch_model.bin`, whole or in shards.
//! One table of renames covers prefixes, old LayerNorm names and heads.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use burn::store::{ModuleStore, PytorchStore, SafetensorsStore, bridge};
use burn::tensor::{DType, TensorData};
use serde::Deserialize;

use super::fill::{Checkpoint, Stored, parameters, transposed};
use crate::bert::Bert;
use crate::error::{BertError, WeightsError};
use crate::families::Family;

/// The weights of an encoder by their names in a checkpoint without prefix, in the checkpoint's layout.
pub fn tensors(bert: &Bert) -> BTreeMap<String, TensorData> {
    let mut tensors = BTreeMap::new();
    for (path, data) in parameters(bert) {
        let data = if is_transposed(&path) { transposed(&data) } else { data };
        match tensors.entry(name_of(bert.family, &path)) {
            Entry::Vacant(entry) => {
                entry.insert(data);
            }
            // Query, key and value are visited in this order.
            Entry::Occupied(mut entry) => {
                let joined = below(entry.get(), &data);
                entry.insert(joined);
            }
        }
    }
    tensors
}

/// Reads the tensors of the encoder in a directory.
///
/// # Errors
/// If weights are missing or damaged, or are not those of one encoder.
pub(super) fn read(directory: &Path, family: Family) -> Result<Checkpoint, BertError> {
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
    let prefix = prefix(directory, &tensors, family)?;
    let root = prefix.strip_suffix(family.checkpoint_prefix()).unwrap_or(&prefix);
    let head = tensors.iter().filter_map(|stored| {
        let path = head_path(family, stored.name.strip_prefix(root)?)?.to_owned();
        Some(Stored { path, ..stored.clone() })
    });
    let head = head.collect();
    let tensors = tensors.into_iter().filter_map(|stored| {
        let paths = paths_of(family, stored.name.strip_prefix(&prefix)?)?;
        Some(stored.split(paths))
    });
    let tensors = tensors.flatten().collect();
    let name_of = Box::new(move |path: &str| name_of(family, path));
    Ok(Checkpoint { tensors, head, bytes, name_of, is_transposed })
}

const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const PICKLE: &str = "pytorch_model.bin";
const PICKLE_INDEX: &str = "pytorch_model.bin.index.json";

/// Whether a directory has weights in this layout.
pub(super) fn is_in(directory: &Path) -> bool {
    [WHOLE, INDEX, PICKLE, PICKLE_INDEX].iter().any(|file| directory.join(file).is_file())
}

/// The files of the weights, in the order in which they are read.
pub(super) fn files(directory: &Path) -> Result<Vec<PathBuf>, BertError> {
    // In the order of transformers.
    for (whole, index) in [(WHOLE, INDEX), (PICKLE, PICKLE_INDEX)] {
        let [whole, index] = [whole, index].map(|file| directory.join(file));
        if whole.is_file() {
            return Ok(vec![whole]);
        }
        if index.is_file() {
            return Ok(shards(&index)?.iter().map(|shard| directory.join(shard)).collect());
        }
    }
    Err(WeightsError::None { directory: directory.to_owned() }.into())
}

/// The prefix of the names of the encoder's tensors.
fn prefix(directory: &Path, tensors: &[Stored], family: Family) -> Result<String, WeightsError> {
    /// Modules around an encoder: of several devices, compiled, or of another library.
    const WRAPPERS: [&str; 6] = ["model", "module", "base_model", "_orig_mod", "auto_model", "0"];
    /// The most names in a message.
    const SHOWN: usize = 3;
    let table = name_of(family, "embeddings.word_embeddings.weight");
    let own = family.checkpoint_prefix();
    let prefixes: BTreeSet<&str> = tensors
        .iter()
        .filter_map(|stored| stored.name.strip_suffix(table.as_str()))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .collect();
    let directory = directory.to_owned();
    if prefixes.is_empty() {
        let first: Vec<&str> =
            tensors.iter().take(SHOWN).map(|stored| stored.name.as_str()).collect();
        return Err(WeightsError::NoEncoder {
            directory,
            count: tensors.len(),
            table,
            first: first.join(", "),
        });
    }
    let is_wrapper = |prefix: &str| {
        let mut parts = prefix.strip_suffix(own).unwrap_or(prefix).split_terminator('.');
        parts.all(|part| WRAPPERS.contains(&part))
    };
    match prefixes.iter().next() {
        Some(prefix) if prefixes.len() == 1 && is_wrapper(prefix) => Ok((*prefix).to_owned()),
        _ => {
            let found: Vec<String> =
                prefixes.iter().take(SHOWN).map(|prefix| format!("`{prefix}`")).collect();
            Err(WeightsError::Prefix { directory, found: found.join(", ") })
        }
    }
}

/// The largest index that is read, in bytes; that of a model of a hundred layers has 200 kB.
const LARGEST_INDEX: u64 = 16 << 20;

/// The files in an index, without duplicates.
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
        .map_err(|source| WeightsError::IndexJson { path: index_path.to_owned(), source })?;
    let mut shards: Vec<_> = index.weight_map.into_values().collect();
    shards.sort();
    shards.dedup();
    if shards.is_empty() {
        let directory = index_path.parent().unwrap_or(index_path).to_owned();
        return Err(WeightsError::None { directory }.into());
    }
    // Only files in the directory of the index may be read.
    match shards.iter().find(|shard| Path::new(shard).file_name() != Some(OsStr::new(shard))) {
        Some(shard) => {
            Err(WeightsError::Shard { path: index_path.to_owned(), shard: shard.clone() }.into())
        }
        None => Ok(shards),
    }
}

/// Adds the tensors of a file; their paths are filled in later.
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
            read: Rc::new(move || {
                bridge::into_data(tensor.clone()).map_err(|error| damaged(&path, error))
            }),
        }
    }));
    Ok(())
}

/// Quantized weights are meaningless without their scales, which are separate tensors.
fn is_float(dtype: DType) -> bool {
    matches!(dtype, DType::F64 | DType::F32 | DType::F16 | DType::BF16)
}

fn damaged(path: &Path, error: impl std::fmt::Display) -> BertError {
    WeightsError::Damaged { path: path.to_owned(), reason: error.to_string() }.into()
}

/// The rows of a matrix, or the elements of a vector, and then those of another.
fn below(first: &TensorData, second: &TensorData) -> TensorData {
    let mut shape = first.shape().to_vec();
    shape[0] += second.shape()[0];
    TensorData::new(first.iter::<f32>().chain(second.iter()).collect::<Vec<f32>>(), shape)
}

/// The paths of the parameters in a tensor, by its name without prefix; `None` if it is not part of the encoder.
fn paths_of(family: Family, name: &str) -> Option<Vec<String>> {
    match family.files().names.joined {
        Some(joined) if name.contains(joined.name) => joined
            .parts
            .iter()
            .map(|part| path_of(family, &name.replace(joined.name, part)))
            .collect(),
        _ => Some(vec![path_of(family, name)?]),
    }
}

/// The parameter path of a name without prefix; `None` if it is not part of the encoder: heads, and the position ids of
/// old checkpoints.
fn path_of(family: Family, name: &str) -> Option<String> {
    let renames = family.files().names.renames;
    let path =
        renames.iter().fold(name.to_owned(), |path, (name, in_path)| path.replace(name, in_path));
    let is_encoder =
        ["embeddings.", "encoder.", "pooler."].iter().any(|part| path.starts_with(part));
    if !is_encoder || path == "embeddings.position_ids" {
        return None;
    }
    Some(match path.rsplit_once(".layer_norm.") {
        Some((site, "weight")) => format!("{site}.layer_norm.gamma"),
        Some((site, "bias")) => format!("{site}.layer_norm.beta"),
        _ => path,
    })
}

/// The field of a [`PretrainedHead`](crate::PretrainedHead) that a tensor is, by its name without the prefix of a model
/// around.
fn head_path(family: Family, name: &str) -> Option<&'static str> {
    let hidden = family.classifier().hidden?;
    let (module, kind) = name.rsplit_once('.')?;
    match kind {
        "weight" if module == hidden.name => Some("weight"),
        "bias" if module == hidden.name => Some("bias"),
        "weight" if module == hidden.norm? => Some("gamma"),
        "bias" if module == hidden.norm? => Some("beta"),
        _ => None,
    }
}

/// The name of a parameter in the checkpoint.
fn name_of(family: Family, path: &str) -> String {
    let names = &family.files().names;
    let path = path.replace(".gamma", ".weight").replace(".beta", ".bias");
    let parts = names.joined.iter().flat_map(|joined| joined.parts.map(|part| (joined.name, part)));
    let renames = parts.chain(names.renames.iter().copied());
    renames.fold(path, |name, (in_name, path)| name.replace(path, in_name))
}

/// The matrix of a linear layer is stored as `[d_output, d_input]`, the transpose of Burn's.
fn is_transposed(path: &str) -> bool {
    path.ends_with(".weight")
        && !path.contains("_embeddings.")
        && !path.contains(".convolution.")
        && !path.starts_with(Bert::PARAMETER_PATHS.relative_bias)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_names_are_understood() {
        let query = Some("encoder.layer.0.attention.self_attention.query.weight".to_owned());
        assert_eq!(path_of(Family::Bert, "encoder.layer.0.attention.self.query.weight"), query);
        let gamma = Some("encoder.layer.0.output.layer_norm.gamma".to_owned());
        assert_eq!(path_of(Family::Bert, "encoder.layer.0.output.LayerNorm.gamma"), gamma);
        assert_eq!(path_of(Family::Bert, "encoder.layer.0.output.LayerNorm.weight"), gamma);
        for head in [
            "cls.predictions.bias",
            "classifier.weight",
            "heads.cola.1.bias",
            "embeddings.position_ids",
        ] {
            assert_eq!(path_of(Family::Bert, head), None);
        }
    }

    #[test]
    fn a_parameter_is_named_as_in_the_checkpoint() {
        let path = "encoder.layer.0.attention.self_attention.query.weight";
        assert_eq!(name_of(Family::Bert, path), "encoder.layer.0.attention.self.query.weight");
        assert_eq!(
            name_of(Family::Bert, "embeddings.layer_norm.gamma"),
            "embeddings.LayerNorm.weight"
        );
    }
}
