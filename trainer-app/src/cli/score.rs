//! The arguments of `trainer score`.

use std::path::PathBuf;

use clap::Args;
use glue_data::tagging::TagColumns;

/// Arguments of `trainer score`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
What is compared follows from the files:
  entities   CoNLL files with a tag for each word, or JSON with spans, as
             `predict --json` prints; scores as by seqeval
  answers    a SQuAD file (.json) and {id: answer}, as the official script
  labels     a table with --label, and what `predict --json` printed
With --task, the gold file is one of a published task, and the predictions are
a submission file for GLUE or what `predict --json` printed.

Examples:
  trainer score --gold test.conll --predictions out.conll
  trainer score --predictions gold-and-predicted.conll --strict
  trainer score --gold dev-v1.1.json --predictions predictions.json
  trainer score --task rte --gold RTE/dev.tsv --predictions out/RTE.tsv
  trainer score --gold new.csv --label team --predictions out.jsonl --json")]
pub struct ScoreArgs {
    /// The file with the right answers [default: the predictions, whose last
    /// two columns are the tag and the predicted tag]
    #[arg(long, value_name = "FILE")]
    pub gold: Option<PathBuf>,
    /// The file with the predictions, for each row of the gold file, in its order
    #[arg(long, value_name = "FILE")]
    pub predictions: PathBuf,
    /// The published task whose file the gold file is
    #[arg(long, value_name = "NAME", requires = "gold")]
    pub task: Option<String>,
    /// Column of the label in the gold file; in JSON Lines also with a list of
    /// labels
    #[arg(
        long,
        value_name = "COL",
        requires = "gold",
        conflicts_with_all = ["task", "tokens", "tags", "predicted_tags", "strict"]
    )]
    pub label: Option<String>,
    /// The label column has any number of labels, with this text between them
    #[arg(
        long,
        value_name = "TEXT",
        requires = "label",
        conflicts_with_all = ["task", "tokens", "tags", "predicted_tags", "strict"]
    )]
    pub label_separator: Option<String>,
    /// Column of the words, by its number from 1 or its name
    #[arg(long, value_name = "COL", conflicts_with = "task")]
    pub tokens: Option<String>,
    /// Column of the tags in the gold file [default: the last]
    #[arg(long, value_name = "COL", conflicts_with = "task")]
    pub tags: Option<String>,
    /// Column of the tags in the predictions [default: the last]
    #[arg(long, value_name = "COL", conflicts_with = "task")]
    pub predicted_tags: Option<String>,
    /// Count only entities that are complete in the scheme of the gold file, as
    /// seqeval's strict mode
    #[arg(long, conflicts_with = "task")]
    pub strict: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl ScoreArgs {
    /// The columns of the gold file.
    pub fn gold_columns(&self) -> TagColumns {
        TagColumns { tokens: self.tokens.clone(), tags: self.tags.clone(), ..TagColumns::default() }
    }

    /// The columns of the predictions.
    pub fn predicted_columns(&self) -> TagColumns {
        let (tokens, tags) = (self.tokens.clone(), self.predicted_tags.clone());
        TagColumns { tokens, tags, ..TagColumns::default() }
    }
}
