//! Rotary position embeddings: the angles by which positions turn their queries and keys.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};

/// The angles of some positions, the first of which is 0.
///
/// Su et al. 2021, *RoFormer*, section 3.2.2, with the two numbers of a pair half a head apart:
/// <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/modernbert/modeling_modernbert.py>
/// (`ModernBertRotaryEmbedding`, `apply_rotary_pos_emb`)
#[derive(Debug, Clone)]
pub struct Rotary {
    /// `[positions, 2, d_head / 2]`: for each position the cosines, then the sines.
    table: Arc<[f32]>,
    d_head: usize,
}

impl Rotary {
    /// The angles `position · theta^(-2 i / d_head)` for `i` in `0..d_head / 2`.
    ///
    /// # Panics
    /// If `d_head` is odd.
    pub fn new(positions: usize, d_head: usize, theta: f64) -> Self {
        assert!(d_head.is_multiple_of(2), "a head of {d_head} numbers has no pairs");
        let frequencies: Vec<f32> =
            (0..d_head).step_by(2).map(|i| frequency(theta, i as f64 / d_head as f64)).collect();
        let mut table = Vec::with_capacity(positions * d_head);
        for position in 0..positions {
            let angles = frequencies.iter().map(|frequency| position as f32 * frequency);
            table.extend(angles.clone().map(f32::cos));
            table.extend(angles.map(f32::sin));
        }
        Self { table: table.into(), d_head }
    }

    /// The number of positions.
    pub fn positions(&self) -> usize {
        self.table.len() / self.d_head
    }

    /// The width of a head.
    pub fn d_head(&self) -> usize {
        self.d_head
    }

    /// The cosines and the sines of a position.
    #[cfg(feature = "flex")]
    #[inline]
    pub(crate) fn angles(&self, position: usize) -> (&[f32], &[f32]) {
        self.table[position * self.d_head..][..self.d_head].split_at(self.d_head / 2)
    }

    /// Turns each head of each position.
    ///
    /// # Shapes
    /// - x, result: `[batch, positions, d_model]`, heads side by side in the last axis
    ///
    /// # Panics
    /// If `x` has another number of positions, or heads of another width.
    pub fn turn(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, positions, d_model] = x.dims();
        let half = self.d_head / 2;
        assert_eq!(positions, self.positions(), "the number of positions");
        assert!(d_model.is_multiple_of(self.d_head), "{d_model} is not a multiple of a head");

        #[cfg(feature = "flex")]
        if crate::flex::supports(&x) {
            return crate::flex::rotate(x, self.clone());
        }
        let table = TensorData::new(self.table.to_vec(), [positions, 1, 2, half]);
        let table = Tensor::<4>::from_data(table, (&x.device(), x.dtype())).unsqueeze::<5>(); // [1, positions, 1, 2, half]
        let (cosines, sines) = (table.clone().narrow(3, 0, 1), table.narrow(3, 1, 1));
        let x = x.reshape([batch, positions, d_model / self.d_head, 2, half]);
        let (first, second) = (x.clone().narrow(3, 0, 1), x.narrow(3, 1, 1));
        let turned = [
            first.clone() * cosines.clone() - second.clone() * sines.clone(),
            second * cosines + first * sines,
        ];
        Tensor::cat(turned.into(), 3).reshape([batch, positions, d_model])
    }
}

/// In single precision, as transformers computes angles.
#[expect(clippy::cast_possible_truncation, reason = "in single precision as in transformers")]
fn frequency(theta: f64, exponent: f64) -> f32 {
    1.0 / theta.powf(exponent) as f32
}
