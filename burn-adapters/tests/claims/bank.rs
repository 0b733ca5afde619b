//! A bank gives back what was put in, survives a change that is cut off anywhere, and is clear about what is wrong.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use burn_adapters::file::bank::{Bank, BankError};
use burn_adapters::file::native::{AdapterMetadata, BaseIdentity, read_header, save};
use burn_adapters::{AdaptedBert, HeadKind, Method, TaskAdapterConfig};
use tempfile::TempDir;

use crate::fixtures::{adapted, base, config};
use crate::samples::some_input;

const FINGERPRINT: &str = "5f0c";

fn identity(fingerprint: &str) -> BaseIdentity {
    BaseIdentity::new("tiny", fingerprint)
}

/// An adapter file of a task with so many labels, and its model.
fn adapter(
    directory: &Path,
    task: &str,
    method: Method,
    labels: usize,
    fingerprint: &str,
) -> (PathBuf, AdaptedBert) {
    let config = TaskAdapterConfig {
        outputs: labels,
        seed: labels as u64,
        ..config(method.plan(2 + labels))
    };
    let model = adapted(base(&Device::flex()), &config);
    let metadata = AdapterMetadata {
        method: method.to_string(),
        task: task.to_owned(),
        data: None,
        input: None,
        head: HeadKind::Classification {
            labels: (0..labels).map(|label| label.to_string()).collect(),
        },
        score: None,
        max_length: 16,
        base: identity(fingerprint),
    };
    let path = directory.join(format!("{task}.safetensors"));
    save(&path, &model, &metadata).unwrap();
    (path, model)
}

/// A bank with the tasks `one` and `two`.
fn two_tasks() -> (TempDir, PathBuf, Vec<(PathBuf, AdaptedBert)>) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("tasks.bank");
    Bank::create(&path, identity(FINGERPRINT), 1000).unwrap();
    let adapters = vec![
        adapter(directory.path(), "one", Method::Houlsby, 2, FINGERPRINT),
        adapter(directory.path(), "two", Method::Lora, 5, FINGERPRINT),
    ];
    for (adapter, _) in &adapters {
        Bank::add(&path, adapter, None).unwrap();
    }
    (directory, path, adapters)
}

fn tasks(path: &Path) -> Vec<String> {
    Bank::open(path).unwrap().index().entries.keys().cloned().collect()
}

#[test]
fn what_was_added_comes_back_to_the_bit() {
    let (_directory, path, adapters) = two_tasks();
    let bank = Bank::open(&path).unwrap();
    assert_eq!(bank.generation(), 2);
    let input = some_input(&Device::flex());
    for ((file, model), task) in adapters.iter().zip(["one", "two"]) {
        assert_eq!(bank.read(task).unwrap(), std::fs::read(file).unwrap());
        assert_eq!(bank.header(task).unwrap(), read_header(file).unwrap());
        let (loaded, metadata) = bank.load(task, base(&Device::flex()), FINGERPRINT).unwrap();
        assert_eq!(metadata.task, task);
        assert_eq!(loaded.forward(&input).into_data(), model.forward(&input).into_data());
    }
}

#[test]
fn a_removed_task_is_gone_and_its_name_free() {
    let (_directory, path, adapters) = two_tasks();
    let before = Bank::open(&path).unwrap();
    assert!(before.is_current().unwrap());
    let bank = Bank::remove(&path, "one").unwrap();
    assert!(!before.is_current().unwrap());
    assert_eq!(tasks(&path), ["two"]);
    assert!(bank.unused() >= before.unused() + std::fs::metadata(&adapters[0].0).unwrap().len());
    // Who opened the bank before still reads what was there.
    before.load("one", base(&Device::flex()), FINGERPRINT).unwrap();
    Bank::add(&path, &adapters[1].0, Some("one")).unwrap();
    assert_eq!(tasks(&path), ["one", "two"]);
    assert_eq!(
        Bank::remove(&path, "three").unwrap_err().to_string(),
        format!("the bank {} has no task `three`; it has one, two", path.display())
    );
}

#[test]
fn a_change_that_is_cut_off_anywhere_leaves_the_old_bank() {
    let (directory, path, _) = two_tasks();
    let old = std::fs::read(&path).unwrap();
    let (third, _) = adapter(directory.path(), "three", Method::Pfeiffer, 3, FINGERPRINT);
    Bank::add(&path, &third, None).unwrap();
    let new = std::fs::read(&path).unwrap();
    // Before the slot is written, only what is behind the old end has changed.
    let appended = new.len() - old.len();
    for kept in (0..=appended).step_by(appended / 40).chain([appended - 1, appended]) {
        let mut torn = old.clone();
        torn.extend(&new[old.len()..old.len() + kept]);
        std::fs::write(&path, &torn).unwrap();
        assert_eq!(tasks(&path), ["one", "two"], "{kept} bytes appended");
    }
    // Then the third change writes the second slot.
    for kept in 0..=64 {
        let mut torn = new.clone();
        torn[64 + kept..128].copy_from_slice(&old[64 + kept..128]);
        std::fs::write(&path, &torn).unwrap();
        let whole = torn[64..128] == new[64..128];
        let expected: &[&str] = if whole { &["one", "three", "two"] } else { &["one", "two"] };
        assert_eq!(tasks(&path), expected, "{kept} bytes of the slot");
    }
    // A bank with a torn tail goes on.
    std::fs::write(&path, [old, new[new.len() - appended..][..appended / 2].to_vec()].concat())
        .unwrap();
    let bank = Bank::add(&path, &third, None).unwrap();
    assert_eq!(tasks(&path), ["one", "three", "two"]);
    bank.load("three", base(&Device::flex()), FINGERPRINT).unwrap();
}

