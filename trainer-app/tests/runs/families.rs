//! Runs on encoders of every family.

use std::path::Path;

use burn::tensor::{Device, TensorData};
use burn_adapters::Activation;
use burn_bert::BertConfig;
use burn_bert::checkpoint::hugging_face;
use glue_data::TextEncoder;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

use crate::desk::{Desk, TRAIN};

/// The name of the configuration in burn-bert's fixtures, and that of the tokenizer in glue-data's.
const FAMILIES: [(&str, &str); 9] = [
    ("roberta", "roberta"),
    ("xlm-roberta", "xlm-roberta-bpe"),
    ("camembert", "camembert"),
    ("distilbert", "distilbert"),
    ("electra", "electra"),
    ("mpnet", "mpnet"),
    ("deberta-v2", "deberta-v2"),
    ("deberta-v3", "deberta-v3"),
    ("modernbert", "modernbert"),
];

/// A directory with a base of a family, which has its tokenizer and random weights.
fn desk((family, tokenizer): (&str, &str)) -> Desk {
    let desk = Desk::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let base = desk.path("base");
    std::fs::remove_dir_all(&base).unwrap();
    std::fs::create_dir(&base).unwrap();
    let files = crates.join("glue-data/tests/fixtures/tokenizers").join(tokenizer);
    // ModernBERT's has no older files that transformers would save as one.
    let whole = ["saved.json", "tokenizer.json"].map(|name| files.join(name));
    let whole = whole.iter().find(|path| path.is_file()).unwrap();
    std::fs::copy(whole, base.join("tokenizer.json")).unwrap();
    let settings = files.join("tokenizer_config.json");
    if settings.is_file() {
        std::fs::copy(settings, base.join("tokenizer_config.json")).unwrap();
    }
    let config = crates.join("burn-bert/tests/fixtures/families").join(family).join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
    // The tokenizer's class follows from the family.
    std::fs::write(base.join("config.json"), config.to_string()).unwrap();
    config["vocab_size"] = TextEncoder::from_directory(&base, 16).unwrap().tokens().into();
    config["initializer_range"] = 0.3.into();
    std::fs::write(base.join("config.json"), config.to_string()).unwrap();

    let device = Device::flex();
    device.seed(1);
    let bert = BertConfig::from_directory(&base).unwrap().init(&device);
    let tensors: Vec<(String, TensorData)> = hugging_face::tensors(&bert).into_iter().collect();
    let views = tensors.iter().map(|(name, data)| {
        (name, TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes()).unwrap())
    });
    let weights = base.join("model.safetensors");
    safetensors::serialize_to_file(views, None, &weights).unwrap();
    desk
}

/// A run with adapters.
fn line(switches: &str) -> String {
    format!("{TRAIN} --pooling first-token {switches}")
}

/// A run of the whole encoder without dropout.
fn full(epochs: usize, switches: &str) -> String {
    format!(
        "train --train rows.csv --text body --label team --base base --device cpu --json --method full --dropout 0 \
         --epochs {epochs} --batch-size 8 --lr 3e-3 --max-length 16 --pooling first-token {switches}"
    )
}

fn check_near(family: &str, found: &[String], expected: &[String], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{family}");
    for (found, expected) in found.iter().zip(expected) {
        let [found, expected] = [found, expected].map(|loss| loss.parse::<f64>().unwrap());
        let apart = (found - expected).abs();
        assert!(apart <= tolerance, "{family}: losses {found} and {expected}");
    }
}

#[test]
fn a_run_of_every_family_goes_on_after_a_kill_to_the_same_bits() {
    for family in FAMILIES {
        let (name, _) = family;
        let desk = desk(family);
        desk.says(&line("--name whole"));
        desk.kill_in_second_epoch(&line(""), "runs/rows/r");
        desk.says("train --resume runs/rows/r --json --device cpu");
        assert!(desk.adapter("runs/rows/r") == desk.adapter("runs/rows/whole"), "{name}");

        let adapter = "runs/rows/r/adapter.safetensors --device cpu --input rows.csv --text body";
        let score = desk.says(&format!("evaluate {adapter} --label team --json"));
        let score: Value = serde_json::from_str(&score).unwrap();
        let predictions = desk.says(&format!("predict {adapter} --json"));
        let right = predictions.lines().enumerate().filter(|(row, line)| {
            let prediction: Value = serde_json::from_str(line).unwrap();
            prediction["label"] == ["x", "y"][row % 2]
        });
        assert_eq!(predictions.lines().count(), 160, "{name}");
        let accuracy = right.count() as f64 / 160.0;
        assert_eq!(score["scores"]["accuracy"], accuracy, "{name}");
        desk.says("bank create tasks.bank --base base");
        desk.says("bank add tasks.bank one=runs/rows/r/adapter.safetensors");
        desk.says("bank add tasks.bank two=runs/rows/whole/adapter.safetensors");
        desk.says("bank verify tasks.bank --base base --device cpu");
    }
}

/// The settings of a run's classifier, as its `config.toml` has them.
fn classifier(desk: &Desk, run: &str) -> [Option<String>; 3] {
    let config = std::fs::read_to_string(desk.path(run).join("config.toml")).unwrap();
    let config: toml::Table = config.parse().unwrap();
    ["pooling", "head_hidden", "head_norm"]
        .map(|key| Some(config["model"].get(key)?.as_str().unwrap().to_owned()))
}

fn settings(values: [Option<&str>; 3]) -> [Option<String>; 3] {
    values.map(|value| value.map(str::to_owned))
}

