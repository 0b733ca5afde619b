//! Labels are matched by their names wherever two lists of them meet, and a file of one's own is never taken for a
//! published task of its name.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod tiny_base;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use tiny_base::lay_tiny_base;

/// The classes of MNLI in the order of the published table; a row's word decides which one it is.
const CLASSES: [&str; 3] = ["entailment", "neutral", "contradiction"];

/// A directory with a tiny base, rows in the layout of MNLI, and the same rows as files of one's own.
struct Desk {
    directory: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let words = lay_tiny_base(directory.path());
        let desk = Self { directory };
        let rows = |count: usize, offset: usize| -> Vec<[String; 3]> {
            (0..count)
                .map(|row| {
                    let filler = &words[5 + (row + offset) % 40];
                    let premise = format!("{filler} {} {filler}", words[row % 3]);
                    let hypothesis = words[5 + (row * 7 + offset) % 30].clone();
                    [premise, hypothesis, CLASSES[row % 3].to_owned()]
                })
                .collect()
        };
        let columns = "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t\
                       sentence1_parse\tsentence2_parse\tsentence1\tsentence2";
        let labels = "label1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label";
        std::fs::create_dir_all(desk.path("glue/MNLI")).unwrap();
        for (file, labels, rows) in [
            ("train.tsv", "label1\tgold_label", rows(240, 0)),
            ("dev_matched.tsv", labels, rows(60, 5)),
            ("dev_mismatched.tsv", labels, rows(60, 9)),
        ] {
            let between = "-\t".repeat(labels.split('\t').count() - 1);
            let mut table = format!("{columns}\t{labels}\n");
            for (row, [premise, hypothesis, label]) in rows.into_iter().enumerate() {
                let texts = format!("{premise}\t{hypothesis}");
                writeln!(table, "{row}\t1\t1\tfiction\t-\t-\t-\t-\t{texts}\t{between}{label}")
                    .unwrap();
            }
            std::fs::write(desk.path("glue/MNLI").join(file), table).unwrap();
        }
        for (file, rows) in [("mnli.csv", rows(240, 0)), ("dev.csv", rows(60, 5))] {
            let mut table = String::from("premise,hypothesis,label\n");
            for row in rows {
                writeln!(table, "{}", row.join(",")).unwrap();
            }
            std::fs::write(desk.path(file), table).unwrap();
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Exit code, standard output and standard error.
    fn run(&self, line: &str) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.current_dir(self.directory.path()).args(line.split_whitespace());
        let output = command.env("TRAINER_CACHE", self.path("cache")).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn says(&self, line: &str) -> String {
        let (code, out, err) = self.run(line);
        assert_eq!(code, Some(0), "{line}: {err}");
        out
    }

    /// The error of a command that was typed wrongly.
    fn refuses(&self, line: &str) -> String {
        let (code, _, err) = self.run(line);
        assert_eq!(code, Some(2), "{line}: {err}");
        err
    }

    fn accuracy(&self, line: &str) -> f64 {
        let said = self.says(&format!("evaluate {line} --base base --device cpu --json"));
        let said: Value = serde_json::from_str(&said).unwrap();
        said["scores"]["accuracy"].as_f64().unwrap()
    }

    /// Trains an adapter that learns its rows; the result is its file.
    fn trained(&self, rows: &str, name: &str) -> String {
        let result = self.says(&format!(
            "train {rows} --name {name} --base base --device cpu --json --method pfeiffer --size 8 --pooling pooler \
             --epochs 8 --batch-size 8 --lr 1e-2 --max-length 16"
        ));
        let result: Value = serde_json::from_str(&result).unwrap();
        assert!(result["score"].as_f64().unwrap() > 0.9, "{result}");
        result["adapter"].as_str().unwrap().to_owned()
    }

    /// Exports an adapter to AdapterHub's form, and turns the order of its labels around there.
    fn exported_with_labels_turned(&self, adapter: &str, directory: &str) {
        self.says(&format!(
            "adapter export {adapter} --base base --format adapter-hub --out {directory}"
        ));
        let directory = self.path(directory);
        let config = directory.join("head_config.json");
        let mut head: Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
        let turned: Vec<_> = CLASSES.iter().rev().collect();
        head["config"]["label2id"] = json!({ *turned[0]: 0, *turned[1]: 1, *turned[2]: 2 });
        std::fs::write(&config, head.to_string()).unwrap();
        let path = directory.join("model_head.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            // One row an output.
            let row = view.data().len() / view.shape()[0];
            let rows: Vec<u8> = view.data().chunks(row).rev().flatten().copied().collect();
            (name, view.dtype(), view.shape().to_vec(), rows)
        });
        let tensors: Vec<_> = tensors.collect();
        let views = tensors.iter().map(|(name, dtype, shape, data)| {
            (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    }
}

const OWN: &str =
    "--train mnli.csv --validation dev.csv --text premise --text2 hypothesis --label label";
const DEV: &str = "--input dev.csv --text premise --text2 hypothesis --label label";

#[test]
fn rows_of_ones_own_are_never_taken_for_a_task_of_their_files_name() {
    let desk = Desk::new();
    let adapter = desk.trained(OWN, "own");
    let inspected: Value =
        serde_json::from_str(&desk.says(&format!("adapter inspect {adapter} --json"))).unwrap();
    assert_eq!(inspected["metadata"]["data"], "own");
    assert!(desk.says(&format!("adapter inspect {adapter}")).contains("rows      your own"));

    let data = "--data glue --base base --device cpu";
    for line in [
        format!("evaluate {adapter} {data}"),
        format!("ablate {adapter} {data}"),
        format!("predict {adapter} {data} --submission out"),
    ] {
        let said = desk.refuses(&line);
        assert!(said.contains("was trained on rows of your own"), "{line}: {said}");
        assert!(said.contains("--input FILE") && said.contains("--task mnli"), "{line}: {said}");
    }
    // Where the task is named, its rows are those of the file, and so is the score.
    let own = desk.accuracy(&format!("{adapter} {DEV}"));
    assert!((desk.accuracy(&format!("{adapter} --data glue --task mnli")) - own).abs() < 1e-9);
    // Another task has other labels.
    for line in [
        format!("evaluate {adapter} {data} --task cola"),
        format!("predict {adapter} {data} --task cola --submission out"),
    ] {
        let said = desk.refuses(&line);
        let both = "the labels contradiction, entailment, neutral, but the published task cola has the labels 0, 1";
        assert!(said.contains(both), "{line}: {said}");
    }
    assert!(!desk.path("out").exists());
    assert!(!desk.path("runs/mnli/own/ablation.json").exists());
}

#[test]
fn labels_in_another_order_are_the_same_labels() {
    let desk = Desk::new();
    let adapter = desk.trained("--task mnli --data glue", "published");
    let expected = desk.accuracy(&format!("{adapter} --data glue"));
    assert!(expected > 0.9);
    desk.exported_with_labels_turned(&adapter, "hub");
    desk.says("adapter import hub --base base --task mnli --out back.safetensors");
    let inspected = desk.says("adapter inspect back.safetensors");
    assert!(inspected.contains("labels    contradiction, neutral, entailment"), "{inspected}");

    for split in ["validation", "validation-mismatched"] {
        let rows = format!("--data glue --split {split}");
        let found = desk.accuracy(&format!("back.safetensors {rows}"));
        assert!((found - desk.accuracy(&format!("{adapter} {rows}"))).abs() < 1e-9, "{split}");
    }
    let found = desk.accuracy(&format!("back.safetensors {DEV}"));
    assert!((found - expected).abs() < 1e-9);
    let ablated = desk.says("ablate back.safetensors --data glue --base base --device cpu --json");
    let ablated: Value = serde_json::from_str(&ablated).unwrap();
    assert!((ablated["whole"].as_f64().unwrap() - expected).abs() < 1e-9, "{ablated}");

    // A mean of both is the adapter itself.
    desk.says(&format!(
        "adapter average {adapter} back.safetensors --base base --out mean.safetensors"
    ));
    let predictions = |adapter: &str| -> Vec<Value> {
        let line = format!("predict {adapter} --input dev.csv --text premise --text2 hypothesis");
        let said = desk.says(&format!("{line} --base base --device cpu --json"));
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for (mean, single) in predictions("mean.safetensors").iter().zip(predictions(&adapter)) {
        assert_eq!(mean["label"], single["label"]);
        for class in CLASSES {
            let probability = |row: &Value| row["probabilities"][class].as_f64().unwrap();
            assert!((probability(mean) - probability(&single)).abs() < 1e-4, "{class}");
        }
    }
    desk.says("adapter import hub --base base --labels a,b,c --task mnli --out other.safetensors");
    let (code, _, said) = desk.run(&format!(
        "adapter average {adapter} other.safetensors --base base --out no.safetensors"
    ));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("predicts the labels entailment, neutral, contradiction, but"), "{said}");
    assert!(said.contains("predicts the labels a, b, c"), "{said}");
    assert!(!desk.path("no.safetensors").exists());
}

#[test]
fn imported_labels_are_checked_and_named_after_the_base() {
    let desk = Desk::new();
    let line = OWN.replace("--train mnli.csv", "--train mnli.csv --method lora");
    let adapter = desk.says(&format!(
        "train {line} --base base --device cpu --json --size 2 --pooling pooler --epochs 1 --batch-size 8 \
         --max-length 16 --name lora"
    ));
    let adapter: Value = serde_json::from_str(&adapter).unwrap();
    let adapter = adapter["adapter"].as_str().unwrap();
    desk.says(&format!("adapter export {adapter} --base base --format peft --out lora"));
    let import = |arguments: &str| {
        let line = format!("adapter import lora --base base {arguments} --out back.safetensors");
        let (code, _, said) = desk.run(&line);
        let inspected = desk.run("adapter inspect back.safetensors").1;
        // An import does not overwrite a file.
        let _ = std::fs::remove_file(desk.path("back.safetensors"));
        (code == Some(0), said, inspected)
    };
    let refused = |arguments: &str, sentence: &str| {
        let (ok, said, _) = import(arguments);
        assert!(!ok && said.contains(sentence), "{arguments}: {said}");
        assert!(!desk.path("back.safetensors").exists());
    };
    refused("--labels a,b", "there are 2 labels (a, b) for a head with 3 outputs");
    refused("--labels a,b,a", "the label `a` is there twice");
    refused("--labels a,,b", "a label is empty");
    let (ok, said, inspected) = import("");
    assert!(ok && inspected.contains("labels    LABEL_0, LABEL_1, LABEL_2"), "{said}{inspected}");

    let config = desk.path("base/config.json");
    let mut base: Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    base["id2label"] = json!({ "0": "no", "1": "yes", "2": "maybe" });
    base["label2id"] = json!({ "no": 0, "yes": 1, "maybe": 2 });
    std::fs::write(&config, base.to_string()).unwrap();
    let (ok, said, inspected) = import("");
    assert!(ok && inspected.contains("labels    no, yes, maybe"), "{said}{inspected}");
    let (ok, said, inspected) = import("--labels x,y,z");
    assert!(ok && inspected.contains("labels    x, y, z"), "{said}{inspected}");
    // Names for another number of outputs are those of another task.
    base["id2label"] = json!({ "0": "no", "1": "yes" });
    std::fs::write(&config, base.to_string()).unwrap();
    let (ok, said, inspected) = import("");
    assert!(ok && inspected.contains("labels    LABEL_0, LABEL_1, LABEL_2"), "{said}{inspected}");
}

#[test]
fn an_export_is_never_mixed_with_other_files() {
    let desk = Desk::new();
    let adapter = desk.trained(OWN, "own");
    let export = format!("adapter export {adapter} --base base --format");
    desk.says(&format!("{export} adapter-hub --out hub"));
    let names = || {
        let entries = std::fs::read_dir(desk.path("hub")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let said = desk.refuses(&format!("{export} adapter-hub --out hub"));
    assert!(said.contains("hub is not empty"), "{said}");
    // PEFT has no bottlenecks: nothing is left behind.
    let (code, _, said) = desk.run(&format!("{export} peft --out lora"));
    assert_eq!(code, Some(1), "{said}");
    let entries = std::fs::read_dir(desk.path("")).unwrap();
    let mut left = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!left.any(|name| name.contains("lora") || name.ends_with(".part")));
    assert_eq!(names(), before);
}

#[test]
fn a_score_has_no_labels() {
    let desk = Desk::new();
    std::fs::write(
        desk.path("scores.csv"),
        std::fs::read_to_string(desk.path("mnli.csv"))
            .unwrap()
            .replace("contradiction", "0.5")
            .replace("entailment", "3.25")
            .replace("neutral", "1.75"),
    )
    .unwrap();
    for (method, format) in [("lora", "peft"), ("pfeiffer", "adapter-hub")] {
        let adapter = desk.says(&format!(
            "train --train scores.csv --text premise --text2 hypothesis --label label --score --base base --device \
             cpu --json --method {method} --size 2 --pooling pooler --epochs 1 --batch-size 8 --max-length 16 --name \
             {method}"
        ));
        let adapter: Value = serde_json::from_str(&adapter).unwrap();
        let adapter = adapter["adapter"].as_str().unwrap();
        desk.says(&format!(
            "adapter export {adapter} --base base --format {format} --out {format}"
        ));
        let import = format!("adapter import {format} --base base --out {format}.safetensors");
        let (code, _, said) = desk.run(&format!("{import} --labels good"));
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("the head has one output, which is a score and no class"), "{said}");
        desk.says(&import);
        let inspected = desk.says(&format!("adapter inspect {format}.safetensors"));
        assert!(inspected.contains("labels    a score"), "{inspected}");
    }
}

#[test]
fn an_adapter_is_refused_with_another_tokenizer() {
    let desk = Desk::new();
    let adapter = desk.trained(OWN, "own");
    let vocabulary = desk.path("base/vocab.txt");
    let words = std::fs::read_to_string(&vocabulary).unwrap();
    // Two words change places: the weights are the same, but every text with one of them becomes another.
    let mut lines: Vec<&str> = words.lines().collect();
    lines.swap(5, 6);
    std::fs::write(&vocabulary, lines.join("\n") + "\n").unwrap();
    for line in [
        format!("evaluate {adapter} {DEV} --base base --device cpu"),
        format!(
            "predict {adapter} --input dev.csv --text premise --text2 hypothesis --base base --device cpu"
        ),
        format!("adapter export {adapter} --base base --format adapter-hub --out hub"),
        format!("adapter average {adapter} {adapter} --base base --out mean.safetensors"),
    ] {
        let (code, _, said) = desk.run(&line);
        assert_eq!(code, Some(1), "{line}: {said}");
        assert!(said.contains("was trained with another tokenizer"), "{line}: {said}");
    }
    std::fs::write(&vocabulary, words).unwrap();
    desk.accuracy(&format!("{adapter} {DEV}"));
}
