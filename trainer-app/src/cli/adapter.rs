//! What the commands take that look into adapter files and change them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::exit::UsageError;
use crate::limits;

/// Commands on adapter files.
#[derive(Debug, Subcommand)]
pub enum AdapterCommand {
    /// Show what an adapter file holds: method, sizes, labels, score, base
    Inspect {
        /// The adapter file
        adapter: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Average the weights of adapters of one method, size and set of labels
    Average(AverageArgs),
    /// Read an adapter that Python's adapters (AdapterHub) or peft has saved
    Import(ImportArgs),
    /// Write an adapter for Python: adapters, peft, or transformers alone
    Export(ExportArgs),
    /// Read a checkpoint of the paper's code (google-research/adapter-bert)
    ImportTensorflow(ImportTensorflowArgs),
}

/// Arguments of `trainer adapter average`.
#[derive(Debug, Clone, Args)]
pub struct AverageArgs {
    /// Adapter files of one method, size and set of labels, on one base
    #[arg(required = true, num_args = 2..)]
    pub adapters: Vec<PathBuf>,
    /// Weight of each in the mean, with commas between [default: all equal]
    #[arg(long, value_name = "WEIGHTS", value_delimiter = ',')]
    pub weights: Vec<f64>,
    /// The base they were trained on [default: the one named in the first
    /// file]
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// The adapter file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Whose directories are read and written.
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
    /// The directory, with adapter_config.json in it
    pub directory: PathBuf,
    /// The package that saved it [default: peft where there is an
    /// adapter_model file, else adapter-hub]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<DirectoryFormat>,
    /// The base it was trained on
    #[arg(long, value_name = "BASE")]
    pub base: String,
    /// Names of the labels, in the order of the head's outputs [default: those that the directory tells]
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub labels: Vec<String>,
    /// Name of the task [default: the adapter's name in the directory]
    #[arg(long, value_name = "NAME")]
    pub task: Option<String>,
    /// Longest text in tokens; longer ones are cut [default: 128, or what the
    /// base reads]
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

/// For whom an adapter is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A directory for `load_adapter` of the package `adapters`
    AdapterHub,
    /// A directory for `from_pretrained` of the package `peft`
    Peft,
    /// A checkpoint for transformers alone, with the adapter merged into the
    /// weights: LoRA, (IA)³, LayerNorms, full
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
    /// The adapter file
    pub adapter: PathBuf,
    /// What is to load it
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: ExportFormat,
    /// The base it was trained on [default: the one named in the file]
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// The adapter's name in the directory, for adapter-hub [default: the
    /// task's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Write trained LayerNorms too, for adapter-hub: loading the adapter then
    /// overwrites those of the base
    #[arg(long)]
    pub with_layer_norms: bool,
    /// The directory to write
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

impl ExportArgs {
    /// Refuses flags that the format has no place for.
    ///
    /// # Errors
    /// A [`UsageError`] that names both.
    pub fn check(&self) -> anyhow::Result<()> {
        let for_adapter_hub =
            [("--name", self.name.is_some()), ("--with-layer-norms", self.with_layer_norms)];
        for (flag, is_given) in for_adapter_hub {
            if is_given && self.format != ExportFormat::AdapterHub {
                return Err(UsageError::new(format!(
                    "{flag} has no effect with this --format: it is for --format adapter-hub alone"
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
    /// The checkpoint as TensorFlow names it: out/model.ckpt-5000 for
    /// out/model.ckpt-5000.index
    pub checkpoint: PathBuf,
    /// The base it was trained on: a Hugging Face name, or a directory with its
    /// files or Google's checkpoint
    #[arg(long, value_name = "BASE")]
    pub base: String,
    /// Name of the task
    #[arg(long, value_name = "NAME")]
    pub task: String,
    /// The classes, in the order of the code's get_labels(); none for a score
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub labels: Vec<String>,
    /// Longest text in tokens [default: 128, or what the base reads]
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
