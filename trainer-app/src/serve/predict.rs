//! `POST /v1/predict`: queues the texts of a request, and turns their logits into a response.

use std::ops::Range;
use std::sync::Arc;

use anyhow::Result;
use axum::http::StatusCode;
use burn_adapters::HeadKind;
use burn_adapters::file::native::TextInput;
use glue_data::tagging::{TaggedText, WordWindows};
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
use crate::task_data::tags::{entities_json, found_entities, split, word_tags};

/// A request whose texts are queued.
pub(super) struct PendingRequest {
    texts: Vec<PendingText>,
    /// The logits of each row, by its number; a long text of a task that labels words has several rows.
    logits: UnboundedReceiver<(usize, Vec<f32>)>,
}

/// A text whose words are labeled, and its rows.
type TextWords = (TaggedText, WordWindows);

/// A text whose logits are awaited.
struct PendingText {
    task: String,
    loaded: LoadedTask,
    /// The numbers of its rows; none if it is blank.
    rows: Range<usize>,
    /// The words, if they are labeled.
    words: Option<TextWords>,
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
    let mut reservation =
        state.queue.reserve(inputs.len()).map_err(|refused| refuse(state, refused))?;
    let (answer, logits) = mpsc::unbounded_channel();
    let mut queued = Vec::with_capacity(inputs.len());
    let mut texts = Vec::with_capacity(inputs.len());
    for (number, (input, (task, loaded))) in inputs.into_iter().zip(tasks).enumerate() {
        let (rows, words) = encode(state, &registry, &loaded, input).map_err(|error| {
            ApiError::new(StatusCode::BAD_REQUEST, format!("text {number}: {error:#}"))
        })?;
        let first = queued.len();
        reservation.grow(first + rows.len()).map_err(|refused| refuse(state, refused))?;
        queued.extend(rows.into_iter().zip(first..).map(|(text, number)| QueuedText {
            registry: registry.clone(),
            task: task.clone(),
            slot: loaded.slot,
            text,
            number,
            answer: answer.clone(),
        }));
        texts.push(PendingText { task, loaded, rows: first..queued.len(), words });
    }
    reservation.fill(queued).map_err(|refused| refuse(state, refused))?;
    Ok(PendingRequest { texts, logits })
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
                "the request has {texts} texts or windows of long texts, more than the queue of {capacity} holds; send fewer \
                 texts per request"
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
        let mut logits = vec![None; self.texts.last().map_or(0, |text| text.rows.end)];
        while let Some((row, found)) = self.logits.recv().await {
            logits[row] = Some(found);
        }
        let Some(logits) = logits.into_iter().collect::<Option<Vec<_>>>() else {
            return Err(internal("the model returned no logits".to_owned()));
        };
        let is_finite = |logits: &Vec<f32>| logits.iter().all(|logit| logit.is_finite());
        for (number, text) in self.texts.iter().enumerate() {
            if !logits[text.rows.clone()].iter().all(is_finite) {
                return Err(internal(format!(
                    "the logits of text {number} by `{}` are not finite numbers",
                    text.task
                )));
            }
        }
        let predictions = self.texts.iter().map(|text| text.prediction(&logits[text.rows.clone()]));
        Ok(json!({ "predictions": predictions.collect::<Vec<_>>() }))
    }
}

impl PendingText {
    /// The prediction from the logits of the text's rows. As in `predict`, a text in which nothing is visible has no label.
    fn prediction(&self, rows: &[Vec<f32>]) -> Value {
        let kind = task_kind(&self.loaded.metadata.head);
        let mut prediction = Map::new();
        prediction.insert("task".to_owned(), json!(self.task));
        prediction.insert("kind".to_owned(), json!(kind.name()));
        match (&self.words, kind.labels()) {
            (Some((text, windows)), Some(labels)) => {
                let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
                let tags = word_tags(windows, 0, &rows, labels.len());
                let found = entities_json(text, &found_entities(&tags, labels));
                prediction.insert("entities".to_owned(), found);
            }
            _ => prediction.extend(prediction_fields(
                &kind,
                &self.loaded.metadata.calibration,
                rows.first().map(Vec::as_slice),
            )),
        }
        Value::Object(prediction)
    }
}

/// The rows of a text, none if it is blank, and its words, if the task labels them.
fn encode(
    state: &AppState,
    registry: &Arc<Registry>,
    loaded: &LoadedTask,
    input: Input,
) -> Result<(Vec<Encoded>, Option<TextWords>)> {
    let (encoder, bert) = (registry.encoder(loaded)?, &state.registries.bert_config);
    if let HeadKind::TokenClassification { .. } = loaded.metadata.head {
        let text = split(input.text, 1);
        let windows = WordWindows::cut(std::slice::from_ref(&text), encoder)?;
        rows::check(bert, windows.rows())?;
        return Ok((windows.rows().rows().to_vec(), Some((text, windows))));
    }
    let example = Example { text: input.text, text2: input.text2, label: None };
    if example.is_blank() {
        return Ok((Vec::new(), None));
    }
    Ok((rows::encode(encoder, bert, &[example])?.rows().to_vec(), None))
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
