//! Errors and warnings about the tokenizer of a base.

use std::path::PathBuf;

/// The tokenizer of a base cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The directory contains no tokenizer.
    #[error("there is no tokenizer; expected tokenizer.json{files} for {class}")]
    Missing {
        /// The class of transformers.
        class: String,
        /// Its older files, after an "or".
        files: &'static str,
    },
    /// A file cannot be read.
    #[error("{path} cannot be read: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// A file is too large for a tokenizer.
    #[error("{file} has {bytes} bytes, expected at most {limit}")]
    TooLarge {
        /// The file's name.
        file: &'static str,
        /// Its size.
        bytes: u64,
        /// The maximum size.
        limit: u64,
    },
    /// A file is not JSON, or has another layout.
    #[error("{file}: {error}; fetch it again")]
    Json {
        /// The file's name.
        file: &'static str,
        /// The error of the parser.
        error: serde_json::Error,
    },
    /// A value has an unexpected type.
    #[error("{file} has {key} {found}, expected {expected}")]
    Value {
        /// The file's name.
        file: &'static str,
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// The expected values.
        expected: &'static str,
    },
    /// The tokenizer class is not supported.
    #[error(
        "{file} has {key} {found}, which splits texts in another way; expected one of {expected}"
    )]
    Class {
        /// The file's name.
        file: &'static str,
        /// `tokenizer_class` or `model_type`.
        key: &'static str,
        /// The class.
        found: String,
        /// The supported classes.
        expected: String,
    },
    /// A line of `merges.txt` is not a pair.
    #[error("merges.txt line {line} has {found}, expected two tokens with a space between them")]
    Merge {
        /// Counted from 1.
        line: usize,
        /// The line.
        found: String,
    },
    /// A setting of `tokenizer.json` would be overridden by a default.
    #[error(
        "tokenizer.json has {key} {found}, and tokenizer_config.json leaves {key} out, for which transformers takes {default}; write \"{key}\": {found} into tokenizer_config.json, or {default} if that is meant"
    )]
    Unstated {
        /// The key of `tokenizer_config.json`.
        key: &'static str,
        /// The value in `tokenizer.json`.
        found: String,
        /// The default of transformers.
        default: String,
    },
    /// The vocabulary is cased, and no setting declares it.
    #[error(
        "{cased} of the {words} words in vocab.txt have upper-case letters, and nothing says whether texts are lower-cased; write {{\"do_lower_case\": false}} into tokenizer_config.json beside it (true if the base was trained on lower-cased texts)"
    )]
    Cased {
        /// The number of words with an upper-case letter.
        cased: usize,
        /// The number of words.
        words: usize,
    },
    /// Bytes are not UTF-8.
    #[error("vocab.txt line {line}: these bytes are not UTF-8")]
    NotUtf8 {
        /// Counted from 1.
        line: usize,
    },
    /// The vocabulary begins with a byte order mark.
    #[error(
        "vocab.txt begins with a byte order mark, which would be a part of its first token; save it without one"
    )]
    ByteOrderMark,
    /// A line has no token.
    #[error("vocab.txt line {line} is empty, expected a token")]
    EmptyToken {
        /// Counted from 1.
        line: usize,
    },
    /// A token occurs twice.
    #[error("vocab.txt has the token `{token}` twice, in lines {first} and {second}")]
    Twice {
        /// The token.
        token: String,
        /// Counted from 1.
        first: usize,
        /// Counted from 1.
        second: usize,
    },
    /// A special token is not in the vocabulary.
    #[error("the vocabulary has no {token}, which is the {role}; a line of it may be missing")]
    NoSpecialToken {
        /// The token.
        token: String,
        /// The key of the special token.
        role: &'static str,
    },
    /// An id has no token.
    #[error(
        "no token has the id {missing}, although ids go up to {last}; the vocabulary is not whole"
    )]
    Hole {
        /// The first such id.
        missing: u32,
        /// The last id.
        last: u32,
    },
    /// The id of a token differs from the declared one.
    #[error(
        "{file} gives `{token}` the id {declared}, but in the vocabulary it {found}; the vocabulary is another, or not whole"
    )]
    Id {
        /// The file's name.
        file: &'static str,
        /// The token.
        token: String,
        /// The id in that file.
        declared: u64,
        /// `has 7`, or `is missing`.
        found: String,
    },
    /// An added token is empty.
    #[error("the added token {token:?} is empty after the tokenizer's normalizer, expected text")]
    EmptyAddedToken {
        /// The token.
        token: String,
    },
    /// The tokenizer does not put a special token before a text.
    #[error(
        "the post_processor of tokenizer.json makes {found} of texts, expected a special token before the first"
    )]
    Frame {
        /// The tokens.
        found: String,
    },
    /// A template uses an undefined special token.
    #[error(
        "the post_processor of tokenizer.json uses the special token `{token}` and does not define it"
    )]
    Template {
        /// The token.
        token: String,
    },
    /// The tokenizers crate reports an error.
    #[error("{file}: {reason}")]
    Refused {
        /// The file's name.
        file: &'static str,
        /// The error of the crate.
        reason: String,
    },
    /// The maximum length has no room for text.
    #[error(
        "texts are cut at {found} tokens, expected at least {least}: the special tokens of a pair and one of a text"
    )]
    Length {
        /// The requested length.
        found: usize,
        /// The minimum length.
        least: usize,
    },
    /// The vocabulary does not fit the embeddings of the base.
    #[error(
        "the tokenizer has {tokens} tokens and the base's word embeddings have {rows} rows; a vocabulary that lost lines reads every later word as another (rows that no token uses need a line each, such as [unused0], in vocab.txt)"
    )]
    Rows {
        /// Tokens, including added ones.
        tokens: usize,
        /// Rows of the base's word embeddings.
        rows: usize,
    },
    /// A token has no embedding.
    #[error(
        "the token `{token}` has the id {id}, and the base's word embeddings have {rows} rows; the tokenizer is another base's, or the embeddings were not resized when it was added"
    )]
    NoRow {
        /// The first such token.
        token: String,
        /// Its id.
        id: u32,
        /// Rows of the base's word embeddings.
        rows: usize,
    },
}

