//! The tokenizer files of a base.

use std::path::Path;

use fuzz::Harness;
use glue_data::{Example, TextEncoder};
use serde_json::{Value, json};

use crate::files::{JSON, directory, fixture, run_with_file};

/// Reads a tokenizer and encodes texts with it.
fn tokenizes(directory: &Path) -> bool {
    let Ok(encoder) = TextEncoder::from_directory(directory, 12) else { return false };
    let texts = ["", "The café, 中国 hvac-unit [MASK] w9 w10\u{301}", "İ \u{fffd}\u{200b}ﬁ"];
    let mut examples: Vec<Example> = texts
        .iter()
        .map(|text| Example { text: (*text).to_owned(), text2: None, label: None })
        .collect();
    examples[1].text2 = Some("w11 [SEP] w12".to_owned());
    // A damaged tokenizer may refuse a text, but not panic on one.
    let _ = encoder.encode(&examples);
    let _ = encoder.check_rows(64);
    !encoder.fingerprint().is_empty()
}

fn run_tokenizer(name: &str, file: &str, seeds: &[Vec<u8>], files: &[(&str, &[u8])]) {
    let directory = directory(files);
    let harness = Harness { name, seeds, memory: JSON };
    run_with_file(&harness, &directory.path().join(file), || tokenizes(directory.path()));
}

fn vocabulary() -> Vec<u8> {
    fixture("glue-data/tests/fixtures/vocab.txt")
}

/// A file of a small tokenizer of one class.
fn kind(kind: &str, file: &str) -> Vec<u8> {
    fixture(&format!("glue-data/tests/fixtures/tokenizers/{kind}/{file}"))
}

#[test]
fn spm_model() {
    let settings = br#"{"tokenizer_class": "DebertaV2Tokenizer", "split_by_punct": true}"#;
    let files: [(&str, &[u8]); 1] = [("tokenizer_config.json", settings)];
    let seeds = ["deberta-v2", "deberta-v3"].map(|name| kind(name, "spm.model"));
    run_tokenizer("spm_model", "spm.model", &seeds, &files);
}

