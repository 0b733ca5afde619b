//! Settings of the adapters of other packages.

use std::path::Path;

use burn_adapters::interchange::{adapter_hub, peft};
use fuzz::Harness;

use crate::files::{JSON, adapter_fixtures, base};

#[test]
fn adapter_hub_settings() {
    let path = Path::new("adapter_config.json");
    let bert = base("burn-adapters/tests/fixtures/base");
    let read = |bytes: &[u8]| adapter_hub::parse_settings(path, bytes, &bert).is_ok();
    let mut seeds = adapter_fixtures("adapters", "adapter_config.json");
    // Some are of methods that are not supported.
    seeds.retain(|seed| read(seed));
    Harness { name: "adapter_hub_settings", seeds: &seeds, memory: JSON }.run(read);
}

#[test]
fn adapter_hub_head() {
    let path = Path::new("head_config.json");
    let bert = base("burn-adapters/tests/fixtures/base");
    let seeds = adapter_fixtures("adapters", "head_config.json");
    Harness { name: "adapter_hub_head", seeds: &seeds, memory: JSON }
        .run(|bytes| adapter_hub::parse_head(path, bytes, &bert).is_ok());
}

#[test]
fn peft_settings() {
    let path = Path::new("adapter_config.json");
    let bert = base("burn-adapters/tests/fixtures/base");
    let read = |bytes: &[u8]| peft::parse_settings(path, bytes, &bert).is_ok();
    let mut seeds = adapter_fixtures("peft", "adapter_config.json");
    seeds.retain(|seed| read(seed));
    Harness { name: "peft_settings", seeds: &seeds, memory: JSON }.run(read);
}
