//! What `trainer bank` and `trainer serve` take.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::exit::UsageError;

/// The commands of `trainer bank`.
#[derive(Debug, Clone, Subcommand)]
#[command(after_help = "\
Examples:
  trainer bank create tasks.bank --base minilm
  trainer bank add tasks.bank runs/*/*/adapter.safetensors
  trainer bank add tasks.bank small=runs/cola/small/adapter.safetensors
  trainer serve --bank tasks.bank")]
pub enum BankCommand {
    /// Create an empty bank for a base
    Create {
        /// The bank to create
        bank: PathBuf,
        /// The base of its adapters: minilm, a Hugging Face name, or a directory
        #[arg(long, value_name = "BASE", default_value = "minilm")]
        base: String,
    },
    /// Add adapter files, each under the name of its task: all of them, or none
    Add {
        /// The bank
        bank: PathBuf,
        /// Adapter files; of several for one task the one with the best score is
        /// added. NAME=FILE gives one another name
        #[arg(required = true, value_name = "[NAME=]FILE")]
        adapters: Vec<PathBuf>,
        /// Another name for the task of a single adapter
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Remove tasks
    Remove {
        /// The bank
        bank: PathBuf,
        /// Their names
        #[arg(required = true)]
        tasks: Vec<String>,
    },
    /// Free the space of removed tasks
    Compact {
        /// The bank
        bank: PathBuf,
    },
    /// List the tasks of a bank and their sizes
    List {
        /// The bank
        bank: PathBuf,
        /// Print JSON, one object a task
        #[arg(long)]
        json: bool,
    },
    /// Check that every adapter computes what it did when it was saved
    Verify {
        /// The bank
        bank: PathBuf,
        /// The base [default: the one named in the bank]
        #[arg(long, value_name = "BASE")]
        base: Option<String>,
        /// Where to compute: auto, cpu, wgpu or cuda, with an index as in cuda:1
        #[arg(long, value_name = "DEVICE", default_value = "auto")]
        device: String,
        /// Print JSON, one object a task
        #[arg(long)]
        json: bool,
    },
}

impl BankCommand {
    /// Refuses flags that do not go together.
    ///
    /// # Errors
    /// A [`UsageError`] that names them.
    pub fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::Add { adapters, name: Some(_), .. } if adapters.len() > 1 => {
                Err(UsageError::new(format!(
                    "--name is for one adapter, and {} are given; give each its name with NAME=FILE",
                    adapters.len()
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Arguments of `trainer serve`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  trainer serve --bank tasks.bank
  curl localhost:8080/v1/predict -d \\
    '{\"inputs\": [{\"task\": \"cola\", \"text\": \"They slept.\"}]}'

Paths: POST /v1/predict, GET /v1/tasks, /healthz, /metrics, and a page to try
texts at /. Adapters that are added to the bank while it is served are served
too, without a restart. Ctrl-C ends the server when it has answered the requests
that it has.")]
pub struct ServeArgs {
    /// The bank
    #[arg(long, value_name = "FILE")]
    pub bank: PathBuf,
    /// The base [default: the one named in the bank]
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// Where to compute: auto, cpu, wgpu or cuda, with an index as in cuda:1
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Address or name, and port; another than this machine's own needs a --token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// What requests have to show as `Authorization: Bearer TOKEN`
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// A further name that the server is reached by, as in `Host` and `Origin`
    ///
    /// AblatedLayers it those are localhost and the address that it listens on: another name may be a site that lets its
    /// visitors' browsers ask this machine. May be given several times.
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,
    /// How many texts may wait; requests beyond that are answered with 429
    #[arg(long, value_name = "TEXTS", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub queue: u32,
    /// How many connections there may be; idle ones are closed for new ones
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub connections: u32,
    /// How long a client may take for the head of a request, for its body, and between two requests
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub timeout: u32,
}
