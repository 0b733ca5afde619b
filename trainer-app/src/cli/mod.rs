//! The command line: arguments, their help, and how they become a configuration.

mod adapter;
mod bank;
mod bench;
mod inference;
mod overrides;
mod resources;
mod score;
mod sweep;
mod train;

pub use adapter::{
    AdapterCommand, AverageArgs, DirectoryFormat, ExportArgs, ExportFormat, ImportArgs,
    ImportTargetArgs, ImportTensorflowArgs,
};
pub use bank::{BankCommand, ServeArgs};
pub use bench::BenchArgs;
pub use inference::{
    AblateArgs, ColumnArgs, ComposeArgs, EvaluateArgs, InferenceArgs, LabeledRowsArgs, PredictArgs,
};
pub use resources::{BaseArgs, BaseCommand, DataCommand, DevicesArgs};
pub use score::ScoreArgs;
pub use sweep::{ReportArgs, SweepArgs};
pub use train::{TaskArgs, TrainArgs, TrainJob};

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

/// Train, evaluate and serve adapters for a frozen BERT
#[derive(Debug, Parser)]
#[command(name = "trainer", version, propagate_version = true, max_term_width = 80)]
#[command(after_help = "\
Start with `trainer train`: it requires no data of your own, and produces a
score and an adapter file. See `trainer COMMAND --help` for each command.

Exit codes: 0 success, 130 interrupted, 1 error, 2 invalid arguments.
With --json, results are printed as JSON on standard output, and a command that
fails prints {\"status\": \"error\", \"error\": …} there as its last line.
Everything else is printed on standard error.")]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, one module of `commands` each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train an adapter for a task, keeping the best epoch
    Train(Box<TrainArgs>),
    /// Train every combination of a grid of settings, and compare them
    Sweep(SweepArgs),
    /// Write an HTML report with the tables and figures of a sweep
    Report(ReportArgs),
    /// Evaluate an adapter without its modules in each span of layers
    Ablate(AblateArgs),
    /// Evaluate an adapter on labeled rows
    Evaluate(EvaluateArgs),
    /// Predict labels of texts with an adapter
    Predict(PredictArgs),
    /// Score predictions in files against right answers
    Score(ScoreArgs),
    /// Manage a bank: the adapters of many tasks in one file
    Bank {
        /// The command.
        #[command(subcommand)]
        command: BankCommand,
    },
    /// Serve the tasks of a bank over HTTP
    Serve(ServeArgs),
    /// Benchmark training steps and inference on this machine
    Bench(BenchArgs),
    /// List the devices that this build supports
    Devices(DevicesArgs),
    /// List, download and check the data of published tasks
    Data {
        /// The command.
        #[command(subcommand)]
        command: DataCommand,
    },
    /// Download and verify a base model, and show its location; inspect and list bases
    Base(BaseArgs),
    /// Inspect, average, import and export adapter files
    Adapter {
        /// The command.
        #[command(subcommand)]
        command: AdapterCommand,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write man pages
    #[command(hide = true)]
    Man {
        /// The directory to write to
        directory: PathBuf,
    },
}

impl Command {
    /// Checks that the arguments can be combined, before anything but a configuration file is read.
    ///
    /// # Errors
    /// A [`UsageError`](crate::exit::UsageError) that names them.
    pub fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::Train(args) => TrainJob::of(args).map(|_| ()),
            Self::Predict(args) => args.columns.check(&[]),
            Self::Evaluate(EvaluateArgs { rows, .. }) | Self::Ablate(AblateArgs { rows, .. }) => {
                rows.check()
            }
            Self::Bank { command } => command.check(),
            Self::Adapter { command: AdapterCommand::Export(args) } => args.check(),
            _ => Ok(()),
        }
    }
}