/// A warning about the tokenizer of a base, which can be used nevertheless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerWarning {
    /// A key is unknown to transformers and to this crate.
    #[error("{file} has the unknown key `{key}`, which is not used")]
    UnknownKey {
        /// The file's name.
        file: &'static str,
        /// The key.
        key: String,
    },
    /// `tokenizer_config.json` overrides `tokenizer.json`.
    #[error(
        "tokenizer_config.json has {key} {stated} and tokenizer.json {found}; the former is used, as transformers does"
    )]
    Overridden {
        /// The key of `tokenizer_config.json`.
        key: &'static str,
        /// Its value, which is used.
        stated: String,
        /// The value in `tokenizer.json`.
        found: String,
    },
    /// A setting is not used by the class of the tokenizer.
    #[error("tokenizer_config.json has {key} {stated}, which tokenizer_class {class} does not use")]
    NotOfClass {
        /// The key of `tokenizer_config.json`.
        key: &'static str,
        /// Its value.
        stated: String,
        /// The class.
        class: String,
    },
    /// A setting is not used by the class of the tokenizer, and `tokenizer.json` differs.
    #[error(
        "tokenizer_config.json has {key} {stated}, which tokenizer_class {class} does not use; tokenizer.json has {found}"
    )]
    NotUsed {
        /// The class.
        class: String,
        /// The key of `tokenizer_config.json`.
        key: &'static str,
        /// Its value.
        stated: String,
        /// What `tokenizer.json` says, which is used.
        found: String,
    },
    /// `vocab.txt` differs from the vocabulary of `tokenizer.json`.
    #[error(
        "vocab.txt line {line} is `{token}`, which has another id in tokenizer.json; tokenizer.json is used, as transformers does"
    )]
    OtherVocabulary {
        /// Counted from 1.
        line: usize,
        /// The token.
        token: String,
    },
    /// `special_tokens_map.json` differs from `tokenizer_config.json`.
    #[error(
        "special_tokens_map.json has another {key} than tokenizer_config.json; the latter is used, as transformers does"
    )]
    OtherSpecialToken {
        /// The key.
        key: String,
    },
    /// The word embeddings have rows without a token.
    #[error(
        "the base's word embeddings have {rows} rows and its tokenizer {tokens} tokens; the table seems to be rounded up"
    )]
    UnusedRows {
        /// Tokens, including added ones.
        tokens: usize,
        /// Rows of the base's word embeddings.
        rows: usize,
    },
}
