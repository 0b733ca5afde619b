//! The arguments of the commands that run a trained adapter.

use std::path::PathBuf;

use burn_bert::Precision;
use clap::Args;
use glue_data::tagging::{TagColumns, is_conll};

use crate::exit::UsageError;
use crate::inference::predictor::InferenceOptions;
use crate::run_config::adapter_path;
use crate::run_config::limits;

/// The flags of the texts to predict, which those of a submission replace.
const TEXTS: [&str; 6] = ["input", "text", "text2", "pairs", "tokens", "json"];
/// The flags of a user's own rows, which those of a published task replace.
const OWN_ROWS: [&str; 10] = [
    "input",
    "text",
    "text2",
    "label",
    "label_separator",
    "labels",
    "tokens",
    "tags",
    "entities",
    "skip_misaligned",
];
/// The flags of files that have texts and not words.
const NOT_OF_WORDS: [&str; 7] =
    ["text", "text2", "label", "label_separator", "labels", "entities", "skip_misaligned"];

/// Arguments of `trainer evaluate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  trainer evaluate runs/helpdesk/houlsby-64-seed42/adapter.safetensors
  trainer evaluate cola.safetensors --data data --split validation --json
  trainer evaluate mails.safetensors --input new.csv --text body --label team
  trainer evaluate entities.safetensors --input new.conll --strict
  trainer evaluate cola.safetensors --data data --drop-layers each")]
pub struct EvaluateArgs {
    /// The adapter file, or the directory of its run
    #[arg(value_parser = adapter_path::parse)]
    pub adapter: PathBuf,
    /// The rows to evaluate on.
    #[command(flatten)]
    pub rows: LabeledRowsArgs,
    /// Count only entities that are complete in their scheme, as seqeval's
    /// strict mode, for an adapter that labels words
    #[arg(long)]
    pub strict: bool,
    /// Adapters below it, and layers without it.
    #[command(flatten)]
    pub compose: ComposeArgs,
    /// Base, device and batches.
    #[command(flatten)]
    pub inference: InferenceArgs,
}

/// Arguments of `trainer predict`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
One line is printed per text, in input order: label, probability and text (for
regression, score and text; for pairs, both texts), separated by tabs; with
--json, one object. Tabs, newlines and backslashes in a text are printed as \\t,
\\n and \\\\. A blank text has no label: its line is empty; with --json, its
label is null.

An adapter that labels words prints texts with their entities on a terminal, and
otherwise a word and its tag on each line, with an empty line after each text;
with --json, one object with the entities and their positions in characters.

Examples:
  echo 'The projector stays dark' | trainer predict helpdesk.safetensors
  trainer predict mails.safetensors --input new.csv --text body --json
  trainer predict entities.safetensors --input texts.txt --json
  trainer predict rte.safetensors --input pairs.txt --pairs
  trainer predict cola.safetensors --data data --submission out/")]
pub struct PredictArgs {
    /// The adapter file, or the directory of its run
    #[arg(value_parser = adapter_path::parse)]
    pub adapter: PathBuf,
    /// Texts: a .tsv, .csv or .jsonl file with --text COL, or any other file
    /// with one text per line; - is standard input, and with --text COL that of
    /// a .csv file [default: -]
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Column of the words, by number from 1 or by name, or the key of the list
    /// in JSON, for an adapter that labels words [default: the first column of
    /// a .conll, .bio or .iob file]
    #[arg(
        long,
        value_name = "COL",
        requires = "input",
        conflicts_with_all = ["text", "text2", "pairs"]
    )]
    pub tokens: Option<String>,
    /// Each line has the two texts of a pair, separated by a tab [default: if
    /// the adapter was trained on pairs]
    #[arg(long, conflicts_with_all = ["text", "text2"])]
    pub pairs: bool,
    /// Columns of the input.
    #[command(flatten)]
    pub columns: ColumnArgs,
    /// Write GLUE's submission files for the adapter's task into this
    /// directory
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = TEXTS
    )]
    pub submission: Option<PathBuf>,
    /// The GLUE task of the submission; labels are matched by name [default:
    /// the task of the adapter]
    #[arg(
        long,
        value_name = "NAME",
        requires = "submission",
        conflicts_with_all = TEXTS
    )]
    pub task: Option<String>,
    /// Directory with the published files of the adapter's task, for
    /// --submission
    #[arg(
        long,
        value_name = "DIR",
        requires = "submission",
        conflicts_with_all = TEXTS
    )]
    pub data: Option<PathBuf>,
    /// Adapters below it, and layers without it.
    #[command(flatten)]
    pub compose: ComposeArgs,
    /// Base, device and batches.
    #[command(flatten)]
    pub inference: InferenceArgs,
}

