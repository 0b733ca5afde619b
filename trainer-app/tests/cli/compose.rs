//! Adapters together, and adapters that were not trained here.

use std::path::Path;

use serde_json::Value;

use crate::desk::{Desk, TRAIN};

const COLUMNS: &str = "--input rows.csv --text body --label team --base base --device cpu --json";

impl Desk {
    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.says(line)).unwrap()
    }

    /// Trains an adapter and returns its file.
    fn trained(&self, name: &str, arguments: &str) -> String {
        let line = format!("{TRAIN} --name {name} {arguments}");
        self.json(&line)["adapter"].as_str().unwrap().to_owned()
    }

    fn accuracy(&self, arguments: &str) -> f64 {
        let told = self.json(&format!("evaluate {arguments} {COLUMNS}"));
        assert!(told["seconds_per_text"].as_f64().unwrap() > 0.0);
        told["scores"]["accuracy"].as_f64().unwrap()
    }

    fn predictions(&self, arguments: &str) -> String {
        self.says(&format!(
            "predict {arguments} --input rows.csv --text body --base base --device cpu --json"
        ))
    }

    /// Copies fixtures of a crate into a directory of the desk.
    fn fixtures(&self, from: &str, into: &str) {
        let into = self.path(into);
        std::fs::create_dir_all(&into).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(from);
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), into.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn adapters_are_averaged_into_one() {
    let desk = Desk::new();
    let (a, b) = (desk.trained("a", "--seed 1"), desk.trained("b", "--seed 2"));
    let said = desk.says(&format!(
        "adapter average {a} {b} --weights 0.3,0.7 --base base --out mean.safetensors"
    ));
    assert_eq!(said, "mean.safetensors\n");
    assert!((0.0..=1.0).contains(&desk.accuracy("mean.safetensors")));
    let mean = desk.predictions("mean.safetensors");
    assert!(mean != desk.predictions(&a) && mean != desk.predictions(&b));

    // What counts nothing changes nothing.
    desk.says(&format!("adapter average {a} {b} --weights 1,0 --base base --out a.safetensors"));
    assert_eq!(desk.predictions("a.safetensors"), desk.predictions(&a));

    let said = desk.refuses(&format!("adapter average {a} {b} --weights 1 --out c.safetensors"));
    assert!(
        said.contains("--weights has 1 weights for 2 adapters; expected one for each"),
        "{said}"
    );
    for weights in ["nan,1", "inf,1", "1,-1"] {
        let said = desk.refuses_usage(&format!(
            "adapter average {a} {b} --weights {weights} --base base --out c.safetensors"
        ));
        assert!(said.contains("expected finite numbers with a positive sum"), "{said}");
    }
    for existing in [a.as_str(), "rows.csv"] {
        let before = std::fs::read(desk.path(existing)).unwrap();
        let line = format!("adapter average {a} {b} --base base --out {existing}");
        let said = desk.refuses_usage(&line);
        assert!(said.contains("already exists and would be overwritten"), "{said}");
        assert_eq!(std::fs::read(desk.path(existing)).unwrap(), before);
    }
    let other = desk.trained("other", "--method pfeiffer");
    let said =
        desk.refuses(&format!("adapter average {a} {other} --base base --out c.safetensors"));
    assert!(said.contains("adapter 2 of those to be averaged has another method"), "{said}");
    assert!(!desk.path("c.safetensors").exists());
}

#[test]
fn an_adapter_stands_on_another_and_leaves_layers_to_plain_bert() {
    let desk = Desk::new();
    let (a, b) = (desk.trained("a", "--seed 1"), desk.trained("b", "--seed 2"));
    assert_ne!(desk.predictions(&format!("{a} --stack-on {b}")), desk.predictions(&a));
    assert!((0.0..=1.0).contains(&desk.accuracy(&format!("{a} --stack-on {b}"))));

    let each = desk.json(&format!("evaluate {a} --drop-layers each {COLUMNS}"));
    let each = each["dropped"].as_array().unwrap();
    assert_eq!(each.len(), 3);
    for (dropped, arguments) in each.iter().zip(["", "--drop-layers 0..1", "--drop-layers all"]) {
        let accuracy = dropped["scores"]["accuracy"].as_f64().unwrap();
        assert!(
            (accuracy - desk.accuracy(&format!("{a} {arguments}"))).abs() < 1e-9,
            "{arguments}"
        );
        assert!(dropped["seconds_per_text"].as_f64().unwrap() > 0.0);
    }
    assert_ne!(desk.predictions(&format!("{a} --drop-layers 0..1")), desk.predictions(&a));
    let table =
        desk.says(&format!("evaluate {a} --drop-layers each {COLUMNS}").replace("--json", ""));
    assert!(table.contains("layers dropped    accuracy"), "{table}");
    assert!(table.lines().any(|line| line.starts_with("  0..2 ")), "{table}");

    let said = desk.refuses(&format!("evaluate {a} --drop-layers 1..3 {COLUMNS}"));
    assert!(said.contains("--drop-layers 1..3 goes beyond the base's 2 layers (0 to 1)"), "{said}");
    let said = desk.refuses(&format!(
        "predict {a} --drop-layers each --input rows.csv --text body --base base"
    ));
    assert!(said.contains("`each` names no layers"), "{said}");
}

