//! Bottlenecks: `BnConfig` and what derives from it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::values::{ACTIVATIONS, Version, activation, layers, leave_out, unsupported};
use crate::error::{AdapterError, BaseShape};
use crate::interchange::settings::{Harmless, Settings};
use crate::methods::bottleneck::{
    BottleneckConfig, Combine, FinalNorm, OuterNorm, Placement, ResidualSource, Scaling, Sites,
};
use crate::methods::bottleneck::{INNER_NORM_EPSILON, InnerNorm};

/// Standard deviation of `init_weights="bert"`, which has no effect once there are weights.
const INIT_STD: f64 = 0.02;

/// ε of `adapter_norm_before`: the default of `torch.nn.LayerNorm`.
const NORM_EPSILON: f64 = 1e-5;

pub(super) const HARMLESS: &[Harmless] = &[
    ("dropout", "of training"),
    ("init_weights", "how weights start that are in the file"),
    ("init_weights_seed", "the same"),
    ("cross_adapter", "of models with a decoder"),
    ("inv_adapter_reduction_factor", "of `inv_adapter`, which is refused"),
    ("phm_dim", "of `phm_layer`, which is refused"),
    ("factorized_phm_W", "the same"),
    ("shared_W_phm", "the same"),
    ("shared_phm_rule", "the same"),
    ("factorized_phm_rule", "the same"),
    ("phm_c_init", "the same"),
    ("phm_init_range", "the same"),
    ("learn_phm", "the same"),
    ("hypercomplex_nonlinearity", "the same"),
    ("phm_rank", "the same"),
    ("phm_bias", "the same"),
];

/// The configuration for settings.
pub(super) fn read(
    mut settings: Settings,
    version: Version,
    base: BaseShape,
) -> Result<BottleneckConfig, AdapterError> {
    let sites = match (settings.flag("mh_adapter", false)?, settings.flag("output_adapter", false)?)
    {
        (true, true) => Sites::Both,
        (true, false) => Sites::Attention,
        (false, true) => Sites::FeedForward,
        (false, false) => {
            let expected = "`mh_adapter` or `output_adapter` to be true";
            return Err(settings.refuse("mh_adapter", &json!(false), expected));
        }
    };
    let (size, other_sizes) = bottleneck_sizes(&mut settings, base)?;
    let name = settings.text("non_linearity", "")?;
    let activation = activation(&name, version.old_activations)
        .ok_or_else(|| settings.refuse("non_linearity", &json!(name), ACTIVATIONS))?;
    let parallel = settings.flag("is_parallel", false)?;
    let after_norm = settings.flag("original_ln_before", false)?;
    let residual = settings.take("residual_before_ln").unwrap_or(json!(true));
    let skip = match (&residual, parallel) {
        (Value::Bool(false), false) if after_norm => ResidualSource::BottleneckInput,
        (Value::Bool(_), _) => ResidualSource::SublayerOutput,
        (Value::String(text), _) if text == "post_add" && after_norm && !parallel => {
            ResidualSource::Sum
        }
        _ => {
            let expected = "true, false, or \"post_add\" together with `original_ln_before`";
            return Err(settings.refuse("residual_before_ln", &residual, expected));
        }
    };
    let residual_first = settings.flag("adapter_residual_before_ln", false)?;
    let factor = settings.take("scaling").unwrap_or(json!(1.0));
    let scaling = match &factor {
        Value::String(text) if text == "learned" => Scaling::Learned,
        Value::String(text) if text == "channel" => Scaling::PerChannel,
        other => match other.as_f64() {
            Some(factor) if parallel || (factor - 1.0).abs() <= 0.0 => Scaling::None,
            Some(factor) => Scaling::Fixed(factor),
            None => {
                let expected = "a number, \"learned\" or \"channel\"";
                return Err(settings.refuse("scaling", &factor, expected));
            }
        },
    };
    // Without a norm its ε is that of every other plan without one, so that equal plans are equal.
    let (inner_norm, inner_norm_epsilon) = if settings.flag("ln_before", false)? {
        (InnerNorm::Layer, NORM_EPSILON)
    } else {
        (InnerNorm::None, INNER_NORM_EPSILON)
    };
    let plan = BottleneckConfig {
        layers: layers(&mut settings, base)?,
        sites,
        placement: match (parallel, after_norm) {
            (true, _) => Placement::Parallel { scaling: factor.as_f64().unwrap_or(1.0) },
            (false, true) => Placement::AfterNorm,
            (false, false) => Placement::Serial,
        },
        size,
        activation,
        init_std: INIT_STD,
        inner_norm,
        inner_norm_epsilon,
        depth: 1,
        combine: Combine::Add,
        sizes: other_sizes,
        scaling,
        gate: settings.flag("use_gating", false)?,
        skip,
        outer_norm: match (settings.flag("ln_after", false)?, residual_first && !parallel) {
            (false, _) => OuterNorm::None,
            (true, false) => OuterNorm::Output,
            (true, true) => OuterNorm::Sum,
        },
        final_norm: if settings.flag("original_ln_after", true)? {
            FinalNorm::Applied
        } else {
            FinalNorm::Omitted
        },
    };
    let off = ["phm_layer", "inv_adapter", "invertible_adapter", "stochastic_depth"];
    settings.must_be_off(&off)?;
    settings.skip(HARMLESS);
    settings.finish()?;
    Ok(plan)
}

