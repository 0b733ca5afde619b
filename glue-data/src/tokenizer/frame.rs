//! What a tokenizer puts around texts: its post-processor.

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::{Encoding, Token, Tokenizer};

use super::error::TokenizerError;
use super::settings::wrong;
use super::whole::{self, FILE};

/// A special token and its token type.
pub(crate) type FrameToken = (u32, u32);

/// The special tokens around the texts of a pair, with their token types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PairFrame {
    /// Before the first text: `[CLS]`, or `<s>`.
    pub(crate) before: Vec<FrameToken>,
    /// The token type of the first text.
    pub(crate) first_type: u32,
    /// Between the texts: `[SEP]`, or `</s> </s>`.
    pub(crate) between: Vec<FrameToken>,
    /// The token type of the second text.
    pub(crate) second_type: u32,
    /// After the second text: `[SEP]`, or `</s>`.
    pub(crate) after: Vec<FrameToken>,
}

/// The special tokens around one text, with their token types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextFrame {
    /// Before the text: `[CLS]`, or `<s>`.
    pub(crate) before: Vec<FrameToken>,
    /// The token type of the text.
    pub(crate) text_type: u32,
    /// After the text: `[SEP]`, or `</s>`.
    pub(crate) after: Vec<FrameToken>,
}

impl TextFrame {
    /// The frame that a tokenizer puts around one text.
    ///
    /// # Errors
    /// As [`PairFrame::of`].
    pub(super) fn of(tokenizer: &Tokenizer) -> Result<Self, TokenizerError> {
        let ([text_type], [before, after]) = parts(tokenizer)?;
        Ok(Self { before, text_type, after })
    }

    /// The number of special tokens.
    pub(crate) fn tokens(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// The same with token types that are all 0, for models without them.
    pub(crate) fn without_token_types(&self) -> Self {
        Self { before: untyped(&self.before), text_type: 0, after: untyped(&self.after) }
    }
}

impl PairFrame {
    /// The frame that a tokenizer puts around two texts.
    ///
    /// # Errors
    /// If it does not put a special token before the first: models read a text's class there, and "no answer".
    pub(super) fn of(tokenizer: &Tokenizer) -> Result<Self, TokenizerError> {
        let ([first_type, second_type], [before, between, after]) = parts(tokenizer)?;
        Ok(Self { before, first_type, between, second_type, after })
    }

    /// The number of special tokens in a pair.
    pub(crate) fn tokens(&self) -> usize {
        self.before.len() + self.between.len() + self.after.len()
    }

    /// The same with token types that are all 0, for models without them.
    pub(crate) fn without_token_types(&self) -> Self {
        Self {
            before: untyped(&self.before),
            first_type: 0,
            between: untyped(&self.between),
            second_type: 0,
            after: untyped(&self.after),
        }
    }
}

fn untyped(part: &[FrameToken]) -> Vec<FrameToken> {
    part.iter().map(|(id, _)| (*id, 0)).collect()
}

/// The token types of `TEXTS` texts, one or two, and the special tokens before, between and after them.
fn parts<const TEXTS: usize, const PARTS: usize>(
    tokenizer: &Tokenizer,
) -> Result<([u32; TEXTS], [Vec<FrameToken>; PARTS]), TokenizerError> {
    let refused = |error: tokenizers::Error| TokenizerError::Refused {
        file: FILE,
        reason: error.to_string(),
    };
    // Without truncation, which does not apply to texts of one token.
    let mut tokenizer = tokenizer.clone();
    tokenizer.with_truncation(None).map_err(refused)?;
    let one = |kind| Encoding::from_tokens(vec![Token::new(0, "text".to_owned(), (0, 0))], kind);
    let second = (TEXTS == 2).then(|| one(1));
    let encoding = tokenizer.post_process(one(0), second, true).map_err(refused)?;
    let frame = || TokenizerError::Frame { found: format!("{:?}", encoding.get_tokens()) };

    let is_special = encoding.get_special_tokens_mask();
    if is_special.first() != Some(&1) {
        return Err(frame());
    }
    let mut texts = Vec::new();
    let mut parts = vec![Vec::new()];
    let tokens = encoding.get_ids().iter().zip(encoding.get_type_ids()).zip(encoding.get_tokens());
    for (((id, kind), token), special) in tokens.zip(is_special) {
        if *special == 0 {
            texts.push(*kind);
            parts.push(Vec::new());
            continue;
        }
        whole::check_id(FILE, token, u64::from(*id), &tokenizer)?;
        if let Some(part) = parts.last_mut() {
            part.push((*id, *kind));
        }
    }
    match (texts.try_into(), parts.try_into()) {
        (Ok(texts), Ok(parts)) => Ok((texts, parts)),
        _ => Err(frame()),
    }
}

/// A post-processor, which puts special tokens around texts.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Step {
    TemplateProcessing { single: Vec<Piece>, pair: Vec<Piece>, special_tokens: Map<String, Value> },
    BertProcessing {},
    RobertaProcessing {},
    ByteLevel {},
    Sequence { processors: Vec<Step> },
}

#[derive(Deserialize)]
enum Piece {
    Sequence { id: Text },
    SpecialToken { id: String },
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
enum Text {
    A,
    B,
}

#[derive(Deserialize)]
struct TemplateToken {
    ids: Vec<u32>,
    tokens: Vec<String>,
}

/// Checks a post-processor: the tokenizers crate panics if a template names an undefined token.
pub(super) fn check(json: &Value) -> Result<(), TokenizerError> {
    let expected = "TemplateProcessing, BertProcessing or RobertaProcessing with each text once";
    let refused = || wrong(FILE, "post_processor", json, expected);
    let step = Step::deserialize(json).map_err(|_| refused())?;
    check_step(&step, &refused)
}

fn check_step(step: &Step, refused: &dyn Fn() -> TokenizerError) -> Result<(), TokenizerError> {
    let (single, pair, special_tokens) = match step {
        Step::TemplateProcessing { single, pair, special_tokens } => (single, pair, special_tokens),
        Step::Sequence { processors } => {
            return processors.iter().try_for_each(|step| check_step(step, refused));
        }
        Step::BertProcessing {} | Step::RobertaProcessing {} | Step::ByteLevel {} => return Ok(()),
    };
    let texts = |pieces: &[Piece]| -> Vec<Text> {
        let text = |piece: &Piece| match piece {
            Piece::Sequence { id } => Some(*id),
            Piece::SpecialToken { .. } => None,
        };
        pieces.iter().filter_map(text).collect()
    };
    if texts(single) != [Text::A] || texts(pair) != [Text::A, Text::B] {
        return Err(refused());
    }
    let tokens = single.iter().chain(pair).filter_map(|piece| match piece {
        Piece::SpecialToken { id } => Some(id),
        Piece::Sequence { .. } => None,
    });
    for token in tokens {
        let defined = special_tokens
            .get(token)
            .ok_or_else(|| TokenizerError::Template { token: token.clone() })?;
        let defined = TemplateToken::deserialize(defined).map_err(|_| refused())?;
        if defined.ids.len() != 1 || defined.tokens.len() != 1 {
            return Err(refused());
        }
    }
    Ok(())
}
