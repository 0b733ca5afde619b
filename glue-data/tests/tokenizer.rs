//! A base's tokenizer against transformers', and what is refused.
//!
//! The numbers were computed with transformers 4.57.6 by `goldens/tokenizer_settings.py`.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::{Path, PathBuf};

use glue_data::{DataError, Example, TextEncoder, TokenizerWarning};
use serde_json::{Map, Value, json};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn fixture_json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

/// A directory with some files, each its text or JSON.
fn directory(files: &Map<String, Value>) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (file, content) in files {
        let text = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
        std::fs::write(directory.path().join(file), text).unwrap();
    }
    directory
}

fn read(files: &Value, max_length: usize) -> Result<TextEncoder, DataError> {
    TextEncoder::from_directory(directory(files.as_object().unwrap()).path(), max_length)
}

fn refused(files: &Value) -> String {
    read(files, 64).unwrap_err().to_string()
}

fn example(text: &str, text2: Option<&str>) -> Example {
    Example { text: text.to_owned(), text2: text2.map(str::to_owned), label: None }
}

fn vocabulary() -> String {
    std::fs::read_to_string(fixture("vocab.txt")).unwrap()
}

fn whole() -> Value {
    fixture_json("tokenizer/tokenizer.json")
}

#[test]
fn token_ids_follow_every_setting_as_in_transformers() {
    let golden = fixture_json("tokenizer_settings.json");
    let texts: Vec<Example> = golden["texts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| example(text.as_str().unwrap(), None))
        .collect();
    let pair = [example(golden["pair"][0].as_str().unwrap(), golden["pair"][1].as_str())];
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() > 25);
    for case in cases {
        let name = &case["name"];
        let ids = |max_length| {
            let encoder =
                read(&case["files"], max_length).unwrap_or_else(|error| panic!("{name}: {error}"));
            let rows = encoder.encode(&texts).unwrap();
            json!(rows.rows().iter().map(|row| row.ids.clone()).collect::<Vec<_>>())
        };
        assert_eq!(ids(512), case["ids"], "{name}");
        assert_eq!(ids(6), case["cut"], "{name}");
        let encoded = read(&case["files"], 9).unwrap().encode(&pair).unwrap();
        let encoded = &encoded.rows()[0];
        assert_eq!(json!([encoded.ids, encoded.type_ids]), case["pair"], "{name}");
    }
}

#[test]
fn a_long_text_has_the_first_tokens_of_the_whole() {
    let files = json!({ "vocab.txt": vocabulary() });
    let (short, long) = (read(&files, 6).unwrap(), read(&files, 65_536).unwrap());
    let word = "the cat's na\u{ef}ve [MASK] ";
    let texts = [
        word.repeat(200),
        // Words without a token: an accent alone, and control characters.
        format!("{}{}", "\u{301} \u{1}\u{ad} ".repeat(100), word.repeat(2)),
        format!("{}{word}", "x".repeat(4_000)),
        "\u{4e00}\u{4e8c}".repeat(300),
        " ".repeat(5_000),
        "cat ".to_owned() + &"-".repeat(3_000),
    ]
    .map(|text| example(&text, None));
    let (cut, whole) = (short.encode(&texts).unwrap(), long.encode(&texts).unwrap());
    for ((cut, whole), text) in cut.rows().iter().zip(whole.rows()).zip(&texts) {
        let mut expected = whole.ids.clone();
        let sep = expected.pop().unwrap();
        expected.truncate(5);
        expected.push(sep);
        assert_eq!(cut.ids, expected, "{:?}", &text.text[..12]);
    }
    let longer = whole.rows().iter().filter(|row| row.ids.len() > 6).count();
    assert_eq!((cut.cut(), longer), (5, 5));
    let long = example(&word.repeat(1_000_000), None);
    assert_eq!(short.encode(&[long]).unwrap().cut(), 1);
}

#[test]
fn every_key_that_transformers_writes_is_known() {
    for class in ["BertTokenizer", "BertTokenizerFast"] {
        let keys = fixture_json("tokenizer_keys.json");
        let mut words: Vec<&str> =
            "[PAD] [UNK] [CLS] [SEP] [MASK] [unused0] the ##s".split(' ').collect();
        // added_tokens_decoder has [unused0] as the sixth.
        words.extend(["a", "b"]);
        let files = json!({
            "vocab.txt": words.join("\n"),
            "tokenizer_config.json": keys[format!("{class}/tokenizer_config.json")],
            "special_tokens_map.json": keys[format!("{class}/special_tokens_map.json")],
        });
        assert_eq!(read(&files, 16).unwrap().warnings(), [], "{class}");
    }
}

