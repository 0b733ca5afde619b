//! Exports for other packages, imported again.

use serde_json::Value;

use crate::desk::{Desk, TRAIN};

#[test]
fn an_adapter_goes_to_other_packages_and_comes_back() {
    let desk = Desk::new();
    let scores = |adapter: &str| {
        let rows = "--input rows.csv --text body --label team --base base --device cpu --json";
        let said = desk.says(&format!("evaluate {adapter} {rows}"));
        serde_json::from_str::<Value>(&said).unwrap()["scores"]["accuracy"].clone()
    };
    for (method, format) in [("pfeiffer", "adapter-hub"), ("lora", "peft")] {
        let line = TRAIN.replace("--size 4", &format!("--method {method} --size 4"));
        desk.says(&format!("{line} --pooling pooler --name {method}"));
        let adapter = format!("runs/rows/{method}/adapter.safetensors");
        desk.says(&format!(
            "adapter export {adapter} --base base --format {format} --out {format}"
        ));
        assert!(desk.path(format).join("adapter_config.json").is_file());
        let back = format!("{format}.safetensors");
        desk.says(&format!("adapter import {format} --base base --labels x,y --out {back}"));
        assert_eq!(scores(&back), scores(&adapter), "{format}");
    }
    desk.says(&format!("{TRAIN} --name mean --pooling mean"));
    let said = desk.refuses(
        "adapter export runs/rows/mean/adapter.safetensors --base base --format peft --out no",
    );
    assert!(said.contains("PEFT"), "{said}");
}
