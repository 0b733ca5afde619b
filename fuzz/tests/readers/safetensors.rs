//! Weights as safetensors: of a base, and of adapters of other packages.

use std::path::Path;

use burn::tensor::Device;
use burn_adapters::interchange::{adapter_hub, parse_safetensors, peft};
use burn_bert::checkpoint::hugging_face;
use burn_bert::load_weights;
use fuzz::Harness;
use serde_json::{Map, Value, json};

use crate::files::{
    TENSORS, adapter_base, adapter_fixtures, copied, directory, run_with_file, smallest_bert,
    smallest_weights,
};

#[test]
fn model_safetensors() {
    let (directory, config, device) = (directory(&[]), smallest_bert(), Device::flex());
    let harness =
        Harness { name: "model_safetensors", seeds: &[smallest_weights()], memory: TENSORS };
    run_with_file(&harness, &directory.path().join("model.safetensors"), || {
        load_weights(&config, directory.path(), &device).is_ok()
    });
}

#[test]
fn model_safetensors_index_json() {
    let (config, device) = (smallest_bert(), Device::flex());
    let directory = directory(&[("a.safetensors", &smallest_weights())]);
    let names = hugging_face::tensors(&config.init(&device)).into_keys();
    let map: Map<String, Value> = names.map(|name| (name, "a.safetensors".into())).collect();
    let index = json!({ "metadata": { "total_size": 272 }, "weight_map": map });
    let seeds = [index.to_string().into_bytes()];
    let harness = Harness { name: "model_safetensors_index_json", seeds: &seeds, memory: TENSORS };
    run_with_file(&harness, &directory.path().join("model.safetensors.index.json"), || {
        load_weights(&config, directory.path(), &device).is_ok()
    });
}

#[test]
fn foreign_safetensors() {
    let path = Path::new("adapter_model.safetensors");
    let seeds = adapter_fixtures("peft", "adapter_model.safetensors");
    Harness { name: "foreign_safetensors", seeds: &seeds, memory: TENSORS }
        .run(|bytes| parse_safetensors(path, bytes).is_ok());
}

#[test]
fn adapter_hub_weights() {
    let (bert, directory) = (adapter_base(), copied("adapters/pfeiffer"));
    let path = directory.path().join("adapter.safetensors");
    let seeds = [std::fs::read(&path).unwrap()];
    let harness = Harness { name: "adapter_hub_weights", seeds: &seeds, memory: TENSORS };
    run_with_file(&harness, &path, || {
        adapter_hub::read(directory.path(), bert.clone(), None).is_ok()
    });
}

#[test]
fn peft_weights() {
    let (bert, directory) = (adapter_base(), copied("peft/ia3"));
    let path = directory.path().join("adapter_model.safetensors");
    let seeds = [std::fs::read(&path).unwrap()];
    let harness = Harness { name: "peft_weights", seeds: &seeds, memory: TENSORS };
    run_with_file(&harness, &path, || peft::read(directory.path(), bert.clone(), None).is_ok());
}
