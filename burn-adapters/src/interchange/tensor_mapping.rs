//! How a parameter of this crate is stored in a tensor of another package.

use std::collections::BTreeMap;

use burn::tensor::TensorData;

/// The tensor that holds a parameter, and its layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorLocation {
    /// Name of the tensor.
    pub(super) name: String,
    /// The order of its axes.
    pub(super) axes: Axes,
    /// The parameter's part of the tensor's last axis (in our order), if the tensor holds several parameters.
    pub(super) part: Option<Part>,
}

/// The order of a tensor's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axes {
    /// The same.
    Same,
    /// Transposed: matrices of `PyTorch`'s linear layers.
    Transposed,
    /// `[channels, 1]`
    Column,
    /// `[1, channels]`
    Row,
    /// Flattened.
    Flat,
}

/// One of several equal parts of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// The index, from 0.
    pub(super) index: usize,
    /// The number of parts.
    pub(super) of: usize,
}

impl TensorLocation {
    /// The whole tensor of this name; matrices of linear layers, which are named `weight`, are transposed.
    pub(super) fn linear(name: String) -> Self {
        let axes = if name.ends_with(".weight") { Axes::Transposed } else { Axes::Same };
        Self { name, axes, part: None }
    }

    /// The whole tensor of this name, with these axes.
    pub(super) fn whole(name: String, axes: Axes) -> Self {
        Self { name, axes, part: None }
    }

    /// The shape of the tensor, from that of the parameter.
    pub(super) fn shape(&self, ours: &[usize]) -> Vec<usize> {
        let mut wide = ours.to_vec();
        if let (Some(last), Some(part)) = (wide.last_mut(), self.part) {
            *last *= part.of;
        }
        match self.axes {
            Axes::Same => wide,
            // A vector, such as a norm's weight, is unchanged.
            Axes::Transposed => wide.into_iter().rev().collect(),
            Axes::Column => vec![wide.iter().product(), 1],
            Axes::Row => vec![1, wide.iter().product()],
            Axes::Flat => vec![wide.iter().product()],
        }
    }

    /// Extracts the parameter from a tensor of [`shape`](Self::shape).
    pub(super) fn take(&self, tensor: &TensorData, ours: &[usize]) -> TensorData {
        let values: Vec<f32> = tensor.iter::<f32>().collect();
        let of = self.part.map_or(1, |part| part.of);
        let index = self.part.map_or(0, |part| part.index);
        let width = ours.last().copied().unwrap_or(1);
        let wide = match self.axes {
            Axes::Transposed => transpose(&values, values.len() / (of * width).max(1)),
            _ => values,
        };
        let rows = wide.chunks_exact((of * width).max(1));
        let part = rows.flat_map(|row| &row[index * width..(index + 1) * width]).copied();
        TensorData::new(part.collect::<Vec<_>>(), ours.to_vec())
    }
}

/// Joins parameters into the tensors that hold them.
pub(super) fn join_parts(
    parameters: impl IntoIterator<Item = (TensorLocation, TensorData)>,
) -> BTreeMap<String, TensorData> {
    let mut wide: BTreeMap<String, (Vec<f32>, TensorLocation, Vec<usize>)> = BTreeMap::new();
    for (location, data) in parameters {
        let ours = data.shape().to_vec();
        let Part { index, of } = location.part.unwrap_or(Part { index: 0, of: 1 });
        let width = ours.last().copied().unwrap_or(1);
        let values: Vec<f32> = data.iter::<f32>().collect();
        let (all, _, _) = wide
            .entry(location.name.clone())
            .or_insert_with(|| (vec![0.0; values.len() * of], location, ours));
        let rows = all.chunks_exact_mut((of * width).max(1));
        for (row, own) in rows.zip(values.chunks_exact(width.max(1))) {
            row[index * width..(index + 1) * width].copy_from_slice(own);
        }
    }
    let tensors = wide.into_iter().map(|(name, (values, location, ours))| {
        let shape = location.shape(&ours);
        let values = match location.axes {
            Axes::Transposed => transpose(&values, shape[0]),
            _ => values,
        };
        (name, TensorData::new(values, shape))
    });
    tensors.collect()
}

/// A matrix `[columns, rows]` as `[rows, columns]`; a vector is unchanged.
pub(super) fn transpose(values: &[f32], rows: usize) -> Vec<f32> {
    let columns = values.len() / rows.max(1);
    (0..rows).flat_map(|row| (0..columns).map(move |column| values[column * rows + row])).collect()
}
