//! Checkpoints of TensorFlow: a base in Google's layout, and results of the paper's own code.

use burn_adapters::interchange::tensorflow;
use burn_bert::checkpoint::tensorflow::TensorBundle;
use fuzz::Harness;

use crate::files::{TENSORS, base, copied, directory, fixture, run_with_file};

const GOOGLE: &str = "burn-bert/tests/fixtures/google";

#[test]
fn bert_model_ckpt_index() {
    let seeds = [
        fixture(&format!("{GOOGLE}/bert_model.ckpt.index")),
        fixture("burn-adapters/tests/fixtures/adapter_bert/model.ckpt-7.index"),
    ];
    let data = "bert_model.ckpt.data-00000-of-00001";
    let directory = directory(&[(data, &fixture(&format!("{GOOGLE}/{data}")))]);
    let checkpoint = directory.path().join("bert_model.ckpt");
    Harness { name: "bert_model_ckpt_index", seeds: &seeds, memory: TENSORS }.run(|bytes| {
        let Ok(bundle) = TensorBundle::parse(&checkpoint, bytes) else { return false };
        // Every tensor has its own place in the index; opening the data for each would take most of the time.
        let _ = bundle.names().nth(bytes.len() % 8).map(|name| bundle.read(name));
        true
    });
}

#[test]
fn adapter_bert_index() {
    let (bert, directory) = (base(GOOGLE), copied("adapter_bert"));
    let index = directory.path().join("model.ckpt-7.index");
    let seeds = [std::fs::read(&index).unwrap()];
    let harness = Harness { name: "adapter_bert_index", seeds: &seeds, memory: TENSORS };
    let checkpoint = directory.path().join("model.ckpt-7");
    run_with_file(&harness, &index, || tensorflow::read(&checkpoint, bert.clone()).is_ok());
}
