//! Training runs, from their score to the adapter file.

use std::fmt::Write as _;

use serde_json::Value;

use crate::desk::{Desk, TRAIN};

#[test]
fn a_run_ends_with_a_score_and_an_adapter_that_answers() {
    let desk = Desk::new();
    let result: Value = serde_json::from_str(&desk.says(TRAIN)).unwrap();
    let score = result["score"].as_f64().unwrap();
    assert!(score > result["majority"].as_f64().unwrap() + 0.3, "{result}");
    let adapter = result["adapter"].as_str().unwrap();
    assert!(!desk.path("runs/rows/houlsby-4-seed42/checkpoint").exists());

    let columns = "--text body --label team --base base --device cpu --json";
    let scores = desk.says(&format!("evaluate {adapter} --input rows.csv {columns}"));
    let scores: Value = serde_json::from_str(&scores).unwrap();
    assert!(scores["scores"]["accuracy"].as_f64().unwrap() > 0.8, "{scores}");

    let line =
        format!("predict {adapter} --input rows.csv --text body --base base --device cpu --json");
    let answers = desk.says(&line);
    assert_eq!(answers.lines().count(), 160);
    let first: Value = serde_json::from_str(answers.lines().next().unwrap()).unwrap();
    assert!(first["label"] == "x" || first["label"] == "y");
    let sum: f64 = first["probabilities"]
        .as_object()
        .unwrap()
        .values()
        .map(|value| value.as_f64().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-6);
    let shown = desk.says(&format!("adapter inspect {adapter}"));
    assert!(shown.contains("labels    x, y") && shown.contains("method    houlsby"), "{shown}");
}

#[test]
fn a_score_that_is_not_above_the_baselines_is_noted() {
    let desk = Desk::new();
    let line = TRAIN.replace("--json ", "");
    let said = |line: &str| {
        let output = desk.run(line);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stderr).unwrap()
    };
    let untrained = said(&line.replace("--epochs 3", "--epochs 1").replace("1e-2", "1e-9"));
    let note = "note: the score is not above that of the bag of words; more --epochs, another --learning-rate or more \
                training rows may help";
    assert!(untrained.contains(note), "{untrained}");
    // Nothing can be above a baseline without an error.
    let perfect = said(&line.replace("--epochs 3", "--epochs 12"));
    assert!(perfect.contains("100.0") && !perfect.contains("not above"), "{perfect}");
}

#[test]
fn every_kind_of_method_learns_and_tells_what_it_inserts() {
    let desk = Desk::new();
    // Where the rank or the width is the method's own, `--size` is left out; at this rate all of them learn with every
    // seed.
    let train =
        TRAIN.replace("--size 4 --epochs 3", "--epochs 8").replace("--lr 1e-2", "--lr 1e-3");
    for (method, name, shown) in [
        (
            "lora",
            "lora-8-seed42",
            "LoRA      rank 8, alpha 16\n          query, value, layers all\n",
        ),
        ("ia3", "ia3-seed42", "(IA)³     outputs of key, value, feed-forward-in, layers all\n"),
        (
            "prefix --size 2",
            "prefix-2-seed42",
            "prefix    length 2, reparameterized with width 512\n          layers all\n",
        ),
        (
            "scaled-parallel",
            "scaled-parallel-64-seed42",
            "adapters  size 64, relu\n          feed-forward in a layer, layers all\n          \
             depth 1, inner norm none, add\n          scaling learned\n",
        ),
    ] {
        let result = desk.says(&format!("{train} --method {method}"));
        let result: Value = serde_json::from_str(&result).unwrap();
        let score = result["score"].as_f64().unwrap();
        assert!(score > result["majority"].as_f64().unwrap() + 0.3, "{method}: {result}");
        let adapter = result["adapter"].as_str().unwrap();
        assert!(adapter.contains(name), "{adapter}");
        let inspected = desk.says(&format!("adapter inspect {adapter}"));
        assert!(inspected.contains(shown), "{inspected}");
        let columns = "--text body --label team --base base --device cpu --json";
        let scores = desk.says(&format!("evaluate {adapter} --input rows.csv {columns}"));
        let scores: Value = serde_json::from_str(&scores).unwrap();
        assert!(scores["scores"]["accuracy"].as_f64().unwrap() > 0.8, "{method}: {scores}");
    }

    let train = train.replace("--epochs 8", "--epochs 1 --adapt-layers 1..");
    let result: Value =
        serde_json::from_str(&desk.says(&format!("{train} --method lora --size 2 --name high")))
            .unwrap();
    let inspected = desk.says(&format!("adapter inspect {}", result["adapter"].as_str().unwrap()));
    assert!(inspected.contains("rank 2") && inspected.contains("layers 1.."), "{inspected}");
}

