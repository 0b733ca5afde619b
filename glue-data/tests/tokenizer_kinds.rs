//! The tokenizers of every class against transformers'.
//!
//! The small tokenizers, and what transformers 4.57.6 makes of texts, are of `goldens/tokenizer_kinds.py`.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use glue_data::tasks::squad::{Squad, WindowConfig, Windows};
use glue_data::{Example, Label, TextEncoder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers")
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn golden() -> Value {
    read_json(&fixtures().join("cases.json"))
}

/// The directory of a kind with other files; a file that becomes null is left out.
fn directory(kind: &str, changes: &Value) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixtures().join(kind)).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "saved.json" {
            std::fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
        }
    }
    for (file, content) in changes.as_object().unwrap() {
        let path = directory.path().join(file);
        if content.is_null() {
            std::fs::remove_file(path).unwrap();
        } else {
            std::fs::write(path, content.to_string()).unwrap();
        }
    }
    directory
}

fn read(kind: &str, changes: &Value, max_length: usize) -> TextEncoder {
    TextEncoder::from_directory(directory(kind, changes).path(), max_length)
        .unwrap_or_else(|error| panic!("{kind}, {changes}: {error}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn examples(texts: impl IntoIterator<Item = (String, Option<String>)>) -> Vec<Example> {
    let example = |(text, text2)| Example { text, text2, label: None };
    texts.into_iter().map(example).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

#[test]
fn token_ids_and_types_of_every_class_are_those_of_transformers() {
    let golden = golden();
    let texts = examples(list(&golden["texts"]).iter().map(|value| (text(value), None)));
    let pairs = list(&golden["pairs"]).iter();
    let pairs = examples(pairs.map(|pair| (text(&pair[0]), Some(text(&pair[1])))));
    for case in list(&golden["cases"]) {
        let (name, kind) = (&case["name"], case["kind"].as_str().unwrap());
        let encoder = read(kind, &case["files"], 512);
        // Every key that transformers writes is known.
        if name.as_str().unwrap().ends_with(", saved") || case["files"] == json!({}) {
            assert_eq!(encoder.warnings(), [], "{name}");
        }
        assert_eq!(encoder.tokens(), case["tokens"], "{name}");
        assert_eq!(encoder.pad_id(), case["pad"], "{name}");
        assert_eq!(encoder.class(), case["class_name"], "{name}");
        let ids = encoder.encode(&texts).unwrap();
        assert_eq!(ids.pad_id(), case["pad"], "{name}");
        for ((row, expected), text) in ids.rows().iter().zip(list(&case["ids"])).zip(&texts) {
            assert_eq!(json!(row.ids), *expected, "{name}: {:?}", text.text);
        }
        for (max_length, expected) in [(512, &case["pairs"]), (9, &case["cut"])] {
            let rows = read(kind, &case["files"], max_length).encode(&pairs).unwrap();
            let rows: Vec<_> =
                rows.rows().iter().map(|row| json!([row.ids, row.type_ids])).collect();
            assert_eq!(json!(rows), *expected, "{name}, at most {max_length}");
        }
    }
}

/// A question's row is the pair of question and context, and its label the tokens that overlap the answer.
#[test]
fn questions_are_laid_out_as_pairs_with_the_answer_where_transformers_has_it() {
    let golden = golden();
    let [question, context, answer] = list(&golden["question"]) else { panic!("three texts") };
    let start = text(context).find(answer.as_str().unwrap()).unwrap();
    let start = text(context)[..start].chars().count();
    let answers = json!([{ "text": answer, "answer_start": start }]);
    let qas = json!([{ "id": "1", "question": question, "answers": answers }]);
    let paragraphs = json!([{ "context": context, "qas": qas }]);
    let file = json!({ "version": "1.1", "data": [{ "title": "", "paragraphs": paragraphs }] });
    let squad = Squad::parse(Path::new("train.json"), file.to_string().as_bytes()).unwrap();
    for case in list(&golden["cases"]) {
        let name = &case["name"];
        let encoder = read(case["kind"].as_str().unwrap(), &case["files"], 512);
        let windows = Windows::cut(&squad, &encoder, &WindowConfig::of_length(512)).unwrap();
        let [row] = windows.rows().rows() else { panic!("{name}: one window") };
        let expected = &case["question"];
        assert_eq!(json!(row.ids), expected["ids"], "{name}");
        let Some(Label::Span { start, end }) = row.label else { panic!("{name}: a span") };
        assert_eq!(json!([start, end]), json!([expected["start"], expected["end"]]), "{name}");
    }
}

/// The generator of `goldens/tokenizer_kinds.py`.
struct Lines(u64);

const RANGES: [(u32, u64); 36] = [
    (0x61, 26),
    (0x41, 26),
    (0x30, 10),
    (0x21, 15),
    (0xA1, 95),
    (0x100, 128),
    (0x250, 96),
    (0x300, 64),
    (0x391, 57),
    (0x410, 64),
    (0x531, 38),
    (0x5D0, 27),
    (0x621, 42),
    (0x905, 53),
    (0x985, 8),
    (0xB85, 6),
    (0xE01, 58),
    (0x10A0, 38),
    (0x1100, 90),
    (0x1E00, 250),
    (0x2010, 24),
    (0x20A0, 30),
    (0x2100, 80),
    (0x2190, 100),
    (0x2460, 80),
    (0x3041, 86),
    (0x30A1, 90),
    (0x3400, 50),
    (0x4E00, 400),
    (0xAC00, 400),
    (0xFB00, 7),
    (0xFF01, 94),
    (0x1_D400, 84),
    (0x1_F300, 250),
    (0x1_F600, 80),
    (0x2_0000, 40),
];
const WORDS: &str = "the of and to in is was for that with café naïve Über déjà straße the. it's don't we'll 3,141 2024 hello, world Αθήνα \
                     привет мир 中国 日本語 한국어 नमस्ते สวัสดี שלום مرحبا ﬁne ½ ① ™ … “quoted” a-b x_y http://a.b/c?d=e ﷺ";
const MARKS: [&str; 23] = [
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    "\u{1f44d}\u{1f3fd}",
    "\u{1f1eb}\u{1f1f7}",
    "❤\u{fe0f}",
    "\u{200b}",
    "\u{ad}",
    "\u{feff}",
    "\u{1}",
    "\u{7f}",
    "\u{fffd}",
    "e\u{301}\u{323}",
    "\u{130}",
    "<mask>",
    "[MASK]",
    "<s>",
    "</s>",
    "[SEP]",
    "<pad>",
    "[PAD]",
    "▁",
    "Ġ",
    "##a",
    "\u{e000}",
];
const GAPS: [&str; 14] =
    [" ", " ", " ", " ", "", "  ", "   ", "\t", "\u{a0}", "\u{3000}", "-", ", ", "\r", " \u{2028}"];

impl Lines {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = (self.0 * 1_103_515_245 + 12345) % (1 << 31);
        (self.0 >> 8) % limit
    }

    fn one_of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[usize::try_from(self.below(texts.len() as u64)).unwrap()]
    }

    fn word(&mut self) -> String {
        let kind = self.below(10);
        if kind < 4 {
            return self.one_of(&WORDS.split(' ').collect::<Vec<_>>()).to_owned();
        }
        if kind < 5 {
            return self.one_of(&MARKS).to_owned();
        }
        let (start, length) = RANGES[usize::try_from(self.below(RANGES.len() as u64)).unwrap()];
        let letters = 1 + self.below(7);
        let mut letter =
            || char::from_u32(start + u32::try_from(self.below(length)).unwrap()).unwrap();
        (0..letters).map(|_| letter()).collect()
    }

    fn line(&mut self) -> String {
        let mut text =
            if self.below(4) > 0 { String::new() } else { self.one_of(&GAPS).to_owned() };
        for _ in 0..=self.below(9) {
            text += &self.word();
            text += self.one_of(&GAPS);
        }
        text
    }
}

#[test]
fn ten_thousand_lines_of_every_script_have_the_ids_of_transformers() {
    let golden = golden();
    let mut generator = Lines(1);
    let n_lines = usize::try_from(golden["lines"].as_u64().unwrap()).unwrap();
    let block = usize::try_from(golden["block"].as_u64().unwrap()).unwrap();
    let lines: Vec<String> = (0..n_lines).map(|_| generator.line()).collect();
    assert_eq!(lines.last().unwrap(), golden["last_line"].as_str().unwrap());
    let lines = examples(lines.into_iter().map(|line| (line, None)));
    for case in list(&golden["cases"]) {
        let hashes = list(&case["lines"]);
        if hashes.is_empty() {
            continue;
        }
        let rows =
            read(case["kind"].as_str().unwrap(), &case["files"], 512).encode(&lines).unwrap();
        let blocks = rows.rows().chunks(block).map(|rows| {
            let mut text = String::new();
            for row in rows {
                let ids: Vec<String> = row.ids.iter().map(ToString::to_string).collect();
                writeln!(text, "{}", ids.join(",")).unwrap();
            }
            let digest = Sha256::digest(text);
            digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>()
        });
        assert_eq!(json!(blocks.collect::<Vec<_>>()), case["lines"], "{}", case["name"]);
    }
}

#[test]
fn older_files_and_the_tokenizer_json_that_transformers_saves_of_them_have_one_fingerprint() {
    let mut compared = 0;
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        if !path.join("saved.json").exists() {
            continue;
        }
        let kind = path.file_name().unwrap().to_str().unwrap().to_owned();
        let saved = json!({ "tokenizer.json": read_json(&path.join("saved.json")) });
        let (older, saved) = (read(&kind, &json!({}), 64), read(&kind, &saved, 64));
        assert_eq!(older.warnings(), [], "{kind}");
        assert_eq!(older.fingerprint(), saved.fingerprint(), "{kind}");
        compared += 1;
    }
    assert_eq!(compared, 9);
}
