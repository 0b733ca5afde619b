//! `trainer data`: SQuAD beside the table of tasks.
#![expect(clippy::unwrap_used, reason = "a test may fail at any line")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn run(directory: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.current_dir(directory).args(line.split_whitespace()).output().unwrap()
}

#[test]
fn squad_is_listed_with_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let list = String::from_utf8(run(directory.path(), "data list").stdout).unwrap();
    let squad = list.lines().find(|line| line.starts_with("squad ")).unwrap();
    let columns: Vec<&str> = squad.split_whitespace().take(6).collect();
    assert_eq!(columns, ["squad", "87599", "10570", "-", "spans", "f1"]);
    let list = String::from_utf8(run(directory.path(), "data list --json").stdout).unwrap();
    let tasks: Vec<Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let squad = tasks.iter().find(|task| task["task"] == "squad").unwrap();
    assert_eq!(squad["rows"], json!({ "train": 87599, "validation": 10570 }));
}

#[test]
fn the_questions_of_squad_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("squad")).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../glue-data/tests/fixtures/squad/dev-v1.1.json");
    std::fs::copy(fixture, directory.path().join("squad/dev-v1.1.json")).unwrap();
    let output = run(directory.path(), "data check squad --data .");
    assert_eq!(output.status.code(), Some(1));
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.contains("missing squad/train-v1.1.json"), "{lines}");
    let wrong = "WRONG  squad/dev-v1.1.json: 9 questions, expected 10570";
    assert!(lines.contains(wrong), "{lines}");
    let said =
        String::from_utf8(run(directory.path(), "data fetch squad --data .").stderr).unwrap();
    assert!(said.contains("squad cannot be downloaded: save train-v1.1.json"), "{said}");
}

#[test]
fn tasks_of_entities_are_listed_and_checked_with_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let list = String::from_utf8(run(directory.path(), "data list").stdout).unwrap();
    for expected in [
        ["helpdesk-entities", "529", "103", "105", "11", "f1"],
        ["wnut17", "3394", "1009", "1287", "13", "f1"],
    ] {
        let line =
            list.lines().find(|line| line.starts_with(&format!("{} ", expected[0]))).unwrap();
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), expected);
    }
    std::fs::create_dir(directory.path().join("wnut17")).unwrap();
    let rows = "a\tB-person\nb\tI-person\n\nc\tO\n";
    std::fs::write(directory.path().join("wnut17/wnut17train.conll"), rows).unwrap();
    std::fs::write(directory.path().join("wnut17/emerging.dev.conll"), "a\tB-animal\n").unwrap();
    let lines = run(directory.path(), "data check wnut17 --data .");
    let lines = String::from_utf8(lines.stdout).unwrap();
    assert!(lines.contains("WRONG  wnut17/wnut17train.conll: 2 rows, expected 3394"), "{lines}");
    assert!(
        lines.contains("emerging.dev.conll line 1: the label `B-animal` is none of"),
        "{lines}"
    );
    assert!(lines.contains("missing wnut17/emerging.test.annotated"), "{lines}");
    let said = run(directory.path(), "data fetch helpdesk-entities");
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("helpdesk-entities: included in the program"), "{said}");
}
