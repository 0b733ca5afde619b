//! Errors of data: files, labels, published tasks, SQuAD and tokenizers.

use std::path::PathBuf;

use crate::tagging::TaggingError;
use crate::tokenizer::error::TokenizerError;

/// Data cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file has no rows.
    #[error("{path} holds no rows")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The text of a file cannot be decoded.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A file of rows is malformed.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The labels of a file cannot be used.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// A published task or its files cannot be used.
    #[error(transparent)]
    Published(#[from] PublishedError),
    /// A file of tagged words cannot be used.
    #[error(transparent)]
    Tagging(#[from] TaggingError),
    /// A file of SQuAD, or its predictions, cannot be used.
    #[error(transparent)]
    Squad(#[from] SquadError),
    /// The tokenizer of a base cannot be used.
    #[error("the tokenizer in {directory} cannot be used: {reason}")]
    Tokenizer {
        /// The base's directory.
        directory: PathBuf,
        /// The reason.
        reason: TokenizerError,
    },
    /// A text cannot be tokenized.
    #[error("a text could not be tokenized: {reason}")]
    Tokenize {
        /// The reason.
        reason: String,
    },
}

/// The text of a file cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// A device or a pipe, which may have no end.
    #[error("{path} is not a regular file; save its rows in one")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Bytes are not UTF-8.
    #[error("{path} line {line}: these bytes are not UTF-8{hint}; save the file as UTF-8")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The probable encoding, if there is one.
        hint: &'static str,
    },
    /// The text has another encoding.
    #[error("{path} looks like {encoding}; save it as UTF-8")]
    Encoding {
        /// The file.
        path: PathBuf,
        /// The encoding.
        encoding: &'static str,
    },
    /// The text contains a NUL byte.
    #[error("{path} line {line}: a NUL byte, which no text has; save the file as text again")]
    Nul {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// A line is longer than any text.
    #[error(
        "{path} line {line}: a line of more than {at_most} bytes; split it, or check that its lines end with \\n"
    )]
    LongLine {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// Maximum bytes of a line.
        at_most: usize,
    },
}

/// A file of rows is malformed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A quoted field is not closed.
    #[error(
        "{path} line {line}: the quote that opens here is never closed; close it, or double it where it is text"
    )]
    UnclosedQuote {
        /// The file.
        path: PathBuf,
        /// The line of the quote, counted from 1.
        line: usize,
    },
    /// Text follows the closing quote of a field.
    #[error(
        "{path} line {line}: text follows the closing quote of a field that opens on line {opened}; double quotes that are text"
    )]
    AfterQuote {
        /// The file.
        path: PathBuf,
        /// The line of the closing quote, counted from 1.
        line: usize,
        /// The line of the opening quote.
        opened: usize,
    },
    /// A column occurs twice.
    #[error(
        "{path} has the column `{column}` twice (columns {first} and {second}); rename one of them"
    )]
    ColumnTwice {
        /// The file.
        path: PathBuf,
        /// The requested column.
        column: String,
        /// Its first index, counted from 1.
        first: usize,
        /// Its second index, counted from 1.
        second: usize,
    },
    /// The file has no header.
    #[error("{path} is empty; expected a first line that names the columns")]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// A line of JSON is not an object, or a value has another type.
    #[error("{path} line {line}: {reason}")]
    JsonLine {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The reason, with the column.
        reason: String,
    },
    /// An object does not have a requested key.
    #[error("{path} line {line}: the key `{key}` is missing; the keys there are {found}")]
    MissingKey {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The key.
        key: String,
        /// The existing ones.
        found: String,
    },
    /// A row has another number of columns.
    #[error("{path} line {line}: {found} columns, expected {expected} ({columns})")]
    Columns {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The number of columns.
        found: usize,
        /// The expected number.
        expected: usize,
        /// The names of the columns.
        columns: String,
    },
    /// There are not as many predictions as rows.
    #[error(
        "{path} has {predictions} predictions for {rows} rows; expected one for each, in order"
    )]
    Predictions {
        /// The file of predictions.
        path: PathBuf,
        /// How many it has.
        predictions: usize,
        /// The number of rows.
        rows: usize,
    },
    /// A requested column does not exist.
    #[error("{path} has no column `{column}`; its columns are {found}{hint}")]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The requested column.
        column: String,
        /// The existing ones.
        found: String,
        /// A suggestion, if there is one.
        hint: String,
    },
    /// The extension of the file is unknown.
    #[error("{path}: expected a file that ends in .tsv, .csv or .jsonl")]
    Format {
        /// The file.
        path: PathBuf,
    },
}

