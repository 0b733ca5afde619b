//! The configuration of a base.

use std::path::Path;

use burn::tensor::Device;
use burn_bert::{BertConfig, load};
use fuzz::Harness;
use serde_json::Value;

use crate::files::{JSON, directory, fixture, run_with_file, smallest_bert, smallest_weights};

#[test]
fn config_json() {
    let written: Value =
        serde_json::from_slice(&fixture("burn-bert/tests/fixtures/config_keys.json")).unwrap();
    let seeds = [
        written["BertConfig"].to_string().into_bytes(),
        serde_json::to_vec(&smallest_bert()).unwrap(),
        fixture("burn-bert/tests/fixtures/google/bert_config.json"),
    ];
    let path = Path::new("config.json");
    Harness { name: "config_json", seeds: &seeds, memory: JSON }
        .run(|bytes| BertConfig::from_json_bytes(path, bytes).is_ok());
}

/// A configuration that does not fit the weights allocates nothing for tensors that are not in the file.
#[test]
fn config_json_beside_weights() {
    let seeds = [serde_json::to_vec(&smallest_bert()).unwrap()];
    let directory = directory(&[("model.safetensors", &smallest_weights())]);
    let device = Device::flex();
    let harness = Harness { name: "config_json_beside_weights", seeds: &seeds, memory: JSON };
    run_with_file(&harness, &directory.path().join("config.json"), || {
        load(directory.path(), &device).is_ok()
    });
}
