//! Prefixes: `PrefixTuningConfig`.

use serde_json::{Value, json};

use super::values::{layers, leave_out};
use crate::error::{AdapterError, BaseShape};
use crate::interchange::settings::{Harmless, Settings};
use crate::methods::prefix::{PrefixConfig, PrefixGate};

/// The default width of the network that generates prefixes.
const WIDTH: usize = 512;

pub(super) const HARMLESS: &[Harmless] = &[
    (
        "encoder_prefix",
        "of models with a decoder; a BERT's own attention has its prefix either way",
    ),
    ("cross_prefix", "the same"),
    ("dropout", "of training"),
    ("init_weights_seed", "how weights start that are in the file"),
];

/// The configuration for settings.
pub(super) fn read(mut settings: Settings, base: BaseShape) -> Result<PrefixConfig, AdapterError> {
    let length = settings.size("prefix_length", 30)?;
    let width = settings.size("bottleneck_size", WIDTH)?;
    let flat = settings.flag("flat", false)?;
    let mut plan = PrefixConfig::new(length, (!flat).then_some(width));
    let name = settings.text("non_linearity", "tanh")?;
    if !flat && name != "tanh" {
        return Err(settings.refuse("non_linearity", &json!(name), "tanh, for prefixes"));
    }
    let (gated, shared) =
        (settings.flag("use_gating", false)?, settings.flag("shared_gating", true)?);
    plan.gate = match (gated, shared) {
        (false, _) => PrefixGate::None,
        (true, true) => PrefixGate::Shared,
        (true, false) => PrefixGate::Separate,
    };
    plan.layers = layers(&mut settings, base)?;
    settings.skip(HARMLESS);
    settings.finish()?;
    Ok(plan)
}

/// The settings for a configuration.
pub(super) fn write(plan: &PrefixConfig, base: BaseShape) -> Value {
    json!({
        "architecture": "prefix_tuning",
        "encoder_prefix": true,
        "cross_prefix": true,
        "leave_out": leave_out(&plan.layers, base),
        "flat": plan.reparameterization.is_none(),
        "prefix_length": plan.length,
        "bottleneck_size": plan.reparameterization.unwrap_or(WIDTH),
        "non_linearity": "tanh",
        "dropout": 0.0,
        "use_gating": plan.gate != PrefixGate::None,
        "shared_gating": plan.gate != PrefixGate::Separate,
    })
}
