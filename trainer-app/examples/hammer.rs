//! Sends requests to `trainer serve` from many clients, with hostile ones beside them, and prints what came of it.
//!
//! ```sh
//! cargo run --release -p trainer-app --example hammer -- target/release/trainer tasks.bank cola 50000 64
//! ```
//!
//! The arguments are the program, a bank, one of its tasks, how many requests, and from how many clients. The server is
//! started by this program, so that its memory can be read, and ends with it.
#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Idle connections that the hostile clients hold.
const HELD: usize = 100;
/// Between two attacks of a kind.
const PAUSE: Duration = Duration::from_millis(100);
/// A request without an answer for so long has failed.
const PATIENCE: Duration = Duration::from_mins(2);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program, bank, task, more @ ..] = arguments.as_slice() else {
        bail!("expected: hammer TRAINER BANK TASK [REQUESTS] [CLIENTS]");
    };
    let number = |place: usize, default: usize| {
        more.get(place).map_or(Ok(default), |text| text.parse().context("expected a number"))
    };
    let (requests, clients) = (number(0, 50_000)?, number(1, 64)?);
    let server = Server::start(program, bank)?;
    let load = Load::new(&server, task, requests);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let shared = &load;
        let attacks = ATTACKS.map(|(_, attack)| scope.spawn(move || shared.attack(attack)));
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(|| load.ask())).collect();
        clients.into_iter().for_each(|client| drop(client.join()));
        load.done.store(true, Ordering::Relaxed);
        for (attack, (name, _)) in attacks.into_iter().zip(ATTACKS) {
            let (count, answers) = attack.join().unwrap_or_default();
            println!("hostile   {name:<22} {count:>6} times, answered {answers}");
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    let mut times = load.times.into_inner().context("a client panicked")?;
    times.sort_unstable();
    let at = |permille: usize| {
        let place = (times.len() * permille / 1000).min(times.len().saturating_sub(1));
        times.get(place).map_or(f64::NAN, |time| 1e3 * time.as_secs_f64())
    };
    let failed = load.failed.load(Ordering::Relaxed);
    println!("requests  {} answered, {failed} failed, in {seconds:.1} s", times.len());
    println!("latency   p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms", at(500), at(990), at(1000));
    for (share, memory) in load.memory.into_inner().context("a client panicked")? {
        println!("memory    at {share:>3} %: {memory}");
    }
    ensure!(failed == 0, "{failed} requests failed");
    Ok(())
}

/// A server of this program's.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(program: &str, bank: &str) -> Result<Self> {
        let mut child = Command::new(program)
            .args(["serve", "--bank", bank, "--listen", "127.0.0.1:0", "--timeout", "5"])
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let mut stderr = BufReader::new(child.stderr.take().context("it has no standard error")?);
        let mut line = String::new();
        while !line.contains("http://") {
            line.clear();
            ensure!(stderr.read_line(&mut line)? > 0, "the server ended before it listened");
        }
        let address = line.trim().rsplit("http://").next().unwrap_or_default();
        let address = address.trim_end_matches('/').to_owned();
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::stdout()));
        Ok(Self { child, address })
    }

    /// What Linux knows of its memory.
    fn memory(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let lines =
            status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"));
        lines
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The requests, and what came of them.
struct Load<'a> {
    server: &'a Server,
    task: &'a str,
    requests: usize,
    next: AtomicUsize,
    failed: AtomicUsize,
    done: AtomicBool,
    times: Mutex<Vec<Duration>>,
    memory: Mutex<Vec<(usize, String)>>,
}

