//! `POST /v1/predict`: queues the texts of a request, and turns their logits into a response.

use std::sync::Arc;

use anyhow::Result;
use axum::http::StatusCode;
use burn_adapters::file::native::TextInput;
use glue_data::{Encoded, Example};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::error::ApiError;
use super::origin::shortened;
use super::queue::{QueuedText, Refused};
use super::registry::{LoadedTask, Registry};
use super::request::{self, Input, RequestError};
use super::state::AppState;
use crate::task_data::kind::{prediction_fields, task_kind};
use crate::task_data::rows;

/// A request whose texts are queued.
pub(super) struct PendingRequest {
    /// The task of each text.
    tasks: Vec<(String, LoadedTask)>,
    /// The prediction of each text; null until its logits arrive.
    predictions: Vec<Value>,
    logits: UnboundedReceiver<(usize, Vec<f32>)>,
}

/// Queues the texts of a body. Reads the bank and tokenizes, and therefore blocks.
pub(super) fn submit(state: &AppState, body: &[u8]) -> Result<PendingRequest, ApiError> {
    let inputs = request::parse(body).map_err(|error| {
        let status = match error {
            RequestError::Malformed { .. } | RequestError::Nul { .. } => StatusCode::BAD_REQUEST,
            RequestError::TooMany { .. } | RequestError::TooLong { .. } => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
        };
        ApiError::new(status, error.to_string())
    })?;
    let registry = state.registries.current();
    let tasks = find_tasks(&registry, &inputs)?;
    for (number, (input, (task, loaded))) in inputs.iter().zip(&tasks).enumerate() {
        let is_pair = input.text2.as_ref().is_some_and(|text2| !text2.is_empty());
        if let Some(expected) = input_mismatch(loaded.metadata.input, is_pair) {
            let sentence = format!("text {number}: the task `{}` {expected}", shortened(task));
            return Err(ApiError::new(StatusCode::BAD_REQUEST, sentence));
        }
    }
    // Before tokenization, which needs more time and memory than waiting.
    let reservation =
        state.queue.reserve(inputs.len()).map_err(|refused| refuse(state, refused))?;
    let (answer, logits) = mpsc::unbounded_channel();
    let mut queued = Vec::with_capacity(inputs.len());
    let mut predictions = vec![Value::Null; inputs.len()];
    for (number, (input, (task, loaded))) in inputs.into_iter().zip(&tasks).enumerate() {
        let example = Example { text: input.text, text2: input.text2, label: None };
        // As in `predict`, a text in which nothing is visible has no label.
        if example.is_blank() {
            predictions[number] = prediction(task, loaded, None);
            continue;
        }
        let text = encode(state, &registry, loaded, example).map_err(|error| {
            ApiError::new(StatusCode::BAD_REQUEST, format!("text {number}: {error:#}"))
        })?;
        queued.push(QueuedText {
            registry: registry.clone(),
            task: task.clone(),
            slot: loaded.slot,
            text,
            number,
            answer: answer.clone(),
        });
    }
    reservation.fill(queued).map_err(|refused| refuse(state, refused))?;
    Ok(PendingRequest { tasks, predictions, logits })
}

/// The task of each text.
fn find_tasks(
    registry: &Registry,
    inputs: &[Input],
) -> Result<Vec<(String, LoadedTask)>, ApiError> {
    let find = |input: &Input| {
        let loaded = registry.tasks.get(&input.task).ok_or_else(|| {
            let known: Vec<_> = registry.tasks.keys().map(String::as_str).collect();
            ApiError::new(
                StatusCode::NOT_FOUND,
                format!(
                    "there is no task `{}`; the tasks are {}",
                    shortened(&input.task),
                    known.join(", ")
                ),
            )
        })?;
        Ok((input.task.clone(), loaded.clone()))
    };
    inputs.iter().map(find).collect()
}

fn refuse(state: &AppState, refused: Refused) -> ApiError {
    let capacity = state.queue.capacity;
    match refused {
        Refused::Full => ApiError::busy(
            StatusCode::TOO_MANY_REQUESTS,
            format!("the queue of {capacity} texts is full; try again"),
        ),
        Refused::TooMany { texts } => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!(
                "the request has {texts} texts, more than the queue of {capacity} holds; send fewer texts per request"
            ),
        ),
        Refused::Closed => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down")
        }
    }
}

/// The input that an adapter expects, if its file records it and the text has another one.
fn input_mismatch(of_adapter: Option<TextInput>, is_pair: bool) -> Option<&'static str> {
    match (of_adapter, is_pair) {
        (Some(TextInput::Single), true) => Some("expects single texts; leave out text2"),
        (Some(TextInput::Pair), false) => Some("expects pairs of texts; text2 is missing"),
        _ => None,
    }
}

impl PendingRequest {
    /// Waits for the logits of all texts.
    pub(super) async fn answer(mut self) -> Result<Value, ApiError> {
        let internal = |reason: String| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, reason);
        while let Some((number, logits)) = self.logits.recv().await {
            let (task, loaded) = &self.tasks[number];
            if logits.iter().any(|logit| !logit.is_finite()) {
                return Err(internal(format!(
                    "the logits of text {number} by `{task}` are not finite numbers"
                )));
            }
            self.predictions[number] = prediction(task, loaded, Some(&logits));
        }
        if self.predictions.iter().any(Value::is_null) {
            return Err(internal("the model returned no logits".to_owned()));
        }
        Ok(json!({ "predictions": self.predictions }))
    }
}

fn encode(
    state: &AppState,
    registry: &Arc<Registry>,
    loaded: &LoadedTask,
    example: Example,
) -> Result<Encoded> {
    let encoder = registry.encoder(loaded)?;
    let rows = rows::encode(encoder, &state.registries.bert_config, &[example])?;
    Ok(rows.rows()[0].clone())
}

fn prediction(task: &str, loaded: &LoadedTask, logits: Option<&[f32]>) -> Value {
    let kind = task_kind(&loaded.metadata.head);
    let mut prediction = Map::new();
    prediction.insert("task".to_owned(), json!(task));
    prediction.insert("kind".to_owned(), json!(kind.name()));
    prediction.extend(prediction_fields(&kind, &loaded.metadata.calibration, logits));
    Value::Object(prediction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_refused_where_the_adapter_expects_pairs() {
        for is_pair in [false, true] {
            assert_eq!(input_mismatch(None, is_pair), None);
            assert_eq!(input_mismatch(Some(TextInput::Single), is_pair).is_some(), is_pair);
            assert_eq!(input_mismatch(Some(TextInput::Pair), is_pair).is_some(), !is_pair);
        }
    }
}
