//! The routes and their handlers.
//!
//! Nothing here blocks the thread that all connections share: reading the bank and tokenization run on other threads, and
//! logits are awaited.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::error::{ApiError, to_json};
use super::origin::shortened;
use super::registry::Registry;
use super::state::AppState;
use super::{body, predict};
use crate::task_data::kind::task_kind;

/// The page at `/`, which loads nothing from other sites.
const PAGE: &str = include_str!("page.html");

/// The route of predictions, the only one to which data is sent.
const PREDICT: &str = "/v1/predict";

/// All routes. The page and `/healthz` require no token.
pub(super) fn router(state: Arc<AppState>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/v1/tasks", get(tasks))
        .route(PREDICT, post(predict))
        .fallback(not_found)
        .layer(from_fn_with_state(state.clone(), check_token))
        .route("/", get(async || Html(PAGE)))
        .route("/healthz", get(health))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), check_origin))
        .layer(from_fn_with_state(state.clone(), record_metrics))
        .with_state(state)
}

/// Counts responses and their time.
async fn record_metrics(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let response = next.run(request).await;
    state.metrics.answered(response.status().as_u16(), start.elapsed());
    response
}

/// Refuses requests that a page of another site sends through a browser.
async fn check_origin(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    // RFC 9112, section 3.2: a server has to refuse several.
    if request.headers().get_all(HOST).iter().nth(1).is_some() {
        let sentence = "the header `Host` is there twice, expected one";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, sentence));
    }
    state
        .names
        .check(request.version(), request.uri(), request.headers())
        .map_err(|reason| ApiError::new(StatusCode::FORBIDDEN, reason))?;
    Ok(next.run(request).await)
}

async fn check_token(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if !has_token(&state, request.headers()) {
        return Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "the header `Authorization: Bearer TOKEN` is missing or has the wrong token",
        ));
    }
    Ok(next.run(request).await)
}

/// Whether a request has the token, or none is required.
fn has_token(state: &AppState, headers: &HeaderMap) -> bool {
    state.token.as_ref().is_none_or(|token| {
        let sent = headers.get(AUTHORIZATION).and_then(|header| {
            // The case of the scheme does not matter: RFC 9110, section 11.1.
            let (scheme, token) = header.as_bytes().split_at_checked(b"Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
        });
        // Digests are compared, so that the time reveals nothing about the token.
        sent.is_some_and(|sent| Sha256::digest(sent) == Sha256::digest(token))
    })
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let expected = if uri.path() == PREDICT { Method::POST } else { Method::GET };
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("method {method} is not allowed for {}; use {expected}", shortened(uri.path())),
    )
}

async fn not_found(uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        format!(
            "not found: {}; the paths are /v1/predict, /v1/tasks, /healthz, /metrics and /",
            shortened(uri.path())
        ),
    )
}

/// Whether the bank can be read; the reason if not is only for requests with the token.
async fn health(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    blocking(move || {
        let text = match state.registries.fault() {
            None => "ok\n".to_owned(),
            Some(fault) if has_token(&state, &headers) => {
                format!(
                    "degraded: the bank cannot be read; the tasks in memory are served: {fault}\n"
                )
            }
            Some(_) => "degraded\n".to_owned(),
        };
        Ok(text.into_response())
    })
    .await
}

async fn metrics(State(state): State<Arc<AppState>>) -> Result<Response, ApiError> {
    blocking(move || {
        let tasks = state.registries.current().tasks.len();
        let is_degraded = state.registries.fault().is_some();
        let text = state.metrics.text(state.queue.len(), tasks, is_degraded);
        Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
    })
    .await
}

async fn tasks(State(state): State<Arc<AppState>>) -> Result<Response, ApiError> {
    blocking(move || Ok(to_json(&describe_tasks(&state.registries.current())))).await
}

async fn predict(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    if let Some(encoding) = request.headers().get(CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let sentence = "the body has a `Content-Encoding`, which is not supported; send plain JSON";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence));
    }
    // RFC 9112, section 6.1; hyper decodes chunks alone.
    if let Some(encoding) = request.headers().get(TRANSFER_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"chunked")
    {
        let sentence =
            "the `Transfer-Encoding` of the body is not supported; expected `chunked`, or none";
        return Err(ApiError::new(StatusCode::NOT_IMPLEMENTED, sentence));
    }
    let received = body::receive(request.into_body(), &state.memory, state.time).await?;
    let pending = blocking(move || predict::submit(&state, &received.bytes)).await?;
    Ok(to_json(&pending.answer().await?))
}

/// Runs blocking work on a thread other than that of the connections.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal error: a worker thread panicked",
        ))
    })
}

fn describe_tasks(registry: &Registry) -> Value {
    let tasks = registry.tasks.iter().map(|(name, loaded)| {
        let metadata = &loaded.metadata;
        let labels = metadata.head.labels();
        json!({
            "task": name,
            "kind": task_kind(&metadata.head).name(),
            "labels": labels,
            "input": metadata.input,
            "score": metadata.score,
            "method": metadata.method,
            "max_length": metadata.max_length,
        })
    });
    json!({ "tasks": tasks.collect::<Vec<_>>() })
}
