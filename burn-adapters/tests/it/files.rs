//! Adapter files: exact both ways, and clear about everything that is wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use burn_adapters::file::native::{
    AdapterMetadata, BaseIdentity, Calibration, FORMAT_VERSION, Score, check, load, read_header,
    save,
};
use burn_adapters::{
    AdaptedBert, AdapterError, AdapterPlan, FileError, HeadError, HeadKind, Method, Pooling,
    TaskAdapterConfig,
};
use burn_bert::{Bert, Encoder, Site};
use proptest::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tempfile::TempDir;

use crate::fixtures::{adapted, all_tensors, base, config, with_tensors};
use crate::samples::{plans, some_input};

pub(crate) const FINGERPRINT: &str = "5f0c";

pub(crate) fn metadata(method: Method) -> AdapterMetadata {
    AdapterMetadata {
        method: method.to_string(),
        task: "colors".to_owned(),
        data: None,
        input: None,
        head: head(),
        score: Some(Score { metric: "accuracy".to_owned(), value: 0.875 }),
        calibration: Calibration::default(),
        max_length: 128,
        base: BaseIdentity::new("tiny", FINGERPRINT),
    }
}

fn trained_model(method: Method) -> AdaptedBert {
    trained_with(method.plan(4))
}

fn head() -> HeadKind {
    HeadKind::Classification { labels: ["red", "green", "blue"].map(str::to_owned).to_vec() }
}

/// A model whose every trained number differs from what `init` makes.
fn trained_with(plan: AdapterPlan) -> AdaptedBert {
    let config = TaskAdapterConfig { head: head(), head_dropout: 0.1, ..config(plan) };
    let model = adapted(base(&Device::flex()), &config);
    let tensors = all_tensors(&model).into_iter().filter(|(path, _)| model.is_saved(path));
    let tensors = tensors.map(|(path, data)| {
        let shape = data.shape().clone();
        let values: Vec<f32> = data
            .iter::<f32>()
            .enumerate()
            .map(|(i, x)| x * 1.01 + (i as f32).sin() * 1e-2)
            .collect();
        (path, TensorData::new(values, shape))
    });
    let tensors = tensors.collect();
    with_tensors(model, tensors)
}

fn saved(method: Method) -> (TempDir, PathBuf, AdaptedBert) {
    saved_with(method, method.plan(4))
}

fn saved_with(method: Method, plan: AdapterPlan) -> (TempDir, PathBuf, AdaptedBert) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("colors.safetensors");
    let model = trained_with(plan);
    save(&path, &model, &metadata(method)).unwrap();
    (directory, path, model)
}

fn refused(path: &Path) -> AdapterError {
    load(path, base(&Device::flex()), FINGERPRINT).unwrap_err()
}

#[test]
fn a_loaded_adapter_is_the_saved_one_to_the_bit() {
    for (name, plan) in plans(4) {
        let (_directory, path, model) = saved_with(Method::Houlsby, plan);
        let (loaded, found) = load(&path, base(&Device::flex()), FINGERPRINT).unwrap();
        assert_eq!(found, metadata(Method::Houlsby));
        assert_eq!(loaded.task.config(), model.task.config());
        assert_eq!(all_tensors(&loaded), all_tensors(&model), "{name}");
        let input = some_input(&Device::flex());
        assert_eq!(loaded.forward(&input).into_data(), model.forward(&input).into_data(), "{name}");
    }
}

#[test]
fn a_file_holds_what_trained_and_nothing_else() {
    for (name, plan) in plans(4) {
        let (_directory, path, model) = saved_with(Method::Houlsby, plan);
        let names: Vec<_> = read_header(&path).unwrap().tensors.into_keys().collect();
        let kept = all_tensors(&model).into_keys().filter(|path| model.is_saved(path));
        let mut expected: Vec<_> =
            kept.map(|path| path.trim_start_matches("task.").to_owned()).collect();
        expected.sort();
        assert_eq!(names, expected, "{name}");
    }
}

#[test]
fn a_file_from_before_the_extensions_loads_and_is_described_alike() {
    // Written by commit d00b6e7, as `saved(Method::Houlsby)`.
    let old = crate::fixtures::path("native/before_extensions.safetensors");
    let (loaded, found) = load(&old, base(&Device::flex()), FINGERPRINT).unwrap();
    assert_eq!(found, metadata(Method::Houlsby));
    assert_eq!(loaded.task.config().plan, Method::Houlsby.plan(4));
    assert_eq!(all_tensors(&loaded), all_tensors(&trained_model(Method::Houlsby)));

    let directory = TempDir::new().unwrap();
    let new = directory.path().join("again.safetensors");
    save(&new, &loaded, &found).unwrap();
    let without_logits = |path: &Path| {
        let mut header = read_header(path).unwrap();
        // The last bits of the logits are the machine's.
        header.probe.logits.clear();
        header
    };
    let (mut header, old) = (without_logits(&new), without_logits(&old));
    assert!(header.sha256.take().is_some() && old.sha256.is_none());
    assert_eq!((header.format_version, old.format_version), (FORMAT_VERSION, 1));
    header.format_version = 1;
    assert_eq!(serde_json::to_string(&header).unwrap(), serde_json::to_string(&old).unwrap());
}

