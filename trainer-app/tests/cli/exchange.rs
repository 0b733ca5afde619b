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
        let output = desk
            .run(&format!("adapter export {adapter} --base base --format {format} --out {format}"));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let names_loss = said.contains("the names of the labels are not in the directory")
            && said.contains("`trainer adapter import --labels 'x,y'` restores them")
            && said.contains("`trainer adapter import --task rows` restores it");
        assert_eq!(names_loss, format == "peft", "{said}");
        assert!(desk.path(format).join("adapter_config.json").is_file());
        let back = format!("{format}.safetensors");
        desk.says(&format!("adapter import {format} --base base --labels x,y --out {back}"));
        assert_eq!(scores(&back), scores(&adapter), "{format}");
    }
    let import = "adapter import peft --base base";
    let said = desk.refuses_usage(&format!("{import} --out rows.csv"));
    assert!(said.contains("rows.csv already exists"), "{said}");
    // Split at spaces, the label cannot be written in one string.
    let output =
        desk.command(&format!("{import} --out new.safetensors --labels")).arg("x,x ").output();
    let output = output.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the label `x ` of --labels has spaces around it"), "{said}");
    let imported = |name: &str| {
        let output = desk.run(&format!("{import} --labels x,y --out {name}.safetensors"));
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(!imported("same").contains("warning"));
    let config = desk.path("peft/adapter_config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let mut json: Value = serde_json::from_str(&text).unwrap();
    json["base_model_name_or_path"] = "bert-large-uncased".into();
    std::fs::write(&config, json.to_string()).unwrap();
    let said = imported("other");
    assert!(
        said.contains("names the base bert-large-uncased, and the adapter is imported for base"),
        "{said}"
    );
    desk.says(&format!("{TRAIN} --name mean --pooling mean"));
    let said = desk.refuses(
        "adapter export runs/rows/mean/adapter.safetensors --base base --format peft --out no",
    );
    assert!(said.contains("PEFT"), "{said}");
}
