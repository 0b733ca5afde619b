//! Texts as token ids: tokenized once, in parallel, and kept.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use burn::data::dataset::{Dataset, DatasetError};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, EncodeInput, Tokenizer, TruncationParams};

use crate::error::DataError;
use crate::task::{Example, Label};
use crate::tokenizer::identity;

/// A text, or a pair, as BERT reads it: `[CLS] text [SEP]` or `[CLS] text [SEP] text2 [SEP]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// Token ids.
    pub ids: Vec<u32>,
    /// 0 for the first text with its special tokens, 1 for the second.
    pub type_ids: Vec<u32>,
    /// What is to be predicted, where it is known.
    pub label: Option<Label>,
}

/// A base's tokenizer with a longest length.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    tokenizer: Tokenizer,
}

impl TextEncoder {
    /// The tokenizer of a base's directory: `tokenizer.json`, or `vocab.txt` with `do_lower_case` of
    /// `tokenizer_config.json`. Texts are cut at `max_length` tokens, pairs at their longer text first.
    ///
    /// # Errors
    /// A directory without a tokenizer, or one that is no BERT's.
    pub fn from_directory(directory: &Path, max_length: usize) -> Result<Self, DataError> {
        let wrong =
            |reason: String| DataError::Tokenizer { directory: directory.to_owned(), reason };
        let whole = directory.join("tokenizer.json");
        let mut tokenizer = if whole.is_file() {
            Tokenizer::from_file(&whole)
                .map_err(|error| wrong(format!("tokenizer.json: {error}")))?
        } else {
            from_vocabulary(directory).map_err(wrong)?
        };
        // Some bases store a fixed padding and length; both are ours to choose.
        tokenizer.with_padding(None);
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { tokenizer })
    }

    /// What tells this tokenizer from any other: the SHA-256 of what it computes, in lower-case hexadecimal digits.
    ///
    /// It depends on the vocabulary, the added tokens and every setting that changes a token id, and not on the longest
    /// length or on the files that the tokenizer was read from: a `vocab.txt` with its settings and the
    /// `tokenizer.json` that was made from them agree.
    pub fn fingerprint(&self) -> String {
        identity::fingerprint(&self.tokenizer)
    }

    /// Tokenizes rows, in parallel.
    ///
    /// # Errors
    /// A text that the tokenizer refuses.
    pub fn encode(&self, examples: &[Example]) -> Result<EncodedRows, DataError> {
        let inputs: Vec<EncodeInput> = examples
            .iter()
            // An empty second text is none, as for Hugging Face's tokenizer.
            .map(|example| match example.text2.as_ref().filter(|text2| !text2.is_empty()) {
                Some(text2) => {
                    EncodeInput::Dual(example.text.as_str().into(), text2.as_str().into())
                }
                None => EncodeInput::Single(example.text.as_str().into()),
            })
            .collect();
        let encodings = self
            .tokenizer
            .encode_batch_fast(inputs, true)
            .map_err(|error| DataError::Tokenize { reason: error.to_string() })?;
        let cut = encodings.iter().filter(|encoding| !encoding.get_overflowing().is_empty());
        let cut = cut.count();
        let rows = encodings.into_iter().zip(examples).map(|(encoding, example)| Encoded {
            ids: encoding.get_ids().to_vec(),
            type_ids: encoding.get_type_ids().to_vec(),
            label: example.label,
        });
        Ok(EncodedRows { cut, ..rows.collect::<Vec<_>>().into() })
    }

    /// The same tokenizer for texts that are put together and cut elsewhere.
    ///
    /// # Errors
    /// A tokenizer that puts no two special tokens around a text.
    pub(crate) fn pieces(&self) -> Result<PieceEncoder, DataError> {
        let refused = |error: tokenizers::Error| DataError::Tokenize { reason: error.to_string() };
        let mut tokenizer = self.tokenizer.clone();
        tokenizer.with_truncation(None).map_err(refused)?;
        match *tokenizer.encode("", true).map_err(refused)?.get_ids() {
            [cls, sep] => Ok(PieceEncoder { tokenizer, cls, sep }),
            _ => Err(DataError::Tokenize {
                reason: "the tokenizer does not put [CLS] and [SEP] around it".to_owned(),
            }),
        }
    }
}

