//! Resuming: with what belongs to the run, from anywhere, and by one process at a time.

use std::path::Path;

use serde_json::Value;

use crate::desk::{Desk, TRAIN};

const RUN: &str = "runs/rows/r";
const RESUME: &str = "train --resume runs/rows/r --json --device cpu";

fn replace(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{}: {text}", path.display());
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_run_is_resumed_only_with_what_it_was_trained_with() {
    let desk = Desk::new();
    desk.says(&format!("{TRAIN} --name whole"));
    desk.kill_in_second_epoch(TRAIN, RUN);
    let refuses = |sentence: &str| {
        let said = desk.refuses(RESUME);
        assert!(said.contains("was saved by a run that differs: "), "{said}");
        assert!(said.contains(sentence), "{said}");
        assert!(desk.path(RUN).join("checkpoint").exists());
        assert!(!desk.path(RUN).join("result.json").exists());
    };

    desk.write_rows("rows.csv", 320);
    refuses(
        "the training rows changed (144 before, 288 now); the validation rows changed (16 before, 32 now)",
    );
    desk.write_rows("rows.csv", 160);
    replace(&desk.path("rows.csv"), ",x\n", ",z\n");
    refuses("the labels changed");
    desk.write_rows("rows.csv", 160);

    let config = desk.path(RUN).join("config.toml");
    for (from, to, sentence) in [
        ("batch_size = 8", "batch_size = 4", "batch_size was 8, is 4"),
        ("epochs = 3", "epochs = 30", "epochs was 3, is 30"),
        ("learning_rate = 0.01", "learning_rate = 0.001", "learning_rate was 0.01, is 0.001"),
        ("seed = 42", "seed = 43", "seed was 42, is 43"),
    ] {
        replace(&config, from, to);
        refuses(sentence);
        replace(&config, to, from);
    }
    let base = desk.path("base/config.json");
    let (from, to) = ("\"gelu\"", "\"relu\"");
    replace(&base, from, to);
    refuses("the base's hidden_act was gelu, is relu");
    replace(&base, to, from);

    desk.says(RESUME);
    assert!(desk.adapter(RUN) == desk.adapter("runs/rows/whole"));
    assert_eq!(desk.losses(RUN), desk.losses("runs/rows/whole"));
}

#[test]
fn a_resumed_run_is_shown_from_the_epoch_where_it_was() {
    let desk = Desk::new();
    desk.kill_in_second_epoch(TRAIN, RUN);
    let output = desk.run(&RESUME.replace("--json", "--plain"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("resuming after step ") && said.contains(" of 54, in epoch 2 of 3"),
        "{said}"
    );
    assert!(said.contains("epoch 2/3  train") && !said.contains("epoch 1/3"), "{said}");
}

#[test]
fn a_run_belongs_to_one_process_at_a_time() {
    let desk = Desk::new();
    let long = TRAIN.replace("--epochs 3", "--epochs 3000");
    let mut child = desk.start_until_second_epoch(&long, RUN);
    let holder = format!("runs/rows/r is in use by process {}", child.id());
    let said = desk.refuses(RESUME);
    assert!(said.contains(&holder), "{said}");
    let said = desk.refuses("train --resume --json");
    assert!(said.contains("no unfinished run is below runs that is not in progress: "), "{said}");
    assert!(said.contains(&holder), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();

    // The newer one is in progress, so that the older one is resumed.
    let mut child = desk.start_until_second_epoch(&long, "runs/rows/newer");
    replace(&desk.path(RUN).join("config.toml"), "epochs = 3000", "epochs = 3");
    let said = desk.refuses("train --resume --json");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.contains("epochs was 3000, is 3"), "{said}");
}

#[test]
fn a_run_is_resumed_from_another_directory() {
    let desk = Desk::new();
    desk.says(&format!("{TRAIN} --name whole"));
    desk.kill_in_second_epoch(TRAIN, RUN);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = desk.command("train --json --resume");
    let output = command.arg(desk.path(RUN)).current_dir(elsewhere.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(desk.losses(RUN), desk.losses("runs/rows/whole"));

    let mut command = desk.command("train --json --name again --config");
    command.arg(desk.path("runs/rows/whole/config.toml")).current_dir(elsewhere.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(elsewhere.path().join("runs/rows/again/result.json").is_file());
}

#[test]
fn a_run_that_has_ended_is_tidied_and_shown_again() {
    let desk = Desk::new();
    let first = desk.says(&format!("{TRAIN} --name r"));
    // Killed between the result and the removal of the checkpoints.
    std::fs::create_dir_all(desk.path(RUN).join("checkpoint/step-000000054-save-000003")).unwrap();
    let is_first = |line: &str| {
        let (first, again): (Value, Value) = (
            serde_json::from_str(&first).unwrap(),
            serde_json::from_str(&desk.says(line)).unwrap(),
        );
        ["steps", "epochs", "best_epoch", "adapter"].iter().all(|key| again[key] == first[key])
    };
    assert!(is_first("train --resume --json"));
    assert!(!desk.path(RUN).join("checkpoint").exists());
    assert!(is_first(RESUME));
    assert!(desk.refuses("train --resume").contains("no unfinished run is below runs"));
}

#[test]
fn leftovers_of_killed_processes_are_removed() {
    let desk = Desk::new();
    desk.kill_in_second_epoch(TRAIN, RUN);
    let left =
        [".tmpAbCdEf", ".adapter.safetensors.x1y2z3.part", "checkpoint/.step-000000099.part"];
    for name in left {
        std::fs::write(desk.path(RUN).join(name), "left").unwrap();
    }
    desk.says(RESUME);
    let mut names: Vec<_> = std::fs::read_dir(desk.path(RUN))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [".lock", "adapter.safetensors", "config.toml", "metrics.jsonl", "result.json"]
    );
}

#[test]
fn settings_that_are_refused_leave_no_directory() {
    let desk = Desk::new();
    let said = desk.refuses(&format!("{TRAIN} --accumulate 1000"));
    assert!(said.contains("lower --accumulate or --batch-size"), "{said}");
    let devices = TRAIN.replace("--device cpu", "--devices cpu,cpu");
    let output = desk.run(&format!("{devices} --inner-norm batch"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the running statistics of batch norms are of one device"), "{said}");
    assert_eq!(output.status.code(), Some(2));
    assert!(!desk.path("runs").exists());
}

#[test]
fn a_run_with_weights_smoothing_and_calibration_is_resumed_bit_for_bit() {
    let desk = Desk::new();
    let train = format!("{TRAIN} --class-weights balanced --label-smoothing 0.1 --calibrate");
    desk.says(&format!("{train} --name whole"));
    desk.kill_in_second_epoch(&train, RUN);
    let config = desk.path(RUN).join("config.toml");
    replace(&config, "label_smoothing = 0.1", "label_smoothing = 0.2");
    let said = desk.refuses(RESUME);
    assert!(said.contains("label_smoothing was 0.1, is 0.2"), "{said}");
    replace(&config, "label_smoothing = 0.2", "label_smoothing = 0.1");
    desk.says(RESUME);
    assert!(desk.adapter(RUN) == desk.adapter("runs/rows/whole"));
    assert_eq!(desk.losses(RUN), desk.losses("runs/rows/whole"));
    let details = |run: &str| {
        let text = std::fs::read_to_string(desk.path(run).join("result.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["details"].clone()
    };
    assert!(details(RUN)["calibration"]["temperature"].is_number());
    assert_eq!(details(RUN), details("runs/rows/whole"));
}