#[test]
fn a_composition_without_effect_is_refused() {
    let desk = Desk::new();
    let short = |method: &str| {
        let line = TRAIN.replace("--size 4 --epochs 3", "--epochs 1");
        let said = desk.says(&format!("{line} --method {method}"));
        let result: Value = serde_json::from_str(&said).unwrap();
        result["adapter"].as_str().unwrap().to_owned()
    };
    let (full, norms) = (short("full"), short("layer-norm"));
    let upper = short("pfeiffer --adapt-layers 1..");
    for format in ["adapter-hub", "peft"] {
        let line = format!("adapter export {full} --format {format} --base base --out exported");
        let said = desk.refuses_usage(&line);
        assert!(said.contains("was trained with full"), "{said}");
        assert!(said.contains("use --format merged"), "{said}");
    }
    let own = "--input rows.csv --text body --base base --device cpu";
    for layers in ["0", "all"] {
        let said = desk.refuses_usage(&format!("predict {full} --drop-layers {layers} {own}"));
        assert!(said.contains(&format!("--drop-layers {layers} has no effect")), "{said}");
        assert!(said.contains("method is full"), "{said}");
    }
    let said = desk.refuses_usage(&format!("predict {upper} --drop-layers 0 {own}"));
    assert!(said.contains("--drop-layers 0 has no effect"), "{said}");
    desk.says(&format!("predict {upper} --drop-layers 1 {own}"));
    desk.says(&format!("predict {norms} --drop-layers 0 {own}"));
    let said = desk.refuses_usage(&format!("evaluate {full} --drop-layers each {COLUMNS}"));
    assert!(said.contains("--drop-layers each has no effect"), "{said}");
    for below in [&full, &norms] {
        let said = desk.refuses_usage(&format!("predict {upper} --stack-on {below} {own}"));
        assert!(said.contains("--stack-on") && said.contains("has no effect"), "{said}");
    }
}

#[test]
fn a_fusion_over_trained_adapters_is_a_file_of_its_own() {
    let desk = Desk::new();
    let (a, b) = (desk.trained("a", "--seed 1"), desk.trained("b", "--seed 2"));
    let other = desk.trained("other", "--method pfeiffer");
    let said = desk.refuses(&format!("{TRAIN} --fuse {a},{other}").replace("--size 4", ""));
    assert!(said.contains("its placement is not that of the first"), "{said}");
    let line = format!("{TRAIN} --fuse {a},{b}").replace("--size 4", "");
    let result = desk.json(&line);
    assert_eq!(result["method"], "fusion");
    let better = result["majority"].as_f64().unwrap() + 0.3;
    assert!(result["score"].as_f64().unwrap() > better, "{result}");
    let config = std::fs::read_to_string(desk.path("runs/rows/fusion-seed42/config.toml")).unwrap();
    assert!(config.contains("method = \"fusion\"") && config.contains("fuse = ["), "{config}");

    // The file needs neither of the adapters it was made of.
    std::fs::rename(
        desk.path("runs/rows/fusion-seed42/adapter.safetensors"),
        desk.path("f.safetensors"),
    )
    .unwrap();
    std::fs::remove_dir_all(desk.path("runs")).unwrap();
    assert!(desk.accuracy("f.safetensors") > better);
    assert_eq!(desk.predictions("f.safetensors").lines().count(), 160);
    for format in ["adapter-hub", "peft", "merged"] {
        let line = format!("adapter export f.safetensors --format {format} --base base --out f");
        let said = desk.refuses_usage(&line);
        assert!(said.contains("has no place for a fusion of adapters"), "{said}");
    }
    let told = desk.says("adapter inspect f.safetensors");
    assert!(told.contains("fuses     2 adapters") && told.contains("method    fusion"), "{told}");

    let said = desk.refuses(&line);
    assert!(said.contains("adapter.safetensors"), "{said}");
    let said = desk.refuses("train --method fusion");
    assert!(said.contains("the method fusion needs one or more adapter files"), "{said}");
    assert!(!desk.path("runs").exists());
}

#[test]
fn a_fusion_that_was_killed_goes_on_to_the_same_bits() {
    let desk = Desk::new();
    let (a, b) = (desk.trained("a", "--seed 1"), desk.trained("b", "--seed 2"));
    crate::killed::check_killed(&desk, &format!("--fuse {a},{b}"));
}

#[test]
fn googles_checkpoints_are_bases_and_results() {
    let desk = Desk::new();
    desk.fixtures("burn-bert/tests/fixtures/google", "google");
    let vocabulary = desk.path("base/vocab.txt");
    std::fs::copy(vocabulary, desk.path("google/vocab.txt")).unwrap();
    desk.fixtures("burn-adapters/tests/fixtures/adapter_bert", "result");

    // The same base in another layout is another base: its fingerprint is that of the files.
    let trained = desk.trained("hugging-face", "");
    let line = format!("{TRAIN} --name google").replace("--base base", "--base google");
    assert!(desk.json(&line)["score"].as_f64().is_some());
    let said = desk.refuses(&format!(
        "evaluate {trained} --input rows.csv --text body --label team --base google --device cpu"
    ));
    assert!(said.contains("was trained on the base"), "{said}");

    let import = "adapter import-tensorflow result/model.ckpt-7 --base google --task colors";
    desk.says(&format!("{import} --labels red,green,blue --out colors.safetensors"));
    let answers = desk.says(
        "predict colors.safetensors --input rows.csv --text body --base google --device cpu --json",
    );
    let first: Value = serde_json::from_str(answers.lines().next().unwrap()).unwrap();
    assert_eq!(first["probabilities"].as_object().unwrap().len(), 3);
    let told = desk.says("adapter inspect colors.safetensors");
    assert!(told.contains("adapters  size 8, gelu_new"), "{told}");

    let said = desk.refuses(&format!("{import} --labels red,green --out other.safetensors"));
    assert!(said.contains("there are 2 labels (red, green) for a head with 3 outputs"), "{said}");
    std::fs::remove_file(desk.path("google/bert_model.ckpt.data-00000-of-00001")).unwrap();
    let said = desk.refuses(&format!("{import} --labels red,green,blue --out other.safetensors"));
    assert!(said.contains("bert_model.ckpt.data-00000-of-00001"), "{said}");
}