#[test]
fn the_same_model_makes_the_same_bytes() {
    let (_directory, path, model) = saved(Method::Houlsby);
    let again = path.with_file_name("again.safetensors");
    save(&again, &model, &metadata(Method::Houlsby)).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), std::fs::read(again).unwrap());
}

#[test]
fn saving_replaces_a_file_and_leaves_nothing_beside_it() {
    let (directory, path, model) = saved(Method::Houlsby);
    let changed = AdapterMetadata { task: "other".to_owned(), ..metadata(Method::Houlsby) };
    save(&path, &model, &changed).unwrap();
    assert_eq!(read_header(&path).unwrap().metadata.task, "other");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_header_tells_everything_without_a_base() {
    let (_directory, path, model) = saved(Method::Houlsby);
    let mut header = read_header(&path).unwrap();
    assert_eq!(header.metadata, metadata(Method::Houlsby));
    assert_eq!(&header.config, model.task.config());
    assert_eq!((header.format_version, header.d_model, header.n_layers), (FORMAT_VERSION, 32, 2));
    // The last bits of numbers are the machine's.
    header.probe.logits.clear();
    assert!(header.sha256.take().is_some());
    insta::assert_json_snapshot!(header);
}

#[test]
fn a_model_on_an_autodiff_device_saves_the_same_bytes() {
    let (_directory, path, model) = saved(Method::Houlsby);
    let again = path.with_file_name("again.safetensors");
    save(&again, &model.train(), &metadata(Method::Houlsby)).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), std::fs::read(again).unwrap());
}

#[test]
fn an_adapter_loaded_for_training_asks_for_gradients() {
    let (_directory, path, _) = saved(Method::Houlsby);
    let (loaded, _) = load(&path, base(&Device::flex().autodiff()), FINGERPRINT).unwrap();
    assert!(loaded.task.head.linear.weight.val().is_require_grad());
    assert!(!loaded.bert.norm(Site::Embeddings).unwrap().gamma.val().is_require_grad());
}

#[test]
fn a_regression_and_other_poolings_survive() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("score.safetensors");
    for pooling in Pooling::ALL {
        let config = TaskAdapterConfig {
            pooling,
            head: HeadKind::Regression,
            ..config(Method::Houlsby.plan(4))
        };
        let model = adapted(base(&Device::flex()), &config);
        save(
            &path,
            &model,
            &AdapterMetadata { head: HeadKind::Regression, ..metadata(Method::Houlsby) },
        )
        .unwrap();
        let (loaded, metadata) = load(&path, base(&Device::flex()), FINGERPRINT).unwrap();
        assert_eq!((loaded.task.config(), metadata.head), (&config, HeadKind::Regression));
    }
}

#[test]
fn metadata_for_another_head_is_refused() {
    let directory = TempDir::new().unwrap();
    let metadata = AdapterMetadata { head: HeadKind::Regression, ..metadata(Method::Houlsby) };
    let error =
        save(&directory.path().join("a"), &trained_model(Method::Houlsby), &metadata).unwrap_err();
    assert!(
        matches!(error, AdapterError::Head(HeadError::Outputs { described: 1, found: 3 })),
        "{error}"
    );
}

