//! The table of normalized characters in a SentencePiece model, checked before the tokenizers crate reads it.
//!
//! `precompiled_charsmap` is the size of a double-array trie, the trie, and the texts to which its values point:
//! <https://github.com/google/sentencepiece/blob/v0.2.0/src/normalizer.h>. The crate `spm_precompiled` allocates the declared
//! size, and panics when an entry points out of the trie.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Checks every table of a normalizer in `tokenizer.json`; the error says what is wrong.
pub(super) fn check_json(normalizer: &Value) -> Result<(), &'static str> {
    match normalizer {
        Value::Object(step) => {
            let table = step.get("precompiled_charsmap");
            let is_table = step.get("type").is_some_and(|kind| kind == "Precompiled");
            if is_table || table.is_some() {
                // The tokenizers crate panics where there is none.
                let table = table.and_then(Value::as_str).ok_or("it is not there")?;
                check(&STANDARD.decode(table).map_err(|_| "it is not base64")?)?;
            }
            step.values().try_for_each(check_json)
        }
        Value::Array(steps) => steps.iter().try_for_each(check_json),
        _ => Ok(()),
    }
}

/// Checks a table; the error says what is wrong.
pub(super) fn check(table: &[u8]) -> Result<(), &'static str> {
    let (size, rest) = table.split_first_chunk().ok_or("it has no size")?;
    let size = usize::try_from(u32::from_le_bytes(*size)).unwrap_or(usize::MAX);
    if size == 0 || !size.is_multiple_of(4) || size > rest.len() {
        return Err("its trie is longer than itself, or empty");
    }
    let (trie, texts) = rest.split_at(size);
    let texts = std::str::from_utf8(texts).map_err(|_| "its texts are not UTF-8")?;
    let (units, _) = trie.as_chunks();
    let units: Vec<u32> = units.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
    walk(&units, texts)
}

/// Follows every path from the root, and checks that its entries are in the trie and its values in the texts.
fn walk(units: &[u32], texts: &str) -> Result<(), &'static str> {
    const OUTSIDE: &str = "an entry points out of its trie";
    // As `Darts::DoubleArrayUnit`.
    let offset = |unit: u32| ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize;
    let label = |unit: u32| unit & (1 << 31 | 0xFF);
    let has_value = |unit: u32| unit >> 8 & 1 == 1;
    let mut is_known = vec![false; units.len()];
    let mut open = vec![offset(units[0])];
    while let Some(base) = open.pop() {
        for byte in 1..=0xFF_u32 {
            let position = base ^ byte as usize;
            let unit = *units.get(position).ok_or(OUTSIDE)?;
            if label(unit) != byte {
                continue;
            }
            let next = position ^ offset(unit);
            if has_value(unit) {
                let value = units.get(next).ok_or(OUTSIDE)? & !(1 << 31);
                if texts.get(value as usize..).is_none() {
                    return Err("an entry points out of its texts");
                }
            }
            if !std::mem::replace(&mut is_known[position], true) {
                open.push(next);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trie with the byte `a` whose value points at the first text.
    fn table(value: u32) -> Vec<u8> {
        let mut units = vec![0_u32; 512];
        // The root leads to 256, its child `a` is there, and the value is where that leads.
        units[0] = 256 << 10;
        let child = 256 ^ usize::from(b'a');
        units[child] = u32::from(b'a') | 1 << 8 | u32::from(b'a') << 10;
        units[256] = 1 << 31 | value;
        let mut table = 2048_u32.to_le_bytes().to_vec();
        table.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        table.extend(b"b\0");
        table
    }

    #[test]
    fn a_table_that_points_out_of_itself_is_refused() {
        check(&table(0)).unwrap();
        let read = tokenizers::normalizers::Precompiled::from(&table(0)).unwrap();
        assert_eq!(read.normalize_string("aca"), "bcb");
        assert_eq!(check(&table(3)), Err("an entry points out of its texts"));
        assert_eq!(check(b"abc"), Err("it has no size"));
        assert_eq!(check(&u32::MAX.to_le_bytes()), Err("its trie is longer than itself, or empty"));
        let mut outside = table(0);
        outside[4..8].copy_from_slice(&(600_u32 << 10).to_le_bytes());
        assert_eq!(check(&outside), Err("an entry points out of its trie"));
        let json = serde_json::json!({ "normalizers": [{ "precompiled_charsmap": "AAAA" }] });
        assert_eq!(check_json(&json), Err("it has no size"));
        for step in ["{\"type\": \"Precompiled\"}", "{\"precompiled_charsmap\": null}"] {
            let json = serde_json::from_str(step).unwrap();
            assert_eq!(check_json(&json), Err("it is not there"));
        }
    }
}