#[test]
fn settings_that_are_not_supported_are_refused_by_name() {
    let settings = [
        (json!({ "tokenizer_class": "BertJapaneseTokenizer" }), "BertJapaneseTokenizer"),
        (json!({ "tokenizer_class": "LlamaTokenizerFast" }), "LlamaTokenizerFast"),
        (json!({ "word_tokenizer_type": "mecab" }), "word_tokenizer_type \"mecab\""),
        (json!({ "subword_tokenizer_type": "character" }), "subword_tokenizer_type"),
        (json!({ "padding_side": "left" }), "padding_side \"left\""),
        (json!({ "do_basic_tokenize": false }), "do_basic_tokenize false"),
        (json!({ "never_split": ["x"] }), "never_split [\"x\"]"),
        (json!({ "clean_text": false }), "clean_text false"),
        (json!({ "wordpieces_prefix": "_" }), "wordpieces_prefix"),
        (json!({ "split_special_tokens": true }), "split_special_tokens true"),
        (json!({ "extra_special_tokens": { "image_token": "<i>" } }), "extra_special_tokens"),
        (json!({ "model_input_names": "input_ids" }), "model_input_names"),
        (json!({ "vocab_type": "bpe" }), "vocab_type \"bpe\""),
        (json!({ "auto_map": { "AutoTokenizer": ["a", "b"] } }), "auto_map"),
        (json!({ "do_lower_case": "yes" }), "do_lower_case \"yes\", expected true or false"),
        (json!({ "strip_accents": 1 }), "strip_accents 1, expected true or false"),
        (json!({ "truncation_side": "middle" }), "truncation_side \"middle\""),
        (json!({ "cls_token": 5 }), "cls_token 5, expected a token"),
        (json!({ "cls_token": "<s>" }), "the vocabulary has no <s>, which is the cls_token"),
        (json!({ "mask_token": null }), "mask_token"),
        (json!({ "added_tokens_decoder": { "x": {} } }), "added_tokens_decoder"),
        (
            json!({ "added_tokens_decoder": { "7": { "content": "new" } } }),
            "tokenizer_config.json gives `new` the id 7",
        ),
        (json!([]), "tokenizer_config.json: invalid type"),
    ];
    for (config, expected) in settings {
        let said = refused(&json!({ "vocab.txt": vocabulary(), "tokenizer_config.json": config }));
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let said = refused(&json!({
        "vocab.txt": vocabulary(),
        "config.json": { "tokenizer_class": "BertJapaneseTokenizer" },
    }));
    assert!(said.contains("config.json has tokenizer_class \"BertJapaneseTokenizer\""), "{said}");
    let said =
        refused(&json!({ "vocab.txt": vocabulary(), "config.json": { "model_type": "gpt2" } }));
    assert!(said.contains("config.json has model_type \"gpt2\""), "{said}");
    assert!(said.contains("expected one of bert, distilbert, electra, mpnet, roberta"), "{said}");
    let plain = json!({ "tokenizer_class": "PreTrainedTokenizerFast" });
    let said = refused(&json!({ "vocab.txt": vocabulary(), "tokenizer_config.json": plain }));
    assert!(said.contains("expected tokenizer.json for PreTrainedTokenizerFast"), "{said}");
}

#[test]
fn a_file_that_cannot_be_read_is_not_an_absent_one() {
    for file in ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"] {
        let said = refused(&json!({ "vocab.txt": vocabulary(), file: "{\"do_lower" }));
        assert!(said.contains(file) && said.contains("EOF while parsing"), "{said}");
    }
    let said = refused(&json!({ "vocab.txt": vocabulary(), "tokenizer.json": "{" }));
    assert!(said.contains("tokenizer.json: EOF while parsing"), "{said}");
    let unreadable = directory(json!({ "vocab.txt": vocabulary() }).as_object().unwrap());
    std::fs::create_dir(unreadable.path().join("tokenizer_config.json")).unwrap();
    let said = TextEncoder::from_directory(unreadable.path(), 64).unwrap_err().to_string();
    assert!(said.contains("tokenizer_config.json cannot be read"), "{said}");
}