#[test]
fn what_is_not_finite_is_not_saved() {
    let (_directory, path, mut model) = saved(Method::Houlsby);
    let before = std::fs::read(&path).unwrap();
    let check = |model: &AdaptedBert, metadata: &AdapterMetadata, what: &str| {
        let error = save(&path, model, metadata).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{what} is NaN or infinite")), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    };
    let score = Some(Score { metric: "matthews".to_owned(), value: f64::NAN });
    check(&model, &AdapterMetadata { score, ..metadata(Method::Houlsby) }, "the score `matthews`");
    let weight = model.task.head.linear.weight.val();
    model.task.head.linear.weight = Param::from_tensor(weight.clone() * 1e38 * 1e4);
    check(&model, &metadata(Method::Houlsby), "the tensor head.linear.weight");
    // Finite, but not what comes of it: 32 products of about 3e38 in a sum.
    model.task.head.linear.weight = Param::from_tensor(weight.ones_like() * 3e38);
    model.bert.pooler_mut().unwrap().bias =
        Some(Param::from_tensor(Tensor::ones([32], &Device::flex()) * 9.0));
    check(&model, &metadata(Method::Houlsby), "a logit of the probe");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("no").join("where.safetensors");
    let error =
        save(&path, &trained_model(Method::Houlsby), &metadata(Method::Houlsby)).unwrap_err();
    assert!(
        matches!(error, AdapterError::File(FileError::Write { .. }))
            && error.to_string().contains("where.safetensors"),
        "{error}"
    );
    let error = refused(&path);
    assert!(matches!(error, AdapterError::File(FileError::Read { .. })), "{error}");
}

#[test]
fn another_base_is_refused() {
    let (_directory, path, _) = saved(Method::Houlsby);
    let error = load(&path, base(&Device::flex()), "beef").unwrap_err().to_string();
    assert!(
        error.contains("the base `tiny` with fingerprint 5f0c, but this base has fingerprint beef"),
        "{error}"
    );
}

/// A base with other word embeddings.
fn with_words(bert: Bert, change: impl FnOnce(Tensor<2>) -> Tensor<2>) -> Bert {
    let name = "embeddings.word_embeddings.weight";
    let words = Tensor::from_data(all_tensors(&bert)[name].clone(), &Device::flex());
    with_tensors(bert, [(name.to_owned(), change(words).into_data())].into())
}

#[test]
fn a_base_that_was_changed_does_not_pass_the_probe() {
    let (_directory, path, _) = saved(Method::Houlsby);
    let bert = with_words(base(&Device::flex()), |words| words * 1.1);
    let error = load(&path, bert, FINGERPRINT).unwrap_err();
    assert!(matches!(error, AdapterError::File(FileError::Probe { .. })), "{error}");
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let (_directory, path, _) = saved(Method::Houlsby);
    let whole = std::fs::read(&path).unwrap();
    for keep in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..keep]).unwrap();
        for error in [refused(&path), read_header(&path).unwrap_err()] {
            assert!(
                matches!(error, AdapterError::File(FileError::NotSafetensors { .. })),
                "{keep} bytes: {error}"
            );
        }
    }
}

#[test]
fn a_header_longer_than_the_file_is_refused_before_it_is_read() {
    let (_directory, path, _) = saved(Method::Houlsby);
    for length in [u64::MAX, 1 << 40] {
        std::fs::write(&path, [&length.to_le_bytes()[..], b"{}"].concat()).unwrap();
        for error in [refused(&path), read_header(&path).unwrap_err()] {
            assert!(
                matches!(error, AdapterError::File(FileError::NotSafetensors { .. })),
                "{error}"
            );
        }
    }
}

#[test]
fn a_safetensors_file_of_somebody_else_is_refused() {
    let error = refused(&crate::fixtures::path("base/model.safetensors"));
    assert!(matches!(error, AdapterError::File(FileError::NotAnAdapter { .. })), "{error}");
}

/// Rewrites a saved file: its JSON header and its tensors. The result is of version 1, whose files have no checksums, so
/// that the other checks are reached.
fn rewrite(
    path: &Path,
    change: impl FnOnce(&mut serde_json::Value, &mut BTreeMap<String, (Vec<usize>, Vec<u8>)>),
) {
    let bytes = std::fs::read(path).unwrap();
    let (_, table) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut header: serde_json::Value =
        serde_json::from_str(&table.metadata().as_ref().unwrap()["burn_adapters"]).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, (view.shape().to_vec(), view.data().to_vec())))
        .collect();
    header.as_object_mut().unwrap().remove("sha256").unwrap();
    header["format_version"] = 1.into();
    change(&mut header, &mut tensors);
    let views = tensors.iter().map(|(name, (shape, data))| {
        (name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap())
    });
    let entries = Some([("burn_adapters".to_owned(), header.to_string())].into());
    std::fs::write(path, safetensors::serialize(views, entries).unwrap()).unwrap();
}

#[test]
fn another_format_version_is_refused_whatever_else_it_says() {
    let (_directory, path, _) = saved(Method::Houlsby);
    rewrite(&path, |header, _| *header = serde_json::json!({ "format_version": 3, "news": true }));
    for error in [refused(&path), read_header(&path).unwrap_err()] {
        assert!(error.to_string().contains("format version 3, expected 2 or lower"), "{error}");
    }
}

