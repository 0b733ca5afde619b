//! Everything that works on BERT works on an encoder of every family.
//!
//! A family needs no row here: its small model is burn-bert/tests/fixtures/families/MODEL_TYPE.

use std::path::PathBuf;

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_adapters::file::native::{load, save};
use burn_adapters::{
    AblatedLayers, Activation, AdaptedBert, AdapterDrop, AdapterPlan, Average, HeadKind, Layers,
    Method, MixedBatch, Stack, StackedTasks, TaskAdapterConfig, ablate_spans, average_weights,
    classification_loss, fuse, span_loss,
};
use burn_bert::{
    Bert, BertConfig, BertInput, Encoder, Family, Insertions, Precision, SequenceClassifier,
};

use crate::files::{FINGERPRINT, metadata};
use crate::fixtures::{
    Tensors, adapted, all_tensors, config, from_torch, input, max_abs_difference, path, read,
    with_noise, with_tensors,
};
use crate::samples::METHODS;

const TOLERANCE: f32 = 2e-5;

fn directory(family: Family) -> PathBuf {
    path("../../../burn-bert/tests/fixtures/families").join(family.model_type())
}

/// The family's small model, without dropout.
fn base(family: Family, device: &Device) -> Bert {
    let directory = directory(family);
    let config = BertConfig::from_directory(&directory).unwrap().with_dropout(0.0);
    burn_bert::load_weights(&config, &directory, device).unwrap()
}

/// The classifier of the family's small model in transformers.
fn classifier(family: Family) -> SequenceClassifier {
    BertConfig::from_directory(&directory(family)).unwrap().sequence_classifier()
}

/// Four texts with padding at the end, and the id of padding inside.
fn texts(family: Family, device: &Device) -> BertInput {
    input(&read(directory(family).join("outputs.safetensors")), "", device)
}

/// A task with the head of the family's classifier, whose every trained number differs from what `init` makes.
fn task(family: Family, plan: AdapterPlan, seed: u64) -> AdaptedBert {
    let config = config(plan).with_classifier(classifier(family)).with_seed(seed);
    with_noise(adapted(base(family, &Device::flex()), &config))
}

fn check_near(found: &TensorData, expected: &TensorData, what: &str) {
    let difference = max_abs_difference(found, expected);
    assert!(difference <= TOLERANCE, "{what}: {difference:e}");
}

#[test]
fn every_method_trains_on_every_family_and_comes_back_from_its_file() {
    let device = Device::flex().autodiff();
    for family in Family::all() {
        let input = texts(family, &device);
        let classes = Tensor::<1, Int>::from_data([2, 0, 1, 1], &device);
        for method in METHODS {
            let name = format!("{family:?} {method}");
            let config = config(method.plan(4)).with_classifier(classifier(family));
            let mut model = with_noise(adapted(base(family, &device), &config));
            let before = all_tensors(&model);
            let mut optimizer = AdamConfig::new().init();
            let mut losses = Vec::new();
            for _ in 0..3 {
                let loss = classification_loss(model.forward(&input), classes.clone());
                losses.push(loss.clone().into_scalar::<f32>());
                let gradients = GradientsParams::from_grads(loss.backward(), &model);
                assert_eq!(gradients.len(), model.trainable_parameters().len(), "{name}");
                model = optimizer.step(2e-3, model, gradients);
            }
            assert!(losses[2] < losses[0], "{name}: {losses:?}");
            for (path, after) in all_tensors(&model) {
                assert!(model.is_saved(&path) || before[&path] == after, "{name}: {path}");
            }

            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("adapter.safetensors");
            save(&file, &model, &metadata(method)).unwrap();
            let fresh = base(family, &Device::flex());
            let (loaded, _) = load(&file, fresh, FINGERPRINT).unwrap();
            let input = texts(family, &Device::flex());
            let expected = loaded.forward(&input).into_data();
            let trained = model.forward(&texts(family, &device)).into_data();
            assert_eq!(expected, trained, "{name}");
        }
    }
}

