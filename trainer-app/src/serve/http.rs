//! Requests and their answers.

use std::io::Read;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use anyhow::Result;
use burn_adapters::HeadKind;
use glue_data::Example;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tiny_http::{Header, Method, Request, Response, Server};

use super::metrics::Metrics;
use super::queue::{CAPACITY, Job, Queue};
use super::resident::{Resident, Residents, Served};
use crate::recipes::predict::softmax;
use crate::rows;

/// Bytes of a request's body.
const MAX_BODY: usize = 1 << 20;
/// Texts of a request.
const MAX_INPUTS: usize = 256;

/// The page at `/`; it needs nothing from elsewhere.
const PAGE: &str = include_str!("page.html");

/// What reads requests.
pub(super) struct Front {
    pub(super) server: Server,
    pub(super) residents: Residents,
    pub(super) queue: Arc<Queue>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) token: Option<String>,
}

/// A text to be judged by a task.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    task: String,
    text: String,
    text2: Option<String>,
}

/// The body of `POST /v1/predict`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inputs {
    inputs: Vec<Input>,
}

/// An answer: its status, its kind and its text.
struct Answer {
    status: u16,
    content_type: &'static str,
    body: String,
}

impl Answer {
    fn json(body: &Value) -> Self {
        Self { status: 200, content_type: "application/json", body: body.to_string() }
    }

    fn text(content_type: &'static str, body: String) -> Self {
        Self { status: 200, content_type, body }
    }

    /// A refusal, as a sentence.
    fn refusal(status: u16, sentence: impl Into<String>) -> Self {
        let body = json!({ "error": sentence.into() });
        Self { status, ..Self::json(&body) }
    }
}

impl Front {
    /// Answers requests until it is asked to stop.
    pub(super) fn run(&self) {
        // An error is the call to stop, too.
        while let Ok(mut request) = self.server.recv() {
            let start = Instant::now();
            let answer = self.answer(&mut request);
            self.metrics.answered(answer.status, start.elapsed());
            let kind = Header::from_bytes("Content-Type", answer.content_type);
            let kind = kind.expect("the kinds of content are written here");
            let response = Response::from_string(answer.body).with_status_code(answer.status);
            // Whoever asked may have gone.
            let _ = request.respond(response.with_header(kind));
        }
    }

    /// Ends so many threads that [`run`](Self::run), each after the request it answers.
    pub(super) fn stop(&self, threads: usize) {
        for _ in 0..threads {
            self.server.unblock();
        }
    }

    fn answer(&self, request: &mut Request) -> Answer {
        let path = request.url().split('?').next().unwrap_or_default().to_owned();
        match (request.method(), path.as_str()) {
            (Method::Get, "/") => return Answer::text("text/html; charset=utf-8", PAGE.to_owned()),
            (Method::Get, "/healthz") => return Answer::text("text/plain", "ok\n".to_owned()),
            _ if !self.is_allowed(request) => {
                return Answer::refusal(
                    401,
                    "the header `Authorization: Bearer TOKEN` is missing or has another token",
                );
            }
            _ => {}
        }
        let resident = match self.residents.current() {
            Ok(resident) => resident,
            Err(error) => return Answer::refusal(503, format!("{error:#}")),
        };
        match (request.method(), path.as_str()) {
            (Method::Get, "/metrics") => Answer::text(
                "text/plain; version=0.0.4",
                self.metrics.text(self.queue.len(), resident.tasks.len()),
            ),
            (Method::Get, "/v1/tasks") => Answer::json(&tasks(&resident)),
            (Method::Post, "/v1/predict") => self.predict(request, &resident),
            (_, "/" | "/healthz" | "/metrics" | "/v1/tasks" | "/v1/predict") => {
                Answer::refusal(405, format!("{} is not how {path} is asked", request.method()))
            }
            _ => Answer::refusal(
                404,
                format!(
                    "there is nothing at {path}; there are /v1/predict, /v1/tasks, /healthz, /metrics and /"
                ),
            ),
        }
    }

