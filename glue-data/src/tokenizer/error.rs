//! What can be wrong with a base's tokenizer, and what is worth a warning.

use std::path::PathBuf;

/// Why a base's tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The directory holds no tokenizer.
    #[error(
        "neither tokenizer.json nor vocab.txt is there; expected tokenizer.json or vocab.txt of a BERT"
    )]
    Missing,
    /// A file cannot be read.
    #[error("{path} cannot be read: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// A file is larger than any tokenizer's.
    #[error("{file} has {bytes} bytes, expected at most {limit}")]
    TooLarge {
        /// The file's name.
        file: &'static str,
        /// Its size.
        bytes: u64,
        /// The largest that is read.
        limit: u64,
    },
    /// A file is not JSON, or has another layout.
    #[error("{file}: {error}; fetch it again")]
    Json {
        /// The file's name.
        file: &'static str,
        /// Where and why.
        error: serde_json::Error,
    },
    /// A part of a file has another type than it should.
    #[error("{file} has {key} {found}, expected {expected}")]
    Value {
        /// The file's name.
        file: &'static str,
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A kind of tokenizer that is not BERT's.
    #[error(
        "{file} has tokenizer_class {found}, which splits texts in another way; expected BertTokenizer, BertTokenizerFast or PreTrainedTokenizerFast"
    )]
    Class {
        /// The file's name.
        file: &'static str,
        /// The class.
        found: String,
    },
    /// The class needs a file that is not there.
    #[error("tokenizer_class PreTrainedTokenizerFast needs tokenizer.json, which is not there")]
    ClassNeedsJson,
    /// What `tokenizer.json` says would be overruled by a default.
    #[error(
        "tokenizer.json has {key} {found}, and tokenizer_config.json leaves {key} out, for which transformers takes {default}; write \"{key}\": {found} into tokenizer_config.json, or {default} if that is meant"
    )]
    Unstated {
        /// The key of `tokenizer_config.json`.
        key: &'static str,
        /// What `tokenizer.json` says.
        found: String,
        /// What transformers takes.
        default: String,
    },
    /// A vocabulary of cased words, and no setting that says so.
    #[error(
        "{cased} of the {words} words in vocab.txt have upper-case letters, and nothing says whether texts are lower-cased; write {{\"do_lower_case\": false}} into tokenizer_config.json beside it (true if the base was trained on lower-cased texts)"
    )]
    Cased {
        /// Words with an upper-case letter.
        cased: usize,
        /// Words.
        words: usize,
    },
    /// Bytes that are not text.
    #[error("vocab.txt line {line}: these bytes are not UTF-8")]
    NotUtf8 {
        /// Counted from 1.
        line: usize,
    },
    /// A vocabulary that begins with a byte order mark.
    #[error(
        "vocab.txt begins with a byte order mark, which would be a part of its first token; save it without one"
    )]
    ByteOrderMark,
    /// A line without a token.
    #[error("vocab.txt line {line} is empty, expected a token")]
    EmptyToken {
        /// Counted from 1.
        line: usize,
    },
    /// A token that is there twice.
    #[error("vocab.txt has the token `{token}` twice, in lines {first} and {second}")]
    Twice {
        /// The token.
        token: String,
        /// Counted from 1.
        first: usize,
        /// Counted from 1.
        second: usize,
    },
    /// A special token that the vocabulary does not have.
    #[error("the vocabulary has no {token}, which is the {role}; a line of it may be missing")]
    NoSpecialToken {
        /// The token.
        token: String,
        /// The key that names it.
        role: &'static str,
    },
    /// Ids that no token has.
    #[error(
        "no token has the id {missing}, although ids go up to {last}; the vocabulary is not whole"
    )]
    Hole {
        /// The first such id.
        missing: u32,
        /// The last id.
        last: u32,
    },
    /// An id that is not the one that was declared.
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
    /// An added token that no text could have.
    #[error("the added token {token:?} is empty after the tokenizer's normalizer, expected text")]
    EmptyAddedToken {
        /// The token.
        token: String,
    },
    /// A tokenizer that does not frame texts as BERT's does.
    #[error(
        "tokenizer.json makes {found} of an empty text, expected [CLS] and [SEP]; its post_processor is not BERT's"
    )]
    Frame {
        /// The tokens.
        found: String,
    },
    /// A template with a special token that it does not define.
    #[error(
        "the post_processor of tokenizer.json uses the special token `{token}` and does not define it"
    )]
    Template {
        /// The token.
        token: String,
    },
    /// A tokenizer that the tokenizers crate refuses.
    #[error("{file}: {reason}")]
    Refused {
        /// The file's name.
        file: &'static str,
        /// What the crate says.
        reason: String,
    },
    /// A length without room for text.
    #[error(
        "texts are cut at {found} tokens, expected at least {least}: [CLS], two [SEP] and one of a text"
    )]
    Length {
        /// What was asked for.
        found: usize,
        /// The smallest length.
        least: usize,
    },
    /// A vocabulary that does not fit the base's embeddings.
    #[error(
        "the tokenizer has {tokens} tokens and the base's word embeddings have {rows} rows; a vocabulary that lost lines reads every later word as another (rows that no token uses need a line each, such as [unused0], in vocab.txt)"
    )]
    Rows {
        /// Tokens, added ones included.
        tokens: usize,
        /// Rows of the base's table.
        rows: usize,
    },
    /// A token without an embedding.
    #[error(
        "the token `{token}` has the id {id}, and the base's word embeddings have {rows} rows; the tokenizer is another base's, or the embeddings were not resized when it was added"
    )]
    NoRow {
        /// The first such token.
        token: String,
        /// Its id.
        id: u32,
        /// Rows of the base's table.
        rows: usize,
    },
}

