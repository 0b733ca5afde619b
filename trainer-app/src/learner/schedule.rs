//! The learning rate as a pure function of the step: warm-up from 0, then linear decay to 0.
//! A resumed run therefore needs only its step number.
//!
//! Houlsby et al. 2019, section 3.1; google-research/adapter-bert `optimization.py` for the decay from the first step.

use crate::run_config::{Decay, TrainingConfig};

/// Warm-up and decay of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The highest learning rate.
    pub peak: f64,
    /// Optimizer steps over which the rate rises from 0 to the peak.
    pub warmup_steps: usize,
    /// Optimizer steps of the whole run.
    pub total_steps: usize,
    /// The start of the decay.
    pub decay: Decay,
}

impl Schedule {
    /// The schedule of a run with this many optimizer steps.
    pub fn new(training: &TrainingConfig, total_steps: usize) -> Self {
        // The reference code truncates: int(num_train_steps * warmup_proportion), run_classifier.py.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share in 0..=1 of a step count"
        )]
        let warmup_steps = (total_steps as f64 * training.warmup) as usize;
        Self { peak: training.learning_rate, warmup_steps, total_steps, decay: training.decay }
    }

    /// The learning rate of a step, counted from 0; the first step of a warm-up has rate 0, as in the reference code.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return self.peak * step as f64 / self.warmup_steps as f64;
        }
        let left = self.total_steps.saturating_sub(step) as f64;
        match self.decay {
            Decay::Continuous => {
                self.peak * left / (self.total_steps - self.warmup_steps).max(1) as f64
            }
            Decay::FromStart => self.peak * left / self.total_steps as f64,
            Decay::None => self.peak,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(decay: Decay) -> Schedule {
        Schedule { peak: 1.0, warmup_steps: 10, total_steps: 100, decay }
    }

    #[test]
    fn warm_up_starts_at_zero_and_reaches_the_peak() {
        for decay in [Decay::Continuous, Decay::FromStart] {
            assert!(schedule(decay).at(0).abs() < f64::EPSILON);
            assert!((schedule(decay).at(5) - 0.5).abs() < 1e-12);
        }
        assert!((schedule(Decay::Continuous).at(10) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn reference_code_falls_to_nine_tenths_after_the_warm_up() {
        assert!((schedule(Decay::FromStart).at(10) - 0.9).abs() < 1e-12);
        assert!((schedule(Decay::FromStart).at(55) - 0.45).abs() < 1e-12);
    }

    #[test]
    fn decay_ends_at_zero() {
        for decay in [Decay::Continuous, Decay::FromStart] {
            assert!(schedule(decay).at(100).abs() < f64::EPSILON);
            assert!(schedule(decay).at(99) > 0.0);
        }
    }

    #[test]
    fn a_run_without_warm_up_starts_at_the_peak() {
        let schedule = Schedule { warmup_steps: 0, ..schedule(Decay::Continuous) };
        assert!((schedule.at(0) - 1.0).abs() < 1e-12);
    }
}
