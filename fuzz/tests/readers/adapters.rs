//! Adapters: our own files and banks of them, and weights of other people's packages in a model. Their settings and the
//! forms of their tensors are in `foreign`.

use std::panic::{AssertUnwindSafe, RefUnwindSafe};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use burn_adapters::file::bank::Bank;
use burn_adapters::file::native::{self, AdapterMetadata, BaseIdentity};
use burn_adapters::file::{adapter_hub, peft, tensorflow};
use burn_adapters::{AdaptedBert, HeadKind, Method, Pooling, TaskAdapterConfig};
use burn_bert::Bert;
use fuzz::Harness;
use tempfile::TempDir;

const FINGERPRINT: &str = "5f0c";
/// An input has 1 MB at most. Headers in JSON take most: a list of numbers has 32 bytes for each 2 of its text, and
/// half as much again while it grows.
const MEMORY: usize = 48 << 20;

fn fixtures(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../burn-adapters/tests/fixtures").join(path)
}

/// A base, whose tensors no reader changes.
fn base() -> AssertUnwindSafe<Bert> {
    AssertUnwindSafe(burn_bert::load(&fixtures("base"), &Device::flex()).unwrap())
}

fn model(method: Method, bert: &Bert) -> AdaptedBert {
    let config = TaskAdapterConfig {
        plan: method.plan(1),
        outputs: 2,
        pooling: Pooling::Pooler,
        head_dropout: 0.1,
        head_hidden: None,
        seed: 1,
        fused: Vec::new(),
    };
    AdaptedBert::new(bert.clone(), config.init(bert).unwrap()).unwrap()
}

/// A file as it is written now.
fn adapter_file(method: Method, bert: &Bert, path: &Path) -> Vec<u8> {
    let metadata = AdapterMetadata {
        method: method.to_string(),
        task: "colors".to_owned(),
        data: None,
        input: None,
        head: HeadKind::Classification { labels: vec!["red".to_owned(), "blue".to_owned()] },
        score: None,
        max_length: 16,
        base: BaseIdentity::new("tiny", FINGERPRINT),
    };
    native::save(path, &model(method, bert), &metadata).unwrap();
    std::fs::read(path).unwrap()
}

/// The same as version 1 has it, whose damage no checksum stops.
fn without_checksums(file: &[u8]) -> Vec<u8> {
    let header_len = usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
    let (header, tensors) = file[8..].split_at(header_len);
    let mut header: serde_json::Value = serde_json::from_slice(header).unwrap();
    let own = &mut header["__metadata__"]["burn_adapters"];
    let mut json: serde_json::Value = serde_json::from_str(own.as_str().unwrap()).unwrap();
    json["format_version"] = 1.into();
    json.as_object_mut().unwrap().remove("sha256").unwrap();
    *own = json.to_string().into();
    let header = header.to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes()[..], &header, tensors].concat()
}

#[test]
fn adapter() {
    let (bert, directory) = (base(), TempDir::new().unwrap());
    let path = directory.path().join("adapter.safetensors");
    let new: Vec<_> =
        [Method::Ia3, Method::Pfeiffer].map(|method| adapter_file(method, &bert, &path)).into();
    let seeds: Vec<_> =
        new.iter().map(|file| without_checksums(file)).chain(new.iter().cloned()).collect();
    Harness { name: "adapter", seeds: &seeds, memory: MEMORY }.run(|bytes| {
        // The probe runs the base, which takes a hundred times as long as everything else together.
        let is_run = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) < 4;
        let checked = native::check_bytes(&path, bytes);
        if checked.is_ok() && (is_run || seeds.iter().any(|seed| seed == bytes)) {
            return native::load_bytes(&path, bytes, bert.clone(), FINGERPRINT).is_ok();
        }
        checked.is_ok()
    });
}

#[test]
fn bank() {
    let (bert, directory) = (base(), TempDir::new().unwrap());
    let (adapter, path) = (directory.path().join("a"), directory.path().join("tasks.bank"));
    Bank::create(&path, BaseIdentity::new("tiny", FINGERPRINT), 88_312).unwrap();
    let empty = std::fs::read(&path).unwrap();
    adapter_file(Method::Ia3, &bert, &adapter);
    for name in ["one", "two"] {
        Bank::add(&path, &adapter, Some(name)).unwrap();
    }
    let full = std::fs::read(&path).unwrap();
    Bank::remove(&path, "one").unwrap();
    let seeds = [empty, full, std::fs::read(&path).unwrap()];
    Harness { name: "bank", seeds: &seeds, memory: MEMORY }.run(|bytes| {
        std::fs::write(&path, bytes).unwrap();
        let Ok(bank) = Bank::open(&path) else { return false };
        let _ = bank.unused();
        let mut tasks = bank.index().entries.keys();
        let (first, last) = (tasks.next(), tasks.next_back());
        let _ = (first.map(|task| bank.header(task)), last.map(|task| bank.read(task)));
        true
    });
}

/// Feeds inputs to a reader of directories, in the place of one of the files.
fn in_directory(
    name: &str,
    file: &str,
    seeds: &[Vec<u8>],
    directory: &Path,
    read: impl Fn(&Path) -> bool + RefUnwindSafe,
) {
    let path = directory.join(file);
    Harness { name, seeds, memory: MEMORY }.run(|bytes| {
        std::fs::write(&path, bytes).unwrap();
        read(directory)
    });
}

/// A directory with a copy of a fixture's files.
fn copied(fixture: &str) -> TempDir {
    let directory = TempDir::new().unwrap();
    for entry in std::fs::read_dir(fixtures(fixture)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
    }
    directory
}

#[test]
fn adapter_hub_weights() {
    let (bert, directory) = (base(), copied("adapters/pfeiffer"));
    let seeds = [std::fs::read(directory.path().join("adapter.safetensors")).unwrap()];
    let read = |directory: &Path| adapter_hub::read(directory, bert.clone(), None).is_ok();
    in_directory("adapter-hub-weights", "adapter.safetensors", &seeds, directory.path(), read);
}

#[test]
fn peft_weights() {
    let (bert, directory) = (base(), copied("peft/ia3"));
    let seeds = [std::fs::read(directory.path().join("adapter_model.safetensors")).unwrap()];
    let read = |directory: &Path| peft::read(directory, bert.clone(), None).is_ok();
    in_directory("peft-weights", "adapter_model.safetensors", &seeds, directory.path(), read);
}

#[test]
fn tensorflow_index() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../burn-bert/tests/fixtures/google");
    let bert = AssertUnwindSafe(burn_bert::load(&base, &Device::flex()).unwrap());
    let directory = copied("adapter_bert");
    let seeds = [std::fs::read(directory.path().join("model.ckpt-7.index")).unwrap()];
    let read =
        |directory: &Path| tensorflow::read(&directory.join("model.ckpt-7"), bert.clone()).is_ok();
    in_directory("tensorflow-index", "model.ckpt-7.index", &seeds, directory.path(), read);
}
