//! What the commands take that look for devices, data and bases.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `trainer devices`.
#[derive(Debug, Clone, Args)]
pub struct DevicesArgs {
    /// JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Jobs on the tasks' data.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// The tasks, their labels, sizes and metrics
    List {
        /// JSON on standard output
        #[arg(long)]
        json: bool,
    },
    /// Download a task's data from its publisher
    Fetch {
        /// Tasks, as in `trainer data list`; `all` for every one
        #[arg(required = true)]
        tasks: Vec<String>,
        /// Directory to put the data in
        #[arg(long, value_name = "DIR", default_value = "data")]
        data: PathBuf,
        /// Download from this address instead of the publishers': a mirror with the same file names
        #[arg(long, value_name = "URL")]
        mirror: Option<String>,
    },
    /// Read a task's files and compare them with what was published
    Check {
        /// Tasks, as in `trainer data list`; `all` for every one
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
    /// `minilm`, a hub name, or a directory
    #[arg(default_value = "minilm")]
    pub base: String,
    /// Fetch it even if it is there, and replace that when the new one is whole and verified
    #[arg(long)]
    pub again: bool,
    /// JSON on standard output
    #[arg(long)]
    pub json: bool,
}