#[test]
fn a_cased_vocabulary_needs_a_statement() {
    let cased = vocabulary() + "The\nThere\n";
    let said = refused(&json!({ "vocab.txt": cased }));
    assert!(said.contains("2 of the 61 words in vocab.txt have upper-case letters"), "{said}");
    assert!(said.contains("write {\"do_lower_case\": false} into tokenizer_config.json"), "{said}");
    for do_lower_case in [true, false] {
        let config = json!({ "do_lower_case": do_lower_case });
        let files = json!({ "vocab.txt": cased, "tokenizer_config.json": config });
        assert_eq!(read(&files, 64).unwrap().warnings(), []);
    }
}

#[test]
fn a_default_does_not_overrule_a_tokenizer_json() {
    for (key, theirs, value) in [
        ("do_lower_case", "lowercase", false),
        ("strip_accents", "strip_accents", false),
        ("tokenize_chinese_chars", "handle_chinese_chars", false),
    ] {
        let mut json = whole();
        json["normalizer"][theirs] = value.into();
        let said = refused(&json!({ "tokenizer.json": json }));
        assert!(said.contains(&format!("tokenizer.json has {key} {value}")), "{said}");
        let stated = json!({ "tokenizer.json": json, "tokenizer_config.json": { key: value } });
        assert_eq!(read(&stated, 64).unwrap().warnings(), []);
        let plain = json!({ "tokenizer_class": "PreTrainedTokenizerFast" });
        let plain = json!({ "tokenizer.json": json, "tokenizer_config.json": plain });
        assert_eq!(read(&plain, 64).unwrap().warnings(), []);
    }
}

#[test]
fn contradictions_are_warned_of_by_name() {
    let warnings = |files: Value| -> Vec<String> {
        read(&files, 64).unwrap().warnings().iter().map(ToString::to_string).collect()
    };
    let config = json!({ "do_lower_case": false, "surprise": 1 });
    let found = warnings(json!({ "tokenizer.json": whole(), "tokenizer_config.json": config }));
    assert_eq!(
        found,
        [
            "tokenizer_config.json has the unknown key `surprise`, which is not used",
            "tokenizer_config.json has do_lower_case false and tokenizer.json true; the former is used, as transformers does",
        ]
    );
    let other = vocabulary().replace("w9\n", "");
    let found = warnings(json!({ "tokenizer.json": whole(), "vocab.txt": other }));
    assert!(found[0].starts_with("vocab.txt line 10 is `w10`"), "{found:?}");
    let listed = json!({ "do_lower_case": true, "cls_token": "[CLS]", "added_tokens_decoder": {} });
    let map = json!({ "cls_token": "<s>", "additional_special_tokens": ["x"], "odd": "y" });
    let found = warnings(
        json!({ "tokenizer.json": whole(), "tokenizer_config.json": listed, "special_tokens_map.json": map }),
    );
    assert!(found[0].contains("unknown key `odd`"), "{found:?}");
    assert!(found[1].contains("another cls_token"), "{found:?}");
    assert!(found[2].contains("another additional_special_tokens"), "{found:?}");
}

#[test]
fn the_padding_token_has_its_own_id() {
    let config = json!({ "pad_token": "w9" });
    let files = json!({ "vocab.txt": vocabulary(), "tokenizer_config.json": config });
    assert_eq!(read(&files, 64).unwrap().pad_id(), 9);
}

#[test]
fn a_tokenizer_json_that_is_not_whole_is_refused() {
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut json = whole();
        change(&mut json);
        refused(&json!({ "tokenizer.json": json }))
    };
    let vocabulary = |json: &mut Value| json["model"]["vocab"].as_object_mut().unwrap().clone();
    let without = |token: &'static str| {
        move |json: &mut Value| {
            json["model"]["vocab"].as_object_mut().unwrap().remove(token).unwrap();
        }
    };
    let said = changed(&without("w20"));
    assert!(said.contains("no token has the id 20, although ids go up to 63"), "{said}");
    // What follows has moved up.
    let said = changed(&|json| {
        let moved = vocabulary(json)
            .into_iter()
            .filter(|(token, _)| token != "[UNK]")
            .map(|(token, id)| (token, json!(id.as_u64().unwrap().saturating_sub(1))));
        json["model"]["vocab"] = Value::Object(moved.collect());
    });
    assert!(said.contains("gives `[UNK]` the id 1, but in the vocabulary it"), "{said}");
    let said = changed(&|json| json["post_processor"] = Value::Null);
    assert!(said.contains("post_processor null, expected TemplateProcessing"), "{said}");
    let said = changed(&|json| json["post_processor"]["special_tokens"] = json!({}));
    assert!(said.contains("uses the special token `[CLS]` and does not define it"), "{said}");
    let said = changed(&|json| {
        json["post_processor"]["special_tokens"]["[SEP]"]["ids"] = json!([9]);
    });
    assert!(said.contains("gives `[SEP]` the id 9, but in the vocabulary it has 3"), "{said}");
    let said = changed(&|json| {
        json["post_processor"]["single"].as_array_mut().unwrap().remove(0);
    });
    assert!(said.contains("makes [\"text\", \"[SEP]\"] of texts"), "{said}");
    let said = changed(&|json| json["model"]["unk_token"] = "<unk>".into());
    assert!(said.contains("the vocabulary has no <unk>"), "{said}");
    let said = changed(&|json| json["padding"] = json!({ "direction": "Left" }));
    assert!(said.contains("padding"), "{said}");
}

