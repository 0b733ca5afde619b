//! What the settings of several kinds of modules have in common.

use serde_json::{Value, json};

use crate::error::{AdapterError, BaseShape, InterchangeError};
use crate::interchange::settings::Settings;
use crate::methods::Activation;
use crate::methods::layers::Layers;

/// The name of the format in messages.
pub(crate) const FORMAT: &str = "AdapterHub";

/// Differences between the package's versions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version {
    /// `gelu` was the tanh approximation.
    pub(crate) old_activations: bool,
    /// `alpha` had no effect.
    pub(crate) without_alpha: bool,
}

impl Version {
    /// Parses the version that wrote a file.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        let numbers = text.and_then(|text| text.strip_prefix("adapters."));
        let number = |part: Option<&str>| part.and_then(|part| part.parse().ok()).unwrap_or(0);
        let before_alpha = |numbers: &str| {
            let mut parts = numbers.split('.');
            (number(parts.next()), number(parts.next())) < (1_u64, 1_u64)
        };
        Self { old_activations: text.is_none(), without_alpha: numbers.is_some_and(before_alpha) }
    }
}

pub(super) fn layers(settings: &mut Settings, base: BaseShape) -> Result<Layers, AdapterError> {
    let left_out = settings.sizes("leave_out")?;
    if left_out.is_empty() {
        return Ok(Layers::All);
    }
    Ok(Layers::Only((0..base.n_layers).filter(|layer| !left_out.contains(layer)).collect()))
}

pub(super) fn leave_out(layers: &Layers, base: BaseShape) -> Value {
    let out: Vec<usize> = (0..base.n_layers).filter(|layer| !layers.contains(*layer)).collect();
    json!(out)
}

/// An activation by name; see [`Version`] for old files.
pub(crate) fn activation(name: &str, old: bool) -> Option<Activation> {
    Some(match name.to_lowercase().as_str() {
        "relu" => Activation::Relu,
        "gelu" if old => Activation::GeluNew,
        "gelu" | "gelu_orig" => Activation::Gelu,
        "gelu_new" => Activation::GeluNew,
        "swish" | "silu" => Activation::Swish,
        "tanh" => Activation::Tanh,
        _ => return None,
    })
}

pub(crate) const ACTIVATIONS: &str = "relu, gelu, gelu_new, swish, silu or tanh";

pub(crate) fn unsupported(what: &str) -> InterchangeError {
    let remedy = "use the adapter file itself, or train without it";
    InterchangeError::Unsupported { format: FORMAT, what: what.to_owned(), remedy }
}
