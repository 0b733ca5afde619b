//! TensorFlow checkpoints of the paper's own code, with base, adapters, trained norms and head.
//!
//! <https://github.com/google-research/adapter-bert/blob/69b7c5809eb69437d45747b56040c33ded772186/modeling.py>;
//! the head is `create_model`'s in `run_classifier.py`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::tensor::TensorData;
use burn_bert::checkpoint::tensorflow::{self, TensorBundle};
use burn_bert::{Bert, BertError};

use super::tensor_mapping::transpose;
use crate::error::{AdapterError, FileError, TensorProblems, TensorflowError};
use crate::methods::method::Method;
use crate::model::TaskAdapterConfig;
use crate::model::adapted::AdaptedBert;
use crate::model::head::HeadKind;
use crate::model::weights::{name_in_file, put_weights, read_weights};

/// The tensor with the adapters' size: `[d_model, size]`.
const DOWN: &str = "bert/encoder/layer_0/attention/output/adapters/weights1";
const HEAD: &str = "output_weights";
const HEAD_BIAS: &str = "output_bias";
/// `create_model` keeps 0.9 of the pooled vector.
const HEAD_DROPOUT: f64 = 0.1;

/// Reads the adapters, norms and head of a checkpoint, such as `model.ckpt-5000` for `model.ckpt-5000.index` and its
/// data files, and joins them with the base they were trained on.
///
/// The plan is that of [`Method::HoulsbyCode`].
///
/// # Errors
/// If the checkpoint cannot be read, has no adapters or those of another base; or if a tensor is missing, unexpected or
/// of another shape (all such tensors are named).
pub fn read(checkpoint: &Path, bert: Bert) -> Result<AdaptedBert, AdapterError> {
    let unreadable =
        |source: BertError| TensorflowError::Checkpoint { path: checkpoint.to_owned(), source };
    let bundle = TensorBundle::open(checkpoint).map_err(unreadable)?;
    let side = |name: &str, axis: usize| {
        let side = bundle.shape(name).and_then(|shape| shape.get(axis).copied());
        side.ok_or_else(|| TensorflowError::NoAdapters {
            path: checkpoint.to_owned(),
            name: name.to_owned(),
        })
    };
    let plan = Method::HoulsbyCode.plan(side(DOWN, 1)?);
    let head = HeadKind::unnamed(side(HEAD, 0)?.min(HeadKind::MAX_UNNAMED));
    let config = TaskAdapterConfig::new(plan, head).with_head_dropout(HEAD_DROPOUT);
    let task = config.init(&bert)?;
    let model = AdaptedBert::new(bert, task)?;

    let mut left_over: BTreeSet<&str> = bundle.names().collect();
    left_over.retain(|name| !tensorflow::is_of_training(name) && !name.starts_with("cls/"));
    let mut problems = TensorProblems::default();
    let mut weights = BTreeMap::new();
    for parameter in model.saved_parameters() {
        let name = name_of(&parameter.path);
        left_over.remove(name.as_str());
        let mut expected = parameter.shape.clone();
        if name == HEAD {
            expected.reverse();
        }
        // `feedforward_adapter` creates biases as matrices of one row; other programs write vectors.
        let as_row = name.contains("/adapters/biases").then(|| vec![1, expected[0]]);
        match bundle.shape(&name) {
            None => problems.missing.push(name),
            Some(shape) if shape != expected && Some(&shape) != as_row.as_ref() => {
                let expected = as_row.unwrap_or(expected);
                problems.wrong.push(format!("{name} is {shape:?}, expected {expected:?}"));
            }
            Some(_) => {
                let data = bundle.read(&name).map_err(unreadable)?;
                // `matmul(…, transpose_b=True)`: one row for each class.
                let values: Vec<f32> = data.iter().collect();
                let values =
                    if name == HEAD { transpose(&values, parameter.shape[0]) } else { values };
                let data = TensorData::new(values, parameter.shape);
                weights.insert(name_in_file(&parameter.path).to_owned(), data);
            }
        }
    }
    let base = base_tensors(&model.bert);
    left_over.retain(|name| !base.contains_key(*name));
    problems.left_over.extend(left_over.into_iter().map(str::to_owned));
    if !problems.is_empty() {
        return Err(FileError::Tensors { path: checkpoint.to_owned(), problems }.into());
    }
    // The base did not train, so that it identifies the adapters' base. Its norms did, in copies.
    for (name, expected) in base.iter().filter(|(name, _)| !name.contains("/LayerNorm/")) {
        let same = bundle.shape(name).as_deref() == Some(&expected.shape().to_vec())
            && bundle.read(name).map_err(unreadable)?.as_bytes() == expected.as_bytes();
        if !same {
            return Err(TensorflowError::OtherBase {
                path: checkpoint.to_owned(),
                tensor: name.clone(),
            }
            .into());
        }
    }
    Ok(put_weights(model, weights))
}

/// The name in a checkpoint of a task's parameter, by its path in an [`AdaptedBert`].
fn name_of(path: &str) -> String {
    let name = match path {
        "task.head.linear.weight" => return HEAD.to_owned(),
        "task.head.linear.bias" => return HEAD_BIAS.to_owned(),
        _ => path.replace("task.", "bert.").replace("embeddings_norm.", "embeddings.LayerNorm."),
    };
    let name = name
        .replace("bert.layers.", "bert.encoder.layer_")
        .replace(".attention.", ".attention.output.")
        .replace(".feed_forward.", ".output.")
        .replace(".norm.", ".LayerNorm.");
    let parts = [("down.weight", "weights1"), ("down.bias", "biases1"), ("up.weight", "weights2")]
        .into_iter()
        .chain([("up.bias", "biases2")]);
    let name = parts.fold(name, |name, (ours, theirs)| {
        name.replace(&format!("bottleneck.{ours}"), &format!("adapters.{theirs}"))
    });
    name.replace('.', "/")
}

/// The base's tensors by their names in a checkpoint.
fn base_tensors(bert: &Bert) -> BTreeMap<String, TensorData> {
    let tensors = read_weights(bert, |_| true).into_iter();
    tensors.map(|(path, data)| (tensorflow::name_of(&path), data)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_named_as_in_the_papers_code() {
        for (path, name) in [
            (
                "task.layers.11.attention.bottleneck.down.weight",
                "bert/encoder/layer_11/attention/output/adapters/weights1",
            ),
            (
                "task.layers.0.feed_forward.bottleneck.up.bias",
                "bert/encoder/layer_0/output/adapters/biases2",
            ),
            (
                "task.layers.0.attention.norm.gamma",
                "bert/encoder/layer_0/attention/output/LayerNorm/gamma",
            ),
            ("task.layers.3.feed_forward.norm.beta", "bert/encoder/layer_3/output/LayerNorm/beta"),
            ("task.embeddings_norm.beta", "bert/embeddings/LayerNorm/beta"),
            ("task.head.linear.weight", "output_weights"),
            ("task.head.linear.bias", "output_bias"),
        ] {
            assert_eq!(name_of(path), name);
        }
    }
}
