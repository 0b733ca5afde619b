//! What an error of a cell is a fault of: of the cell, which is recorded, or of the machine, which is not.

use std::io;

use glue_data::DataError;

use crate::download::http::FetchError;
use crate::learner::checkpoint::CheckpointError;
use crate::learner::error::TrainingError;
use crate::learner::progress::StepsMismatch;
use crate::lock::InUse;

/// What an error of a cell means for its sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The training diverged: a result of the cell.
    Collapse,
    /// The cell's settings do not work: recorded, and the sweep continues.
    Settings,
    /// Another process is training the cell: the sweep continues without it.
    InUse,
    /// The disk, the memory, the network, the device, the data, or what was saved of the cell's run: it says nothing
    /// about the cell's settings. The sweep stops, and nothing is recorded.
    Machine,
}

/// A panic while a cell was trained: of the device's driver, as a rule, which is not to be trusted after that.
#[derive(Debug, thiserror::Error)]
#[error("the training panicked: {message}")]
pub struct Panicked {
    /// What the panic says.
    pub message: String,
}

/// Files of a cell's run that belong to something else, or are damaged.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct WrongRun {
    /// What is wrong, where, and what to do.
    pub reason: String,
}

impl Fault {
    /// The fault of an error, by the types of the errors in it.
    pub fn of(error: &anyhow::Error) -> Self {
        let has = |is: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(is);
        // `downcast_ref` sees the errors that serve as contexts as well.
        if TrainingError::in_chain(error).is_some() {
            Self::Collapse
        } else if error.downcast_ref::<InUse>().is_some()
            || has(<dyn std::error::Error>::is::<InUse>)
        {
            Self::InUse
        } else if has(<dyn std::error::Error>::is::<io::Error>)
            || has(<dyn std::error::Error>::is::<ureq::Error>)
            || has(<dyn std::error::Error>::is::<FetchError>)
            || has(<dyn std::error::Error>::is::<DataError>)
            || has(<dyn std::error::Error>::is::<CheckpointError>)
            || has(<dyn std::error::Error>::is::<StepsMismatch>)
            || has(<dyn std::error::Error>::is::<Panicked>)
            || has(<dyn std::error::Error>::is::<WrongRun>)
        {
            Self::Machine
        } else {
            Self::Settings
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;
    use crate::learner::error::Quantity;

    #[test]
    fn types_decide_and_words_do_not() {
        let of = |error: anyhow::Error| Fault::of(&error.context("training a cell"));
        let diverged = TrainingError::NotFinite {
            what: Quantity::TrainingLoss,
            value: f64::NAN,
            epoch: 1,
            step: 2,
            learning_rate: 1e-2,
        };
        assert_eq!(of(diverged.into()), Fault::Collapse);
        assert_eq!(of(anyhow!("the loss is NaN; No space left on device")), Fault::Settings);
        for kind in [
            io::ErrorKind::StorageFull,
            io::ErrorKind::ReadOnlyFilesystem,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::NotFound,
            io::ErrorKind::OutOfMemory,
            io::ErrorKind::ConnectionReset,
        ] {
            assert_eq!(of(io::Error::from(kind).into()), Fault::Machine, "{kind}");
        }
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let wrapped = DataError::Read { path: "dev.tsv".into(), source };
        assert_eq!(of(wrapped.into()), Fault::Machine);
        let directory = "runs/a/checkpoint".into();
        let damaged = CheckpointError::AllDamaged { directory, damages: Vec::new() };
        assert_eq!(of(damaged.into()), Fault::Machine);
        assert_eq!(of(Panicked { message: "out of memory".to_owned() }.into()), Fault::Machine);
        assert_eq!(of(InUse { path: "runs/a".into(), holder: None }.into()), Fault::InUse);
        let context =
            Err::<(), _>(anyhow!("x")).context(InUse { path: "runs/a".into(), holder: None });
        assert_eq!(of(context.unwrap_err()), Fault::InUse);
    }
}
