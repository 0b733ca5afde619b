//! `trainer serve`: all tasks of a bank over HTTP, texts of different tasks in one batch.
//!
//! Threads of `http` read requests and tokenize; one worker owns the device and runs batches, which are made up of
//! whatever lies in the `queue`, whoever asked for it.

mod http;
mod metrics;
mod queue;
mod resident;

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};

use crate::cli::ServeArgs;
use crate::devices;
use http::Front;
use metrics::Metrics;
use queue::Queue;
use resident::Residents;

/// Threads that read requests and wait for their answers: so many requests are under way at once.
const THREADS: usize = 32;

/// Runs `trainer serve` until it is asked to stop; requests that are under way are answered.
///
/// # Errors
/// A bank, base or device that is not there, an address that cannot be bound, or one of other machines without a token.
#[expect(clippy::print_stderr, reason = "where it listens is told")]
pub fn run(args: &ServeArgs) -> Result<()> {
    ensure!(
        args.listen.ip().is_loopback() || args.token.is_some(),
        "{} can be reached from other machines; give a --token that requests have to show, or listen on 127.0.0.1",
        args.listen
    );
    let device = devices::resolve(&args.device)?;
    let residents = Residents::open(&args.bank, args.base.as_deref(), &device)?;
    let server = tiny_http::Server::http(args.listen)
        .map_err(|error| anyhow!("listening on {}: {error}", args.listen))?;
    let address = server.server_addr().to_ip().context("the address is one of IP")?;
    let metrics = Arc::new(Metrics::default());
    let queue = Arc::new(Queue::default());
    let front = Arc::new(Front {
        server,
        residents,
        queue: queue.clone(),
        metrics: metrics.clone(),
        token: args.token.clone(),
    });

    let stopping = front.clone();
    ctrlc::set_handler(move || stopping.stop(THREADS))
        .map_err(|error| anyhow!("catching Ctrl-C: {error}"))?;
    eprintln!(
        "serving {} tasks of {} on http://{address}/",
        front.residents.current()?.tasks.len(),
        args.bank.display()
    );
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| queue::work(&queue, &metrics, &device));
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| front.run())).collect();
        for thread in threads {
            thread.join().map_err(|_| anyhow!("a thread that answers requests broke"))?;
        }
        queue.close();
        worker.join().map_err(|_| anyhow!("the thread that runs the model broke"))
    })
}