#[test]
fn the_classifier_of_every_model_gives_the_logits_of_transformers() {
    let models = path("../../../burn-bert/tests/fixtures/families");
    let mut compared = 0;
    for entry in std::fs::read_dir(models).unwrap() {
        let directory = entry.unwrap().path();
        if !directory.is_dir() {
            continue;
        }
        let outputs = read(directory.join("outputs.safetensors"));
        // A model that was saved without a head has no logits.
        let Some(logits) = outputs.get("logits") else { continue };
        let stored = read(directory.join("model.safetensors"));
        let base_config = BertConfig::from_directory(&directory).unwrap();
        let config =
            config(Method::LayerNorm.plan(1)).with_classifier(base_config.sequence_classifier());
        let bert = burn_bert::load(&directory, &Device::flex()).unwrap();
        let model = adapted(bert, &config);
        let names = base_config.family.classifier();
        let hidden = names.hidden;
        let modules = [
            ("linear", Some(names.output)),
            ("hidden", hidden.map(|it| it.name)),
            ("norm", hidden.and_then(|it| it.norm)),
        ];
        let mut tensors = Tensors::new();
        for (own, module) in modules {
            let kinds = if own == "norm" { ["gamma", "beta"] } else { ["weight", "bias"] };
            for (kind, stored_kind) in kinds.into_iter().zip(["weight", "bias"]) {
                let path = format!("task.head.{own}.{kind}");
                let data = module.and_then(|module| stored.get(&format!("{module}.{stored_kind}")));
                tensors.extend(data.map(|data| (path.clone(), from_torch(&path, data))));
            }
        }
        let model = with_tensors(model, tensors);
        let found = model.forward(&input(&outputs, "", &Device::flex())).into_data();
        check_near(&found, logits, &directory.display().to_string());
        compared += 1;
    }
    assert!(compared >= 10, "{compared}");
}

#[test]
fn a_head_that_the_checkpoint_has_starts_with_its_values() {
    for name in ["modernbert", "modernbert-biases"] {
        let directory = path("../../../burn-bert/tests/fixtures/families").join(name);
        let bert = burn_bert::load(&directory, &Device::flex()).unwrap();
        let stored = read(directory.join("model.safetensors"));
        let whole = config(Method::Lora.plan(1)).with_classifier(bert.sequence_classifier());
        let head = all_tensors(&adapted(bert.clone(), &whole).task.head);
        let weight = from_torch("hidden.weight", &stored["head.dense.weight"]);
        assert_eq!(head["hidden.weight"], weight, "{name}");
        assert_eq!(head.get("hidden.bias"), stored.get("head.dense.bias"), "{name}");
        assert_eq!(head["norm.gamma"], stored["head.norm.weight"], "{name}");
        assert_eq!(head.get("norm.beta"), stored.get("head.norm.bias"), "{name}");
        // Another layer starts with random values.
        let other = TaskAdapterConfig { head_hidden: Some(Activation::Tanh), ..whole };
        let other = all_tensors(&adapted(bert, &other).task.head);
        assert_ne!(other["hidden.weight"], weight, "{name}");
    }
}

