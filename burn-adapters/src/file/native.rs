//! The adapter file: a safetensors file with the trained parameters of one task, without the rest of the base.
//!
//! The tensors are `f32`, named by their path in a [`TaskAdapter`](crate::TaskAdapter), such as
//! `layers.3.attention.bottleneck.down.weight`; trained tensors of the base have the prefix `bert.`.
//! The running statistics of inner batch norms are in the file as well.
//! Matrices of linear layers are `[d_input, d_output]`, the transpose of `PyTorch`'s.
//! The header's only entry, `burn_adapters`, is the JSON of an [`AdapterHeader`], with the file's [`Checksums`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use burn::module::Module;
use burn::tensor::TensorData;
use burn_bert::{Bert, Encoder};
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView};
use safetensors::{SafeTensorError, serialize};
use serde::{Deserialize, Serialize};

use super::atomic;
pub use super::checksum::Checksums;
use super::checksum::{PREFIX, seal};
pub use super::metadata::{
    AdapterMetadata, BaseIdentity, Calibration, DataSource, Score, TextInput,
};
pub use super::probe::Probe;
use crate::error::{AdapterError, FileError, HeadError, TensorProblems};
use crate::model::AdaptedBert;
use crate::model::TaskAdapterConfig;
use crate::model::weights::{is_finite, name_in_file, put_weights, saved_weights};

/// The version of this format. Version 1, which can be read as well, has no checksums.
pub const FORMAT_VERSION: u32 = 2;

const HEADER_KEY: &str = "burn_adapters";

/// Everything in a file except the tensors' values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterHeader {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Checksums of the file; version 1 has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Checksums>,
    /// The adapter's metadata.
    pub metadata: AdapterMetadata,
    /// The adapter's configuration.
    pub config: TaskAdapterConfig,
    /// Width of the base's hidden states.
    pub d_model: usize,
    /// Layers of the base.
    pub n_layers: usize,
    /// Logits from when it was saved.
    pub probe: Probe,
    /// Shapes of the tensors by name; from the file, not from the JSON.
    #[serde(skip)]
    pub tensors: BTreeMap<String, Vec<usize>>,
}

/// Writes a model's trained parameters, with a probe of its logits.
///
/// The file is written under a temporary name and then renamed, so that it is never incomplete.
///
/// # Errors
/// If the metadata describes another head or has a duplicate label, a weight or the score is not finite, or the file cannot
/// be written.
pub fn save(
    path: &Path,
    model: &AdaptedBert,
    metadata: &AdapterMetadata,
) -> Result<(), AdapterError> {
    let config = model.task.config();
    check_head(metadata, config)?;
    // The running statistics of a training model are one step behind; `valid` updates them.
    let model = &model.valid();
    let weights = saved_weights(model);
    let probe = Probe::of(model);
    let not_finite = |what| FileError::CannotSave { path: path.to_owned(), what };
    if let Some((name, _)) = weights.iter().find(|(_, data)| !is_finite(data)) {
        return Err(not_finite(format!("the tensor {name}")).into());
    }
    if !probe.logits.iter().flatten().all(|logit| logit.is_finite()) {
        return Err(not_finite("a logit of the probe".to_owned()).into());
    }
    if let Some(score) = metadata.score.as_ref().filter(|score| !score.value.is_finite()) {
        return Err(not_finite(format!("the score `{}`", score.metric)).into());
    }

    let header = AdapterHeader {
        format_version: FORMAT_VERSION,
        sha256: Some(Checksums::unset()),
        metadata: metadata.clone(),
        config: config.clone(),
        d_model: model.bert.d_model(),
        n_layers: model.bert.n_layers(),
        probe,
        tensors: BTreeMap::new(),
    };
    let json = serde_json::to_string(&header)
        .map_err(|source| FileError::Header { path: path.to_owned(), source })?;
    let views = weights.iter().map(|(name, data)| {
        TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes())
            .map(|view| (name.as_str(), view))
    });
    let mut bytes = views
        .collect::<Result<Vec<_>, _>>()
        .and_then(|views| serialize(views, Some([(HEADER_KEY.to_owned(), json)].into())))
        .map_err(|source| FileError::NotSafetensors { path: path.to_owned(), source })?;
    let tensors: usize = weights.values().map(|data| data.as_bytes().len()).sum();
    let tensors = bytes.len() - tensors;
    seal(&mut bytes, tensors).expect("the header was written with unset checksums");
    atomic::write(path, &bytes)
        .map_err(|source| FileError::Write { path: path.to_owned(), source }.into())
}