#[test]
fn mnli_is_judged_by_both_of_its_validation_sets() {
    let desk = Desk::new();
    let folder = desk.path("glue/MNLI");
    std::fs::create_dir_all(&folder).unwrap();
    let parses = "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t\
                  sentence1_parse\tsentence2_parse\tsentence1\tsentence2";
    let validation_labels = "label1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label";
    for (file, labels, rows) in [
        ("train.tsv", "label1\tgold_label", 24),
        ("dev_matched.tsv", validation_labels, 9),
        ("dev_mismatched.tsv", validation_labels, 6),
    ] {
        let mut table = format!("{parses}\t{labels}\n");
        for row in 0..rows {
            let label = ["entailment", "neutral", "contradiction"][row % 3];
            let between = "-\t".repeat(labels.split('\t').count() - 1);
            let texts = format!("a man {row}\tsomeone");
            writeln!(table, "{row}\t1\t1\tfiction\t-\t-\t-\t-\t{texts}\t{between}{label}").unwrap();
        }
        std::fs::write(folder.join(file), table).unwrap();
    }
    let line = "train --task mnli --data glue --base base --device cpu --json --size 2 --epochs 1 \
                --batch-size 8 --max-length 16";
    let result: Value = serde_json::from_str(&desk.says(line)).unwrap();
    assert!(result["score"].as_f64().is_some(), "{result}");
    assert!(result["judged"]["validation-mismatched"]["accuracy"].as_f64().is_some(), "{result}");
}

#[test]
fn two_devices_learn_as_one_does() {
    let desk = Desk::new();
    let losses = |name: &str, devices: &str, method: &str| {
        let line = TRAIN
            .replace("--device cpu", devices)
            .replace("--size 4", method)
            .replace("--lr 1e-2", "--lr 1e-3");
        // Seven rows, so that the two shares are not equal.
        let line = line.replace("--batch-size 8", "--batch-size 7");
        desk.losses(&format!("{line} --dropout 0"), name)
    };
    for (method, switches) in [("adapters", "--size 4"), ("full", "--method full")] {
        let one = losses(&format!("{method}-one"), "--device cpu", switches);
        let two = losses(&format!("{method}-two"), "--devices cpu,cpu", switches);
        assert_eq!(one.len(), two.len());
        assert!(one.len() > 40, "{} steps", one.len());
        for (step, (one, two)) in one.iter().zip(&two).enumerate() {
            assert!((one - two).abs() <= 1e-5 * one.abs(), "{method} {step}: {one} and {two}");
        }
    }
    let refused = desk.refuses(&format!("{TRAIN} --devices cpu,cpu"));
    assert!(refused.contains("cannot be used with"), "{refused}");
}

#[test]
fn half_a_base_teaches_nearly_the_same() {
    let desk = Desk::new();
    let line = format!("{TRAIN} --dropout 0");
    let whole = desk.losses(&line, "whole");
    for half in ["bf16", "f16"] {
        let losses = desk.losses(&format!("{line} --precision {half}"), half);
        for (step, (whole, half)) in whole.iter().zip(&losses).enumerate().take(20) {
            assert!((whole - half).abs() < 0.05, "{step}: {whole} and {half}");
        }
        assert_ne!(losses, whole);
        let adapter = format!("runs/rows/{half}/adapter.safetensors");
        desk.says(&format!(
            "evaluate {adapter} --input rows.csv --text body --label team --base base --device cpu --precision {half}"
        ));
    }
    let full = line.replace("--size 4", "--method full");
    let refused = desk.refuses(&format!("{full} --precision bf16"));
    assert!(refused.contains("full trains the base itself"), "{refused}");
    let refused = desk.refuses(&format!("{line} --precision f8"));
    assert!(refused.contains("choose f32, bf16 or f16"), "{refused}");
}

/// A graph that outlives its step is some 0.5 MiB here, so that 450 of them would be far above the margin.
#[test]
fn a_long_run_holds_no_more_memory_than_a_short_one() {
    let desk = Desk::new();
    let held = |epochs: usize| {
        let line = TRAIN.replace("--epochs 3", &format!("--epochs {epochs} --name e{epochs}"));
        let result: Value = serde_json::from_str(&desk.says(&line)).unwrap();
        let steps =
            std::fs::read_to_string(desk.path(&format!("runs/rows/e{epochs}/metrics.jsonl")));
        let steps = steps.unwrap().lines().filter(|line| line.contains(r#""kind":"step""#)).count();
        (steps, result["memory_mib"].as_u64().unwrap())
    };
    // The allocator has its arenas after a few epochs; validation and checkpoints come with every one.
    let ((few, short), (many, long)) = (held(4), held(30));
    assert!(many >= few + 400, "{few} and {many} steps");
    assert!(long <= short + 16, "{short} MiB after {few} steps, {long} MiB after {many}");
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_does_not() {
    let desk = Desk::new();
    let adapter = |name: &str| {
        std::fs::read(desk.path(&format!("runs/rows/{name}/adapter.safetensors"))).unwrap()
    };
    for (name, seed) in [("a", 1), ("b", 1), ("c", 2)] {
        desk.says(
            &format!("{TRAIN} --epochs 1 --name {name} --seed {seed}").replace("--epochs 3 ", ""),
        );
    }
    assert_eq!(adapter("a"), adapter("b"));
    assert_ne!(adapter("a"), adapter("c"));
}
