//! `trainer score`, as a user types it.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

/// A directory with files.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new(files: &[(&str, &str)]) -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        for (name, content) in files {
            std::fs::write(desk.0.path().join(name), content).unwrap();
        }
        desk
    }

    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.current_dir(self.0.path()).args(line.split_whitespace()).output().unwrap()
    }

    fn says(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.says(&format!("{line} --json"))).unwrap()
    }

    #[track_caller]
    fn refuses(&self, line: &str, code: i32, sentence: &str) {
        let output = self.run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        assert!(said.contains(sentence), "{line}: {said}");
        assert!(output.stdout.is_empty(), "{line}");
    }
}

const GOLD: &str = "# a comment\nAna B-person\nSilva I-person\nis O\nin O\nRome B-city\n\nHi O\n";
const FOUND: &str = "Ana B-person\nSilva I-person\nis O\nin O\nRome I-person\n\nHi O\n";

#[test]
fn entities_are_scored_by_type() {
    let desk = Desk::new(&[("gold.conll", GOLD), ("out.txt", FOUND)]);
    let said = desk.says("score --gold gold.conll --predictions out.txt");
    let lines: Vec<Vec<&str>> =
        said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0].join(" "), "2 texts, 6 words, 2 entities; mode default");
    assert_eq!(lines[2], ["city", "0.000", "0.000", "0.000", "1"]);
    assert_eq!(lines[3], ["person", "50.000", "100.000", "66.667", "1"]);
    assert_eq!(lines[4], ["micro", "avg", "50.000", "50.000", "50.000", "2"]);
    assert_eq!(lines[7], ["accuracy", "83.333"]);
    let strict = desk.json("score --gold gold.conll --predictions out.txt --strict");
    assert_eq!(strict["mode"], "strict BIO");
    assert_eq!(strict["micro"], json!({ "precision": 1.0, "recall": 0.5, "f1": 2.0 / 3.0 }));
    assert_eq!(strict["by_type"][1]["type"], "person");
    assert_eq!(strict["confusion"]["counts"], json!([[0, 0, 1], [0, 1, 0], [0, 0, 0]]));
}

#[test]
fn a_file_may_have_the_tags_and_the_predicted_tags() {
    let both = "Ana NN B-person B-person\nis VB O O\nRome NN B-city O\n";
    let named = "word found gold\nAna B-person B-person\nis O O\nRome O B-city\n";
    let desk = Desk::new(&[("both.conll", both), ("named.conll", named), ("gold.conll", GOLD)]);
    let scores = desk.json("score --predictions both.conll");
    assert_eq!(scores["micro"]["recall"], 0.5);
    let scores = desk
        .json("score --predictions named.conll --tokens word --tags gold --predicted-tags found");
    assert_eq!(scores["micro"]["recall"], 0.5);
    desk.refuses(
        "score --predictions gold.conll",
        1,
        "gold.conll line 2: expected a word, its tag and its predicted tag in three or more columns",
    );
}

#[test]
fn spans_of_characters_are_scored_with_the_words_of_the_gold_file() {
    let gold = "PC-7 B-asset\nin O\nRome B-city\n";
    let found = json!({ "text": "PC-7 in Rome", "entities": [
        { "start": 0, "end": 4, "label": "asset", "text": "PC-7", "probability": 0.9 },
    ] });
    let other = json!({ "text": "PC-7 in Paris", "entities": [] });
    let desk = Desk::new(&[
        ("gold.conll", gold),
        ("out.jsonl", &found.to_string()),
        ("other.jsonl", &other.to_string()),
    ]);
    let scores = desk.json("score --gold gold.conll --predictions out.jsonl");
    assert_eq!(scores["micro"], json!({ "precision": 1.0, "recall": 0.5, "f1": 2.0 / 3.0 }));
    desk.refuses(
        "score --gold gold.conll --predictions other.jsonl",
        1,
        "other.jsonl line 1: another text than gold.conll line 1",
    );
}

#[test]
fn files_that_cannot_be_compared_are_refused_with_their_lines() {
    let desk = Desk::new(&[
        ("gold.conll", GOLD),
        ("short.conll", "Ana B-person\nSilva I-person\n"),
        ("other.conll", &FOUND.replace("Silva", "Sylva")),
        ("columns.conll", &FOUND.replace("is O", "is")),
        ("tag.conll", &FOUND.replace("is O", "is B")),
        ("scheme.conll", &FOUND.replace("I-person", "E-person")),
    ]);
    for (file, sentence) in [
        (
            "short",
            "short.conll line 2: the end of the text, expected the word `is` as in gold.conll line 4",
        ),
        (
            "other",
            "other.conll line 2: the word `Sylva`, expected the word `Silva` as in gold.conll line 3",
        ),
        ("columns", "columns.conll line 3: 1 columns, expected 2 as in line 1"),
        ("tag", "tag.conll line 3: the tag `B`: it has no type"),
        ("missing", "missing.conll cannot be read"),
    ] {
        desk.refuses(&format!("score --gold gold.conll --predictions {file}.conll"), 1, sentence);
    }
    desk.refuses(
        "score --gold gold.conll --predictions scheme.conll --strict",
        1,
        "scheme.conll line 2: the tag `E-person` is none of BIO, whose prefixes are O, B, I",
    );
    desk.refuses("score --gold gold.conll", 2, "--predictions");
}

