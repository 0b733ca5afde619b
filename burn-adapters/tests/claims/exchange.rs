//! Directories of `AdapterHub`'s and `PEFT`'s give the logits they gave there, or an error that says what is in the way;
//! and what is written is read again.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, TensorData};
use burn_adapters::file::{Imported, adapter_hub, peft};
use burn_adapters::{AdapterError, HeadKind, Method, Pooling, Tuned};
use proptest::prelude::*;

use crate::adapter_hub::{TOLERANCE, texts};
use crate::fixtures::{adapted, base, config, max_abs_difference, path, read};

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

fn read_hub(directory: &Path) -> Result<Imported, AdapterError> {
    adapter_hub::read(directory, base(&Device::flex()), None)
}

fn read_peft(directory: &Path) -> Result<Imported, AdapterError> {
    peft::read(directory, base(&Device::flex()), None)
}

fn check_logits(what: &str, imported: &Imported, expected: &TensorData) {
    let found = imported.model.forward(&texts()).into_data();
    let difference = max_abs_difference(&found, expected);
    println!("{what}: {difference:e}");
    assert!(difference <= TOLERANCE, "{what}: {difference:e}");
}

fn directories(of: &str) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(path(of)).unwrap().map(|entry| entry.unwrap());
    let mut found: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(_, directory)| directory.join("adapter_config.json").is_file())
        .collect();
    found.sort();
    found
}

/// What stands in the way of a directory whose method has no place here.
fn hindrance(name: &str) -> Option<&'static str> {
    Some(match name {
        "compacter" | "compacterpp" => "`phm_layer` is true",
        "dora" | "dora_qv" => "`use_dora` is true",
        "pfeiffer_inv" => "`inv_adapter` is \"nice\"",
        "prompt_tuning" => "`architecture` is \"prompt_tuning\"",
        "fa" | "fb" => "holds no head",
        _ => return None,
    })
}

#[test]
fn every_directory_gives_its_logits_or_says_what_is_in_the_way() {
    let (mut read_in, mut refused) = (0, 0);
    for (of, read_directory) in [
        ("adapters", read_hub as fn(&Path) -> Result<Imported, AdapterError>),
        ("peft", read_peft as fn(&Path) -> _),
    ] {
        for (name, directory) in directories(of) {
            match (read_directory(&directory), hindrance(&name)) {
                (Ok(imported), None) => {
                    let outputs = read(directory.join("outputs.safetensors"));
                    check_logits(&name, &imported, &outputs["logits.f64"]);
                    read_in += 1;
                }
                (Err(error), Some(hindrance)) => {
                    let said = error.to_string();
                    assert!(said.contains(hindrance), "{name}: {said}");
                    refused += 1;
                }
                (Ok(_), Some(hindrance)) => panic!("{name} was read in spite of {hindrance}"),
                (Err(error), None) => panic!("{name}: {error}"),
            }
        }
    }
    assert_eq!((read_in, refused), (18, 8));
}

#[test]
fn an_adapter_without_a_head_gets_an_untrained_one_for_the_labels_that_are_named() {
    let labels = vec!["no".to_owned(), "yes".to_owned()];
    for name in ["fa", "fb"] {
        let directory = path("adapters").join(name);
        let imported =
            adapter_hub::read(&directory, base(&Device::flex()), Some(labels.clone())).unwrap();
        assert_eq!(imported.name, name);
        assert_eq!(imported.head, HeadKind::Classification { labels: labels.clone() });
        assert!(imported.warnings[0].contains("untrained"), "{:?}", imported.warnings);
    }
}

