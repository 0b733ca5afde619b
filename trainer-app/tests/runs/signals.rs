//! Signals: everything is saved, and the terminal is as it was.

use std::process::Command;

use crate::desk::{Desk, TRAIN};

const RUN: &str = "runs/rows/r";

#[test]
fn every_signal_saves_the_run_which_is_resumed_to_the_same_bits() {
    let desk = Desk::new();
    desk.says(&format!("{TRAIN} --name whole"));
    for signal in ["INT", "TERM", "HUP"] {
        let run = format!("runs/rows/{signal}");
        let child = desk.start_until_second_epoch(TRAIN, &run);
        // A terminal that is closed may send more than one.
        for _ in 0..if signal == "INT" { 1 } else { 2 } {
            let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
            assert!(sent.unwrap().success());
        }
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{signal}: {said}");
        assert!(said.contains("stopped"), "{signal}: {said}");
        desk.says(&format!("train --resume {run} --json"));
        assert!(desk.adapter(&run) == desk.adapter("runs/rows/whole"), "{signal}");
        assert_eq!(desk.losses(&run), desk.losses("runs/rows/whole"), "{signal}");
    }
}

/// `script` gives the program a terminal, and hands on what is typed.
#[cfg(target_os = "linux")]
#[test]
fn the_terminal_is_as_it_was_after_ctrl_c() {
    use std::io::Write;
    use std::process::Stdio;

    let desk = Desk::new();
    let line = TRAIN.replace("--json ", "").replace("--epochs 3", "--epochs 100000");
    let trainer = env!("CARGO_BIN_EXE_trainer");
    let typed = format!(
        "trap '' INT; stty rows 40 cols 120; stty -g > before; {trainer} {line} --name r --checkpoint-every 0; echo $? > code; stty -g > after"
    );
    let mut command = Command::new("script");
    command.args(["--quiet", "--flush", "--command", &typed, "screen"]);
    command.current_dir(desk.path("")).env("TRAINER_CACHE", desk.path("cache"));
    command.env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::null());
    let mut script = command.spawn().expect("`script` of util-linux");
    let mut keys = script.stdin.take().unwrap();
    let is_raw =
        || std::fs::read(desk.path("screen")).is_ok_and(|screen| contains(&screen, ENTERED));
    while !is_raw() || desk.checkpoints(RUN).len() < 2 {
        assert!(script.try_wait().unwrap().is_none(), "it ended too early");
        std::thread::yield_now();
    }
    // The key is a signal only from some moment on, and it empties what is on its way to the screen: again after some
    // steps, and not at once.
    let saves = || desk.checkpoints(RUN).last().map_or(0, |(save, _, _)| *save);
    let mut next = 0;
    while script.try_wait().unwrap().is_none() {
        if saves() >= next {
            next = saves() + 40;
            keys.write_all(b"\x03").and_then(|()| keys.flush()).unwrap();
        }
        std::thread::yield_now();
    }
    let read = |name: &str| std::fs::read_to_string(desk.path(name)).unwrap();
    assert_eq!(read("after"), read("before"));
    assert_eq!(read("code"), "130\n");
    let screen = std::fs::read(desk.path("screen")).unwrap();
    assert!(contains(&screen, LEFT));
}

/// The other screen, which the dashboard is drawn on, and back.
#[cfg(target_os = "linux")]
const ENTERED: &[u8] = b"\x1b[?1049h";
#[cfg(target_os = "linux")]
const LEFT: &[u8] = b"\x1b[?1049l";

#[cfg(target_os = "linux")]
fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
