//! `POST /v1/predict`: texts become jobs, and their logits an answer.

use std::sync::Arc;

use anyhow::Result;
use axum::body::Bytes;
use axum::http::StatusCode;
use burn_adapters::HeadKind;
use glue_data::{Encoded, Example, argmax};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::http::{Front, Refusal};
use super::queue::{Job, Refused};
use super::resident::{Resident, Served};
use crate::recipes::predict::softmax;
use crate::rows;

/// Texts of a request.
const MAX_INPUTS: usize = 256;

/// A text to be judged by a task.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    task: String,
    text: String,
    text2: Option<String>,
}

/// The body of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inputs {
    inputs: Vec<Input>,
}

/// A request whose texts are in the queue.
pub(super) struct Asked {
    /// The task of each text.
    tasks: Vec<(String, Served)>,
    logits: UnboundedReceiver<(usize, Vec<f32>)>,
}

/// Puts the texts of a body into the queue; this reads the bank and tokenizes, and so blocks.
pub(super) fn ask(front: &Front, body: &Bytes) -> Result<Asked, Refusal> {
    let resident = front.resident()?;
    let Inputs { inputs } = serde_json::from_slice(body).map_err(|error| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("the body is not `{{\"inputs\": [{{\"task\": …, \"text\": …}}, …]}}`: {error}"),
        )
    })?;
    if inputs.len() > MAX_INPUTS {
        return Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("there are {} texts, expected {MAX_INPUTS} at most", inputs.len()),
        ));
    }
    let (answer, logits) = mpsc::unbounded_channel();
    let mut jobs = Vec::new();
    let mut tasks = Vec::new();
    for (number, Input { task, text, text2 }) in inputs.into_iter().enumerate() {
        let Some(served) = resident.tasks.get(&task) else {
            let known: Vec<_> = resident.tasks.keys().map(String::as_str).collect();
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                format!("there is no task `{task}`; the tasks are {}", known.join(", ")),
            ));
        };
        let example = Example { text, text2, label: None };
        let text = encode(front, &resident, served, example).map_err(|error| {
            Refusal::new(StatusCode::BAD_REQUEST, format!("text {number}: {error:#}"))
        })?;
        jobs.push(Job {
            resident: resident.clone(),
            task: task.clone(),
            place: served.place,
            text,
            number,
            answer: answer.clone(),
        });
        tasks.push((task, served.clone()));
    }
    front.queue.offer(jobs).map_err(|refused| match refused {
        Refused::Full => Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "{} texts may wait, and there is no room for these; try again",
                front.queue.capacity
            ),
        ),
        Refused::Closed => {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is about to end")
        }
    })?;
    Ok(Asked { tasks, logits })
}

impl Asked {
    /// Waits for the logits of all texts.
    pub(super) async fn answer(mut self) -> Result<Value, Refusal> {
        let mut predictions = vec![Value::Null; self.tasks.len()];
        while let Some((number, logits)) = self.logits.recv().await {
            let (task, served) = &self.tasks[number];
            predictions[number] = prediction(task, served, &logits);
        }
        if predictions.iter().any(Value::is_null) {
            return Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the model gave no answer",
            ));
        }
        Ok(json!({ "predictions": predictions }))
    }
}

fn encode(
    front: &Front,
    resident: &Arc<Resident>,
    served: &Served,
    example: Example,
) -> Result<Encoded> {
    let encoder = resident.encoder(served)?;
    let rows = rows::encode(encoder, &front.residents.bert_config, &[example])?;
    Ok(rows.rows()[0].clone())
}

fn prediction(task: &str, served: &Served, logits: &[f32]) -> Value {
    match &served.metadata.head {
        HeadKind::Classification { labels } => {
            let likely = softmax(logits);
            let best = argmax(logits);
            let probabilities: Map<String, Value> =
                labels.iter().cloned().zip(likely.iter().map(|share| json!(share))).collect();
            json!({ "task": task, "label": best.map(|best| &labels[best]), "probabilities": probabilities })
        }
        HeadKind::Regression | HeadKind::Span => json!({ "task": task, "score": logits.first() }),
    }
}
