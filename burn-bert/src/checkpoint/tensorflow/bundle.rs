//! A TensorFlow checkpoint, version 2: an index of tensors, and data files with their numbers.
//!
//! <https://github.com/tensorflow/tensorflow/blob/v2.20.0/tensorflow/core/protobuf/tensor_bundle.proto>

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use prost::Message;

use super::table::{self, masked};
use crate::error::{BertError, TensorProblem, WeightsError};

/// The largest index that is read, in bytes; that of BERT-large with an optimizer's moments has 60 kB.
const LARGEST_INDEX: u64 = 16 << 20;

/// `DT_FLOAT`
const FLOAT: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct BundleHeader {
    #[prost(int32, tag = "1")]
    num_shards: i32,
    /// 0 is little endian.
    #[prost(int32, tag = "2")]
    endianness: i32,
}

#[derive(Clone, PartialEq, Message)]
struct BundleEntry {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShape>,
    #[prost(int32, tag = "3")]
    shard_id: i32,
    #[prost(int64, tag = "4")]
    offset: i64,
    #[prost(int64, tag = "5")]
    size: i64,
    #[prost(fixed32, tag = "6")]
    crc32c: u32,
    /// Parts of a tensor that is split over several machines, which is not supported.
    #[prost(bytes = "vec", repeated, tag = "7")]
    slices: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShape {
    #[prost(message, repeated, tag = "2")]
    dim: Vec<Dim>,
}

#[derive(Clone, PartialEq, Message)]
struct Dim {
    #[prost(int64, tag = "1")]
    size: i64,
}

/// The index of a checkpoint.
#[derive(Debug, Clone)]
pub struct TensorBundle {
    checkpoint: PathBuf,
    shards: i32,
    entries: BTreeMap<String, BundleEntry>,
}

impl TensorBundle {
    /// Reads the index of a checkpoint by its TensorFlow name: `bert_model.ckpt` for `bert_model.ckpt.index` and its data
    /// files.
    ///
    /// # Errors
    /// If the index is missing, damaged, of another kind, or big-endian.
    pub fn open(checkpoint: &Path) -> Result<Self, BertError> {
        let index = with_suffix(checkpoint, ".index");
        let unreadable = |source| BertError::Read { path: index.clone(), source };
        let bytes = std::fs::metadata(&index).map_err(unreadable)?.len();
        if bytes > LARGEST_INDEX {
            return Err(BertError::TooLarge { path: index.clone(), bytes, limit: LARGEST_INDEX });
        }
        Self::parse(checkpoint, &std::fs::read(&index).map_err(unreadable)?)
    }

    /// Reads the content of the index of a checkpoint with this name.
    ///
    /// # Errors
    /// If the index is damaged, of another kind, or big-endian.
    pub fn parse(checkpoint: &Path, index: &[u8]) -> Result<Self, BertError> {
        let path = with_suffix(checkpoint, ".index");
        let damaged = |reason: String| WeightsError::Damaged { path: path.clone(), reason };
        let mut found = table::entries(index).map_err(damaged)?;
        let header = found.remove(&Vec::new()).unwrap_or_default();
        let header = BundleHeader::decode(&header[..])
            .map_err(|error| damaged(format!("its header: {error}")))?;
        if header.endianness != 0 {
            return Err(damaged("its numbers are big-endian".to_owned()).into());
        }
        let entries = found.into_iter().map(|(name, entry)| {
            let name = String::from_utf8(name).map_err(|_| damaged("a name in it".to_owned()))?;
            let entry = BundleEntry::decode(&entry[..])
                .map_err(|error| damaged(format!("its entry {name}: {error}")))?;
            Ok((name, entry))
        });
        let entries = entries.collect::<Result<_, BertError>>()?;
        Ok(Self { checkpoint: checkpoint.to_owned(), shards: header.num_shards, entries })
    }

    /// The data files, in order.
    pub fn data_files(&self) -> Vec<PathBuf> {
        let shards: BTreeSet<i32> = self.entries.values().map(|entry| entry.shard_id).collect();
        shards.into_iter().map(|shard| self.data_file(shard)).collect()
    }

    fn data_file(&self, shard: i32) -> PathBuf {
        with_suffix(&self.checkpoint, &format!(".data-{shard:05}-of-{:05}", self.shards))
    }

    /// The names of all tensors, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The shape of a tensor, if there is such a tensor.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let shape = self.entries.get(name)?.shape.iter().flat_map(|shape| &shape.dim);
        // A negative side, or one that does not fit into memory, fails the check of the size on reading.
        Some(shape.map(|dim| usize::try_from(dim.size).unwrap_or(usize::MAX)).collect())
    }

    /// Reads a tensor.
    ///
    /// # Errors
    /// If the tensor is missing, damaged, or not of 32-bit floats.
    pub fn read(&self, name: &str) -> Result<TensorData, BertError> {
        let directory = self.checkpoint.parent().unwrap_or(Path::new("")).to_owned();
        let problem = |problem| {
            let (directory, problems) = (directory.clone(), vec![problem]);
            BertError::from(WeightsError::Tensors { directory, problems })
        };
        let Some((entry, shape)) = self.entries.get(name).zip(self.shape(name)) else {
            let missing = TensorProblem::Missing { name: name.to_owned(), expected: Vec::new() };
            return Err(problem(missing));
        };
        if entry.dtype != FLOAT {
            let (name, found) = (name.to_owned(), entry.dtype);
            return Err(problem(TensorProblem::Number { name, found, expected: FLOAT }));
        }
        let path = self.data_file(entry.shard_id);
        let damaged = |reason: &str| {
            let reason = format!("the tensor {name} {reason}");
            BertError::from(WeightsError::Damaged { path: path.clone(), reason })
        };
        if !entry.slices.is_empty() {
            return Err(damaged("is split into parts, as in a checkpoint of several machines"));
        }
        let numbers = shape.iter().try_fold(1_usize, |product, side| product.checked_mul(*side));
        let bytes = numbers.and_then(|numbers| numbers.checked_mul(size_of::<f32>()));
        let offset = u64::try_from(entry.offset).ok();
        let (Some(bytes), Some(offset)) = (bytes, offset) else {
            return Err(damaged("has an impossible offset or shape"));
        };
        if usize::try_from(entry.size).ok() != Some(bytes) {
            return Err(damaged(&format!("has {} bytes, expected {bytes}", entry.size)));
        }

        let read = |source| BertError::Read { path: path.clone(), source };
        let mut file = File::open(&path).map_err(read)?;
        // Checked before memory is allocated, because the index is not trusted.
        let length = file.metadata().map_err(read)?.len();
        if offset.checked_add(bytes as u64).is_none_or(|end| end > length) {
            return Err(damaged(&format!("ends after the file's {length} bytes")));
        }
        file.seek(SeekFrom::Start(offset)).map_err(read)?;
        let mut data = vec![0; bytes];
        file.read_exact(&mut data).map_err(read)?;
        if masked(crc32c::crc32c(&data)) != entry.crc32c {
            return Err(damaged("has a wrong checksum"));
        }
        let values: Vec<f32> =
            data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok(TensorData::new(values, shape))
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
