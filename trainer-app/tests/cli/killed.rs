//! Killed runs that are resumed to the same bits.

use serde_json::Value;

use crate::desk::{Desk, TRAIN};

#[test]
fn a_killed_run_with_kept_states_goes_on_to_the_same_bits() {
    check_killed_run("--adapt-layers 1..");
}

#[test]
fn a_killed_run_goes_on_to_the_same_bits() {
    check_killed_run("");
}

#[test]
fn a_killed_run_with_running_statistics_goes_on_to_the_same_bits() {
    check_killed_run("--inner-norm batch");
}

fn check_killed_run(switches: &str) {
    check_killed(&Desk::new(), &format!("--size 4 {switches}"));
}

pub(crate) fn check_killed(desk: &Desk, switches: &str) {
    let line = TRAIN.replace("--size 4", switches);
    desk.says(&format!("{line} --name whole"));
    let mut child =
        desk.command(&format!("{line} --name killed --checkpoint-every 0")).spawn().unwrap();
    let checkpoints = desk.path("runs/rows/killed/checkpoint");
    let steps = || {
        let entries = std::fs::read_dir(&checkpoints).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                name.strip_prefix("step-")?.split('-').next()?.parse().ok()
            })
            .max()
    };
    // In the middle of the second epoch, if the child has not ended before.
    while steps() < Some(25_usize) && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !desk.path("runs/rows/killed/result.json").exists(),
        "the run ended before it was killed"
    );
    desk.says("train --resume runs/rows/killed --json --device cpu");
    let file = |name: &str, file: &str| {
        std::fs::read(desk.path(&format!("runs/rows/{name}/{file}"))).unwrap()
    };
    assert!(file("killed", "adapter.safetensors") == file("whole", "adapter.safetensors"));
    let losses = |name: &str| -> Vec<Value> {
        let text = String::from_utf8(file(name, "metrics.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["loss"].clone())
            .collect()
    };
    assert_eq!(losses("killed"), losses("whole"));
}
