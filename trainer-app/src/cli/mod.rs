//! What can be typed: arguments and their help. What runs is in `run_config` and `recipes`.

mod adapter;
mod bank;
mod bench;
mod inference;
mod overrides;
mod resources;
mod sweep;
mod train;

pub use adapter::{
    AdapterCommand, AverageArgs, DirectoryFormat, ExportArgs, ExportFormat, ImportArgs,
    ImportTensorflowArgs,
};
pub use bank::{BankCommand, ServeArgs};
pub use bench::BenchArgs;
pub use inference::{
    AblateArgs, ColumnArgs, ComposeArgs, EvaluateArgs, InferenceArgs, PredictArgs,
};
pub use resources::{BaseArgs, DataCommand, DevicesArgs};
pub use sweep::{ReportArgs, SweepArgs};
pub use train::{TaskArgs, TrainArgs, TrainJob};

use clap::{Parser, Subcommand};

/// Train small adapters on a frozen BERT, score them, and use them
#[derive(Debug, Parser)]
#[command(name = "trainer", version, propagate_version = true, max_term_width = 80)]
#[command(after_help = "\
Start with `trainer train`: it needs no data of your own and ends with a score
and an adapter file. `trainer COMMAND --help` explains a command.

Exit codes: 0 done, 130 stopped by the user, 1 error, 2 wrong arguments.
With --json, results are JSON on standard output, and a command that fails
prints {\"status\": \"error\", \"error\": …} there as its last line. Everything
else is on standard error.")]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, one module of `recipes` each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train an adapter for one task and keep the best epoch
    Train(Box<TrainArgs>),
    /// Train every combination of a grid of settings, and show the best
    Sweep(SweepArgs),
    /// Write an HTML page with the tables and figures of a sweep
    Report(ReportArgs),
    /// Score an adapter with its insertions left out of each span of layers
    Ablate(AblateArgs),
    /// Score an adapter on rows with labels
    Evaluate(EvaluateArgs),
    /// Label texts with an adapter
    Predict(PredictArgs),
    /// Keep the adapters of many tasks in one file, a bank
    Bank {
        /// The command.
        #[command(subcommand)]
        command: BankCommand,
    },
    /// Serve all tasks of a bank over HTTP
    Serve(ServeArgs),
    /// Time training steps and inference on this machine
    Bench(BenchArgs),
    /// List the devices that this build can compute on
    Devices(DevicesArgs),
    /// List, download and check the data of the published tasks
    Data {
        /// The command.
        #[command(subcommand)]
        command: DataCommand,
    },
    /// Download a base model and show where it is
    Base(BaseArgs),
    /// Inspect, average, import and export adapter files
    Adapter {
        /// The command.
        #[command(subcommand)]
        command: AdapterCommand,
    },
}

impl Command {
    /// Refuses arguments that do not go together, before anything but a configuration file is read.
    ///
    /// # Errors
    /// A [`UsageError`](crate::exit::UsageError) that names them.
    pub fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::Train(args) => TrainJob::of(args).map(|_| ()),
            Self::Bank { command } => command.check(),
            Self::Adapter { command: AdapterCommand::Export(args) } => args.check(),
            _ => Ok(()),
        }
    }
}
