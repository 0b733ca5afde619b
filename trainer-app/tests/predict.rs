//! `trainer predict` and `trainer train` with files of one's own, as a user types it.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod tiny_base;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tiny_base::lay_tiny_base;

const SINGLE: &str = "runs/rows/single/adapter.safetensors";
const PAIRS: &str = "runs/rows/pairs/adapter.safetensors";

/// A directory with a tiny base, and an adapter for single texts and one for pairs.
struct Desk {
    directory: tempfile::TempDir,
    words: Vec<String>,
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let words = lay_tiny_base(directory.path());
        let desk = Self { directory, words };
        let mut rows = String::from("body,other,team\n");
        for row in 0..24 {
            let (class, word) = [("x", &desk.words[0]), ("y", &desk.words[1])][row % 2];
            writeln!(rows, "{word},{word} {},{class}", desk.words[2 + row % 5]).unwrap();
        }
        desk.write("rows.csv", rows.as_bytes());
        desk
    }

    fn train(&self, arguments: &str) -> Output {
        let line = "train --base base --device cpu --plain --size 2 --epochs 1 --batch-size 8";
        let output = self.output(&format!("{line} {arguments}"), "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn single(&self) {
        self.train("--train rows.csv --text body --label team --max-length 8 --name single");
    }

    fn pairs(&self) {
        self.train(
            "--train rows.csv --text body --text2 other --label team --max-length 8 --name pairs",
        );
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn output(&self, line: &str, input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.current_dir(self.directory.path()).args(line.split_whitespace());
        command.env("TRAINER_CACHE", self.path("cache"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // What refuses its flags may have ended before it reads.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Standard output, by lines, and the notes on standard error.
    fn predict(&self, arguments: &str, input: &str) -> (Vec<String>, String) {
        let output = self.output(&format!("predict --base base --device cpu {arguments}"), input);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments}: {said}");
        let lines = String::from_utf8(output.stdout).unwrap();
        assert!(lines.ends_with('\n'), "{lines}");
        (lines.split_terminator('\n').map(str::to_owned).collect(), said)
    }

    /// The exit code and standard error of what is refused before the base is looked for.
    fn refuses(&self, arguments: &str, input: &str) -> (Option<i32>, String) {
        let output = self.output(&format!("predict --base nowhere {arguments}"), input);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("panicked") && output.stdout.is_empty(), "{said}");
        (output.status.code(), said)
    }
}

/// The texts of plain lines, in their order.
fn texts(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.splitn(3, '\t').nth(2).unwrap_or_default()).collect()
}

#[test]
fn a_line_is_printed_for_every_line() {
    let desk = Desk::new();
    desk.single();
    let input = "\u{feff}one\r\n\n  \na\tb\\c\nlast";
    let (lines, said) = desk.predict(SINGLE, input);
    assert_eq!(texts(&lines), ["one", "", "", "a\\tb\\\\c", "last"]);
    assert_eq!((lines[1].as_str(), lines[2].as_str()), ("", ""));
    assert!(said.contains("note: 2 of 5 texts are blank and have no label: lines 2, 3"), "{said}");
    assert!(!said.contains("tab"), "the adapter is known to read single texts: {said}");

    desk.write("lines.txt", input.as_bytes());
    assert_eq!(desk.predict(&format!("{SINGLE} --input lines.txt"), "").0, lines);
    let (objects, _) = desk.predict(&format!("{SINGLE} --json"), input);
    let objects: Vec<Value> =
        objects.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 5);
    assert_eq!(objects[2], json!({ "text": "  ", "label": null }));
    assert_eq!(objects[3]["text"], "a\tb\\c");
    assert!(objects[3]["probabilities"]["x"].is_number());
}

