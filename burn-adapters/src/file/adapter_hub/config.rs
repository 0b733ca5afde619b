//! `AdapterHub`'s settings as plans, and plans as its settings.
//!
//! <https://github.com/adapter-hub/adapters/blob/v1.3.0/src/adapters/configuration/adapter_config.py>; what a file
//! leaves out has the default of the class there.

use std::collections::{BTreeMap, BTreeSet};

use burn_bert::Projection;
use serde_json::{Map, Value, json};

use super::super::settings::Settings;
use super::FORMAT;
use crate::bottleneck::Activation;
use crate::bottleneck_plan::{
    BottleneckPlan, Closing, Combine, OuterNorm, Placement, Scaling, Sites, Skip,
};
use crate::error::{AdapterError, BaseShape};
use crate::inner_norm::InnerNorm;
use crate::layers::Layers;
use crate::low_rank::{LowRankPlan, RankScaling};
use crate::plan::{Plan, Tuned};
use crate::prefix::{PrefixGate, PrefixPlan};
use crate::scale::ScalePlan;

/// Standard deviation of `init_weights="bert"`; it matters to nobody who has the weights.
const INIT_STD: f64 = 0.02;

/// What the package's versions have changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Version {
    /// `gelu` was the approximation by tanh.
    pub(super) old_activations: bool,
    /// `alpha` had no effect.
    pub(super) without_alpha: bool,
}

impl Version {
    /// The version that wrote a file, by the text in it.
    pub(super) fn of(text: Option<&str>) -> Self {
        let numbers = text.and_then(|text| text.strip_prefix("adapters."));
        let number = |part: Option<&str>| part.and_then(|part| part.parse().ok()).unwrap_or(0);
        let before_alpha = |numbers: &str| {
            let mut parts = numbers.split('.');
            (number(parts.next()), number(parts.next())) < (1_u64, 1_u64)
        };
        Self { old_activations: text.is_none(), without_alpha: numbers.is_some_and(before_alpha) }
    }
}

/// The plan of a `config`; a union is the plans of all its parts.
pub(super) fn plan(
    mut settings: Settings,
    version: Version,
    base: BaseShape,
) -> Result<Plan, AdapterError> {
    let mut plan = Plan::without_insertions(Tuned::Nothing);
    let parts = match settings.take("configs") {
        None => vec![settings],
        Some(Value::Array(parts)) => {
            settings.skip(&["architecture"]);
            let inside = parts.into_iter().map(|part| match part {
                Value::Object(map) => Ok(settings.inside(map)),
                other => Err(settings.refuse("configs", &other, "a list of objects")),
            });
            let inside = inside.collect::<Result<Vec<_>, _>>()?;
            settings.finish()?;
            inside
        }
        Some(other) => return Err(settings.refuse("configs", &other, "a list of objects")),
    };
    for mut part in parts {
        let architecture = part.text("architecture", "")?;
        let twice = match architecture.as_str() {
            "" => plan.bottleneck.replace(bottleneck(part, version, base)?).is_some(),
            "prefix_tuning" => plan.prefix.replace(prefix(part, base)?).is_some(),
            "lora" => match part.text("composition_mode", "add")?.as_str() {
                "add" => plan.low_rank.replace(low_rank(part, version, base)?).is_some(),
                "scale" => plan.scale.replace(scale(part, base)?).is_some(),
                mode => {
                    return Err(part.refuse("composition_mode", &json!(mode), "add or scale"));
                }
            },
            other => {
                let known = "prefix_tuning, lora, union, or none of it for a bottleneck";
                return Err(part.refuse("architecture", &json!(other), known));
            }
        };
        if twice {
            return Err(AdapterError::NoPlace {
                format: "a plan",
                what: "two parts of one kind in a union".to_owned(),
                remedy: "only parts of different kinds can be read",
            });
        }
    }
    Ok(plan)
}

fn layers(settings: &mut Settings, base: BaseShape) -> Result<Layers, AdapterError> {
    let left_out = settings.sizes("leave_out")?;
    if left_out.is_empty() {
        return Ok(Layers::All);
    }
    Ok(Layers::Only((0..base.n_layers).filter(|layer| !left_out.contains(layer)).collect()))
}

