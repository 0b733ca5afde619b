//! Fuzzes file readers: no input may make a reader panic, hang, or allocate beyond a stated bound.
//!
//! An input is a real file (a seed) after a few random edits: bits, bytes, lengths and numbers are changed, pieces are
//! removed, repeated, or copied from another seed. `cargo xtask fuzz` runs the harnesses of `tests/readers` for a given
//! time or number of inputs; as ordinary tests they run a small, fixed number.
//!
//! Environment variables: `FUZZ_INPUTS` and `FUZZ_SECONDS` (whichever limit is reached first) and `FUZZ_SEED`.
//! Files that broke a reader in the past are kept in `corpus/READER/` and are read first, unmodified.

mod current;
mod edit;
mod inputs;

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, RefUnwindSafe};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;

use current::CurrentInput;
use inputs::Inputs;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Number of inputs of a harness if neither `FUZZ_INPUTS` nor `FUZZ_SECONDS` is set.
const DEFAULT_INPUTS: usize = 2_000;
/// A reader that takes longer than this for one input hangs.
const HANG: Duration = Duration::from_mins(1);
/// Inputs between two looks at the clock of `FUZZ_SECONDS`.
const CLOCK_INTERVAL: usize = 64;

/// A reader, real files that it accepts, and how much memory it may allocate for a damaged one.
#[derive(Debug, Clone, Copy)]
pub struct Harness<'a> {
    /// Name of the reader; its corpus is `corpus/NAME`.
    pub name: &'a str,
    /// Contents of real files. Small ones: an edit of a large file seldom changes a part that matters.
    pub seeds: &'a [Vec<u8>],
    /// Maximum number of bytes that may be allocated at any moment, beyond what was allocated before the input.
    pub memory: usize,
}

/// What a run measured.
#[derive(Debug, Default)]
struct Figures {
    inputs: usize,
    accepted: usize,
    peak: usize,
    slowest: Duration,
    /// Time in the reader.
    total: Duration,
}

thread_local! {
    /// Message and location of the last panic of this thread.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Harness<'_> {
    /// Calls `read` with every file of the corpus, with every seed, and with damaged seeds. `read` returns whether it
    /// accepted the bytes; its result must not depend on earlier inputs.
    ///
    /// # Panics
    /// If `read` panics or exceeds the memory bound, or if a seed is refused. The input is in the system's temporary
    /// directory, and the message contains its path. A hang ends the process in the same way. If the reader ends the
    /// process itself, as by a stack overflow, the path is in the line that was printed first.
    pub fn run(&self, read: impl Fn(&[u8]) -> bool + RefUnwindSafe) {
        // `cargo test` runs tests as threads of one process, which share the allocator's counters.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!self.seeds.is_empty(), "the harness {} has no seed", self.name);

        let current = CurrentInput::create(self.name)
            .unwrap_or_else(|error| panic!("{}: no file for the input: {error}", self.name));
        announce(self.name, &current);
        // Some readers catch panics of other libraries. Printing each of those, with a backtrace, would take most of
        // the time.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|panic| PANIC.set(panic.to_string())));
        let inputs = Inputs::new(self.name, self.seeds, number("FUZZ_SEED").unwrap_or(1) as u64);
        let ended = std::thread::scope(|scope| {
            let (running, has_ended) = channel::<()>();
            scope.spawn(|| self.watch(&current, has_ended));
            let ended = self.read_all(&inputs, &current, read);
            drop(running);
            ended
        });
        std::panic::set_hook(hook);
        match ended {
            Ok(figures) => {
                report(self.name, &figures);
                current.remove().expect("the harness created this file");
            }
            Err(failure) => panic!("{failure}"),
        }
    }

    /// Reads one input after the other, until the limit of inputs or of time.
    fn read_all(
        &self,
        inputs: &Inputs,
        current: &CurrentInput,
        read: impl Fn(&[u8]) -> bool + RefUnwindSafe,
    ) -> Result<Figures, String> {
        let limit = number("FUZZ_SECONDS").map(|seconds| Duration::from_secs(seconds as u64));
        let unlimited = if limit.is_some() { usize::MAX } else { DEFAULT_INPUTS };
        let count = inputs.undamaged().saturating_add(number("FUZZ_INPUTS").unwrap_or(unlimited));
        let mut figures = Figures::default();
        let mut bytes = Vec::new();
        let started = Instant::now();
        for index in 0..count {
            if index % CLOCK_INTERVAL == 0
                && index > inputs.undamaged()
                && limit.is_some_and(|limit| started.elapsed() >= limit)
            {
                break;
            }
            inputs.generate(index, &mut bytes);
            current
                .set(&bytes)
                .map_err(|error| format!("{}: the input cannot be saved: {error}", self.name))?;
            let before = ALLOCATOR.current_usage();
            ALLOCATOR.reset_peak_usage();
            let input_started = Instant::now();
            let is_accepted = std::panic::catch_unwind(AssertUnwindSafe(|| read(&bytes)))
                .map_err(|panic| self.failure(current, &panic_message(panic)))?;
            let took = input_started.elapsed();
            let used = ALLOCATOR.peak_usage().saturating_sub(before);
            if used > self.memory {
                let what = format!("it allocated {used} bytes, at most {} allowed", self.memory);
                return Err(self.failure(current, &what));
            }
            if inputs.is_seed(index) && !is_accepted {
                return Err(self.failure(current, "it refuses a seed"));
            }
            figures.inputs += 1;
            figures.accepted += usize::from(is_accepted);
            figures.peak = figures.peak.max(used);
            figures.slowest = figures.slowest.max(took);
            figures.total += took;
        }
        Ok(figures)
    }

    /// Ends the process when one input takes too long; returns when the run has ended.
    #[expect(clippy::print_stderr, reason = "nothing else can report a hang")]
    fn watch(&self, current: &CurrentInput, has_ended: Receiver<()>) {
        let mut last = usize::MAX;
        // The reader may be between two inputs at one look, so that only a full period without a change counts.
        while has_ended.recv_timeout(HANG) == Err(RecvTimeoutError::Timeout) {
            let count = current.count();
            if count == last {
                eprintln!("{}", self.failure(current, &format!("it took more than {HANG:?}")));
                std::process::exit(101);
            }
            last = count;
        }
    }

    /// Describes what is wrong with an input, and where it is.
    fn failure(&self, current: &CurrentInput, what: &str) -> String {
        format!("{}: {what}; the input is in {}", self.name, current.path().display())
    }
}

/// What a panic printed; a test's own assertion has no location in its payload.
fn panic_message(panic: Box<dyn Any + Send>) -> String {
    // Its drop could panic again.
    std::mem::forget(panic);
    format!("it panicked: {}", PANIC.take())
}

#[expect(clippy::print_stderr, reason = "a process that aborts can print no path")]
fn announce(name: &str, current: &CurrentInput) {
    eprintln!("{name}: the current input is in {}", current.path().display());
}

#[expect(clippy::print_stderr, reason = "the figures are the result of a long run")]
fn report(name: &str, figures: &Figures) {
    let Figures { inputs, accepted, peak, slowest, total } = figures;
    eprintln!(
        "fuzz {name}: {inputs} inputs, {accepted} accepted, {:.1} us on average, at most {:.1} MiB and {:.0} ms",
        1e6 * total.as_secs_f64() / *inputs as f64,
        *peak as f64 / f64::from(1 << 20),
        1e3 * slowest.as_secs_f64()
    );
}

fn number(variable: &str) -> Option<usize> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is `{text}`, expected a number")))
}
