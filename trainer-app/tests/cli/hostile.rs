//! Hostile arguments and files.

use crate::desk::{Desk, TRAIN};

fn write(desk: &Desk, name: &str, content: &str) {
    std::fs::write(desk.path(name), content).unwrap();
}

#[test]
fn a_configuration_names_no_directory_outside_of_the_runs() {
    let desk = Desk::new();
    desk.says(&TRAIN.replace("--epochs 3", "--epochs 1 --name one"));
    let config = std::fs::read_to_string(desk.path("runs/rows/one/config.toml")).unwrap();
    for name in ["../../elsewhere", ".", "", "a\\nb"] {
        let other = config.replace("name = \"rows\"", &format!("name = \"{name}\""));
        assert_ne!(other, config);
        write(&desk, "other.toml", &other);
        let said = desk.refuses("train --config other.toml --plain");
        assert!(said.contains("the task is named `"), "{said}");
    }
    assert!(!desk.path("elsewhere").exists());
    // Such directories are those of interrupted processes, and are removed.
    let said = desk.refuses_usage(&format!("{TRAIN} --name .two.part"));
    assert!(said.contains("does not begin with a dot"), "{said}");
}

#[test]
fn the_directory_of_a_run_stands_for_its_adapter_in_every_command() {
    let desk = Desk::new();
    let train = TRAIN.replace("--epochs 3", "--epochs 1");
    desk.says(&format!("{train} --name one"));
    desk.says(&format!("{train} --name two --seed 2"));
    desk.says("bank create tasks.bank --base base");
    let rows = "--input rows.csv --text body --label team --base base --device cpu";
    let lines = |one: &str, two: &str| {
        [
            format!("predict {one} --input rows.csv --text body --base base --device cpu"),
            format!("evaluate {one} {rows} --stack-on {two}"),
            format!("ablate {one} {rows} --limit 8"),
            format!("adapter inspect {one}"),
            format!("adapter average {one} {two} --base base --out mean.safetensors"),
            format!("adapter export {one} --base base --format adapter-hub --out hub"),
            format!("bank add tasks.bank one={one} two={two}"),
            format!("{train} --fuse {one},{two} --name fused").replace("--size 4 ", ""),
        ]
    };
    for line in lines("runs/rows/one", "runs/rows/two/") {
        desk.says(&line);
    }
    std::fs::create_dir(desk.path("runs/rows/empty")).unwrap();
    for line in lines("runs/rows/empty", "runs/rows/two") {
        let said = desk.refuses_usage(&line);
        assert!(
            said.contains("the directory runs/rows/empty has no adapter.safetensors"),
            "{said}"
        );
    }
}

#[test]
fn messages_are_short_and_control_no_terminal() {
    let desk = Desk::new();
    let train = |file: &str| {
        let said = desk.refuses(&TRAIN.replace("rows.csv", file));
        assert!(said.len() < 32_000, "{file}: {} bytes", said.len());
        said
    };
    let columns: Vec<String> = (0..50_000).map(|column| column.to_string()).collect();
    write(&desk, "wide.csv", &format!("{}\n", columns.join(",")));
    assert!(train("wide.csv").contains("its columns are 0, 1, 2, "));
    write(&desk, "long.csv", &format!("{}\na\n", "long".repeat(1 << 18)));
    assert!(train("long.csv").contains("longlong…"));
    write(&desk, "control.csv", "bo\u{1b}[2Jdy,team\na,x\n");
    assert!(train("control.csv").contains("its columns are bo\\u{1b}[2Jdy, team"));
    write(&desk, "validation.csv", &format!("body,team\na,\"{}\"\n", "\u{1b}]0;".repeat(1 << 16)));
    let said = train("rows.csv --validation validation.csv");
    assert!(said.contains("validation.csv line 2: the label `\\u{1b}]0;"), "{said}");
    write(&desk, "tags.conll", "word B-\u{1b}[2JX O\n");
    assert!(desk.says("score --predictions tags.conll").contains("  \\u{1b}[2JX "));
}

#[cfg(unix)]
#[test]
fn files_without_an_end_are_not_read() {
    let desk = Desk::new();
    std::os::unix::fs::symlink("/dev/zero", desk.path("zero.csv")).unwrap();
    let said = desk.refuses(&TRAIN.replace("rows.csv", "zero.csv"));
    assert!(said.contains("zero.csv is not a regular file"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_is_not_unicode_is_refused_before_anything_is_read() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let desk = Desk::new();
    let mut command = desk.command("train --text body --label team --base nowhere --train");
    let output = command.arg(OsStr::from_bytes(b"r\xff.csv")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the settings cannot be written to config.toml"), "{said}");
}

#[test]
fn a_file_is_written_only_into_a_directory_that_exists() {
    let desk = Desk::new();
    let said = desk.refuses_usage("adapter average a b --base base --out no/such/c.safetensors");
    assert!(said.contains("there is no directory no/such; create it first"), "{said}");
}

#[test]
fn what_no_base_is_named_is_not_looked_for_on_the_hub() {
    let desk = Desk::new();
    for name in ["rows.csv", "a/b/c", "a/b?x=1", "a/", "a/..", "~/base"] {
        let mut command = desk.command(&format!("base {name}"));
        let output = command.env("HF_ENDPOINT", "http://127.0.0.1:9").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(&format!("`{name}` is not a directory; expected a name")), "{said}");
    }
}
