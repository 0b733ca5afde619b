//! The factor of the loss while going back in half precision, which follows the gradients.
//!
//! As PyTorch's `GradScaler` does it: halved when a gradient overflows, doubled after 2,000 steps without. There the
//! batch of an overflow is left out; here its step is done again with the smaller factor, so that no row is lost.
//!
//! <https://github.com/pytorch/pytorch/blob/v2.9.1/torch/amp/grad_scaler.py>

use burn_bert::Precision;
use serde::{Deserialize, Serialize};

/// Steps without an overflow before the factor grows; PyTorch's `growth_interval`.
const GROWTH_INTERVAL: usize = 2_000;
/// The largest factor; PyTorch's `init_scale`.
const LARGEST: f64 = 65_536.0;
/// The smallest factor: gradients that overflow below it are no matter of the precision.
const SMALLEST: f64 = 1.0 / 1_048_576.0;

/// The factor, and how long it has been right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossScale {
    factor: f64,
    steps_without_overflow: usize,
    /// How often a gradient has overflowed.
    #[serde(default)]
    overflows: usize,
}

impl LossScale {
    /// What a precision starts with; none where gradients have the range of single precision.
    pub fn of(precision: Precision) -> Option<Self> {
        let factor = precision.loss_scale();
        (factor > 1.0).then_some(Self { factor, steps_without_overflow: 0, overflows: 0 })
    }

    /// What the loss is multiplied by, and gradients divided by.
    pub fn factor(self) -> f64 {
        self.factor
    }

    /// How often a gradient has overflowed; each of these steps was done again.
    pub fn overflows(self) -> usize {
        self.overflows
    }

    /// Halves the factor after an overflow; `false` when it is as small as it gets.
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
    fn the_factor_falls_with_overflows_and_grows_again() {
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
