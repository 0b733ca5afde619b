//! Adapters of `AdapterHub` and `PEFT` on bases of every family give the logits they gave there, and what is written has
//! the tensors that the packages wrote (`goldens/family_exchange.py`).

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use burn_adapters::interchange::{adapter_hub, merged, peft, read_tensors};
use burn_adapters::{
    Activation, AdaptedBert, ClassifierHead, HeadKind, Method, Pooling, RankScaling,
    TaskAdapterConfig,
};
use burn_bert::{Bert, BertConfig, BertInput, Encoder, Projection};
use serde_json::{Value, json};

use crate::adapter_hub::TOLERANCE;
use crate::fixtures::{all_tensors, input, max_abs_difference, path, read, with_noise};

/// The bases with adapters.
const NAMES: [&str; 10] = [
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

fn base_directory(name: &str) -> PathBuf {
    path("../../../burn-bert/tests/fixtures/families").join(name)
}

fn base(name: &str) -> Bert {
    burn_bert::load(&base_directory(name), &Device::flex()).unwrap()
}

fn texts(name: &str) -> BertInput {
    input(&read(base_directory(name).join("outputs.safetensors")), "", &Device::flex())
}

/// Hidden states of tokens; those of padding are 0.
fn masked(name: &str, hidden: Tensor<3>) -> TensorData {
    let mask = texts(name).attention_mask.int().float().unsqueeze_dim::<3>(2);
    (hidden * mask).into_data()
}

fn import(directory: &Path, bert: Bert) -> AdaptedBert {
    let is_hub = directory.file_name().unwrap().to_str().unwrap().starts_with("hub-");
    let imported = if is_hub {
        adapter_hub::read(directory, bert, None)
    } else {
        peft::read(directory, bert, None)
    };
    imported.unwrap_or_else(|error| panic!("{}: {error}", directory.display())).model
}

#[test]
fn adapters_on_every_family_give_the_logits_of_the_packages_and_are_written_as_they_write_them() {
    for name in NAMES {
        let expected = read(path("families").join(name).join("outputs.safetensors"));
        assert!(expected.len() >= 4, "{name}");
        for (adapter, logits) in expected {
            let directory = path("families").join(name).join(&adapter);
            let model = import(&directory, base(name));
            // Gates read the states of padding, which transformers masks as queries in DeBERTa. The first text has none.
            let rows = if (name, adapter.as_str()) == ("deberta-v3", "hub-gated") { 1 } else { 4 };
            let rows = |logits: Tensor<2>| logits.narrow(0, 0, rows).into_data();
            let expected = rows(Tensor::from_data(logits, &Device::flex()));
            let difference = max_abs_difference(&rows(model.forward(&texts(name))), &expected);
            println!("{name} {adapter}: {difference:e}");
            assert!(difference <= TOLERANCE, "{name} {adapter}: {difference:e}");
            check_written(&format!("{name} {adapter}"), &directory, &model);
        }
    }
}

/// Exports a model that was imported from a directory, and compares the files.
fn check_written(what: &str, directory: &Path, model: &AdaptedBert) {
    let out = tempfile::tempdir().unwrap();
    let head = model.task.config().head.clone();
    let (kind, name) = directory.file_name().unwrap().to_str().unwrap().split_once('-').unwrap();
    let files = if kind == "hub" {
        adapter_hub::write_directory(out.path(), model, name, &head, true).unwrap();
        // The head of the family's own class is written as one of the package's.
        let head =
            (name != "static").then_some(["model_head.safetensors", "pytorch_model_head.bin"]);
        [Some(["adapter.safetensors", "pytorch_adapter.bin"]), head]
    } else {
        peft::write_directory(out.path(), model, &head, "base").unwrap();
        [Some(["adapter_model.safetensors", "adapter_model.bin"]), None]
    };
    let kind_of_head = name;
    for names in files.into_iter().flatten() {
        let file = names.iter().find(|file| directory.join(file).is_file()).unwrap();
        let expected = read_tensors(&directory.join(file)).unwrap();
        let found = read_tensors(&out.path().join(file)).unwrap();
        let names = |tensors: &burn_adapters::interchange::Tensors| {
            // PEFT saves the layers in front of the last only on request.
            let saved = |name: &&String| kind_of_head != "last" || !name.contains(".head.");
            tensors.keys().filter(saved).cloned().collect::<Vec<_>>()
        };
        assert_eq!(names(&found), names(&expected), "{what}: {file}");
        for (name, data) in &expected {
            assert_eq!(&found[name], data, "{what}: {name}");
        }
    }
    let again = out.path().join(format!("{kind}-again"));
    std::fs::create_dir(&again).unwrap();
    for entry in std::fs::read_dir(out.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), again.join(entry.file_name())).unwrap();
        }
    }
    let read_again = import(&again, model.bert.clone());
    let plans = [&read_again, model].map(|model| model.task.config().plan.clone());
    assert_eq!(format!("{:?}", plans[0]), format!("{:?}", plans[1]), "{what}");
}

