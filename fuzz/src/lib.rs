//! Feeds damaged files to a reader: no input may make it panic, hang, or allocate beyond a stated bound.
//!
//! An input is a real file (a seed) after a few random edits: bits, bytes, lengths and numbers are changed, pieces are
//! removed, repeated, or taken from another seed. `cargo xtask fuzz` runs every harness of `tests/readers.rs` for a time
//! or a number of inputs; as ordinary tests they run a few thousand, always the same ones.
//!
//! Environment: `FUZZ_INPUTS`, `FUZZ_SECONDS` (whichever ends first) and `FUZZ_SEED`.
//! Files that once broke a reader are kept in `corpus/READER/` and are read first, as they are.

mod edit;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, RefUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use peak_alloc::PeakAlloc;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use edit::Edit;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Inputs of a harness when neither `FUZZ_INPUTS` nor `FUZZ_SECONDS` says how many.
const DEFAULT_INPUTS: usize = 2_000;
/// An input that takes a reader longer than this counts as a hang.
const HANG: Duration = Duration::from_secs(20);

/// A reader, real files that it reads, and how much memory it may take for a damaged one.
#[derive(Debug, Clone, Copy)]
pub struct Harness<'a> {
    /// Name of the reader; its corpus is `corpus/NAME`.
    pub name: &'a str,
    /// Contents of real files; small ones, since an edit in a large file seldom hits what matters.
    pub seeds: &'a [Vec<u8>],
    /// Bytes that may be allocated at any moment, beyond what was allocated before the input.
    pub memory: usize,
}

/// Edits of an input, at most.
const EDITS: usize = 5;

impl Harness<'_> {
    /// Runs `read` on every file of the corpus, on every seed, and on damaged seeds. `read` gets the bytes and returns
    /// whether they were accepted; what it does with them must not depend on earlier inputs.
    ///
    /// # Panics
    /// If `read` panics, hangs, or takes more memory than stated; the input is then written into the system's
    /// directory of temporary files, and the message says where.
    pub fn run(&self, read: impl Fn(&[u8]) -> bool + RefUnwindSafe) {
        // `cargo test` runs harnesses as threads of one process, whose allocations cannot be told apart.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!self.seeds.is_empty(), "the harness {} has no seed", self.name);

        let accepted = Cell::new(0_usize);
        let count = Cell::new(0_usize);
        let (peak, slowest) = (Cell::new(0_usize), Cell::new(Duration::ZERO));
        let check = |bytes: &[u8]| {
            let before = ALLOCATOR.current_usage();
            ALLOCATOR.reset_peak_usage();
            let started = Instant::now();
            let is_accepted = std::panic::catch_unwind(AssertUnwindSafe(|| read(bytes)))
                .unwrap_or_else(|_| self.fail(bytes, "it panicked"));
            let took = started.elapsed();
            let used = ALLOCATOR.peak_usage().saturating_sub(before);
            if used > self.memory {
                self.fail(
                    bytes,
                    &format!("it allocated {used} bytes, at most {} allowed", self.memory),
                );
            }
            if took > HANG {
                self.fail(bytes, &format!("it took {took:?}"));
            }
            accepted.set(accepted.get() + usize::from(is_accepted));
            count.set(count.get() + 1);
            peak.set(peak.get().max(used));
            slowest.set(slowest.get().max(took));
        };

        for bytes in corpus(self.name) {
            check(&bytes);
        }
        for seed in self.seeds {
            let (before, ()) = (accepted.get(), check(seed));
            assert!(accepted.get() > before, "{}: a seed is refused as it is", self.name);
        }
        let seconds = number("FUZZ_SECONDS");
        let inputs = number("FUZZ_INPUTS").unwrap_or(if seconds.is_some() {
            usize::MAX
        } else {
            DEFAULT_INPUTS
        });
        let limit = seconds.map(|seconds| Duration::from_secs(seconds as u64));
        let mut random = ChaCha8Rng::seed_from_u64(number("FUZZ_SEED").unwrap_or(1) as u64);
        let started = Instant::now();
        for _ in 0..inputs {
            if limit.is_some_and(|limit| started.elapsed() >= limit) {
                break;
            }
            let bytes = self.damaged(&mut random);
            check(&bytes);
        }
        report(self.name, count.get(), accepted.get(), peak.get(), slowest.get());
    }

    /// A seed after some edits.
    fn damaged(&self, random: &mut ChaCha8Rng) -> Vec<u8> {
        let mut numbers = [0; 16 * EDITS];
        random.fill_bytes(&mut numbers);
        let mut numbers = Unstructured::new(&numbers);
        let mut bytes = numbers.choose(self.seeds).cloned().unwrap_or_default();
        let edits = numbers.int_in_range(1..=EDITS).unwrap_or(1);
        for _ in 0..edits {
            // Sixteen bytes are enough for any edit.
            if let Ok(edit) = Edit::arbitrary(&mut numbers) {
                edit.apply(&mut bytes, self.seeds);
            }
        }
        bytes
    }

    fn fail(&self, bytes: &[u8], what: &str) -> ! {
        let path = std::env::temp_dir().join(format!("fuzz-{}-{}", self.name, std::process::id()));
        let kept = match std::fs::write(&path, bytes) {
            Ok(()) => format!("the input is in {}", path.display()),
            Err(error) => format!("the input could not be kept: {error}"),
        };
        panic!("{}: {what}; {kept}", self.name);
    }
}

#[expect(clippy::print_stderr, reason = "the figures are the result of a long run")]
fn report(name: &str, inputs: usize, accepted: usize, peak: usize, slowest: Duration) {
    eprintln!(
        "fuzz {name}: {inputs} inputs, {accepted} accepted, at most {:.1} MiB and {:.0} ms each",
        peak as f64 / f64::from(1 << 20),
        1e3 * slowest.as_secs_f64()
    );
}

fn number(variable: &str) -> Option<usize> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is `{text}`, expected a number")))
}

/// The directory of files that once broke a reader.
fn corpus_directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(corpus_directory(name)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("a file of the corpus is readable"))
        .collect()
}
