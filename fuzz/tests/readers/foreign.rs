//! Directories of other people's packages: their settings and their tensors.

use std::path::{Path, PathBuf};

use burn_adapters::BaseShape;
use burn_adapters::file::{adapter_hub, peft, read_tensors};
use fuzz::Harness;

/// Of a file of 1 MiB at most; the JSON of many small values takes most.
const SETTINGS: usize = 96 << 20;
/// The file, its tensors as they are and as single-precision numbers.
const TENSORS: usize = 64 << 20;

fn fixtures(directory: &str, file: &str) -> Vec<Vec<u8>> {
    let of = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../burn-adapters/tests/fixtures")
        .join(directory);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(of)
        .unwrap()
        .map(|entry| entry.unwrap().path().join(file))
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn adapter_hub_settings() {
    let path = Path::new("adapter_config.json");
    let base = BaseShape { n_layers: 2, d_model: 32 };
    let read = |bytes: &[u8]| adapter_hub::parse_settings(path, bytes, base).is_ok();
    let mut seeds = fixtures("adapters", "adapter_config.json");
    // Some are of methods that have no place here.
    seeds.retain(|seed| read(seed));
    Harness { name: "adapter_hub_settings", seeds: &seeds, memory: SETTINGS }.run(read);
}

#[test]
fn adapter_hub_head() {
    let path = Path::new("head_config.json");
    let seeds = fixtures("adapters", "head_config.json");
    Harness { name: "adapter_hub_head", seeds: &seeds, memory: SETTINGS }
        .run(|bytes| adapter_hub::parse_head(path, bytes).is_ok());
}

#[test]
fn peft_settings() {
    let path = Path::new("adapter_config.json");
    let read = |bytes: &[u8]| peft::parse_settings(path, bytes, 2).is_ok();
    let mut seeds = fixtures("peft", "adapter_config.json");
    seeds.retain(|seed| read(seed));
    Harness { name: "peft_settings", seeds: &seeds, memory: SETTINGS }.run(read);
}

fn check_tensors(name: &str, file: &str, seeds: &[Vec<u8>]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(file);
    Harness { name, seeds, memory: TENSORS }.run(|bytes| {
        std::fs::write(&path, bytes).unwrap();
        read_tensors(&path).is_ok()
    });
}

#[test]
fn foreign_safetensors() {
    let seeds = fixtures("peft", "adapter_model.safetensors");
    check_tensors("foreign_safetensors", "adapter_model.safetensors", &seeds);
}

#[test]
fn foreign_pickle() {
    let seeds = fixtures("adapters", "pytorch_adapter.bin");
    check_tensors("foreign_pickle", "pytorch_adapter.bin", &seeds);
}
