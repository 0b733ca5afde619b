//! A base that is downloaded from a server in this process.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::program::Program;
use super::scenario::Scenario;
use super::train::{ROWS, hash, write_base_and_rows};

/// A hub with one repository, `some/base`.
pub(crate) struct Download {
    endpoint: String,
}

impl Download {
    /// Starts the server; it ends with this process.
    pub(crate) fn prepare(_: &Program, place: &Path) -> Result<Self> {
        write_base_and_rows(place, ROWS)?;
        let base = place.join("base");
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let base = base.clone();
                // The connection of a killed client fails, which does not affect the next one.
                std::thread::spawn(move || drop(answer(stream, &base)));
            }
        });
        Ok(Self { endpoint })
    }
}

/// Answers one request for a file, from the start of its range.
fn answer(mut stream: TcpStream, base: &Path) -> Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().context("no request")??;
    let mut start = 0;
    for line in lines {
        let line = line?.to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse()?;
        }
    }
    let path = request.split(' ').nth(1).context("no path")?;
    let name = path.rsplit('/').next().unwrap_or_default();
    let Ok(bytes) = std::fs::read(base.join(name)) else {
        stream.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        )?;
        return Ok(());
    };
    let etag = hash(&bytes);
    let body = bytes.get(start..).unwrap_or_default();
    let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
    let range = if start > 0 {
        format!("Content-Range: bytes {start}-{}/{}\r\n", bytes.len() - 1, bytes.len())
    } else {
        String::new()
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{range}ETag: \"{etag:016x}\"\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if request.starts_with("HEAD") {
        stream.write_all(head.as_bytes())?;
        return Ok(());
    }
    stream.write_all(head.as_bytes())?;
    // In pieces, so that a kill interrupts a partial download.
    for piece in body.chunks(4096) {
        stream.write_all(piece)?;
        stream.flush()?;
    }
    Ok(())
}

impl Scenario for Download {
    fn set_up(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn next(&self, program: &Program, directory: &Path) -> Result<Option<Command>> {
        // Once the base is cached, the program runs once more and only prints its location.
        if directory.join("fetched").exists() {
            return Ok(None);
        }
        if cached(directory)?.is_some() {
            std::fs::write(directory.join("fetched"), "")?;
        }
        let mut command = program.command(directory, "base some/base --json");
        command.env("HF_ENDPOINT", &self.endpoint).env("HF_HOME", directory.join("hf"));
        Ok(Some(command))
    }

    fn final_state(&self, _: &Program, directory: &Path) -> Result<String> {
        let base = cached(directory)?.context("the base is not in the cache")?;
        let mut state = String::new();
        for file in ["config.json", "model.safetensors", "vocab.txt"] {
            let bytes =
                std::fs::read(base.join(file)).with_context(|| format!("reading {file}"))?;
            ensure!(!bytes.is_empty(), "{file} is empty");
            state += &format!("{file} {:016x}\n", hash(&bytes));
        }
        Ok(state)
    }
}

/// The directory of the cache with the complete base.
fn cached(directory: &Path) -> Result<Option<PathBuf>> {
    let cache = directory.join("cache");
    let mut open = vec![cache];
    while let Some(next) = open.pop() {
        let Ok(entries) = next.read_dir() else { continue };
        let name = next.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if next.join("model.safetensors").is_file() && !name.ends_with(".part") {
            return Ok(Some(next));
        }
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    Ok(None)
}