#[test]
fn merged_models_of_every_family_keep_their_encoder_and_have_the_names_of_their_class() {
    for name in NAMES {
        let bert = base(name);
        let head = HeadKind::Classification { labels: vec!["a".to_owned(), "b".to_owned()] };
        let imported = import(&path("families").join(name).join("peft-lora"), bert.clone());
        let config = TaskAdapterConfig {
            plan: Method::Lora.plan(2),
            head: head.clone(),
            ..imported.task.config().clone()
        };
        let task = config.init(&bert).unwrap();
        let model = with_noise(AdaptedBert::new(bert, task).unwrap());
        let out = tempfile::tempdir().unwrap();
        let base_config = BertConfig::from_directory(&base_directory(name)).unwrap();
        let lost = merged::write_directory(out.path(), &model, &head, &base_config).unwrap();
        assert!(lost.is_empty(), "{name}: {lost:?}");

        let read_config = BertConfig::from_directory(out.path()).unwrap();
        assert_eq!(read_config.unknown_keys, Vec::<String>::new(), "{name}");
        let encoder = burn_bert::load(out.path(), &Device::flex()).unwrap();
        let found = masked(name, encoder.forward(&texts(name)));
        let expected = masked(name, model.bert.forward_with(&texts(name), &model.task));
        assert!(max_abs_difference(&found, &expected) <= TOLERANCE, "{name}");

        let file = out.path().join("model.safetensors");
        let found: Vec<String> = read_tensors(&file).unwrap().into_keys().collect();
        let stored = read_tensors(&base_directory(name).join("model.safetensors")).unwrap();
        // Bases that were saved without a head have neither the prefix nor a classifier.
        if stored.keys().any(|name| name.starts_with("classifier.")) {
            assert_eq!(found, stored.into_keys().collect::<Vec<_>>(), "{name}");
        }
    }
}

#[test]
fn a_head_that_the_class_of_the_family_does_not_have_is_refused_or_left_out() {
    for name in NAMES {
        let bert = base(name);
        let head = HeadKind::unnamed(2);
        let config =
            TaskAdapterConfig::new(Method::Lora.plan(2), head.clone()).with_pooling(Pooling::Mean);
        let task = config.init(&bert).unwrap();
        let model = with_noise(AdaptedBert::new(bert.clone(), task).unwrap());
        let out = tempfile::tempdir().unwrap();
        let error = peft::write_directory(out.path(), &model, &head, "base").unwrap_err();
        assert!(error.to_string().contains("ForSequenceClassification"), "{name}: {error}");
        let base_config = BertConfig::from_directory(&base_directory(name)).unwrap();
        let lost = merged::write_directory(out.path(), &model, &head, &base_config).unwrap();
        assert!(lost[0].contains("without its head"), "{name}: {lost:?}");
        let merged = burn_bert::load(out.path(), &Device::flex()).unwrap();
        let found = masked(name, merged.forward(&texts(name)));
        let expected = masked(name, bert.forward_with(&texts(name), &model.task));
        assert!(max_abs_difference(&found, &expected) <= TOLERANCE, "{name}");
    }
}

#[test]
fn families_that_a_format_does_not_support_are_refused_by_name() {
    let directory = path("families/roberta/hub-houlsby");
    let error = adapter_hub::read(&directory, base("electra"), None).unwrap_err().to_string();
    assert!(error.contains("`model_type` is \"roberta\", expected electra"), "{error}");
    // AdapterHub has no models of this family.
    let model = import(&path("families/camembert/peft-lora"), base("camembert"));
    let out = tempfile::tempdir().unwrap();
    let head = model.task.config().head.clone();
    let error = adapter_hub::write_directory(out.path(), &model, "a", &head, false).unwrap_err();
    assert!(error.to_string().contains("CamemBERT"), "{error}");
}

