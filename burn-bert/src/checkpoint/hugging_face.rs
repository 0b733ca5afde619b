//! Checkpoints in Hugging Face's layout: `model.safetensors`, whole or in shards, or `pytorch_model.bin`.
//! Prefix, old LayerNorm names and heads are dealt with by one rename table.
//!
//! Tensors are read one by one from the mapped file straight into their parameters, so that the weights are in memory
//! once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::store::burn_pack::Tensor as StoredTensor;
use burn::store::{ModuleStore, PytorchStore, SafetensorsStore, bridge};
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::Deserialize;

use crate::config::BertConfig;
use crate::error::{BertError, TensorProblem};
use crate::model::Bert;

/// Reads `config.json` and the weights of a directory.
///
/// # Errors
/// Anything in the directory that is missing, damaged or not a BERT's; tensors are listed all at once.
pub fn load(directory: &Path, device: &Device) -> Result<Bert, BertError> {
    let config = BertConfig::from_json_file(&directory.join("config.json"))?;
    load_weights(&config, directory, device)
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
    let mut problems = Vec::new();
    let mut stored = BTreeMap::new();
    for tensor in read_files(directory)? {
        let Some(path) = path_of(&tensor.tensor.name) else { continue };
        if let Some(twice) = stored.insert(path, tensor) {
            problems.push(TensorProblem::Twice { name: twice.tensor.name.clone() });
        }
    }

    let mut bert = config.init(device);
    if !stored.keys().any(|path| path.starts_with("pooler.")) {
        bert.pooler = None;
    }
    let mut shapes = Shapes::default();
    bert.visit(&mut shapes);
    for (path, burn_shape) in &shapes.found {
        let expected = checkpoint_shape(path, burn_shape);
        match stored.get(path) {
            None => problems.push(TensorProblem::Missing { name: name_of(path), expected }),
            Some(File { tensor, .. }) if tensor.shape.to_vec() != expected => {
                let (name, found) = (tensor.name.clone(), tensor.shape.to_vec());
                problems.push(TensorProblem::Shape { name, found, expected });
            }
            Some(_) => {}
        }
    }
    for (_, File { tensor, .. }) in
        stored.iter().filter(|(path, _)| !shapes.found.contains_key(*path))
    {
        problems.push(TensorProblem::LeftOver {
            name: tensor.name.clone(),
            found: tensor.shape.to_vec(),
        });
    }
    if !problems.is_empty() {
        return Err(BertError::Tensors { directory: directory.to_owned(), problems });
    }

    let mut filler = Filler { stored, path: Vec::new(), error: None };
    let bert = bert.map(&mut filler);
    filler.error.map_or(Ok(bert), Err)
}

/// A tensor that was found in a file, not read yet.
struct File {
    path: PathBuf,
    tensor: StoredTensor,
}

fn read_files(directory: &Path) -> Result<Vec<File>, BertError> {
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
fn shards(index: &Path) -> Result<Vec<String>, BertError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = std::fs::read_to_string(index)
        .map_err(|source| BertError::Read { path: index.to_owned(), source })?;
    let index: Index = serde_json::from_str(&text)
        .map_err(|source| BertError::IndexJson { path: index.to_owned(), source })?;
    let mut shards: Vec<_> = index.weight_map.into_values().collect();
    shards.sort();
    shards.dedup();
    Ok(shards)
}

fn read_file<S: ModuleStore>(store: &mut S, path: &Path) -> Result<Vec<File>, BertError> {
    if !path.is_file() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(BertError::Read { path: path.to_owned(), source });
    }
    let tensors = store.get_all_tensors().map_err(|error| damaged(path, error))?;
    Ok(tensors
        .values()
        .map(|tensor| File { path: path.to_owned(), tensor: tensor.clone() })
        .collect())
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

fn checkpoint_shape(path: &str, burn_shape: &[usize]) -> Vec<usize> {
    let mut shape = burn_shape.to_vec();
    if is_transposed(path) {
        shape.reverse();
    }
    shape
}

/// A matrix the other way round, in memory too: a transposed view would be put in order again in every forward.
fn transposed(matrix: &TensorData) -> TensorData {
    let [rows, columns] = [matrix.shape()[0], matrix.shape()[1]];
    let values: Vec<f32> = matrix.iter::<f32>().collect();
    let turned =
        (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied());
    TensorData::new(turned.collect::<Vec<_>>(), [columns, rows])
}

/// Collects the shape of every parameter without drawing its weights.
#[derive(Default)]
struct Shapes {
    path: Vec<String>,
    found: BTreeMap<String, Vec<usize>>,
}

impl ModuleVisitor for Shapes {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.insert(self.path.join("."), param.lazy_shape().to_vec());
    }
}

/// Puts the stored tensors into the parameters, one after the other.
struct Filler {
    stored: BTreeMap<String, File>,
    path: Vec<String>,
    error: Option<BertError>,
}

impl ModuleMapper for Filler {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        // Every parameter was found in the files before; after an error nothing more is read.
        let Some(File { path: file, tensor }) =
            self.stored.remove(&path).filter(|_| self.error.is_none())
        else {
            return param;
        };
        let data = match bridge::into_data(tensor) {
            Ok(data) => data.convert_dtype(DType::F32),
            Err(error) => {
                self.error = Some(damaged(&file, error));
                return param;
            }
        };
        let device = param.lazy_device();
        let data = if is_transposed(&path) { transposed(&data) } else { data };
        let tensor = Tensor::<D>::from_data(data, &device);
        // A fresh parameter can be trained; where nothing can be differentiated there is nothing to say.
        let tensor = if device.is_autodiff() { tensor.require_grad() } else { tensor };
        Param::initialized(param.id, tensor)
    }
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
