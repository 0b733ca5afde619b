//! Rows as JSON Lines.

use crate::csv::check;
use crate::files::JSON;

#[test]
fn jsonl() {
    let seeds = [
        b"{\"text\": \"a\\nb \\ud83d\\ude00\", \"label\": 1}\n{\"label\": 0.5, \"text\": \"c\"}\n"
            .to_vec(),
        b"\n{\"text\": \"a\", \"label\": true, \"more\": [{\"b\": null}]}\r\n".to_vec(),
    ];
    check("jsonl", "rows.jsonl", &seeds, JSON);
}
