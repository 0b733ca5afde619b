//! The arguments of `trainer adapter`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::exit::UsageError;
use crate::run_config::adapter_path;
use crate::run_config::limits;

/// Commands on adapter files.
#[derive(Debug, Subcommand)]
pub enum AdapterCommand {
    /// Show the method, sizes, labels, score and base of an adapter file
    Inspect {
        /// The adapter file, or the directory of its run
        #[arg(value_parser = adapter_path::parse)]
        adapter: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Average the weights of adapters with the same method, size and labels
    Average(AverageArgs),
    /// Import an adapter saved by Python's adapters (AdapterHub) or peft
    Import(ImportArgs),
    /// Export an adapter for Python's adapters, peft or transformers
    Export(ExportArgs),
    /// Import a checkpoint of the paper's code (google-research/adapter-bert)
    ImportTensorflow(ImportTensorflowArgs),
}

/// Arguments of `trainer adapter average`.
#[derive(Debug, Clone, Args)]
pub struct AverageArgs {
    /// Adapter files with the same method, size, labels and base
    #[arg(required = true, num_args = 2.., value_parser = adapter_path::parse)]
    pub adapters: Vec<PathBuf>,
    /// Weight of each in the mean, separated by commas [default: all equal]
    #[arg(long, value_name = "WEIGHTS", value_delimiter = ',')]
    pub weights: Vec<f64>,
    /// The base they were trained on [default: as named in the first file]
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// The adapter file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// The format of a directory to import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DirectoryFormat {
    /// `save_adapter` and `load_adapter` of the package `adapters`
    AdapterHub,
    /// `save_pretrained` and `from_pretrained` of the package `peft`
    Peft,
}

/// Arguments of `trainer adapter import`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  trainer adapter import saved/sst-2 --base minilm --out my.safetensors
  trainer adapter import lora-out --base bert-base-uncased \\
    --labels negative,positive --out sst2.safetensors")]
pub struct ImportArgs {
    /// The directory, which contains adapter_config.json
    pub directory: PathBuf,
    /// The package that saved it [default: peft if the directory has an
    /// adapter_model file, otherwise adapter-hub]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<DirectoryFormat>,
    /// Names of the labels, in the order of the head's outputs [default: as in
    /// the directory]
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub labels: Vec<String>,
    /// A text may have several of the labels [default: as in the directory, or
    /// the problem_type of the base for peft]
    #[arg(long)]
    pub multi_label: bool,
    /// Name of the task [default: the adapter's name in the directory]
    #[arg(long, value_name = "NAME")]
    pub task: Option<String>,
    /// Base, lengths and file of the adapter.
    #[command(flatten)]
    pub target: ImportTargetArgs,
}

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A directory for `load_adapter` of the package `adapters`
    AdapterHub,
    /// A directory for `from_pretrained` of the package `peft`
    Peft,
    /// A checkpoint for transformers, with the adapter merged into the weights:
    /// LoRA, DoRA, (IA)³, LayerNorms, full, top-K
    Merged,
}

/// Arguments of `trainer adapter export`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
In Python, for adapter-hub:
  model = AutoAdapterModel.from_pretrained(BASE)
  model.load_adapter(DIR)
For peft:
  model = BertForSequenceClassification.from_pretrained(BASE, num_labels=N)
  model = PeftModel.from_pretrained(model, DIR)
For merged:
  model = AutoModelForSequenceClassification.from_pretrained(DIR)

Examples:
  trainer adapter export cola.safetensors --format adapter-hub --out cola
  trainer adapter export cola.safetensors --format peft --out cola-lora
  trainer adapter export cola.safetensors --format merged --out cola-bert")]
pub struct ExportArgs {
    /// The adapter file, or the directory of its run
    #[arg(value_parser = adapter_path::parse)]
    pub adapter: PathBuf,
    /// The package to export for
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: ExportFormat,
    /// The base it was trained on [default: as named in the file]
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// Name of the adapter in the directory, for adapter-hub [default: the
    /// task]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Also write trained LayerNorms, for adapter-hub: loading the adapter then
    /// overwrites those of the base
    #[arg(long)]
    pub with_layer_norms: bool,
    /// The directory to write
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

impl ExportArgs {
    /// Checks that the format supports the flags.
    ///
    /// # Errors
    /// A [`UsageError`] that names both.
    pub fn check(&self) -> anyhow::Result<()> {
        let for_adapter_hub =
            [("--name", self.name.is_some()), ("--with-layer-norms", self.with_layer_norms)];
        for (flag, is_given) in for_adapter_hub {
            if is_given && self.format != ExportFormat::AdapterHub {
                return Err(UsageError::new(format!(
                    "{flag} has no effect with this --format; it is only for --format adapter-hub"
                )));
            }
        }
        Ok(())
    }
}

/// Arguments of `trainer adapter import-tensorflow`.
#[derive(Debug, Clone, Args)]
#[command(override_usage = "\
trainer adapter import-tensorflow [OPTIONS] --base <BASE> --task <NAME>
           --labels <LABELS> --out <FILE> <CHECKPOINT>")]
#[command(after_help = "\
Examples:
  trainer adapter import-tensorflow out/model.ckpt-5000 \\
    --base uncased_L-12_H-768_A-12 --task mrpc \\
    --labels not_equivalent,equivalent --out mrpc.safetensors")]
pub struct ImportTensorflowArgs {
    /// The checkpoint without its extension: out/model.ckpt-5000 for
    /// out/model.ckpt-5000.index
    pub checkpoint: PathBuf,
    /// Name of the task
    #[arg(long, value_name = "NAME")]
    pub task: String,
    /// The labels, in the order of the code's get_labels(); none for regression
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub labels: Vec<String>,
    /// Base, lengths and file of the adapter.
    #[command(flatten)]
    pub target: ImportTargetArgs,
}

/// The base, lengths and file of an imported adapter.
#[derive(Debug, Clone, Args)]
pub struct ImportTargetArgs {
    /// The base it was trained on: a Hugging Face name, or a directory with its
    /// files or Google's checkpoint
    #[arg(long, value_name = "BASE")]
    pub base: String,
    /// Maximum length of a text in tokens; longer texts are truncated [default:
    /// 128, or fewer if the base has fewer positions]
    #[arg(
        long,
        value_name = "TOKENS",
        allow_negative_numbers = true,
        value_parser = limits::MAX_LENGTH
    )]
    pub max_length: Option<usize>,
    /// The adapter file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}
