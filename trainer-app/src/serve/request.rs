//! The body of `POST /v1/predict`, and its limits.

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::origin::shortened_to;

/// Maximum number of texts of a request.
pub const MAX_INPUTS: usize = 256;
/// Maximum size of a text in bytes. A token rarely has more than ten, and a BERT uses some hundred tokens; longer texts
/// cost memory and time and are truncated anyway.
pub const MAX_TEXT: usize = 64 << 10;

/// Characters of a parser's error in an answer: enough for one that names a field and the expected ones.
const LONGEST_REASON: usize = 200;

/// A text, and the task to predict.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The name of the task.
    pub task: String,
    /// The text; the first of a pair.
    pub text: String,
    /// The second text of a pair.
    pub text2: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inputs {
    inputs: List,
}

/// The texts of a request, as many as are allowed, and their number.
struct List {
    kept: Vec<Input>,
    found: usize,
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a list of texts")
    }

    /// Texts beyond the limit are only counted: each takes more memory than its bytes.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < MAX_INPUTS {
            let Some(input) = list.next_element()? else {
                return Ok(List { found: kept.len(), kept });
            };
            kept.push(input);
        }
        let mut found = kept.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            found += 1;
        }
        Ok(List { kept, found })
    }
}

/// Why a body is refused.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It is not JSON, or JSON of another shape.
    #[error("the body is not `{{\"inputs\": [{{\"task\": …, \"text\": …}}, …]}}`: {reason}")]
    Malformed {
        /// The error of the parser, shortened: it repeats names of the body, which may be long.
        reason: String,
    },
    /// There are more texts than a request may have.
    #[error("the request has {found} texts, expected at most {MAX_INPUTS}")]
    TooMany {
        /// Number of texts.
        found: usize,
    },
    /// A text is longer than it may be.
    #[error(
        "text {number} has {bytes} bytes, expected at most {MAX_TEXT}; only the first tokens of a text are used"
    )]
    TooLong {
        /// Index of the text in the request, from 0.
        number: usize,
        /// Its length.
        bytes: usize,
    },
    /// A text has a NUL character, as in no text of a file.
    #[error("text {number} has a NUL character, expected text; remove it")]
    Nul {
        /// Index of the text in the request, from 0.
        number: usize,
    },
}

/// Reads a body and checks its sizes.
///
/// # Errors
/// A body of another shape, too many texts, or one that is too long or has a NUL character.
pub fn parse(body: &[u8]) -> Result<Vec<Input>, RequestError> {
    let malformed = |error: serde_json::Error| RequestError::Malformed {
        reason: shortened_to(LONGEST_REASON, &error.to_string()),
    };
    let Inputs { inputs: List { kept: inputs, found } } =
        serde_json::from_slice(body).map_err(malformed)?;
    if found > MAX_INPUTS {
        return Err(RequestError::TooMany { found });
    }
    for (number, input) in inputs.iter().enumerate() {
        let bytes = input.text.len().max(input.text2.as_ref().map_or(0, String::len));
        if bytes > MAX_TEXT {
            return Err(RequestError::TooLong { number, bytes });
        }
        if input.text.contains('\0') || input.text2.as_ref().is_some_and(|text| text.contains('\0'))
        {
            return Err(RequestError::Nul { number });
        }
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(texts: usize) -> Vec<u8> {
        let texts = vec![r#"{"task":"a","text":"b"}"#; texts].join(",");
        format!("{{\"inputs\":[{texts}]}}").into_bytes()
    }

    #[test]
    fn texts_beyond_the_limit_are_counted() {
        assert_eq!(parse(&body(MAX_INPUTS)).unwrap().len(), MAX_INPUTS);
        let error = parse(&body(MAX_INPUTS + 7)).unwrap_err().to_string();
        assert_eq!(error, "the request has 263 texts, expected at most 256");
    }

    #[test]
    fn a_long_unknown_field_is_not_repeated_in_full() {
        let body = format!("{{\"{}\":1}}", "a".repeat(1 << 20));
        let error = parse(body.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("unknown field `aaa") && error.len() < 500, "{error}");
    }
}
