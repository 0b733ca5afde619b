//! Cached activations: the hidden states that enter the lowest trained layer
//! ([`AdapterPlan::lowest_layer`](burn_adapters::AdapterPlan::lowest_layer)), computed once without dropout and read in
//! every epoch.

pub mod files;

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData, f16};
use burn_bert::{Bert, Encoder};
use glue_data::TokenizedDataset;
use glue_data::batching::scoring_batches;

use crate::activation_cache::files::ActivationFiles;
use crate::system::process::keep_workers_spinning;
use crate::task_data::rows::{self, bert_input};
use crate::terminal::progress::rows_bar;

/// Activations of more bytes than this are stored on disk by default: two GiB.
const LARGE: u64 = 2 << 30;
/// Rows per batch while activations are computed.
const BATCH_SIZE: usize = 32;

/// The cached activations of a run's rows.
#[derive(Debug)]
pub struct SplitActivations {
    /// Those of the training rows.
    pub train: CachedActivations,
    /// Those of the validation rows.
    pub validation: CachedActivations,
}

/// The activations of rows that enter one layer.
#[derive(Debug)]
pub struct CachedActivations {
    layer: usize,
    d_model: usize,
    /// The index of each row's first token among all tokens, and the number of tokens.
    starts: Vec<usize>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Memory(Vec<f32>),
    /// Half precision, little-endian.
    File(Mutex<File>),
}

/// Where activations are stored.
#[derive(Debug, Clone, Copy)]
pub enum Storage<'a> {
    /// In memory, in single precision.
    Memory,
    /// In a file, in half precision, which later runs read.
    Disk(&'a ActivationFiles),
}

impl CachedActivations {
    /// The activations of rows that enter a layer of a base: computed, or read from the disk.
    ///
    /// # Errors
    /// If an activation is not finite, or a file cannot be read or written.
    pub fn new(
        bert: &Bert,
        rows: &TokenizedDataset,
        layer: usize,
        storage: Storage<'_>,
    ) -> Result<Self> {
        let mut starts = vec![0];
        for length in rows.lengths() {
            starts.push(starts[starts.len() - 1] + length);
        }
        let empty = Self { layer, d_model: bert.d_model(), starts, values: Values::Memory(vec![]) };
        let values = match storage {
            Storage::Memory => {
                let mut all = vec![0.0; empty.count()];
                empty.compute(bert, rows, |start, values| {
                    all[start..start + values.len()].copy_from_slice(values);
                    Ok(())
                })?;
                Values::Memory(all)
            }
            Storage::Disk(files) => {
                let bytes = (empty.count() * size_of::<f16>()) as u64;
                let compute = |file: &mut File| empty.write(bert, rows, file, bytes);
                Values::File(Mutex::new(files.open(rows, layer, bytes, compute)?))
            }
        };
        Ok(Self { values, ..empty })
    }

    /// The layer that the activations enter.
    pub fn layer(&self) -> usize {
        self.layer
    }