/// An activation by its name; see [`Version`] for the old names.
pub(super) fn activation(name: &str, old: bool) -> Option<Activation> {
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

pub(super) const ACTIVATIONS: &str = "relu, gelu, gelu_new, swish, silu or tanh";

fn bottleneck(
    mut settings: Settings,
    version: Version,
    base: BaseShape,
) -> Result<BottleneckPlan, AdapterError> {
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
        (Value::Bool(false), false) if after_norm => Skip::Read,
        (Value::Bool(_), _) => Skip::Made,
        (Value::String(text), _) if text == "post_add" && after_norm && !parallel => Skip::Sum,
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
    let plan = BottleneckPlan {
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
        inner_norm: if settings.flag("ln_before", false)? {
            InnerNorm::Layer
        } else {
            InnerNorm::None
        },
        depth: 1,
        combine: Combine::Add,
        sizes: other_sizes,
        scaling,
        gate: settings.flag("use_gating", false)?,
        skip,
        outer_norm: match (settings.flag("ln_after", false)?, residual_first && !parallel) {
            (false, _) => OuterNorm::None,
            (true, false) => OuterNorm::Answer,
            (true, true) => OuterNorm::Sum,
        },
        closing: if settings.flag("original_ln_after", true)? {
            Closing::Norm
        } else {
            Closing::Nothing
        },
    };
    let off = ["phm_layer", "inv_adapter", "invertible_adapter", "stochastic_depth"];
    settings.must_be_off(&off)?;
    // Those of hypercomplex layers have no part where there are none, nor has a decoder's cross-attention.
    settings.skip(&[
        "phm_dim",
        "factorized_phm_W",
        "shared_W_phm",
        "shared_phm_rule",
        "factorized_phm_rule",
        "phm_c_init",
        "phm_init_range",
        "learn_phm",
        "hypercomplex_nonlinearity",
        "phm_rank",
        "phm_bias",
        "cross_adapter",
        "inv_adapter_reduction_factor",
        "init_weights",
        "init_weights_seed",
        "dropout",
    ]);
    settings.finish()?;
    Ok(plan)
}

/// The width of most layers' bottlenecks, and those of the others.
fn bottleneck_sizes(
    settings: &mut Settings,
    base: BaseShape,
) -> Result<(usize, BTreeMap<usize, usize>), AdapterError> {
    const KEY: &str = "reduction_factor";
    let value = settings.take(KEY).unwrap_or(Value::Null);
    let size_of = |value: &Value| {
        let factor = value.as_f64().filter(|factor| factor.is_finite() && *factor > 0.0)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "above 0")]
        let size = (base.d_model as f64 / factor).floor() as usize;
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

fn projections(settings: &mut Settings) -> Result<BTreeSet<Projection>, AdapterError> {
    const MATRICES: &str = "attn_matrices";
    let mut projections = BTreeSet::new();
    let matrices = settings.texts(MATRICES)?.unwrap_or(vec!["q".to_owned(), "v".to_owned()]);
    if settings.flag("selfattn_lora", true)? {
        for matrix in matrices {
            projections.insert(match matrix.as_str() {
                "q" => Projection::Query,
                "k" => Projection::Key,
                "v" => Projection::Value,
                other => return Err(settings.refuse(MATRICES, &json!(other), "q, k and v")),
            });
        }
    }
    if settings.flag("intermediate_lora", false)? {
        projections.insert(Projection::FeedForwardIn);
    }
    if settings.flag("output_lora", false)? {
        projections.insert(Projection::FeedForwardOut);
    }
    Ok(projections)
}

const OF_LOW_RANK_TRAINING: [&str; 4] = ["dropout", "init_weights", "init_weights_seed", "dtype"];

fn low_rank(
    mut settings: Settings,
    version: Version,
    base: BaseShape,
) -> Result<LowRankPlan, AdapterError> {
    let rank = settings.size("r", 8)?;
    let alpha = settings.number("alpha", 8.0)?;
    let mut plan = LowRankPlan::new(projections(&mut settings)?, rank, alpha);
    if version.without_alpha {
        plan.alpha = rank as f64;
    }
    plan.layers = layers(&mut settings, base)?;
    plan.gate = settings.flag("use_gating", false)?;
    settings.must_be_off(&["use_dora", "vera_d", "vera_b"])?;
    settings.skip(&OF_LOW_RANK_TRAINING);
    settings.finish()?;
    Ok(plan)
}

fn scale(mut settings: Settings, base: BaseShape) -> Result<ScalePlan, AdapterError> {
    for key in ["r", "alpha"] {
        let found = settings.number(key, 1.0)?;
        if (found - 1.0).abs() > 0.0 {
            return Err(settings.refuse(key, &json!(found), "1, for a scale"));
        }
    }
    let mut plan = ScalePlan::new(projections(&mut settings)?);
    plan.layers = layers(&mut settings, base)?;
    settings.must_be_off(&["use_gating", "use_dora", "vera_d", "vera_b"])?;
    settings.skip(&OF_LOW_RANK_TRAINING);
    settings.finish()?;
    Ok(plan)
}

fn prefix(mut settings: Settings, base: BaseShape) -> Result<PrefixPlan, AdapterError> {
    let length = settings.size("prefix_length", 30)?;
    let width = settings.size("bottleneck_size", 512)?;
    let flat = settings.flag("flat", false)?;
    let mut plan = PrefixPlan::new(length, (!flat).then_some(width));
    let name = settings.text("non_linearity", "tanh")?;
    if !flat && name != "tanh" {
        return Err(settings.refuse("non_linearity", &json!(name), "tanh, for prefixes"));
    }
    if !settings.flag("encoder_prefix", true)? {
        return Err(settings.refuse("encoder_prefix", &json!(false), "true"));
    }
    let (gated, shared) =
        (settings.flag("use_gating", false)?, settings.flag("shared_gating", true)?);
    plan.gate = match (gated, shared) {
        (false, _) => PrefixGate::None,
        (true, true) => PrefixGate::Shared,
        (true, false) => PrefixGate::Separate,
    };
    plan.layers = layers(&mut settings, base)?;
    settings.skip(&["cross_prefix", "dropout", "init_weights_seed"]);
    settings.finish()?;
    Ok(plan)
}

/// The `config` of a plan.
pub(super) fn settings(plan: &Plan, base: BaseShape) -> Result<Value, AdapterError> {
    let leave_out = |layers: &Layers| {
        let out: Vec<usize> = (0..base.n_layers).filter(|layer| !layers.contains(*layer)).collect();
        json!(out)
    };
    let mut parts = Vec::new();
    if let Some(plan) = &plan.prefix {
        parts.push(json!({
            "architecture": "prefix_tuning",
            "encoder_prefix": true,
            "cross_prefix": true,
            "leave_out": leave_out(&plan.layers),
            "flat": plan.reparameterization.is_none(),
            "prefix_length": plan.length,
            "bottleneck_size": plan.reparameterization.unwrap_or(512),
            "non_linearity": "tanh",
            "dropout": 0.0,
            "use_gating": plan.gate != PrefixGate::None,
            "shared_gating": plan.gate != PrefixGate::Separate,
        }));
    }
    if let Some(plan) = &plan.bottleneck {
        let mut part = bottleneck_settings(plan, base)?;
        part.insert("leave_out".to_owned(), leave_out(&plan.layers));
        parts.push(Value::Object(part));
    }
    if let Some(plan) = &plan.low_rank {
        if plan.pooler {
            return Err(no_place("a correction of the pooler"));
        }
        let alpha = match plan.scaling {
            RankScaling::Rank => plan.alpha,
            RankScaling::RootRank => plan.alpha * (plan.rank as f64).sqrt(),
        };
        let mut part = projection_settings(&plan.projections)?;
        part.extend([
            ("composition_mode".to_owned(), json!("add")),
            ("leave_out".to_owned(), leave_out(&plan.layers)),
            ("r".to_owned(), json!(plan.rank)),
            ("alpha".to_owned(), json!(alpha)),
            ("use_gating".to_owned(), json!(plan.gate)),
            ("init_weights".to_owned(), json!("lora")),
        ]);
        parts.push(Value::Object(part));
    }
    if let Some(plan) = &plan.scale {
        if !plan.inputs.is_empty() {
            return Err(no_place("scales of what projections read"));
        }
        let mut part = projection_settings(&plan.outputs)?;
        part.extend([
            ("composition_mode".to_owned(), json!("scale")),
            ("leave_out".to_owned(), leave_out(&plan.layers)),
            ("r".to_owned(), json!(1)),
            ("alpha".to_owned(), json!(1)),
            ("use_gating".to_owned(), json!(false)),
            ("init_weights".to_owned(), json!("ia3")),
        ]);
        parts.push(Value::Object(part));
    }
    match parts.len() {
        0 => Err(no_place("a task that inserts nothing")),
        1 => Ok(parts.remove(0)),
        _ => Ok(json!({ "architecture": "union", "configs": parts })),
    }
}

pub(super) fn no_place(what: &str) -> AdapterError {
    let remedy = "keep our own file, or train without it";
    AdapterError::NoPlace { format: FORMAT, what: what.to_owned(), remedy }
}

fn projection_settings(
    projections: &BTreeSet<Projection>,
) -> Result<Map<String, Value>, AdapterError> {
    if projections.contains(&Projection::AttentionOutput) {
        return Err(no_place("something at the attention's output projection"));
    }
    let of_attention = [(Projection::Query, "q"), (Projection::Key, "k"), (Projection::Value, "v")];
    let of_attention = of_attention.into_iter().filter(|(own, _)| projections.contains(own));
    let matrices: Vec<_> = of_attention.map(|(_, name)| name).collect();
    Ok([
        ("architecture".to_owned(), json!("lora")),
        ("selfattn_lora".to_owned(), json!(!matrices.is_empty())),
        ("attn_matrices".to_owned(), json!(matrices)),
        ("intermediate_lora".to_owned(), json!(projections.contains(&Projection::FeedForwardIn))),
        ("output_lora".to_owned(), json!(projections.contains(&Projection::FeedForwardOut))),
        ("dropout".to_owned(), json!(0.0)),
    ]
    .into_iter()
    .collect())
}

fn bottleneck_settings(
    plan: &BottleneckPlan,
    base: BaseShape,
) -> Result<Map<String, Value>, AdapterError> {
    if plan.depth != 1 {
        return Err(no_place("adapters of more than one layer"));
    }
    if plan.combine != Combine::Add {
        return Err(no_place("adapters that multiply"));
    }
    if plan.inner_norm == InnerNorm::Batch {
        return Err(no_place("a batch norm"));
    }
    let (parallel, after_norm) = match plan.placement {
        Placement::Serial => (None, false),
        Placement::AfterNorm => (None, true),
        Placement::Parallel { scaling } => (Some(scaling), false),
    };
    let residual = match (plan.skip, after_norm) {
        (Skip::Made, _) | (Skip::Read, false) => json!(true),
        (Skip::Read, true) => json!(false),
        (Skip::Sum, true) => json!("post_add"),
        (Skip::Sum, false) => return Err(no_place("a serial adapter with the skip `sum`")),
    };
    let factor = parallel.unwrap_or(1.0);
    let unscaled = (factor - 1.0).abs() <= 0.0;
    let scaling = match plan.scaling {
        Scaling::None => json!(factor),
        Scaling::Fixed(own) => json!(own * factor),
        Scaling::Learned if unscaled => json!("learned"),
        Scaling::PerChannel if unscaled => json!("channel"),
        Scaling::Learned | Scaling::PerChannel => {
            return Err(no_place("a learned factor together with a fixed one"));
        }
    };
    if parallel.is_some() && plan.outer_norm == OuterNorm::Sum {
        return Err(no_place("a norm on the sum of a parallel adapter"));
    }
    // Half a unit more than the width, so that no rounding of the quotient changes its whole part.
    let factor_of = |size: usize| json!(base.d_model as f64 / (size as f64 + 0.5));
    let reduction_factor = if plan.sizes.is_empty() {
        factor_of(plan.size)
    } else {
        let sizes = plan.sizes.iter().map(|(layer, size)| (layer.to_string(), factor_of(*size)));
        sizes.chain([("default".to_owned(), factor_of(plan.size))]).collect()
    };
    Ok([
        ("mh_adapter".to_owned(), json!(plan.sites.attention())),
        ("output_adapter".to_owned(), json!(plan.sites.feed_forward())),
        ("reduction_factor".to_owned(), reduction_factor),
        ("non_linearity".to_owned(), json!(plan.activation.name())),
        ("original_ln_before".to_owned(), json!(after_norm)),
        ("original_ln_after".to_owned(), json!(plan.closing == Closing::Norm)),
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
    .collect())
}