#[test]
fn what_is_written_for_adapter_hub_is_read_again() {
    for (name, directory) in directories("adapters") {
        let Ok(imported) = read_hub(&directory) else { continue };
        let expected = imported.model.forward(&texts()).into_data();
        let written = tempfile::tempdir().unwrap();
        let Imported { model, head, .. } = &imported;
        let lost =
            adapter_hub::write_directory(written.path(), model, "mine", head, false).unwrap();
        assert!(lost.is_empty(), "{lost:?}");
        let again = read_hub(written.path()).unwrap();
        assert_eq!((again.name.as_str(), &again.head), ("mine", head));
        assert_eq!(again.model.forward(&texts()).into_data(), expected, "{name}");
        for file in ["adapter", "model_head"] {
            std::fs::remove_file(written.path().join(format!("{file}.safetensors"))).unwrap();
        }
        let again = read_hub(written.path()).unwrap();
        assert_eq!(again.model.forward(&texts()).into_data(), expected, "{name}, as a pickle");
    }
}

#[test]
fn what_is_written_for_peft_is_read_again() {
    for (name, directory) in directories("peft") {
        let Ok(imported) = read_peft(&directory) else { continue };
        let written = tempfile::tempdir().unwrap();
        peft::write_directory(written.path(), &imported.model, &imported.head, "tiny").unwrap();
        let again = read_peft(written.path()).unwrap();
        let expected = imported.model.forward(&texts()).into_data();
        assert_eq!(again.model.forward(&texts()).into_data(), expected, "{name}");
        assert_eq!(again.model.task.config(), imported.model.task.config(), "{name}");
    }
    let norms = adapted(base(&Device::flex()), &config(Method::LayerNorm.plan(1)));
    let written = tempfile::tempdir().unwrap();
    let HeadKind::Classification { labels } = three_labels() else { unreachable!() };
    peft::write_directory(written.path(), &norms, &three_labels(), "tiny").unwrap();
    let again = peft::read(written.path(), base(&Device::flex()), Some(labels)).unwrap();
    assert_eq!(again.model.task.config().plan.tuned, Tuned::LayerNorms);
    let expected = norms.forward(&texts()).into_data();
    assert_eq!(again.model.forward(&texts()).into_data(), expected);
}

fn three_labels() -> HeadKind {
    HeadKind::Classification { labels: ["a", "b", "c"].map(str::to_owned).to_vec() }
}

#[test]
fn trained_norms_are_left_out_with_a_warning_or_written_with_another() {
    let model = adapted(base(&Device::flex()), &config(Method::Houlsby.plan(8)));
    let written = tempfile::tempdir().unwrap();
    let write = |norms| {
        adapter_hub::write_directory(written.path(), &model, "mine", &three_labels(), norms)
    };
    assert!(write(false).unwrap()[0].contains("left out"));
    let read = |directory: &Path| read_hub(directory).unwrap().model.task.config().plan.tuned;
    assert_eq!(read(written.path()), Tuned::Nothing);
    assert!(write(true).unwrap()[0].contains("overwrites those of the base"));
    assert_eq!(read(written.path()), Tuned::LayerNorms);
}

#[test]
fn what_the_formats_have_no_place_for_is_refused() {
    let refused = |change: &dyn Fn(&mut burn_adapters::TaskAdapterConfig), what: &str| {
        let mut config = config(Method::Houlsby.plan(8));
        change(&mut config);
        let model = adapted(base(&Device::flex()), &config);
        let written = tempfile::tempdir().unwrap();
        let target = written.path().join("inside");
        let error = adapter_hub::write_directory(&target, &model, "mine", &three_labels(), true);
        let said = error.unwrap_err().to_string();
        assert!(said.contains(what), "{said}");
        assert!(!target.exists());
        let error = peft::write_directory(&target, &model, &three_labels(), "tiny");
        assert!(error.unwrap_err().to_string().starts_with("PEFT has no place for"));
    };
    refused(&|config| config.pooling = Pooling::Mean, "the mean over the tokens");
    refused(&|config| config.plan.bottleneck.as_mut().unwrap().depth = 2, "more than one layer");
    refused(&|config| config.plan = Method::Full.plan(1), "inserts nothing");
}

