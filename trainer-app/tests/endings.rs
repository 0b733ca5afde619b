//! How commands end: exit codes, JSON on every ending, and output that nobody reads.
#![expect(clippy::unwrap_used, reason = "a test may fail at any line")]

#[expect(dead_code, reason = "shared with the tests of runs, which use all of it")]
#[path = "runs/desk.rs"]
mod desk;
mod tiny_base;

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use desk::{Desk, TRAIN};
use serde_json::Value;

fn code_and_json(output: &Output) -> (i32, Value) {
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let last = stdout.lines().last().unwrap_or_default();
    (output.status.code().unwrap(), serde_json::from_str(last).unwrap_or(Value::Null))
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_ending_has_its_exit_code_and_with_json_a_last_line() {
    let desk = Desk::new();
    let done = desk.run(&format!("{TRAIN} --epochs 1").replace("--epochs 3 ", ""));
    let (code, line) = code_and_json(&done);
    assert_eq!((code, &line["status"]), (0, &"done".into()), "{}", stderr(&done));
    assert!(line["score"].is_f64());

    let grid = "version = 1\n[[grid]]\ntasks = ['helpdesk']\nmethods = ['houlsby']\n";
    std::fs::write(desk.path("helpdesk.toml"), grid).unwrap();
    for (line, code, error) in [
        // Wrong arguments, found by clap and by the program itself.
        ("train --epochs 0 --json", 2, "--epochs"),
        ("train --nonsense --json", 2, "--nonsense"),
        ("train --task nosuch --json", 2, "nosuch"),
        ("train --device tpu --json", 2, "tpu"),
        ("sweep helpdesk.toml --data glue --json", 2, "--data"),
        ("sweep helpdesk.toml --name .. --json", 2, "--name"),
        // A fault.
        ("train --base ./nowhere --json", 1, "./nowhere"),
        ("evaluate nowhere.safetensors --json", 1, "nowhere.safetensors"),
    ] {
        let output = desk.run(line);
        let (found, json) = code_and_json(&output);
        assert_eq!(found, code, "{line}: {}", stderr(&output));
        assert_eq!(json["status"], "error", "{line}");
        assert!(json["error"].as_str().unwrap().contains(error), "{line}: {json}");
        assert!(stderr(&output).contains(error), "{line}");
    }
}

#[test]
fn refused_arguments_leave_nothing_behind() {
    let desk = Desk::new();
    for flags in ["--patience 0", "--batch-size 1152921504606846976", "--clip inf", "--name ../x"] {
        let output = desk.run(&format!("{TRAIN} {flags}").replace("--batch-size 8", ""));
        assert_eq!(output.status.code(), Some(2), "{flags}: {}", stderr(&output));
        let flag = flags.split(' ').next().unwrap();
        assert!(stderr(&output).contains(flag), "{flags}: {}", stderr(&output));
    }
    assert!(!desk.path("runs").exists());
}

#[cfg(unix)]
#[test]
fn a_stopped_run_ends_with_130_and_says_where_it_is() {
    let desk = Desk::new();
    let line = TRAIN.replace("--epochs 3", "--epochs 10000 --name stopped");
    let mut child =
        desk.command(&line).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let metrics = desk.path("runs/rows/stopped/metrics.jsonl");
    let trains = || std::fs::metadata(&metrics).is_ok_and(|file| file.len() > 0);
    while !trains() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let (code, line) = code_and_json(&child.wait_with_output().unwrap());
    assert_eq!((code, &line["status"]), (130, &"stopped".into()), "{line}");
    assert_eq!(line["run"], "runs/rows/stopped");
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_prediction_ends_with_130_and_a_last_line() {
    let desk = Desk::new();
    let output = desk.run(&TRAIN.replace("--epochs 3", "--epochs 1 --name done"));
    assert!(output.status.success(), "{}", stderr(&output));
    let line = "predict runs/rows/done/adapter.safetensors --device cpu --json";
    let mut command = desk.command(line);
    // It waits for texts on standard input.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let handles_interrupt = || {
        let status = std::fs::read_to_string(&status).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & 0b10 != 0
    };
    while !handles_interrupt() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    // `wait_with_output` closes standard input, which would be the end of the texts.
    let input = child.stdin.take();
    let (code, line) = code_and_json(&child.wait_with_output().unwrap());
    drop(input);
    assert_eq!((code, &line["status"]), (130, &"stopped".into()), "{line}");
}

#[cfg(unix)]
#[test]
fn a_signal_while_the_base_is_loaded_has_its_code_and_line() {
    let desk = Desk::new();
    for signal in ["-INT", "-TERM"] {
        let mut child =
            desk.command(TRAIN).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The first note describes the data, before the base is loaded.
        let mut notes = BufReader::new(child.stderr.take().unwrap());
        notes.read_line(&mut String::new()).unwrap();
        let pid = child.id().to_string();
        assert!(
            std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success()
        );
        std::io::copy(&mut notes, &mut std::io::sink()).unwrap();
        let (code, line) = code_and_json(&child.wait_with_output().unwrap());
        assert_eq!((code, &line["status"]), (130, &"stopped".into()), "{signal}: {line}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_limit_of_file_sizes_is_an_error() {
    let desk = Desk::new();
    let line = TRAIN.replace("--epochs 3", "--epochs 1");
    let program = env!("CARGO_BIN_EXE_trainer");
    let output = std::process::Command::new("sh")
        .current_dir(desk.path(""))
        .args(["-c", &format!("ulimit -f 1; exec {program} {line}")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("File too large"), "{}", stderr(&output));
}

#[test]
fn output_that_nobody_reads_ends_no_command_early() {
    let desk = Desk::new();
    // The reader of the result is gone before it is written.
    let mut child =
        desk.command("devices").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));

    // And so is the reader of what is said meanwhile: the run ends all the same.
    let line = TRAIN.replace("--epochs 3", "--epochs 1 --name unread");
    let mut child =
        desk.command(&line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert!(child.wait().unwrap().success());
    assert!(desk.path("runs/rows/unread/result.json").is_file());
}

#[cfg(target_os = "linux")]
#[test]
fn standard_output_that_is_full_is_an_error() {
    let desk = Desk::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = desk.command("devices").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.starts_with("error: writing to standard output: No space left"), "{said}");
}
