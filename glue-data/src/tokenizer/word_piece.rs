//! `vocab.txt`: the WordPiece tokenizer of BERT, DistilBERT, ELECTRA and MPNet.

use serde_json::{Map, Value, json};

use super::error::TokenizerError;
use super::settings::Settings;
use super::vocabulary::Vocabulary;

/// The `tokenizer.json` that transformers would save for a `vocab.txt`, without its added tokens.
pub(super) fn tokenizer_json(
    bytes: &[u8],
    settings: &Settings,
) -> Result<Map<String, Value>, TokenizerError> {
    let vocabulary = Vocabulary::parse(bytes)?;
    if settings.do_lower_case.is_none() {
        vocabulary.check_uncased()?;
    }
    let ids = vocabulary.ids()?;
    let special = |role| super::known_special(settings, role, |token| ids.get(token).copied());
    let (unk, _) = special("unk_token")?;
    let frame = super::template(
        special("cls_token")?,
        special("sep_token")?,
        settings.class.doubles_separator,
        1,
    );
    special("pad_token")?;
    special("mask_token")?;
    let parts = json!({
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": settings.tokenize_chinese_chars.unwrap_or(true),
            "strip_accents": settings.strip_accents.flatten(),
            "lowercase": settings.do_lower_case.unwrap_or(true),
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": frame,
        "model": {
            "type": "WordPiece",
            "unk_token": unk,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    });
    match parts {
        Value::Object(parts) => Ok(parts),
        _ => Ok(Map::new()),
    }
}
