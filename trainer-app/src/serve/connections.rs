//! Connections: their maximum number, idle time and shutdown.
//!
//! A connection is idle unless a request is being answered. A slow client, one that disappeared without closing, one
//! that does not read its response, and a kept-alive connection cannot be told apart, and are all closed after a time
//! limit; if there are too many connections, the one that has been idle longest is closed immediately.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::log::{RateLimited, log};

/// Maximum size of a request's head in bytes.
const MAX_HEAD: usize = 64 << 10;
/// How long a connection may be idle during shutdown.
const SHUTDOWN_IDLE: Duration = Duration::from_millis(500);
/// Pause after an error of `accept`, such as too many open files.
const BACK_OFF: Duration = Duration::from_millis(50);

/// The limits of connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Maximum number.
    pub(super) connections: usize,
    /// Maximum idle time.
    pub(super) idle: Duration,
    /// How long pending requests may take during shutdown.
    pub(super) grace: Duration,
}

/// The open connections.
#[derive(Default)]
struct OpenConnections {
    activities: Mutex<BTreeMap<u64, Arc<Activity>>>,
    /// Notified when one was closed.
    closed: Notify,
}

/// Whether a connection is idle, and since when.
struct Activity {
    /// `None` while a request is being answered.
    idle_since: Mutex<Option<Instant>>,
    /// Notified when it must be closed to make room.
    evicted: Notify,
}

impl Activity {
    fn idle_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered; its connection is idle again when this is dropped.
struct InFlight(Arc<Activity>);

impl InFlight {
    fn new(activity: &Arc<Activity>) -> Self {
        *activity.idle_since() = None;
        Self(activity.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        *self.0.idle_since() = Some(Instant::now());
    }
}

/// An open connection; removed when this is dropped.
struct ConnectionGuard {
    open: Arc<OpenConnections>,
    number: u64,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.open.activities().remove(&self.number);
        self.open.closed.notify_one();
    }
}

impl OpenConnections {
    fn activities(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Activity>>> {
        self.activities.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn len(&self) -> usize {
        self.activities().len()
    }

    fn add(self: &Arc<Self>, number: u64) -> (ConnectionGuard, Arc<Activity>) {
        let activity = Arc::new(Activity {
            idle_since: Mutex::new(Some(Instant::now())),
            evicted: Notify::new(),
        });
        self.activities().insert(number, activity.clone());
        (ConnectionGuard { open: self.clone(), number }, activity)
    }

    /// Closes the connection that has been idle longest.
    fn evict(&self) {
        let activities = self.activities();
        let idle = activities.values().filter_map(|activity| {
            let since = *activity.idle_since();
            Some((since?, activity))
        });
        if let Some((_, activity)) = idle.min_by_key(|(since, _)| *since) {
            activity.evicted.notify_one();
        }
    }
}

/// Accepts connections and answers their requests until `stop` is ready; then answers the pending requests.
pub(super) async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let open = Arc::new(OpenConnections::default());
    let (stopping, stopped) = watch::channel(false);
    let mut stop = pin!(stop);
    let mut number = 0;
    let mut spawn = |stream: TcpStream| {
        number += 1;
        let (guard, activity) = open.add(number);
        let answered = answer(stream, app.clone(), activity, limits.idle, stopped.clone());
        tokio::spawn(async move {
            answered.await;
            drop(guard);
        });
    };
    let mut rate_limited = RateLimited::default();
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                if open.len() >= limits.connections {
                    rate_limited.log(|| {
                        let connections = limits.connections;
                        format!(
                            "there are {connections} connections; idle ones are closed to accept new ones"
                        )
                    });
                    tokio::select! {
                        () = &mut stop => {}
                        () = make_room(&open, limits.connections) => {}
                    }
                }
                spawn(stream);
            }
            Err(error) if is_connection_error(&error) => {}
            Err(error) => {
                rate_limited.log(|| format!("a connection could not be accepted: {error}"));
                open.evict();
                sleep(BACK_OFF).await;
            }
        }
    }
    // Clients that connected before the shutdown are in the system's queue.
    while let Ok(Ok((stream, _))) = timeout(Duration::ZERO, listener.accept()).await {
        spawn(stream);
    }
    drop(listener);
    // There is a receiver: `stopped`, which is cloned above.
    let _ = stopping.send(true);
    let all_closed = async {
        while open.len() > 0 {
            open.closed.notified().await;
        }
    };
    if timeout(limits.grace, all_closed).await.is_err() {
        log(&format!("{} requests were not finished in time and were aborted", open.len()));
    }
}

async fn make_room(open: &OpenConnections, connections: usize) {
    while open.len() >= connections {
        open.evict();
        // If none is idle now, one may be after the pause.
        let _ = timeout(BACK_OFF, open.closed.notified()).await;
    }
}

/// Whether an error of `accept` is one of the new connection only.
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers the requests of a connection until it ends, or is idle for too long.
async fn answer(
    stream: TcpStream,
    app: Router,
    activity: Arc<Activity>,
    mut longest_idle: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    // Responses are small and sent at once.
    let _ = stream.set_nodelay(true);
    let app = TowerToHyperService::new(app);
    let answering = activity.clone();
    let service = service_fn(move |request| {
        let answering = InFlight::new(&answering);
        let answer = app.call(request);
        async move {
            let answer = answer.await;
            drop(answering);
            answer
        }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        // A client may close its side after a request, and still read the response.
        .half_close(true)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut ending = false;
    loop {
        let since = *activity.idle_since();
        let left =
            longest_idle.saturating_sub(since.map_or(Duration::ZERO, |since| since.elapsed()));
        tokio::select! {
            // An error of the connection is the client's.
            _ = connection.as_mut() => return,
            () = activity.evicted.notified() => {
                if activity.idle_since().is_some() {
                    return;
                }
            }
            () = sleep(left) => {
                let idle = activity.idle_since().map(|since| since.elapsed());
                if idle.is_some_and(|idle| idle >= longest_idle) {
                    return;
                }
            }
            _ = stopped.changed(), if !ending => {
                ending = true;
                longest_idle = SHUTDOWN_IDLE;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