/// A directory with one text of its settings replaced by another.
fn check_settings(name: &str, from: &str, to: &str, sentence: &str) {
    let directory = copy(&path("adapters").join(name));
    let file = directory.path().join("adapter_config.json");
    let settings = std::fs::read_to_string(&file).unwrap();
    assert!(settings.contains(from), "{settings}");
    std::fs::write(&file, settings.replace(from, to)).unwrap();
    let said = read_hub(directory.path()).unwrap_err().to_string();
    assert!(said.contains(sentence), "{said}");
}

#[test]
fn settings_that_cannot_be_honored_are_named() {
    let check =
        |from: &str, to: &str, sentence: &str| check_settings("houlsby", from, to, sentence);
    check("\"stochastic_depth\": 0.0", "\"stochastic_depth\": 0.1", "`stochastic_depth` is 0.1");
    check("\"swish\"", "\"leakyrelu\"", "`non_linearity` is \"leakyrelu\", expected relu");
    check("\"use_gating\"", "\"use_magic\": 7, \"use_gating\"", "`use_magic` is 7");
    check("\"reduction_factor\": 4", "\"reduction_factor\": 1e-9", "ask for a size of");
    check("\"reduction_factor\": 4", "\"reduction_factor\": 2", "expected [16, 32]");
    check("\"hidden_size\": 32", "\"hidden_size\": 33", "`hidden_size` is 33, expected 32");
    check("\"name\": \"houlsby\"", "\"name\": \"../../houlsby\"", "missing");
    check_settings("lora", "\"alpha\": 16", "\"alpha\": \"x\"", "`alpha` is \"x\"");
}

#[test]
fn old_files_mean_what_they_meant() {
    let directory = copy(&path("adapters/lora"));
    let file = directory.path().join("adapter_config.json");
    let settings = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, settings.replace("adapters.1.3.0", "adapters.1.0.1")).unwrap();
    let plan = read_hub(directory.path()).unwrap().model.task.config().plan.clone();
    assert!((plan.low_rank.unwrap().alpha - 4.0).abs() < 1e-9);

    let directory = copy(&path("adapters/houlsby_gelu_m8"));
    let file = directory.path().join("adapter_config.json");
    let settings = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, settings.replace("\"version\"", "\"model_name\"")).unwrap();
    let plan = read_hub(directory.path()).unwrap().model.task.config().plan.clone();
    assert_eq!(plan.bottleneck.unwrap().activation, burn_adapters::Activation::GeluNew);
}

#[test]
fn a_pickle_that_wants_to_run_something_runs_nothing() {
    let directory = copy(&path("adapters/houlsby"));
    std::fs::remove_file(directory.path().join("adapter.safetensors")).unwrap();
    let witness = directory.path().join("it-ran");
    let hostile = format!("cos\nsystem\n(S'touch {}'\ntR.", witness.display());
    std::fs::write(directory.path().join("pytorch_adapter.bin"), hostile).unwrap();
    let said = read_hub(directory.path()).unwrap_err().to_string();
    assert!(said.contains("cannot be read as a file of tensors"), "{said}");
    assert!(!witness.exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn damage_is_an_error_or_harmless_and_never_a_panic(
        file in 0..3_usize,
        cut in proptest::bool::ANY,
        place in 0.0..1.0_f64,
        bits in 1..=255_u8,
    ) {
        let (name, file) = [
            ("houlsby", "adapter_config.json"),
            ("houlsby", "adapter.safetensors"),
            ("houlsby_static_legacy_names", "pytorch_adapter.bin"),
        ][file];
        let directory = copy(&path("adapters").join(name));
        let file = directory.path().join(file);
        let mut bytes = std::fs::read(&file).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place inside")]
        let place = (place * bytes.len() as f64) as usize;
        if cut {
            bytes.truncate(place);
        } else {
            bytes[place] ^= bits;
        }
        std::fs::write(&file, bytes).unwrap();
        if let Err(error) = read_hub(directory.path()) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