type Attack = (&'static str, fn(&Load) -> Result<String>);

const ATTACKS: [Attack; 10] = [
    ("idle connections", |load| load.hold(b"")),
    ("slow heads", |load| load.hold(b"POST /v1/predict HTTP/1.1\r\nHo")),
    ("slow bodies", |load| load.hold(&post("Content-Length: 100\r\n", b"{\"in"))),
    ("100 MB", |load| load.large(100)),
    ("deep JSON", |load| {
        load.send(&json_body(&[b"{\"inputs\": ".to_vec(), vec![b'['; 500_000]].concat()))
    }),
    ("surrogates", |load| {
        load.send(&json_body(br#"{"inputs": [{"task": "a", "text": "\ud800"}]}"#))
    }),
    ("words of 1 MB", |load| load.send(&json_body(&load.text(&"a".repeat(1_000_000))))),
    ("texts of 64 kB", |load| load.send(&json_body(&load.text(&".".repeat(65_536))))),
    ("foreign Host", |load| {
        load.send(b"GET /v1/tasks HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    }),
    ("foreign Origin", |load| {
        load.send(&post("Origin: https://evil.example\r\nContent-Length: 2\r\n", b"{}"))
    }),
];

fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    [format!("{head}{headers}\r\n").as_bytes(), body].concat()
}

fn json_body(body: &[u8]) -> Vec<u8> {
    post(&format!("Content-Length: {}\r\n", body.len()), body)
}

impl<'a> Load<'a> {
    fn new(server: &'a Server, task: &'a str, requests: usize) -> Self {
        Self {
            server,
            task,
            requests,
            next: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            done: AtomicBool::new(false),
            times: Mutex::default(),
            memory: Mutex::default(),
        }
    }

    fn text(&self, text: &str) -> Vec<u8> {
        let input = serde_json::json!({ "inputs": [{ "task": self.task, "text": text }] });
        input.to_string().into_bytes()
    }

    /// Sends requests on one connection until all are sent.
    fn ask(&self) {
        let mut connection = None;
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.requests {
                return;
            }
            let words = ["they", "slept", "all", "day", "and", "read", "by", "night"];
            let text: Vec<&str> =
                (0..8 + number % 8).map(|word| words[(number + word) % 8]).collect();
            let body = self.text(&text.join(" "));
            let start = Instant::now();
            match self.exchange(&mut connection, &body) {
                Ok(()) => {
                    if let Ok(mut times) = self.times.lock() {
                        times.push(start.elapsed());
                    }
                }
                Err(error) => {
                    println!("failed    request {number}: {error:#}");
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    connection = None;
                }
            }
            for share in [10, 50, 100] {
                if (number + 1) * 100 == self.requests * share
                    && let Ok(mut memory) = self.memory.lock()
                {
                    memory.push((share, self.server.memory()));
                }
            }
        }
    }

    fn exchange(&self, connection: &mut Option<BufReader<TcpStream>>, body: &[u8]) -> Result<()> {
        let stream = match connection {
            Some(stream) => stream,
            None => connection.insert(BufReader::new(self.connect()?)),
        };
        let head = format!(
            "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        let (mut line, mut length) = (String::new(), 0);
        stream.read_line(&mut line)?;
        ensure!(line.starts_with("HTTP/1.1 200"), "the answer is `{}`", line.trim());
        while line.trim() != "" {
            line.clear();
            stream.read_line(&mut line)?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer)?;
        ensure!(answer.starts_with(b"{\"predictions\":[{"), "the answer has no prediction");
        Ok(())
    }

    fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(&self.server.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Attacks until the load is done; how often, and how often each status was answered.
    fn attack(&self, attack: fn(&Load) -> Result<String>) -> (usize, String) {
        let mut answers: std::collections::BTreeMap<String, usize> =
            std::collections::BTreeMap::new();
        let mut count = 0;
        while !self.done.load(Ordering::Relaxed) {
            let answer =
                attack(self).unwrap_or_else(|error| format!("nothing ({})", error.root_cause()));
            *answers.entry(answer).or_default() += 1;
            count += 1;
            std::thread::sleep(PAUSE);
        }
        let answers: Vec<_> =
            answers.iter().map(|(answer, count)| format!("{answer}: {count}")).collect();
        (count, answers.join(", "))
    }

    /// Sends a request, and returns the status of its answer.
    fn send(&self, bytes: &[u8]) -> Result<String> {
        let mut stream = self.connect()?;
        stream.write_all(bytes)?;
        status(stream)
    }

    /// Sends the beginning of a request on many connections, until the server closes them.
    fn hold(&self, bytes: &[u8]) -> Result<String> {
        let connections: Vec<TcpStream> =
            (0..HELD / 3).map(|_| self.connect()).collect::<Result<_>>()?;
        for mut stream in &connections {
            stream.write_all(bytes)?;
        }
        let mut last = String::new();
        for stream in connections {
            last = status(stream)?;
        }
        Ok(last)
    }

    fn large(&self, megabytes: usize) -> Result<String> {
        let mut stream = self.connect()?;
        stream.write_all(&post(&format!("Content-Length: {megabytes}000000\r\n"), b""))?;
        let piece = vec![b' '; 1_000_000];
        for _ in 0..megabytes {
            stream.write_all(&piece)?;
        }
        status(stream)
    }
}

fn status(mut stream: TcpStream) -> Result<String> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let line = String::from_utf8_lossy(&answer);
    Ok(line.split(' ').nth(1).unwrap_or("closed").to_owned())
}
