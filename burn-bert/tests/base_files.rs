//! The files of a base: every key of `config.json` is used or refused, and weights are complete.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use burn_bert::{BertConfig, Family, HiddenActivation, checkpoint, load};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn config() -> Value {
    serde_json::from_slice(&std::fs::read(fixture("base/config.json")).unwrap()).unwrap()
}

/// Reads the configuration with some keys changed.
fn read(keys: &Value) -> Result<BertConfig, String> {
    let mut json = config();
    for (key, value) in keys.as_object().unwrap() {
        json[key] = value.clone();
    }
    read_json(&json)
}

fn read_json(json: &Value) -> Result<BertConfig, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    std::fs::write(&path, json.to_string()).unwrap();
    BertConfig::from_json_file(&path).map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        format!("{error}{}", source.unwrap_or_default())
    })
}

/// `BertConfig().to_dict()` and `PretrainedConfig().to_dict()` of transformers 4.57.6.
#[test]
fn every_key_that_transformers_writes_is_known() {
    let written: Value =
        serde_json::from_slice(&std::fs::read(fixture("config_keys.json")).unwrap()).unwrap();
    for class in ["BertConfig", "PretrainedConfig"] {
        let keys = written[class].as_object().unwrap();
        assert!(keys.len() > 40);
        let keys: serde_json::Map<_, _> =
            keys.clone().into_iter().filter(|(key, _)| key != "model_type").collect();
        assert_eq!(read(&Value::Object(keys)).unwrap().unknown_keys, [""; 0], "{class}");
    }
    let base = read_json(&written["BertConfig"]).unwrap();
    assert_eq!(base, BertConfig::bert_base());
}