#[test]
fn answers_of_squad_are_scored() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../glue-data/tests/fixtures/squad");
    let read = |name: &str| std::fs::read_to_string(fixtures.join(name)).unwrap();
    let desk = Desk::new(&[
        ("dev.json", &read("dev-v1.1.json")),
        ("predictions.json", &read("predictions.json")),
        ("empty.json", "{}"),
    ]);
    let expected: Value = serde_json::from_str(&read("scores.json")).unwrap();
    for line in ["score", "score --task squad"] {
        let found = desk.json(&format!("{line} --gold dev.json --predictions predictions.json"));
        assert_eq!((&found["questions"], &found["unanswered"]), (&json!(9), &json!(1)));
        let f1 = found["scores"]["f1"].as_f64().unwrap();
        assert!((100.0 * f1 - expected["f1"].as_f64().unwrap()).abs() < 1e-9, "{f1}");
    }
    desk.refuses(
        "score --gold dev.json --predictions empty.json",
        1,
        "empty.json has no answer to a question of dev.json",
    );
    desk.refuses(
        "score --gold dev.json --predictions predictions.json --strict",
        2,
        "--strict is for tags of words, and dev.json has questions",
    );
}

#[test]
fn submissions_are_scored_with_the_file_of_the_task() {
    let gold = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n1\tc\td\tnot_entailment\n";
    let desk = Desk::new(&[
        ("dev.tsv", gold),
        ("RTE.tsv", "index\tprediction\n0\tentailment\n1\tentailment\n"),
        ("order.tsv", "index\tprediction\n1\tentailment\n0\tentailment\n"),
        ("short.tsv", "index\tprediction\n0\tentailment\n"),
        ("label.tsv", "index\tprediction\n0\tyes\n1\tentailment\n"),
        ("out.jsonl", "{\"label\": \"entailment\"}\n{\"label\": \"not_entailment\"}\n"),
        ("test.tsv", "index\tsentence1\tsentence2\n0\ta\tb\n"),
    ]);
    let line = |file: &str| format!("score --task rte --gold dev.tsv --predictions {file}");
    assert_eq!(desk.json(&line("RTE.tsv"))["scores"]["accuracy"], 0.5);
    assert_eq!(desk.json(&line("out.jsonl"))["scores"]["accuracy"], 1.0);
    desk.refuses(&line("order.tsv"), 1, "order.tsv line 2: the index is 1, expected 0");
    desk.refuses(&line("short.tsv"), 1, "short.tsv has 1 predictions for 2 rows");
    desk.refuses(&line("label.tsv"), 1, "label.tsv line 2: the label `yes` is none of entailment");
    desk.refuses(
        "score --task rte --gold test.tsv --predictions RTE.tsv",
        1,
        "the labels of the test rows of rte are not published",
    );
}

#[test]
fn labels_of_own_files_are_scored() {
    let desk = Desk::new(&[
        ("new.csv", "body,team,hours\na,it,1\nb,it,2\nc,hr,4\n"),
        ("out.jsonl", "{\"label\": \"it\"}\n{\"label\": \"hr\"}\n{\"label\": \"hr\"}\n"),
        ("many.csv", "body,tags\na,x;y\nb,\n"),
        ("many.jsonl", "{\"labels\": [\"y\"]}\n{\"labels\": []}\n"),
        ("scores.jsonl", "{\"score\": 2}\n{\"score\": 4}\n{\"score\": 8}\n"),
    ]);
    let scores = desk.json("score --gold new.csv --label team --predictions out.jsonl");
    assert_eq!((&scores["rows"], &scores["scores"]["accuracy"]), (&json!(3), &json!(2.0 / 3.0)));
    let scores = desk.json("score --gold new.csv --label hours --predictions scores.jsonl");
    let pearson = scores["scores"]["pearson"].as_f64().unwrap();
    assert!((pearson - 1.0).abs() < 1e-9, "{pearson}");
    let many = "score --gold many.csv --label tags --predictions many.jsonl";
    let scores = desk.json(&format!("{many} --label-separator ;"));
    assert_eq!(scores["scores"]["subset-accuracy"], 0.5);
    desk.refuses(many, 1, "many.csv line 2: ");
    desk.refuses(
        "score --gold many.csv --label tags --predictions out.jsonl",
        1,
        "out.jsonl has 3 predictions for 2 rows",
    );
    desk.refuses(
        "score --gold new.csv --label group --predictions out.jsonl",
        1,
        "new.csv has no column `group`",
    );
}
