//! What the readers and writers of other people's directories share: tensors by name in, a model out, and back.

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

use super::atomic;
use super::native::{is_finite, name_in_file, put_weights, saved_weights};
use super::tensor_mapping::{TensorLocation, lay_out};
use crate::adapted::AdaptedBert;
use crate::error::{AdapterError, TensorProblems};
use crate::head::HeadKind;
use crate::plan::Plan;
use crate::task_adapter::TaskAdapterConfig;

/// An adapter in every place of a hundred layers has fewer tensors.
const MAX_TENSORS: usize = 100_000;

/// Tensors by name, as `f32`.
pub type Tensors = BTreeMap<String, TensorData>;

/// An adapter out of somebody else's directory, on its base.
#[derive(Debug)]
pub struct Imported {
    /// Base and task.
    pub model: AdaptedBert,
    /// The name it has there.
    pub name: String,
    /// What its outputs mean.
    pub head: HeadKind,
    /// What whoever imports it ought to know, as sentences.
    pub warnings: Vec<String>,
}

/// The first of some files that a directory has.
pub(super) fn find(directory: &Path, names: &[&str]) -> Result<PathBuf, AdapterError> {
    let mut paths = names.iter().map(|name| directory.join(name));
    paths.find(|path| path.is_file()).ok_or_else(|| AdapterError::NoFile {
        directory: directory.to_owned(),
        expected: names.join(", "),
    })
}

/// Reads all tensors of a file, a pickle where it ends in `.bin`.
///
/// A pickle is only looked at: its reader builds tensors and calls nothing that the file names.
///
/// # Errors
/// If it cannot be read, or is not whole.
pub fn read_tensors(path: &Path) -> Result<Tensors, AdapterError> {
    let weights = |reason: String| AdapterError::Weights { path: path.to_owned(), reason };
    let read = || -> Result<Tensors, String> {
        if path.extension().is_some_and(|extension| extension == "bin") {
            read_pickle(path)
        } else {
            read_safetensors(path)
        }
    };
    // The readers are other people's too; whatever they stumble over in a damaged file is said as any other error.
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(tensors) => tensors.map_err(weights),
        Err(_) => Err(weights("it is damaged".to_owned())),
    }
}

fn read_pickle(path: &Path) -> Result<Tensors, String> {
    // As they are: the names of a head's layers have numbers with gaps.
    let mut store = PytorchStore::from_file(path).map_indices_contiguous(false);
    let stored = store.get_all_tensors().map_err(|error| error.to_string())?;
    let tensors = stored.values().map(|tensor| {
        let data = bridge::into_data(tensor.clone()).map_err(|error| error.to_string())?;
        Ok((tensor.name.clone(), data.convert_dtype(DType::F32)))
    });
    tensors.collect()
}

/// Burn's own store reads the whole header again for every tensor, which a header of a million would never come out of.
fn read_safetensors(path: &Path) -> Result<Tensors, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let stored = SafeTensors::deserialize(&bytes).map_err(|error| error.to_string())?;
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

/// Checks that no size of a plan is beyond what the tensors of its file can have, before anything of it is built.
pub(super) fn check_sizes(
    path: &Path,
    plan: &Plan,
    outputs: usize,
    tensors: &Tensors,
) -> Result<(), AdapterError> {
    let longest = tensors.values().flat_map(|data| data.shape().to_vec()).max().unwrap_or(0);
    let bottleneck = plan.bottleneck.iter();
    let bottleneck = bottleneck.flat_map(|plan| plan.sizes.values().copied().chain([plan.size]));
    let rank = plan.low_rank.iter().map(|plan| plan.rank);
    let prefix = plan.prefix.iter();
    let prefix = prefix.flat_map(|plan| plan.reparameterization.into_iter().chain([plan.length]));
    let sizes = bottleneck.chain(rank).chain(prefix).chain([outputs]);
    match sizes.max().filter(|size| *size > longest) {
        None => Ok(()),
        Some(size) => Err(AdapterError::Weights {
            path: path.to_owned(),
            reason: format!(
                "the settings ask for a size of {size}, but no axis of its tensors is longer than {longest}"
            ),
        }),
    }
}

