//! Which threads compute on the CPU.

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
