//! The tokenizer of a base, and the tokens that it makes of texts.

use std::ops::Range;
use std::path::{Path, PathBuf};

use tokenizers::models::ModelWrapper;
use tokenizers::{
    EncodeInput, NormalizerWrapper, PreTokenizerWrapper, Tokenizer, TruncationDirection,
    TruncationParams,
};

use crate::error::DataError;
use crate::rows::Example;
use crate::tokenized_dataset::{Encoded, TokenizedDataset};
use crate::tokenizer::error::{TokenizerError, TokenizerWarning};
use crate::tokenizer::frame::{PairFrame, TextFrame};
use crate::tokenizer::{BaseTokenizer, identity};

/// The tokenizer of a base, with a maximum length.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    tokenizer: Tokenizer,
    directory: PathBuf,
    frame: PairFrame,
    text_frame: TextFrame,
    pad_id: u32,
    has_token_types: bool,
    class: String,
    is_list_of_lines: bool,
    tokens: usize,
    warnings: Vec<TokenizerWarning>,
    /// Bytes of a text that are tokenized first; the whole text follows only where they have too few tokens.
    prefix: Option<usize>,
}

/// Bytes of a text's prefix for each token that is kept: more than most words have.
const PREFIX_BYTES: usize = 16;

impl TextEncoder {
    /// Loads the tokenizer of a base's directory: `tokenizer.json`, or the older files of its class (`vocab.txt`; `vocab.json`
    /// and `merges.txt`; `sentencepiece.bpe.model`; `spm.model`), with the settings of `tokenizer_config.json`,
    /// `special_tokens_map.json` and `added_tokens.json`, as `AutoTokenizer` of transformers does. Texts are truncated to
    /// `max_length` tokens, the longer text of a pair first.
    ///
    /// # Errors
    /// If there is no tokenizer of a supported class in the directory, it is incomplete, a setting is not supported, or the
    /// length has no room for text.
    pub fn from_directory(directory: &Path, max_length: usize) -> Result<Self, DataError> {
        let wrong = |reason| DataError::Tokenizer { directory: directory.to_owned(), reason };
        let base = BaseTokenizer::read(directory).map_err(wrong)?;
        let least = base.frame.tokens() + 1;
        if max_length < least {
            return Err(wrong(TokenizerError::Length { found: max_length, least }));
        }
        let mut tokenizer = base.tokenizer;
        let truncation = TruncationParams {
            max_length,
            direction: base.truncation_side,
            ..TruncationParams::default()
        };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| {
            wrong(TokenizerError::Refused { file: "tokenizer.json", reason: error.to_string() })
        })?;
        let prefix =
            is_local(&tokenizer, base.truncation_side).then_some(PREFIX_BYTES * max_length);
        let encoder = Self {
            tokenizer,
            directory: directory.to_owned(),
            frame: base.frame,
            text_frame: base.text_frame,
            pad_id: base.pad_id.unwrap_or(0),
            has_token_types: true,
            class: base.class,
            is_list_of_lines: base.is_list_of_lines,
            tokens: base.tokens,
            warnings: base.warnings,
            prefix,
        };
        Ok(if base.has_token_types { encoder } else { encoder.without_token_types() })
    }

    /// The same with token types that are all 0, for a model that has one type or none.
    #[must_use]
    pub fn without_token_types(mut self) -> Self {
        self.has_token_types = false;
        self.frame = self.frame.without_token_types();
        self.text_frame = self.text_frame.without_token_types();
        self
    }

    /// The id with which rows are padded: that of the padding token, or 0 where there is none. Padding is masked.
    pub fn pad_id(&self) -> u32 {
        self.pad_id
    }

    /// The class of transformers that reads the tokenizer, such as `RobertaTokenizerFast`.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// The algorithm that splits words: `WordPiece`, `BPE`, `Unigram` or `WordLevel`.
    pub fn algorithm(&self) -> &'static str {
        match self.tokenizer.get_model() {
            ModelWrapper::WordPiece(_) => "WordPiece",
            ModelWrapper::BPE(_) => "BPE",
            ModelWrapper::Unigram(_) => "Unigram",
            ModelWrapper::WordLevel(_) => "WordLevel",
        }
    }

    /// Warnings about the files of the tokenizer.
    pub fn warnings(&self) -> &[TokenizerWarning] {
        &self.warnings
    }

    /// The number of tokens, including added ones.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Checks that the base's word embeddings have as many rows as there are tokens.
    ///
    /// If the number of rows is rounded up, the result is a warning: to a multiple of 8 to 128 for a `vocab.txt`, which
    /// may have lost lines, and by a sixteenth at most for other files, which cannot be read if a part is missing.
    ///
    /// # Errors
    /// If the numbers differ: a line of the vocabulary is missing, or the vocabulary is that of another base.
    pub fn check_rows(&self, rows: usize) -> Result<Option<TokenizerWarning>, DataError> {
        /// GPUs multiply faster if the number of rows is a multiple of one of these.
        const MULTIPLES: [usize; 5] = [8, 16, 32, 64, 128];
        /// Rounding up adds fewer than a hundred rows to tens of thousands.
        const MAX_UNUSED: f64 = 1.0 / 16.0;
        let (directory, tokens) = (self.directory.clone(), self.tokens);
        if tokens == rows {
            return Ok(None);
        }
        let is_rounded_up = rows > tokens
            && (!self.is_list_of_lines
                || MULTIPLES.iter().any(|step| tokens.next_multiple_of(*step) == rows));
        if is_rounded_up && (rows - tokens) as f64 <= MAX_UNUSED * rows as f64 {
            return Ok(Some(TokenizerWarning::UnusedRows { tokens, rows }));
        }
        let first = u32::try_from(rows).ok().filter(|_| tokens > rows);
        let reason = match first.and_then(|id| Some((self.tokenizer.id_to_token(id)?, id))) {
            Some((token, id)) => TokenizerError::NoRow { token, id, rows },
            None => TokenizerError::Rows { tokens, rows },
        };
        Err(DataError::Tokenizer { directory, reason })
    }

    /// The fingerprint of the tokenizer: a SHA-256 in lower-case hexadecimal digits.
    ///
    /// It depends on the vocabulary, the added tokens and every setting that changes a token id, but not on the maximum
    /// length or the file format: a `vocab.txt` with its settings and the `tokenizer.json` that was made from them have the
    /// same fingerprint.
    pub fn fingerprint(&self) -> String {
        identity::fingerprint(&self.tokenizer)
    }

    /// Tokenizes rows, in parallel.
    ///
    /// # Errors
    /// If a text cannot be tokenized.
    pub fn encode(&self, examples: &[Example]) -> Result<TokenizedDataset, DataError> {
        let encode = |inputs: Vec<EncodeInput>| {
            self.tokenizer
                .encode_batch_fast(inputs, true)
                .map_err(|error| DataError::Tokenize { reason: error.to_string() })
        };
        let inputs = examples.iter().map(|example| match second(example) {
            Some(text2) => EncodeInput::Dual(example.text.as_str().into(), text2.into()),
            None => EncodeInput::Single(self.prefix(&example.text).into()),
        });
        let mut encodings = encode(inputs.collect())?;
        // A prefix that is not cut may have lost tokens that the whole text keeps.
        let short: Vec<usize> = (0..examples.len())
            .filter(|index| {
                let example = &examples[*index];
                second(example).is_none()
                    && self.prefix(&example.text).len() < example.text.len()
                    && encodings[*index].get_overflowing().is_empty()
            })
            .collect();
        let whole = short.iter().map(|index| examples[*index].text.as_str().into()).collect();
        for (index, encoding) in short.into_iter().zip(encode(whole)?) {
            encodings[index] = encoding;
        }
        let cut = encodings.iter().filter(|encoding| !encoding.get_overflowing().is_empty());
        let cut = cut.count();
        let rows = encodings.into_iter().zip(examples).map(|(encoding, example)| Encoded {
            ids: encoding.get_ids().to_vec(),
            type_ids: if self.has_token_types {
                encoding.get_type_ids().to_vec()
            } else {
                vec![0; encoding.len()]
            },
            label: example.label.clone(),
        });
        let rows = TokenizedDataset::from(rows.collect::<Vec<_>>());
        Ok(rows.padded_with(self.pad_id).with_cut(cut))
    }

    /// The part of a text that is tokenized first, up to a space: all of it where it is short.
    fn prefix<'a>(&self, text: &'a str) -> &'a str {
        let Some(bytes) = self.prefix.filter(|bytes| *bytes < text.len()) else { return text };
        let start = &text[..text.floor_char_boundary(bytes)];
        start.rfind(' ').map_or(text, |space| &text[..space])
    }

    /// The tokenizer without special tokens and truncation.
    ///
    /// # Errors
    /// None in practice: removing the truncation does not fail.
    pub(crate) fn pieces(&self) -> Result<PieceEncoder, DataError> {
        let tokenizer = self.without_truncation()?;
        Ok(PieceEncoder { tokenizer, frame: self.frame.clone(), pad_id: self.pad_id })
    }

    /// The tokenizer of texts that are split into words.
    ///
    /// # Errors
    /// None in practice: removing the truncation does not fail.
    pub(crate) fn words(&self) -> Result<WordEncoder, DataError> {
        let mut tokenizer = self.without_truncation()?;
        // As `add_prefix_space=True`, without which transformers does not take words for such a tokenizer.
        if let Some(PreTokenizerWrapper::ByteLevel(step)) = tokenizer.get_pre_tokenizer() {
            let step = (*step).add_prefix_space(true);
            tokenizer.with_pre_tokenizer(Some(step));
        }
        let max_length = self.tokenizer.get_truncation().map_or(usize::MAX, |cut| cut.max_length);
        let (frame, pad_id) = (self.text_frame.clone(), self.pad_id);
        Ok(WordEncoder { tokenizer, frame, pad_id, max_length })
    }

    fn without_truncation(&self) -> Result<Tokenizer, DataError> {
        let refused = |error: tokenizers::Error| DataError::Tokenize { reason: error.to_string() };
        let mut tokenizer = self.tokenizer.clone();
        tokenizer.with_truncation(None).map_err(refused)?;
        Ok(tokenizer)
    }
}

