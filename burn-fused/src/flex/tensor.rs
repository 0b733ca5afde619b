//! Conversion between Burn's CPU tensors and slices.

use burn::backend::TensorMetadata;
use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};

/// A tensor of rows in memory order.
pub(super) struct Rows {
    tensor: FlexTensor,
    /// Length of the last axis.
    pub(super) width: usize,
}

impl Rows {
    /// Copies a tensor only if it is not in memory order.
    pub(super) fn of(tensor: &FlexTensor) -> Self {
        let tensor = in_memory_order(tensor.clone());
        let width = last_axis(&tensor.shape());
        Self { tensor, width }
    }

    pub(super) fn data(&self) -> &[f32] {
        self.tensor.storage::<f32>()
    }

    pub(super) fn shape(&self) -> Shape {
        self.tensor.shape()
    }
}

/// The tensor itself if its memory holds exactly its elements in order, otherwise a copy.
pub(super) fn in_memory_order(tensor: FlexTensor) -> FlexTensor {
    let bytes = tensor.shape().num_elements() * size_of::<f32>();
    let whole = tensor.layout().start_offset() == 0 && tensor.bytes().len() == bytes;
    if whole && tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// Length of the last axis, 1 for a scalar.
pub(super) fn last_axis(shape: &Shape) -> usize {
    shape.as_slice().last().copied().unwrap_or(1)
}

/// A tensor of `data`, row by row.
pub(super) fn tensor(data: Vec<f32>, shape: Shape) -> FlexTensor {
    debug_assert_eq!(data.len(), shape.num_elements());
    FlexTensor::new(Bytes::from_elems(data), Layout::contiguous(shape), DType::F32)
}