#[test]
fn a_text_is_predicted_before_the_next_is_written() {
    let desk = Desk::new();
    desk.single();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.current_dir(desk.directory.path()).args(["predict", SINGLE, "--base", "base"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    for text in ["one", "two"] {
        writeln!(input, "{text}").unwrap();
        assert!(output.next().unwrap().unwrap().ends_with(text));
    }
    // An endless input ends when the output is closed.
    drop(output);
    while input.write_all(b"more\n").is_ok() {}
    assert!(child.wait().unwrap().success());

    let long = format!("a\n{}", "x".repeat((1 << 20) + 1));
    let (code, said) = desk.refuses(SINGLE, &long);
    assert_eq!(code, Some(1));
    assert!(said.contains("standard input line 2: a line of more than 1048576 bytes"), "{said}");
}

#[test]
fn a_line_is_printed_for_every_row() {
    let desk = Desk::new();
    desk.single();
    desk.write("new.csv", b"id,text\n1,\"two\nlines\"\n2,\n\n3,c\n4,a\tb\n");
    let (lines, said) = desk.predict(&format!("{SINGLE} --input new.csv --text text"), "");
    assert_eq!(texts(&lines), ["two\\nlines", "", "c", "a\\tb"]);
    assert!(said.contains("note: 1 of 4 texts are blank and have no label: line 4"), "{said}");
    let (all_blank, _) = desk.predict(SINGLE, "\n\n");
    assert_eq!(all_blank, ["", ""]);
}

#[test]
fn a_dash_is_standard_input() {
    let desk = Desk::new();
    desk.single();
    desk.pairs();
    let (expected, _) = desk.predict(SINGLE, "one\ntwo\n");
    assert_eq!(desk.predict(&format!("{SINGLE} --input -"), "one\ntwo\n").0, expected);

    // With a column, it is a CSV file.
    let csv = "id,text,more\n1,\"one, two\",x\n2,,y\n";
    let (lines, said) = desk.predict(&format!("{SINGLE} --input - --text text"), csv);
    assert_eq!(texts(&lines), ["one, two", ""]);
    assert!(said.contains("1 of 2 texts are blank and have no label: line 3"), "{said}");
    let (lines, _) = desk.predict(&format!("{PAIRS} --input - --text text --text2 more"), csv);
    assert!(lines[0].ends_with("\tone, two\tx"), "{lines:?}");

    let check = |arguments: &str, input: &str, sentence: &str| {
        let (code, said) = desk.refuses(&format!("{SINGLE} --input - {arguments}"), input);
        assert!(said.contains(sentence), "{arguments}: {said}");
        assert_eq!(code, Some(1), "{arguments}: {said}");
    };
    check(
        "--text body",
        csv,
        "standard input as .csv has no column `body`; its columns are id, text, more",
    );
    check("--text text", "id,text\n1,\"one\n", "standard input as .csv line 2: ");
    check("--text text", "id,text\n1\n", "standard input as .csv line 2: ");
    check("", "", "there are no texts");
    check("--text text", "", "standard input as .csv");
}

#[test]
fn texts_that_are_cut_are_counted() {
    let desk = Desk::new();
    let long = desk.words[..9].join(" ");
    let rows = format!("body,team\n{long},x\n{long},y\n{long},x\n{long},y\n");
    desk.write("rows.csv", rows.as_bytes());
    let arguments = "--train rows.csv --text body --label team --max-length 8 --name single";
    let said = String::from_utf8(desk.train(arguments).stderr).unwrap();
    let note =
        "note: 4 of 4 texts are longer than 8 tokens and are cut; --max-length takes 24 at most";
    assert!(said.contains(note), "{said}");
    let (_, said) = desk.predict(SINGLE, &format!("{long}\nshort\n"));
    let note = "note: 1 of 2 texts are longer than the adapter's 8 tokens and are cut";
    assert!(said.contains(note), "{said}");
    let columns = "--text body --label team --base base --device cpu";
    let line = format!("evaluate {SINGLE} --input rows.csv {columns}");
    let said = String::from_utf8(desk.output(&line, "").stderr).unwrap();
    assert!(said.contains("note: 4 of 4 texts are longer than the adapter's 8 tokens"), "{said}");
    let said = String::from_utf8(desk.output(&format!("{line} --drop-layers each"), "").stderr);
    assert_eq!(said.unwrap().matches("note: 4 of 4 texts").count(), 1);
}

#[test]
fn pairs_are_read_as_the_adapter_was_trained() {
    let desk = Desk::new();
    desk.single();
    desk.pairs();
    let (objects, said) = desk.predict(&format!("{PAIRS} --json"), "a\tb\n\nc\td\n");
    let second = |line: &String| serde_json::from_str::<Value>(line).unwrap()["text2"].clone();
    assert_eq!(
        objects.iter().map(second).collect::<Vec<_>>(),
        [json!("b"), json!(null), json!("d")]
    );
    assert!(said.contains("1 of 3 texts are blank"), "{said}");
    let (code, said) = desk.refuses(PAIRS, "a\tb\nalone\n");
    assert_eq!(code, Some(1));
    assert!(
        said.contains("standard input line 2: 1 columns, expected 2 (the two texts of a pair, separated by a tab)"),
        "{said}"
    );

    let (code, said) = desk.refuses(&format!("{SINGLE} --pairs"), "a\tb\n");
    assert_eq!(code, Some(2));
    assert!(said.contains("trained on single texts, and --pairs reads pairs"), "{said}");
    let columns = "--input rows.csv --text body";
    let (code, said) = desk.refuses(&format!("{SINGLE} {columns} --text2 other"), "");
    assert_eq!(code, Some(2));
    assert!(said.contains("trained on single texts, and --text2 reads pairs"), "{said}");
    let (code, said) = desk.refuses(&format!("{PAIRS} {columns}"), "");
    assert_eq!(code, Some(2));
    assert!(said.contains("name the column of the second with --text2"), "{said}");

    for command in ["evaluate", "ablate"] {
        let line = |adapter: &str, columns: &str| {
            let line = format!("{command} {adapter} --input rows.csv --label team --base nowhere");
            let output = desk.output(&format!("{line} {columns}"), "");
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let (code, said) = line(PAIRS, "--text body");
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("name the column of the second with --text2"), "{said}");
        let (code, said) = line(SINGLE, "--text body --text2 other");
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("trained on single texts, and --text2 reads pairs"), "{said}");
    }
}

/// Files of version 1 do not say whether they read pairs.
#[test]
fn a_tab_is_text_where_the_adapter_does_not_say_more() {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let old = fixtures.join("written-by-0.1.0/runs/rows/houlsby/adapter.safetensors");
    let desk = Desk::new();
    std::fs::copy(old, desk.path("old.safetensors")).unwrap();
    let (lines, said) = desk.predict("old.safetensors", "a\tb\nc\n");
    assert_eq!(texts(&lines), ["a\\tb", "c"]);
    assert!(
        said.contains("a tab is part of the text in line 1; with --pairs it separates"),
        "{said}"
    );
    let (objects, said) = desk.predict("old.safetensors --pairs --json", "a\tb\n");
    assert!(objects[0].contains("\"text2\":\"b\"") && !said.contains("note"), "{said}");
}

#[test]
fn what_cannot_be_meant_is_refused_before_the_base_is_read() {
    let desk = Desk::new();
    desk.single();
    desk.write("new.tsv", b"text\tlabel\nthe oven\twarm\n");
    desk.write("new.jsonl", b"{\"text\": \"a\", \"id\": 1}\n");
    let check = |arguments: &str, expected: i32, sentence: &str| {
        let (code, said) = desk.refuses(&format!("{SINGLE} {arguments}"), "a\n");
        assert!(said.contains(sentence), "{arguments}: {said}");
        assert_eq!(code, Some(expected), "{arguments}: {said}");
    };
    check(
        "--input rows.csv",
        2,
        "rows.csv has named columns: choose the text with --text COL; its columns are body, other, team",
    );
    check("--input new.tsv", 2, "--text COL; its columns are text, label");
    check("--input new.jsonl", 2, "--text COL; its columns are id, text");
    desk.write("new.json", b"[{\"text\": \"a\"}]");
    check("--input new.json", 2, "new.json: expected JSON with an object a line");
    check("--input new.tsv --text Text", 1, "its columns are text, label; did you mean `text`?");
    check("--input missing.txt", 1, "missing.txt cannot be read");
    desk.write("l1.txt", b"the oven\ncaf\xe9 m\xfcde\n");
    check(
        "--input l1.txt",
        1,
        "l1.txt line 2: these bytes are not UTF-8, and look like Latin-1 (Windows-1252); save the file as UTF-8",
    );
    desk.write("nul.txt", b"the oven in room 3\nthe\0oven\n");
    check("--input nul.txt", 1, "nul.txt line 2: a NUL byte");
    desk.write("empty.txt", b"");
    check("--input empty.txt", 1, "there are no texts");
}

#[test]
fn numbers_as_classes_are_pointed_out() {
    let desk = Desk::new();
    let rows: String = (0..30).fold(String::from("body,team\n"), |rows, row| {
        format!("{rows}{},{}.5\n", desk.words[row % 7], row / 2)
    });
    desk.write("rows.csv", rows.as_bytes());
    let arguments = "--train rows.csv --text body --label team --max-length 8 --name single";
    let said = String::from_utf8(desk.train(arguments).stderr).unwrap();
    let note = "note: rows.csv: the labels of its 30 rows are 15 different numbers, each a class of its own; --score";
    assert!(said.contains(note), "{said}");
}

#[test]
fn classes_that_are_left_out_are_named() {
    let desk = Desk::new();
    let rows: String = (0..12).fold(String::from("body,team\n"), |rows, row| {
        format!("{rows}{},{}\n", desk.words[row], ["x", "y", "z"][row % 3])
    });
    desk.write("rows.csv", rows.as_bytes());
    let arguments =
        "--train rows.csv --text body --label team --max-length 8 --limit 1 --name single";
    let said = String::from_utf8(desk.train(arguments).stderr).unwrap();
    let note = said.lines().find(|line| line.starts_with("note: no training row has the label "));
    assert_eq!(note.unwrap().matches(", ").count(), 1, "two of the three: {said}");
}