/// A byte order mark is a control character, which the normalizer removes.
#[test]
fn an_added_token_that_is_normalized_to_nothing_is_refused() {
    let added = json!({ "\u{feff}": 64 });
    let said = refused(&json!({ "vocab.txt": vocabulary(), "added_tokens.json": added }));
    assert!(said.contains("is empty after the tokenizer's normalizer"), "{said}");
}

#[test]
fn a_decoder_is_not_read() {
    let mut json = whole();
    json["decoder"] = json!({ "type": "of another time" });
    assert_eq!(read(&json!({ "tokenizer.json": json }), 64).unwrap().warnings(), []);
}

#[test]
fn a_vocabulary_that_lost_a_line_does_not_fit_its_base() {
    let rows = vocabulary().lines().count();
    assert_eq!(rows, 64);
    let encoder = |text: String| read(&json!({ "vocab.txt": text }), 64).unwrap();
    assert_eq!(encoder(vocabulary()).check_rows(rows).unwrap(), None);
    // One more line than the table has rows, and one less: a table of 65 rows is not rounded up.
    let said = encoder(vocabulary() + "w64\n").check_rows(64).unwrap_err().to_string();
    assert!(said.contains("the token `w64` has the id 64"), "{said}");
    let said = encoder(vocabulary()).check_rows(65).unwrap_err().to_string();
    assert!(said.contains("has 64 tokens and the base's word embeddings have 65 rows"), "{said}");
    // 63 tokens in a table of 64 rows may be a table that is rounded up.
    let shorter = encoder(vocabulary().replace("w40\n", ""));
    let warning = TokenizerWarning::UnusedRows { tokens: 63, rows: 64 };
    assert_eq!(shorter.check_rows(64).unwrap(), Some(warning));
    for rows in [65, 72, 80, 128] {
        assert!(shorter.check_rows(rows).is_err(), "{rows}");
    }
}

#[test]
fn a_length_without_room_for_text_is_refused() {
    for length in [0, 1, 3] {
        let said = read(&json!({ "vocab.txt": vocabulary() }), length).unwrap_err().to_string();
        assert!(said.contains(&format!("cut at {length} tokens, expected at least 4")), "{said}");
    }
}

#[test]
fn a_vocabulary_and_the_tokenizer_json_made_from_it_have_one_fingerprint() {
    let fingerprint = |files: Value| read(&files, 6).unwrap().fingerprint();
    let whole_vocabulary = fingerprint(json!({ "vocab.txt": vocabulary() }));
    assert_eq!(fingerprint(json!({ "tokenizer.json": whole() })), whole_vocabulary);
    // It does not depend on the length.
    let longer = read(&json!({ "vocab.txt": vocabulary() }), 9).unwrap();
    assert_eq!(longer.fingerprint(), whole_vocabulary);
    let differ = [
        json!({ "vocab.txt": vocabulary().replace("w40\n", "") }),
        json!({ "vocab.txt": vocabulary(), "tokenizer_config.json": { "do_lower_case": false } }),
        json!({ "vocab.txt": vocabulary(), "tokenizer_config.json": { "strip_accents": false } }),
        json!({ "vocab.txt": vocabulary(), "tokenizer_config.json": { "truncation_side": "left" } }),
        json!({ "vocab.txt": vocabulary(), "added_tokens.json": { "new": 64 } }),
    ];
    for files in differ {
        assert_ne!(fingerprint(files.clone()), whole_vocabulary, "{files}");
    }
    // Stated or not, lower-casing strips accents.
    let stated = json!({ "do_lower_case": true, "strip_accents": true });
    let stated = json!({ "vocab.txt": vocabulary(), "tokenizer_config.json": stated });
    assert_eq!(fingerprint(stated), whole_vocabulary);
}
