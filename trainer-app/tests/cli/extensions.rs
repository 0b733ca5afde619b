//! The paper's extensions as settings of the bottlenecks.

use serde_json::Value;

use crate::desk::{Desk, TRAIN};

#[test]
fn the_papers_extensions_are_switches_that_the_adapter_file_keeps() {
    let desk = Desk::new();
    let switches = "--activation tanh --sites attention --adapt-layers 1.. --depth 2 --inner-norm batch \
                    --combine multiply";
    let result = desk.says(&format!("{TRAIN} {switches}"));
    let result: Value = serde_json::from_str(&result).unwrap();
    assert!(
        result["score"].as_f64().unwrap() > result["majority"].as_f64().unwrap() + 0.3,
        "{result}"
    );
    let adapter = result["adapter"].as_str().unwrap();
    let told = desk.says(&format!("adapter inspect {adapter}"));
    assert!(
        told.contains(
            "adapters  size 4, tanh\n          attention in a layer, layers 1..\n          \
             depth 2, inner norm batch, multiply"
        ),
        "{told}"
    );
    // The running statistics came along.
    let score = desk.says(&format!(
        "evaluate {adapter} --input rows.csv --text body --label team --base base --device cpu --json"
    ));
    let score: Value = serde_json::from_str(&score).unwrap();
    assert!(score["scores"]["accuracy"].as_f64().unwrap() > 0.8, "{score}");

    // What was typed is in the configuration, and enough to run it again.
    let config = "runs/rows/houlsby-4-seed42/config.toml";
    let text = std::fs::read_to_string(desk.path(config)).unwrap();
    for line in [
        "activation = \"tanh\"",
        "sites = \"attention\"",
        "adapt_layers = \"1..\"",
        "depth = 2",
        "inner_norm = \"batch\"",
        "combine = \"multiply\"",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    desk.says(&format!("train --config {config} --name again --json"));
    let bytes = |name: &str| {
        std::fs::read(desk.path(&format!("runs/rows/{name}/adapter.safetensors"))).unwrap()
    };
    assert!(bytes("again") == bytes("houlsby-4-seed42"));
}
