//! The body of `POST /v1/predict`, and how much of what it may have.

use serde::Deserialize;

/// Texts of a request.
pub const MAX_INPUTS: usize = 256;
/// Bytes of a text. A token is rarely longer than ten, and no BERT reads more than some hundred of them; what is beyond
/// costs memory and time and does not change the answer.
pub const MAX_TEXT: usize = 64 << 10;

/// A text to be judged by a task.
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
    inputs: Vec<Input>,
}

/// Why a body is not taken.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It is no JSON, or JSON of another shape.
    #[error("the body is not `{{\"inputs\": [{{\"task\": …, \"text\": …}}, …]}}`: {0}")]
    Malformed(#[from] serde_json::Error),
    /// There are more texts than a request may have.
    #[error("there are {found} texts, expected {MAX_INPUTS} at most")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// A text is longer than it may be.
    #[error(
        "text {number} has {bytes} bytes, expected {MAX_TEXT} at most; a task reads only the first tokens of a text"
    )]
    TooLong {
        /// Which text of the request, from 0.
        number: usize,
        /// Its length.
        bytes: usize,
    },
}

/// Reads a body and checks its sizes.
///
/// # Errors
/// A body of another shape, too many texts, or one that is too long.
pub fn parse(body: &[u8]) -> Result<Vec<Input>, RequestError> {
    let Inputs { inputs } = serde_json::from_slice(body)?;
    if inputs.len() > MAX_INPUTS {
        return Err(RequestError::TooMany { found: inputs.len() });
    }
    for (number, input) in inputs.iter().enumerate() {
        let bytes = input.text.len().max(input.text2.as_ref().map_or(0, String::len));
        if bytes > MAX_TEXT {
            return Err(RequestError::TooLong { number, bytes });
        }
    }
    Ok(inputs)
}
