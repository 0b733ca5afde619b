//! The fingerprint of a tokenizer, which does not depend on its file format.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokenizers::{Tokenizer, TruncationDirection};

/// Parts of a `tokenizer.json` that do not change token ids: decoding, and the padding and length that the caller sets.
const WITHOUT_EFFECT: [&str; 4] = ["version", "truncation", "padding", "decoder"];

/// The SHA-256 of a tokenizer's canonical form, in lower-case hexadecimal digits.
///
/// The vocabulary in the order of its ids, the added tokens and every step of the tokenizer are hashed. A `vocab.txt` and
/// the `tokenizer.json` that was made from it have the same fingerprint.
pub(crate) fn fingerprint(tokenizer: &Tokenizer) -> String {
    let is_left = tokenizer
        .get_truncation()
        .is_some_and(|truncation| truncation.direction == TruncationDirection::Left);
    // A tokenizer has only string keys and finite numbers, which always serialize.
    let mut value = serde_json::to_value(tokenizer).unwrap_or_default();
    if let Value::Object(parts) = &mut value {
        parts.retain(|part, _| !WITHOUT_EFFECT.contains(&part.as_str()));
        if let Some(Value::Object(normalizer)) = parts.get_mut("normalizer") {
            resolve_accents(normalizer);
        }
        if let Some(Value::Object(model)) = parts.get_mut("model") {
            round_scores(model);
        }
        if let Some(Value::Array(added)) = parts.get_mut("added_tokens") {
            // The flag only affects decoding.
            added.iter_mut().filter_map(Value::as_object_mut).for_each(|token| {
                token.remove("special");
            });
        }
        if is_left {
            parts.insert("truncation_side".to_owned(), "left".into());
        }
    }
    sort_keys(&mut value);
    let digest = Sha256::digest(value.to_string());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A `BertNormalizer` without `strip_accents` strips them if it lower-cases.
fn resolve_accents(normalizer: &mut Map<String, Value>) {
    if normalizer.get("strip_accents").is_some_and(Value::is_null)
        && let Some(lowercase) = normalizer.get("lowercase").cloned()
    {
        normalizer.insert("strip_accents".to_owned(), lowercase);
    }
}

/// Scores of SentencePiece are `f32`; read as decimal numbers of a `tokenizer.json`, the last bit of an `f64` may differ.
fn round_scores(model: &mut Map<String, Value>) {
    let is_unigram = model.get("type").is_some_and(|kind| kind == "Unigram");
    let Some(Value::Array(pieces)) = model.get_mut("vocab").filter(|_| is_unigram) else { return };
    for score in pieces.iter_mut().filter_map(|piece| piece.get_mut(1)) {
        if let Some(exact) = score.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "the score was an f32")]
            let rounded = exact as f32;
            *score = rounded.into();
        }
    }
}

/// Sorts the keys of every object, so that the form does not depend on the tokenizers crate.
fn sort_keys(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.sort_keys();
            map.values_mut().for_each(sort_keys);
        }
        Value::Array(items) => items.iter_mut().for_each(sort_keys),
        _ => {}
    }
}
