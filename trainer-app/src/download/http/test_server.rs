//! A server of files on this machine, for tests: with versions, ranges, conditions, redirections, and faults on request.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Downloader, Timeouts};

/// A file that is served.
#[derive(Clone, Default)]
pub(crate) struct Served {
    pub(crate) bytes: Vec<u8>,
    /// Its version; none is sent where this is empty.
    pub(crate) etag: String,
    /// Further headers.
    pub(crate) headers: Vec<(String, String)>,
    /// It is redirected to this path, with these headers.
    pub(crate) redirected: Option<String>,
}

/// What goes wrong with the next request for a path.
#[derive(Clone)]
pub(crate) enum Fault {
    /// This status, with these headers.
    Status(u16, &'static str),
    /// The body ends after so many bytes.
    Cut(usize),
    /// The body stalls after so many bytes.
    Stall(usize),
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Served>,
    faults: BTreeMap<String, VecDeque<Fault>>,
    /// The heads of all requests, in lower case.
    requests: Vec<String>,
}

/// The server; it lasts as long as the process.
#[derive(Clone)]
pub(crate) struct TestServer {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

impl TestServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { address, state: Arc::default() };
        let served = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let served = served.clone();
                // A client that leaves breaks its connection, which is what some tests are about.
                std::thread::spawn(move || drop(served.answer(stream.unwrap())));
            }
        });
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    pub(crate) fn put(&self, path: &str, bytes: &[u8], etag: &str) {
        let file = Served { bytes: bytes.to_vec(), etag: etag.to_owned(), ..Served::default() };
        self.serve(path, file);
    }

    pub(crate) fn serve(&self, path: &str, file: Served) {
        self.state.lock().unwrap().files.insert(path.to_owned(), file);
    }

    pub(crate) fn remove(&self, path: &str) {
        self.state.lock().unwrap().files.remove(path);
    }

    pub(crate) fn fail(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().faults.entry(path.to_owned()).or_default().extend(faults);
    }

    /// The heads of the requests for a path.
    pub(crate) fn requests(&self, path: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let line = format!("get {} ", path.to_lowercase());
        state.requests.iter().filter(|head| head.starts_with(&line)).cloned().collect()
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let lines: Vec<String> = BufReader::new(&stream)
            .lines()
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .collect();
        let Some(path) = lines.first().and_then(|line| line.split(' ').nth(1)) else {
            return Ok(());
        };
        let (file, fault) = {
            let mut state = self.state.lock().unwrap();
            state.requests.push(lines.join("\n").to_lowercase());
            let fault = state.faults.get_mut(path).and_then(VecDeque::pop_front);
            (state.files.get(path).cloned(), fault)
        };
        let header = |name: &str| {
            let found = lines.iter().filter_map(|line| line.split_once(": "));
            found.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
        };
        if let Some(Fault::Status(status, more)) = fault {
            return write!(
                stream,
                "HTTP/1.1 {status} Fault\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        let Some(file) = file else {
            return stream.write_all(
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        };
        let mut more = String::new();
        for (name, value) in &file.headers {
            more += &format!("{name}: {value}\r\n");
        }
        let etag = format!("\"{}\"", file.etag);
        if !file.etag.is_empty() {
            more += &format!("ETag: {etag}\r\n");
        }
        let close = "Connection: close\r\n\r\n";
        if let Some(target) = file.redirected {
            return write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: {target}\r\n{more}Content-Length: 0\r\n{close}"
            );
        }
        if header("if-none-match") == Some(&etag) {
            return write!(stream, "HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\n{close}");
        }
        let start = header("range")
            .filter(|_| header("if-range").is_none_or(|version| version == etag))
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
            .filter(|start| *start < file.bytes.len());
        let body = &file.bytes[start.unwrap_or(0)..];
        let (status, range) = match start {
            Some(start) => {
                let all = file.bytes.len();
                let range = format!("Content-Range: bytes {start}-{}/{all}\r\n", all - 1);
                ("206 Partial Content", range)
            }
            None => ("200 OK", String::new()),
        };
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\n{more}{range}Content-Length: {length}\r\n{close}")?;
        match fault {
            Some(Fault::Cut(bytes)) => stream.write_all(&body[..bytes.min(length)]),
            Some(Fault::Stall(bytes)) => {
                stream.write_all(&body[..bytes.min(length)])?;
                // Until the client has enough.
                let _ = stream.read(&mut [0]);
                Ok(())
            }
            _ => {
                stream.write_all(body)?;
                stream.shutdown(Shutdown::Write)
            }
        }
    }
}

/// A downloader that does not wait long.
pub(crate) fn impatient() -> Downloader {
    Downloader::new(Timeouts {
        stall: Duration::from_millis(200),
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_secs(1),
        ..Timeouts::default()
    })
}
