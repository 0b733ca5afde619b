//! Files of rows: one's own, and published ones.

use std::path::Path;

use fuzz::Harness;
use glue_data::tasks::custom::CustomFiles;
use glue_data::tasks::squad::{Squad, score};
use glue_data::{Split, encoding, tabular, tasks};

/// Of a file of 1 MB at most: its shortest rows are 4 bytes long, and each is held in two texts and their list.
const ROWS: usize = 64 << 20;
/// The same of JSON: its values and keys.
const JSON: usize = 32 << 20;

fn check(name: &str, file: &str, seeds: &[Vec<u8>]) {
    let path = Path::new(file);
    let read = |bytes: &[u8]| {
        let rows = tabular::parse_columns(path, bytes, &["text", "label"]);
        if let Ok(rows) = &rows {
            // A line for each row, none before the row above and none behind the end.
            let ends = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
            assert!(rows.iter().all(|row| row.fields.len() == 2 && row.line <= ends + 1));
            assert!(rows.is_sorted_by(|a, b| a.line < b.line));
        }
        rows.is_ok()
    };
    Harness { name, seeds, memory: ROWS }.run(read);
}

#[test]
fn csv() {
    let seeds = [
        b"text,label\n\"a, \"\"quoted\"\" one\",x\nplain,y\nthird,x\nfourth,y\n".to_vec(),
        b"text,label\r\nwith\ttab,x\r\n\"two\nlines\",y\r\n\r\nthird,x\r\nlast,y\r\n".to_vec(),
    ];
    check("csv", "rows.csv", &seeds);
}

#[test]
fn tsv() {
    let seeds = [
        b"text\tlabel\na \"quoted\" one\tx\nplain\ty\n".to_vec(),
        "\u{feff}label\ttext\r\nx\tna\u{ef}ve\r\n\r\ny\t\u{1f600}\r\n".as_bytes().to_vec(),
    ];
    check("tsv", "rows.tsv", &seeds);
}

#[test]
fn jsonl() {
    let seeds = [
        b"{\"text\": \"a\\nb \\ud83d\\ude00\", \"label\": 1}\n{\"label\": 0.5, \"text\": \"c\"}\n"
            .to_vec(),
        b"\n{\"text\": \"a\", \"label\": true, \"more\": [{\"b\": null}]}\r\n".to_vec(),
    ];
    check("jsonl", "rows.jsonl", &seeds);
}

/// From the file to the rows that are held out.
#[test]
fn own_files() {
    let seeds = [
        b"text,label\na,x\nb,y\nc,x\nd,y\ne,x\nf,y\n".to_vec(),
        "text,label\na,caf\u{e9}\nb,1.5\nc,1.5\nd,New York\ne,2\n".as_bytes().to_vec(),
    ];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rows.csv");
    let classes = CustomFiles {
        name: "rows".to_owned(),
        train: path.clone(),
        validation: None,
        test: None,
        text: "text".to_owned(),
        text2: None,
        label: "label".to_owned(),
        score: false,
    };
    let scores = CustomFiles { score: true, ..classes.clone() };
    Harness { name: "own_files", seeds: &seeds, memory: ROWS }.run(|bytes| {
        std::fs::write(&path, bytes).unwrap();
        let read = [classes.read(1), scores.read(1)];
        for task in read.iter().flatten() {
            assert!(!task.train.is_empty() && !task.validation.is_empty());
        }
        read.iter().any(Result::is_ok)
    });
}

/// What `predict` reads.
#[test]
fn lines_of_text() {
    let seeds =
        ["one\r\n\ntwo \u{1f600}\tthree\n".as_bytes().to_vec(), b"\xef\xbb\xbfone".to_vec()];
    Harness { name: "lines_of_text", seeds: &seeds, memory: 1 << 20 }
        .run(|bytes| encoding::decode(Path::new("lines.txt"), bytes).is_ok());
}

fn check_published(name: &str, split: Split, seed: &str) {
    let spec = tasks::lookup(name).unwrap();
    Harness { name, seeds: &[seed.as_bytes().to_vec()], memory: ROWS }
        .run(|bytes| spec.parse(split, Path::new("rows.tsv"), bytes).is_ok());
}

#[test]
fn cola() {
    check_published(
        "cola",
        Split::Train,
        "gj04\t1\t\tThe \"mill\" grinds.\nks08\t0\t*\tMill grinds the.\n",
    );
}

#[test]
fn stsb() {
    let columns =
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore";
    let rows = "0\tmain\tMSRvid\t2012test\t1\tnone\tnone\tA kite.\tA red kite.\t3.800";
    check_published("stsb", Split::Train, &format!("\u{feff}{columns}\r\n{rows}\r\n"));
}

#[test]
fn qqp() {
    let columns = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate";
    check_published(
        "qqp",
        Split::Train,
        &format!("{columns}\n1\t2\t3\tWhy?\tHow?\t1\n4\t5\tcut\n"),
    );
}

#[test]
fn squad() {
    let seed = r#"{"version": "1.1", "data": [{"title": "Tea", "paragraphs": [{"context": "Naïve brewers use 3 pots.",
        "qas": [{"id": "a", "question": "How many?", "answers": [{"text": "3 pots", "answer_start": 18}]},
        {"id": "b", "question": "Who?"}]}]}]}"#;
    Harness { name: "squad", seeds: &[seed.as_bytes().to_vec()], memory: JSON }.run(|bytes| {
        let squad = Squad::parse(Path::new("train-v1.1.json"), bytes);
        if let Ok(squad) = &squad {
            for question in &squad.questions {
                for place in question.answers.iter().filter_map(|answer| answer.place.clone()) {
                    assert!(squad.context(question).get(place).is_some());
                }
            }
            score::score(squad, &score::Predictions::new());
        }
        squad.is_ok()
    });
}

#[test]
fn squad_predictions() {
    let seed = br#"{"a": "3 pots", "b": "na\u00efve \ud83d\ude00"}"#.to_vec();
    Harness { name: "squad_predictions", seeds: &[seed], memory: JSON }
        .run(|bytes| score::parse_predictions(Path::new("predictions.json"), bytes).is_ok());
}
