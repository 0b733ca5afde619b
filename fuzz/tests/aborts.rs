//! A reader that ends its process leaves the input in the file that the harness has announced.

use std::process::Command;

use fuzz::Harness;

/// Set in the child process: how its reader ends.
const END: &str = "FUZZ_TEST_END";
/// The input that the reader ends at; the first seed is read before it and is longer.
const DEADLY: &[u8] = b"deadly";

#[test]
fn the_input_of_a_reader_that_ends_the_process_is_kept() {
    if let Ok(end) = std::env::var(END) {
        let seeds = [b"a harmless seed".to_vec(), DEADLY.to_vec()];
        let harness = Harness { name: "ending", seeds: &seeds, memory: usize::MAX };
        harness.run(|bytes| {
            if bytes == DEADLY {
                end_process(&end);
            }
            true
        });
        return;
    }
    for end in ["abort", "stack overflow", "second panic", "out of memory"] {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([
            "the_input_of_a_reader_that_ends_the_process_is_kept",
            "--exact",
            "--nocapture",
        ]);
        let output = child.env(END, end).env("TMPDIR", directory.path()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{end}: {error}");

        let kept: Vec<_> = directory.path().read_dir().unwrap().flatten().collect();
        assert_eq!(kept.len(), 1, "{end}: {error}");
        assert_eq!(std::fs::read(kept[0].path()).unwrap(), DEADLY, "{end}: {error}");
        assert!(error.contains(&kept[0].path().display().to_string()), "{end}: {error}");
    }
}

/// Ends the process in a way that no harness can catch.
fn end_process(end: &str) {
    match end {
        "abort" => std::process::abort(),
        "stack overflow" => {
            std::hint::black_box(depth(1));
        }
        "second panic" => {
            let _second = PanicsWhenDropped;
            panic!("the first");
        }
        _ => {
            let size = std::hint::black_box(isize::MAX as usize - 1);
            std::hint::black_box(Vec::<u8>::with_capacity(size));
        }
    }
}

/// Recursion that ends long after the stack does.
fn depth(levels: u64) -> u64 {
    let frame = std::hint::black_box([levels; 128]);
    if frame[0] == u64::MAX { 0 } else { depth(levels + 1) + frame[127] }
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("the second");
    }
}
