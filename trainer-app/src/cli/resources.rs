//! What the commands take that look for devices, data and bases.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `trainer devices`.
#[derive(Debug, Clone, Args)]
pub struct DevicesArgs {
    /// Print JSON, one object a device
    #[arg(long)]
    pub json: bool,
}

/// Commands on the tasks' data.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List the tasks, with their sizes, labels and metrics
    List {
        /// Print JSON, one object a task
        #[arg(long)]
        json: bool,
    },
    /// Download a task's data from its publisher
    Fetch {
        /// Names from `trainer data list`, or all
        #[arg(required = true)]
        tasks: Vec<String>,
        /// Directory to put the data in
        #[arg(long, value_name = "DIR", default_value = "data")]
        data: PathBuf,
        /// Download from this address instead of the publishers': a mirror with
        /// the same file names
        #[arg(long, value_name = "URL")]
        mirror: Option<String>,
    },
    /// Compare a task's files with what was published
    Check {
        /// Names from `trainer data list`, or all
        #[arg(required = true)]
        tasks: Vec<String>,
        /// Directory that holds the data
        #[arg(long, value_name = "DIR", default_value = "data")]
        data: PathBuf,
    },
}

/// Arguments of `trainer base`.
#[derive(Debug, Clone, Args)]
pub struct BaseArgs {
    /// The base: minilm, a Hugging Face name such as bert-base-uncased, or a
    /// directory
    #[arg(default_value = "minilm")]
    pub base: String,
    /// Download it again, and replace the one that is there when the new one is
    /// complete and verified
    #[arg(long)]
    pub again: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
