//! Adapter files.

use burn_adapters::Method;
use burn_adapters::file::native;
use fuzz::Harness;

use crate::files::{FINGERPRINT, TENSORS, adapter_base, adapter_file};

/// The same file as version 1 of the format has it: no checksum refuses its damage.
fn without_checksums(file: &[u8]) -> Vec<u8> {
    let header_len = usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
    let (header, tensors) = file[8..].split_at(header_len);
    let mut header: serde_json::Value = serde_json::from_slice(header).unwrap();
    let own = &mut header["__metadata__"]["burn_adapters"];
    let mut json: serde_json::Value = serde_json::from_str(own.as_str().unwrap()).unwrap();
    json["format_version"] = 1.into();
    json.as_object_mut().unwrap().remove("sha256").unwrap();
    *own = json.to_string().into();
    let header = header.to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes()[..], &header, tensors].concat()
}

#[test]
fn adapter() {
    let (bert, directory) = (adapter_base(), tempfile::tempdir().unwrap());
    let path = directory.path().join("adapter.safetensors");
    let new: Vec<_> =
        [Method::Ia3, Method::Pfeiffer].map(|method| adapter_file(method, &bert, &path)).into();
    let seeds: Vec<_> =
        new.iter().map(|file| without_checksums(file)).chain(new.iter().cloned()).collect();
    Harness { name: "adapter", seeds: &seeds, memory: TENSORS }.run(|bytes| {
        // Loading runs the probe on the base, which takes a hundred times as long as the checks: one input in 64.
        let loads = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) < 4;
        let checked = native::check_bytes(&path, bytes);
        if checked.is_ok() && (loads || seeds.iter().any(|seed| seed == bytes)) {
            return native::load_bytes(&path, bytes, bert.clone(), FINGERPRINT).is_ok();
        }
        checked.is_ok()
    });
}
