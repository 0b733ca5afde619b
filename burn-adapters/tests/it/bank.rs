//! A bank gives back what was put in, survives a change that is cut off anywhere, and is clear about what is wrong.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use burn_adapters::file::bank::{BANK_VERSION, Bank, BankError, BankWarning, NewTask};
use burn_adapters::file::native::{AdapterMetadata, BaseIdentity, Calibration, read_header, save};
use burn_adapters::{AdaptedBert, HeadKind, Method, TaskAdapterConfig};
use sha2::{Digest, Sha256};
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
        head: HeadKind::unnamed(labels),
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
        calibration: Calibration::default(),
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
    assert!(sentence(Bank::create(&path, identity("1"), 0)).contains("there is already a file"));
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
            "the bank {} has version 9, expected 2 or lower; use the release that wrote it",
            path.display()
        )
    );
}

/// The slot of a change with an index at a place of the file.
fn slot(version: u32, generation: u64, offset: u64, index: &[u8]) -> Vec<u8> {
    let mut slot = b"burnbank".to_vec();
    for number in [u64::from(version), generation, offset, index.len() as u64] {
        slot.extend(number.to_le_bytes());
    }
    let checksum = Sha256::new().chain_update(&slot).chain_update(index).finalize();
    slot.extend(&checksum[..24]);
    slot
}

#[test]
fn every_byte_that_is_changed_in_a_bank_is_noticed() {
    let (_directory, path, _) = two_tasks();
    let whole = std::fs::read(&path).unwrap();
    let bank = Bank::open(&path).unwrap();
    assert!(bank.warnings().is_empty());
    let entries = bank.index().entries.clone();
    let task_at = |place: usize| {
        let place = place as u64;
        let mut tasks = entries.iter();
        tasks.find(|(_, entry)| (entry.offset..entry.offset + entry.bytes).contains(&place))
    };
    // The index of the empty bank is in no slot any more.
    let dead = 128..usize::try_from(entries["one"].offset).unwrap();
    for place in (0..whole.len()).filter(|place| *place < 128 || place % 7 == 0) {
        let mut bytes = whole.clone();
        bytes[place] ^= [1, 0x80, 0xff][place % 3];
        std::fs::write(&path, &bytes).unwrap();
        let opened = Bank::open(&path).unwrap();
        if let Some((task, _)) = task_at(place) {
            assert!(opened.warnings().is_empty(), "byte {place}");
            for name in entries.keys() {
                assert_eq!(opened.read(name).is_err(), name == task, "byte {place}, {name}");
            }
        } else if !dead.contains(&place) {
            // The bank is what the other slot says, and that is said.
            let [BankWarning::DamagedIndex { generation, .. }] = opened.warnings() else {
                panic!("byte {place}: {:?}", opened.warnings())
            };
            assert_eq!(*generation, opened.generation());
            assert!(opened.generation() <= 2, "byte {place}");
        }
    }
}

#[test]
fn a_damaged_index_is_a_warning_until_the_next_change() {
    let (directory, path, _) = two_tasks();
    let mut bytes = std::fs::read(&path).unwrap();
    // The second change is in the first slot.
    bytes[20] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let bank = Bank::open(&path).unwrap();
    assert_eq!((bank.generation(), tasks(&path)), (1, vec!["one".to_owned()]));
    let said = bank.warnings()[0].to_string();
    assert!(said.contains("is read as it was after change 1"), "{said}");
    // Nothing of what may still be wanted is overwritten by going on.
    let (third, _) = adapter(directory.path(), "three", Method::Pfeiffer, 3, FINGERPRINT);
    let bank = Bank::add(&path, &third, None).unwrap();
    assert!(bank.warnings().is_empty());
    assert_eq!(tasks(&path), ["one", "three"]);
    assert!(std::fs::metadata(&path).unwrap().len() > bytes.len() as u64);
}

#[test]
fn a_later_release_is_not_passed_over_for_what_was_there_before() {
    let (_directory, path, _) = two_tasks();
    let mut bytes = std::fs::read(&path).unwrap();
    let index = br#"{"layout":"of a later release"}"#;
    let offset = bytes.len() as u64;
    bytes.extend(index);
    bytes[64..128].copy_from_slice(&slot(BANK_VERSION + 1, 3, offset, index));
    std::fs::write(&path, &bytes).unwrap();
    let error = Bank::open(&path).unwrap_err();
    assert!(matches!(error, BankError::Version { found, .. } if found == BANK_VERSION + 1));
    // Version 1 knew less of the base and is read.
    let bank = std::fs::read(&path).unwrap();
    let old = br#"{"base":{"name":"tiny","fingerprint":"5f0c"},"base_bytes":1000,"entries":{}}"#;
    let mut bytes = bank[..usize::try_from(offset).unwrap()].to_vec();
    bytes.extend(old);
    bytes[64..128].copy_from_slice(&slot(1, 3, offset, old));
    std::fs::write(&path, &bytes).unwrap();
    assert!(tasks(&path).is_empty());
}