#[test]
fn a_header_with_something_unknown_is_refused() {
    let (_directory, path, _) = saved(Method::Houlsby);
    rewrite(&path, |header, _| header["config"]["plan"]["low_rank"] = 4.into());
    assert!(matches!(refused(&path), AdapterError::File(FileError::Header { .. })));
}

#[test]
fn labels_that_do_not_fit_the_head_are_refused() {
    let (_directory, path, _) = saved(Method::Houlsby);
    rewrite(&path, |header, _| {
        header["metadata"]["head"]["classification"]["labels"] = serde_json::json!(["red"]);
    });
    assert!(matches!(
        refused(&path),
        AdapterError::Head(HeadError::Outputs { described: 1, found: 3 })
    ));
}

#[test]
fn every_wrong_tensor_is_named() {
    let (_directory, path, _) = saved(Method::Houlsby);
    rewrite(&path, |_, tensors| {
        tensors.remove("head.linear.bias").unwrap();
        tensors.remove("embeddings_norm.beta").unwrap();
        tensors.insert("layers.9.norm".to_owned(), (vec![1], vec![0; 4]));
        let weight = tensors.get_mut("layers.0.attention.bottleneck.down.weight").unwrap();
        weight.0.reverse();
    });
    let error = refused(&path).to_string();
    let list = error.split_once(':').unwrap().1;
    assert_eq!(
        list,
        "\n  missing: embeddings_norm.beta, head.linear.bias\n  left over: layers.9.norm\n  wrong: \
         layers.0.attention.bottleneck.down.weight is F32 [4, 32], expected F32 [32, 4]"
    );
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    let (_directory, path, _) = saved(Method::Houlsby);
    rewrite(&path, |_, tensors| {
        tensors.get_mut("head.linear.bias").unwrap().1[..4]
            .copy_from_slice(&f32::NAN.to_le_bytes());
    });
    let error = refused(&path).to_string();
    assert!(error.ends_with("holds NaN or infinite weights in head.linear.bias"), "{error}");
}

#[test]
fn a_changed_weight_does_not_pass_the_probe() {
    let (_directory, path, _) = saved(Method::Houlsby);
    rewrite(&path, |_, tensors| {
        tensors.get_mut("head.linear.bias").unwrap().1[..4].copy_from_slice(&9.0_f32.to_le_bytes());
    });
    assert!(matches!(refused(&path), AdapterError::File(FileError::Probe { .. })));
}

#[test]
fn a_probe_beyond_the_vocabulary_is_refused_and_not_run() {
    let (_directory, path, _) = saved(Method::Houlsby);
    rewrite(&path, |header, _| header["probe"]["input_ids"][0][0] = 1_000_000.into());
    assert!(matches!(refused(&path), AdapterError::File(FileError::Probe { .. })));
}

#[test]
fn a_plan_the_base_cannot_carry_is_refused_without_building_it() {
    let (_directory, path, _) = saved(Method::TopLayers(1));
    rewrite(&path, |header, _| {
        header["config"]["plan"]["tuned"] = serde_json::json!({ "top-layers": 9 });
    });
    assert!(matches!(refused(&path), AdapterError::File(FileError::Unbuildable { .. })));

    let (_directory, path, _) = saved(Method::Houlsby);
    rewrite(&path, |header, _| {
        header["config"]["plan"]["bottleneck"]["depth"] = (1_u64 << 33).into();
    });
    assert!(matches!(refused(&path), AdapterError::File(FileError::Unbuildable { .. })));

    // Building this one would take a terabyte a layer.
    let (_directory, path, _) = saved(Method::Houlsby);
    rewrite(&path, |header, _| {
        header["config"]["plan"]["bottleneck"]["size"] = (1_u64 << 33).into();
    });
    assert!(matches!(refused(&path), AdapterError::File(FileError::Tensors { .. })));
}

#[test]
fn every_byte_that_is_changed_is_noticed() {
    let (_directory, path, _) = saved(Method::Ia3);
    let whole = std::fs::read(&path).unwrap();
    let header_len = u64::from_le_bytes(whole[..8].try_into().unwrap());
    let tensors = 8 + usize::try_from(header_len).unwrap();
    let bert = base(&Device::flex());
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        // A neighboring letter or digit, another case, the highest bit, or everything.
        bytes[place] ^= [1, 3, b' ', 0x80, 0xff][place % 5];
        std::fs::write(&path, &bytes).unwrap();
        assert!(check(&path).is_err(), "byte {place}");
        if place % 17 == 0 {
            assert_eq!(read_header(&path).is_err(), place < tensors, "byte {place}");
            assert!(load(&path, bert.clone(), FINGERPRINT).is_err(), "byte {place}");
        }
    }
    std::fs::write(&path, &whole).unwrap();
    check(&path).unwrap();
}

