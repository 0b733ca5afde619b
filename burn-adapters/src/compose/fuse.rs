//! Builds an AdapterFusion of trained adapters.

use burn::module::Param;
use burn::tensor::Tensor;
use burn_bert::{Encoder, Site};
use burn_fused::LayerNorm;

use crate::error::{AdapterError, ComposeError};
use crate::methods::{
    AdapterPlan, BottleneckConfig, OuterNorm, Placement, ResidualSource, TrainableBase,
};
use crate::model::{FusedAdapter, TaskAdapter, TaskAdapterConfig};

/// A fresh task that fuses the adapters of trained ones.
///
/// If one of them has norms of its own, so does the new task, initially the mean of theirs.
/// `config` describes the rest of the new task; its plan inserts nothing.
///
/// # Errors
/// If there is nothing to fuse, a plan cannot be fused or has another placement than the others, or the task cannot be
/// built on this base.
pub fn fuse(
    config: &TaskAdapterConfig,
    adapters: Vec<TaskAdapter>,
    bert: &dyn Encoder,
) -> Result<TaskAdapter, AdapterError> {
    if adapters.is_empty() {
        return Err(ComposeError::NothingToFuse.into());
    }
    let plans = || adapters.iter().map(|adapter| &adapter.config().plan);
    let trained =
        |base: TrainableBase| !matches!(base, TrainableBase::Nothing | TrainableBase::LayerNorms);
    if let Some(plan) = plans().find(|plan| trained(plan.trainable_base)) {
        let found = format!("its base was trained: {:?}", plan.trainable_base);
        return Err(ComposeError::Unfusable { found }.into());
    }
    check_alike(plans().filter_map(|plan| plan.bottleneck.as_ref()))?;
    let has_norms = plans().any(|plan| plan.trainable_base == TrainableBase::LayerNorms);
    let trainable_base =
        if has_norms { TrainableBase::LayerNorms } else { config.plan.trainable_base };
    let frozen =
        |plan: &AdapterPlan| AdapterPlan { trainable_base: TrainableBase::Nothing, ..plan.clone() };
    let config = TaskAdapterConfig {
        plan: AdapterPlan { trainable_base, ..config.plan.clone() },
        fused: plans().map(frozen).collect(),
        ..config.clone()
    };
    let mut task = config.init(bert)?;

    let set_mean = |site: Site, norm: Option<&mut LayerNorm>| {
        let Some((norm, base)) = norm.zip(bert.norm(site)) else { return };
        let mean_of = |parameter: fn(&LayerNorm) -> Tensor<1>| {
            let norms = adapters.iter().map(|adapter| adapter.own_norm(site).unwrap_or(base));
            let values = norms.map(parameter).collect();
            let mean = Tensor::<1>::stack::<2>(values, 0).mean_dim(0).squeeze_dim(0);
            Param::from_tensor(mean.detach())
        };
        norm.gamma = mean_of(|norm| norm.gamma.val());
        norm.beta = norm.beta.is_some().then(|| mean_of(LayerNorm::beta_or_zeros));
    };
    set_mean(Site::Embeddings, task.embeddings_norm.as_mut());
    set_mean(Site::Final, task.final_norm.as_mut());
    for (index, layer) in task.layers.iter_mut().enumerate() {
        set_mean(Site::Attention(index), layer.attention.norm.as_mut());
        set_mean(Site::FeedForward(index), layer.feed_forward.norm.as_mut());
    }
    if let Some(fusion) = &mut task.fusion {
        fusion.adapters =
            adapters.into_iter().map(|adapter| FusedAdapter::new(adapter.layers)).collect();
    }
    Ok(task)
}

/// Rejects adapters for which `AdapterHub` computes other results: it places all adapters as the last one, attends over
/// the outputs of the up-projections without gate and outer norm, and adds a sub-layer's input twice to parallel ones.
///
/// Files with fusions of such adapters, from before this check, still load and compute what they did.
fn check_alike<'a>(
    mut configs: impl Iterator<Item = &'a BottleneckConfig>,
) -> Result<(), ComposeError> {
    let unfusable = |found: &str| Err(ComposeError::Unfusable { found: found.to_owned() });
    let mut first = None;
    configs.try_for_each(|config| {
        let placement = *first.get_or_insert(config.placement);
        if matches!(config.placement, Placement::Parallel { .. }) {
            return unfusable("it is parallel to the sub-layer");
        }
        if config.placement != placement {
            return unfusable("its placement is not that of the first");
        }
        if config.gate {
            return unfusable("it has a gate");
        }
        if config.outer_norm != OuterNorm::None {
            return unfusable("it has an outer norm");
        }
        if config.skip != ResidualSource::SublayerOutput {
            return unfusable("its output is not added to the sub-layer's output");
        }
        Ok(())
    })
}
