//! What a sweep remembers.

use crate::desk::{Desk, GRID, SWEEP};

#[test]
fn a_killed_sweep_continues_where_it_was() {
    let desk = Desk::new(&GRID.replace("limit = 32", "limit = 256"));
    let line = format!("{SWEEP} --json --checkpoint-every 0");
    let mut child = desk.command(&line).spawn().unwrap();
    let path = desk.path("sweeps/tiny/ledger.jsonl");
    let finished = || std::fs::read_to_string(&path).unwrap_or_default().lines().count();
    while finished() < 3 && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = std::fs::read_to_string(&path).unwrap();
    assert!(before.lines().count() < 7, "the sweep ended before it could be killed");

    desk.says(&line);
    let after = std::fs::read_to_string(&path).unwrap();
    let whole = &before[..before.rfind('\n').unwrap()];
    assert!(after.starts_with(whole), "whole lines are not touched");
    let mut cells: Vec<String> =
        desk.entries("ledger.jsonl").iter().map(|entry| entry["cell"].to_string()).collect();
    assert_eq!(cells.len(), 6);
    cells.sort();
    cells.dedup();
    assert_eq!(cells.len(), 6, "no cell was recorded twice");
}

#[test]
fn what_succeeded_when_it_was_tried_again_stays_a_success() {
    let desk = Desk::new(GRID);
    desk.says(SWEEP);
    // As if every cell had failed on this machine the first time.
    let mut ledger = String::from("{\"ledger\":1}\n");
    for mut entry in desk.entries("ledger.jsonl") {
        entry.as_object_mut().unwrap().remove("checksum");
        entry["end"] = serde_json::json!({ "status": "failed", "why": "a test" });
        ledger += &format!("{entry}\n");
    }
    desk.write("sweeps/tiny/ledger.jsonl", &ledger);
    std::fs::remove_dir_all(desk.path("sweeps/tiny/runs")).unwrap();

    let said = desk.ends_with(1, SWEEP);
    assert!(said.contains("6 of 6 cells failed") && said.contains(": a test"), "{said}");
    assert_eq!(desk.entries("ledger.jsonl").len(), 6, "nothing is run again unless asked for");
    desk.says(&format!("{SWEEP} --retry-failed"));
    assert_eq!(desk.entries("ledger.jsonl").len(), 12);
    let output = desk.json(SWEEP);
    assert_eq!((&output["status"], &output["cells"]["done"]), (&"done".into(), &6.into()));
    assert_eq!(desk.entries("ledger.jsonl").len(), 12);
}

#[test]
fn copies_of_ledgers_are_named_and_not_read() {
    let desk = Desk::new(GRID);
    desk.says(&format!("{SWEEP} --shard 1/2"));
    let ledger = desk.read("sweeps/tiny/ledger-1-of-2.jsonl");
    desk.write("sweeps/tiny/ledger copy.jsonl", "not even a ledger");
    desk.write("sweeps/other/ledger-1-of-2.jsonl~", &ledger);
    let (_, said) = desk.says_both(&format!("{SWEEP} --shard 1/2"));
    assert!(said.contains("note: sweeps/tiny/ledger copy.jsonl is ignored"), "{said}");
    let plan = desk.says(&format!("{SWEEP} --name other --dry-run"));
    assert!(plan.contains("6 of 6 cells to run"), "{plan}");
}

#[test]
fn a_collapsed_seed_is_counted_shown_and_not_tried_again() {
    let grid = GRID
        .replace("['houlsby', 'layer-norm']", "['layer-norm']")
        .replace("sizes = [2, 4]\n", "")
        .replace("1e-3", "1e-3, 1e30")
        .replace("limit = 32", "limit = 32\nbatch_size = 4");
    let desk = Desk::new(&grid);
    let (table, said) = desk.says_both(SWEEP);
    assert!(table.contains("helpdesk"), "{table}");
    assert!(said.contains("2 of 4 cells collapsed"), "{said}");
    let output = desk.json(SWEEP);
    assert_eq!(output["status"], "done");
    assert_eq!(output["cells"]["collapsed"], 2);
    let settings = output["settings"].as_array().unwrap();
    let collapsed = settings.iter().find(|setting| setting["learning_rate"] == 1e30).unwrap();
    assert_eq!(collapsed["collapsed"], 2);
    assert_eq!(collapsed["seeds"], serde_json::json!([0, 1]));
    assert_eq!(desk.entries("ledger.jsonl").len(), 4);
    desk.says("report sweeps/tiny");
    assert!(desk.read("sweeps/tiny/report.html").contains("<th>collapsed</th>"));
}
