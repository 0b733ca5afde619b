//! Directories of `AdapterHub`'s and `PEFT`'s give the logits they gave there, or an error that says what is in the way;
//! and what is written is read again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, TensorData};
use burn_adapters::interchange::{Imported, adapter_hub, merged, peft};
use burn_adapters::{
    AdapterError, HeadError, HeadKind, InterchangeError, Layers, Method, Pooling,
    TaskAdapterConfig, TrainableBase,
};
use burn_bert::BertConfig;
use proptest::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use crate::adapter_hub::{TOLERANCE, texts};
use crate::fixtures::{adapted, base, config, max_abs_difference, path, read, with_noise};

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

fn read_hub(directory: &Path) -> Result<Imported, AdapterError> {
    adapter_hub::read(directory, base(&Device::flex()), None)
}

fn read_peft(directory: &Path) -> Result<Imported, AdapterError> {
    peft::read(directory, base(&Device::flex()), None)
}

fn check_logits(what: &str, imported: &Imported, expected: &TensorData) {
    let found = imported.model.forward(&texts()).into_data();
    let difference = max_abs_difference(&found, expected);
    println!("{what}: {difference:e}");
    assert!(difference <= TOLERANCE, "{what}: {difference:e}");
}

fn directories(of: &str) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(path(of)).unwrap().map(|entry| entry.unwrap());
    let mut found: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(_, directory)| directory.join("adapter_config.json").is_file())
        .collect();
    found.sort();
    found
}

/// What stands in the way of a directory whose method has no place here.
fn unsupported_reason(name: &str) -> Option<&'static str> {
    Some(match name {
        "compacter" | "compacterpp" => "`phm_layer` is true",
        "pfeiffer_inv" => "`inv_adapter` is \"nice\"",
        "prompt_tuning" => "`architecture` is \"prompt_tuning\"",
        "fa" | "fb" => "has no head",
        _ => return None,
    })
}

#[test]
fn every_directory_gives_its_logits_or_says_what_is_in_the_way() {
    let (mut read_in, mut refused) = (0, 0);
    for (of, read_directory) in [("adapters", read_hub as Reader), ("peft", read_peft)] {
        for (name, directory) in directories(of) {
            match (read_directory(&directory), unsupported_reason(&name)) {
                (Ok(imported), None) => {
                    let outputs = read(directory.join("outputs.safetensors"));
                    check_logits(&name, &imported, &outputs["logits.f64"]);
                    read_in += 1;
                }
                (Err(error), Some(unsupported_reason)) => {
                    let said = error.to_string();
                    assert!(said.contains(unsupported_reason), "{name}: {said}");
                    refused += 1;
                }
                (Ok(_), Some(unsupported_reason)) => {
                    panic!("{name} was read in spite of {unsupported_reason}")
                }
                (Err(error), None) => panic!("{name}: {error}"),
            }
        }
    }
    assert_eq!((read_in, refused), (21, 6));
}

#[test]
fn an_adapter_without_a_head_gets_an_untrained_one_for_the_labels_that_are_named() {
    let labels = vec!["no".to_owned(), "yes".to_owned()];
    for name in ["fa", "fb"] {
        let directory = path("adapters").join(name);
        let imported =
            adapter_hub::read(&directory, base(&Device::flex()), Some(labels.clone())).unwrap();
        assert_eq!(imported.name, name);
        assert_eq!(imported.head, HeadKind::Classification { labels: labels.clone() });
        assert!(imported.warnings[0].contains("untrained"), "{:?}", imported.warnings);
    }
}

#[test]
fn labels_are_those_of_a_classification_and_fit_its_head() {
    let read = |labels: &[&str]| {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let bert = base(&Device::flex());
        adapter_hub::read(&path("adapters/houlsby"), bert, Some(labels)).map(|found| found.head)
    };
    let three = ["x", "y", "z"];
    let labels = three.map(str::to_owned).to_vec();
    assert_eq!(read(&three).unwrap(), HeadKind::Classification { labels });
    assert!(matches!(
        read(&["x", "y"]),
        Err(AdapterError::Head(HeadError::LabelCount { outputs: 3, .. }))
    ));
    assert!(matches!(
        read(&["x", "y", "x"]),
        Err(AdapterError::Head(HeadError::DuplicateLabel { .. }))
    ));

    let config = TaskAdapterConfig { head: HeadKind::Regression, ..config(Method::Lora.plan(2)) };
    let model = adapted(base(&Device::flex()), &config);
    let written = tempfile::tempdir().unwrap();
    peft::write_directory(written.path(), &model, &HeadKind::Regression, "tiny").unwrap();
    let read = |labels| peft::read(written.path(), base(&Device::flex()), labels);
    assert_eq!(read(None).unwrap().head, HeadKind::Regression);
    let error = read(Some(vec!["score".to_owned()])).unwrap_err().to_string();
    assert!(error.contains("which is a score and no class"), "{error}");
}

