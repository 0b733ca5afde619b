//! Settings of the process: threads and memory allocator.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;

use crate::system::devices;

/// Makes the calling thread one of rayon's threads, which all CPU kernels share.
///
/// A thread outside the pool submits each operation, sleeps, and is woken when it is done; on two cores that costs a
/// twentieth of a step on short texts. For a thread that does most of the computing itself; a server, whose main thread
/// waits for connections, would have one thread fewer.
/// With a single core nothing changes: other threads and this one would wait for each other.
pub fn compute_on_this_thread() {
    let requested = std::env::var("RAYON_NUM_THREADS").ok().and_then(|count| count.parse().ok());
    let threads = requested
        .filter(|count| *count > 0)
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get));
    if threads > 1 {
        // An error means that the pool already exists, which works too.
        let _ = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
    }
}

/// Keeps rayon's threads from sleeping until it is dropped; created by [`keep_workers_spinning`].
#[derive(Debug)]
#[must_use = "threads go to sleep again when it is dropped"]
pub struct SpinGuard(Arc<AtomicBool>);

/// Keeps rayon's threads awake for a step, if the device is the CPU and the calling thread
/// [belongs to the pool](compute_on_this_thread).
///
/// A thread that finds no work for some microseconds goes to sleep, and waking it takes longer than many operations on
/// short texts, of which a step has hundreds. PyTorch's threads spin too.
/// Other processes get the core, since the threads yield repeatedly; after some milliseconds without work they sleep
/// anyway.
pub fn keep_workers_spinning(device: &Device) -> SpinGuard {
    const SPIN_LIMIT: u32 = 10_000;
    const PAUSES_PER_POLL: u32 = 20;
    const POLLS_PER_YIELD: u32 = 8;

    let over = Arc::new(AtomicBool::new(false));
    if let Some(caller) = rayon::current_thread_index().filter(|_| devices::is_cpu(device)) {
        let over = Arc::clone(&over);
        rayon::spawn_broadcast(move |thread| {
            let mut idle_polls = 0;
            while thread.index() != caller
                && idle_polls < SPIN_LIMIT
                && !over.load(Ordering::Relaxed)
            {
                if rayon::yield_now() == Some(rayon::Yield::Executed) {
                    idle_polls = 0;
                    continue;
                }
                idle_polls += 1;
                (0..PAUSES_PER_POLL).for_each(|_| std::hint::spin_loop());
                if idle_polls.is_multiple_of(POLLS_PER_YIELD) {
                    std::thread::yield_now();
                }
            }
        });
    }
    SpinGuard(over)
}

impl Drop for SpinGuard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes the allocator keep freed memory for later tensors.
///
/// Between two operations a tensor of megabytes is freed and another of the same size allocated. By default glibc returns
/// such memory to the system, which then clears its pages again: a tenth of a step. With this setting the process keeps
/// its peak memory.
pub fn configure_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const KEPT: libc::c_int = 1 << 30;
        for (setting, value) in [
            (libc::M_MMAP_THRESHOLD, KEPT),
            (libc::M_TRIM_THRESHOLD, libc::c_int::MAX),
            // One heap for all threads: those of other threads are limited to 64 MiB.
            (libc::M_ARENA_MAX, 1),
        ] {
            // SAFETY: it takes two numbers, and locks the allocator while it stores them.
            #[expect(unsafe_code, reason = "the C library has no safe interface")]
            unsafe {
                libc::mallopt(setting, value);
            }
        }
    }
}

/// Makes a write beyond the limit on file sizes (`ulimit -f`) an error, instead of a signal that ends the program.
pub fn ignore_file_size_signal() {
    #[cfg(unix)]
    {
        // Any handler does. Without one, the program ends without a message.
        let _ = signal_hook::flag::register(libc::SIGXFSZ, Arc::default());
    }
}