/// A base's tokenizer that adds no special token and cuts nothing.
#[derive(Debug, Clone)]
pub(crate) struct PieceEncoder {
    tokenizer: Tokenizer,
    /// The id of `[CLS]`.
    pub(crate) cls: u32,
    /// The id of `[SEP]`.
    pub(crate) sep: u32,
}

/// A text's tokens, and where they stand in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pieces {
    /// Token ids.
    pub(crate) ids: Vec<u32>,
    /// The bytes of the text that each token stands for.
    pub(crate) offsets: Vec<Range<usize>>,
}

impl PieceEncoder {
    /// # Errors
    /// A text that the tokenizer refuses.
    pub(crate) fn encode(&self, text: &str) -> Result<Pieces, DataError> {
        let encoding = self
            .tokenizer
            .encode(text, false)
            .map_err(|error| DataError::Tokenize { reason: error.to_string() })?;
        let offsets = encoding.get_offsets().iter().map(|(start, end)| *start..*end);
        Ok(Pieces { ids: encoding.get_ids().to_vec(), offsets: offsets.collect() })
    }
}

fn from_vocabulary(directory: &Path) -> Result<Tokenizer, String> {
    let vocabulary = directory.join("vocab.txt");
    if !vocabulary.is_file() {
        return Err("neither tokenizer.json nor vocab.txt is there".to_owned());
    }
    let lower_case = match std::fs::read_to_string(directory.join("tokenizer_config.json")) {
        Ok(text) => {
            let config: serde_json::Value = serde_json::from_str(&text)
                .map_err(|error| format!("tokenizer_config.json: {error}"))?;
            config.get("do_lower_case").and_then(serde_json::Value::as_bool).unwrap_or(true)
        }
        Err(_) => true,
    };
    let said = |error: tokenizers::Error| format!("vocab.txt: {error}");
    let model = WordPiece::from_file(&vocabulary.to_string_lossy())
        .unk_token("[UNK]".to_owned())
        .max_input_chars_per_word(100)
        .build()
        .map_err(said)?;
    let mut tokenizer = Tokenizer::new(model);
    let special = |token: &str| -> Result<(String, u32), String> {
        let id = tokenizer.token_to_id(token).ok_or_else(|| format!("vocab.txt has no {token}"))?;
        Ok((token.to_owned(), id))
    };
    // The same steps that a tokenizer.json of transformers has, so that the two are the same tokenizer.
    let processing = TemplateProcessing::builder()
        .try_single("[CLS]:0 $A:0 [SEP]:0")
        .and_then(|builder| builder.try_pair("[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1"))
        .map_err(|error| error.to_string())?
        .special_tokens(vec![special("[CLS]")?, special("[SEP]")?])
        .build()
        .map_err(|error| error.to_string())?;
    tokenizer
        .with_normalizer(Some(BertNormalizer::new(true, true, None, lower_case)))
        .map_err(said)?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(processing));
    let tokens =
        ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"].map(|token| AddedToken::from(token, true));
    tokenizer.add_special_tokens(tokens).map_err(said)?;
    Ok(tokenizer)
}

/// Tokenized rows: a Burn dataset that is cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedRows {
    rows: Arc<[Encoded]>,
    longest: usize,
    cut: usize,
}

impl From<Vec<Encoded>> for EncodedRows {
    fn from(rows: Vec<Encoded>) -> Self {
        let longest = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
        Self { rows: rows.into(), longest, cut: 0 }
    }
}

impl EncodedRows {
    /// The rows themselves.
    pub fn rows(&self) -> &[Encoded] {
        &self.rows
    }

    /// Tokens of the longest row.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Rows whose text was longer than the tokenizer's longest length, and was cut.
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// Tokens of each row, special ones included.
    pub fn lengths(&self) -> Vec<usize> {
        self.rows.iter().map(|row| row.ids.len()).collect()
    }
}

impl Dataset<Encoded> for EncodedRows {
    fn get(&self, index: usize) -> Result<Encoded, DatasetError> {
        Ok(self.rows[index].clone())
    }

    fn len(&self) -> usize {
        self.rows.len()
    }
}