#[test]
fn a_head_of_several_labels_stays_one() {
    let labels = |names: &[&str]| HeadKind::MultiLabel {
        labels: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let directory = copy(&path("adapters/multi_label"));
    let imported = read_hub(directory.path()).unwrap();
    assert_eq!(imported.head, labels(&["red", "green", "blue", "1"]));
    let names = ["a", "b", "c", "d"];
    let bert = base(&Device::flex());
    let named = names.map(str::to_owned).to_vec();
    let again = adapter_hub::read(directory.path(), bert, Some(named)).unwrap();
    assert_eq!(again.head, labels(&names));
    // Without names, as `add_classification_head` writes it unless it is given `id2label`.
    let file = directory.path().join("head_config.json");
    let mut settings: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    settings["config"]["label2id"] = json!(null);
    std::fs::write(&file, settings.to_string()).unwrap();
    let again = read_hub(directory.path()).unwrap();
    assert_eq!(again.head, labels(&["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"]));

    let base_config = BertConfig::from_directory(&path("base")).unwrap();
    let config = TaskAdapterConfig { pooling: Pooling::Pooler, ..config(Method::Lora.plan(2)) };
    let model = adapted(base(&Device::flex()), &config);
    let written = tempfile::tempdir().unwrap();
    let head = labels(&["a", "b", "c"]);
    merged::write_directory(written.path(), &model, &head, &base_config).unwrap();
    let settings = std::fs::read(written.path().join("config.json")).unwrap();
    let settings: Value = serde_json::from_slice(&settings).unwrap();
    assert_eq!(settings["problem_type"], "multi_label_classification");
    assert_eq!(settings["id2label"]["1"], "b");
}

#[test]
fn directories_of_the_first_releases_of_peft_are_read() {
    let directory = copy(&path("peft/lora_qv"));
    let expected = read_peft(directory.path()).unwrap();
    let file = directory.path().join("adapter_config.json");
    let settings: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for merge_weights in [false, true] {
        // All that release 0.2.0 wrote.
        let early = json!({
            "base_model_name_or_path": "tiny",
            "bias": "none",
            "enable_lora": null,
            "fan_in_fan_out": false,
            "inference_mode": true,
            "lora_alpha": settings["lora_alpha"],
            "lora_dropout": 0.1,
            "merge_weights": merge_weights,
            "modules_to_save": ["classifier", "score"],
            "peft_type": "LORA",
            "r": settings["r"],
            "target_modules": ["query", "value"],
            "task_type": "SEQ_CLS",
        });
        std::fs::write(&file, early.to_string()).unwrap();
        let early = read_peft(directory.path()).unwrap();
        let logits = |imported: &Imported| imported.model.forward(&texts()).into_data();
        assert_eq!(logits(&early), logits(&expected));
    }
}

#[test]
fn a_directory_of_a_fusion_is_refused_as_one() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("adapter_fusion_config.json"), "{}").unwrap();
    let error = read_hub(directory.path()).unwrap_err();
    assert!(
        matches!(error, AdapterError::Interchange(InterchangeError::IsFusion { .. })),
        "{error}"
    );
}

#[test]
fn heads_of_other_models_are_refused() {
    let directory = copy(&path("adapters/houlsby_static"));
    let file = directory.path().join("head_config.json");
    let settings = std::fs::read_to_string(&file).unwrap();
    let changed = settings.replace("BertForSequenceClassification", "BertForQuestionAnswering");
    assert_ne!(changed, settings);
    std::fs::write(&file, changed).unwrap();
    let said = read_hub(directory.path()).unwrap_err().to_string();
    assert!(said.contains("`model_class` is \"BertForQuestionAnswering\""), "{said}");

    let directory = copy(&path("adapters/houlsby"));
    let file = directory.path().join("head_config.json");
    let settings = std::fs::read_to_string(&file).unwrap();
    let changed = settings.replace("\"tanh\"", "null");
    assert_ne!(changed, settings);
    std::fs::write(&file, changed).unwrap();
    let said = read_hub(directory.path()).unwrap_err().to_string();
    assert!(said.contains("`activation_function` is null"), "{said}");
}