#[test]
fn damage_is_named() {
    let (_directory, path, _) = saved(Method::Lora);
    let whole = std::fs::read(&path).unwrap();
    let flipped = |place: usize| {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        refused(&path).to_string()
    };
    let said = flipped(whole.len() - 3);
    assert!(said.contains("is damaged: the SHA-256 of its tensors is not the one"), "{said}");
    let task = whole.windows(6).position(|window| window == b"colors").unwrap();
    let said = flipped(task);
    assert!(said.contains("is damaged: the SHA-256 of its header is not the one"), "{said}");
}

#[test]
fn a_file_cannot_pass_for_one_from_before_checksums() {
    let (_directory, path, _) = saved(Method::Lora);
    let text = |bytes: &[u8], from: &str, to: &str| {
        let place = bytes.windows(from.len()).position(|window| window == from.as_bytes());
        let mut bytes = bytes.to_vec();
        let place = place.unwrap();
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let whole = std::fs::read(&path).unwrap();
    let version = text(&whole, r#"format_version\":2"#, r#"format_version\":1"#);
    let without = text(&whole, r#"\"sha256\""#, r#"\"sha257\""#);
    for bytes in [version, without] {
        std::fs::write(&path, bytes).unwrap();
        let error = refused(&path);
        assert!(
            matches!(error, AdapterError::File(FileError::Damaged { part: "header", .. })),
            "{error}"
        );
    }
}

#[test]
fn labels_that_cannot_be_known_by_name_are_refused() {
    let (_directory, path, model) = saved(Method::Lora);
    let before = std::fs::read(&path).unwrap();
    let with = |labels: [&str; 3]| {
        let labels = labels.map(str::to_owned).to_vec();
        let head = HeadKind::Classification { labels };
        save(&path, &model, &AdapterMetadata { head, ..metadata(Method::Lora) }).unwrap_err()
    };
    let said = with(["red", "green", "red"]).to_string();
    assert_eq!(said, "the label `red` is there twice; every class needs a name of its own");
    assert!(matches!(with(["red", "", "blue"]), AdapterError::Head(HeadError::EmptyLabel)));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    rewrite(&path, |header, _| {
        header["metadata"]["head"]["classification"]["labels"] =
            serde_json::json!(["red", "green", "red"]);
    });
    assert!(matches!(refused(&path), AdapterError::Head(HeadError::DuplicateLabel { .. })));
}

#[test]
fn a_base_that_gives_nan_for_one_text_does_not_pass_the_probe() {
    let (_directory, path, _) = saved(Method::Lora);
    let header = read_header(&path).unwrap();
    // A word of the first text alone: the second text, which comes after it, is unchanged.
    let (first, second) = (&header.probe.input_ids[0], &header.probe.input_ids[1]);
    let only = first.iter().find(|id| !second.contains(id)).unwrap();
    let bert = with_words(base(&Device::flex()), |words| {
        let [rows, width] = words.dims();
        let bad: Vec<f32> = (0..rows * width)
            .map(|index| if (index / width) as u64 == *only { f32::NAN } else { 0.0 })
            .collect();
        words + Tensor::from_data(TensorData::new(bad, [rows, width]), &Device::flex())
    });
    let error = load(&path, bert, FINGERPRINT).unwrap_err();
    assert!(
        matches!(error, AdapterError::File(FileError::Probe { difference, .. }) if difference.is_nan()),
        "{error}"
    );
}

#[test]
fn another_tokenizer_is_refused_where_both_are_known() {
    let path = Path::new("colors.safetensors");
    let unknown = BaseIdentity::new("tiny", FINGERPRINT);
    unknown.check_tokenizer(path, Some("beef")).unwrap();
    let known = BaseIdentity { tokenizer: Some("5f0c".to_owned()), ..unknown };
    known.check_tokenizer(path, Some("5f0c")).unwrap();
    known.check_tokenizer(path, None).unwrap();
    let said = known.check_tokenizer(path, Some("beef")).unwrap_err().to_string();
    assert!(said.contains("colors.safetensors was trained with another tokenizer"), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn a_flipped_bit_is_an_error(position in 0.0..1.0_f64, bit in 0..8_u32) {
        let (_directory, path, _) = saved(Method::Lora);
        let mut bytes = std::fs::read(&path).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let index = (position * bytes.len() as f64) as usize;
        bytes[index] ^= 1 << bit;
        std::fs::write(&path, bytes).unwrap();
        prop_assert!(load(&path, base(&Device::flex()), FINGERPRINT).is_err());
        prop_assert!(check(&path).is_err());
    }
}