/// Builds the model of a configuration and gives each parameter that trains its tensor, until none is left.
///
/// `fresh` are the parameters that stay as they start, by the beginning of their path in the task.
pub(super) fn fill(
    path: &Path,
    bert: Bert,
    config: &TaskAdapterConfig,
    mut tensors: Tensors,
    place: impl Fn(&str) -> Option<TensorLocation>,
    fresh: Option<&str>,
) -> Result<AdaptedBert, AdapterError> {
    let unbuildable =
        |source| AdapterError::Unbuildable { path: path.to_owned(), source: Box::new(source) };
    let task = config.init(&bert).map_err(unbuildable)?;
    let model = AdaptedBert::new(bert, task).map_err(unbuildable)?;

    let mut problems = TensorProblems::default();
    let mut weights = BTreeMap::new();
    let mut used = Vec::new();
    for parameter in model.saved_parameters() {
        let name = name_in_file(&parameter.path);
        if fresh.is_some_and(|fresh| name.starts_with(fresh)) {
            continue;
        }
        let Some(place) = place(name) else {
            problems.missing.push(name.to_owned());
            continue;
        };
        match tensors.get(&place.name) {
            None => problems.missing.push(place.name),
            Some(data) => {
                let expected = place.shape(&parameter.shape);
                let found = data.shape().to_vec();
                if found == expected {
                    weights.insert(name.to_owned(), place.take(data, &parameter.shape));
                } else {
                    let name = &place.name;
                    problems.wrong.push(format!("{name} is {found:?}, expected {expected:?}"));
                }
                used.push(place.name);
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
        return Err(AdapterError::Tensors { path: path.to_owned(), problems });
    }
    if !damaged.is_empty() {
        return Err(AdapterError::NotFinite { path: path.to_owned(), tensors: damaged });
    }
    Ok(put_weights(model, weights))
}

/// The tensors of all that a model's file would hold, as somebody else lays them out; nothing may be without a place.
pub(super) fn tensors_of(
    directory: &Path,
    format: &'static str,
    model: &AdaptedBert,
    place: impl Fn(&str) -> Option<TensorLocation>,
) -> Result<Tensors, AdapterError> {
    let weights = saved_weights(&model.valid());
    if let Some((name, _)) = weights.iter().find(|(_, data)| !is_finite(data)) {
        let what = format!("the tensor {name}");
        return Err(AdapterError::WillNotSave { path: directory.to_owned(), what });
    }
    let placed = weights.into_iter().map(|(name, data)| match place(&name) {
        Some(place) => Ok((place, data)),
        None => Err(AdapterError::NoPlace {
            format,
            what: format!("the tensor {name}"),
            remedy: "keep our own file, or export `merged` where the base itself was tuned",
        }),
    });
    Ok(lay_out(placed.collect::<Result<Vec<_>, _>>()?))
}

/// Writes tensors as safetensors, with the entry in the header that `transformers` asks for.
pub(super) fn write_safetensors(path: &Path, tensors: &Tensors) -> Result<(), AdapterError> {
    let views = tensors.iter().map(|(name, data)| {
        TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes())
            .map(|view| (name.as_str(), view))
    });
    let bytes = views
        .collect::<Result<Vec<_>, _>>()
        .and_then(|views| serialize(views, Some([("format".to_owned(), "pt".to_owned())].into())))
        .map_err(|source| AdapterError::NotSafetensors { path: path.to_owned(), source })?;
    write(path, &bytes)
}

/// Writes JSON as people read it.
pub(super) fn write_json(path: &Path, value: &Value) -> Result<(), AdapterError> {
    write(path, format!("{value:#}\n").as_bytes())
}

/// Writes a file aside and renames it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), AdapterError> {
    atomic::write(path, bytes)
        .map_err(|source| AdapterError::Write { path: path.to_owned(), source })
}

/// Makes the directory that is written to.
pub(super) fn make_directory(directory: &Path) -> Result<(), AdapterError> {
    std::fs::create_dir_all(directory)
        .map_err(|source| AdapterError::Write { path: directory.to_owned(), source })
}