#[test]
fn what_is_written_for_adapter_hub_is_read_again() {
    for (name, directory) in directories("adapters") {
        let Ok(imported) = read_hub(&directory) else { continue };
        let expected = imported.model.forward(&texts()).into_data();
        let written = tempfile::tempdir().unwrap();
        let Imported { model, head, .. } = &imported;
        let lost =
            adapter_hub::write_directory(written.path(), model, "mine", head, false).unwrap();
        assert!(lost.is_empty(), "{lost:?}");
        let again = read_hub(written.path()).unwrap();
        assert_eq!((again.name.as_str(), &again.head), ("mine", head));
        assert_eq!(again.model.forward(&texts()).into_data(), expected, "{name}");
        for file in ["adapter", "model_head"] {
            std::fs::remove_file(written.path().join(format!("{file}.safetensors"))).unwrap();
        }
        let again = read_hub(written.path()).unwrap();
        assert_eq!(again.model.forward(&texts()).into_data(), expected, "{name}, as a pickle");
    }
}

#[test]
fn what_is_written_for_peft_is_read_again() {
    for (name, directory) in directories("peft") {
        let Ok(imported) = read_peft(&directory) else { continue };
        let written = tempfile::tempdir().unwrap();
        peft::write_directory(written.path(), &imported.model, &imported.head, "tiny").unwrap();
        let again = read_peft(written.path()).unwrap();
        let expected = imported.model.forward(&texts()).into_data();
        assert_eq!(again.model.forward(&texts()).into_data(), expected, "{name}");
        assert_eq!(again.model.task.config(), imported.model.task.config(), "{name}");
    }
    let norms = adapted(base(&Device::flex()), &config(Method::LayerNorm.plan(1)));
    let written = tempfile::tempdir().unwrap();
    let HeadKind::Classification { labels } = three_labels() else { unreachable!() };
    peft::write_directory(written.path(), &norms, &three_labels(), "tiny").unwrap();
    let again = peft::read(written.path(), base(&Device::flex()), Some(labels)).unwrap();
    assert_eq!(again.model.task.config().plan.trainable_base, TrainableBase::LayerNorms);
    let expected = norms.forward(&texts()).into_data();
    assert_eq!(again.model.forward(&texts()).into_data(), expected);
}

#[test]
fn layers_that_peft_names_apart_from_modules_are_the_ones_that_are_changed() {
    let mut plan = Method::Lora.plan(1);
    plan.lora.as_mut().unwrap().layers = Layers::Only([1].into());
    let model = with_noise(adapted(base(&Device::flex()), &config(plan)));
    let written = tempfile::tempdir().unwrap();
    peft::write_directory(written.path(), &model, &three_labels(), "tiny").unwrap();
    let file = written.path().join("adapter_config.json");
    let mut settings: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    settings["target_modules"] = json!(["query", "value"]);
    for (layers, pattern) in [(json!([1]), json!(null)), (json!(1), json!(["layer"]))] {
        settings["layers_to_transform"] = layers;
        settings["layers_pattern"] = pattern;
        std::fs::write(&file, settings.to_string()).unwrap();
        let again = read_peft(written.path()).unwrap();
        assert_eq!(again.model.task.config().plan, model.task.config().plan);
        let expected = model.forward(&texts()).into_data();
        assert_eq!(again.model.forward(&texts()).into_data(), expected);
    }
    for (key, value, sentence) in [
        ("layers_to_transform", json!([2]), "`layers_to_transform` is 2, expected less than 2"),
        ("layers_pattern", json!("block"), "`layers_pattern` is \"block\""),
        ("rank_pattern", json!({ "query": 4 }), "`rank_pattern` is {\"query\":4}"),
    ] {
        let before = settings[key].take();
        settings[key] = value;
        std::fs::write(&file, settings.to_string()).unwrap();
        let said = read_peft(written.path()).unwrap_err().to_string();
        assert!(said.contains(sentence), "{said}");
        settings[key] = before;
    }
}

fn three_labels() -> HeadKind {
    HeadKind::Classification { labels: ["a", "b", "c"].map(str::to_owned).to_vec() }
}

