//! Dynamic loss scaling for half precision.
//!
//! As in PyTorch's `GradScaler`, the scale is halved when a gradient overflows, and doubled after 2,000 steps without an
//! overflow. PyTorch skips the batch of an overflow; here the step is repeated with the smaller scale.
//!
//! <https://github.com/pytorch/pytorch/blob/v2.9.1/torch/amp/grad_scaler.py>

use burn_bert::Precision;
use serde::{Deserialize, Serialize};

/// Steps without an overflow before the scale is doubled; PyTorch's `growth_interval`.
const GROWTH_INTERVAL: usize = 2_000;
/// The largest scale; PyTorch's `init_scale`.
const LARGEST: f64 = 65_536.0;
/// The smallest scale: gradients that overflow even so do not overflow because of the precision.
const SMALLEST: f64 = 1.0 / 1_048_576.0;

/// The scale of the loss, and the number of steps since the last overflow.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossScale {
    factor: f64,
    steps_without_overflow: usize,
    /// Number of overflows.
    #[serde(default)]
    overflows: usize,
}

impl LossScale {
    /// The initial scale of a precision; none if gradients have the range of single precision.
    pub fn of(precision: Precision) -> Option<Self> {
        let factor = precision.loss_scale();
        (factor > 1.0).then_some(Self { factor, steps_without_overflow: 0, overflows: 0 })
    }

    /// The factor by which the loss is multiplied and gradients are divided.
    pub fn factor(self) -> f64 {
        self.factor
    }

    /// Number of overflows; each of these steps was repeated.
    pub fn overflows(self) -> usize {
        self.overflows
    }

    /// Halves the scale after an overflow; `false` if it is the smallest already.
    pub fn halve(&mut self) -> bool {
        if self.factor <= SMALLEST {
            return false;
        }
        self.factor /= 2.0;
        self.steps_without_overflow = 0;
        self.overflows += 1;
        true
    }

    /// Counts a step without an overflow.
    pub fn count_step(&mut self) {
        self.steps_without_overflow += 1;
        if self.steps_without_overflow >= GROWTH_INTERVAL {
            self.steps_without_overflow = 0;
            self.factor = (2.0 * self.factor).min(LARGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_falls_with_overflows_and_grows_again() {
        assert_eq!(LossScale::of(Precision::F32), None);
        assert_eq!(LossScale::of(Precision::Bf16), None);
        let mut scale = LossScale::of(Precision::F16).unwrap();
        let first = scale.factor();
        assert!(scale.halve());
        assert!((scale.factor() - first / 2.0).abs() < f64::EPSILON);
        (0..GROWTH_INTERVAL).for_each(|_| scale.count_step());
        assert!((scale.factor() - first).abs() < f64::EPSILON);
        (0..100 * GROWTH_INTERVAL).for_each(|_| scale.count_step());
        assert!((scale.factor() - LARGEST).abs() < f64::EPSILON);
        while scale.halve() {}
        assert!(scale.factor() > 0.0 && scale.overflows() > 30);
    }
}
