//! A directory with a tiny base, a bank and adapters, and a server on it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use burn_adapters::file::native::BaseIdentity;
use burn_adapters::{HeadKind, Method};
use serde_json::{Value, json};
use trainer_app::base::Base;

use super::tiny_adapter::{write_adapter, write_adapter_of};
use super::tiny_base::lay_tiny_base;

/// A directory with a tiny base and adapters on it.
pub(crate) struct Desk {
    directory: tempfile::TempDir,
    pub(crate) words: Vec<String>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let words = lay_tiny_base(directory.path());
        let desk = Self { directory, words };
        desk.says("bank create tasks.bank --base base");
        desk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.current_dir(self.directory.path()).args(line.split_whitespace());
        command
    }

    pub(crate) fn says(&self, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn refuses(&self, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && !said.contains("panicked"), "{line}: {said}");
        said
    }

    /// Writes a fresh adapter with so many labels (1 is a score).
    pub(crate) fn write(&self, task: &str, method: Method, outputs: usize) -> String {
        let base = Base::locate(self.path("base").to_str().unwrap()).unwrap();
        let identity = BaseIdentity::new(base.name(), base.fingerprint().unwrap());
        write_adapter(self.directory.path(), identity, task, method, outputs)
    }

    /// Adds a fresh adapter that labels words.
    pub(crate) fn add_tagger(&self, task: &str, method: Method) {
        let base = Base::locate(self.path("base").to_str().unwrap()).unwrap();
        let identity = BaseIdentity::new(base.name(), base.fingerprint().unwrap());
        let labels = ["B-x", "B-y", "I-x", "I-y", "O"].map(str::to_owned).to_vec();
        let head = HeadKind::TokenClassification { labels };
        let file = write_adapter_of(self.directory.path(), identity, task, method, head);
        self.says(&format!("bank add tasks.bank {file}"));
    }

    /// Adds a fresh adapter with several labels a text.
    pub(crate) fn add_sets(&self, task: &str, method: Method) {
        let base = Base::locate(self.path("base").to_str().unwrap()).unwrap();
        let identity = BaseIdentity::new(base.name(), base.fingerprint().unwrap());
        let head = HeadKind::MultiLabel { labels: ["x", "y", "z"].map(str::to_owned).to_vec() };
        let file = write_adapter_of(self.directory.path(), identity, task, method, head);
        self.says(&format!("bank add tasks.bank {file}"));
    }

    pub(crate) fn add(&self, task: &str, method: Method, outputs: usize) {
        let file = self.write(task, method, outputs);
        self.says(&format!("bank add tasks.bank {file}"));
    }

    /// What `trainer predict` says of a text.
    pub(crate) fn predicts(&self, task: &str, text: &str) -> Value {
        std::fs::write(self.path("text"), text).unwrap();
        let line = format!("predict {task}.safetensors --input text --device cpu --json");
        serde_json::from_str(&self.says(&line)).unwrap()
    }

    pub(crate) fn serve(&self, more: &str) -> Server {
        self.serve_at("127.0.0.1:0", more)
    }

    pub(crate) fn serve_at(&self, listen: &str, more: &str) -> Server {
        let line = format!("serve --bank tasks.bank --device cpu --listen {listen} {more}");
        Server::start(self.command(&line))
    }
}

/// A server that runs; it is killed where a test fails.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
    /// What it wrote to standard error.
    written: Arc<Mutex<String>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Waits until a server listens.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        while !line.contains("http://") {
            line.clear();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended before it listened");
        }
        let address = line.trim().split("http://").nth(1).unwrap().trim_end_matches('/').to_owned();
        let written = Arc::new(Mutex::new(String::new()));
        let lines = written.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                *lines.lock().unwrap() += &format!("{line}\n");
            }
        });
        Self { child, address, written }
    }

    /// What it wrote to standard error since it listens.
    pub(crate) fn written(&self) -> String {
        self.written.lock().unwrap().clone()
    }

    /// Sends bytes on a connection of their own.
    pub(crate) fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        // A server that refuses need not read to the end.
        let _ = stream.write_all(bytes);
        stream
    }

    /// The answer to bytes that are a request, head and body.
    pub(crate) fn answer(&self, bytes: &[u8]) -> String {
        let mut answer = String::new();
        // An error after an answer is a connection that was closed with something unread.
        let _ = self.send(bytes).read_to_string(&mut answer);
        answer
    }

    pub(crate) fn agent() -> ureq::Agent {
        ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let response = Self::agent().get(format!("http://{}{path}", self.address)).call();
        let mut response = response.unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    pub(crate) fn post(&self, body: &str) -> (u16, Value) {
        let response = Self::agent().post(format!("http://{}/v1/predict", self.address)).send(body);
        let mut response = response.unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap())
    }

    pub(crate) fn predicts(&self, inputs: &Value) -> Vec<Value> {
        let (status, answer) = self.post(&json!({ "inputs": inputs }).to_string());
        assert_eq!(status, 200, "{answer}");
        answer["predictions"].as_array().unwrap().clone()
    }

    /// The value of a line of `/metrics`.
    pub(crate) fn count(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics");
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} is not in {text}"))
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap()
    }
}
