//! LoRA and (IA)³: `LoRAConfig` and `IA3Config`, one architecture with two modes.

use std::collections::BTreeSet;

use burn_bert::Projection;
use serde_json::{Map, Value, json};

use super::values::{Version, layers, leave_out, unsupported};
use crate::error::{AdapterError, BaseShape};
use crate::interchange::settings::{Harmless, Settings};
use crate::methods::ia3::Ia3Config;
use crate::methods::lora::{DoraFormula, LoraConfig, RankScaling};

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

pub(super) const HARMLESS: &[Harmless] = &[
    ("dropout", "of training"),
    ("init_weights", "how weights start that are in the file"),
    ("init_weights_seed", "the same"),
    ("dtype", "in which weights are kept; their numbers are read as they are"),
];

/// The same for (IA)³ only.
pub(super) const HARMLESS_IN_IA3: &[Harmless] =
    &[("vera_d", "of the mode `add`"), ("vera_b", "of the mode `add`")];

/// The LoRA configuration for settings.
pub(super) fn read_lora(
    mut settings: Settings,
    version: Version,
    base: BaseShape,
) -> Result<LoraConfig, AdapterError> {
    let rank = settings.size("r", 8)?;
    let alpha = settings.number("alpha", 8.0)?;
    let mut plan = LoraConfig::new(projections(&mut settings)?, rank, alpha);
    if version.without_alpha {
        plan.alpha = rank as f64;
    }
    plan.layers = layers(&mut settings, base)?;
    plan.gate = settings.flag("use_gating", false)?;
    plan.dora = settings.flag("use_dora", false)?.then_some(DoraFormula::AdapterHub);
    // A number makes it a VeRA, whatever it is.
    settings.must_be_absent(&["vera_d", "vera_b"])?;
    settings.skip(HARMLESS);
    settings.finish()?;
    Ok(plan)
}

/// The (IA)³ configuration for settings.
pub(super) fn read_ia3(mut settings: Settings, base: BaseShape) -> Result<Ia3Config, AdapterError> {
    for key in ["r", "alpha"] {
        let found = settings.number(key, 1.0)?;
        if (found - 1.0).abs() > 0.0 {
            return Err(settings.refuse(key, &json!(found), "1, for a scale"));
        }
    }
    let mut plan = Ia3Config::new(projections(&mut settings)?);
    plan.layers = layers(&mut settings, base)?;
    settings.must_be_off(&["use_gating", "use_dora"])?;
    settings.skip(HARMLESS_IN_IA3);
    settings.skip(HARMLESS);
    settings.finish()?;
    Ok(plan)
}

/// The settings for LoRA.
pub(super) fn write_lora(plan: &LoraConfig, base: BaseShape) -> Result<Value, AdapterError> {
    if plan.pooler {
        return Err(unsupported("a correction of the pooler").into());
    }
    if plan.dora == Some(DoraFormula::Peft) {
        return Err(
            unsupported("DoRA with PEFT's formula: `use_dora` has another formula there").into()
        );
    }
    let alpha = match plan.scaling {
        RankScaling::Rank => plan.alpha,
        RankScaling::RankStabilized => plan.alpha * (plan.rank as f64).sqrt(),
    };
    let mut settings = projection_settings(&plan.projections)?;
    settings.extend([
        ("composition_mode".to_owned(), json!("add")),
        ("leave_out".to_owned(), leave_out(&plan.layers, base)),
        ("r".to_owned(), json!(plan.rank)),
        ("alpha".to_owned(), json!(alpha)),
        ("use_gating".to_owned(), json!(plan.gate)),
        ("init_weights".to_owned(), json!("lora")),
    ]);
    if plan.dora.is_some() {
        settings.insert("use_dora".to_owned(), json!(true));
    }
    Ok(Value::Object(settings))
}

/// The settings for (IA)³.
pub(super) fn write_ia3(plan: &Ia3Config, base: BaseShape) -> Result<Value, AdapterError> {
    if !plan.inputs.is_empty() {
        return Err(unsupported("(IA)³ on the inputs of projections").into());
    }
    let mut settings = projection_settings(&plan.outputs)?;
    settings.extend([
        ("composition_mode".to_owned(), json!("scale")),
        ("leave_out".to_owned(), leave_out(&plan.layers, base)),
        ("r".to_owned(), json!(1)),
        ("alpha".to_owned(), json!(1)),
        ("use_gating".to_owned(), json!(false)),
        ("init_weights".to_owned(), json!("ia3")),
    ]);
    Ok(Value::Object(settings))
}

fn projection_settings(
    projections: &BTreeSet<Projection>,
) -> Result<Map<String, Value>, AdapterError> {
    if projections.contains(&Projection::AttentionOutput) {
        return Err(unsupported("something at the attention's output projection").into());
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