#[test]
fn a_merged_checkpoint_is_a_base_that_computes_what_the_adapter_did() {
    let base_config = BertConfig::from_directory(&path("base")).unwrap();
    let pooled =
        |method: Method| TaskAdapterConfig { pooling: Pooling::Pooler, ..config(method.plan(1)) };
    for method in [
        Method::Lora,
        Method::Dora,
        Method::DoraAdapterHub,
        Method::Ia3,
        Method::LayerNorm,
        Method::Full,
    ] {
        let model = with_noise(adapted(base(&Device::flex()), &pooled(method)));
        let written = tempfile::tempdir().unwrap();
        let lost =
            merged::write_directory(written.path(), &model, &three_labels(), &base_config).unwrap();
        assert!(lost.is_empty(), "{lost:?}");
        // The base as it is now, under a task that has the head and nothing else.
        let bert = burn_bert::load(written.path(), &Device::flex()).unwrap();
        let mut plain = adapted(bert, &pooled(Method::Full));
        plain.task.head = model.task.head.clone();
        let expected = model.forward(&texts()).into_data();
        let difference = max_abs_difference(&plain.forward(&texts()).into_data(), &expected);
        assert!(difference <= TOLERANCE, "{method}: {difference:e}");

        let tensors = read(written.path().join("model.safetensors"));
        assert_eq!(tensors["classifier.weight"].shape().to_vec(), [3, 32]);
        assert!(tensors.contains_key("bert.pooler.dense.weight"));
        let settings = std::fs::read(written.path().join("config.json")).unwrap();
        let settings: Value = serde_json::from_slice(&settings).unwrap();
        assert_eq!(settings["architectures"], json!(["BertForSequenceClassification"]));
        assert_eq!(settings["id2label"]["2"], "c");
        assert_eq!(settings["label2id"]["b"], 1);
    }

    let mean = TaskAdapterConfig { pooling: Pooling::Mean, ..pooled(Method::Lora) };
    let written = tempfile::tempdir().unwrap();
    let model = adapted(base(&Device::flex()), &mean);
    let lost = merged::write_directory(written.path(), &model, &three_labels(), &base_config);
    assert!(lost.unwrap()[0].contains("without its head"));
    assert!(!read(written.path().join("model.safetensors")).contains_key("classifier.weight"));

    let houlsby = adapted(base(&Device::flex()), &pooled(Method::Houlsby));
    let target = written.path().join("inside");
    let error = merged::write_directory(&target, &houlsby, &three_labels(), &base_config);
    let said = error.unwrap_err().to_string();
    assert!(said.contains("has no place for bottlenecks"), "{said}");
    assert!(!target.exists());
}

#[test]
fn trained_norms_are_left_out_with_a_warning_or_written_with_another() {
    let model = adapted(base(&Device::flex()), &config(Method::Houlsby.plan(8)));
    let written = tempfile::tempdir().unwrap();
    let write = |norms| {
        adapter_hub::write_directory(written.path(), &model, "mine", &three_labels(), norms)
    };
    assert!(write(false).unwrap()[0].contains("left out"));
    let read =
        |directory: &Path| read_hub(directory).unwrap().model.task.config().plan.trainable_base;
    assert_eq!(read(written.path()), TrainableBase::Nothing);
    assert!(write(true).unwrap()[0].contains("overwrites those of the base"));
    assert_eq!(read(written.path()), TrainableBase::LayerNorms);
}

#[test]
fn what_the_formats_have_no_place_for_is_refused() {
    let refused = |change: &dyn Fn(&mut burn_adapters::TaskAdapterConfig), what: &str| {
        let mut config = config(Method::Houlsby.plan(8));
        change(&mut config);
        let model = adapted(base(&Device::flex()), &config);
        let written = tempfile::tempdir().unwrap();
        let target = written.path().join("inside");
        let error = adapter_hub::write_directory(&target, &model, "mine", &three_labels(), true);
        let said = error.unwrap_err().to_string();
        assert!(said.contains(what), "{said}");
        assert!(!target.exists());
        let error = peft::write_directory(&target, &model, &three_labels(), "tiny");
        assert!(error.unwrap_err().to_string().starts_with("PEFT has no place for"));
    };
    refused(&|config| config.pooling = Pooling::Mean, "the mean over the tokens");
    refused(&|config| config.plan.bottleneck.as_mut().unwrap().depth = 2, "more than one layer");
    refused(&|config| config.plan = Method::Full.plan(1), "inserts nothing");
}

