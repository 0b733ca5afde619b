//! Batches of rows as tensors, padded to the longest row.

use burn::data::dataloader::batcher::Batcher;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::task_kind::{Label, Targets};
use crate::tokenized_dataset::Encoded;

/// A batch on a device.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[batch, sequence]`
    pub input_ids: Tensor<2, Int>,
    /// `[batch, sequence]`: 0 for the first text of a pair, 1 for the second.
    pub token_type_ids: Tensor<2, Int>,
    /// `[batch, sequence]`: true for a token, false for padding.
    pub attention_mask: Tensor<2, Bool>,
    /// The labels as tensors, for the loss; none if a label is unknown.
    pub targets: Option<Targets>,
    /// The labels, for scoring.
    pub labels: Vec<Option<Label>>,
}

/// Pads the rows of a [`Batch`] to the longest row, or to the next multiple of a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PadToLongest {
    /// The id of the padding token; see [`TokenizedDataset::pad_id`](crate::TokenizedDataset::pad_id).
    pub pad_id: u32,
    /// Lengths are rounded up to a multiple of this: a GPU compiles and tunes its kernels for each length.
    pub length_step: usize,
    /// Lengths are not rounded up beyond this.
    pub at_most: usize,
}

impl Default for PadToLongest {
    /// Pads to the longest row with 0, the id of `[PAD]` in every published BERT.
    fn default() -> Self {
        Self { pad_id: 0, length_step: 1, at_most: usize::MAX }
    }
}

impl Batcher<Encoded, Batch> for PadToLongest {
    fn batch(&self, items: Vec<Encoded>, device: &Device) -> Batch {
        let longest = items.iter().map(|item| item.ids.len()).max().unwrap_or(0);
        let sequence = longest.next_multiple_of(self.length_step).min(self.at_most).max(longest);
        let shape = [items.len(), sequence];
        let padded = |values: fn(&Encoded) -> &[u32], pad: u32| {
            let values: Vec<i32> = items
                .iter()
                .flat_map(|item| {
                    let values = values(item);
                    let padding = std::iter::repeat_n(pad, sequence - values.len());
                    // A vocabulary has far fewer than 2³¹ entries.
                    values.iter().copied().chain(padding).map(u32::cast_signed)
                })
                .collect();
            Tensor::<2, Int>::from_data(TensorData::new(values, shape), device)
        };
        let mask: Vec<bool> = items
            .iter()
            .flat_map(|item| (0..sequence).map(|position| position < item.ids.len()))
            .collect();
        let labels: Vec<Option<Label>> = items.iter().map(|item| item.label.clone()).collect();
        Batch {
            input_ids: padded(|item| &item.ids, self.pad_id),
            token_type_ids: padded(|item| &item.type_ids, 0),
            attention_mask: Tensor::from_data(TensorData::new(mask, shape), device),
            targets: Targets::of(&labels, sequence, device),
            labels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_to_the_longest() {
        let row = |ids: &[u32], class| Encoded {
            ids: ids.to_vec(),
            type_ids: vec![1; ids.len()],
            label: Some(Label::Class(class)),
        };
        let batch = PadToLongest { pad_id: 9, ..PadToLongest::default() }
            .batch(vec![row(&[1, 2, 3], 1), row(&[4], 0)], &Device::flex());
        let numbers = |tensor: Tensor<2, Int>| tensor.into_data().iter::<i64>().collect::<Vec<_>>();
        assert_eq!(numbers(batch.input_ids), [1, 2, 3, 4, 9, 9]);
        assert_eq!(numbers(batch.token_type_ids), [1, 1, 1, 1, 0, 0]);
        let mask = batch.attention_mask.into_data();
        assert_eq!(mask.iter::<bool>().collect::<Vec<_>>(), [true, true, true, true, false, false]);
        let Some(Targets::Classes(classes)) = batch.targets else { panic!("classes were given") };
        assert_eq!(classes.into_data().iter::<i64>().collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn lengths_are_rounded_up_to_a_step_but_not_beyond_the_limit() {
        let sequence = |length: usize, at_most| {
            let row = Encoded { ids: vec![7; length], type_ids: vec![0; length], label: None };
            let padding = PadToLongest { length_step: 8, at_most, ..PadToLongest::default() };
            let batch = padding.batch(vec![row], &Device::flex());
            batch.attention_mask.dims()[1]
        };
        assert_eq!([sequence(1, 100), sequence(8, 100), sequence(9, 100)], [8, 8, 16]);
        assert_eq!([sequence(9, 12), sequence(13, 12)], [12, 13]);
    }

    #[test]
    fn a_span_is_two_positions() {
        let row = |start, end| Encoded {
            ids: vec![7; 4],
            type_ids: vec![0; 4],
            label: Some(Label::Span { start, end }),
        };
        let batch = PadToLongest::default().batch(vec![row(1, 3), row(0, 0)], &Device::flex());
        let Some(Targets::Spans(spans)) = batch.targets else { panic!("spans were given") };
        assert_eq!(spans.dims(), [2, 2]);
        assert_eq!(spans.into_data().iter::<i64>().collect::<Vec<_>>(), [1, 3, 0, 0]);
    }
}
