//! A line of a ledger: a cell that has ended, with a checksum of the line.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cell::Cell;
use crate::run::RunResult;
use crate::run_config::RunConfig;

/// A cell that has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The cell's id.
    pub cell: String,
    /// Its end.
    pub end: CellEnd,
    /// The run.
    pub config: RunConfig,
    /// The time of its end, in seconds since 1970; not in ledgers of version 0.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<u64>,
}

/// How a cell ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum CellEnd {
    /// It has a score.
    Done {
        /// The result.
        result: RunResult,
    },
    /// It collapsed: the same prediction for every row, or a loss that is not finite.
    Collapsed {
        /// The observation.
        why: String,
        /// The result until then, if there is a score.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<RunResult>,
    },
    /// Its settings do not work.
    Failed {
        /// The reason.
        why: String,
    },
}

impl CellEnd {
    /// The result, if there is one.
    pub fn result(&self) -> Option<&RunResult> {
        match self {
            Self::Done { result } => Some(result),
            Self::Collapsed { result, .. } => result.as_ref(),
            Self::Failed { .. } => None,
        }
    }

    /// Of two ends of a cell, the one with the higher rank counts.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Failed { .. } => 0,
            Self::Collapsed { .. } => 1,
            Self::Done { .. } => 2,
        }
    }
}

/// Why a line is not a valid entry.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The checksum does not match.
    #[error(
        "the line does not match its checksum: it was damaged or edited; remove the line to run its cell again"
    )]
    Checksum,
    /// The line is not an entry.
    #[error("the line is not an entry; remove it to run its cell again")]
    Json(#[source] serde_json::Error),
    /// The id of a cell does not match its configuration.
    #[error("the cell {found} has the configuration of the cell {expected}")]
    OtherCell {
        /// The id in the line.
        found: String,
        /// The id of the configuration.
        expected: String,
    },
}

/// The text between an entry and its checksum, which is the end of the line.
const KEY: &str = ",\"checksum\":\"";

impl Entry {
    /// The entry as a line of a ledger, with its line feed.
    ///
    /// # Errors
    /// A number that JSON cannot represent.
    pub fn to_line(&self) -> Result<String> {
        let json = serde_json::to_string(self).context("writing an entry as JSON")?;
        let open = json.strip_suffix('}').context("an entry is a JSON object")?;
        ensure!(!json.contains('\n'), "JSON on one line has no line feed");
        Ok(format!("{open}{KEY}{}\"}}\n", checksum(&json)))
    }

    /// Parses a line of a ledger, without its line feed; a line of version 0.1.0 has no checksum.
    ///
    /// # Errors
    /// A line that is damaged, is not an entry, or has another cell's id.
    pub fn from_line(line: &[u8]) -> Result<Self, LineError> {
        let entry: Self = match checked(line) {
            Some((entry, found)) if checksum(&entry) == found => serde_json::from_str(&entry),
            Some(_) => return Err(LineError::Checksum),
            None => serde_json::from_slice(line),
        }
        .map_err(LineError::Json)?;
        let expected = Cell::id_of(&entry.config);
        if entry.cell == expected {
            Ok(entry)
        } else {
            Err(LineError::OtherCell { found: entry.cell, expected })
        }
    }
}

/// The entry of a line and its checksum, if it has one.
fn checked(line: &[u8]) -> Option<(String, &str)> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\"}")?;
    let (entry, checksum) = line.rsplit_once(KEY)?;
    Some((format!("{entry}}}"), checksum))
}

/// Sixteen hexadecimal digits of an entry's SHA-256.
fn checksum(entry: &str) -> String {
    let digest = Sha256::digest(entry);
    let first = digest.first_chunk::<8>().expect("a SHA-256 has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(*first))
}

#[cfg(test)]
pub(crate) mod tests {
    use burn_adapters::Method;

    use super::*;

    /// A cell of a seed that failed.
    pub(crate) fn failed(seed: u64) -> Entry {
        let cell = Cell::new(RunConfig { seed, ..RunConfig::defaults(Method::Houlsby) });
        let end = CellEnd::Failed { why: "a test".to_owned() };
        Entry { cell: cell.id, end, config: cell.config, finished_at: None }
    }

    /// A cell of a seed with a score.
    pub(crate) fn done(seed: u64, score: f64) -> Entry {
        Entry { end: CellEnd::Done { result: result(seed, score) }, ..failed(seed) }
    }

    /// A result with little in it.
    pub(crate) fn result(seed: u64, score: f64) -> RunResult {
        let result = serde_json::json!({
            "task": "helpdesk", "method": "houlsby", "metric": "accuracy", "score": score, "scores": {},
            "majority": 0.5, "best_epoch": 1, "epochs": 1, "steps": 1, "trained_parameters": 10,
            "share_of_base": 0.01, "seconds_per_step": 0.1, "seconds": 1.0, "device": "cpu", "seed": seed,
            "adapter": "adapter.safetensors",
        });
        serde_json::from_value(result).unwrap()
    }

    #[test]
    fn an_entry_survives_its_line_and_no_flipped_bit_does() {
        let line = done(1, 0.875).to_line().unwrap();
        let line = line.strip_suffix('\n').unwrap().as_bytes();
        let entry = Entry::from_line(line).unwrap();
        assert_eq!(entry.cell, done(1, 0.0).cell);
        assert!((entry.end.result().unwrap().score - 0.875).abs() < 1e-12);
        for place in 0..line.len() {
            for bit in 0..8 {
                let mut damaged = line.to_vec();
                damaged[place] ^= 1 << bit;
                assert!(Entry::from_line(&damaged).is_err(), "byte {place}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_line_without_a_checksum_is_read() {
        let line = serde_json::to_string(&done(1, 0.5)).unwrap();
        assert_eq!(Entry::from_line(line.as_bytes()).unwrap().cell, done(1, 0.5).cell);
    }

    #[test]
    fn an_entry_under_the_name_of_another_cell_is_refused() {
        let line = Entry { cell: failed(2).cell, ..failed(1) }.to_line().unwrap();
        let error = Entry::from_line(line.trim_end().as_bytes()).unwrap_err();
        assert!(matches!(error, LineError::OtherCell { .. }), "{error}");
    }
}