/// The default width, and the widths of layers that differ.
fn bottleneck_sizes(
    settings: &mut Settings,
    base: BaseShape,
) -> Result<(usize, BTreeMap<usize, usize>), AdapterError> {
    const KEY: &str = "reduction_factor";
    let value = settings.take(KEY).unwrap_or(Value::Null);
    let size_of = |value: &Value| {
        let factor = value.as_f64().filter(|factor| factor.is_finite() && *factor > 0.0)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "above 0")]
        let size = floor_division(base.d_model as f64, factor) as usize;
        Some(size.max(1))
    };
    let refuse = || settings.refuse(KEY, &value, "a number above 0, or one for each layer");
    let Value::Object(map) = &value else {
        return Ok((size_of(&value).ok_or_else(refuse)?, BTreeMap::new()));
    };
    let default = map.get("default").map(|value| size_of(value).ok_or_else(refuse)).transpose()?;
    let mut sizes = BTreeMap::new();
    for (layer, value) in map.iter().filter(|(layer, _)| *layer != "default") {
        let layer: usize = layer.parse().map_err(|_| refuse())?;
        let size = size_of(value).ok_or_else(refuse)?;
        if layer < base.n_layers && default != Some(size) {
            sizes.insert(layer, size);
        }
    }
    let size = default.or_else(|| sizes.values().next().copied()).ok_or_else(refuse)?;
    Ok((size, sizes))
}

/// `dividend // divisor` of two positive numbers as in Python, which does not round the quotient up: `768 // 12.8` is 59, where the
/// quotient rounds to 60. <https://github.com/python/cpython/blob/v3.11.7/Objects/floatobject.c>, `_float_div_mod`
fn floor_division(dividend: f64, divisor: f64) -> f64 {
    let quotient = (dividend - dividend % divisor) / divisor;
    let floor = quotient.floor();
    if quotient - floor > 0.5 { floor + 1.0 } else { floor }
}

