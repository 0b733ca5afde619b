//! The base that the tests of the command line train on.

use std::path::Path;

/// Lays a tiny base into `directory/base`; the result is the whole words that it knows.
pub(crate) fn lay_tiny_base(directory: &Path) -> Vec<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let base = directory.join("base");
    std::fs::create_dir(&base).unwrap();
    for file in ["config.json", "model.safetensors"] {
        let fixture = crates.join("burn-adapters/tests/fixtures/base").join(file);
        std::fs::copy(fixture, base.join(file)).unwrap();
    }
    let vocabulary = crates.join("glue-data/tests/fixtures/vocab.txt");
    std::fs::copy(&vocabulary, base.join("vocab.txt")).unwrap();
    let words = std::fs::read_to_string(vocabulary).unwrap();
    let whole = |word: &&str| !word.starts_with('#') && !word.starts_with('[');
    words.lines().filter(whole).map(str::to_owned).collect()
}
