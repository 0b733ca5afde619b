//! Checkpoints written by TensorFlow, complete and damaged.

use std::path::Path;

use burn::tensor::Device;
use burn_bert::checkpoint::tensorflow::TensorBundle;
use burn_bert::{BertConfig, Encoder, HiddenActivation, load, load_weights};

use crate::{TOLERANCE, check_encoder, check_near, fixture, numbers, texts};

const INDEX: &str = "bert_model.ckpt.index";
const DATA: &str = "bert_model.ckpt.data-00000-of-00001";

/// A changed copy of the checkpoint.
fn changed(change: impl FnOnce(&Path)) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for file in ["bert_config.json", INDEX, DATA] {
        std::fs::copy(fixture("google").join(file), directory.path().join(file)).unwrap();
    }
    change(directory.path());
    directory
}

fn check_refused(change: impl FnOnce(&Path), sentences: &[&str]) {
    let directory = changed(change);
    let error = load(directory.path(), &Device::flex()).unwrap_err().to_string();
    for sentence in sentences {
        assert!(error.contains(sentence), "{sentence}: {error}");
    }
}

/// The weights are those of the fixture `base`; Google's `gelu` is the tanh approximation.
#[test]
fn a_checkpoint_of_tensorflows_is_the_same_bert_with_googles_gelu() {
    let bert = load(&fixture("google"), &Device::flex()).unwrap();
    let golden = "base/outputs_other_activations.safetensors";
    check_near(bert.forward(&texts()), golden, "last_hidden_state.gelu_new", TOLERANCE);
    // In transformers' configuration the same name is the error function.
    let config = BertConfig::from_directory(&fixture("base")).unwrap();
    let bert = load_weights(&config, &fixture("google"), &Device::flex()).unwrap();
    check_encoder(&bert, &texts());
    let hugging_face = load(&fixture("base"), &Device::flex()).unwrap();
    assert_eq!(numbers(bert.forward(&texts())), numbers(hugging_face.forward(&texts())));
}

#[test]
fn a_bundle_has_names_and_shapes() {
    let bundle = TensorBundle::open(&fixture("google").join("bert_model.ckpt")).unwrap();
    assert_eq!(bundle.names().count(), 41);
    assert_eq!(bundle.shape("bert/encoder/layer_0/output/dense/kernel"), Some(vec![64, 32]));
    assert_eq!(bundle.shape("bert/encoder/layer_2/output/dense/kernel"), None);
    assert_eq!(numbers_of(&bundle, "cls/seq_relationship/output_weights"), [1.0; 64]);
    let error = bundle.read("bert/decoder").unwrap_err().to_string();
    assert!(error.contains("bert/decoder"), "{error}");
}

fn numbers_of(bundle: &TensorBundle, name: &str) -> Vec<f32> {
    bundle.read(name).unwrap().iter::<f32>().collect()
}

#[test]
fn a_tensor_with_a_changed_bit_is_named() {
    check_refused(
        |directory| {
            let path = directory.join(DATA);
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[0] ^= 1;
            std::fs::write(path, bytes).unwrap();
        },
        // The first in alphabetical order.
        &[
            DATA,
            "the tensor bert/embeddings/LayerNorm/beta has a wrong checksum",
            "download it again",
        ],
    );
}

#[test]
fn a_truncated_checkpoint_is_refused() {
    let cut = |file: &'static str, part: fn(usize) -> usize| {
        move |directory: &Path| {
            let path = directory.join(file);
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(path, &bytes[..part(bytes.len())]).unwrap();
        }
    };
    for part in [|_| 0, |length| length / 2, |length: usize| length - 1] as [fn(usize) -> usize; 3]
    {
        check_refused(cut(INDEX, part), &[INDEX, "is not a complete file of weights"]);
    }
    check_refused(cut(DATA, |length| length / 2), &[DATA, "ends after the file's"]);
    check_refused(|directory| std::fs::remove_file(directory.join(DATA)).unwrap(), &[DATA]);
}

#[test]
fn wrong_tensors_have_googles_names_in_the_error() {
    let configured = |key: &'static str, value: usize| {
        move |directory: &Path| {
            let path = directory.join("bert_config.json");
            let text = std::fs::read_to_string(&path).unwrap();
            let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
            config[key] = value.into();
            std::fs::write(path, config.to_string()).unwrap();
        }
    };
    check_refused(
        configured("num_hidden_layers", 3),
        &["have 2 layers, expected 3: num_hidden_layers in the configuration"],
    );
    check_refused(configured("num_hidden_layers", 1), &["have 2 layers, expected 1"]);
    check_refused(
        configured("intermediate_size", 48),
        &["bert/encoder/layer_0/intermediate/dense/kernel is [32, 64], expected [32, 48]"],
    );
}

#[test]
fn googles_configuration_is_read_if_there_is_no_other() {
    let config = BertConfig::from_directory(&fixture("google")).unwrap();
    assert_eq!(config.hidden_act, HiddenActivation::GeluNew);
    let hidden_act = HiddenActivation::Gelu;
    let base = BertConfig::from_directory(&fixture("base")).unwrap();
    assert_eq!(BertConfig { hidden_act, ..config }, base);
    // With both configurations, Google's weights are read with Google's and others with transformers'.
    let both = changed(|directory| {
        std::fs::copy(fixture("base/config.json"), directory.join("config.json")).unwrap();
    });
    let activation = |directory: &Path| BertConfig::from_directory(directory).unwrap().hidden_act;
    assert_eq!(activation(both.path()), HiddenActivation::GeluNew);
    std::fs::remove_file(both.path().join("bert_config.json")).unwrap();
    assert_eq!(activation(both.path()), HiddenActivation::Gelu);
    std::fs::copy(fixture("google/bert_config.json"), both.path().join("bert_config.json"))
        .unwrap();
    let weights = both.path().join("model.safetensors");
    std::fs::copy(fixture("base/model.safetensors"), weights).unwrap();
    assert_eq!(activation(both.path()), HiddenActivation::Gelu);
    let error = BertConfig::from_directory(Path::new("nowhere")).unwrap_err().to_string();
    assert!(error.contains("config.json"), "{error}");
}