/// The second text. An empty one is none, as for Hugging Face's tokenizer.
fn second(example: &Example) -> Option<&str> {
    example.text2.as_deref().filter(|text2| !text2.is_empty())
}

/// Whether the first tokens of a text depend only on the text up to a later space: no step looks across spaces, and
/// tokens are dropped at the end.
fn is_local(tokenizer: &Tokenizer, truncation_side: TruncationDirection) -> bool {
    let has_space = |token: &str| token.contains(char::is_whitespace);
    matches!(tokenizer.get_normalizer(), None | Some(NormalizerWrapper::BertNormalizer(_)))
        && matches!(tokenizer.get_pre_tokenizer(), Some(PreTokenizerWrapper::BertPreTokenizer(_)))
        && matches!(tokenizer.get_model(), ModelWrapper::WordPiece(_))
        && truncation_side == TruncationDirection::Right
        && !tokenizer.get_added_tokens_decoder().values().any(|token| has_space(&token.content))
}

/// The tokenizer of a base without special tokens and truncation.
#[derive(Debug, Clone)]
pub(crate) struct PieceEncoder {
    tokenizer: Tokenizer,
    /// What is put around the texts of a pair.
    pub(crate) frame: PairFrame,
    /// The id of padding.
    pub(crate) pad_id: u32,
}