/// `PEFT` has one adapter for the matrix that is query, key and value.
#[test]
fn separate_adapters_of_query_key_and_value_are_joined_and_split_again() {
    let mut everywhere = Method::Lora.plan(2);
    let lora = everywhere.lora.as_mut().unwrap();
    lora.projections.extend([Projection::Key, Projection::FeedForwardOut]);
    lora.scaling = RankScaling::RankStabilized;
    let mut query = Method::Lora.plan(3);
    query.lora.as_mut().unwrap().projections = [Projection::Query].into();
    for (plan, settings) in [
        (Method::Lora.plan(2), json!({ "r": 4, "lora_alpha": 32.0 })),
        (query, json!({ "r": 3, "lora_alpha": 16.0 })),
        (
            everywhere,
            json!({
                "r": 2, "lora_alpha": 16.0, "rank_pattern": { "attn.Wqkv": 6 },
                "alpha_pattern": { "attn.Wqkv": 16.0 * 3_f64.sqrt() },
            }),
        ),
        (Method::Dora.plan(2), json!({ "r": 4, "lora_alpha": 32.0 })),
        (Method::Ia3.plan(1), json!({ "peft_type": "IA3" })),
    ] {
        let bert = base("modernbert");
        let head = HeadKind::unnamed(3);
        let config = TaskAdapterConfig::new(plan.clone(), head.clone())
            .with_classifier(bert.sequence_classifier());
        let task = config.init(&bert).unwrap();
        let model = with_noise(AdaptedBert::new(bert.clone(), task).unwrap());
        let out = tempfile::tempdir().unwrap();
        let directory = out.path().join("peft-joined");
        peft::write_directory(&directory, &model, &head, "base").unwrap();
        let written = std::fs::read(directory.join("adapter_config.json")).unwrap();
        let written: Value = serde_json::from_slice(&written).unwrap();
        for (key, value) in settings.as_object().unwrap() {
            assert_eq!(written[key], *value, "{key}: {plan:?}");
        }

        let again = import(&directory, bert);
        let [found, expected] =
            [&again, &model].map(|model| model.forward(&texts("modernbert")).into_data());
        let difference = max_abs_difference(&found, &expected);
        assert!(difference <= TOLERANCE, "{plan:?}: {difference:e}");
        // The magnitudes of a DoRA are those of the whole matrix.
        if plan.lora.as_ref().is_none_or(|lora| lora.dora.is_none()) {
            assert_eq!(again.task.config().plan, plan);
            assert_eq!(all_tensors(&again), all_tensors(&model), "{plan:?}");
        }
    }
}

#[test]
fn a_pattern_of_ranks_that_no_plan_has_is_refused() {
    for (pattern, expected) in [
        (json!({ "mlp.Wo": 4 }), "a value for `attn.Wqkv` alone"),
        (json!({ "Wqkv": 4, "Wo": 4 }), "a value for `attn.Wqkv` alone"),
        (json!({ "Wqkv": 3.5 }), "a value for `attn.Wqkv` alone"),
        (json!({ "kv": 3 }), "a value for `attn.Wqkv` alone"),
        (json!({ "Wqkv": 4 }), "`rank_pattern` is a rank of 4"),
    ] {
        let copy = tempfile::tempdir().unwrap();
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            let from = path("families/modernbert/peft-last").join(file);
            std::fs::copy(from, copy.path().join(file)).unwrap();
        }
        let file = copy.path().join("adapter_config.json");
        let mut settings: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        settings["rank_pattern"] = pattern.clone();
        std::fs::write(&file, settings.to_string()).unwrap();
        let error = peft::read(copy.path(), base("modernbert"), None).unwrap_err().to_string();
        assert!(error.contains(expected), "{pattern}: {error}");
    }
}

/// The head of these classes is in front of the last layer of each.
#[test]
fn a_head_with_a_norm_is_merged_with_any_of_the_settings_of_its_class() {
    for name in ["modernbert", "modernbert-biases"] {
        let bert = base(name);
        for (head, pooling, hidden, bias) in [
            (HeadKind::unnamed(3), Pooling::Mean, Activation::Relu, true),
            (HeadKind::unnamed(1), Pooling::FirstToken, Activation::GeluNew, false),
            (HeadKind::Span, Pooling::FirstToken, Activation::Tanh, false),
        ] {
            let own = ClassifierHead::from(bert.sequence_classifier());
            let own = ClassifierHead { pooling, hidden: Some(hidden), hidden_bias: bias, ..own };
            let config =
                TaskAdapterConfig::new(Method::Lora.plan(2), head.clone()).with_head_layers(own);
            let task = config.init(&bert).unwrap();
            let model = with_noise(AdaptedBert::new(bert.clone(), task).unwrap());
            let out = tempfile::tempdir().unwrap();
            let base_config = BertConfig::from_directory(&base_directory(name)).unwrap();
            let lost = merged::write_directory(out.path(), &model, &head, &base_config).unwrap();
            assert!(lost.is_empty(), "{name}: {lost:?}");
            let written = BertConfig::from_directory(out.path()).unwrap();
            let written = ClassifierHead::from(written.sequence_classifier());
            assert_eq!(written, own, "{name}");
            let tensors = read_tensors(&out.path().join("model.safetensors")).unwrap();
            for tensor in ["head.dense.weight", "head.norm.weight", "classifier.weight"] {
                assert!(tensors.contains_key(tensor), "{name}: {tensor}");
            }
            assert_eq!(tensors.contains_key("head.dense.bias"), bias, "{name}");
        }
    }
}
