//! Error responses.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use derive_new::new;
use serde_json::{Value, json};

use super::log::log;

/// An error response: a status and a sentence.
#[derive(Debug, new)]
pub(super) struct ApiError {
    status: StatusCode,
    #[new(into)]
    sentence: String,
    /// Whether the client may retry the request.
    #[new(default)]
    is_temporary: bool,
}

impl ApiError {
    /// An error after which the client may retry.
    pub(super) fn busy(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { is_temporary: true, ..Self::new(status, sentence) }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            log(&self.sentence);
        }
        let response = (self.status, to_json(&json!({ "error": self.sentence })));
        if self.is_temporary {
            ([(RETRY_AFTER, "1")], response).into_response()
        } else {
            response.into_response()
        }
    }
}

/// A response with a JSON body.
pub(super) fn to_json(body: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
