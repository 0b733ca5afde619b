//! What can be wrong with a task's data, said in sentences.

use std::path::PathBuf;

use crate::tokenizer::error::TokenizerError;

/// Why data could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A published file is not where it should be.
    #[error(
        "{task} needs {path}, which is not there; fetch it with `trainer data fetch {task}`, or name the directory that holds {relative} with --data"
    )]
    MissingFile {
        /// The task.
        task: String,
        /// Where it was looked for.
        path: PathBuf,
        /// The path inside the data directory.
        relative: String,
    },
    /// A task whose files were published elsewhere, and no directory was named.
    #[error(
        "{task} is read from files: name the directory that holds {relative} with --data, or fetch them with `trainer data fetch {task}`"
    )]
    NoDirectory {
        /// The task.
        task: String,
        /// The path inside the data directory.
        relative: String,
    },
    /// Bytes that are no text.
    #[error("{path} line {line}: these bytes are not UTF-8{hint}; save the file as UTF-8")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What they look like, if that can be said.
        hint: &'static str,
    },
    /// A text in another encoding.
    #[error("{path} looks like {encoding}; save it as UTF-8")]
    Encoding {
        /// The file.
        path: PathBuf,
        /// The encoding.
        encoding: &'static str,
    },
    /// A byte that no text has.
    #[error("{path} line {line}: a NUL byte, which no text has; save the file as text again")]
    Nul {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// A quoted field that has no end.
    #[error(
        "{path} line {line}: the quote that opens here is never closed; close it, or double it where it is text"
    )]
    UnclosedQuote {
        /// The file.
        path: PathBuf,
        /// Line of the quote, counted from 1.
        line: usize,
    },
    /// A quoted field that has an end before its end.
    #[error(
        "{path} line {line}: text follows the closing quote of a field that opens on line {opened}; double quotes that are text"
    )]
    AfterQuote {
        /// The file.
        path: PathBuf,
        /// Line of the closing quote, counted from 1.
        line: usize,
        /// Line of the opening quote.
        opened: usize,
    },
    /// A column that cannot be meant alone.
    #[error(
        "{path} has the column `{column}` twice (columns {first} and {second}); rename one of them"
    )]
    ColumnTwice {
        /// The file.
        path: PathBuf,
        /// The column that was asked for.
        column: String,
        /// Its first place, counted from 1.
        first: usize,
        /// Its second place.
        second: usize,
    },
    /// A file without a line that names its columns.
    #[error("{path} is empty; expected a first line that names the columns")]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// A line of JSON that is no object, or has something else under a key.
    #[error("{path} line {line}: {reason}")]
    JsonLine {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong, and where in the line.
        reason: String,
    },
    /// An object without a key that was asked for.
    #[error("{path} line {line}: the key `{key}` is missing; the keys there are {found}")]
    MissingKey {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The key.
        key: String,
        /// Those that are there.
        found: String,
    },
    /// A row of another width.
    #[error("{path} line {line}: {found} columns, expected {expected} ({columns})")]
    Columns {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
        /// Their names.
        columns: String,
    },
    /// A published file whose columns are others, or in another order.
    #[error("{path} names the columns {found}; expected {expected}")]
    Header {
        /// The file.
        path: PathBuf,
        /// Its first line.
        found: String,
        /// The columns as they are published.
        expected: String,
    },
    /// A row to learn from without a label.
    #[error(
        "{path} line {line}: the label is empty; fill it in or take the row out (what has no label yet is for `predict`)"
    )]
    EmptyLabel {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// JSON that ends before it is whole.
    #[error("{path} was cut short; fetch it again")]
    CutShort {
        /// The file.
        path: PathBuf,
        /// Where and in the middle of what.
        source: serde_json::Error,
    },
    /// JSON of another layout.
    #[error("{path} has another layout than {expected}")]
    Json {
        /// The file.
        path: PathBuf,
        /// The layout.
        expected: &'static str,
        /// Where and what is wrong.
        source: serde_json::Error,
    },
    /// Questions that a prediction cannot tell apart.
    #[error("{path} has two questions of the id `{id}`; a prediction needs one id for each")]
    QuestionTwice {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
    },
    /// A SQuAD whose questions may have no answer.
    #[error("{path} is SQuAD {found}; expected v1.1, where every question has an answer")]
    SquadVersion {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// A file of SQuAD that is not where it should be.
    #[error(
        "squad needs {path}, which is not there; get {relative} from https://rajpurkar.github.io/SQuAD-explorer, and name the directory that holds squad with --data"
    )]
    MissingSquad {
        /// Where it was looked for.
        path: PathBuf,
        /// The path inside the data directory.
        relative: String,
    },
    /// Windows over a context that cannot be cut.
    #[error(
        "a row of {max_length} tokens has no room for a context: it needs more than the question's {max_question} and 3 special ones, and a stride of at least 1 (found {doc_stride})"
    )]
    Windows {
        /// Tokens of a row.
        max_length: usize,
        /// Tokens of a question, at most.
        max_question: usize,
        /// Tokens from window to window.
        doc_stride: usize,
    },
    /// A column that is not there.
    #[error("{path} has no column `{column}`; its columns are {found}{hint}")]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column that was asked for.
        column: String,
        /// Those that are there.
        found: String,
        /// What was meant, if that can be guessed.
        hint: String,
    },
    /// Labels that look like one and would be several classes.
    #[error("{path}: the labels {found}; write them alike, or each is a class of its own")]
    AlikeLabels {
        /// The file.
        path: PathBuf,
        /// The labels with their lines, and in what they differ.
        found: String,
    },
    /// A label that is not among the task's.
    #[error("{path} line {line}: the label `{found}` is none of {expected}{hint}")]
    UnknownLabel {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The label.
        found: String,
        /// The labels of the task.
        expected: String,
        /// The label that looks the same, if one does.
        hint: String,
    },
    /// A score that is no number.
    #[error("{path} line {line}: the score `{found}` is not a finite number{hint}")]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What stands there.
        found: String,
        /// How it is to be written, if that can be guessed.
        hint: &'static str,
    },
    /// A file without rows.
    #[error("{path} holds no rows")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Rows of which none can be spared for validation.
    #[error(
        "{path}: none of its {rows} rows can be held out for validation, since each is the only one to learn its class (or score) from; add rows, or name validation rows with --validation"
    )]
    NothingToHoldOut {
        /// The file.
        path: PathBuf,
        /// How many rows there are.
        rows: usize,
    },
    /// Labels that leave nothing to learn.
    #[error(
        "{path}: every row has the label `{label}`; a classification needs two or more (--score reads numbers)"
    )]
    OneClass {
        /// The file.
        path: PathBuf,
        /// The only label.
        label: String,
    },
    /// A published file that is cut short.
    #[error(
        "{path}: every row has the label `{label}`, expected {expected} classes; fetch the whole file as it was published"
    )]
    OneClassPublished {
        /// The file.
        path: PathBuf,
        /// The only label.
        label: String,
        /// How many there should be.
        expected: usize,
    },
    /// A folder whose name is not among the task's classes.
    #[error("{path} is no class of this task: expected folders of the names {expected}")]
    UnknownFolder {
        /// The folder.
        path: PathBuf,
        /// The classes of the task.
        expected: String,
    },
    /// A file of an unknown format.
    #[error("{path}: expected a file that ends in .tsv, .csv or .jsonl")]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// A task nobody knows.
    #[error("there is no task `{name}`; the tasks are {known}{hint}")]
    UnknownTask {
        /// What was asked for.
        name: String,
        /// The names of all.
        known: String,
        /// The nearest name, if one is near.
        hint: String,
    },
    /// Rows that the task does not have.
    #[error("{task} has no {split} rows; it has {known}")]
    NoSplit {
        /// The task.
        task: String,
        /// What was asked for.
        split: String,
        /// What there is.
        known: String,
    },
    /// A tokenizer that cannot be read.
    #[error("the tokenizer in {directory} cannot be used: {reason}")]
    Tokenizer {
        /// The base's directory.
        directory: PathBuf,
        /// Why.
        reason: TokenizerError,
    },
    /// A text that the tokenizer refuses.
    #[error("a text could not be tokenized: {reason}")]
    Tokenize {
        /// Why.
        reason: String,
    },
}