/// The labels of a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// A row has no label.
    #[error(
        "{path} line {line}: the label is empty; fill it in or take the row out (what has no label yet is for `predict`)"
    )]
    Empty {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// Labels look alike, and would be several classes.
    #[error("{path}: the labels {found}; write them alike, or each is a class of its own")]
    Alike {
        /// The file.
        path: PathBuf,
        /// The labels with their lines and their difference.
        found: String,
    },
    /// The label is not one of the task.
    #[error("{path} line {line}: the label `{found}` is none of {expected}{hint}")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The label.
        found: String,
        /// The labels of the task.
        expected: String,
        /// The label that looks alike, if there is one.
        hint: String,
    },
    /// A row has a label twice.
    #[error(
        "{path} line {line}: the label `{label}` is there twice; write each label of a row once"
    )]
    Twice {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The label.
        label: String,
    },
    /// No row has a label.
    #[error(
        "{path} line {line}: none of the {rows} rows from here on has a label; nothing can be learned or scored without"
    )]
    NoLabels {
        /// The file.
        path: PathBuf,
        /// The line of the first row, counted from 1.
        line: usize,
        /// The number of rows.
        rows: usize,
    },
    /// Between two separators there is no label.
    #[error(
        "{path} line {line}: a label between the separators `{separator}` is empty; a row without labels has an empty field"
    )]
    EmptyItem {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The separator.
        separator: String,
    },
    /// The column of a label has another value than 0 or 1.
    #[error("{path} line {line}: the column `{column}` has `{found}`, expected 0 or 1")]
    Indicator {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column.
        column: String,
        /// The value.
        found: String,
    },
    /// Some rows have a list of labels, and others one label.
    #[error(
        "{path} line {line}: `{key}` is {found}, but {expected} in line {first}; write all alike: [\"a\"] is a list of one label"
    )]
    MixedLists {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The key.
        key: String,
        /// What it is there.
        found: &'static str,
        /// What it is in the first line.
        expected: &'static str,
        /// The first line.
        first: usize,
    },
    /// A row has several labels where the task has one, or the reverse.
    #[error("{path} line {line}: {found}; {remedy}")]
    OtherForm {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What the row has, and what the task has.
        found: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Some labels of the task have no column.
    #[error(
        "{path}: the task's labels {missing} are none of the columns of --labels; name one for each label"
    )]
    MissingColumns {
        /// The file.
        path: PathBuf,
        /// The labels without a column.
        missing: String,
    },
    /// The score is not a finite number.
    #[error("{path} line {line}: the score `{found}` is not a finite number{hint}")]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The text of the score.
        found: String,
        /// A suggestion, if there is one.
        hint: &'static str,
    },
    /// No training row can be held out for validation.
    #[error(
        "{path}: none of its {rows} rows can be held out for validation, since each is the only one to learn its class (or score) from; add rows, or name validation rows with --validation"
    )]
    NothingToHoldOut {
        /// The file.
        path: PathBuf,
        /// The number of rows.
        rows: usize,
    },
    /// All rows have the same label.
    #[error(
        "{path}: every row has the label `{label}`; a classification needs two or more (--score reads numbers)"
    )]
    OneClass {
        /// The file.
        path: PathBuf,
        /// The only label.
        label: String,
    },
}

