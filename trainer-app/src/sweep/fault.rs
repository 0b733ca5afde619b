//! Classifies the errors of a cell: those of the cell are recorded, those of the environment are not.

use std::io;

use glue_data::DataError;

use crate::download::http::FetchError;
use crate::learner::checkpoint::CheckpointError;
use crate::learner::error::TrainingError;
use crate::learner::progress::StepsMismatch;
use crate::system::lock::InUse;

/// The cause of a cell's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The training diverged, which is a result of the cell.
    Collapse,
    /// The cell's settings do not work; recorded, and the sweep continues.
    Settings,
    /// Another process is training the cell; the sweep continues without it.
    InUse,
    /// Disk, memory, network, device, data, or saved files of the run: independent of the cell's settings. The sweep
    /// stops, and nothing is recorded.
    Environment,
}

/// A panic while a cell was trained. Usually it comes from the device's driver, which may not work after that.
#[derive(Debug, thiserror::Error)]
#[error("the training panicked: {message}")]
pub struct Panicked {
    /// The message of the panic.
    pub message: String,
}

/// Files of a cell's run that belong to another run or are damaged.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct WrongRun {
    /// What is wrong, where, and what to do.
    pub reason: String,
}

impl Fault {
    /// Classifies an error by the types of its causes.
    pub fn of(error: &anyhow::Error) -> Self {
        let has = |is: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(is);
        // `downcast_ref` also finds errors that were attached as context.
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
            Self::Environment
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
    fn errors_are_classified_by_type_and_not_by_message() {
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
            assert_eq!(of(io::Error::from(kind).into()), Fault::Environment, "{kind}");
        }
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let wrapped = DataError::Read { path: "dev.tsv".into(), source };
        assert_eq!(of(wrapped.into()), Fault::Environment);
        let directory = "runs/a/checkpoint".into();
        let damaged = CheckpointError::AllDamaged { directory, damages: Vec::new() };
        assert_eq!(of(damaged.into()), Fault::Environment);
        assert_eq!(of(Panicked { message: "out of memory".to_owned() }.into()), Fault::Environment);
        assert_eq!(of(InUse { path: "runs/a".into(), holder: None }.into()), Fault::InUse);
        let context =
            Err::<(), _>(anyhow!("x")).context(InUse { path: "runs/a".into(), holder: None });
        assert_eq!(of(context.unwrap_err()), Fault::InUse);
    }
}
