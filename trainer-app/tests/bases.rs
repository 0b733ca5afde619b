//! Bases as a user has them: whole, damaged, of another kind, and with settings off the beaten path.
#![expect(clippy::unwrap_used, reason = "a test may fail at any line")]

#[expect(dead_code, reason = "shared with the tests of runs, which use all of it")]
#[path = "runs/desk.rs"]
mod desk;
mod tiny_base;

use desk::{Desk, TRAIN};
use serde_json::{Value, json};

/// The file of a base, changed.
fn change(desk: &Desk, file: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let path = desk.path("base").join(file);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(path, change(bytes)).unwrap();
}

fn configure(desk: &Desk, key: &str, value: Value) {
    change(desk, "config.json", |bytes| {
        let mut config: Value = serde_json::from_slice(&bytes).unwrap();
        config[key] = value;
        config.to_string().into_bytes()
    });
}

/// What a command that has to fail prints; its exit code is 1.
fn refused(desk: &Desk, line: &str) -> String {
    let output = desk.run(line);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}: {said}");
    said
}

#[test]
fn a_whole_base_is_shown_with_its_identity() {
    let desk = Desk::new();
    let shown = desk.says("base base");
    assert!(shown.contains("complete:") && shown.contains("with pooler"), "{shown}");
    let json: Value = serde_json::from_str(&desk.says("base base --json")).unwrap();
    assert_eq!(json["tokenizer"]["tokens"], 64);
    assert_eq!(json["tokenizer"]["fingerprint"].as_str().unwrap().len(), 64);
    assert_eq!(json["pooler"], true);
}

#[test]
fn a_base_is_inspected_without_reading_its_weights_and_what_is_missing_is_listed() {
    let desk = Desk::new();
    let shown = desk.says("base inspect base");
    for line in [
        "family      BERT",
        "size        2 layers, 32 wide, 4 heads,",
        "texts       24 tokens at most",
        "tokenizer   WordPiece with 64 tokens (BertTokenizerFast)",
        "classifier  a linear layer on the base's pooler",
        "rate        1e-4 for --method full and top-K",
        "files       config.json (",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(!shown.contains("missing"), "{shown}");
    let whole: Value = serde_json::from_str(&desk.says("base base --json")).unwrap();
    let json: Value = serde_json::from_str(&desk.says("base inspect base --json")).unwrap();
    assert_eq!(json["parameters"], whole["parameters"]);
    assert_eq!(json["missing"], json!([]));
    assert_eq!(json["tokenizer"]["algorithm"], "WordPiece");

    std::fs::remove_file(desk.path("base/model.safetensors")).unwrap();
    std::fs::remove_file(desk.path("base/vocab.txt")).unwrap();
    let shown = desk.says("base inspect base");
    assert!(shown.contains("missing     tokenizer: "), "{shown}");
    assert!(shown.contains("missing     weights: "), "{shown}");
    let said = refused(&desk, "base inspect no/such");
    assert!(said.contains("no/such is not on this machine; download it with"), "{said}");
}

#[test]
fn bases_are_listed_by_name() {
    let desk = Desk::new();
    let json: Value = serde_json::from_str(&desk.says("base list --json")).unwrap();
    let known: Vec<_> = json["known"]
        .as_array()
        .unwrap()
        .iter()
        .map(|base| base["name"].as_str().unwrap())
        .collect();
    assert!(known.contains(&"minilm") && known.contains(&"deberta-v3-base"), "{known:?}");
    assert!(desk.says("base list").contains("known names"), "{json}");
}

/// Something that is done to a base.
type Damage<'a> = &'a dyn Fn(&Desk);

#[test]
fn a_damaged_base_is_refused_before_anything_is_trained() {
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() * 2 / 3].to_vec();
    let without_a_line =
        |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace("w20\n", "").into_bytes();
    let cases: [(Damage, &str); 5] = [
        (&|desk| change(desk, "model.safetensors", cut), "is not a complete file of weights"),
        (
            &|desk| change(desk, "vocab.txt", |bytes| [bytes, b"w64\n".to_vec()].concat()),
            "the token `w64` has the id 64, and the base's word embeddings have 64 rows",
        ),
        (
            &|desk| change(desk, "vocab.txt", cut),
            "42 tokens and the base's word embeddings have 64",
        ),
        (
            &|desk| configure(desk, "model_type", json!("gpt2")),
            "model_type gpt2, expected one of bert",
        ),
        (&|desk| configure(desk, "num_hidden_layers", json!(40_000)), "expected 40000"),
    ];
    for (damage, expected) in cases {
        let desk = Desk::new();
        damage(&desk);
        let said = refused(&desk, "base base");
        assert!(said.contains(expected), "{expected}: {said}");
        let said = refused(&desk, TRAIN);
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(!desk.path("runs").exists());
    }
    // One line less could be a table that is rounded up: a warning.
    let desk = Desk::new();
    change(&desk, "vocab.txt", without_a_line);
    let output = desk.run("base base");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success());
    assert!(said.contains("warning: base: the base's word embeddings have 64 rows"), "{said}");
}

#[test]
fn what_a_base_asks_for_and_is_not_done_is_printed_once() {
    let desk = Desk::new();
    configure(&desk, "alibi_starting_size", json!(512));
    let output = desk.run(&TRAIN.replace("--epochs 3", "--epochs 1"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("has the unknown key `alibi_starting_size`").count(), 1, "{said}");
}

#[test]
fn texts_are_as_long_as_the_base_has_positions() {
    let desk = Desk::new();
    let line = TRAIN.replace("--max-length 16", "--name short").replace("--epochs 3", "--epochs 1");
    let output = desk.run(&line);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("texts are truncated to 24 tokens, the number of positions of base"),
        "{said}"
    );
    let config = std::fs::read_to_string(desk.path("runs/rows/short/config.toml")).unwrap();
    assert!(config.contains("max_length = 24"), "{config}");
    let said = refused(&desk, &TRAIN.replace("--max-length 16", "--max-length 25"));
    assert!(said.contains("25") && said.contains("--max-length"), "{said}");
}

#[test]
fn a_value_of_the_wrong_type_is_shown_with_its_key() {
    let desk = Desk::new();
    let path = desk.path("base/config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["num_attention_heads"] = json!("4");
    std::fs::write(&path, config.to_string()).unwrap();
    let shown = desk.says("base inspect base");
    let expected =
        "config.json has a value of num_attention_heads that cannot be read: invalid type";
    assert!(shown.contains(expected), "{shown}");
}
