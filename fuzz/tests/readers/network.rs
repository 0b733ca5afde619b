//! What arrives over the network: requests to the server, answers of the hub, partial downloads, and archives.

use std::io::{Cursor, Write};

use fuzz::Harness;
use serde_json::json;
use trainer_app::download::archive::{ArchiveError, Limits, for_each_file};
use trainer_app::download::http::{announced, is_resumable};
use trainer_app::serve::request;
use ureq::http::{HeaderMap, HeaderName, HeaderValue};

#[test]
fn request() {
    let seeds = [
        br#"{"inputs": [{"task": "cola", "text": "They slept."}]}"#.to_vec(),
        r#"{"inputs":[{"task":"a","text":"\ud83d\ude42 \u00e9 🙂","text2":null},{"text2":"b","task":"a","text":""}]}"#
            .into(),
        br#"{"inputs": []}"#.to_vec(),
    ];
    // A body has 1 MiB at most. A text with escapes, or an unknown name, is decoded into a buffer that doubles when it
    // grows, and copied; of the texts, at most 256 are held.
    Harness { name: "request", seeds: &seeds, memory: 6 << 20 }
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
    // What an entry holds goes through a buffer; the rest is the directory of the archive. An entry takes at least 46
    // bytes of the archive and some 500 in memory, and the list of entries doubles when it grows.
    Harness { name: "archive", seeds: &seeds, memory: 32 << 20 }.run(|bytes| {
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

/// The headers of an answer, a line each.
fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default().trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value)
            // A map of headers has room for 2^15, which its users check.
            && headers.len() < 1_000
        {
            headers.append(name, value);
        }
    }
    headers
}

#[test]
fn hub_headers() {
    let sha256 = "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41";
    let seeds = [
        format!("x-repo-commit: 0a1b\nx-linked-size: 90868376\nx-linked-etag: \"{sha256}\"\n"),
        "x-linked-size: 612\nx-linked-etag: \"b0d5a9\"\netag: W/\"a\"".to_owned(),
    ]
    .map(String::into_bytes);
    Harness { name: "hub_headers", seeds: &seeds, memory: 4 << 20 }.run(|bytes| {
        let announced = announced(&headers(bytes));
        if let Some(sha256) = &announced.sha256 {
            assert!(sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        announced.bytes.is_some()
    });
}

#[test]
fn partial_download() {
    let url = "https://host/some/base/resolve/main/config.json";
    let seeds = [
        json!({ "url": url, "validator": { "etag": "\"a\"" }, "bytes": 612, "commit": "0a1b" }),
        json!({ "url": url, "validator": { "last_modified": "Sat, 28 Nov 2026 09:30:00 GMT" },
            "bytes": null, "commit": null }),
    ]
    .map(|seed| seed.to_string().into_bytes());
    Harness { name: "partial_download", seeds: &seeds, memory: 4 << 20 }
        .run(|bytes| is_resumable(bytes, url));
}