/// Reads a task and joins it with its base.
///
/// `fingerprint` is that of `bert`.
///
/// # Errors
/// If the file is incomplete or changed, has another format version or belongs to another base; if a tensor is missing,
/// unexpected, of another shape or not finite (all such tensors are named); or if the probe's logits differ.
pub fn load(
    path: &Path,
    bert: Bert,
    fingerprint: &str,
) -> Result<(AdaptedBert, AdapterMetadata), AdapterError> {
    let bytes =
        std::fs::read(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    load_bytes(path, &bytes, bert, fingerprint)
}

/// The same from the bytes of a file; `path` is for error messages.
///
/// # Errors
/// As [`load`].
pub fn load_bytes(
    path: &Path,
    bytes: &[u8],
    bert: Bert,
    fingerprint: &str,
) -> Result<(AdaptedBert, AdapterMetadata), AdapterError> {
    let not_safetensors = |source| FileError::NotSafetensors { path: path.to_owned(), source };
    let AdapterHeader { metadata, config, probe, .. } = check_bytes(path, bytes)?;
    let file = SafeTensors::deserialize(bytes).map_err(not_safetensors)?;

    let base = &metadata.base;
    if base.fingerprint != fingerprint {
        return Err(FileError::WrongBase {
            path: path.to_owned(),
            name: base.name.clone(),
            expected: base.fingerprint.clone(),
            found: fingerprint.to_owned(),
        }
        .into());
    }
    let unbuildable =
        |source| FileError::Unbuildable { path: path.to_owned(), source: Box::new(source) };
    let task = config.init(&bert).map_err(unbuildable)?;
    let model = AdaptedBert::new(bert, task).map_err(unbuildable)?;

    let weights = read_weights(path, &file, &model)?;
    let model = put_weights(model, weights);
    probe.check(path, &model)?;
    Ok((model, metadata))
}

/// Checks without a base that a file is complete and unchanged.
///
/// A file of version 1 has no checksums, so that changed values cannot be detected.
///
/// # Errors
/// If the file cannot be read, is incomplete, of another format or version, or changed.
pub fn check(path: &Path) -> Result<AdapterHeader, AdapterError> {
    let bytes =
        std::fs::read(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    check_bytes(path, &bytes)
}

/// The same from the bytes of a file; `path` is for error messages.
///
/// # Errors
/// As [`check`].
pub fn check_bytes(path: &Path, bytes: &[u8]) -> Result<AdapterHeader, AdapterError> {
    let (header_len, table) = SafeTensors::read_metadata(bytes)
        .map_err(|source| FileError::NotSafetensors { path: path.to_owned(), source })?;
    let (header_bytes, tensors) = bytes.split_at(PREFIX + header_len);
    let header = parse_header(path, header_bytes, &table)?;
    if header.sha256.as_ref().is_some_and(|sha256| !sha256.fits_tensors(tensors)) {
        return Err(FileError::Damaged { path: path.to_owned(), part: "tensors" }.into());
    }
    Ok(header)
}

/// Reads a file's header, without the tensors' values.
///
/// # Errors
/// If the file cannot be read, is incomplete, of another format or version, or its header was changed.
pub fn read_header(path: &Path) -> Result<AdapterHeader, AdapterError> {
    let read = |source| FileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    let file_len = file.metadata().map_err(read)?.len();
    header_from(path, file, file_len)
}

/// The same from a reader at the beginning of a file of `file_len` bytes; `path` is for error messages.
pub(super) fn header_from(
    path: &Path,
    mut file: impl Read,
    file_len: u64,
) -> Result<AdapterHeader, AdapterError> {
    let read = |source| FileError::Read { path: path.to_owned(), source };
    let not_safetensors = |source| FileError::NotSafetensors { path: path.to_owned(), source };
    let mut prefix = [0_u8; PREFIX];
    let Some(most) = file_len.checked_sub(PREFIX as u64) else {
        return Err(not_safetensors(SafeTensorError::HeaderTooSmall).into());
    };
    file.read_exact(&mut prefix).map_err(read)?;
    let header_len = u64::from_le_bytes(prefix);
    if header_len > most {
        return Err(not_safetensors(SafeTensorError::InvalidHeaderLength).into());
    }
    let mut bytes = prefix.to_vec();
    file.take(header_len).read_to_end(&mut bytes).map_err(read)?;
    let table: Metadata = serde_json::from_slice(&bytes[PREFIX..])
        .map_err(|source| not_safetensors(SafeTensorError::InvalidHeaderDeserialization(source)))?;
    if table.data_len() as u64 != most - header_len {
        return Err(not_safetensors(SafeTensorError::MetadataIncompleteBuffer).into());
    }
    parse_header(path, &bytes, &table)
}

/// Reads the header from the bytes before the tensors.
fn parse_header(
    path: &Path,
    bytes: &[u8],
    table: &Metadata,
) -> Result<AdapterHeader, AdapterError> {
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
    }

    let json = table.metadata().as_ref().and_then(|entries| entries.get(HEADER_KEY));
    let json =
        json.ok_or_else(|| FileError::NotAnAdapter { path: path.to_owned(), key: HEADER_KEY })?;
    let unreadable = |source| FileError::Header { path: path.to_owned(), source };
    // The version first: the rest may differ in other versions.
    let Version { format_version } = serde_json::from_str(json).map_err(unreadable)?;
    if !(1..=FORMAT_VERSION).contains(&format_version) {
        return Err(FileError::FormatVersion {
            path: path.to_owned(),
            found: format_version,
            expected: FORMAT_VERSION,
        }
        .into());
    }
    let mut header: AdapterHeader = serde_json::from_str(json).map_err(unreadable)?;
    let is_whole = match &header.sha256 {
        Some(sha256) => format_version > 1 && sha256.fits_header(bytes),
        None => format_version == 1,
    };
    if !is_whole {
        return Err(FileError::Damaged { path: path.to_owned(), part: "header" }.into());
    }
    check_head(&header.metadata, &header.config)?;
    header.config.head = header.metadata.head.clone();
    header.tensors =
        table.tensors().into_iter().map(|(name, info)| (name, info.shape.clone())).collect();
    Ok(header)
}

fn check_head(metadata: &AdapterMetadata, config: &TaskAdapterConfig) -> Result<(), HeadError> {
    let (described, found) = (metadata.head.outputs(), config.head.outputs());
    if described != found {
        return Err(HeadError::Outputs { described, found });
    }
    metadata.head.check()?;
    metadata.calibration.check(&metadata.head)
}

/// The file's tensors by name, if they are exactly those that `model` saves.
fn read_weights(
    path: &Path,
    file: &SafeTensors<'_>,
    model: &AdaptedBert,
) -> Result<BTreeMap<String, TensorData>, FileError> {
    let mut found: BTreeMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
    let mut problems = TensorProblems::default();
    let mut weights = BTreeMap::new();
    for parameter in model.saved_parameters() {
        let name = name_in_file(&parameter.path);
        match found.remove(name) {
            None => problems.missing.push(name.to_owned()),
            Some(view) if view.dtype() != Dtype::F32 || view.shape() != parameter.shape => {
                let (dtype, shape, expected) = (view.dtype(), view.shape(), &parameter.shape);
                problems
                    .wrong
                    .push(format!("{name} is {dtype:?} {shape:?}, expected F32 {expected:?}"));
            }
            Some(view) => {
                let values: Vec<f32> = view
                    .data()
                    .as_chunks()
                    .0
                    .iter()
                    .map(|bytes| f32::from_le_bytes(*bytes))
                    .collect();
                weights.insert(name.to_owned(), TensorData::new(values, view.shape().to_vec()));
            }
        }
    }
    problems.left_over.extend(found.into_keys());
    if !problems.is_empty() {
        return Err(FileError::Tensors { path: path.to_owned(), problems });
    }
    let tensors: Vec<_> =
        weights.iter().filter(|(_, data)| !is_finite(data)).map(|(name, _)| name.clone()).collect();
    if !tensors.is_empty() {
        return Err(FileError::NotFinite { path: path.to_owned(), tensors });
    }
    Ok(weights)
}