/// The settings for a configuration.
pub(super) fn write(plan: &BottleneckConfig, base: BaseShape) -> Result<Value, AdapterError> {
    if plan.depth != 1 {
        return Err(unsupported("adapters of more than one layer").into());
    }
    if plan.combine != Combine::Add {
        return Err(unsupported("adapters that multiply").into());
    }
    if plan.inner_norm == InnerNorm::Batch {
        return Err(unsupported("a batch norm").into());
    }
    if plan.inner_norm == InnerNorm::Layer && (plan.inner_norm_epsilon - NORM_EPSILON).abs() > 0.0 {
        let epsilon = plan.inner_norm_epsilon;
        return Err(unsupported(&format!(
            "an inner LayerNorm with an ε of {epsilon:e}, not {NORM_EPSILON:e}"
        ))
        .into());
    }
    let (parallel, after_norm) = match plan.placement {
        Placement::Serial => (None, false),
        Placement::AfterNorm => (None, true),
        Placement::Parallel { scaling } => (Some(scaling), false),
    };
    let residual = match (plan.skip, after_norm) {
        (ResidualSource::SublayerOutput, _) | (ResidualSource::BottleneckInput, false) => {
            json!(true)
        }
        (ResidualSource::BottleneckInput, true) => json!(false),
        (ResidualSource::Sum, true) => json!("post_add"),
        (ResidualSource::Sum, false) => {
            return Err(unsupported("a serial adapter with the skip `sum`").into());
        }
    };
    let factor = parallel.unwrap_or(1.0);
    let unscaled = (factor - 1.0).abs() <= 0.0;
    let scaling = match plan.scaling {
        Scaling::None => json!(factor),
        Scaling::Fixed(own) => json!(own * factor),
        Scaling::Learned if unscaled => json!("learned"),
        Scaling::PerChannel if unscaled => json!("channel"),
        Scaling::Learned | Scaling::PerChannel => {
            return Err(unsupported("a learned factor together with a fixed one").into());
        }
    };
    if parallel.is_some() && plan.outer_norm == OuterNorm::Sum {
        return Err(unsupported("a norm on the sum of a parallel adapter").into());
    }
    // Half a unit more than the width, so that rounding does not change the quotient's integer part.
    let factor_of = |size: usize| json!(base.d_model as f64 / (size as f64 + 0.5));
    let reduction_factor = if plan.sizes.is_empty() {
        factor_of(plan.size)
    } else {
        let sizes = plan.sizes.iter().map(|(layer, size)| (layer.to_string(), factor_of(*size)));
        sizes.chain([("default".to_owned(), factor_of(plan.size))]).collect()
    };
    let settings: Map<String, Value> = [
        ("leave_out".to_owned(), leave_out(&plan.layers, base)),
        ("mh_adapter".to_owned(), json!(plan.sites.attention())),
        ("output_adapter".to_owned(), json!(plan.sites.feed_forward())),
        ("reduction_factor".to_owned(), reduction_factor),
        ("non_linearity".to_owned(), json!(plan.activation.name())),
        ("original_ln_before".to_owned(), json!(after_norm)),
        ("original_ln_after".to_owned(), json!(plan.final_norm == FinalNorm::Applied)),
        ("residual_before_ln".to_owned(), residual),
        ("adapter_residual_before_ln".to_owned(), json!(plan.outer_norm == OuterNorm::Sum)),
        ("ln_before".to_owned(), json!(plan.inner_norm == InnerNorm::Layer)),
        ("ln_after".to_owned(), json!(plan.outer_norm != OuterNorm::None)),
        ("is_parallel".to_owned(), json!(parallel.is_some())),
        ("scaling".to_owned(), scaling),
        ("use_gating".to_owned(), json!(plan.gate)),
        ("init_weights".to_owned(), json!("houlsby")),
    ]
    .into_iter()
    .collect();
    Ok(Value::Object(settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_divided_as_python_divides() {
        // `int(d_model // factor)` of Python 3.11.
        for (d_model, factor, size) in [
            (768.0, 16.0, 48.0),
            (768.0, 12.8, 59.0),
            (768.0, 3.2, 239.0),
            (768.0, 0.5, 1536.0),
            (768.0, 0.3, 2560.0),
            (768.0, 1000.0, 0.0),
            (384.0, 6.4, 59.0),
            (1024.0, 0.1, 10239.0),
            (1024.0, 6.7, 152.0),
        ] {
            let found: f64 = floor_division(d_model, factor);
            assert!((found - size).abs() <= 0.0, "{d_model} // {factor} is {size}, not {found}");
        }
    }
}
