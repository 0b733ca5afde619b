//! Weights as pickles of PyTorch: of a base, and of adapters of other packages.

use burn::tensor::Device;
use burn_adapters::interchange::read_tensors;
use burn_bert::load_weights;
use fuzz::Harness;

use crate::files::{directory, fixture, run_with_file, smallest_bert};

/// Memory for a pickle of 1 MiB at most. A byte of it can be an object of 88 bytes on a stack that doubles when it grows.
/// The reader copies at most a million objects of at most 88 bytes and, in them, 64 MiB of text. Tensors have at most 16
/// times the bytes of the file.
const PICKLE: usize = (132 + 16 + 64 + 88) << 20;

#[test]
fn pytorch_model_bin() {
    let (directory, config, device) = (directory(&[]), smallest_bert(), Device::flex());
    let seeds = ["pytorch_model.bin", "pytorch_model.torch15.bin"]
        .map(|seed| fixture(&format!("fuzz/seeds/{seed}")));
    let harness = Harness { name: "pytorch_model_bin", seeds: &seeds, memory: PICKLE };
    run_with_file(&harness, &directory.path().join("pytorch_model.bin"), || {
        load_weights(&config, directory.path(), &device).is_ok()
    });
}

#[test]
fn foreign_pickle() {
    let directory = directory(&[]);
    let path = directory.path().join("pytorch_adapter.bin");
    let seeds = ["two_tensors.bin", "two_tensors.legacy.bin"]
        .map(|seed| fixture(&format!("fuzz/seeds/{seed}")));
    let harness = Harness { name: "foreign_pickle", seeds: &seeds, memory: PICKLE };
    run_with_file(&harness, &path, || read_tensors(&path).is_ok());
}
