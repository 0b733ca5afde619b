//! The files of a base: configuration, tokenizer, weights.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use burn_bert::checkpoint::hugging_face;
use burn_bert::checkpoint::tensorflow::TensorBundle;
use burn_bert::{BertConfig, load, load_weights};
use fuzz::Harness;
use glue_data::{Example, TextEncoder};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

/// JSON in memory takes up to 40 bytes for one of the file, and files are at most 1 MiB.
const JSON_MEMORY: usize = 64 << 20;

fn fixture(path: &str) -> Vec<u8> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read(workspace.join(path)).unwrap()
}

/// The smallest BERT.
fn smallest() -> BertConfig {
    BertConfig {
        vocab_size: 2,
        hidden_size: 2,
        num_hidden_layers: 1,
        num_attention_heads: 1,
        intermediate_size: 2,
        max_position_embeddings: 2,
        ..BertConfig::bert_base()
    }
}

/// Its weights as safetensors.
fn weights() -> Vec<u8> {
    let tensors = hugging_face::tensors(&smallest().init(&Device::flex()));
    let views = tensors.iter().map(|(name, data)| {
        let view = TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes()).unwrap();
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn config_json() {
    let written: Value =
        serde_json::from_slice(&fixture("burn-bert/tests/fixtures/config_keys.json")).unwrap();
    let seeds = [
        written["BertConfig"].to_string().into_bytes(),
        serde_json::to_vec(&smallest()).unwrap(),
        fixture("burn-bert/tests/fixtures/google/bert_config.json"),
    ];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    Harness { name: "config_json", seeds: &seeds, memory: JSON_MEMORY }.run(|bytes| {
        std::fs::write(&path, bytes).unwrap();
        BertConfig::from_json_file(&path).is_ok()
    });
}

/// A configuration that does not fit the weights takes no memory for what is not there.
#[test]
fn config_json_beside_weights() {
    let seeds = [serde_json::to_vec(&smallest()).unwrap()];
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("model.safetensors"), weights()).unwrap();
    let path = directory.path().join("config.json");
    let device = Device::flex();
    Harness { name: "config_json_beside_weights", seeds: &seeds, memory: JSON_MEMORY }.run(
        |bytes| {
            std::fs::write(&path, bytes).unwrap();
            load(directory.path(), &device).is_ok()
        },
    );
}

/// Reads a tokenizer and uses it.
fn tokenizes(directory: &Path) -> bool {
    let Ok(encoder) = TextEncoder::from_directory(directory, 12) else { return false };
    let texts = ["", "The café, 中国 hvac-unit [MASK] w9 w10\u{301}", "İ \u{fffd}\u{200b}ﬁ"];
    let mut examples: Vec<Example> = texts
        .iter()
        .map(|text| Example { text: (*text).to_owned(), text2: None, label: None })
        .collect();
    examples[1].text2 = Some("w11 [SEP] w12".to_owned());
    // A damaged tokenizer may refuse a text, but not panic on one.
    let _ = encoder.encode(&examples);
    let _ = encoder.check_rows(64);
    !encoder.fingerprint().is_empty()
}

/// A directory with the files of a small tokenizer.
fn tokenizer_directory(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (file, bytes) in files {
        std::fs::write(directory.path().join(file), bytes).unwrap();
    }
    directory
}

fn run_tokenizer(name: &str, file: &str, seeds: &[Vec<u8>], files: &[(&str, &[u8])]) {
    let directory = tokenizer_directory(files);
    let path = directory.path().join(file);
    Harness { name, seeds, memory: JSON_MEMORY }.run(|bytes| {
        std::fs::write(&path, bytes).unwrap();
        tokenizes(directory.path())
    });
}

fn vocabulary() -> Vec<u8> {
    fixture("glue-data/tests/fixtures/vocab.txt")
}

#[test]
fn vocab_txt() {
    let windows = String::from_utf8(vocabulary()).unwrap().replace('\n', "\r\n").into_bytes();
    run_tokenizer("vocab_txt", "vocab.txt", &[vocabulary(), windows], &[]);
}

#[test]
fn tokenizer_json() {
    let whole: Value =
        serde_json::from_slice(&fixture("glue-data/tests/fixtures/tokenizer/tokenizer.json"))
            .unwrap();
    let mut padded = whole.clone();
    padded["truncation"] =
        json!({ "direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0 });
    padded["padding"] = json!({ "strategy": "BatchLongest", "direction": "Right",
        "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]" });
    padded["added_tokens"][4]["normalized"] = true.into();
    padded["added_tokens"][4]["lstrip"] = true.into();
    // Other models, as PreTrainedTokenizerFast may have them.
    let mut pieces = whole.clone();
    let specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let words = ["a", "b", "c", "ab", "abc", "w", "9"];
    let ids = |tokens: &[&str]| -> Value {
        let ids = tokens
            .iter()
            .zip(0..)
            .map(|(token, id): (&&str, u32)| ((*token).to_owned(), Value::from(id)));
        Value::Object(ids.collect())
    };
    let all = ids(&[specials.as_slice(), &words].concat());
    pieces["model"] = json!({ "type": "BPE", "dropout": null, "unk_token": "[UNK]",
        "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
        "byte_fallback": false, "ignore_merges": false, "vocab": all,
        "merges": [["a", "b"], ["ab", "c"]] });
    let mut levels = whole.clone();
    levels["model"] = json!({ "type": "WordLevel", "vocab": all, "unk_token": "[UNK]" });
    let mut unigram = whole.clone();
    let scores: Vec<Value> =
        specials.iter().chain(&words).map(|token| json!([token, -1.5])).collect();
    unigram["model"] =
        json!({ "type": "Unigram", "unk_id": 1, "vocab": scores, "byte_fallback": false });
    unigram["normalizer"] = json!({ "type": "Sequence", "normalizers": [
        { "type": "NFKC" }, { "type": "Lowercase" }, { "type": "Replace", "pattern": { "Regex": "a+" }, "content": "a" } ] });
    unigram["pre_tokenizer"] = json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true });
    let seeds = [whole, padded, pieces, levels, unigram].map(|seed| seed.to_string().into_bytes());
    run_tokenizer("tokenizer_json", "tokenizer.json", &seeds, &[]);
}

#[test]
fn tokenizer_config_json() {
    let keys: Value =
        serde_json::from_slice(&fixture("glue-data/tests/fixtures/tokenizer_keys.json")).unwrap();
    let mut written = keys["BertTokenizerFast/tokenizer_config.json"].clone();
    written["added_tokens_decoder"].as_object_mut().unwrap().remove("5").unwrap();
    let other = json!({ "do_lower_case": false, "strip_accents": true, "truncation_side": "left",
        "cls_token": { "__type": "AddedToken", "content": "[CLS]", "lstrip": true },
        "additional_special_tokens": ["w9", { "content": "w10", "normalized": true, "rstrip": true }] });
    let seeds = [written, other].map(|seed| seed.to_string().into_bytes());
    let vocabulary = vocabulary();
    run_tokenizer(
        "tokenizer_config_json",
        "tokenizer_config.json",
        &seeds,
        &[("vocab.txt", &vocabulary)],
    );
    let whole = fixture("glue-data/tests/fixtures/tokenizer/tokenizer.json");
    run_tokenizer(
        "tokenizer_config_json_beside_tokenizer_json",
        "tokenizer_config.json",
        &seeds,
        &[("tokenizer.json", &whole)],
    );
}

#[test]
fn special_tokens_map_json() {
    let seeds =
        [json!({ "cls_token": "[CLS]", "mask_token": { "content": "[MASK]", "lstrip": true },
        "additional_special_tokens": ["w9", "new"] })
        .to_string()
        .into_bytes()];
    let vocabulary = vocabulary();
    let files: [(&str, &[u8]); 1] = [("vocab.txt", &vocabulary)];
    run_tokenizer("special_tokens_map_json", "special_tokens_map.json", &seeds, &files);
}

#[test]
fn added_tokens_json() {
    let seeds = [br#"{"new": 64, "w9": 9, "Newer One": 65}"#.to_vec()];
    let vocabulary = vocabulary();
    let files: [(&str, &[u8]); 1] = [("vocab.txt", &vocabulary)];
    run_tokenizer("added_tokens_json", "added_tokens.json", &seeds, &files);
}

/// Loads weights from a file of some name in a directory.
fn run_weights(name: &str, file: &str, seeds: &[Vec<u8>], directory: &Path, memory: usize) {
    let (config, path, device) = (smallest(), directory.join(file), Device::flex());
    Harness { name, seeds, memory }.run(|bytes| {
        std::fs::write(&path, bytes).unwrap();
        load_weights(&config, directory, &device).is_ok()
    });
}

/// A header of tensors takes up to 40 bytes of memory for one of the file, numbers up to 16.
const WEIGHTS_MEMORY: usize = 64 << 20;

#[test]
fn model_safetensors() {
    let directory = tempfile::tempdir().unwrap();
    let seeds = [weights()];
    run_weights("model_safetensors", "model.safetensors", &seeds, directory.path(), WEIGHTS_MEMORY);
}

#[test]
fn model_safetensors_index_json() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.safetensors"), weights()).unwrap();
    let names = hugging_face::tensors(&smallest().init(&Device::flex()));
    let map: serde_json::Map<String, Value> =
        names.into_keys().map(|name| (name, "a.safetensors".into())).collect();
    let index = json!({ "metadata": { "total_size": 272 }, "weight_map": map });
    let seeds = [index.to_string().into_bytes()];
    let file = "model.safetensors.index.json";
    run_weights("model_safetensors_index_json", file, &seeds, directory.path(), WEIGHTS_MEMORY);
}

#[test]
fn pytorch_model_bin() {
    let directory = tempfile::tempdir().unwrap();
    let seeds = ["pytorch_model.bin", "pytorch_model.torch15.bin"]
        .map(|seed| fixture(&format!("fuzz/seeds/{seed}")));
    run_weights("pytorch_model_bin", "pytorch_model.bin", &seeds, directory.path(), WEIGHTS_MEMORY);
}

#[test]
fn bert_model_ckpt_index() {
    let google = "burn-bert/tests/fixtures/google";
    let seeds = [
        fixture(&format!("{google}/bert_model.ckpt.index")),
        fixture("burn-adapters/tests/fixtures/adapter_bert/model.ckpt-7.index"),
    ];
    let directory = tempfile::tempdir().unwrap();
    let data = "bert_model.ckpt.data-00000-of-00001";
    std::fs::write(directory.path().join(data), fixture(&format!("{google}/{data}"))).unwrap();
    let checkpoint: PathBuf = directory.path().join("bert_model.ckpt");
    let index = directory.path().join("bert_model.ckpt.index");
    Harness { name: "bert_model_ckpt_index", seeds: &seeds, memory: WEIGHTS_MEMORY }.run(|bytes| {
        std::fs::write(&index, bytes).unwrap();
        let Ok(bundle) = TensorBundle::open(&checkpoint) else { return false };
        let names: Vec<String> = bundle.names().map(str::to_owned).collect();
        for name in names {
            let _ = bundle.read(&name);
        }
        true
    });
}