#[test]
fn the_default_classifier_of_every_family_is_that_of_its_class_in_transformers() {
    for family in FAMILIES {
        let (name, _) = family;
        let desk = desk(family);
        desk.says(&format!("{TRAIN} --method lora --name own"));
        let base = BertConfig::from_directory(&desk.path("base")).unwrap();
        let layer = base.sequence_classifier().hidden.unwrap();
        let hidden = Some(Activation::from(layer.activation).name());
        let norm = layer.norm.map(|_| "layer");
        let expected = settings([Some("first-token"), hidden, norm]);
        assert_eq!(classifier(&desk, "runs/rows/own"), expected, "{name}");

        desk.says(
            "adapter export runs/rows/own/adapter.safetensors --base base --format merged --out merged",
        );
        let written = std::fs::read(desk.path("merged/config.json")).unwrap();
        let written: Value = serde_json::from_slice(&written).unwrap();
        let class = base.family.classifier().architecture;
        assert_eq!(written["architectures"][0], class, "{name}");

        desk.says(&format!("{TRAIN} --pooling mean --method lora --name mean"));
        // Layers that end in a LayerNorm are those of ModernBERT's class for either pooling.
        let hidden = hidden.filter(|_| norm.is_some());
        let expected = settings([Some("mean"), hidden, norm]);
        assert_eq!(classifier(&desk, "runs/rows/mean"), expected, "{name}");
    }
}

#[test]
fn the_whole_encoder_trains_with_the_rate_of_its_family() {
    for family in FAMILIES {
        let (name, _) = family;
        let desk = desk(family);
        let published = BertConfig::from_directory(&desk.path("base")).unwrap().family;
        let published = published.fine_tuning().unwrap();
        let shown = desk.says("base inspect base");
        let (rate, source) = (published.learning_rate, published.source);
        let line = format!("rate        {rate:e} for --method full and top-K ({source})");
        assert!(shown.contains(&line), "{name}: {shown}");

        let rate_of = |method: &str| {
            desk.says(&format!(
                "train --train rows.csv --text body --label team --base base --device cpu --json --limit 40 \
                 --epochs 1 --batch-size 8 --max-length 16 --method {method}"
            ));
            let run = if method == "pfeiffer" { "pfeiffer-64-seed42" } else { "full-seed42" };
            let path = desk.path(&format!("runs/rows/{run}/config.toml"));
            let config: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
            config["training"]["learning_rate"].as_float()
        };
        assert_eq!(rate_of("full"), Some(rate), "{name}");
        assert_eq!(rate_of("pfeiffer"), Some(3e-4), "{name}");
    }
}

#[test]
fn a_bert_without_a_pooler_gets_one_that_trains() {
    let desk = Desk::new();
    desk.says(&format!("{TRAIN} --name with"));
    assert_eq!(classifier(&desk, "runs/rows/with"), settings([Some("pooler"), None, None]));
    let weights = desk.path("base").join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    let kept = tensors.into_iter().filter(|(name, _)| !name.contains("pooler"));
    safetensors::serialize_to_file(kept, None, &weights).unwrap();
    desk.says(&format!("{TRAIN} --name without"));
    let expected = settings([Some("first-token"), Some("tanh"), None]);
    assert_eq!(classifier(&desk, "runs/rows/without"), expected);
}

#[test]
fn every_family_learns_which_word_decides() {
    for family in FAMILIES {
        let said = desk(family).says(&full(8, "--name learns"));
        let result: Value = serde_json::from_str(&said).unwrap();
        // A majority class has half of the rows.
        assert!(result["score"].as_f64().unwrap() > 0.9, "{family:?}: {said}");
    }
}

#[test]
fn layers_that_run_again_learn_as_layers_that_are_kept_in_every_family() {
    for family in FAMILIES {
        let desk = desk(family);
        let losses = |name: &str, switches: &str| {
            desk.says(&full(1, &format!("--name {name} {switches}")));
            desk.losses(&format!("runs/rows/{name}"))
        };
        let kept = losses("kept", "");
        check_near(family.0, &losses("again", "--gradient-checkpointing"), &kept, 1e-4);
    }
}

#[test]
fn questions_are_answered_and_states_are_kept_in_every_family() {
    for family in FAMILIES {
        let (name, _) = family;
        let desk = desk(family);
        desk.write_questions();
        let losses = |cache: &str, switches: &str| {
            desk.says(&format!(
                "train --task squad --data . --base base --device cpu --json --size 4 --epochs 1 --batch-size 8 \
                 --lr 1e-2 --max-length 24 --adapt-layers 1.. --dropout 0 --cache {cache} --name {cache} {switches}"
            ));
            desk.losses(&format!("runs/squad/{cache}"))
        };
        let anew = losses("off", "");
        check_near(name, &losses("memory", ""), &anew, 1e-4);
        check_near(name, &losses("disk", "--precision bf16"), &anew, 0.3);

        let read = |path: &str| -> Value {
            serde_json::from_slice(&std::fs::read(desk.path(path)).unwrap()).unwrap()
        };
        let published = read("squad/dev-v1.1.json");
        let answers = read("runs/squad/off/predictions.json");
        for paragraph in published["data"][0]["paragraphs"].as_array().unwrap() {
            let answer = answers[paragraph["qas"][0]["id"].as_str().unwrap()].as_str().unwrap();
            let context = paragraph["context"].as_str().unwrap();
            assert!(!answer.is_empty() && context.contains(answer), "{name}: {answer}");
        }
    }
}