    /// The activations of rows, padded with zeros to a sequence length.
    ///
    /// # Shapes
    /// - result: `[batch, sequence, d_model]`
    ///
    /// # Errors
    /// If a file cannot be read.
    ///
    /// # Panics
    /// If a row is longer than the sequence.
    pub fn batch(&self, rows: &[usize], sequence: usize, device: &Device) -> Result<Tensor<3>> {
        let length = |row: usize| self.starts[row + 1] - self.starts[row];
        let stride = sequence * self.d_model;
        let mut values = vec![0.0; rows.len() * stride];
        for (row, values) in rows.iter().zip(values.chunks_mut(stride.max(1))) {
            let first = self.starts[*row] * self.d_model;
            self.read(first, &mut values[..length(*row) * self.d_model])?;
        }
        let shape = [rows.len(), sequence, self.d_model];
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// The number of values.
    fn count(&self) -> usize {
        self.starts[self.starts.len() - 1] * self.d_model
    }

    fn read(&self, first: usize, into: &mut [f32]) -> Result<()> {
        match &self.values {
            Values::Memory(values) => into.copy_from_slice(&values[first..first + into.len()]),
            Values::File(file) => {
                let mut bytes = vec![0; size_of_val(into) / 2];
                let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let start = SeekFrom::Start((first * size_of::<f16>()) as u64);
                file.seek(start)
                    .and_then(|_| file.read_exact(&mut bytes))
                    .context("reading cached activations")?;
                for (value, bytes) in into.iter_mut().zip(bytes.as_chunks().0) {
                    *value = f16::from_le_bytes(*bytes).to_f32();
                }
            }
        }
        Ok(())
    }

    /// Computes the layers below for all rows; `store` receives each row's values and the index of the first.
    fn compute(
        &self,
        bert: &Bert,
        rows: &TokenizedDataset,
        mut store: impl FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let bert = bert.valid();
        let device = bert.devices().into_iter().next().unwrap_or_default();
        let bar = rows_bar(rows.rows().len());
        for indices in scoring_batches(&rows.lengths(), BATCH_SIZE) {
            let _spinning = keep_workers_spinning(&device);
            let input = bert_input(&rows::batch(rows, &indices, &device));
            let hidden = bert.embed(&input, &());
            let hidden = bert.run_layers(0..self.layer, hidden, &input.attention_mask, &());
            let [_, sequence, d_model] = hidden.dims();
            let values: Vec<f32> = hidden.into_data().iter::<f32>().collect();
            for (row, values) in indices.iter().zip(values.chunks(sequence * d_model)) {
                let first = self.starts[*row] * d_model;
                let count = self.starts[row + 1] * d_model - first;
                let values = &values[..count];
                ensure!(
                    values.iter().all(|value| value.is_finite()),
                    "the base gives NaN or an infinity below layer {} for row {}",
                    self.layer,
                    row + 1
                );
                store(first, values)?;
            }
            bar.inc(indices.len() as u64);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn write(
        &self,
        bert: &Bert,
        rows: &TokenizedDataset,
        file: &mut File,
        bytes: u64,
    ) -> Result<()> {
        file.set_len(bytes)?;
        let mut file = BufWriter::new(file);
        self.compute(bert, rows, |start, values| {
            let mut bytes = Vec::with_capacity(size_of_val(values) / 2);
            for value in values {
                let half = f16::from_f32(*value);
                ensure!(
                    half.is_finite(),
                    "the activation {value} is beyond the range of half precision; use --cache memory or off"
                );
                bytes.extend(half.to_le_bytes());
            }
            file.seek(SeekFrom::Start((start * size_of::<f16>()) as u64))?;
            Ok(file.write_all(&bytes)?)
        })?;
        Ok(file.flush()?)
    }
}

/// Whether the activations of rows are stored on disk by default, because they are large.
pub fn are_large<'a>(rows: impl IntoIterator<Item = &'a TokenizedDataset>, d_model: usize) -> bool {
    let tokens: usize = rows.into_iter().flat_map(TokenizedDataset::lengths).sum();
    (tokens * d_model * size_of::<f32>()) as u64 > LARGE
}

#[cfg(test)]
mod tests {
    use burn_bert::BertConfig;
    use glue_data::{Encoded, TokenizedDataset};

    use super::*;

    fn small_bert() -> Bert {
        let config = BertConfig {
            vocab_size: 30,
            hidden_size: 8,
            num_hidden_layers: 3,
            num_attention_heads: 2,
            intermediate_size: 16,
            max_position_embeddings: 12,
            ..BertConfig::bert_base()
        };
        config.init(&Device::flex())
    }

    fn some_rows() -> TokenizedDataset {
        let row = |length: u32| Encoded {
            ids: (0..length).map(|id| id * 7 % 30).collect(),
            type_ids: vec![0; length as usize],
            label: None,
        };
        [3, 9, 5, 1].map(row).to_vec().into()
    }

    /// The largest difference between cached activations and those of a forward pass, padding left out.
    fn largest_difference(cached: &CachedActivations, bert: &Bert, rows: &TokenizedDataset) -> f32 {
        let device = Device::flex();
        let order = [2, 0, 3, 1];
        let input = bert_input(&rows::batch(rows, &order, &device));
        let [_, sequence] = input.input_ids.dims();
        let expected = cached.batch(&order, sequence, &device).unwrap();
        let hidden = bert.run_layers(0..2, bert.embed(&input, &()), &input.attention_mask, &());
        let mask = input.attention_mask.float().unsqueeze_dim::<3>(2);
        ((hidden - expected) * mask).abs().max().into_scalar::<f32>()
    }

    #[test]
    fn cached_activations_equal_those_of_a_forward_pass() {
        let (bert, rows) = (small_bert(), some_rows());
        let cached = CachedActivations::new(&bert, &rows, 2, Storage::Memory).unwrap();
        assert_eq!(cached.layer(), 2);
        let difference = largest_difference(&cached, &bert, &rows);
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn activations_in_a_file_equal_those_of_a_forward_pass() {
        let (bert, rows) = (small_bert(), some_rows());
        let directory = tempfile::tempdir().unwrap();
        let files = ActivationFiles::new(directory.path().to_owned(), "a base".to_owned(), 1 << 20);
        // Computed, and then read.
        for _ in 0..2 {
            let cached = CachedActivations::new(&bert, &rows, 2, Storage::Disk(&files)).unwrap();
            // Half precision has eleven bits, and normalized activations are below 4.
            let difference = largest_difference(&cached, &bert, &rows);
            assert!(difference < 4e-3, "{difference}");
        }
    }
}
