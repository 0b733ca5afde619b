//! `progress.json`: the progress and the identity of a run, and checksums of everything.
//!
//! Version 1 is the progress alone. Since version 2:
//!
//! ```json
//! {"version": 2, "progress": {…}, "run": {…}, "files": {"trained.bpk": "crc32c:0a1b2c3d", …}, "checksum": "crc32c:…"}
//! ```
//!
//! The checksum is that of everything before it as compact JSON. Floating-point numbers are written as strings, because
//! JSON readers may round numbers, and a run has to resume bit for bit. The texts of the progress, which are labels, begin
//! with an apostrophe.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::identity::Identity;
use crate::learner::progress::Progress;

const VERSION: u64 = 2;
const CHECKSUM: &str = "checksum";

/// The content of a `progress.json`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    /// The progress of the run.
    pub(super) progress: Progress,
    /// The identity of the run and the checksums of the other files, which version 1 does not have.
    pub(super) checked: Option<Checked>,
}

/// The parts that are checked when a run is resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checked {
    pub(super) run: Identity,
    /// Checksums by file name.
    pub(super) files: BTreeMap<String, String>,
}

/// A record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    /// The record is damaged.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The record has a newer version.
    #[error("it has version {0}, this program reads versions 1 and {VERSION}")]
    Version(u64),
}

/// The checksum of bytes, as it is written in the file.
pub(super) fn checksum(bytes: &[u8]) -> String {
    format!("crc32c:{:08x}", crc32c::crc32c(bytes))
}

impl Record {
    /// The content of the file.
    pub(super) fn write(
        progress: &Progress,
        checked: &Checked,
    ) -> Result<Vec<u8>, serde_json::Error> {
        let mut content = Map::new();
        content.insert("version".to_owned(), VERSION.into());
        content.insert("progress".to_owned(), with_text(serde_json::to_value(progress)?));
        let Value::Object(checked) = serde_json::to_value(checked)? else {
            return Err(serde::ser::Error::custom("a struct is an object"));
        };
        content.extend(checked);
        let sum = checksum(&serde_json::to_vec(&content)?);
        content.insert(CHECKSUM.to_owned(), sum.into());
        serde_json::to_vec_pretty(&content)
    }

    /// Reads a file of any version.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        let damaged = |error: serde_json::Error| RecordError::Damaged(error.to_string());
        let mut content: Map<String, Value> = serde_json::from_slice(bytes).map_err(damaged)?;
        match content.get("version").and_then(Value::as_u64) {
            Some(1) => {
                let progress = serde_json::from_value(Value::Object(content)).map_err(damaged)?;
                return Ok(Self { progress, checked: None });
            }
            Some(VERSION) => {}
            Some(other) => return Err(RecordError::Version(other)),
            None => return Err(RecordError::Damaged("it has no version".to_owned())),
        }
        let expected = content.remove(CHECKSUM);
        let found = checksum(&serde_json::to_vec(&content).map_err(damaged)?);
        if expected.as_ref().and_then(Value::as_str) != Some(&found) {
            return Err(RecordError::Damaged("its checksum is wrong".to_owned()));
        }
        let progress = content.remove("progress").unwrap_or_default();
        Ok(Self {
            progress: serde_json::from_value(with_numbers(progress)).map_err(damaged)?,
            checked: Some(serde_json::from_value(Value::Object(content)).map_err(damaged)?),
        })
    }
}

/// Before a text, which may look like a number.
const TEXT: char = '\'';

/// Replaces floating-point numbers by strings.
fn with_text(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            // Rust writes enough digits to identify the number.
            number.as_f64().map_or(Value::Null, |number| Value::String(format!("{number:?}")))
        }
        Value::String(text) => Value::String(format!("{TEXT}{text}")),
        Value::Array(items) => items.into_iter().map(with_text).collect(),
        Value::Object(entries) => {
            entries.into_iter().map(|(key, value)| (key, with_text(value))).collect()
        }
        other => other,
    }
}

/// The inverse of [`with_text`].
fn with_numbers(value: Value) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix(TEXT) {
            Some(text) => Value::String(text.to_owned()),
            None => text.parse().map_or(Value::String(text), |number: f64| number.into()),
        },
        Value::Array(items) => items.into_iter().map(with_numbers).collect(),
        Value::Object(entries) => {
            entries.into_iter().map(|(key, value)| (key, with_numbers(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use burn_adapters::Method;
    use burn_adapters::file::native::Calibration;
    use serde_json::json;

    use super::*;
    use crate::learner::checkpoint::identity::tests::identity;
    use crate::learner::progress::EpochReport;
    use crate::run_config::RunConfig;
    use crate::task_data::score_details::{NamedScore, ScoreDetails};

    fn record(epochs: u32) -> (Progress, Checked) {
        // Numbers of which an imprecise JSON reader changes the last bit.
        let odd = |index: u32| f64::from(index).sqrt() / 1e3;
        let report = |epoch: u32| EpochReport {
            epoch: epoch as usize,
            train_loss: odd(7 * epoch + 2),
            validation_loss: odd(11 * epoch + 3),
            score: odd(13 * epoch + 5),
            scores: [("accuracy".to_owned(), json!(odd(13 * epoch + 5)))].into_iter().collect(),
            calibration: Calibration { temperature: Some(odd(epoch)), ..Calibration::default() },
            details: (epoch == 7).then(|| details(odd(epoch))),
            single_class: false,
            seconds_per_step: odd(17 * epoch + 6),
        };
        let progress = Progress {
            steps: 1234,
            epochs: (1..=epochs).map(report).collect(),
            loss_sum: 0.1 + 0.2,
            seconds: 1e-300,
            loss_scale: None,
            ties_by_loss: true,
        };
        let run = identity(&RunConfig::defaults(Method::Houlsby), 3);
        let files = [("trained.bpk".to_owned(), checksum(b"bytes"))].into_iter().collect();
        (progress, Checked { run, files })
    }

    fn details(score: f64) -> ScoreDetails {
        // Labels that look like numbers, or like their texts here.
        let of = |label: &str| NamedScore {
            label: label.to_owned(),
            precision: score,
            recall: score / 3.0,
            f1: 0.0,
            support: 3,
            threshold: None,
        };
        let by_label = ["1", "2.50", "nan", "'1", ""].map(of).to_vec();
        ScoreDetails { by_label, confusion: vec![vec![1, 2]], ..ScoreDetails::default() }
    }

    #[test]
    fn a_record_is_read_bit_for_bit() {
        let (progress, checked) = record(60);
        let bytes = Record::write(&progress, &checked).unwrap();
        assert_eq!(Record::read(&bytes).unwrap(), Record { progress, checked: Some(checked) });
    }

    #[test]
    fn damaged_records_are_refused() {
        let (progress, checked) = record(1);
        let bytes = Record::write(&progress, &checked).unwrap();
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            // White space between values has no meaning.
            if let Ok(read) = Record::read(&damaged) {
                assert!(bytes[place].is_ascii_whitespace(), "byte {place}");
                assert_eq!(read.progress, progress);
            }
        }
        assert!(Record::read(&bytes[..bytes.len() - 2]).is_err());
        let newer = br#"{"version": 3}"#;
        assert!(matches!(Record::read(newer), Err(RecordError::Version(3))));
    }

    #[test]
    fn a_record_of_version_1_has_no_identity() {
        let old = br#"{"version": 1, "steps": 9, "epochs": [], "loss_sum": 1.5, "seconds": 2.0}"#;
        let read = Record::read(old).unwrap();
        assert_eq!((read.progress.steps, read.checked), (9, None));
    }
}