#[test]
fn a_dora_is_written_for_the_package_that_has_its_formula() {
    let written = tempfile::tempdir().unwrap();
    let (hub, of_peft) = (written.path().join("hub"), written.path().join("peft"));
    for (method, expected) in [(Method::Dora, "PEFT's"), (Method::DoraAdapterHub, "AdapterHub's")] {
        let model = adapted(base(&Device::flex()), &config(method.plan(2)));
        let to_hub = adapter_hub::write_directory(&hub, &model, "mine", &three_labels(), true);
        let to_peft = peft::write_directory(&of_peft, &model, &three_labels(), "tiny");
        let (error, settings) = match method {
            Method::Dora => (to_hub.unwrap_err(), of_peft.join("adapter_config.json")),
            _ => (to_peft.unwrap_err(), hub.join("adapter_config.json")),
        };
        let said = error.to_string();
        let what = format!("DoRA with {expected} formula: `use_dora`");
        assert!(said.contains(&what), "{said}");
        let settings = std::fs::read_to_string(settings).unwrap();
        assert!(settings.contains("\"use_dora\": true"), "{settings}");
    }
}

/// A directory with one text of its settings replaced by another.
fn check_settings(name: &str, from: &str, to: &str, sentence: &str) {
    let directory = copy(&path("adapters").join(name));
    let file = directory.path().join("adapter_config.json");
    let settings = std::fs::read_to_string(&file).unwrap();
    assert!(settings.contains(from), "{settings}");
    std::fs::write(&file, settings.replace(from, to)).unwrap();
    let said = read_hub(directory.path()).unwrap_err().to_string();
    assert!(said.contains(sentence), "{said}");
}

#[test]
fn settings_that_cannot_be_honored_are_named() {
    let check =
        |from: &str, to: &str, sentence: &str| check_settings("houlsby", from, to, sentence);
    check("\"stochastic_depth\": 0.0", "\"stochastic_depth\": 0.1", "`stochastic_depth` is 0.1");
    check("\"swish\"", "\"leakyrelu\"", "`non_linearity` is \"leakyrelu\", expected relu");
    check("\"use_gating\"", "\"use_magic\": 7, \"use_gating\"", "`use_magic` is 7");
    check("\"reduction_factor\": 4", "\"reduction_factor\": 1e-9", "ask for a size of");
    check("\"reduction_factor\": 4", "\"reduction_factor\": 2", "expected [16, 32]");
    check("\"hidden_size\": 32", "\"hidden_size\": 33", "`hidden_size` is 33, expected 32");
    check("\"name\": \"houlsby\"", "\"name\": \"../../houlsby\"", "missing");
    check_settings("lora", "\"alpha\": 16", "\"alpha\": \"x\"", "`alpha` is \"x\"");
}

#[test]
fn old_files_mean_what_they_meant() {
    let directory = copy(&path("adapters/lora"));
    let file = directory.path().join("adapter_config.json");
    let settings = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, settings.replace("adapters.1.3.0", "adapters.1.0.1")).unwrap();
    let plan = read_hub(directory.path()).unwrap().model.task.config().plan.clone();
    assert!((plan.lora.unwrap().alpha - 4.0).abs() < 1e-9);

    let directory = copy(&path("adapters/houlsby_gelu_m8"));
    let file = directory.path().join("adapter_config.json");
    let settings = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, settings.replace("\"version\"", "\"model_name\"")).unwrap();
    let plan = read_hub(directory.path()).unwrap().model.task.config().plan.clone();
    assert_eq!(plan.bottleneck.unwrap().activation, burn_adapters::Activation::GeluNew);
}

#[test]
fn a_pickle_that_wants_to_run_something_runs_nothing() {
    let directory = copy(&path("adapters/houlsby"));
    std::fs::remove_file(directory.path().join("adapter.safetensors")).unwrap();
    let witness = directory.path().join("it-ran");
    let hostile = format!("cos\nsystem\n(S'touch {}'\ntR.", witness.display());
    std::fs::write(directory.path().join("pytorch_adapter.bin"), hostile).unwrap();
    let said = read_hub(directory.path()).unwrap_err().to_string();
    assert!(said.contains("cannot be read as a file of tensors"), "{said}");
    assert!(!witness.exists());
}

