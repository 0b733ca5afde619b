//! Rows as CSV and TSV, of the user and published ones.

use std::path::Path;

use fuzz::Harness;
use glue_data::LabelColumns;
use glue_data::tasks::custom::CustomFiles;
use glue_data::{Split, encoding, tabular, tasks};

use crate::files::{directory, run_with_file};

/// Memory for a file of 1 MiB: its shortest rows have 4 bytes, and each is held as two texts in a list.
const ROWS: usize = 128 << 20;

/// Reads two columns.
pub(crate) fn check(name: &str, file: &str, seeds: &[Vec<u8>], memory: usize) {
    let path = Path::new(file);
    let read = |bytes: &[u8]| {
        let rows = tabular::parse_columns(path, bytes, &["text", "label"]);
        if let Ok(rows) = &rows {
            // Each row has a line number, after that of the row before it and within the file.
            let ends = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
            assert!(rows.iter().all(|row| row.fields.len() == 2 && row.line <= ends + 1));
            assert!(rows.is_sorted_by(|a, b| a.line < b.line));
        }
        rows.is_ok()
    };
    Harness { name, seeds, memory }.run(read);
}

#[test]
fn csv() {
    let seeds = [
        b"text,label\n\"a, \"\"quoted\"\" one\",x\nplain,y\nthird,x\nfourth,y\n".to_vec(),
        b"text,label\r\nwith\ttab,x\r\n\"two\nlines\",y\r\n\r\nthird,x\r\nlast,y\r\n".to_vec(),
    ];
    check("csv", "rows.csv", &seeds, ROWS);
}

#[test]
fn tsv() {
    let seeds = [
        b"text\tlabel\na \"quoted\" one\tx\nplain\ty\n".to_vec(),
        "\u{feff}label\ttext\r\nx\tna\u{ef}ve\r\n\r\ny\t\u{1f600}\r\n".as_bytes().to_vec(),
    ];
    check("tsv", "rows.tsv", &seeds, ROWS);
}

/// From the file to the rows held out for validation.
#[test]
fn own_files() {
    let seeds = [
        b"text,label\na,x\nb,y\nc,x\nd,y\ne,x\nf,y\n".to_vec(),
        "text,label\na,caf\u{e9}\nb,1.5\nc,1.5\nd,New York\ne,2\n".as_bytes().to_vec(),
    ];
    let directory = directory(&[]);
    let path = directory.path().join("rows.csv");
    let classes = CustomFiles {
        name: "rows".to_owned(),
        train: path.clone(),
        validation: None,
        test: None,
        text: "text".to_owned(),
        text2: None,
        labels: LabelColumns::One { column: "label".to_owned() },
        score: false,
    };
    let scores = CustomFiles { score: true, ..classes.clone() };
    let harness = Harness { name: "own_files", seeds: &seeds, memory: ROWS };
    run_with_file(&harness, &path, || {
        let read = [classes.read(1), scores.read(1)];
        for task in read.iter().flatten() {
            assert!(!task.train.is_empty() && !task.validation.is_empty());
        }
        read.iter().any(Result::is_ok)
    });
}

/// The input of `predict`.
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