#[test]
fn what_a_cut_off_change_left_is_removed_by_the_next_one() {
    let (directory, path, adapters) = two_tasks();
    let whole = std::fs::read(&path).unwrap();
    let (third, _) = adapter(directory.path(), "three", Method::Pfeiffer, 3, FINGERPRINT);
    let dead = vec![0x5a; 100_000];
    let with_dead = || std::fs::write(&path, [&whole[..], &dead[..]].concat()).unwrap();
    let length = || std::fs::metadata(&path).unwrap().len();

    with_dead();
    assert!(Bank::open(&path).unwrap().unused() >= dead.len() as u64);
    Bank::remove(&path, "one").unwrap();
    assert!(length() < whole.len() as u64 + 2000, "{} bytes", length());
    assert_eq!(tasks(&path), ["two"]);

    with_dead();
    Bank::add(&path, &third, None).unwrap();
    assert!(length() < whole.len() as u64 + 20_000, "{} bytes", length());
    assert_eq!(tasks(&path), ["one", "three", "two"]);

    with_dead();
    let bank = Bank::compact(&path).unwrap();
    assert_eq!((bank.unused(), bank.index().entries.len()), (0, 2));

    // A change that fails gives its room back.
    with_dead();
    let gone = directory.path().join("gone.safetensors");
    let new = [NewTask { file: &third, name: None }, NewTask { file: &gone, name: Some("gone") }];
    Bank::add_all(&path, &new).unwrap_err();
    Bank::add_all(&path, &[new[0], NewTask { file: &adapters[0].0, name: None }]).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[test]
fn adapters_are_added_together_or_not_at_all() {
    let (directory, path, adapters) = two_tasks();
    let before = std::fs::read(&path).unwrap();
    let (third, _) = adapter(directory.path(), "three", Method::Pfeiffer, 3, FINGERPRINT);
    let (other, _) = adapter(directory.path(), "other", Method::Houlsby, 2, "0bad");
    let (flipped, _) = adapter(directory.path(), "flipped", Method::Lora, 2, FINGERPRINT);
    let mut bytes = std::fs::read(&flipped).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    std::fs::write(&flipped, bytes).unwrap();
    let new = |file, name| NewTask { file, name };
    let refused = |second: NewTask<'_>, sentence: &str| {
        let error = Bank::add_all(&path, &[new(&third, None), second]).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    };
    refused(new(&other, None), "other.safetensors was trained on the base");
    refused(new(&flipped, None), "flipped.safetensors is damaged: the SHA-256 of its tensors");
    refused(new(&adapters[0].0, None), "has a task `one` already; remove it first, or add");
    refused(new(&adapters[0].0, Some("three")), "are both adapters for the task `three`");
    refused(new(&adapters[0].0, Some("a b")), "is no name for a task in a bank");
    refused(new(&path, None), "is not a whole safetensors file");
    let bank = Bank::add_all(
        &path,
        &[new(&third, None), new(&adapters[0].0, Some("four")), new(&third, Some("five"))],
    )
    .unwrap();
    assert_eq!(bank.generation(), 3);
    assert_eq!(tasks(&path), ["five", "four", "one", "three", "two"]);
    let error = Bank::remove_all(&path, &["five", "six"]).unwrap_err();
    assert!(matches!(error, BankError::UnknownTask { .. }));
    assert_eq!(tasks(&path).len(), 5);
    Bank::remove_all(&path, &["five", "four", "three"]).unwrap();
    assert_eq!(tasks(&path), ["one", "two"]);
}

#[test]
fn an_adapter_with_another_tokenizer_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("tasks.bank");
    let base = BaseIdentity { tokenizer: Some("aa".to_owned()), ..identity(FINGERPRINT) };
    Bank::create(&path, base, 1000).unwrap();
    let (file, model) = adapter(directory.path(), "one", Method::Ia3, 2, FINGERPRINT);
    let mut metadata = read_header(&file).unwrap().metadata;
    metadata.base.tokenizer = Some("bb".to_owned());
    save(&file, &model, &metadata).unwrap();
    let said = Bank::add(&path, &file, None).unwrap_err().to_string();
    assert!(said.contains("was trained with another tokenizer"), "{said}");
    metadata.base.tokenizer = Some("aa".to_owned());
    save(&file, &model, &metadata).unwrap();
    Bank::add(&path, &file, None).unwrap();
}

#[test]
fn of_two_that_create_a_bank_at_once_one_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("tasks.bank");
    let (file, _) = adapter(directory.path(), "one", Method::Ia3, 2, FINGERPRINT);
    let created = std::thread::scope(|scope| {
        let creators: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    // Whoever made the bank puts a task into it, which nobody may lose.
                    Bank::create(&path, identity(FINGERPRINT), 1000)
                        .and_then(|_| Bank::add(&path, &file, None))
                })
            })
            .collect();
        creators.into_iter().map(|creator| creator.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(created.iter().filter(|created| created.is_ok()).count(), 1);
    for created in created.iter().filter(|created| created.is_err()) {
        assert!(matches!(created, Err(BankError::Exists { .. })), "{created:?}");
    }
    assert_eq!(tasks(&path), ["one"]);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[test]
fn leftovers_of_killed_changes_are_removed() {
    let (directory, path, adapters) = two_tasks();
    std::fs::write(directory.path().join(".tasks.bank.Ab12cd.part"), b"half").unwrap();
    Bank::add(&path, &adapters[0].0, Some("three")).unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 3);
}
