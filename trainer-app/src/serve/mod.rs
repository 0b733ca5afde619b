//! `trainer serve`: all tasks of a bank over HTTP, texts of different tasks in one batch.
//!
//! One thread has all connections (`http`), and hands what blocks, such as tokenizing, to others; one worker owns the
//! device and runs batches, which are made up of whatever lies in the `queue`, whoever asked for it.

mod http;
mod metrics;
mod predict;
mod queue;
mod resident;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use tokio::sync::{Notify, oneshot};

use crate::cli::ServeArgs;
use crate::devices;
use http::Front;
use queue::{Job, Queue};
use resident::Residents;

/// How long who asked before the end is waited for.
const GRACE: Duration = Duration::from_mins(1);

/// Runs `trainer serve` until it is asked to stop; requests that are under way are answered.
///
/// # Errors
/// A bank, base or device that is not there, an address that cannot be bound or one of other machines without a token,
/// or a model that panics.
#[expect(clippy::print_stderr, reason = "where it listens is told")]
pub fn run(args: &ServeArgs) -> Result<()> {
    ensure!(
        args.listen.ip().is_loopback() || args.token.is_some(),
        "{} can be reached from other machines; give a --token that requests have to show, or listen on 127.0.0.1",
        args.listen
    );
    let device = devices::resolve(&args.device)?;
    let residents = Residents::open(&args.bank, args.base.as_deref(), &device)?;
    let listener =
        TcpListener::bind(args.listen).with_context(|| format!("listening on {}", args.listen))?;
    let address = listener.local_addr()?;
    let stop = Arc::new(Notify::new());
    let (stopping, asked) = (stop.clone(), AtomicBool::new(false));
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::SeqCst) {
            // Whoever asks twice wants to leave now.
            std::process::exit(130);
        }
        stopping.notify_one();
    })
    .map_err(|error| anyhow!("catching Ctrl-C: {error}"))?;
    eprintln!(
        "serving {} tasks of {} on http://{address}/",
        residents.current()?.tasks.len(),
        args.bank.display()
    );
    let front = Front {
        residents,
        queue: Arc::new(Queue::new(args.queue)),
        metrics: Arc::default(),
        token: args.token.clone(),
    };
    serve(listener, front, stop, move |batch| queue::run(batch, &device))
}

/// Answers requests until `stop` is notified or the model breaks.
fn serve(
    listener: TcpListener,
    front: Front,
    stop: Arc<Notify>,
    model: impl FnMut(&[Job]) -> Vec<Vec<f32>> + Send + 'static,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let queue = front.queue.clone();
    let worker = {
        let (queue, metrics, stop) = (queue.clone(), front.metrics.clone(), stop.clone());
        std::thread::spawn(move || queue::work(&queue, &stop, &metrics, model))
    };
    let served = runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (stopped, ending) = oneshot::channel();
        let until = async move {
            stop.notified().await;
            // Nobody hears it where the server ended by itself.
            let _ = stopped.send(());
        };
        let app = http::router(Arc::new(front));
        let serving =
            tokio::spawn(axum::serve(listener, app).with_graceful_shutdown(until).into_future());
        let _ = ending.await;
        // A client that never ends its request does not keep the server from ending.
        match tokio::time::timeout(GRACE, serving).await {
            Ok(ended) => ended?,
            Err(_) => Ok(()),
        }
    });
    queue.close();
    worker.join().map_err(|_| anyhow!("the thread that runs the model broke"))?;
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
    fn residents(directory: &std::path::Path) -> Residents {
        lay_tiny_base(directory);
        let base = Base::locate(directory.join("base").to_str().unwrap()).unwrap();
        let identity = BaseIdentity::new(base.name(), base.fingerprint().unwrap());
        let adapter = write_adapter(directory, identity.clone(), "one", Method::Houlsby, 2);
        let bank = directory.join("tasks.bank");
        Bank::create(&bank, identity, base.bytes().unwrap()).unwrap();
        Bank::add(&bank, &directory.join(adapter), None).unwrap();
        Residents::open(&bank, None, &Device::flex()).unwrap()
    }

    #[test]
    fn a_model_that_breaks_ends_the_server_with_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let front = Front {
            residents: residents(directory.path()),
            queue: Arc::new(Queue::new(8)),
            metrics: Arc::default(),
            token: None,
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            serve(listener, front, Arc::default(), |_| panic!("a broken model"))
        });
        let body = r#"{"inputs": [{"task": "one", "text": "a"}]}"#;
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "POST /v1/predict HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
        assert!(answer.contains("the model gave no answer"), "{answer}");
        let error = server.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("the thread that runs the model broke"), "{error}");
    }
}
