//! The body of a request, received in bounded time and memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::error::ApiError;

/// Maximum size of a body in bytes.
pub(super) const MAX_BODY: usize = 1 << 20;
/// A longer body is read up to this size and discarded, so that the client receives the error.
const MAX_DISCARDED: usize = 128 << 20;
/// Maximum total size of the bodies in memory, in bytes.
const MAX_BODIES: usize = 64 << 20;
/// Bytes per permit of the semaphore.
const BYTES_PER_PERMIT: usize = 1 << 10;

/// The memory for all bodies.
pub(super) fn memory() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_BODIES / BYTES_PER_PERMIT))
}

/// A body; its memory is released when this is dropped.
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    _memory: Option<OwnedSemaphorePermit>,
}

/// Receives a body.
pub(super) async fn receive(
    body: Body,
    memory: &Arc<Semaphore>,
    time: Duration,
) -> Result<Received, ApiError> {
    timeout(time, read(body, memory)).await.unwrap_or_else(|_| {
        Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body did not arrive within {} seconds", time.as_secs()),
        ))
    })
}

async fn read(mut body: Body, memory: &Arc<Semaphore>) -> Result<Received, ApiError> {
    let too_long = || {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is longer than {MAX_BODY} bytes; send fewer texts per request"),
        )
    };
    if body.size_hint().lower() > MAX_DISCARDED as u64 {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    let mut permits: Option<OwnedSemaphorePermit> = None;
    let (mut length, mut held) = (0, 0);
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|_| ApiError::new(StatusCode::BAD_REQUEST, "the body could not be read"))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > MAX_DISCARDED {
            break;
        }
        if length > MAX_BODY {
            (bytes, permits, held) = (Vec::new(), None, 0);
            continue;
        }
        let needed = length.div_ceil(BYTES_PER_PERMIT);
        let more = u32::try_from(needed - held).unwrap_or(u32::MAX);
        let Ok(permit) = memory.clone().try_acquire_many_owned(more) else {
            return Err(ApiError::busy(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many large requests at once; try again",
            ));
        };
        held = needed;
        match &mut permits {
            Some(permits) => permits.merge(permit),
            None => permits = Some(permit),
        }
        bytes.extend_from_slice(&data);
    }
    if length > MAX_BODY {
        return Err(too_long());
    }
    Ok(Received { bytes, _memory: permits })
}
