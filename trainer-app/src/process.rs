//! How the program uses the machine: which threads compute, and what becomes of freed memory.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;

use crate::devices;

/// Makes the calling thread one of rayon's, which all kernels on the CPU share.
///
/// A thread outside hands each operation in, sleeps, and is woken when it is done; on two cores that is a twentieth of
/// a step on short texts. It is for a thread that does most of the computing itself: those of a server, whose main
/// thread waits for connections, would be one fewer.
/// With a single core nothing changes: other threads would wait for this one, and it for them.
pub fn compute_on_this_thread() {
    let wanted = std::env::var("RAYON_NUM_THREADS").ok().and_then(|count| count.parse().ok());
    let threads = wanted
        .filter(|count| *count > 0)
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get));
    if threads > 1 {
        // An error says that there are threads already, which do as well.
        let _ = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
    }
}

/// While it lives, rayon's threads look for work and do not sleep; [`keep_workers_spinning`] makes it.
#[derive(Debug)]
#[must_use = "threads go to sleep again when it is dropped"]
pub struct SpinGuard(Arc<AtomicBool>);

/// Keeps rayon's threads awake for a step, where the device is the CPU and the calling thread
/// [computes](compute_on_this_thread).
///
/// A thread that finds no work for some microseconds goes to sleep, and to wake it takes longer than many an operation
/// on short texts, of which a step has hundreds. PyTorch's threads wait awake too.
/// Whoever else wants the core gets it, because the thread offers it over and over; after some milliseconds without
/// work it sleeps all the same.
pub fn keep_workers_spinning(device: &Device) -> SpinGuard {
    const SPIN_LIMIT: u32 = 10_000;
    const PAUSES_PER_LOOK: u32 = 20;
    const LOOKS_PER_OFFER: u32 = 8;

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
                (0..PAUSES_PER_LOOK).for_each(|_| std::hint::spin_loop());
                if idle_polls.is_multiple_of(LOOKS_PER_OFFER) {
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

/// Has the allocator keep what is freed, for the next tensor.
///
/// Between two operations a tensor of megabytes is freed and the next of its size allocated. glibc gives such memory
/// back to the system at once, which clears every page of it again: a tenth of a step. The most that the program ever
/// needed stays with it.
pub fn configure_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const KEPT: libc::c_int = 1 << 30;
        for (setting, value) in [
            (libc::M_MMAP_THRESHOLD, KEPT),
            (libc::M_TRIM_THRESHOLD, libc::c_int::MAX),
            // One heap for all threads: those of others hold 64 MiB at most.
            (libc::M_ARENA_MAX, 1),
        ] {
            // SAFETY: it takes two numbers, and locks the allocator while it notes them down.
            #[expect(unsafe_code, reason = "the C library has no safe way to say it")]
            unsafe {
                libc::mallopt(setting, value);
            }
        }
    }
}
