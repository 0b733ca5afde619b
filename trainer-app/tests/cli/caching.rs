//! Cached hidden states and gradient checkpointing.

use serde_json::Value;

use crate::desk::{Desk, TRAIN};

#[test]
fn layers_that_run_again_learn_as_layers_that_are_kept() {
    let desk = Desk::new();
    let line = format!("{} --dropout 0", TRAIN.replace("--lr 1e-2", "--lr 1e-3"));
    let kept = desk.losses(&line, "kept");
    let again = desk.losses(&format!("{line} --gradient-checkpointing"), "again");
    assert_eq!(kept.len(), again.len());
    for (step, (kept, again)) in kept.iter().zip(&again).enumerate() {
        assert!((kept - again).abs() <= 1e-5 * kept.abs(), "{step}: {kept} and {again}");
    }
    let refused = desk.refuses(&format!("{line} --gradient-checkpointing --inner-norm batch"));
    assert!(refused.contains("batch norms would count every batch twice"), "{refused}");
}

#[test]
fn kept_states_train_as_layers_that_run_again_do() {
    let desk = Desk::new();
    let losses = |name: &str| -> Vec<f64> {
        desk.says(&format!("{TRAIN} --adapt-layers 1.. --dropout 0 --cache {name} --name {name}"));
        let metrics =
            std::fs::read_to_string(desk.path(&format!("runs/rows/{name}/metrics.jsonl")));
        let lines = metrics.unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line["loss"].as_f64()).collect()
    };
    let close = |a: &[f64], b: &[f64], tolerance: f64| {
        assert!(a.len() == b.len() && a.len() > 30, "{} and {} losses", a.len(), b.len());
        let largest = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(largest < tolerance, "the losses differ by {largest}");
    };
    let anew = losses("off");
    close(&anew, &losses("memory"), 1e-4);
    // Half precision.
    close(&anew, &losses("disk"), 2e-2);
    let files = desk.path("cache/states").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let states = files.filter(|path| path.extension().is_some_and(|name| name == "states"));
    assert_eq!(states.count(), 2, "train and validation");

    let told = desk.says("adapter inspect runs/rows/memory/adapter.safetensors --json");
    assert!(!told.contains("embeddings_norm") && !told.contains("layers.0."), "{told}");
    let said = desk.refuses(&format!("{TRAIN} --cache memory"));
    assert!(said.contains("--adapt-layers 3.."), "{said}");
}
