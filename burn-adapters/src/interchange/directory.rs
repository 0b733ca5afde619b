//! The common part of reading and writing directories of other packages: tensors by name to a model, and back.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::store::{ModuleStore, PytorchStore, bridge};
use burn::tensor::{Bytes, DType, TensorData};
use burn_bert::Bert;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde_json::Value;

use super::tensor_mapping::{TensorLocation, join_parts};
use crate::error::{AdapterError, FileError, InterchangeError, TensorProblems};
use crate::file::atomic;
use crate::methods::AdapterPlan;
use crate::methods::kind::KindConfig;
use crate::model::TaskAdapterConfig;
use crate::model::adapted::AdaptedBert;
use crate::model::head::HeadKind;
use crate::model::weights::{is_finite, name_in_file, put_weights, saved_weights};

/// An adapter of a hundred layers has fewer tensors.
const MAX_TENSORS: usize = 100_000;

/// Tensors by name, as `f32`.
pub type Tensors = BTreeMap<String, TensorData>;

/// An adapter imported from another package's directory, on its base.
#[derive(Debug)]
pub struct Imported {
    /// The base with the task.
    pub model: AdaptedBert,
    /// Its name in the directory.
    pub name: String,
    /// What its head predicts.
    pub head: HeadKind,
    /// Warnings for the user, as sentences.
    pub warnings: Vec<String>,
}

/// The first of several files that exists in a directory.
pub(super) fn find(directory: &Path, names: &[&str]) -> Result<PathBuf, InterchangeError> {
    let mut paths = names.iter().map(|name| directory.join(name));
    paths.find(|path| path.is_file()).ok_or_else(|| InterchangeError::NoFile {
        directory: directory.to_owned(),
        expected: names.join(", "),
    })
}

/// Reads all tensors of a file, a pickle if its name ends in `.bin`.
///
/// A pickle's code is not executed: the reader builds only tensors.
///
/// # Errors
/// If it cannot be read, or is incomplete.
pub fn read_tensors(path: &Path) -> Result<Tensors, AdapterError> {
    if path.extension().is_some_and(|extension| extension == "bin") {
        return Ok(read_catching(path, || read_pickle(path))?);
    }
    let bytes =
        std::fs::read(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    Ok(parse_safetensors(path, &bytes)?)
}

/// Reads all tensors of the content of a safetensors file; `path` names it in errors.
///
/// # Errors
/// If it is incomplete, or a tensor is not of floats.
pub fn parse_safetensors(path: &Path, bytes: &[u8]) -> Result<Tensors, InterchangeError> {
    read_catching(path, || read_safetensors(bytes))
}

/// Turns a panic into an error: the readers are other crates', which may panic on a damaged file.
fn read_catching(
    path: &Path,
    read: impl FnOnce() -> Result<Tensors, String>,
) -> Result<Tensors, InterchangeError> {
    let reason = match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(tensors)) => return Ok(tensors),
        Ok(Err(reason)) => reason,
        Err(_) => "it is damaged".to_owned(),
    };
    Err(InterchangeError::Weights { path: path.to_owned(), reason })
}

fn read_pickle(path: &Path) -> Result<Tensors, String> {
    // Unchanged: the numbers in the names of a head's layers have gaps.
    let mut store = PytorchStore::from_file(path).map_indices_contiguous(false);
    let stored = store.get_all_tensors().map_err(|error| error.to_string())?;
    let bytes = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    check_expansion(stored.values().map(|tensor| tensor.shape.as_slice()), bytes)?;
    let tensors = stored.values().map(|tensor| {
        let data = bridge::into_data(tensor.clone()).map_err(|error| error.to_string())?;
        Ok((tensor.name.clone(), data.convert_dtype(DType::F32)))
    });
    tensors.collect()
}

/// Refuses tensors that need far more memory than their file has bytes: a view in a pickle can have any size.
fn check_expansion<'a>(
    shapes: impl Iterator<Item = &'a [usize]>,
    bytes: u64,
) -> Result<(), String> {
    /// Single precision needs twice the bytes of half precision, and a file may be compressed.
    const MAX_FACTOR: u128 = 16;
    let numbers = shapes.fold(0_u128, |sum, shape| {
        let count = shape.iter().fold(1_u128, |count, side| count.saturating_mul(*side as u128));
        sum.saturating_add(count)
    });
    let needed = numbers.saturating_mul(size_of::<f32>() as u128);
    if needed > MAX_FACTOR * u128::from(bytes) {
        return Err(format!(
            "its tensors need {needed} bytes of memory, but the file has {bytes} bytes; it is damaged"
        ));
    }
    Ok(())
}

/// Burn's own store reads the whole header again for every tensor, which takes too long for a header of a million.
fn read_safetensors(bytes: &[u8]) -> Result<Tensors, String> {
    let stored = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    if stored.len() > MAX_TENSORS {
        let found = stored.len();
        return Err(format!("it has {found} tensors, expected those of an adapter"));
    }
    let tensors = stored.iter().map(|(name, view)| {
        let dtype = match view.dtype() {
            Dtype::F64 => DType::F64,
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => return Err(format!("{name} has the type {other:?}, expected floats")),
        };
        let bytes = Bytes::from_bytes_vec(view.data().to_vec());
        let data = TensorData::from_bytes(bytes, view.shape().to_vec(), dtype);
        Ok((name.to_owned(), data.convert_dtype(DType::F32)))
    });
    tensors.collect()
}