#[test]
fn sentencepiece_bpe_model() {
    let files: [(&str, &[u8]); 1] = [("config.json", br#"{"model_type": "camembert"}"#)];
    let file = "sentencepiece.bpe.model";
    let seeds = ["camembert", "xlm-roberta-bpe"].map(|name| kind(name, file));
    run_tokenizer("sentencepiece_bpe_model", file, &seeds, &files);
}

#[test]
fn vocab_json() {
    let merges = kind("roberta", "merges.txt");
    let files: [(&str, &[u8]); 2] =
        [("config.json", br#"{"model_type": "roberta"}"#), ("merges.txt", &merges)];
    run_tokenizer("vocab_json", "vocab.json", &[kind("roberta", "vocab.json")], &files);
}

#[test]
fn merges_txt() {
    let vocabulary = kind("roberta", "vocab.json");
    let files: [(&str, &[u8]); 2] =
        [("config.json", br#"{"model_type": "roberta"}"#), ("vocab.json", &vocabulary)];
    run_tokenizer("merges_txt", "merges.txt", &[kind("roberta", "merges.txt")], &files);
}

#[test]
fn vocab_txt() {
    let windows = String::from_utf8(vocabulary()).unwrap().replace('\n', "\r\n").into_bytes();
    run_tokenizer("vocab_txt", "vocab.txt", &[vocabulary(), windows], &[]);
}

#[test]
fn tokenizer_json() {
    let whole: Value =
        serde_json::from_slice(&fixture("glue-data/tests/fixtures/tokenizer/tokenizer.json"))
            .unwrap();
    let mut padded = whole.clone();
    padded["truncation"] =
        json!({ "direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0 });
    padded["padding"] = json!({ "strategy": "BatchLongest", "direction": "Right",
        "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]" });
    padded["added_tokens"][4]["normalized"] = true.into();
    padded["added_tokens"][4]["lstrip"] = true.into();
    // Other models, as PreTrainedTokenizerFast may have them.
    let mut pieces = whole.clone();
    let specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let words = ["a", "b", "c", "ab", "abc", "w", "9"];
    let ids = |tokens: &[&str]| -> Value {
        let ids = tokens
            .iter()
            .zip(0..)
            .map(|(token, id): (&&str, u32)| ((*token).to_owned(), Value::from(id)));
        Value::Object(ids.collect())
    };
    let all = ids(&[specials.as_slice(), &words].concat());
    pieces["model"] = json!({ "type": "BPE", "dropout": null, "unk_token": "[UNK]",
        "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
        "byte_fallback": false, "ignore_merges": false, "vocab": all,
        "merges": [["a", "b"], ["ab", "c"]] });
    let mut levels = whole.clone();
    levels["model"] = json!({ "type": "WordLevel", "vocab": all, "unk_token": "[UNK]" });
    let mut unigram = whole.clone();
    let scores: Vec<Value> =
        specials.iter().chain(&words).map(|token| json!([token, -1.5])).collect();
    unigram["model"] =
        json!({ "type": "Unigram", "unk_id": 1, "vocab": scores, "byte_fallback": false });
    unigram["normalizer"] = json!({ "type": "Sequence", "normalizers": [
        { "type": "NFKC" }, { "type": "Lowercase" }, { "type": "Replace", "pattern": { "Regex": "a+" }, "content": "a" } ] });
    unigram["pre_tokenizer"] = json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true });
    // With a table of normalized characters, as SentencePiece has it.
    let table: Value = serde_json::from_slice(&kind("deberta-v2", "saved.json")).unwrap();
    let mut normalized = unigram.clone();
    normalized["normalizer"] = table["normalizer"].clone();
    let seeds = [whole, padded, pieces, levels, unigram, normalized];
    let seeds = seeds.map(|seed| seed.to_string().into_bytes());
    run_tokenizer("tokenizer_json", "tokenizer.json", &seeds, &[]);
}

/// Two `tokenizer_config.json`.
fn settings() -> [Vec<u8>; 2] {
    let keys: Value =
        serde_json::from_slice(&fixture("glue-data/tests/fixtures/tokenizer_keys.json")).unwrap();
    let mut written = keys["BertTokenizerFast/tokenizer_config.json"].clone();
    written["added_tokens_decoder"].as_object_mut().unwrap().remove("5").unwrap();
    let other = json!({ "do_lower_case": false, "strip_accents": true, "truncation_side": "left",
        "cls_token": { "__type": "AddedToken", "content": "[CLS]", "lstrip": true },
        "additional_special_tokens": ["w9", { "content": "w10", "normalized": true, "rstrip": true }] });
    [written, other].map(|seed| seed.to_string().into_bytes())
}

#[test]
fn tokenizer_config_json() {
    let files: [(&str, &[u8]); 1] = [("vocab.txt", &vocabulary())];
    run_tokenizer("tokenizer_config_json", "tokenizer_config.json", &settings(), &files);
}

#[test]
fn tokenizer_config_json_beside_tokenizer_json() {
    let name = "tokenizer_config_json_beside_tokenizer_json";
    let whole = fixture("glue-data/tests/fixtures/tokenizer/tokenizer.json");
    let files: [(&str, &[u8]); 1] = [("tokenizer.json", &whole)];
    run_tokenizer(name, "tokenizer_config.json", &settings(), &files);
}

#[test]
fn special_tokens_map_json() {
    let seeds =
        [json!({ "cls_token": "[CLS]", "mask_token": { "content": "[MASK]", "lstrip": true },
        "additional_special_tokens": ["w9", "new"] })
        .to_string()
        .into_bytes()];
    let vocabulary = vocabulary();
    let files: [(&str, &[u8]); 1] = [("vocab.txt", &vocabulary)];
    run_tokenizer("special_tokens_map_json", "special_tokens_map.json", &seeds, &files);
}

#[test]
fn added_tokens_json() {
    let seeds = [br#"{"new": 64, "w9": 9, "Newer One": 65}"#.to_vec()];
    let vocabulary = vocabulary();
    let files: [(&str, &[u8]); 1] = [("vocab.txt", &vocabulary)];
    run_tokenizer("added_tokens_json", "added_tokens.json", &seeds, &files);
}