/// Arguments of `trainer ablate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Nothing is retrained, as in figure 6 (left) of the paper. The heat map is
printed, and saved next to the adapter file.

Examples:
  trainer ablate runs/cola/houlsby-64-seed42/adapter.safetensors --data data
  trainer ablate mails.safetensors --input new.csv --text body --label team")]
pub struct AblateArgs {
    /// The adapter file, or the directory of its run
    #[arg(value_parser = adapter_path::parse)]
    pub adapter: PathBuf,
    /// The rows to evaluate on.
    #[command(flatten)]
    pub rows: LabeledRowsArgs,
    /// Use only the first rows, at most this many
    #[arg(
        long,
        value_name = "ROWS",
        allow_negative_numbers = true,
        value_parser = limits::LIMIT
    )]
    pub limit: Option<usize>,
    /// Directory for ablation.json and ablation.svg [default: the directory
    /// of the adapter file]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Base, device and batches.
    #[command(flatten)]
    pub inference: InferenceArgs,
}

/// Labeled rows: a split of a published task, or your own file.
#[derive(Debug, Clone, Args)]
pub struct LabeledRowsArgs {
    /// Directory with the published files of the adapter's task
    #[arg(long, value_name = "DIR", conflicts_with_all = OWN_ROWS)]
    pub data: Option<PathBuf>,
    /// The published task whose rows are used; labels are matched by name
    /// [default: the task of the adapter]
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = OWN_ROWS
    )]
    pub task: Option<String>,
    /// Split of the published task: train, validation,
    /// validation-mismatched or test
    #[arg(
        long,
        value_name = "SPLIT",
        default_value = "validation",
        conflicts_with_all = OWN_ROWS
    )]
    pub split: String,
    /// Your own labeled rows: a .csv, .tsv or .jsonl file with --text and
    /// --label; for an adapter that labels words a .conll, .bio, .iob or .jsonl
    /// file
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Columns of the input.
    #[command(flatten)]
    pub columns: ColumnArgs,
    /// Column of the label; in a .jsonl file it may be a list of labels
    #[arg(long, value_name = "COL", requires = "input")]
    pub label: Option<String>,
    /// A row has any number of labels, with this text between them in the
    /// column of --label; an empty field is a row without labels
    #[arg(long, value_name = "TEXT", requires = "label")]
    pub label_separator: Option<String>,
    /// A row has any number of labels, in columns of 0 and 1 with their names,
    /// separated by commas, instead of --label
    #[arg(
        long,
        value_name = "COLS",
        value_delimiter = ',',
        requires = "input",
        conflicts_with_all = ["label", "label_separator"]
    )]
    pub labels: Vec<String>,
    /// Columns of words with tags.
    #[command(flatten)]
    pub words: TagArgs,
}

impl LabeledRowsArgs {
    /// Checks that the columns are different ones, and that those of the labels are named.
    ///
    /// # Errors
    /// A [`UsageError`].
    pub fn check(&self) -> anyhow::Result<()> {
        let has_words = self.input.as_deref().is_some_and(is_conll)
            || self.words.tokens.is_some()
            || self.words.tags.is_some()
            || self.words.entities.is_some();
        if self.input.is_some() && self.columns.text.is_none() && !has_words {
            return Err(UsageError::new("--input needs the column of the text with --text COL"));
        }
        if self.input.is_some() && self.label.is_none() && self.labels.is_empty() && !has_words {
            return Err(UsageError::new(
                "--input needs the column of the label with --label COL, or the columns of the labels with --labels",
            ));
        }
        if self.label_separator.as_ref().is_some_and(|separator| separator.trim().is_empty()) {
            return Err(UsageError::new(
                "the --label-separator is empty or white space; expected a text such as ;",
            ));
        }
        let labels: Vec<&str> = self.label.iter().chain(&self.labels).map(String::as_str).collect();
        self.columns.check(&labels)
    }
}

