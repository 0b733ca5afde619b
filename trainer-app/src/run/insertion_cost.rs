//! Estimates the memory of inserted modules before they are created, so that a mistyped size is an error and does not run
//! out of memory.

use anyhow::{Result, ensure};
use burn_adapters::{AdapterPlan, Sites};
use burn_bert::BertConfig;

/// A parameter has a value, a gradient and two moments of the optimizer, each in single precision.
const BYTES_PER_PARAMETER: f64 = 16.0;

/// Checks that this machine has enough memory for the modules that a plan inserts into a base.
///
/// # Errors
/// If the machine does not; with the number of parameters and their memory.
pub(super) fn check(plan: &AdapterPlan, base: &BertConfig) -> Result<()> {
    check_against(plan, base, memory_of_this_machine())
}

fn check_against(plan: &AdapterPlan, base: &BertConfig, memory: Option<u64>) -> Result<()> {
    let Some(memory) = memory else { return Ok(()) };
    let parameters = parameters(plan, base);
    let bytes = parameters * BYTES_PER_PARAMETER;
    ensure!(
        bytes <= memory as f64,
        "the adapters have {parameters:.1e} parameters on this base and need {:.1} GB with their gradients and the \
         optimizer's state, but this machine has {:.1} GB; choose a smaller --size",
        bytes / 1e9,
        memory as f64 / 1e9
    );
    Ok(())
}

fn memory_of_this_machine() -> Option<u64> {
    let memory = sysinfo::MemoryRefreshKind::nothing().with_ram();
    let system =
        sysinfo::System::new_with_specifics(sysinfo::RefreshKind::nothing().with_memory(memory));
    // 0 if the system does not report it.
    Some(system.total_memory()).filter(|bytes| *bytes > 0)
}

/// The approximate number of inserted parameters, within a factor of two.
fn parameters(plan: &AdapterPlan, base: &BertConfig) -> f64 {
    let (hidden, layers) = (base.hidden_size as f64, base.num_hidden_layers as f64);
    let mut parameters = 0.0;
    if let Some(bottleneck) = &plan.bottleneck {
        let sites = if bottleneck.sites == Sites::Both { 2.0 } else { 1.0 };
        let (size, between) = (bottleneck.size as f64, (bottleneck.depth.max(1) - 1) as f64);
        parameters += layers * sites * size * (2.0 * hidden + between * size);
    }
    if let Some(lora) = &plan.lora {
        let projections = lora.projections.len() as f64;
        parameters += layers * projections * lora.rank as f64 * 2.0 * hidden;
    }
    if let Some(prefix) = &plan.prefix {
        let keys_and_values = layers * 2.0 * hidden;
        let length = prefix.length as f64;
        parameters += prefix.reparameterization.map_or(length * keys_and_values, |width| {
            length * hidden + width as f64 * keys_and_values
        });
    }
    parameters
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use burn_adapters::{HeadKind, Method, Pooling, TaskAdapterConfig};

    use super::*;
    use crate::base::Base;
    use crate::tiny_base::lay_tiny_base;

    #[test]
    fn a_size_beyond_the_memory_is_refused_with_its_numbers() {
        let directory = tempfile::tempdir().unwrap();
        lay_tiny_base(directory.path());
        let config = BertConfig::from_directory(&directory.path().join("base")).unwrap();
        let plan = Method::Houlsby.plan(1_000_000);
        let error = check_against(&plan, &config, Some(1 << 30)).unwrap_err().to_string();
        assert!(error.starts_with("the adapters have 2.6e8 parameters"), "{error}");
        assert!(error.contains("but this machine has 1.1 GB"), "{error}");
        check_against(&Method::Houlsby.plan(64), &config, Some(1 << 30)).unwrap();
        check_against(&plan, &config, None).unwrap();
    }

    #[test]
    fn the_estimate_is_close_to_the_actual_number() {
        let directory = tempfile::tempdir().unwrap();
        lay_tiny_base(directory.path());
        let base = Base::locate(directory.path().join("base").to_str().unwrap()).unwrap();
        let bert = burn_bert::load(base.directory(), &Device::flex()).unwrap();
        let config = BertConfig::from_directory(base.directory()).unwrap();
        for method in
            [Method::Houlsby, Method::Pfeiffer, Method::Lora, Method::PrefixFlat, Method::Prefix]
        {
            let plan = method.plan(64);
            let task = TaskAdapterConfig::new(plan.clone(), HeadKind::unnamed(2))
                .with_pooling(Pooling::FirstToken);
            let actual = burn::module::Module::num_params(&task.init(&bert).unwrap()) as f64;
            let estimate = parameters(&plan, &config);
            assert!(
                (0.5..=2.0).contains(&(estimate / actual)),
                "{method}: {estimate} and {actual}"
            );
        }
    }
}
