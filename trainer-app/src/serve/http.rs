//! Paths, and what is said at each.
//!
//! Nothing here blocks the thread that all connections share: what reads the bank or tokenizes runs on tokio's threads
//! for that, and logits are awaited.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use burn_adapters::HeadKind;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::metrics::Metrics;
use super::predict;
use super::queue::Queue;
use super::resident::{Resident, Residents};

/// Bytes of a request's body.
const MAX_BODY: usize = 1 << 20;
/// What is longer by this factor at most is read to its end, so that whoever still writes it hears why it is refused.
const PATIENCE: usize = 4;

/// The page at `/`; it needs nothing from elsewhere.
const PAGE: &str = include_str!("page.html");

/// What all requests share.
pub(super) struct Front {
    pub(super) residents: Residents,
    pub(super) queue: Arc<Queue>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) token: Option<String>,
}

impl Front {
    /// The tasks as they are now; this reads the bank where it changed.
    pub(super) fn resident(&self) -> Result<Arc<Resident>, Refusal> {
        self.residents
            .current()
            .map_err(|error| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}")))
    }
}

/// An answer that is none, as a sentence.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    sentence: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, to_json(&json!({ "error": self.sentence }))).into_response()
    }
}

fn to_json(body: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// All paths. The page and the sign of life are for everybody, the rest is for those who have the token.
pub(super) fn router(front: Arc<Front>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/v1/tasks", get(tasks))
        .route("/v1/predict", post(predict))
        .fallback(nothing_here)
        .layer(from_fn_with_state(front.clone(), with_token))
        .route("/", get(async || Html(PAGE)))
        .route("/healthz", get(async || "ok\n"))
        .method_not_allowed_fallback(asked_otherwise)
        .layer(DefaultBodyLimit::max(PATIENCE * MAX_BODY))
        .layer(from_fn_with_state(front.clone(), counted))
        .with_state(front)
}

/// Counts answers, and how long they took.
async fn counted(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let response = next.run(request).await;
    front.metrics.answered(response.status().as_u16(), start.elapsed());
    response
}

async fn with_token(
    State(front): State<Arc<Front>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if let Some(token) = &front.token {
        let shown = request.headers().get(AUTHORIZATION);
        let shown = shown.and_then(|header| header.as_bytes().strip_prefix(b"Bearer "));
        // Digests, so that the time tells nothing of the token.
        if shown.is_none_or(|shown| Sha256::digest(shown) != Sha256::digest(token)) {
            return Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "the header `Authorization: Bearer TOKEN` is missing or has another token",
            ));
        }
    }
    Ok(next.run(request).await)
}

async fn asked_otherwise(method: Method, uri: Uri) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not how {} is asked", uri.path()),
    )
}

async fn nothing_here(uri: Uri) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        format!(
            "there is nothing at {}; there are /v1/predict, /v1/tasks, /healthz, /metrics and /",
            uri.path()
        ),
    )
}

async fn metrics(State(front): State<Arc<Front>>) -> Result<Response, Refusal> {
    blocking(move || {
        let tasks = front.resident()?.tasks.len();
        let text = front.metrics.text(front.queue.len(), tasks);
        Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
    })
    .await
}

async fn tasks(State(front): State<Arc<Front>>) -> Result<Response, Refusal> {
    blocking(move || Ok(to_json(&told(&*front.resident()?)))).await
}

async fn predict(
    State(front): State<Arc<Front>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let too_long = match &body {
        Ok(body) => body.len() > MAX_BODY,
        Err(rejection) => rejection.status() == StatusCode::PAYLOAD_TOO_LARGE,
    };
    if too_long {
        return Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is longer than {MAX_BODY} bytes; send fewer texts at once"),
        ));
    }
    let body =
        body.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "the body could not be read"))?;
    let asked = blocking(move || predict::ask(&front, &body)).await?;
    Ok(to_json(&asked.answer().await?))
}

/// Runs what blocks where it blocks nobody else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the request broke what answers it"))
    })
}

fn told(resident: &Resident) -> Value {
    let tasks = resident.tasks.iter().map(|(name, served)| {
        let metadata = &served.metadata;
        let labels = match &metadata.head {
            HeadKind::Classification { labels } => Some(labels),
            HeadKind::Regression | HeadKind::Span => None,
        };
        json!({
            "task": name,
            "labels": labels,
            "score": metadata.score,
            "method": metadata.method,
            "max_length": metadata.max_length,
        })
    });
    json!({ "tasks": tasks.collect::<Vec<_>>() })
}
