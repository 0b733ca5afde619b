//! How a parameter of ours lies in a tensor of somebody else's.

use std::collections::BTreeMap;

use burn::tensor::TensorData;

/// Where a parameter is, and how it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorLocation {
    /// Name of the tensor.
    pub(super) name: String,
    /// How its axes are ours.
    pub(super) axes: Axes,
    /// Which part of the tensor's last axis (in our order) it is; the tensor is one for several parameters.
    pub(super) part: Option<Part>,
}

/// The order of a tensor's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axes {
    /// As ours.
    Same,
    /// The other way round: matrices of `PyTorch`'s linear layers.
    Transposed,
    /// `[channels, 1]`
    Column,
    /// `[1, channels]`
    Row,
    /// All in one axis.
    Flat,
}

/// One of several equal parts of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Which, from 0.
    pub(super) index: usize,
    /// How many there are.
    pub(super) of: usize,
}

impl TensorLocation {
    /// The whole tensor of this name, axes as ours but for the matrices of linear layers, which are called `weight`.
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
            // A vector, such as a norm's weight, has nothing to turn.
            Axes::Transposed => wide.into_iter().rev().collect(),
            Axes::Column => vec![wide.iter().product(), 1],
            Axes::Row => vec![1, wide.iter().product()],
            Axes::Flat => vec![wide.iter().product()],
        }
    }

    /// The parameter, out of a tensor of the shape above.
    pub(super) fn take(&self, tensor: &TensorData, ours: &[usize]) -> TensorData {
        let values: Vec<f32> = tensor.iter::<f32>().collect();
        let of = self.part.map_or(1, |part| part.of);
        let index = self.part.map_or(0, |part| part.index);
        let width = ours.last().copied().unwrap_or(1);
        let wide = match self.axes {
            Axes::Transposed => turned(&values, values.len() / (of * width).max(1)),
            _ => values,
        };
        let rows = wide.chunks_exact((of * width).max(1));
        let part = rows.flat_map(|row| &row[index * width..(index + 1) * width]).copied();
        TensorData::new(part.collect::<Vec<_>>(), ours.to_vec())
    }
}

/// Puts parameters into the tensors they belong to.
pub(super) fn lay_out(
    parameters: impl IntoIterator<Item = (TensorLocation, TensorData)>,
) -> BTreeMap<String, TensorData> {
    let mut wide: BTreeMap<String, (Vec<f32>, TensorLocation, Vec<usize>)> = BTreeMap::new();
    for (place, data) in parameters {
        let ours = data.shape().to_vec();
        let Part { index, of } = place.part.unwrap_or(Part { index: 0, of: 1 });
        let width = ours.last().copied().unwrap_or(1);
        let values: Vec<f32> = data.iter::<f32>().collect();
        let (all, _, _) = wide
            .entry(place.name.clone())
            .or_insert_with(|| (vec![0.0; values.len() * of], place, ours));
        let rows = all.chunks_exact_mut((of * width).max(1));
        for (row, own) in rows.zip(values.chunks_exact(width.max(1))) {
            row[index * width..(index + 1) * width].copy_from_slice(own);
        }
    }
    let tensors = wide.into_iter().map(|(name, (values, place, ours))| {
        let shape = place.shape(&ours);
        let values = match place.axes {
            Axes::Transposed => turned(&values, shape[0]),
            _ => values,
        };
        (name, TensorData::new(values, shape))
    });
    tensors.collect()
}

/// A matrix `[columns, rows]` as `[rows, columns]`; a vector stays as it is.
fn turned(values: &[f32], rows: usize) -> Vec<f32> {
    let columns = values.len() / rows.max(1);
    (0..rows).flat_map(|row| (0..columns).map(move |column| values[column * rows + row])).collect()
}
