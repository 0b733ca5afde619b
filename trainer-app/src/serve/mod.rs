//! `trainer serve`: serves the tasks of a bank over HTTP, with texts of different tasks in one batch.
//!
//! One thread handles all `connections`, and a few others what blocks, such as tokenization; one worker owns the device
//! and runs batches of the texts in the `queue`, from any request.
//! A request is limited before any work is done: its host name (`origin`), its `body`, its texts (`request`), and its
//! space in the queue.

mod body;
mod connections;
mod error;
mod http;
mod log;
mod metrics;
mod origin;
mod predict;
mod queue;
mod registry;
pub mod request;
mod state;

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::sync::Notify;

use crate::cli::ServeArgs;
use crate::exit::{INTERRUPTED, UsageError};
use crate::system::devices;
use connections::Limits;
use origin::Names;
use queue::{Queue, QueuedText};
use registry::ReloadingRegistry;
use state::AppState;

/// How long pending requests may take during shutdown.
const GRACE: Duration = Duration::from_mins(1);
/// Open files besides connections: standard streams, the bank, the base, and those of the runtime.
const OTHER_FILES: usize = 24;

/// Runs `trainer serve` until it is stopped; pending requests are answered.
///
/// # Errors
/// A bank, base or device that does not exist, an address that cannot be bound, an address that other machines can reach
/// without a token, or a model that panics.
pub fn run(args: &ServeArgs) -> Result<()> {
    let addresses = resolve(&args.listen)?;
    if let Some(address) = addresses.iter().find(|address| !address.ip().is_loopback())
        && args.token.is_none()
    {
        return Err(UsageError::new(format!(
            "{address} can be reached from other machines; set a --token that requests must send, or listen on \
             127.0.0.1"
        )));
    }
    let device = devices::resolve(&args.device)?;
    // Before the base and the adapters are read.
    let listener = TcpListener::bind(&*addresses).with_context(|| {
        format!(
            "listening on {}; --listen takes another address and port, such as 127.0.0.1:8081",
            args.listen
        )
    })?;
    let address = listener.local_addr()?;
    let registries = ReloadingRegistry::open(&args.bank, args.base.as_deref(), &device)?;
    let stop = Arc::new(Notify::new());
    let (stopping, requested) = (stop.clone(), AtomicBool::new(false));
    ctrlc::set_handler(move || {
        if requested.swap(true, Ordering::SeqCst) {
            // A second signal ends the program immediately.
            std::process::exit(INTERRUPTED.into());
        }
        stopping.notify_one();
    })
    .map_err(|error| anyhow!("handling Ctrl-C: {error}"))?;
    noteln!(
        "serving {} tasks of {} on http://{address}/",
        registries.current().tasks.len(),
        args.bank.display()
    );
    let time = Duration::from_secs(args.timeout.into());
    let state = AppState {
        registries,
        queue: Arc::new(Queue::new(args.queue as usize)),
        metrics: Arc::default(),
        token: args.token.clone(),
        names: Names::new(address, &args.allow_host),
        memory: body::memory(),
        time,
    };
    let limits =
        Limits { connections: connections(args.connections as usize), idle: time, grace: GRACE };
    serve(listener, state, limits, stop, move |batch| queue::run(batch, &device))?;
    noteln!("stopped; the pending requests were answered");
    Ok(())
}

/// The addresses of a host name or address with a port, those of IPv4 first, since more clients use them.
fn resolve(listen: &str) -> Result<Vec<SocketAddr>> {
    let invalid = |reason: String| {
        UsageError::new(format!(
            "--listen is `{listen}`, expected an address or name with a port, such as 127.0.0.1:8080: {reason}"
        ))
    };
    let mut addresses: Vec<SocketAddr> =
        listen.to_socket_addrs().map_err(|error| invalid(error.to_string()))?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    if addresses.is_empty() {
        return Err(invalid("the name has no address".to_owned()));
    }
    Ok(addresses)
}

/// The maximum number of connections: as requested, or fewer if the limit of open files is lower.
fn connections(requested: usize) -> usize {
    let files = sysinfo::System::open_files_limit();
    let possible = files.map_or(requested, |files| files.saturating_sub(OTHER_FILES));
    requested.min(possible).max(1)
}

/// Answers requests until `stop` is notified or the model panics.
fn serve(
    listener: TcpListener,
    state: AppState,
    limits: Limits,
    stop: Arc<Notify>,
    model: impl FnMut(&[QueuedText]) -> Vec<Vec<f32>> + Send + 'static,
) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    let runtime = tokio::runtime::Builder::new_current_thread()
        // Each may tokenize a text, which needs memory.
        .max_blocking_threads(threads)
        .enable_all()
        .build()?;
    let queue = state.queue.clone();
    let worker = {
        let (queue, metrics, stop) = (queue.clone(), state.metrics.clone(), stop.clone());
        std::thread::spawn(move || queue::work(&queue, &stop, &metrics, model))
    };
    let served = runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let app = http::router(Arc::new(state));
        connections::serve(listener, app, limits, stop.notified()).await;
        std::io::Result::Ok(())
    });
    queue.close();
    worker.join().map_err(|_| anyhow!("the thread that runs the model panicked"))?;
    served.context("answering requests")
}

#[cfg(test)]
#[path = "../../tests/tiny_adapter/mod.rs"]
mod tiny_adapter;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use burn::tensor::Device;
    use burn_adapters::Method;
    use burn_adapters::file::bank::Bank;
    use burn_adapters::file::native::BaseIdentity;

    use super::tiny_adapter::write_adapter;
    use super::*;
    use crate::base::Base;
    use crate::tiny_base::lay_tiny_base;

    /// A bank with the task `one`.
    fn registries(directory: &std::path::Path) -> ReloadingRegistry {
        lay_tiny_base(directory);
        let base = Base::locate(directory.join("base").to_str().unwrap()).unwrap();
        let identity = BaseIdentity::new(base.name(), base.fingerprint().unwrap());
        let adapter = write_adapter(directory, identity.clone(), "one", Method::Houlsby, 2);
        let bank = directory.join("tasks.bank");
        Bank::create(&bank, identity, base.bytes().unwrap()).unwrap();
        Bank::add(&bank, &directory.join(adapter), None).unwrap();
        ReloadingRegistry::open(&bank, None, &Device::flex()).unwrap()
    }

    #[test]
    fn a_model_that_panics_ends_the_server_with_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let state = AppState {
            registries: registries(directory.path()),
            queue: Arc::new(Queue::new(8)),
            metrics: Arc::default(),
            token: None,
            names: Names::new("127.0.0.1:0".parse().unwrap(), &[]),
            memory: body::memory(),
            time: GRACE,
        };
        let limits = Limits { connections: 8, idle: GRACE, grace: GRACE };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            serve(listener, state, limits, Arc::default(), |_| panic!("a broken model"))
        });
        let body = r#"{"inputs": [{"task": "one", "text": "a"}]}"#;
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
        assert!(answer.contains("the model returned no logits"), "{answer}");
        let error = server.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("the thread that runs the model panicked"), "{error}");
    }
}
