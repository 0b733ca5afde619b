//! Adapters for the tiny base, which nobody trained.

use std::path::Path;

use burn::tensor::Device;
use burn_adapters::file::native::{AdapterMetadata, BaseIdentity, Calibration, save};
use burn_adapters::{AdaptedBert, HeadKind, Method, Pooling, TaskAdapterConfig};

/// Writes a fresh adapter for the tiny base with so many labels (1 is a score); the result is the file's name.
pub(crate) fn write_adapter(
    directory: &Path,
    base: BaseIdentity,
    task: &str,
    method: Method,
    outputs: usize,
) -> String {
    let labels = ["a", "b", "c", "d"][..outputs].iter().map(ToString::to_string).collect();
    let head = match outputs {
        1 => HeadKind::Regression,
        _ => HeadKind::Classification { labels },
    };
    write_adapter_of(directory, base, task, method, head)
}

/// Writes a fresh adapter for the tiny base with a head; the result is the file's name.
pub(crate) fn write_adapter_of(
    directory: &Path,
    base: BaseIdentity,
    task: &str,
    method: Method,
    head: HeadKind,
) -> String {
    let outputs = head.outputs();
    let bert = burn_bert::load(&directory.join("base"), &Device::flex()).unwrap();
    let mut plan = method.plan(2 + outputs);
    if let Some(prefix) = &mut plan.prefix {
        prefix.length = 3;
    }
    let config = TaskAdapterConfig::new(plan, head.clone())
        .with_pooling(if head.reads_tokens() { Pooling::FirstToken } else { Pooling::Mean })
        .with_seed(outputs as u64);
    let task_adapter = config.init(&bert).unwrap();
    let model = AdaptedBert::new(bert, task_adapter).unwrap();
    let metadata = AdapterMetadata {
        method: method.to_string(),
        task: task.to_owned(),
        data: None,
        input: None,
        head,
        score: None,
        calibration: Calibration::default(),
        max_length: 16,
        base,
    };
    let file = format!("{task}.safetensors");
    save(&directory.join(&file), &model, &metadata).unwrap();
    file
}