/// Something about a base's tokenizer that does not keep it from being used, and may not be what was intended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerWarning {
    /// A key that neither transformers nor this crate knows.
    #[error("{file} has the unknown key `{key}`, which is not used")]
    UnknownKey {
        /// The file's name.
        file: &'static str,
        /// The key.
        key: String,
    },
    /// `tokenizer_config.json` overrules `tokenizer.json`.
    #[error(
        "tokenizer_config.json has {key} {stated} and tokenizer.json {found}; the former is used, as transformers does"
    )]
    Overruled {
        /// The key of `tokenizer_config.json`.
        key: &'static str,
        /// Its value, which is used.
        stated: String,
        /// What `tokenizer.json` says.
        found: String,
    },
    /// A setting that the class of the tokenizer does not use.
    #[error(
        "tokenizer_config.json has {key} {stated}, which tokenizer_class PreTrainedTokenizerFast does not use; tokenizer.json has {found}"
    )]
    NotUsed {
        /// The key of `tokenizer_config.json`.
        key: &'static str,
        /// Its value.
        stated: String,
        /// What `tokenizer.json` says, which is used.
        found: String,
    },
    /// `vocab.txt` is another vocabulary than that of `tokenizer.json`.
    #[error(
        "vocab.txt line {line} is `{token}`, which has another id in tokenizer.json; tokenizer.json is used, as transformers does"
    )]
    OtherVocabulary {
        /// Counted from 1.
        line: usize,
        /// The token.
        token: String,
    },
    /// `special_tokens_map.json` is another than what `tokenizer_config.json` says.
    #[error(
        "special_tokens_map.json has another {key} than tokenizer_config.json; the latter is used, as transformers does"
    )]
    OtherSpecialToken {
        /// The key.
        key: String,
    },
    /// A padding token of another id than the one that texts are padded with.
    #[error(
        "{token} has the id {id}, and texts are padded with 0; padding is masked, so that only adapters with gates or batch norms see it"
    )]
    Padding {
        /// The token.
        token: String,
        /// Its id.
        id: u32,
    },
    /// Word embeddings with rows that no token uses.
    #[error(
        "the base's word embeddings have {rows} rows and its tokenizer {tokens} tokens; the table seems to be rounded up"
    )]
    UnusedRows {
        /// Tokens, added ones included.
        tokens: usize,
        /// Rows of the base's table.
        rows: usize,
    },
}
