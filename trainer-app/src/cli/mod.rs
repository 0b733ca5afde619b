//! What can be typed: arguments and their help. What runs is in `run_config` and `recipes`.

mod adapter;
mod answer;
mod bank;
mod bench;
mod supply;
mod sweep;
mod train;

pub use adapter::{
    AdapterCommand, AverageArgs, DirectoryFormat, ExportArgs, ExportFormat, ImportArgs,
    ImportTensorflowArgs,
};
pub use answer::{AblateArgs, ColumnArgs, ComposeArgs, EvaluateArgs, InferenceArgs, PredictArgs};
pub use bank::{BankCommand, ServeArgs};
pub use bench::BenchArgs;
pub use supply::{BaseArgs, DataCommand, DevicesArgs};
pub use sweep::{ReportArgs, SweepArgs};
pub use train::{TaskArgs, TrainArgs};

use clap::{Parser, Subcommand};

use crate::run_config::TrainJob;

/// Tunes small adapters on a frozen BERT, scores them, and uses them.
#[derive(Debug, Parser)]
#[command(name = "trainer", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Start with `trainer train`: it needs no data of yours and ends with a score and an adapter file."
)]
pub struct Cli {
    /// The job.
    #[command(subcommand)]
    pub command: Command,
}

/// The jobs, one module of `recipes` each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train one task on a base and keep the best adapter
    Train(Box<TrainArgs>),
    /// Train every cell of a grid once, and tell the best
    Sweep(SweepArgs),
    /// Draw a sweep: tables and the paper's figures, as one HTML page
    Report(ReportArgs),
    /// Score an adapter without what it inserts in every span of layers
    Ablate(AblateArgs),
    /// Score an adapter on a task's validation or test rows
    Evaluate(EvaluateArgs),
    /// Label texts with an adapter
    Predict(PredictArgs),
    /// Keep the adapters of many tasks on one base in one file
    Bank {
        /// The job.
        #[command(subcommand)]
        command: BankCommand,
    },
    /// Answer over HTTP with all tasks of a bank, mixed in one batch
    Serve(ServeArgs),
    /// Time training steps and inference, beside the peers where asked
    Bench(BenchArgs),
    /// List the devices that this build can train on
    Devices(DevicesArgs),
    /// List, fetch and check the tasks' data
    Data {
        /// The job.
        #[command(subcommand)]
        command: DataCommand,
    },
    /// Fetch a base model and tell where it is
    Base(BaseArgs),
    /// Inspect, average, import and export adapter files
    Adapter {
        /// The job.
        #[command(subcommand)]
        command: AdapterCommand,
    },
}

impl Command {
    /// Refuses arguments that do not go together, as far as this shows without reading a file of data.
    ///
    /// # Errors
    /// A [`UsageError`](crate::ending::UsageError) that names them.
    pub fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::Train(args) => TrainJob::of(args).map(|_| ()),
            Self::Bank { command } => command.check(),
            Self::Adapter { command: AdapterCommand::Export(args) } => args.check(),
            _ => Ok(()),
        }
    }
}
