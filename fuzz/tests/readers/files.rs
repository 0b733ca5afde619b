//! Small files of bases and adapters, and readers that take a path.

use std::panic::{AssertUnwindSafe, RefUnwindSafe};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use burn_adapters::file::native::{self, AdapterMetadata, BaseIdentity, Calibration};
use burn_adapters::{AdaptedBert, HeadKind, Method, TaskAdapterConfig};
use burn_bert::checkpoint::hugging_face;
use burn_bert::{Bert, BertConfig};
use fuzz::Harness;
use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

/// Memory for a file of JSON, of 1 MiB at most. Nested lists take most: the 2 bytes of `[]` are a list with room for four
/// values. To that come the bytes themselves, and what is made of them.
pub(crate) const JSON: usize = (4 * size_of::<serde_json::Value>() / 2 + 16) << 20;
/// Memory for a file of tensors: its header as above, its numbers up to 16 times their bytes.
pub(crate) const TENSORS: usize = 64 << 20;

pub(crate) const FINGERPRINT: &str = "5f0c";

pub(crate) fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A file of the workspace.
pub(crate) fn fixture(path: &str) -> Vec<u8> {
    let path = workspace(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file with this name from each directory of adapters of a package.
pub(crate) fn adapter_fixtures(package: &str, file: &str) -> Vec<Vec<u8>> {
    let directories = workspace("burn-adapters/tests/fixtures").join(package);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directories)
        .unwrap()
        .map(|entry| entry.unwrap().path().join(file))
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// A directory with a copy of the files of a fixture of burn-adapters.
pub(crate) fn copied(fixture: &str) -> TempDir {
    let directory = TempDir::new().unwrap();
    for entry in std::fs::read_dir(workspace("burn-adapters/tests/fixtures").join(fixture)).unwrap()
    {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
    }
    directory
}

/// A directory with these files.
pub(crate) fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (file, bytes) in files {
        std::fs::write(directory.path().join(file), bytes).unwrap();
    }
    directory
}

/// Writes every input to `path` before it is read.
pub(crate) fn run_with_file(
    harness: &Harness,
    path: &Path,
    read: impl Fn() -> bool + RefUnwindSafe,
) {
    harness.run(|bytes| {
        std::fs::write(path, bytes).unwrap();
        read()
    });
}

/// The smallest BERT.
pub(crate) fn smallest_bert() -> BertConfig {
    BertConfig {
        vocab_size: 2,
        hidden_size: 2,
        num_hidden_layers: 1,
        num_attention_heads: 1,
        intermediate_size: 2,
        max_position_embeddings: 2,
        ..BertConfig::bert_base()
    }
}

/// The weights of the smallest BERT as safetensors.
pub(crate) fn smallest_weights() -> Vec<u8> {
    let tensors = hugging_face::tensors(&smallest_bert().init(&Device::flex()));
    let views = tensors.iter().map(|(name, data)| {
        let view = TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes()).unwrap();
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).unwrap()
}

/// A base in a directory of fixtures. No reader changes its tensors.
pub(crate) fn base(path: &str) -> AssertUnwindSafe<Bert> {
    AssertUnwindSafe(burn_bert::load(&workspace(path), &Device::flex()).unwrap())
}

/// The base of burn-adapters' fixtures.
pub(crate) fn adapter_base() -> AssertUnwindSafe<Bert> {
    base("burn-adapters/tests/fixtures/base")
}

fn model(method: Method, bert: &Bert) -> AdaptedBert {
    let config = TaskAdapterConfig::new(method.plan(1), HeadKind::unnamed(2)).with_seed(1);
    AdaptedBert::new(bert.clone(), config.init(bert).unwrap()).unwrap()
}

/// An adapter file as it is written now.
pub(crate) fn adapter_file(method: Method, bert: &Bert, path: &Path) -> Vec<u8> {
    let metadata = AdapterMetadata {
        method: method.to_string(),
        task: "colors".to_owned(),
        data: None,
        input: None,
        head: HeadKind::Classification { labels: vec!["red".to_owned(), "blue".to_owned()] },
        score: None,
        calibration: Calibration::default(),
        max_length: 16,
        base: BaseIdentity::new("tiny", FINGERPRINT),
    };
    native::save(path, &model(method, bert), &metadata).unwrap();
    std::fs::read(path).unwrap()
}