/// Columns or keys of a file of texts whose words have tags.
#[derive(Debug, Clone, Args)]
pub struct TagArgs {
    /// Column of the words, by number from 1 or by name, or the key of the
    /// list in JSON [default: the first column; tokens]
    #[arg(
        long,
        value_name = "COL",
        requires = "input",
        conflicts_with_all = NOT_OF_WORDS
    )]
    pub tokens: Option<String>,
    /// Column or key of the tags of the words [default: the last column; tags]
    #[arg(
        long,
        value_name = "COL",
        requires = "input",
        conflicts_with_all = NOT_OF_WORDS
    )]
    pub tags: Option<String>,
    /// Key of the list of spans of characters in JSON; --text names the key of
    /// the text [default: text]
    #[arg(
        long,
        value_name = "KEY",
        requires = "input",
        conflicts_with_all = ["text2", "label", "label_separator", "labels"]
    )]
    pub entities: Option<String>,
    /// Leave out spans that begin or end inside of a word, and count them
    #[arg(long, requires = "entities", conflicts_with_all = ["text2", "label", "label_separator", "labels"])]
    pub skip_misaligned: bool,
}

impl TagArgs {
    /// The columns, where `text` is the key of the text.
    pub fn columns(&self, text: Option<&String>) -> TagColumns {
        TagColumns {
            tokens: self.tokens.clone(),
            tags: self.tags.clone(),
            text: text.cloned(),
            entities: self.entities.clone(),
            skip_misaligned: self.skip_misaligned,
        }
    }
}

/// Adapters below a trained adapter, and layers without it.
#[derive(Debug, Clone, Args)]
pub struct ComposeArgs {
    /// Stack the adapter on another adapter of the same base, which is applied
    /// first in each layer; classifier and LayerNorms are those of the adapter
    #[arg(long, value_name = "ADAPTER", value_parser = adapter_path::parse)]
    pub stack_on: Option<PathBuf>,
    /// Do not run the adapter in these layers, such as 0..3 (0 to 2), as in
    /// AdapterDrop. For `evaluate` also `each`: a table of score and time
    /// without the adapter in the lowest 0, 1, 2 … layers
    #[arg(long, value_name = "RANGE")]
    pub drop_layers: Option<String>,
}

/// Columns of an input file.
#[derive(Debug, Clone, Args)]
pub struct ColumnArgs {
    /// Column of the text
    #[arg(long, value_name = "COL", requires = "input")]
    pub text: Option<String>,
    /// Column of the second text, for pairs of texts
    #[arg(long, value_name = "COL", requires = "text")]
    pub text2: Option<String>,
}

impl ColumnArgs {
    /// Checks that the columns are different ones; `labels` are those of the labels.
    ///
    /// # Errors
    /// A [`UsageError`] for a column that is named twice.
    pub fn check(&self, labels: &[&str]) -> anyhow::Result<()> {
        let texts = self.text.iter().chain(&self.text2).map(String::as_str);
        let columns: Vec<&str> = texts.chain(labels.iter().copied()).collect();
        limits::distinct_columns(&columns).map_err(UsageError::new)
    }
}

/// Base, device and batches of a trained adapter.
#[derive(Debug, Clone, Args)]
pub struct InferenceArgs {
    /// The base the adapter was trained on [default: as named in the adapter
    /// file]
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// Device: auto, cpu, wgpu or cuda, with an index as in cuda:1
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Rows per batch
    #[arg(
        long,
        value_name = "ROWS",
        default_value_t = 32,
        allow_negative_numbers = true,
        value_parser = limits::BATCH_SIZE
    )]
    pub batch_size: usize,
    /// Precision of the base's weight matrices: f32, bf16 or f16
    #[arg(long, value_name = "NAME", default_value = "f32")]
    pub precision: Precision,
    /// Print JSON, one object per line
    #[arg(long)]
    pub json: bool,
}

impl InferenceArgs {
    /// The options of the predictor.
    pub fn options(&self) -> InferenceOptions {
        InferenceOptions {
            base: self.base.clone(),
            device: self.device.clone(),
            batch_size: self.batch_size,
            precision: self.precision,
        }
    }
}
