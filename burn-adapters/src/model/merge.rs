//! Merging: a task's modules at projections and its norms in the base's own weights, so that they cost nothing at
//! inference.
//!
//! Hu et al. 2022, section 4.1, *No Additional Inference Latency*.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::DType;
use burn_bert::{Encoder, Projection};
use burn_fused::LayerNorm;

use super::adapted::AdaptedBert;
use crate::error::AdapterError;
use crate::methods::kind::{ProjectionModule, Weights};

impl AdaptedBert {
    /// The same model with the modules at projections and the task's norms merged into its base, and a task without
    /// them.
    ///
    /// Bottlenecks, prefixes, fused adapters and the head stay in the task: BERT's weights cannot hold them.
    /// The base is a copy with another fingerprint; other tasks cannot use it.
    /// Half-precision matrices that change are rounded once more.
    ///
    /// # Errors
    /// If a LoRA has a gate, which depends on the text.
    pub fn merged(&self) -> Result<Self, AdapterError> {
        let mut bert = self.bert.clone();
        for site in bert.norm_sites() {
            if let Some((base, own)) = bert.norm_mut(site).zip(self.task.own_norm(site)) {
                set_norm(base, own);
            }
        }
        for (layer, adapter) in self.task.layers.iter().enumerate() {
            for projection in Projection::ALL {
                let modules = adapter.at_projection(projection);
                merge_into(bert.projection_mut(layer, projection), modules)?;
            }
        }
        if let Some(pooler) = bert.pooler_mut() {
            merge_into(pooler, self.task.pooler.iter().map(|lora| lora as &dyn ProjectionModule))?;
        }
        Self::new(bert, self.task.clone().without_mergeable())
    }
}

/// Replaces the base's norm by a task's, as a parameter of its own.
fn set_norm(base: &mut LayerNorm, own: &LayerNorm) {
    base.gamma = Param::from_tensor(own.gamma.val().detach());
    base.beta = own.beta.as_ref().map(|beta| Param::from_tensor(beta.val().detach()));
}

/// Merges the modules at a projection into its weights, in single precision and rounded once.
///
/// What changes gets a parameter id of its own: an optimizer works by id, and the original base has the old one.
fn merge_into<'a>(
    dense: &mut Linear,
    modules: impl Iterator<Item = &'a dyn ProjectionModule>,
) -> Result<(), AdapterError> {
    let mut modules = modules.peekable();
    if modules.peek().is_none() {
        return Ok(());
    }
    let weight_type = dense.weight.val().dtype();
    let bias_type = dense.bias.as_ref().map_or(DType::F32, |bias| bias.val().dtype());
    let Weights { weight, bias } =
        modules.try_fold(Weights::of(dense), |weights, module| module.merge(weights))?;
    dense.weight = Param::from_tensor(weight.cast(weight_type).detach());
    dense.bias = bias.map(|bias| Param::from_tensor(bias.cast(bias_type).detach()));
    Ok(())
}