#[test]
fn a_compact_bank_holds_what_it_held_and_nothing_else() {
    let (directory, path, adapters) = two_tasks();
    let (third, _) = adapter(directory.path(), "three", Method::Pfeiffer, 3, FINGERPRINT);
    Bank::add(&path, &third, None).unwrap();
    Bank::remove(&path, "one").unwrap();
    let before = Bank::open(&path).unwrap();
    assert!(before.unused() > 0);
    let bank = Bank::compact(&path).unwrap();
    assert_eq!((bank.unused(), bank.generation()), (0, before.generation() + 1));
    assert_eq!(tasks(&path), ["three", "two"]);
    // Both of them moved; who opened the bank before finds them nevertheless.
    for (task, file) in [("two", &adapters[1].0), ("three", &third)] {
        for bank in [&bank, &before] {
            assert_eq!(bank.read(task).unwrap(), std::fs::read(file).unwrap());
            assert_eq!(bank.header(task).unwrap(), read_header(file).unwrap());
        }
    }
    // And it grows as any other.
    Bank::add(&path, &adapters[0].0, None).unwrap();
    assert_eq!(Bank::compact(&path).unwrap().index().entries.len(), 3);

    let mut bytes = std::fs::read(&path).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let said = Bank::compact(&path).unwrap_err().to_string();
    assert!(said.contains("is damaged"), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "a bank that is damaged stays as it was");
}

#[test]
fn who_waited_for_a_bank_that_was_compacted_meanwhile_adds_to_the_new_one() {
    let (directory, path, _) = two_tasks();
    let (third, _) = adapter(directory.path(), "three", Method::Pfeiffer, 3, FINGERPRINT);
    let copy = directory.path().join("copy.bank");
    std::fs::copy(&path, &copy).unwrap();
    Bank::compact(&copy).unwrap();
    let held = std::fs::File::open(&path).unwrap();
    held.lock().unwrap();
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| Bank::add(&path, &third, None).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(100));
        std::fs::rename(&copy, &path).unwrap();
        held.unlock().unwrap();
        adding.join().unwrap();
    });
    assert_eq!(tasks(&path), ["one", "three", "two"]);
}

#[test]
fn two_that_add_at_once_both_get_in() {
    let (directory, path, _) = two_tasks();
    let files: Vec<_> = (0..6)
        .map(|number| {
            adapter(directory.path(), &format!("t{number}"), Method::LayerNorm, 2, FINGERPRINT).0
        })
        .collect();
    std::thread::scope(|scope| {
        for file in &files {
            scope.spawn(|| Bank::add(&path, file, None).unwrap());
        }
    });
    assert_eq!(tasks(&path), ["one", "t0", "t1", "t2", "t3", "t4", "t5", "two"]);
}

#[test]
fn opening_does_not_touch_the_weights() {
    let (_directory, path, _) = two_tasks();
    let bank = Bank::open(&path).unwrap();
    for entry in bank.index().entries.values() {
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(entry.offset + entry.bytes - 40)).unwrap();
        file.write_all(&[0x7f; 8]).unwrap();
    }
    let bank = Bank::open(&path).unwrap();
    assert_eq!(bank.header("two").unwrap().metadata.task, "two");
    for task in ["one", "two"] {
        let error = bank.load(task, base(&Device::flex()), FINGERPRINT).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the adapter `{task}` in the bank {} is damaged: its bytes do not have the checksum in the index; \
                 remove it and add it again",
                path.display()
            )
        );
    }
}

#[test]
fn what_does_not_belong_is_refused() {
    let (directory, path, adapters) = two_tasks();
    let (other, _) = adapter(directory.path(), "other", Method::Houlsby, 2, "0bad");
    let sentence = |result: Result<Bank, BankError>| result.unwrap_err().to_string();
    assert_eq!(
        sentence(Bank::add(&path, &other, None)),
        format!(
            "the adapter {} was trained on the base `tiny` with fingerprint 0bad, but the bank is for `tiny` with \
             fingerprint 5f0c; put it into a bank of its base",
            other.display()
        )
    );
    assert!(sentence(Bank::add(&path, &adapters[0].0, None)).contains("has a task `one` already"));
    for name in ["", "a b", "../x", "ä"] {
        let refused = Bank::add(&path, &adapters[0].0, Some(name));
        assert!(sentence(refused).contains("is no name for a task"), "{name}");
    }
    assert!(sentence(Bank::create(&path, identity("1"), 0)).contains("there is a file"));
    assert!(sentence(Bank::add(&path, &path, None)).contains("is not a whole safetensors file"));
    assert_eq!(tasks(&path), ["one", "two"]);
}

#[test]
fn files_that_are_no_whole_banks_are_named() {
    let (_directory, path, adapters) = two_tasks();
    let sentence = |path: &Path| Bank::open(path).unwrap_err().to_string();
    assert!(sentence(&adapters[0].0).contains("is not a bank"));
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 7, 63] {
        std::fs::write(&path, &whole[..length]).unwrap();
        Bank::open(&path).unwrap_err();
    }
    // The second change is in the first slot, the first in the second; both indices are gone here.
    std::fs::write(&path, &whole[..200]).unwrap();
    assert!(sentence(&path).contains("is damaged or was cut short: no index has its checksum"));
    let mut future = whole.clone();
    for slot in [0, 64] {
        future[slot + 8] = 9;
    }
    std::fs::write(&path, &future).unwrap();
    assert_eq!(
        sentence(&path),
        format!(
            "the bank {} has version 9, expected 1; use the release that wrote it",
            path.display()
        )
    );
}
