//! `vocab.json` and `merges.txt`: the byte-level BPE of RoBERTa.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::error::TokenizerError;
use super::settings::{Settings, wrong};

pub(super) const VOCABULARY: &str = "vocab.json";
pub(super) const MERGES: &str = "merges.txt";

/// The `tokenizer.json` that transformers would save for the two files, without its added tokens.
pub(super) fn tokenizer_json(
    vocabulary: Map<String, Value>,
    merges: &[u8],
    settings: &Settings,
) -> Result<Map<String, Value>, TokenizerError> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    if let Some((token, value)) = vocabulary.iter().find(|(_, value)| id(value).is_none()) {
        return Err(wrong(VOCABULARY, token, value, "an id"));
    }
    let special =
        |role| super::known_special(settings, role, |token| vocabulary.get(token).and_then(id));
    for role in ["unk_token", "pad_token", "mask_token"] {
        special(role)?;
    }
    let prefix = settings.add_prefix_space.unwrap_or(false);
    let (cls, sep) = (special("cls_token")?, special("sep_token")?);
    let parts = json!({
        "pre_tokenizer": {
            "type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true, "use_regex": true,
        },
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": sep,
            "cls": cls,
            "trim_offsets": settings.trim_offsets.unwrap_or(true),
            "add_prefix_space": prefix,
        },
        "model": {
            "type": "BPE",
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "merges": parse_merges(merges)?,
            "vocab": vocabulary,
        },
    });
    match parts {
        Value::Object(parts) => Ok(parts),
        _ => Ok(Map::new()),
    }
}

/// The pairs of a `merges.txt`, as `RobertaTokenizer` reads it: without the first line, which names a version, and without
/// what follows the last line end.
fn parse_merges(bytes: &[u8]) -> Result<Vec<(&str, &str)>, TokenizerError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        TokenizerError::Merge { line: line + 1, found: "bytes that are not UTF-8".to_owned() }
    })?;
    let ended = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut known = HashSet::new();
    let mut merges = Vec::new();
    for (line, text) in ended.split('\n').enumerate().skip(1) {
        let mut tokens = text.split_whitespace();
        let pair = match (tokens.next(), tokens.next(), tokens.next()) {
            (Some(left), Some(right), None) => (left, right),
            _ => return Err(TokenizerError::Merge { line: line + 1, found: format!("`{text}`") }),
        };
        if known.insert(pair) {
            merges.push(pair);
        }
    }
    Ok(merges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_are_read_as_in_python() {
        assert_eq!(
            parse_merges(b"#version: 0.2\na b\r\nab c\na b\n").unwrap(),
            [("a", "b"), ("ab", "c")]
        );
        // The first line and the end without a line end are not read.
        assert_eq!(parse_merges(b"a b\nb c\nc d").unwrap(), [("b", "c")]);
        assert_eq!(parse_merges(b"").unwrap(), []);
        let refused = |bytes: &[u8]| parse_merges(bytes).unwrap_err().to_string();
        assert!(refused(b"#\na b c\n").contains("merges.txt line 2 has `a b c`"));
        assert!(refused(b"#\na b\n\n").contains("merges.txt line 3 has ``"));
        assert!(refused(b"#\na \xff\n").contains("merges.txt line 2 has bytes"));
    }
}
