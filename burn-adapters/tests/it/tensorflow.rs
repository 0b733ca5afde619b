//! Results of the paper's code, in checkpoints that TensorFlow itself wrote.

use std::path::Path;

use burn::tensor::{Device, TensorData};
use burn_adapters::interchange::tensorflow::read;
use burn_adapters::{AdaptedBert, AdapterError, Method, Pooling, TensorflowError};
use burn_bert::BertConfig;

use crate::fixtures::{
    Tensors, adapted, all_tensors, base, config, from_torch, hub_name, path, read as read_tensors,
    with_tensors,
};
use crate::samples::some_input;

/// The same task from the files that the checkpoint was made of.
fn expected() -> AdaptedBert {
    let name = "houlsby_gelu_m8";
    let adapter = read_tensors(path(&format!("adapters/{name}/adapter.safetensors")));
    let head = read_tensors(path("train/houlsby.init.safetensors"));
    let model = adapted(base(&Device::flex()), &config(Method::HoulsbyCode.plan(8)));
    let norms = all_tensors(&model);
    let tensors = model.trainable_parameters().into_iter().map(|parameter| {
        let hub = hub_name(&parameter.path, name);
        let data = if parameter.path.contains("norm") {
            // As goldens/tensorflow_checkpoint.py moves them.
            let values = norms[&parameter.path].iter::<f32>().enumerate();
            let moved = values.map(|(index, value)| value + 0.1_f32 * (index as f32).sin());
            TensorData::new(moved.collect::<Vec<_>>(), norms[&parameter.path].shape().clone())
        } else {
            let data = adapter.get(&hub).unwrap_or_else(|| &head[&hub]);
            from_torch(&parameter.path, data)
        };
        (parameter.path, data)
    });
    let tensors: Tensors = tensors.collect();
    with_tensors(model, tensors)
}

#[test]
fn a_result_of_the_papers_code_is_read_whole() {
    // The biases are matrices of one row, as `feedforward_adapter` makes them, or vectors.
    for name in ["model", "flat"] {
        check_result(&path(&format!("adapter_bert/{name}.ckpt-7")));
    }
}

fn check_result(checkpoint: &Path) {
    let model = read(checkpoint, base(&Device::flex())).unwrap();
    assert_eq!(model.task.config().plan, Method::HoulsbyCode.plan(8));
    assert_eq!(model.task.config().pooling, Pooling::Pooler);
    let (found, expected) = (all_tensors(&model), expected());
    for (path, expected) in all_tensors(&expected) {
        let differs = found[&path]
            .iter::<f32>()
            .zip(expected.iter::<f32>())
            .any(|(found, expected)| (found - expected).abs() > 5e-7);
        // Norms were moved in Python; the last bit may differ.
        assert!(!differs, "{path}");
        assert_eq!(found[&path].shape(), expected.shape(), "{path}");
    }
    let input = some_input(&Device::flex());
    let difference = crate::fixtures::max_abs_difference(
        &model.forward(&input).into_data(),
        &expected.forward(&input).into_data(),
    );
    assert!(difference < 1e-6, "{difference:e}");
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let device = Device::flex();
    let checkpoint = path("adapter_bert/model.ckpt-7");
    let google = path("../../../burn-bert/tests/fixtures/google/bert_model.ckpt");
    let error = read(&google, base(&device)).unwrap_err().to_string();
    assert!(error.contains("holds no adapters: bert/encoder/layer_0/attention"), "{error}");

    let other = BertConfig::from_directory(&path("base")).unwrap().init(&device);
    let error = read(&checkpoint, other.clone()).unwrap_err();
    let AdapterError::Tensorflow(TensorflowError::OtherBase { tensor, .. }) = error else {
        panic!("{error}")
    };
    assert_eq!(tensor, "bert/embeddings/position_embeddings");

    let mut config = BertConfig::from_directory(&path("base")).unwrap();
    config.num_hidden_layers = 3;
    let error = read(&checkpoint, config.init(&device)).unwrap_err().to_string();
    let missing = "missing: bert/encoder/layer_2/attention/output/adapters/weights1";
    assert!(error.contains(missing), "{error}");
    config.num_hidden_layers = 1;
    let error = read(&checkpoint, config.init(&device)).unwrap_err().to_string();
    let left_over = "left over: bert/encoder/layer_1/attention/output/LayerNorm/beta";
    assert!(error.contains(left_over), "{error}");
    let error = read(&path("adapter_bert/model.ckpt-8"), other).unwrap_err();
    assert!(
        matches!(error, AdapterError::Tensorflow(TensorflowError::Checkpoint { .. })),
        "{error}"
    );
}
