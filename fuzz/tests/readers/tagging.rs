//! Tagged words: CoNLL, and JSON with tags or with spans of characters.

use std::path::Path;

use fuzz::Harness;
use glue_data::tagging::{self, EntityCounts, Mode, TagColumns, TaggedRows};

use crate::files::JSON;

/// Memory for a file of 1 MiB: its shortest texts have 5 bytes, and each is held twice, with lists of its words and tags.
const TEXTS: usize = 192 << 20;

/// Reads texts with their tags, without them, and as rows of a task; and scores the tags.
fn check(name: &str, file: &str, seeds: &[Vec<u8>], columns: &TagColumns, memory: usize) {
    let path = Path::new(file);
    Harness { name, seeds, memory }.run(|bytes| {
        let untagged = tagging::parse_untagged(path, bytes, columns);
        for text in untagged.iter().flatten() {
            assert!(text.words.iter().all(|word| text.text.get(word.clone()).is_some()));
        }
        let Ok(file) = tagging::parse(path, bytes, columns) else { return false };
        let ends = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
        for text in 0..file.len() {
            assert_eq!(file.words(text).len(), file.tags(text).len());
            let lines = (0..file.words(text).len()).map(|word| file.line(text, word));
            assert!(lines.clone().all(|line| line <= ends + 1) && lines.is_sorted());
        }
        // Its own tags are all right.
        let scores = tagging::score(&file, &file, false).unwrap();
        assert!(scores.by_type.iter().all(|of| of.correct == of.support));
        let Ok(scheme) = file.scheme() else { return true };
        let mut counts = EntityCounts::new(Mode::Strict(scheme));
        let rows = TaggedRows::of(file.clone()).unwrap();
        if let Ok(labels) = rows.labels() {
            for text in rows.with_labels(&labels).unwrap() {
                let tags = text.tags.unwrap();
                assert_eq!(tags.len(), text.words.len());
                let names: Vec<&str> = tags.iter().map(|tag| labels[*tag].as_str()).collect();
                if scheme == tagging::Scheme::Bio {
                    counts.add(&names, &names).unwrap();
                }
            }
        }
        true
    });
}

#[test]
fn conll() {
    let seeds = [
        b"# id = 1\nAna\tB-person\n#x\tO\n\nRome\tI-city\n \t\nit\tO\n".to_vec(),
        "\u{feff}-DOCSTART- -X- O\r\n\r\nAn\u{e4} NN S-per\r\n\u{1f600} SYM O\r\n"
            .as_bytes()
            .to_vec(),
        b"a U-x\nb B-y\nc L-y\n# d e f\n".to_vec(),
    ];
    check("conll", "rows.conll", &seeds, &TagColumns::default(), TEXTS);
}

#[test]
fn conll_with_names() {
    let seeds = [
        b"# global.columns = ID FORM NER\n1-2\tab\t_\n1\ta\tB-x\n2\tb\tI-x\n\n1\tc\tO\n".to_vec(),
        b"ID FORM NER\n1 a O\n2 b I-x\n".to_vec(),
    ];
    let named = |name: &str| Some(name.to_owned());
    let columns = TagColumns { tokens: named("FORM"), tags: named("NER"), ..TagColumns::default() };
    check("conll_with_names", "rows.conllup", &seeds, &columns, TEXTS);
}

#[test]
fn tagged_json() {
    let seeds = [
        b"{\"tokens\": [\"Ana\", \"is\"], \"tags\": [\"B-x\", \"O\"]}\n{\"tags\": [], \"tokens\": []}\n".to_vec(),
        b"[{\"tokens\": [\"\\u00e9\"], \"ner_tags\": [\"S-x\"], \"id\": 7},\n{\"tokens\": [], \"ner_tags\": []}]".to_vec(),
    ];
    check("tagged_json", "rows.jsonl", &seeds, &TagColumns::default(), JSON + TEXTS);
}

#[test]
fn spans_json() {
    let seeds = [
        "{\"text\": \"An\u{e4} is in R\u{f3}m\", \"label\": [[0, 3, \"per\"], [10, 13, \"loc\"]]}\n".as_bytes().to_vec(),
        b"{\"text\": \"a b\", \"spans\": [{\"start\": 2, \"end\": 3, \"label\": \"x\"}], \"answer\": \"accept\"}".to_vec(),
        b"[{\"data\": {\"text\": \"a b\"}, \"annotations\": [{\"result\": [{\"value\": {\"start\": 0, \"end\": 1, \
          \"text\": \"a\", \"labels\": [\"x\"]}, \"from_name\": \"l\", \"type\": \"labels\"}]}]}]"
            .to_vec(),
    ];
    let columns = TagColumns { skip_misaligned: true, ..TagColumns::default() };
    check("spans_json", "rows.json", &seeds, &columns, JSON + TEXTS);
}