type Reader = fn(&Path) -> Result<Imported, AdapterError>;
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Reads a file of tensors, lets them be changed, and writes it again.
fn change_tensors(file: &Path, change: impl FnOnce(&mut Tensors)) {
    let bytes = std::fs::read(file).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |bytes: &[u8]| -> Vec<f32> {
        bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
    };
    let mut tensors: Tensors = stored
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, (view.shape().to_vec(), numbers(view.data()))))
        .collect();
    change(&mut tensors);
    let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, numbers))| {
            (name, shape, numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (*name, TensorView::new(Dtype::F32, (*shape).clone(), bytes).unwrap())
    });
    let written = safetensors::serialize(views, None).unwrap();
    std::fs::write(file, written).unwrap();
}

/// A directory of each package, with the file of its weights and the name of one of them.
fn both() -> [(&'static str, &'static str, Reader); 2] {
    [
        ("adapters/houlsby", "adapter.safetensors", read_hub),
        ("peft/lora_qv", "adapter_model.safetensors", read_peft),
    ]
}

#[test]
fn damaged_weights_are_named_whoever_wrote_them() {
    for (name, weights, read_directory) in both() {
        let said = |change: &dyn Fn(&mut Tensors)| {
            let directory = copy(&path(name));
            change_tensors(&directory.path().join(weights), |tensors| change(tensors));
            read_directory(directory.path()).unwrap_err().to_string()
        };
        let first = |tensors: &Tensors| tensors.keys().next().unwrap().clone();
        let nan = said(&|tensors| {
            let first = first(tensors);
            tensors.get_mut(&first).unwrap().1[0] = f32::NAN;
        });
        assert!(nan.contains("not finite") || nan.contains("NaN"), "{nan}");
        let missing = said(&|tensors| drop(tensors.pop_first()));
        assert!(missing.contains("missing"), "{missing}");
        let wrong = said(&|tensors| {
            let first = first(tensors);
            let (shape, numbers) = tensors.get_mut(&first).unwrap();
            *shape = vec![numbers.len(), 1, 1];
        });
        assert!(wrong.contains("expected ["), "{wrong}");
        let left_over = said(&|tensors| {
            tensors.insert("base_model.model.bert.more".to_owned(), (vec![1], vec![0.0]));
        });
        assert!(left_over.contains("more"), "{left_over}");
    }
}

#[test]
fn a_directory_without_its_settings_or_its_weights_says_which() {
    for (name, weights, read_directory) in both() {
        for file in [weights, "adapter_config.json"] {
            let directory = copy(&path(name));
            std::fs::remove_file(directory.path().join(file)).unwrap();
            let said = read_directory(directory.path()).unwrap_err().to_string();
            assert!(said.contains(file), "{said}");
        }
        let directory = copy(&path(name));
        let file = directory.path().join(weights);
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        let said = read_directory(directory.path()).unwrap_err().to_string();
        assert!(said.contains(weights), "{said}");
    }
}

#[test]
fn a_header_with_a_million_tensors_is_an_error_that_can_be_read() {
    for (name, weights, read_directory) in both() {
        let directory = copy(&path(name));
        change_tensors(&directory.path().join(weights), |tensors| {
            let nothing = |number| (format!("base_model.model.bert.t{number}"), (vec![0], vec![]));
            tensors.extend((0..1_000_000).map(nothing));
        });
        let said = read_directory(directory.path()).unwrap_err().to_string();
        assert!(said.len() < 20_000, "{} bytes", said.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn damage_is_an_error_or_harmless_and_never_a_panic(
        file in 0..6_usize,
        cut in proptest::bool::ANY,
        place in 0.0..1.0_f64,
        bits in 1..=255_u8,
    ) {
        let (name, file) = [
            ("adapters/houlsby", "adapter_config.json"),
            ("adapters/houlsby", "adapter.safetensors"),
            ("adapters/houlsby_static_legacy_names", "pytorch_adapter.bin"),
            ("adapters/houlsby", "head_config.json"),
            ("peft/lora_qv", "adapter_config.json"),
            ("peft/lora_qv", "adapter_model.safetensors"),
        ][file];
        let directory = copy(&path(name));
        let file = directory.path().join(file);
        let mut bytes = std::fs::read(&file).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place inside")]
        let place = (place * bytes.len() as f64) as usize;
        if cut {
            bytes.truncate(place);
        } else {
            bytes[place] ^= bits;
        }
        std::fs::write(&file, bytes).unwrap();
        let read_directory = if name.starts_with("peft") { read_peft } else { read_hub };
        if let Err(error) = read_directory(directory.path()) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
