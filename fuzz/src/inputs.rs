//! The inputs of a run: files of the corpus, then the seeds, then damaged seeds.

use std::io::Read;
use std::path::{Path, PathBuf};

use arbitrary::{Arbitrary, Unstructured};
use flate2::read::GzDecoder;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::edit::Edit;

/// Maximum number of edits of an input.
const EDITS: usize = 5;
/// Random bytes of an edit; no edit needs more.
const EDIT_BYTES: usize = 16;

/// Inputs by index. Each is a function of the seed of the run and of its index alone.
pub(crate) struct Inputs<'a> {
    corpus: Vec<Vec<u8>>,
    seeds: &'a [Vec<u8>],
    random: ChaCha8Rng,
}

impl<'a> Inputs<'a> {
    pub(crate) fn new(name: &str, seeds: &'a [Vec<u8>], seed: u64) -> Self {
        Self { corpus: corpus(name), seeds, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Number of inputs at the start that are files as they are.
    pub(crate) fn undamaged(&self) -> usize {
        self.corpus.len() + self.seeds.len()
    }

    /// Whether an input is a seed, unmodified.
    pub(crate) fn is_seed(&self, index: usize) -> bool {
        (self.corpus.len()..self.undamaged()).contains(&index)
    }

    /// Writes an input into `bytes`, in place of what they hold.
    pub(crate) fn generate(&self, index: usize, bytes: &mut Vec<u8>) {
        match index.checked_sub(self.corpus.len()) {
            None => bytes.clone_from(&self.corpus[index]),
            Some(seed) if seed < self.seeds.len() => bytes.clone_from(&self.seeds[seed]),
            Some(number) => self.damage(number as u64, bytes),
        }
    }

    /// A seed after some edits.
    fn damage(&self, number: u64, bytes: &mut Vec<u8>) {
        let mut random = self.random.clone();
        random.set_stream(number);
        let mut choices = [0; EDIT_BYTES * (EDITS + 1)];
        random.fill_bytes(&mut choices);
        let mut choices = Unstructured::new(&choices);
        // `choose` and `int_in_range` of a non-empty range do not fail, even without bytes.
        bytes.clone_from(choices.choose(self.seeds).unwrap_or(&self.seeds[0]));
        for _ in 0..choices.int_in_range(1..=EDITS).unwrap_or(1) {
            if let Ok(edit) = Edit::arbitrary(&mut choices) {
                edit.apply(bytes, self.seeds);
            }
        }
    }
}

/// The directory of files that broke a reader in the past; those that repeat a piece up to the maximum length are
/// compressed.
fn corpus_directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(corpus_directory(name)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| file(path).expect("a file of the corpus is readable")).collect()
}

fn file(path: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = std::fs::read(path)?;
    if path.extension().is_none_or(|extension| extension != "gz") {
        return Ok(bytes);
    }
    let mut content = Vec::new();
    GzDecoder::new(bytes.as_slice()).read_to_end(&mut content)?;
    Ok(content)
}
