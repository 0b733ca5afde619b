//! Numerical errors that end training.

use std::fmt;

/// A numerical error in training. Errors of files, devices and settings have other types.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainingError {
    /// A value is not finite: the run has diverged.
    #[error(
        "the {what} is {value} at step {step} (epoch {epoch}); {}", remedy(*what, *step, *learning_rate)
    )]
    NotFinite {
        /// The kind of value.
        what: Quantity,
        /// The value: NaN or an infinity.
        value: f64,
        /// Epoch in which it was computed, from 1.
        epoch: usize,
        /// Optimizer steps that were started until then.
        step: usize,
        /// Highest learning rate of the run.
        learning_rate: f64,
    },
    /// Gradients overflow half precision even with the smallest loss scale.
    #[error(
        "gradients overflow f16 at step {step} (epoch {epoch}) even with the loss multiplied by {loss_scale:e}; \
         --precision bf16 and f32 have a wider range, and a lower --learning-rate may help (it is {learning_rate:e} here)"
    )]
    Overflow {
        /// Epoch of the step, from 1.
        epoch: usize,
        /// The step, from 1.
        step: usize,
        /// The smallest loss scale that was tried.
        loss_scale: f64,
        /// Highest learning rate of the run.
        learning_rate: f64,
    },
}

/// A value of a training run that has to be finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Loss of a training batch.
    TrainingLoss,
    /// Global norm of the gradients.
    GradientNorm,
    /// A trained weight after a step.
    Weight,
    /// Mean loss of the validation rows.
    ValidationLoss,
    /// An output for a validation row.
    ValidationLogit,
    /// Main score of the validation rows.
    ValidationScore,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TrainingLoss => "training loss",
            Self::GradientNorm => "norm of the gradients",
            Self::Weight => "largest trained weight",
            Self::ValidationLoss => "validation loss",
            Self::ValidationLogit => "output for a validation row",
            Self::ValidationScore => "validation score",
        })
    }
}

/// What to change. Before the first step has changed a weight, the learning rate is not the cause.
fn remedy(what: Quantity, step: usize, learning_rate: f64) -> String {
    if matches!(what, Quantity::TrainingLoss | Quantity::GradientNorm) && step <= 1 {
        return "no weight was changed before it, so that the rows or the initial weights are the cause: check for very \
                large scores in the rows, --init-std and --precision"
            .to_owned();
    }
    format!("a lower --learning-rate is the usual cure (it is {learning_rate:e} here)")
}

impl TrainingError {
    /// The error of this type in the chain of another, if there is one.
    pub fn in_chain(error: &anyhow::Error) -> Option<&Self> {
        error.downcast_ref().or_else(|| error.chain().find_map(|cause| cause.downcast_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_not_finite_and_is_found_below_contexts() {
        let diverged = TrainingError::NotFinite {
            what: Quantity::ValidationLoss,
            value: f64::NAN,
            epoch: 2,
            step: 40,
            learning_rate: 1e-2,
        };
        let error = anyhow::Error::from(diverged).context("the run stopped");
        assert_eq!(
            format!("{error:#}"),
            "the run stopped: the validation loss is NaN at step 40 (epoch 2); a lower --learning-rate is the usual \
             cure (it is 1e-2 here)"
        );
        let first = TrainingError::NotFinite {
            what: Quantity::TrainingLoss,
            value: f64::INFINITY,
            epoch: 1,
            step: 1,
            learning_rate: 1e-3,
        };
        let first = first.to_string();
        assert!(first.contains("--init-std") && !first.contains("--learning-rate"), "{first}");
        assert!(TrainingError::in_chain(&error).is_some());
        assert!(TrainingError::in_chain(&anyhow::anyhow!("the loss is NaN")).is_none());
    }
}
