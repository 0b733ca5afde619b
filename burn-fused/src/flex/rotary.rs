//! Rotary position embeddings, in place if the tensor's memory is not shared.

use burn::backend::TensorMetadata;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::simd::{ROWS_AT_ONCE, vectorised};
use super::tensor::{in_memory_order, last_axis};
use crate::rotary::Rotary;

/// The direction of a rotation.
#[derive(Clone, Copy)]
pub(super) enum Turn {
    Forward,
    /// The gradient.
    Back,
}

/// Turns each head of each position.
pub(super) fn rotate(x: FlexTensor, rotary: &Rotary, turn: Turn) -> FlexTensor {
    let mut x = in_memory_order(x);
    let d_model = last_axis(&x.shape());
    let (sequence, half) = (rotary.positions(), rotary.d_head() / 2);
    let sign = match turn {
        Turn::Forward => 1.0,
        Turn::Back => -1.0,
    };
    x.storage_mut::<f32>().par_chunks_mut(ROWS_AT_ONCE * d_model).enumerate().for_each(
        |(chunk, rows)| {
            vectorised(
                #[inline(always)]
                || {
                    for (nth, row) in rows.chunks_exact_mut(d_model).enumerate() {
                        let (cosines, sines) =
                            rotary.angles((chunk * ROWS_AT_ONCE + nth) % sequence);
                        for head in row.chunks_exact_mut(2 * half) {
                            let (first, second) = head.split_at_mut(half);
                            let angles = cosines.iter().zip(sines);
                            for ((a, b), (&cosine, &sine)) in
                                first.iter_mut().zip(second).zip(angles)
                            {
                                let sine = sine * sign;
                                (*a, *b) =
                                    (a.mul_add(cosine, -(*b * sine)), b.mul_add(cosine, *a * sine));
                            }
                        }
                    }
                },
            );
        },
    );
    x
}
