//! Which parameters of an adapted model train and are saved: this follows from the plan and the parameter's path alone.

use burn_bert::{EncoderPart, ModulePaths};

use crate::methods::plan::TrainableBase;
use crate::model::head::Pooling;

/// The name of a parameter in its module.
pub(crate) fn last_segment(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Whether a tensor is a running statistic of a batch norm, by its path: training updates it without a gradient.
pub(crate) fn is_running_statistic(path: &str) -> bool {
    matches!(last_segment(path), "running_mean" | "running_var")
}

/// Whether a tensor belongs to a fused adapter, by its path: it is saved with the task and does not train.
pub(crate) fn is_fused(path: &str) -> bool {
    path.starts_with("task.fusion.adapters.")
}

/// The part of the base that a parameter belongs to, by its path in an [`AdaptedBert`]; `None` for the task's.
pub(crate) fn part_of_base(path: &str, paths: &ModulePaths) -> Option<EncoderPart> {
    paths.part(path.strip_prefix("bert.")?)
}

/// Whether a parameter trains, by its path in an [`AdaptedBert`] whose base has `n_layers` layers.
pub(crate) fn trains(
    path: &str,
    paths: &ModulePaths,
    base: TrainableBase,
    pooling: Pooling,
    n_layers: usize,
) -> bool {
    if is_running_statistic(path) || is_fused(path) {
        return false;
    }
    let Some(part) = part_of_base(path, paths) else {
        return true;
    };
    // A pooler that is not used has no gradient.
    if part == EncoderPart::Pooler && pooling != Pooling::Pooler {
        return false;
    }
    match base {
        TrainableBase::Nothing | TrainableBase::LayerNorms | TrainableBase::LayerNormsFrom(_) => {
            false
        }
        TrainableBase::Everything => true,
        TrainableBase::TopLayers(top) => match part {
            EncoderPart::Embeddings => false,
            EncoderPart::Layer(layer) => layer + top >= n_layers,
            EncoderPart::Final | EncoderPart::Pooler => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use burn_bert::Bert;

    use super::*;

    #[test]
    fn top_layers_are_counted_from_the_top() {
        let trains = |path| {
            trains(path, &Bert::PARAMETER_PATHS, TrainableBase::TopLayers(2), Pooling::Pooler, 12)
        };
        assert!(trains("bert.encoder.layer.10.output.dense.weight"));
        assert!(trains("bert.encoder.layer.11.attention.output.layer_norm.gamma"));
        assert!(trains("bert.pooler.dense.bias"));
        assert!(trains("task.head.linear.weight"));
        assert!(!trains("bert.encoder.layer.9.output.dense.weight"));
        assert!(!trains("bert.encoder.layer.1.output.dense.weight"));
        assert!(!trains("bert.embeddings.word_embeddings.weight"));
        assert!(!trains("bert.encoder.relative_attention_bias.weight"));
    }

    #[test]
    fn a_pooler_that_is_not_used_does_not_train() {
        let trains = |tuned, pooling| {
            trains("bert.pooler.dense.weight", &Bert::PARAMETER_PATHS, tuned, pooling, 2)
        };
        assert!(trains(TrainableBase::Everything, Pooling::Pooler));
        assert!(!trains(TrainableBase::Everything, Pooling::Mean));
        assert!(!trains(TrainableBase::TopLayers(1), Pooling::FirstToken));
    }
}