#[test]
fn adapters_of_every_family_compose() {
    let device = Device::flex();
    for family in Family::all() {
        let what = |part: &str| format!("{family:?} {part}");
        let input = texts(family, &device);
        let [one, two] = [1, 2].map(|seed| task(family, Method::Houlsby.plan(4), seed));
        let expected = one.forward(&input).into_data();
        let n_layers = one.bert.n_layers();
        let with = |insertions: &dyn Insertions| one.forward_with(&input, insertions).into_data();

        let drop = |layers| with(&AdapterDrop { insertions: &one.task, layers: &layers });
        check_near(&drop(Layers::From(n_layers)), &expected, &what("drop"));
        assert_ne!(drop(Layers::Only([0].into())), expected);
        check_near(&with(&Stack { below: &[], task: &one.task }), &expected, &what("stack"));
        assert_ne!(
            with(&Stack { below: std::slice::from_ref(&two.task), task: &one.task }),
            expected
        );
        let twice = Average { tasks: vec![(&one.task, 0.25), (&one.task, 0.75)] };
        check_near(&with(&twice), &expected, &what("average"));
        let mean = average_weights(&[(one.clone(), 1.0), (one.clone(), 2.0)]).unwrap();
        check_near(&mean.forward(&input).into_data(), &expected, &what("average of weights"));

        ablate_spans(&one, &input, |layers, logits| {
            let without = AblatedLayers { task: &one.task, layers: layers.clone() };
            assert_eq!(logits.into_data(), with(&without), "{family:?} {layers:?}");
        });

        let states = one.bert.embed(&input, &one.task);
        let above = one.forward_from_layer(0, states, &input.attention_mask);
        let logits = one.classify_hidden(above, &input.attention_mask).into_data();
        assert_eq!(logits, expected, "{family:?}");

        let tasks = vec![one.task.clone(), two.task.clone()];
        let fused = config(Method::Fusion.plan(0)).with_classifier(classifier(family));
        let bert = base(family, &device);
        let fused = AdaptedBert::new(bert.clone(), fuse(&fused, tasks, &bert).unwrap()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        save(file.path(), &fused, &metadata(Method::Fusion)).unwrap();
        let (loaded, _) = load(file.path(), bert, FINGERPRINT).unwrap();
        let [loaded, fused] = [loaded, fused].map(|model| model.forward(&input).into_data());
        assert_eq!(loaded, fused, "{family:?}");
    }
}

#[test]
fn rows_of_different_tasks_share_a_batch_in_every_family() {
    let device = Device::flex();
    for family in Family::all() {
        let plans = [Method::Houlsby.plan(4), Method::Lora.plan(2), Method::Dora.plan(2)];
        let models = plans.map(|plan| task(family, plan, 3));
        let (bert, input) = (base(family, &device), texts(family, &device));
        let tasks: Vec<_> = models.iter().map(|model| &model.task).collect();
        let set = StackedTasks::new(&bert, &tasks).unwrap();
        let rows = [Some(2), Some(0), None, Some(1)];
        let found = MixedBatch::new(&set, &rows, &device).forward(&bert, &input);
        for (row, task) in rows.into_iter().enumerate() {
            let Some(task) = task else { continue };
            let alone = models[task].forward(&input).narrow(0, row, 1).into_data();
            let found = TensorData::new(found[row].clone(), [1, 3]);
            check_near(&found, &alone, &format!("{family:?} {row}"));
        }
    }
}

#[test]
fn what_merges_on_bert_merges_on_every_family() {
    for family in Family::all() {
        for method in [Method::Lora, Method::Dora, Method::Ia3, Method::LayerNorm, Method::Full] {
            let model = task(family, method.plan(2), 1);
            let input = texts(family, &Device::flex());
            let merged = model.merged().unwrap().forward(&input).into_data();
            let expected = model.forward(&input).into_data();
            check_near(&merged, &expected, &format!("{family:?} {method}"));
        }
    }
}

#[test]
fn answers_are_learned_on_every_family_with_a_base_in_half_precision() {
    let device = Device::flex().autodiff();
    for family in Family::all() {
        let bert = base(family, &device).with_precision(Precision::Bf16);
        let config = TaskAdapterConfig::new(Method::Houlsby.plan(4), HeadKind::Span);
        let mut model = adapted(bert, &config.with_classifier(classifier(family)));
        let spans = Tensor::<2, Int>::from_data([[1, 2], [3, 3], [0, 0], [4, 9]], &device);
        let mut optimizer = AdamConfig::new().init();
        let mut losses = Vec::new();
        for _ in 0..3 {
            let logits = model.forward_tokens(&texts(family, &device));
            let loss = span_loss(logits, spans.clone());
            losses.push(loss.clone().into_scalar::<f32>());
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(2e-3, model, gradients);
        }
        assert!(losses[2] < losses[0], "{family:?}: {losses:?}");
    }
}

/// `goldens/weight_decay.py` lists what does not follow from the rank.
#[test]
fn weight_decay_applies_where_that_of_transformers_does() {
    let golden = std::fs::read(path("weight_decay.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
    for (name, expected) in golden.as_object().unwrap() {
        let directory = path("../../../burn-bert/tests/fixtures/families").join(name);
        let bert = burn_bert::load(&directory, &Device::flex()).unwrap();
        let config = config(Method::Full.plan(1)).with_classifier(bert.sequence_classifier());
        let trained = adapted(bert, &config).trainable_parameters();
        let of_base = || {
            let all = trained.iter();
            all.filter_map(|parameter| Some((parameter.path.strip_prefix("bert.")?, parameter)))
        };
        assert!(of_base().count() > 20, "{name}");
        let without = of_base().filter(|(_, it)| it.shape.len() > 1 && !it.decays);
        let without: Vec<&str> = without.map(|(path, _)| path).collect();
        assert_eq!(serde_json::json!(without), expected["matrices_without"], "{name}");
        let with = of_base().filter(|(_, it)| it.shape.len() == 1 && it.decays);
        let with: Vec<&str> = with.map(|(path, _)| path).collect();
        assert_eq!(serde_json::json!(with), expected["vectors_with"], "{name}");
    }
}
