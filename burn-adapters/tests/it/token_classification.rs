//! Adapters that label words, of `AdapterHub` and `PEFT`, on bases of every family: the logits of every token, the loss
//! and the files are those of the packages (`goldens/token_classification.py`).

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_adapters::interchange::{adapter_hub, merged, peft, read_tensors};
use burn_adapters::{
    AdaptedBert, HeadKind, Method, Targets, TaskAdapterConfig, token_classification_loss,
};
use burn_bert::{BertConfig, BertInput, Encoder};
use serde_json::{Value, json};

use crate::adapter_hub::TOLERANCE;
use crate::fixtures::{input, max_abs_difference, path, read};

const NAMES: [&str; 11] = [
    "bert",
    "camembert",
    "deberta-v2",
    "deberta-v3",
    "distilbert",
    "electra",
    "modernbert",
    "modernbert-biases",
    "mpnet",
    "roberta",
    "xlm-roberta",
];
const LABELS: [&str; 5] = ["B-person", "B-place", "I-person", "I-place", "O"];

fn base_directory(name: &str) -> PathBuf {
    path("../../../burn-bert/tests/fixtures/families").join(name)
}

fn texts(name: &str) -> BertInput {
    input(&read(base_directory(name).join("outputs.safetensors")), "", &Device::flex())
}

fn labels() -> Vec<String> {
    LABELS.map(str::to_owned).to_vec()
}

fn import(directory: &Path, name: &str) -> AdaptedBert {
    let bert = burn_bert::load(&base_directory(name), &Device::flex()).unwrap();
    let is_hub = directory.file_name().unwrap().to_str().unwrap().starts_with("hub-");
    let imported = if is_hub {
        adapter_hub::read(directory, bert, None)
    } else {
        // PEFT's files have no names of labels.
        peft::read(directory, bert, Some(labels()))
    };
    let imported = imported.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    assert_eq!(imported.head, HeadKind::TokenClassification { labels: labels() }, "{name}");
    imported.model
}

/// The logits of tokens; those of padding are 0.
fn masked(name: &str, logits: Tensor<3>) -> TensorData {
    let mask = texts(name).attention_mask.int().float().unsqueeze_dim::<3>(2);
    (logits * mask).into_data()
}

#[test]
fn tokens_of_every_family_have_the_logits_and_the_loss_of_the_packages() {
    let device = Device::flex();
    for name in NAMES {
        let golden = read(path("tokens").join(name).join("outputs.safetensors"));
        let kinds = golden.keys().filter(|key| key.contains('-'));
        for kind in kinds {
            let directory = path("tokens").join(name).join(kind);
            let model = import(&directory, name);
            let logits = model.forward_tokens(&texts(name));
            let expected = Tensor::<3>::from_data(golden[kind].clone(), &device);
            let found = masked(name, logits.clone());
            let difference = max_abs_difference(&found, &masked(name, expected));
            println!("{name} {kind}: {difference:e}");
            assert!(difference <= TOLERANCE, "{name} {kind}: {difference:e}");
            if kind == "peft-tags" {
                let tags = Tensor::<2>::from_data(golden["labels"].clone(), &device).int();
                assert!(tags.clone().equal_elem(Targets::IGNORED).any().into_scalar::<bool>());
                let loss = token_classification_loss(logits, tags).into_data();
                assert!(max_abs_difference(&loss, &golden["loss"]) <= TOLERANCE, "{name}");
            }
            check_written(&directory, name, &model);
        }
    }
}

