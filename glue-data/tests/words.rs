//! The tokens of words against transformers' (`is_split_into_words=True`), for a small tokenizer of every class
//! (`goldens/words.py`).

use std::path::Path;

use glue_data::TextEncoder;
use glue_data::tagging::{RowWord, TaggedText, WordWindows};
use serde_json::Value;

fn text(words: &[String]) -> TaggedText {
    let mut text = String::new();
    let ranges = words.iter().map(|word| {
        let start = text.len();
        text += word;
        start..text.len()
    });
    TaggedText { words: ranges.collect(), text, tags: None, line: 1 }
}

#[test]
fn words_have_the_tokens_of_transformers() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let golden = std::fs::read(fixtures.join("words.json")).unwrap();
    let golden: Value = serde_json::from_slice(&golden).unwrap();
    let texts: Vec<Vec<String>> = serde_json::from_value(golden["texts"].clone()).unwrap();
    let kinds = golden["kinds"].as_object().unwrap();
    assert_eq!(kinds.len(), 10);
    for (kind, expected) in kinds {
        let directory = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(fixtures.join("tokenizers").join(kind)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "saved.json" {
                std::fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
            }
        }
        let encoder = TextEncoder::from_directory(directory.path(), 512).unwrap();
        for (words, expected) in texts.iter().zip(expected.as_array().unwrap()) {
            let windows = WordWindows::cut(&[text(words)], &encoder).unwrap();
            let [row] = windows.rows().rows() else {
                panic!("{kind}, {words:?}: the text is short")
            };
            let ids: Vec<u32> = serde_json::from_value(expected["ids"].clone()).unwrap();
            assert_eq!(row.ids, ids, "{kind}, {words:?}");
            let of_tokens: Vec<Option<usize>> =
                serde_json::from_value(expected["words"].clone()).unwrap();
            let mut last = None;
            let mut firsts = Vec::new();
            for (position, word) in of_tokens.into_iter().enumerate() {
                if let Some(word) = word.filter(|word| last != Some(*word)) {
                    firsts.push(RowWord { position, word });
                }
                last = word;
            }
            assert_eq!(windows.words(), [firsts], "{kind}, {words:?}");
        }
    }
}
