//! A base's tokenizer against transformers'.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::{Path, PathBuf};

use glue_data::TextEncoder;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn a_vocabulary_and_the_tokenizer_json_made_from_it_have_one_fingerprint() {
    let directory = tempfile::tempdir().unwrap();
    let vocabulary = std::fs::read_to_string(fixture("vocab.txt")).unwrap();
    let fingerprint = |vocabulary: &str| {
        std::fs::write(directory.path().join("vocab.txt"), vocabulary).unwrap();
        TextEncoder::from_directory(directory.path(), 6).unwrap().fingerprint()
    };
    let whole = fingerprint(&vocabulary);
    let from_json = TextEncoder::from_directory(&fixture("tokenizer"), 9).unwrap();
    assert_eq!(from_json.fingerprint(), whole);
    let (_, without_a_token) = vocabulary.rsplit_once("]\n").unwrap();
    let (_, without_a_token) = without_a_token.split_once('\n').unwrap();
    let shorter = vocabulary.replace(without_a_token, without_a_token.split_once('\n').unwrap().1);
    assert_ne!(fingerprint(&shorter), whole);
}