/// A published task or its files cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishedError {
    /// The index of a row in a file of rows for a submission is not its number.
    #[error(
        "{path} line {line}: the index is {found}, expected {expected}; a submission numbers the rows in the order of the published file, so restore that order, or fetch the file again"
    )]
    RowIndex {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The index in the file.
        found: String,
        /// The number of the row, counted from 0.
        expected: usize,
    },
    /// A published file is missing.
    #[error(
        "{task} needs {path}, which is not there; fetch it with `trainer data fetch {task} --data {}`, or name the directory that holds {relative} with --data", data.display()
    )]
    MissingFile {
        /// The task.
        task: String,
        /// The data directory.
        data: PathBuf,
        /// The expected path.
        path: PathBuf,
        /// The path in the data directory.
        relative: String,
    },
    /// The task is read from files, and no directory was named.
    #[error(
        "{task} is read from files: name the directory that holds {relative} with --data, or fetch them with `trainer data fetch {task} --data DIR`"
    )]
    NoDirectory {
        /// The task.
        task: String,
        /// The path in the data directory.
        relative: String,
    },
    /// A published file has other columns, or another order of columns.
    #[error("{path} names the columns {found}; expected {expected}")]
    Header {
        /// The file.
        path: PathBuf,
        /// The first line.
        found: String,
        /// The published columns.
        expected: String,
    },
    /// All rows of a published file have the same label: the file is truncated.
    #[error(
        "{path}: every row has the label `{label}`, expected {expected} classes; fetch the whole file as it was published"
    )]
    OneClass {
        /// The file.
        path: PathBuf,
        /// The only label.
        label: String,
        /// The expected number.
        expected: usize,
    },
    /// The name of a folder is not a class of the task.
    #[error("{path} is no class of this task: expected folders of the names {expected}")]
    UnknownFolder {
        /// The folder.
        path: PathBuf,
        /// The classes of the task.
        expected: String,
    },
    /// There is no task with this name.
    #[error("there is no task `{name}`; the tasks are {known}{hint}")]
    UnknownTask {
        /// The requested one.
        name: String,
        /// The existing names.
        known: String,
        /// A suggestion, if there is one.
        hint: String,
    },
    /// The task does not have the split.
    #[error("{task} has no {split} rows; it has {known}")]
    NoSplit {
        /// The task.
        task: String,
        /// The requested one.
        split: String,
        /// The existing splits.
        known: String,
    },
}

/// A file of SQuAD, or its predictions, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SquadError {
    /// The JSON ends early.
    #[error("{path} was cut short; fetch it again")]
    CutShort {
        /// The file.
        path: PathBuf,
        /// The error of the parser.
        source: serde_json::Error,
    },
    /// The JSON has another layout.
    #[error("{path} has another layout than {expected}")]
    Json {
        /// The file.
        path: PathBuf,
        /// The expected layout.
        expected: &'static str,
        /// The error of the parser.
        source: serde_json::Error,
    },
    /// Two questions have the same id.
    #[error("{path} has two questions of the id `{id}`; a prediction needs one id for each")]
    QuestionTwice {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
    },
    /// The file is of another version of SQuAD, whose questions may have no answer.
    #[error("{path} is SQuAD {found}; expected v1.1, where every question has an answer")]
    Version {
        /// The file.
        path: PathBuf,
        /// The version of the file.
        found: String,
    },
    /// The file is missing.
    #[error(
        "squad needs {path}, which is not there; get {relative} from https://rajpurkar.github.io/SQuAD-explorer, and name the directory that holds squad with --data"
    )]
    MissingFile {
        /// The expected path.
        path: PathBuf,
        /// The path in the data directory.
        relative: String,
    },
    /// Windows of this length and stride have no room for a context.
    #[error(
        "a row of {max_length} tokens has no room for a context: it needs more than the question's {max_question} and {special_tokens} special ones, and a stride of at least 1 (found {doc_stride})"
    )]
    Windows {
        /// Tokens of a row.
        max_length: usize,
        /// Tokens of a question, at most.
        max_question: usize,
        /// Special tokens around question and context.
        special_tokens: usize,
        /// Tokens from window to window.
        doc_stride: usize,
    },
}
