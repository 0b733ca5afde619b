//! Hidden states that enter the lowest tuned layer: computed once, without dropout, and read again in every epoch.
//! Which layer that is, says [`Plan::lowest_layer`](burn_adapters::Plan::lowest_layer).

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
use crate::learner::step::bert_input;
use crate::process::keep_workers_spinning;
use crate::task_data::rows;
use crate::terminal::rows_bar;

/// States of more bytes than this are kept on the disk when nobody says where: two GiB.
const LARGE: u64 = 2 << 30;
/// Rows of a batch while states are computed.
const BATCH_SIZE: usize = 32;

/// The kept states of a task.
#[derive(Debug)]
pub struct TaskActivations {
    /// Of the rows to learn from.
    pub train: CachedActivations,
    /// Of the rows to choose by.
    pub validation: CachedActivations,
}

/// The states of rows below one layer.
#[derive(Debug)]
pub struct CachedActivations {
    layer: usize,
    d_model: usize,
    /// Where each row's tokens start, counted in tokens; one more for the end.
    starts: Vec<usize>,
    numbers: Values,
}

#[derive(Debug)]
enum Values {
    Memory(Vec<f32>),
    /// Half precision, little-endian.
    File(Mutex<File>),
}

/// Where states are kept.
#[derive(Debug, Clone, Copy)]
pub enum Storage<'a> {
    /// In memory, in single precision.
    Memory,
    /// In a file, in half precision; found again by later runs.
    Disk(&'a ActivationFiles),
}

impl CachedActivations {
    /// The states of rows that enter a layer of a base; computed, or found on the disk.
    ///
    /// # Errors
    /// States that are not finite, or a file that cannot be read or written.
    pub fn of(
        bert: &Bert,
        rows: &TokenizedDataset,
        layer: usize,
        place: Storage<'_>,
    ) -> Result<Self> {
        let mut starts = vec![0];
        for length in rows.lengths() {
            starts.push(starts[starts.len() - 1] + length);
        }
        let states =
            Self { layer, d_model: bert.d_model(), starts, numbers: Values::Memory(vec![]) };
        let numbers = match place {
            Storage::Memory => {
                let mut numbers = vec![0.0; states.count()];
                states.compute(bert, rows, |start, values| {
                    numbers[start..start + values.len()].copy_from_slice(values);
                    Ok(())
                })?;
                Values::Memory(numbers)
            }
            Storage::Disk(files) => {
                let bytes = (states.count() * size_of::<f16>()) as u64;
                let compute = |file: &mut File| states.write(bert, rows, file, bytes);
                Values::File(Mutex::new(files.open(rows, layer, bytes, compute)?))
            }
        };
        Ok(Self { numbers, ..states })
    }

    /// The layer that they enter.
    pub fn layer(&self) -> usize {
        self.layer
    }

    /// Some rows, with zeros as far as the sequence goes.
    ///
    /// # Shapes
    /// - result: `[batch, sequence, d_model]`
    ///
    /// # Errors
    /// A file that cannot be read.
    ///
    /// # Panics
    /// If a row is longer than the sequence.
    pub fn batch(&self, rows: &[usize], sequence: usize, device: &Device) -> Result<Tensor<3>> {
        let length = |row: usize| self.starts[row + 1] - self.starts[row];
        let stride = sequence * self.d_model;
        let mut values = vec![0.0; rows.len() * stride];
        for (row, place) in rows.iter().zip(values.chunks_mut(stride.max(1))) {
            let first = self.starts[*row] * self.d_model;
            self.read(first, &mut place[..length(*row) * self.d_model])?;
        }
        let shape = [rows.len(), sequence, self.d_model];
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// How many numbers there are.
    fn count(&self) -> usize {
        self.starts[self.starts.len() - 1] * self.d_model
    }

    fn read(&self, first: usize, into: &mut [f32]) -> Result<()> {
        match &self.numbers {
            Values::Memory(numbers) => into.copy_from_slice(&numbers[first..first + into.len()]),
            Values::File(file) => {
                let mut bytes = vec![0; size_of_val(into) / 2];
                let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let start = SeekFrom::Start((first * size_of::<f16>()) as u64);
                file.seek(start)
                    .and_then(|_| file.read_exact(&mut bytes))
                    .context("reading kept hidden states")?;
                for (value, bytes) in into.iter_mut().zip(bytes.as_chunks().0) {
                    *value = f16::from_le_bytes(*bytes).to_f32();
                }
            }
        }
        Ok(())
    }

    /// Runs all rows through the layers below; `put` gets each row's numbers and where they belong.
    fn compute(
        &self,
        bert: &Bert,
        rows: &TokenizedDataset,
        mut put: impl FnMut(usize, &[f32]) -> Result<()>,
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
                put(first, values)?;
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
                    "the hidden state {value} is beyond the range of half precision; use --cache memory or off"
                );
                bytes.extend(half.to_le_bytes());
            }
            file.seek(SeekFrom::Start((start * size_of::<f16>()) as u64))?;
            Ok(file.write_all(&bytes)?)
        })?;
        Ok(file.flush()?)
    }
}

/// Whether the states of some rows are too many for memory when nobody says where to keep them.
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

    /// The largest difference between kept states, where there are tokens, and those of a forward pass.
    fn largest_difference(states: &CachedActivations, bert: &Bert, rows: &TokenizedDataset) -> f32 {
        let device = Device::flex();
        let order = [2, 0, 3, 1];
        let input = bert_input(&rows::batch(rows, &order, &device));
        let [_, sequence] = input.input_ids.dims();
        let kept = states.batch(&order, sequence, &device).unwrap();
        let hidden = bert.run_layers(0..2, bert.embed(&input, &()), &input.attention_mask, &());
        let mask = input.attention_mask.float().unsqueeze_dim::<3>(2);
        ((hidden - kept) * mask).abs().max().into_scalar::<f32>()
    }

    #[test]
    fn kept_states_are_those_of_a_forward_pass() {
        let (bert, rows) = (small_bert(), some_rows());
        let states = CachedActivations::of(&bert, &rows, 2, Storage::Memory).unwrap();
        assert_eq!(states.layer(), 2);
        let difference = largest_difference(&states, &bert, &rows);
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn states_in_a_file_are_those_of_a_forward_pass() {
        let (bert, rows) = (small_bert(), some_rows());
        let directory = tempfile::tempdir().unwrap();
        let files = ActivationFiles::new(directory.path().to_owned(), "a base".to_owned(), 1 << 20);
        // Computed, and then read.
        for _ in 0..2 {
            let states = CachedActivations::of(&bert, &rows, 2, Storage::Disk(&files)).unwrap();
            // Half precision has eleven bits, and normed states are below 4.
            let difference = largest_difference(&states, &bert, &rows);
            assert!(difference < 4e-3, "{difference}");
        }
    }
}
