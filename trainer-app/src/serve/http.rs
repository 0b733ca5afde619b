//! Paths, and the answer of each.
//!
//! Nothing here blocks the thread that all connections share: what reads the bank or tokenizes runs on a few other
//! threads, and logits are awaited.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::log::log;
use super::metrics::Metrics;
use super::origin::{Names, shortened};
use super::queue::Queue;
use super::registry::{Registry, ReloadingRegistry};
use super::{body, predict};

/// The page at `/`; it needs nothing from elsewhere.
const PAGE: &str = include_str!("page.html");

/// What all requests share.
pub(super) struct AppState {
    pub(super) registries: ReloadingRegistry,
    pub(super) queue: Arc<Queue>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) token: Option<String>,
    pub(super) names: Names,
    /// Memory for bodies.
    pub(super) memory: Arc<Semaphore>,
    /// How long a body may take.
    pub(super) time: Duration,
}

/// An answer that is none, as a sentence.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    sentence: String,
    /// Whether the same request may be answered a little later.
    passes: bool,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into(), passes: false }
    }

    /// One that may be answered a little later.
    pub(super) fn busy(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { passes: true, ..Self::new(status, sentence) }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            log(&self.sentence);
        }
        let answer = (self.status, to_json(&json!({ "error": self.sentence })));
        if self.passes {
            ([(RETRY_AFTER, "1")], answer).into_response()
        } else {
            answer.into_response()
        }
    }
}

fn to_json(body: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// All paths. The page and `/healthz` need no token.
pub(super) fn router(front: Arc<AppState>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/v1/tasks", get(tasks))
        .route("/v1/predict", post(predict))
        .fallback(not_found)
        .layer(from_fn_with_state(front.clone(), with_token))
        .route("/", get(async || Html(PAGE)))
        .route("/healthz", get(health))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(front.clone(), with_own_name))
        .layer(from_fn_with_state(front.clone(), record_metrics))
        .with_state(front)
}

/// Counts answers, and how long they took.
async fn record_metrics(
    State(front): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let response = next.run(request).await;
    front.metrics.answered(response.status().as_u16(), start.elapsed());
    response
}

/// Refuses what another site makes a browser ask.
async fn with_own_name(
    State(front): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    front
        .names
        .check(request.version(), request.uri(), request.headers())
        .map_err(|reason| ApiError::new(StatusCode::FORBIDDEN, reason))?;
    Ok(next.run(request).await)
}

async fn with_token(
    State(front): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if !has_token(&front, request.headers()) {
        return Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "the header `Authorization: Bearer TOKEN` is missing or has another token",
        ));
    }
    Ok(next.run(request).await)
}

/// Whether a request shows the token, or none is needed.
fn has_token(front: &AppState, headers: &HeaderMap) -> bool {
    front.token.as_ref().is_none_or(|token| {
        let shown = headers.get(AUTHORIZATION);
        let shown = shown.and_then(|header| header.as_bytes().strip_prefix(b"Bearer "));
        // Digests, so that the time says nothing of the token.
        shown.is_some_and(|shown| Sha256::digest(shown) == Sha256::digest(token))
    })
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} has no {method}", shortened(uri.path())),
    )
}

async fn not_found(uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        format!(
            "there is nothing at {}; there are /v1/predict, /v1/tasks, /healthz, /metrics and /",
            shortened(uri.path())
        ),
    )
}

/// Whether all is well; with a reason where it is not, for those who have the token.
async fn health(
    State(front): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    blocking(move || {
        let text = match front.registries.fault() {
            None => "ok\n".to_owned(),
            Some(fault) if has_token(&front, &headers) => {
                format!("degraded: the bank cannot be read, and the tasks in memory are served: {fault}\n")
            }
            Some(_) => "degraded\n".to_owned(),
        };
        Ok(text.into_response())
    })
    .await
}

async fn metrics(State(front): State<Arc<AppState>>) -> Result<Response, ApiError> {
    blocking(move || {
        let tasks = front.registries.current().tasks.len();
        let is_degraded = front.registries.fault().is_some();
        let text = front.metrics.text(front.queue.len(), tasks, is_degraded);
        Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
    })
    .await
}

async fn tasks(State(front): State<Arc<AppState>>) -> Result<Response, ApiError> {
    blocking(move || Ok(to_json(&describe_task(&front.registries.current())))).await
}

async fn predict(
    State(front): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    let received = body::receive(request.into_body(), &front.memory, front.time).await?;
    let asked = blocking(move || predict::submit(&front, &received.bytes)).await?;
    Ok(to_json(&asked.answer().await?))
}

/// Runs what blocks on another thread than that of the connections.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a thread that answers requests panicked",
        ))
    })
}

fn describe_task(registry: &Registry) -> Value {
    let tasks = registry.tasks.iter().map(|(name, served)| {
        let metadata = &served.metadata;
        let labels = metadata.head.labels();
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
