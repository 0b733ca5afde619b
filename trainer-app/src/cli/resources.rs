//! The arguments of `trainer devices`, `data` and `base`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `trainer devices`.
#[derive(Debug, Clone, Args)]
pub struct DevicesArgs {
    /// Print JSON, one object per device
    #[arg(long)]
    pub json: bool,
}

/// Commands on the tasks' data.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List the tasks, with their sizes, labels and metrics
    List {
        /// Print JSON, one object per task
        #[arg(long)]
        json: bool,
    },
    /// Download a task's data from its publisher
    Fetch {
        /// Names from `trainer data list`, or all
        #[arg(required = true)]
        tasks: Vec<String>,
        /// Directory to write to
        #[arg(long, value_name = "DIR", default_value = "data")]
        data: PathBuf,
        /// Download from this URL instead of the publisher's: a mirror with the
        /// same file names
        #[arg(long, value_name = "URL")]
        mirror: Option<String>,
    },
    /// Compare a task's files with the published row counts
    Check {
        /// Names from `trainer data list`, or all
        #[arg(required = true)]
        tasks: Vec<String>,
        /// Directory of the data
        #[arg(long, value_name = "DIR", default_value = "data")]
        data: PathBuf,
    },
}

/// Arguments of `trainer base`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BaseArgs {
    /// Without one, the base is downloaded and verified.
    #[command(subcommand)]
    pub command: Option<BaseCommand>,
    /// The base: a name from `trainer base list`, a Hugging Face name such as
    /// microsoft/deberta-v3-base, or a directory
    #[arg(default_value = "minilm")]
    pub base: String,
    /// Download it again; the existing files are replaced after the new ones are
    /// complete and verified
    #[arg(long)]
    pub again: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Commands on bases.
#[derive(Debug, Clone, Subcommand)]
pub enum BaseCommand {
    /// Show what a base is, from the files that are there; nothing is downloaded
    Inspect {
        /// The base: a name, or a directory, which may be incomplete
        base: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the names of known bases, and the bases on this machine
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}
