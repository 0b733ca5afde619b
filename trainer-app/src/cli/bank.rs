//! The arguments of `trainer bank` and `trainer serve`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::exit::UsageError;
use crate::run_config::limits;

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
    /// Add adapter files, each under the name of its task; all or none
    Add {
        /// The bank
        bank: PathBuf,
        /// Adapter files or directories of runs; if several are for one task, the one with the best score
        /// is added. NAME=FILE adds a file under another name
        #[arg(required = true, value_name = "[NAME=]FILE")]
        adapters: Vec<PathBuf>,
        /// Name of the task, for a single adapter file
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Remove tasks
    Remove {
        /// The bank
        bank: PathBuf,
        /// Names of the tasks
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
        /// Print JSON, one object per task
        #[arg(long)]
        json: bool,
    },
    /// Check that every adapter computes the same as when it was saved
    Verify {
        /// The bank
        bank: PathBuf,
        /// The base [default: as named in the bank]
        #[arg(long, value_name = "BASE")]
        base: Option<String>,
        /// Device: auto, cpu, wgpu or cuda, with an index as in cuda:1
        #[arg(long, value_name = "DEVICE", default_value = "auto")]
        device: String,
        /// Print JSON, one object per task
        #[arg(long)]
        json: bool,
    },
}

impl BankCommand {
    /// Checks that the flags can be combined.
    ///
    /// # Errors
    /// A [`UsageError`] that names them.
    pub fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::Add { adapters, name: Some(_), .. } if adapters.len() > 1 => {
                Err(UsageError::new(format!(
                    "--name is for a single adapter, and {} are given; use NAME=FILE for each",
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

Endpoints: POST /v1/predict, GET /v1/tasks, /healthz, /metrics, and a page to
try texts at /. Changes of the bank take effect without a restart. Ctrl-C shuts
the server down after the pending requests are answered (exit code 0); a second
Ctrl-C ends it immediately (130).")]
pub struct ServeArgs {
    /// The bank to serve
    #[arg(long, value_name = "FILE")]
    pub bank: PathBuf,
    /// The base [default: as named in the bank]
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// Device: auto, cpu, wgpu or cuda, with an index as in cuda:1
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Address and port to listen on; an address that other machines can reach
    /// requires --token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Token that requests must send as `Authorization: Bearer TOKEN`
    #[arg(long, value_name = "TOKEN", value_parser = limits::token)]
    pub token: Option<String>,
    /// An additional host name to accept in the headers `Host` and `Origin`
    ///
    /// Without it only localhost and the address of --listen are accepted, which
    /// protects against DNS rebinding. May be given several times.
    #[arg(long, value_name = "NAME", value_parser = limits::host_name)]
    pub allow_host: Vec<String>,
    /// Maximum number of queued texts; further requests get status 429
    #[arg(long, value_name = "TEXTS", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub queue: u32,
    /// Maximum number of connections; idle ones are closed for new ones
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub connections: u32,
    /// Time limit for a client to send the head and the body of a request, and
    /// between two requests
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub timeout: u32,
}
