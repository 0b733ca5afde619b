//! How the program uses the machine: which threads compute, and what becomes of freed memory.

use std::num::NonZero;

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

/// Has the allocator keep what is freed, for the next tensor.
///
/// Between two operations a tensor of megabytes is freed and the next of its size allocated. glibc gives such memory
/// back to the system at once, which clears every page of it again: a tenth of a step. The most that the program ever
/// needed stays with it.
pub fn keep_freed_memory() {
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
