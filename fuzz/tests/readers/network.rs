//! What arrives over the network: requests to the server, and archives.

use std::io::{Cursor, Write};

use fuzz::Harness;
use trainer_app::download::archive::{ArchiveError, Limits, for_each_file};
use trainer_app::serve::request;

#[test]
fn request() {
    let seeds = [
        br#"{"inputs": [{"task": "cola", "text": "They slept."}]}"#.to_vec(),
        r#"{"inputs":[{"task":"a","text":"\ud83d\ude42 \u00e9 🙂","text2":null},{"text2":"b","task":"a","text":""}]}"#
            .into(),
        br#"{"inputs": []}"#.to_vec(),
    ];
    // An input takes some times the bytes of the body.
    Harness { name: "request", seeds: &seeds, memory: 1 << 20 }
        .run(|bytes| request::parse(bytes).is_ok());
}

#[test]
fn archive() {
    let archive = |method, entries: &[(&str, &[u8])]| {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            let options = zip::write::SimpleFileOptions::default().compression_method(method);
            zip.start_file(*name, options).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let text = b"index\tsentence1\tsentence2\tlabel\n0\tone\ttwo\t1\n".repeat(4);
    let seeds = [
        archive(
            zip::CompressionMethod::Deflated,
            &[("WNLI/train.tsv", &text), ("WNLI/dev.tsv", &text)],
        ),
        archive(zip::CompressionMethod::Stored, &[("a", b"content"), ("b/c", b""), ("b/d", b"x")]),
    ];
    // What an entry holds goes through a buffer; the rest is the directory of the archive.
    Harness { name: "archive", seeds: &seeds, memory: 1 << 20 }.run(|bytes| {
        let limits = Limits::of_archive(bytes.len() as u64);
        for_each_file(Cursor::new(bytes), limits, |name, content| {
            let copied = std::io::copy(content, &mut std::io::sink());
            copied.map(drop).map_err(|source| ArchiveError::Content {
                name: name.display().to_string(),
                source,
            })
        })
        .is_ok()
    });
}
