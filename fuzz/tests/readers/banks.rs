//! Banks of adapters.

use burn_adapters::Method;
use burn_adapters::file::bank::Bank;
use burn_adapters::file::native::BaseIdentity;
use fuzz::Harness;

use crate::files::{FINGERPRINT, TENSORS, adapter_base, adapter_file, run_with_file};

#[test]
fn bank() {
    let (bert, directory) = (adapter_base(), tempfile::tempdir().unwrap());
    let (adapter, path) = (directory.path().join("a"), directory.path().join("tasks.bank"));
    Bank::create(&path, BaseIdentity::new("tiny", FINGERPRINT), 88_312).unwrap();
    let empty = std::fs::read(&path).unwrap();
    adapter_file(Method::Ia3, &bert, &adapter);
    for name in ["one", "two"] {
        Bank::add(&path, &adapter, Some(name)).unwrap();
    }
    let full = std::fs::read(&path).unwrap();
    Bank::remove(&path, "one").unwrap();
    let seeds = [empty, full, std::fs::read(&path).unwrap()];
    let harness = Harness { name: "bank", seeds: &seeds, memory: TENSORS };
    run_with_file(&harness, &path, || {
        let Ok(bank) = Bank::open(&path) else { return false };
        let _ = bank.unused();
        let mut tasks = bank.index().entries.keys();
        let (first, last) = (tasks.next(), tasks.next_back());
        let _ = (first.map(|task| bank.header(task)), last.map(|task| bank.read(task)));
        true
    });
}