/// The tokens of a text, and their positions in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pieces {
    /// Token ids.
    pub(crate) ids: Vec<u32>,
    /// The bytes of the text of each token.
    pub(crate) offsets: Vec<Range<usize>>,
}

impl PieceEncoder {
    /// # Errors
    /// If a text cannot be tokenized.
    pub(crate) fn encode(&self, text: &str) -> Result<Pieces, DataError> {
        let encoding = self
            .tokenizer
            .encode(text, false)
            .map_err(|error| DataError::Tokenize { reason: error.to_string() })?;
        let offsets = encoding.get_offsets().iter().map(|(start, end)| *start..*end);
        Ok(Pieces { ids: encoding.get_ids().to_vec(), offsets: offsets.collect() })
    }
}

/// The tokenizer of a base for texts that are split into words, without special tokens and truncation.
#[derive(Debug, Clone)]
pub(crate) struct WordEncoder {
    tokenizer: Tokenizer,
    /// What is put around a text.
    pub(crate) frame: TextFrame,
    /// The id of padding.
    pub(crate) pad_id: u32,
    /// The maximum number of tokens of a row, special tokens included.
    pub(crate) max_length: usize,
}

/// The tokens of the words of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WordTokens {
    /// Token ids.
    pub(crate) ids: Vec<u32>,
    /// The index of each token's word; a word may have several tokens, or none.
    pub(crate) words: Vec<usize>,
}

impl WordEncoder {
    /// Tokenizes each word on its own, as `is_split_into_words=True` of transformers.
    ///
    /// # Errors
    /// If a word cannot be tokenized.
    pub(crate) fn encode(&self, words: &[&str]) -> Result<WordTokens, DataError> {
        let encoding = self
            .tokenizer
            .encode(words, false)
            .map_err(|error| DataError::Tokenize { reason: error.to_string() })?;
        // Every token is of a word, as there are no special tokens.
        let tokens = encoding.get_ids().iter().zip(encoding.get_word_ids());
        let (ids, words) = tokens.filter_map(|(id, word)| Some((*id, (*word)? as usize))).unzip();
        Ok(WordTokens { ids, words })
    }
}
