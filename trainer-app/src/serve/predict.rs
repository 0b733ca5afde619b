//! `POST /v1/predict`: texts become jobs, and their logits an answer.

use std::sync::Arc;

use anyhow::Result;
use axum::http::StatusCode;
use burn_adapters::file::native::TextInput;
use glue_data::{Encoded, Example};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::http::{ApiError, AppState};
use super::origin::shortened;
use super::queue::{QueuedBatch, Refused};
use super::registry::{LoadedTask, Registry};
use super::request::{self, Input, RequestError};
use crate::task_data::kind::{prediction_fields, task_kind};
use crate::task_data::rows;

/// A request whose texts are in the queue.
pub(super) struct PendingRequest {
    /// The task of each text.
    tasks: Vec<(String, LoadedTask)>,
    logits: UnboundedReceiver<(usize, Vec<f32>)>,
}

/// Puts the texts of a body into the queue; this reads the bank and tokenizes, and so blocks.
pub(super) fn submit(front: &AppState, body: &[u8]) -> Result<PendingRequest, ApiError> {
    let inputs = request::parse(body).map_err(|error| {
        let status = match error {
            RequestError::Malformed(_) => StatusCode::BAD_REQUEST,
            RequestError::TooMany { .. } | RequestError::TooLong { .. } => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
        };
        ApiError::new(status, error.to_string())
    })?;
    let registry = front.registries.current();
    let tasks = loaded_task(&registry, &inputs)?;
    for (number, (input, (task, served))) in inputs.iter().zip(&tasks).enumerate() {
        let is_pair = input.text2.as_ref().is_some_and(|text2| !text2.is_empty());
        if let Some(wrong) = other_input(served.metadata.input, is_pair) {
            let sentence = format!("text {number}: the task `{}` {wrong}", shortened(task));
            return Err(ApiError::new(StatusCode::BAD_REQUEST, sentence));
        }
    }
    // Before anything is tokenized, which takes more time and memory than to wait.
    let room = front.queue.reserve(inputs.len()).map_err(|refused| refuse(front, refused))?;
    let (answer, logits) = mpsc::unbounded_channel();
    let mut jobs = Vec::with_capacity(inputs.len());
    for (number, (input, (task, served))) in inputs.into_iter().zip(&tasks).enumerate() {
        let example = Example { text: input.text, text2: input.text2, label: None };
        let text = encode(front, &registry, served, example).map_err(|error| {
            ApiError::new(StatusCode::BAD_REQUEST, format!("text {number}: {error:#}"))
        })?;
        jobs.push(QueuedBatch {
            registry: registry.clone(),
            task: task.clone(),
            place: served.place,
            text,
            number,
            answer: answer.clone(),
        });
    }
    room.fill(jobs).map_err(|refused| refuse(front, refused))?;
    Ok(PendingRequest { tasks, logits })
}

/// The task of each text.
fn loaded_task(
    registry: &Registry,
    inputs: &[Input],
) -> Result<Vec<(String, LoadedTask)>, ApiError> {
    let find = |input: &Input| {
        let served = registry.tasks.get(&input.task).ok_or_else(|| {
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
        Ok((input.task.clone(), served.clone()))
    };
    inputs.iter().map(find).collect()
}

fn refuse(front: &AppState, refused: Refused) -> ApiError {
    let capacity = front.queue.capacity;
    match refused {
        Refused::Full => ApiError::busy(
            StatusCode::TOO_MANY_REQUESTS,
            format!("{capacity} texts may wait, and there is no room for these; try again"),
        ),
        Refused::TooMany { texts } => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!(
                "there are {texts} texts, and {capacity} may wait at this server; send fewer texts at once"
            ),
        ),
        Refused::Closed => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the server is about to end")
        }
    }
}

/// What is wrong with one text or two for an adapter that was trained on these, where its file says so.
fn other_input(of_adapter: Option<TextInput>, is_pair: bool) -> Option<&'static str> {
    match (of_adapter, is_pair) {
        (Some(TextInput::Single), true) => Some("reads single texts; leave out text2"),
        (Some(TextInput::Pair), false) => Some("reads pairs of texts; text2 is missing"),
        _ => None,
    }
}

impl PendingRequest {
    /// Waits for the logits of all texts.
    pub(super) async fn answer(mut self) -> Result<Value, ApiError> {
        let broken = |reason: String| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, reason);
        let mut predictions = vec![Value::Null; self.tasks.len()];
        while let Some((number, logits)) = self.logits.recv().await {
            let (task, served) = &self.tasks[number];
            if logits.iter().any(|logit| !logit.is_finite()) {
                return Err(broken(format!(
                    "the logits of text {number} by `{task}` are not finite numbers"
                )));
            }
            predictions[number] = prediction(task, served, &logits);
        }
        if predictions.iter().any(Value::is_null) {
            return Err(broken("the model gave no answer".to_owned()));
        }
        Ok(json!({ "predictions": predictions }))
    }
}

fn encode(
    front: &AppState,
    registry: &Arc<Registry>,
    served: &LoadedTask,
    example: Example,
) -> Result<Encoded> {
    let encoder = registry.encoder(served)?;
    let rows = rows::encode(encoder, &front.registries.bert_config, &[example])?;
    Ok(rows.rows()[0].clone())
}

fn prediction(task: &str, served: &LoadedTask, logits: &[f32]) -> Value {
    let mut prediction = Map::from_iter([("task".to_owned(), json!(task))]);
    prediction.extend(prediction_fields(&task_kind(&served.metadata.head), Some(logits)));
    Value::Object(prediction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_refused_where_the_adapter_reads_pairs() {
        for is_pair in [false, true] {
            assert_eq!(other_input(None, is_pair), None);
            assert_eq!(other_input(Some(TextInput::Single), is_pair).is_some(), is_pair);
            assert_eq!(other_input(Some(TextInput::Pair), is_pair).is_some(), !is_pair);
        }
    }
}