/// Exports a model that was imported from a directory, and compares the files.
fn check_written(directory: &Path, name: &str, model: &AdaptedBert) {
    let out = tempfile::tempdir().unwrap();
    let head = model.task.config().head.clone();
    let (kind, of) = directory.file_name().unwrap().to_str().unwrap().split_once('-').unwrap();
    let files: &[&str] = if kind == "hub" {
        adapter_hub::write_directory(out.path(), model, of, &head, true).unwrap();
        // The head of the family's own class is written as one of the package's.
        if of == "static" {
            &["adapter.safetensors"]
        } else {
            &["adapter.safetensors", "model_head.safetensors"]
        }
    } else {
        peft::write_directory(out.path(), model, &head, "base").unwrap();
        &["adapter_model.safetensors"]
    };
    for file in files {
        let expected = read_tensors(&directory.join(file)).unwrap();
        let found = read_tensors(&out.path().join(file)).unwrap();
        let names = |tensors: &burn_adapters::interchange::Tensors| {
            tensors.keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(names(&found), names(&expected), "{name} {kind}-{of}: {file}");
        for (tensor, data) in &expected {
            assert_eq!(&found[tensor], data, "{name} {kind}-{of}: {tensor}");
        }
    }
    let setting = |file: &str| -> Value {
        serde_json::from_slice(&std::fs::read(out.path().join(file)).unwrap()).unwrap()
    };
    if kind == "hub" {
        let written = &setting("head_config.json")["config"];
        assert_eq!(
            (&written["head_type"], &written["label2id"]["O"]),
            (&json!("tagging"), &json!(4))
        );
    } else {
        assert_eq!(setting("adapter_config.json")["task_type"], "TOKEN_CLS");
    }
}

#[test]
fn a_merged_model_is_the_class_for_token_classification() {
    for name in NAMES {
        let model = import(&path("tokens").join(name).join("peft-tags"), name);
        let head = model.task.config().head.clone();
        let out = tempfile::tempdir().unwrap();
        let config = BertConfig::from_directory(&base_directory(name)).unwrap();
        let lost = merged::write_directory(out.path(), &model, &head, &config).unwrap();
        assert!(lost.is_empty(), "{name}: {lost:?}");
        let written = std::fs::read(out.path().join("config.json")).unwrap();
        let written: Value = serde_json::from_slice(&written).unwrap();
        let class = written["architectures"][0].as_str().unwrap();
        assert!(class.ends_with("ForTokenClassification"), "{name}: {class}");
        assert_eq!(written["id2label"]["4"], "O", "{name}");
        let tensors = read_tensors(&out.path().join("model.safetensors")).unwrap();
        let weight = &tensors["classifier.weight"];
        assert_eq!(weight.shape().to_vec()[0], LABELS.len(), "{name}");
        assert!(!tensors.keys().any(|tensor| tensor.contains("pooler")), "{name}");
        let has_layers = tensors.keys().any(|tensor| tensor.starts_with("head."));
        assert_eq!(has_layers, name.starts_with("modernbert"), "{name}");
        let encoder = burn_bert::load(out.path(), &Device::flex()).unwrap();
        let found = masked(name, encoder.forward(&texts(name)));
        let expected = masked(name, model.bert.forward_with(&texts(name), &model.task));
        assert!(max_abs_difference(&found, &expected) <= TOLERANCE, "{name}");
    }
}

#[test]
fn the_tags_of_a_batch_train_a_head_of_words() {
    let device = Device::flex().autodiff();
    let bert = burn_bert::load(&base_directory("bert"), &device).unwrap();
    let head = HeadKind::TokenClassification { labels: labels() };
    let config = TaskAdapterConfig::new(Method::Pfeiffer.plan(4), head);
    let task = config.init(&bert).unwrap();
    let model = AdaptedBert::new(bert, task).unwrap();
    let input = input(&read(base_directory("bert").join("outputs.safetensors")), "", &device);
    let [batch, sequence] = input.input_ids.dims();
    let tags = Tensor::<2, Int>::full([batch, sequence], Targets::IGNORED, &device);
    let tags = tags.slice_fill([0..1, 1..3], 2);
    let hidden = model.bert.forward_with(&input, &model.task);
    let output = model.head_output(hidden, &input.attention_mask, Some(&Targets::Tags(tags)));
    let loss: f32 = output.loss.clone().into_scalar();
    assert!(loss > 0.0 && loss.is_finite(), "{loss}");
    assert_eq!(output.logits.dims(), [batch, LABELS.len() * sequence]);
    let gradients = output.loss.backward();
    let bias = model.task.head.linear.bias.as_ref().unwrap().val().grad(&gradients).unwrap();
    assert!(bias.abs().sum().into_scalar::<f32>() > 0.0);
}
