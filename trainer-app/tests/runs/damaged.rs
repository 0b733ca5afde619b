//! Files of a run that are not what was written.

use std::path::Path;

use crate::desk::{Desk, TRAIN};

const RUN: &str = "runs/rows/r";
const RESUME: &str = "train --resume runs/rows/r --json --device cpu";

fn flip_a_bit(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_checkpoint_is_left_out_for_the_one_before() {
    for file in ["trained.bpk", "optimizer.bpk", "progress.json"] {
        let desk = Desk::new();
        desk.says(&format!("{TRAIN} --name whole"));
        desk.kill_in_second_epoch(TRAIN, RUN);
        let checkpoints = desk.checkpoints(RUN);
        assert!(checkpoints.len() >= 2, "{checkpoints:?}");
        let (_, _, newest) = checkpoints.last().unwrap();
        flip_a_bit(&newest.join(file));
        let output = desk.run(RESUME);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(said.contains("a damaged checkpoint is skipped") && said.contains(file), "{said}");
        assert!(desk.adapter(RUN) == desk.adapter("runs/rows/whole"));
        assert_eq!(desk.losses(RUN), desk.losses("runs/rows/whole"));
    }
}

#[test]
fn a_run_whose_checkpoints_are_all_damaged_is_not_begun_anew() {
    let desk = Desk::new();
    desk.kill_in_second_epoch(TRAIN, RUN);
    let checkpoints = desk.checkpoints(RUN);
    for (number, (_, _, path)) in checkpoints.iter().enumerate() {
        if number == 0 {
            // The kill may have come while this one was being removed.
            let _ = std::fs::remove_file(path.join("progress.json"));
        } else {
            flip_a_bit(&path.join("optimizer.bpk"));
        }
    }
    let said = desk.refuses(RESUME);
    assert!(said.contains("no checkpoint in runs/rows/r/checkpoint can be read"), "{said}");
    assert!(said.contains("it has no progress.json"), "{said}");
    assert!(said.contains("the checksum of optimizer.bpk is wrong"), "{said}");
    assert_eq!(desk.checkpoints(RUN), checkpoints, "nothing was removed");
}

#[test]
fn damaged_metrics_do_not_keep_a_run_from_being_resumed() {
    let desk = Desk::new();
    desk.kill_in_second_epoch(TRAIN, RUN);
    let path = desk.path(RUN).join("metrics.jsonl");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[3] = 0xff;
    bytes.extend_from_slice(&[0; 512]);
    std::fs::write(&path, bytes).unwrap();
    let output = desk.run(RESUME);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 lines of completed steps and epochs are missing in"), "{said}");
    assert_eq!(desk.losses(RUN).len(), 53);
}