    fn is_allowed(&self, request: &Request) -> bool {
        let Some(token) = &self.token else { return true };
        let shown = request.headers().iter().find(|header| header.field.equiv("Authorization"));
        let shown = shown.and_then(|header| header.value.as_str().strip_prefix("Bearer "));
        // Digests, so that the time tells nothing of the token.
        shown.is_some_and(|shown| Sha256::digest(shown) == Sha256::digest(token))
    }

    fn predict(&self, request: &mut Request, resident: &Arc<Resident>) -> Answer {
        let mut body = Vec::new();
        let limit = MAX_BODY as u64 + 1;
        let too_long = request.body_length().is_some_and(|length| length > MAX_BODY);
        if !too_long && request.as_reader().take(limit).read_to_end(&mut body).is_err() {
            return Answer::refusal(400, "the body could not be read");
        }
        if too_long || body.len() > MAX_BODY {
            return Answer::refusal(
                413,
                format!("the body is longer than {MAX_BODY} bytes; send fewer texts at once"),
            );
        }
        let inputs = match serde_json::from_slice::<Inputs>(&body) {
            Ok(Inputs { inputs }) => inputs,
            Err(error) => {
                return Answer::refusal(
                    400,
                    format!(
                        "the body is not `{{\"inputs\": [{{\"task\": …, \"text\": …}}, …]}}`: {error}"
                    ),
                );
            }
        };
        if inputs.len() > MAX_INPUTS {
            return Answer::refusal(
                413,
                format!("there are {} texts, expected {MAX_INPUTS} at most", inputs.len()),
            );
        }
        let (answers, answered) = mpsc::channel();
        let mut jobs = Vec::new();
        let mut asked = Vec::new();
        for (number, input) in inputs.iter().enumerate() {
            let Some(served) = resident.tasks.get(&input.task) else {
                let known: Vec<_> = resident.tasks.keys().map(String::as_str).collect();
                return Answer::refusal(
                    404,
                    format!(
                        "there is no task `{}`; the tasks are {}",
                        input.task,
                        known.join(", ")
                    ),
                );
            };
            let text = match self.encode(resident, served, input) {
                Ok(text) => text,
                Err(error) => return Answer::refusal(400, format!("text {number}: {error:#}")),
            };
            jobs.push(Job {
                resident: resident.clone(),
                task: input.task.clone(),
                place: served.place,
                text,
                number,
                answer: answers.clone(),
            });
            asked.push((input.task.as_str(), served));
        }
        drop(answers);
        if !self.queue.offer(jobs) {
            return Answer::refusal(
                429,
                format!("{CAPACITY} texts may wait, and there is no room for these; try again"),
            );
        }
        let mut predictions = vec![Value::Null; asked.len()];
        for (number, logits) in answered {
            let (task, served) = asked[number];
            predictions[number] = prediction(task, served, &logits);
        }
        if predictions.iter().any(Value::is_null) {
            return Answer::refusal(500, "the model gave no answer");
        }
        Answer::json(&json!({ "predictions": predictions }))
    }

    fn encode(
        &self,
        resident: &Resident,
        served: &Served,
        input: &Input,
    ) -> Result<glue_data::Encoded> {
        let (text, text2) = (input.text.clone(), input.text2.clone());
        let example = Example { text, text2, label: None };
        let encoder = resident.encoder(served)?;
        let rows = rows::encode(encoder, &self.residents.bert_config, &[example])?;
        Ok(rows.rows()[0].clone())
    }
}

fn tasks(resident: &Resident) -> Value {
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

fn prediction(task: &str, served: &Served, logits: &[f32]) -> Value {
    match &served.metadata.head {
        HeadKind::Classification { labels } => {
            let likely = softmax(logits);
            let best = (0..likely.len()).max_by(|a, b| likely[*a].total_cmp(&likely[*b]));
            let probabilities: Map<String, Value> =
                labels.iter().cloned().zip(likely.iter().map(|share| json!(share))).collect();
            json!({ "task": task, "label": best.map(|best| &labels[best]), "probabilities": probabilities })
        }
        HeadKind::Regression | HeadKind::Span => json!({ "task": task, "score": logits.first() }),
    }
}
