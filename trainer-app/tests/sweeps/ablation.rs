//! `ablate` on a sweep's adapters, and `report`.

use serde_json::Value;

use crate::desk::{Desk, GRID, SWEEP};

/// The adapter of a cell with bottlenecks.
fn adapter(desk: &Desk) -> String {
    let entries = desk.entries("ledger.jsonl");
    let entry = entries.iter().find(|entry| entry["config"]["model"]["method"] == "houlsby");
    let cell = entry.unwrap()["cell"].as_str().unwrap();
    format!("sweeps/tiny/runs/helpdesk/{cell}/adapter.safetensors")
}

#[test]
fn an_adapter_is_scored_without_every_span_and_a_sweep_is_drawn() {
    let desk = Desk::new(GRID);
    desk.says(SWEEP);
    let adapter = adapter(&desk);
    let line = format!("ablate {adapter} --base base --device cpu --limit 40");
    let map: Value = serde_json::from_str(&desk.says(&format!("{line} --json"))).unwrap();
    assert_eq!(map["layers"], 2);
    assert_eq!(map["spans"].as_array().unwrap().len(), 3);
    assert!(desk.says(&line).contains("in layers f to l"));
    assert!(desk.path(&adapter).with_file_name("ablation.svg").is_file());

    let path = desk.says("report sweeps/tiny");
    desk.says("report sweeps/tiny --out page.html");
    desk.says("report sweeps/tiny --out page.html");
    let said = desk.ends_with(2, "report sweeps/tiny --out tiny.toml");
    assert!(said.contains("tiny.toml already exists and would be overwritten"), "{said}");
    let page = desk.read(path.trim());
    assert!(
        page.contains("Validation score of helpdesk against the trainable parameters"),
        "{page}"
    );
    assert!(page.contains("without the adapter in a span of layers"), "{page}");
    // The task of the examples is none of the paper's.
    assert!(!page.contains("of the paper"), "{page}");
    assert!(desk.ends_with(1, "report runs").contains("looking for ledgers"));
    desk.write("empty/notes.txt", "");
    assert!(desk.ends_with(1, "report empty").contains("there is no ledger in empty"));
}

#[test]
fn an_adapter_is_ablated_on_rows_of_ones_own() {
    let desk = Desk::new(GRID);
    desk.says(SWEEP);
    let adapter = adapter(&desk);
    let label = {
        let inspected = desk.says(&format!("adapter inspect {adapter} --json"));
        let inspected: Value = serde_json::from_str(&inspected).unwrap();
        inspected["metadata"]["head"]["classification"]["labels"][0].as_str().unwrap().to_owned()
    };
    desk.write("mine.csv", &format!("body,team\n\"a text\",{label}\n\"another\",{label}\n"));
    let line = format!("ablate {adapter} --base base --device cpu --input mine.csv");
    let map = desk.says(&format!("{line} --text body --label team --out map --json"));
    let map: Value = serde_json::from_str(&map).unwrap();
    assert_eq!((&map["rows"], map["spans"].as_array().unwrap().len()), (&2.into(), 3));
    assert_eq!(desk.names("map"), ["ablation.json", "ablation.svg"]);
    assert!(desk.ends_with(2, &line).contains("--text"));
}

#[test]
fn a_map_that_cannot_be_kept_is_printed_all_the_same() {
    let desk = Desk::new(GRID);
    desk.says(SWEEP);
    desk.write("file", "");
    let line = format!("ablate {} --base base --device cpu --limit 9 --out file", adapter(&desk));
    let output = desk.run(&format!("{line} --json"));
    assert_eq!(output.status.code(), Some(1));
    // The map, and the error.
    let lines = String::from_utf8(output.stdout).unwrap();
    let map: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(map["rows"], 9);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("cannot be written to file; choose another directory with --out"),
        "{said}"
    );
}