/// Checks, before a plan is built, that no size in it exceeds the tensors of its file.
pub(super) fn check_sizes(
    path: &Path,
    plan: &AdapterPlan,
    outputs: usize,
    tensors: &Tensors,
) -> Result<(), InterchangeError> {
    let longest = tensors.values().flat_map(|data| data.shape().to_vec()).max().unwrap_or(0);
    let sizes = plan.kinds().flat_map(KindConfig::sizes).chain([outputs]);
    match sizes.max().filter(|size| *size > longest) {
        None => Ok(()),
        Some(size) => Err(InterchangeError::Weights {
            path: path.to_owned(),
            reason: format!(
                "the settings ask for a size of {size}, but no axis of its tensors is longer than {longest}"
            ),
        }),
    }
}

/// Builds the model of a configuration and loads every saved parameter; all tensors must be used.
///
/// Parameters whose path in the task starts with one of `fresh` keep their initial values.
pub(super) fn fill(
    path: &Path,
    bert: Bert,
    config: &TaskAdapterConfig,
    mut tensors: Tensors,
    locate: impl Fn(&str) -> Option<TensorLocation>,
    fresh: &[&str],
) -> Result<AdaptedBert, AdapterError> {
    let unbuildable =
        |source| FileError::Unbuildable { path: path.to_owned(), source: Box::new(source) };
    let task = config.init(&bert).map_err(unbuildable)?;
    let model = AdaptedBert::new(bert, task).map_err(unbuildable)?;

    let mut problems = TensorProblems::default();
    let mut weights = BTreeMap::new();
    let mut used = Vec::new();
    for parameter in model.saved_parameters() {
        let name = name_in_file(&parameter.path);
        if fresh.iter().any(|fresh| name.starts_with(fresh)) {
            continue;
        }
        let Some(location) = locate(name) else {
            problems.missing.push(name.to_owned());
            continue;
        };
        match tensors.get(&location.name) {
            None => problems.missing.push(location.name),
            Some(data) => {
                let expected = location.shape(&parameter.shape);
                let found = data.shape().to_vec();
                if found == expected {
                    weights.insert(name.to_owned(), location.take(data, &parameter.shape));
                } else {
                    let name = &location.name;
                    problems.wrong.push(format!("{name} is {found:?}, expected {expected:?}"));
                }
                used.push(location.name);
            }
        }
    }
    let damaged: Vec<_> = used
        .iter()
        .filter(|name| tensors.get(*name).is_some_and(|data| !is_finite(data)))
        .cloned()
        .collect();
    for name in used {
        tensors.remove(&name);
    }
    problems.left_over.extend(tensors.into_keys());
    problems.missing.dedup();
    if !problems.is_empty() {
        return Err(FileError::Tensors { path: path.to_owned(), problems }.into());
    }
    if !damaged.is_empty() {
        return Err(FileError::NotFinite { path: path.to_owned(), tensors: damaged }.into());
    }
    Ok(put_weights(model, weights))
}

/// The tensors that a model's file would hold, in another package's layout; every tensor needs a location.
pub(super) fn tensors_of(
    directory: &Path,
    format: &'static str,
    model: &AdaptedBert,
    locate: impl Fn(&str) -> Option<TensorLocation>,
) -> Result<Tensors, AdapterError> {
    let weights = saved_weights(&model.valid());
    if let Some((name, _)) = weights.iter().find(|(_, data)| !is_finite(data)) {
        let what = format!("the tensor {name}");
        return Err(FileError::CannotSave { path: directory.to_owned(), what }.into());
    }
    let located = weights.into_iter().map(|(name, data)| match locate(&name) {
        Some(location) => Ok((location, data)),
        None => Err(InterchangeError::Unsupported {
            format,
            what: format!("the tensor {name}"),
            remedy: "use the adapter file itself, or `--format merged` if weights of the base were trained",
        }),
    });
    Ok(join_parts(located.collect::<Result<Vec<_>, _>>()?))
}

/// Writes tensors as safetensors, with the header entry that `transformers` requires.
pub(super) fn write_safetensors(path: &Path, tensors: &Tensors) -> Result<(), FileError> {
    let views = tensors.iter().map(|(name, data)| {
        TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes())
            .map(|view| (name.as_str(), view))
    });
    let bytes = views
        .collect::<Result<Vec<_>, _>>()
        .and_then(|views| serialize(views, Some([("format".to_owned(), "pt".to_owned())].into())))
        .map_err(|source| FileError::NotSafetensors { path: path.to_owned(), source })?;
    write(path, &bytes)
}

/// Writes formatted JSON.
pub(super) fn write_json(path: &Path, value: &Value) -> Result<(), FileError> {
    write(path, format!("{value:#}\n").as_bytes())
}

/// Writes a file under a temporary name and renames it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    atomic::write(path, bytes).map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Creates the output directory.
pub(super) fn make_directory(directory: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(directory)
        .map_err(|source| FileError::Write { path: directory.to_owned(), source })
}