#[test]
fn an_unsupported_setting_is_refused_by_name() {
    for (keys, expected) in [
        (json!({ "is_decoder": true }), "is_decoder true, expected false"),
        (json!({ "add_cross_attention": true }), "add_cross_attention true"),
        (json!({ "cross_attention_hidden_size": 8 }), "cross_attention_hidden_size 8"),
        (json!({ "is_encoder_decoder": true }), "is_encoder_decoder true"),
        (json!({ "tie_encoder_decoder": true }), "tie_encoder_decoder true"),
        (json!({ "pruned_heads": { "0": [1] } }), "pruned_heads {\"0\":[1]}"),
        (json!({ "quantization_config": { "bits": 8 } }), "quantization_config {\"bits\":8}"),
        (json!({ "auto_map": { "AutoModel": "a.b" } }), "auto_map"),
        (json!({ "directionality": "left" }), "directionality left"),
        (json!({ "embedding_size": 128 }), "embedding_size 128"),
        (
            json!({ "position_embedding_type": "relative_key" }),
            "config.json has position_embedding_type relative_key",
        ),
        (json!({ "hidden_act": "quick_gelu" }), "unknown variant `quick_gelu`"),
        (json!({ "layer_norm_eps": 0.0 }), "layer_norm_eps 0"),
        (json!({ "num_attention_heads": 7 }), "config.json has hidden_size 32"),
    ] {
        let error = read(&keys).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn the_model_type_is_checked_first() {
    let gpt = json!({ "model_type": "gpt2", "n_embd": 32, "n_layer": 2, "is_decoder": true });
    let error = read_json(&gpt).unwrap_err();
    assert!(error.contains("model_type gpt2, expected one of bert, roberta"), "{error}");
    // A file without model_type.
    let gpt = json!({ "architectures": ["GPT2Model"] });
    let error = read_json(&gpt).unwrap_err();
    assert!(error.contains("architectures [\"GPT2Model\"], expected classes of"), "{error}");
    let mut old = config();
    old.as_object_mut().unwrap().remove("model_type").unwrap();
    for (class, family) in
        [("BertForMaskedLM", Family::Bert), ("RobertaForMaskedLM", Family::Roberta)]
    {
        old["architectures"] = json!([class]);
        assert_eq!(read_json(&old).unwrap().family, family);
    }
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    std::fs::write(&path, format!("\u{feff}{}", config())).unwrap();
    BertConfig::from_json_file(&path).unwrap();
}

#[test]
fn unknown_keys_are_listed() {
    let config = read(&json!({ "alibi_starting_size": 512, "use_cache": true })).unwrap();
    assert_eq!(config.unknown_keys, ["alibi_starting_size"]);
}

#[test]
fn every_name_of_an_activation_is_supported() {
    for (name, expected) in [
        ("gelu", HiddenActivation::Gelu),
        ("gelu_python", HiddenActivation::Gelu),
        ("gelu_new", HiddenActivation::GeluNew),
        ("gelu_pytorch_tanh", HiddenActivation::GeluNew),
        ("gelu_python_tanh", HiddenActivation::GeluNew),
        ("gelu_fast", HiddenActivation::GeluNew),
        ("swish", HiddenActivation::Silu),
    ] {
        assert_eq!(read(&json!({ "hidden_act": name })).unwrap().hidden_act, expected);
    }
}

/// A base with changed tensors of the fixture.
struct Changed {
    directory: tempfile::TempDir,
}

impl Changed {
    fn new(rename: impl Fn(&str) -> String) -> Self {
        let bytes = std::fs::read(fixture("base/model.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let renamed = tensors.iter().map(|(name, view)| (rename(name), view));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.safetensors");
        safetensors::serialize_to_file(renamed, None, &path).unwrap();
        std::fs::copy(fixture("base/config.json"), directory.path().join("config.json")).unwrap();
        Self { directory }
    }

    fn configured(self, key: &str, value: Value) -> Self {
        let mut json = config();
        json[key] = value;
        std::fs::write(self.directory.path().join("config.json"), json.to_string()).unwrap();
        self
    }

    fn refused(&self) -> String {
        load(self.directory.path(), &Device::flex()).unwrap_err().to_string()
    }
}

#[test]
fn known_prefixes_are_read_and_others_are_refused() {
    for prefix in ["bert.", "module.", "module.bert.", "model.", "0.auto_model.", "_orig_mod."] {
        let changed = Changed::new(|name| format!("{prefix}{name}"));
        assert!(load(changed.directory.path(), &Device::flex()).is_ok(), "{prefix}");
    }
    let error = Changed::new(|name| format!("roberta.{name}")).refused();
    assert!(error.contains("an encoder under `roberta.`, expected one encoder"), "{error}");
    let error = Changed::new(|name| name.replace("embeddings.", "embed.")).refused();
    assert!(
        error.contains(
            "contain no encoder of its family: none of their 39 tensors is named embeddings.word"
        ),
        "{error}"
    );
}

#[test]
fn two_encoders_in_a_file_are_refused() {
    let bytes = std::fs::read(fixture("base/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let both = ["question.", "context."].into_iter().flat_map(|prefix| {
        tensors.iter().map(move |(name, view)| (format!("{prefix}{name}"), view))
    });
    let changed = Changed::new(str::to_owned);
    let path = changed.directory.path().join("model.safetensors");
    safetensors::serialize_to_file(both, None, &path).unwrap();
    let error = changed.refused();
    assert!(error.contains("under `context.`, `question.`, expected one encoder"), "{error}");
}

#[test]
fn more_layers_than_weights_are_refused_before_memory_is_allocated() {
    for layers in [3, 40_000, 1_000_000_000] {
        let error =
            Changed::new(str::to_owned).configured("num_hidden_layers", json!(layers)).refused();
        assert!(error.contains(&format!("have 2 layers, expected {layers}")), "{error}");
    }
    // A width of which one matrix would not fit into memory.
    let huge = 1_u64 << 40;
    for key in ["vocab_size", "intermediate_size", "max_position_embeddings", "hidden_size"] {
        let error = Changed::new(str::to_owned).configured(key, json!(huge)).refused();
        assert!(error.contains("expected ["), "{key}: {error}");
    }
}

/// Replaces one tensor by another of the same bytes.
fn with_tensor(name: &str, dtype: Dtype, shape: Vec<usize>, data: &[u8]) -> Changed {
    let bytes = std::fs::read(fixture("base/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let view = TensorView::new(dtype, shape, data).unwrap();
    let replaced = tensors
        .iter()
        .map(|(other, old)| (other.to_owned(), if other == name { view.clone() } else { old }));
    let changed = Changed::new(str::to_owned);
    let path = changed.directory.path().join("model.safetensors");
    safetensors::serialize_to_file(replaced, None, &path).unwrap();
    changed
}

#[test]
fn numbers_that_are_not_finite_floats_are_refused_by_name() {
    let name = "encoder.layer.1.attention.output.dense.bias";
    let mut numbers = vec![0_u8; 4 * 32];
    numbers[40..44].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = with_tensor(name, Dtype::F32, vec![32], &numbers).refused();
    assert!(error.contains(&format!("{name} holds numbers that are NaN or infinite")), "{error}");
    let error = with_tensor(name, Dtype::I8, vec![32], &[1; 32]).refused();
    assert!(error.contains(&format!("{name} is of type I8, expected floats")), "{error}");
}

#[test]
fn files_lists_the_files_that_are_read() {
    let names = |directory: &Path| -> Vec<String> {
        let files = checkpoint::files(directory).unwrap();
        files.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names(&fixture("base")), ["model.safetensors"]);
    assert_eq!(names(&fixture("google")), ["bert_model.ckpt.data-00000-of-00001"]);
    let directory = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| std::fs::write(directory.path().join(file), text).unwrap();
    write("pytorch_model.bin", "");
    write("other.safetensors", "");
    let map = json!({ "weight_map": { "a": "b.safetensors", "b": "a.safetensors", "c": "b.safetensors" } });
    write("model.safetensors.index.json", &map.to_string());
    assert_eq!(names(directory.path()), ["a.safetensors", "b.safetensors"]);
    let remove = |file: &str| std::fs::remove_file(directory.path().join(file)).unwrap();
    remove("model.safetensors.index.json");
    let map = json!({ "weight_map": { "a": "1.bin", "b": "2.bin" } });
    write("pytorch_model.bin.index.json", &map.to_string());
    assert_eq!(names(directory.path()), ["pytorch_model.bin"]);
    remove("pytorch_model.bin");
    assert_eq!(names(directory.path()), ["1.bin", "2.bin"]);
}

#[test]
fn pickles_are_read_by_their_index() {
    let legacy = fixture("base_legacy");
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(legacy.join("config.json"), directory.path().join("config.json")).unwrap();
    let shard = "pytorch_model-00001-of-00001.bin";
    std::fs::copy(legacy.join("pytorch_model.bin"), directory.path().join(shard)).unwrap();
    let index =
        json!({ "metadata": {}, "weight_map": { "embeddings.word_embeddings.weight": shard } });
    let path = directory.path().join("pytorch_model.bin.index.json");
    std::fs::write(&path, index.to_string()).unwrap();
    let tensors = |directory: &Path| {
        checkpoint::hugging_face::tensors(&load(directory, &Device::flex()).unwrap())
    };
    assert_eq!(tensors(directory.path()), tensors(&legacy));

    let index = index.to_string().replace("00001-of", "00009-of");
    std::fs::write(&path, index).unwrap();
    let error = load(directory.path(), &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("pytorch_model-00009-of-00001.bin cannot be read"), "{error}");
}
