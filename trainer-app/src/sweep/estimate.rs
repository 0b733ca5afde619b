//! Estimates the time of a cell: from similar finished cells, or from the number of floating-point operations.

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use glue_data::batching::training_batches;

use crate::run::resource_cache::ResourceCache;
use crate::run_config::RunConfig;
use crate::sweep::cell::Cell;
use crate::sweep::entries::Entries;
use crate::sweep::entry::Entry;
use crate::sweep::summary;

/// The time of similar finished cells, scaled by the number of epochs.
pub fn seconds_seen(entries: &Entries, cell: &Cell) -> Option<f64> {
    let is_similar = |entry: &&Entry| {
        let (a, b) = (&entry.config, &cell.config);
        let task = |config: &RunConfig| (config.task.name.clone(), config.task.limit);
        task(a) == task(b)
            && a.model.method == b.model.method
            && a.model.adapt_layers == b.model.adapt_layers
            && a.model.base == b.model.base
    };
    let seen: Vec<f64> = entries
        .iter()
        .filter(is_similar)
        .filter_map(|entry| entry.end.result())
        .map(|result| result.seconds / result.epochs.max(1) as f64)
        .collect();
    (!seen.is_empty()).then(|| summary::mean(&seen) * cell.config.training.epochs as f64)
}

/// Floating-point operations of a cell: two per weight and token in the forward pass, the same for the gradients of the
/// activations, and again for those of the weights if these are trained.
/// Below the lowest trainable layer there is only the forward pass, and only once if its output is cached.
///
/// # Errors
/// Rows or a base that cannot be read.
pub fn flops(cell: &Cell, shared: &mut ResourceCache) -> Result<f64> {
    let config = &cell.config;
    let data = shared.data(config)?;
    let below = shared.lowest_layer(config)?;
    let is_cached = shared.cached_layer(config)?.is_some();
    let base = &shared.base(&config.model)?.config;
    let (d_model, d_wide) = (base.hidden_size as f64, base.intermediate_size as f64);
    let layer = 4.0 * d_model * d_model + 2.0 * d_model * d_wide;
    let above = base.num_hidden_layers.saturating_sub(below);
    let batch = config.training.batch_size;
    let lengths = data.prepared.train.lengths();
    let padded = |batch: &Vec<usize>| {
        let longest = batch.iter().map(|row| lengths[*row]).max().unwrap_or(0);
        (batch.len() * longest) as f64
    };
    let trained: f64 = training_batches(&lengths, batch, config.seed, 1).iter().map(padded).sum();
    let scored: f64 = data.prepared.validation.lengths().iter().map(|length| *length as f64).sum();
    let passes = if config.plan().trains_base() { 3.0 } else { 2.0 };
    let epochs = config.training.epochs as f64;
    let times_below = if is_cached { 1.0 } else { epochs };
    Ok(2.0
        * layer
        * (above as f64 * epochs * (passes * trained + scored)
            + below as f64 * times_below * (trained + scored)))
}

/// The speed of the device on matrix products of BERT's shapes, reduced for all other operations.
pub fn flops_per_second(device: &Device) -> f64 {
    const SHARE_OF_PRODUCTS: f64 = 0.7;
    const SHAPE: [usize; 3] = [2048, 768, 3072];
    let [rows, inner, columns] = SHAPE;
    let left = Tensor::<2>::ones([rows, inner], device);
    let right = Tensor::<2>::ones([inner, columns], device);
    let product = || left.clone().matmul(right.clone()).sum().into_scalar::<f64>();
    product();
    let started = std::time::Instant::now();
    let repeats = 4;
    for _ in 0..repeats {
        product();
    }
    let flops = 2.0 * SHAPE.iter().product::<usize>() as f64 * f64::from(repeats);
    SHARE_OF_PRODUCTS * flops / started.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use burn_adapters::Method;

    use super::*;
    use crate::run_config::ActivationCacheMode;
    use crate::tiny_base::lay_tiny_base;

    #[test]
    fn layers_below_the_lowest_adapter_cost_less_and_less_still_where_their_states_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        lay_tiny_base(directory.path());
        let mut shared = ResourceCache::new(Device::flex());
        let mut flops_of = |layers: Option<&str>, cache, epochs| {
            let mut config = RunConfig::defaults(Method::Houlsby);
            config.model.base = directory.path().join("base").to_str().unwrap().to_owned();
            config.model.max_length = 16;
            config.model.adapt_layers = layers.map(|layers| layers.parse().unwrap());
            config.task.limit = Some(32);
            config.training.epochs = epochs;
            config.training.cache = cache;
            flops(&Cell::new(config), &mut shared).unwrap()
        };
        let everywhere = flops_of(None, ActivationCacheMode::Auto, 10);
        let upper = flops_of(Some("1.."), ActivationCacheMode::Off, 10);
        let kept = flops_of(Some("1.."), ActivationCacheMode::Auto, 10);
        let kept_for_one_epoch = flops_of(Some("1.."), ActivationCacheMode::Auto, 1);
        assert!(everywhere > upper, "{everywhere} {upper}");
        assert!(upper > kept, "{upper} {kept}");
        assert!(kept < 10.0 * kept_for_one_epoch, "{kept} {kept_for_one_epoch}");
    }
}
