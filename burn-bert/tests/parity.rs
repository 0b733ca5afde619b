//! Parity of the encoder with PyTorch, and its invariants.
//!
//! The expected values were computed with torch 2.9.1 and transformers 4.57.6; those that end in `.f64` in double precision.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[cfg(feature = "tensorflow")]
mod google;
mod tensors;

use std::cell::RefCell;
use std::path::Path;

use burn::module::Param;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_bert::{
    Bert, BertConfig, BertInput, Encoder, EncoderPart, HiddenActivation, Insertions, Prefix,
    Projection, ResidualNorm, Site, load, load_weights,
};
use burn_fused::LayerNorm;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use tensors::{check_near, fixture, input, read};

/// Single precision against double precision; PyTorch's own f32 is up to 6e-6 away.
const TOLERANCE: f64 = 2e-5;

fn texts() -> BertInput {
    input("inputs.safetensors", "", &Device::flex())
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn base() -> Bert {
    load(&fixture("base"), &Device::flex()).unwrap()
}

const OUTPUTS: &str = "base/outputs.safetensors";

/// Every hidden state and the pooled output, on one kind of device.
fn check_encoder(bert: &Bert, input: &BertInput) {
    let mut hidden = bert.embed(input, &());
    check_near(hidden.clone(), OUTPUTS, "hidden_states.0.f64", TOLERANCE);
    for layer in 0..bert.n_layers() {
        hidden = bert.run_layers(layer..layer + 1, hidden, &input.attention_mask, &());
        check_near(hidden.clone(), OUTPUTS, &format!("hidden_states.{}.f64", layer + 1), TOLERANCE);
    }
    check_near(bert.pool(hidden), OUTPUTS, "pooler_output.f64", TOLERANCE);
}

#[test]
fn every_hidden_state_is_pytorchs() {
    check_encoder(&base(), &texts());
}

#[test]
fn every_hidden_state_is_pytorchs_with_autodiff() {
    let device = Device::flex().autodiff();
    check_encoder(
        &load(&fixture("base"), &device).unwrap(),
        &input("inputs.safetensors", "", &device),
    );
}

#[test]
fn a_text_without_padding_and_types_is_pytorchs() {
    let BertInput { input_ids, .. } = texts();
    let token_type_ids = input_ids.zeros_like();
    let attention_mask = input_ids.clone().greater_equal_scalar(0);
    let bert = base();
    let hidden = bert.forward(&BertInput { input_ids, token_type_ids, attention_mask });
    check_near(hidden.clone(), OUTPUTS, "last_hidden_state_nomask_notypes", TOLERANCE);
    check_near(bert.pool(hidden), OUTPUTS, "pooler_output_nomask_notypes", TOLERANCE);
}

#[test]
fn every_activation_is_pytorchs() {
    let config = BertConfig::from_json_file(&fixture("base/config.json")).unwrap();
    let activations = [
        (HiddenActivation::Relu, "relu"),
        (HiddenActivation::GeluNew, "gelu_new"),
        (HiddenActivation::Silu, "silu"),
        (HiddenActivation::Tanh, "tanh"),
    ];
    for (hidden_act, name) in activations {
        let config = BertConfig { hidden_act, ..config.clone() };
        let bert = load_weights(&config, &fixture("base"), &Device::flex()).unwrap();
        let name = format!("last_hidden_state.{name}");
        check_near(
            bert.forward(&texts()),
            "base/outputs_other_activations.safetensors",
            &name,
            TOLERANCE,
        );
    }
}

#[test]
fn logits_of_a_classifier_are_pytorchs() {
    let config = BertConfig::from_json_file(&fixture("base/config.json")).unwrap();
    let bert = load_weights(&config, &fixture("seqcls"), &Device::flex()).unwrap();
    let matrix = |name: &str| {
        let (values, shape) = read("seqcls/model.safetensors", name);
        TensorData::new(values, shape)
    };
    let weight = Tensor::<2>::from_data(matrix("classifier.weight"), &Device::flex());
    let bias = Tensor::<1>::from_data(matrix("classifier.bias"), &Device::flex());
    let pooled = bert.pool(bert.forward(&texts()));
    let logits = pooled.matmul(weight.transpose()) + bias.unsqueeze();
    check_near(logits, "seqcls/outputs.safetensors", "logits.f64", TOLERANCE);
}

/// The same weights in the formats of old and new checkpoints.
#[test]
fn every_kind_of_checkpoint_gives_the_same_bits() {
    let expected = numbers(base().forward(&texts()));
    let config = BertConfig::from_json_file(&fixture("base/config.json")).unwrap();
    let stored = [
        ("base/pytorch_model.bin", "pytorch_model.bin"),
        ("base/pytorch_model.torch15.bin", "pytorch_model.bin"),
        ("base_legacy/pytorch_model.bin", "pytorch_model.bin"),
        ("base_legacy/model.safetensors", "model.safetensors"),
    ];
    for (from, name) in stored {
        let directory = tempfile::tempdir().unwrap();
        std::fs::copy(fixture(from), directory.path().join(name)).unwrap();
        let bert = load_weights(&config, directory.path(), &Device::flex()).unwrap();
        assert_eq!(numbers(bert.forward(&texts())), expected, "{from}");
    }
}

#[test]
fn shards_give_the_same_bits_as_one_file() {
    let bytes = std::fs::read(fixture("base/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut map = serde_json::Map::new();
    for shard in 0..2 {
        let file = format!("model-0000{}-of-00002.safetensors", shard + 1);
        let mine = tensors
            .iter()
            .enumerate()
            .filter(|(index, _)| index % 2 == shard)
            .map(|(_, tensor)| tensor);
        let mine: Vec<_> = mine.collect();
        map.extend(mine.iter().map(|(name, _)| ((*name).to_owned(), file.clone().into())));
        safetensors::serialize_to_file(mine, None, &directory.path().join(file)).unwrap();
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": map });
    std::fs::write(directory.path().join("model.safetensors.index.json"), index.to_string())
        .unwrap();
    std::fs::copy(fixture("base/config.json"), directory.path().join("config.json")).unwrap();
    let bert = load(directory.path(), &Device::flex()).unwrap();
    assert_eq!(numbers(bert.forward(&texts())), numbers(base().forward(&texts())));
}

#[test]
fn forward_is_forward_with_no_insertions() {
    let bert = base();
    assert_eq!(numbers(bert.forward(&texts())), numbers(bert.forward_with(&texts(), &())));
}

#[test]
fn padding_does_not_change_tokens() {
    let bert = base();
    let BertInput { input_ids, token_type_ids, attention_mask } = texts();
    let row = 1..2;
    let short = attention_mask.clone().slice([row.clone()]).int().sum().into_scalar::<i64>();
    let cut =
        |tensor: Tensor<2, Int>| tensor.slice([row.clone(), 0..usize::try_from(short).unwrap()]);
    let alone = BertInput {
        input_ids: cut(input_ids.clone()),
        token_type_ids: cut(token_type_ids.clone()),
        attention_mask: cut(input_ids.clone()).greater_equal_scalar(0),
    };
    let alone = bert.forward(&alone);
    let [_, length, _] = alone.dims();
    let together = bert.forward(&BertInput { input_ids, token_type_ids, attention_mask });
    let together = numbers(together.slice([row, 0..length]));
    for (alone, together) in numbers(alone).into_iter().zip(together) {
        assert!((alone - together).abs() < 1e-5, "{alone} {together}");
    }
}

/// Records the calls of the encoder.
#[derive(Default)]
struct Spy {
    calls: RefCell<Vec<String>>,
}

impl Insertions for Spy {
    fn inner(&self, _part: EncoderPart) -> &dyn Insertions {
        &()
    }

    fn add_and_norm(
        &self,
        site: Site,
        residual: Tensor<3>,
        output: Tensor<3>,
        norm: ResidualNorm<'_>,
    ) -> Tensor<3> {
        self.calls.borrow_mut().push(format!("{site:?}"));
        norm.forward([output, residual])
    }

    fn norm(&self, site: Site, hidden: Tensor<3>, norm: &LayerNorm) -> Tensor<3> {
        self.calls.borrow_mut().push(format!("{site:?}"));
        norm.forward(hidden)
    }

    fn project(
        &self,
        layer: usize,
        projection: Projection,
        _input: &Tensor<3>,
        output: Tensor<3>,
        _dense: &burn::nn::Linear,
    ) -> Tensor<3> {
        self.calls.borrow_mut().push(format!("{projection:?} {layer}"));
        output
    }

    fn project_input(&self, layer: usize, projection: Projection, input: Tensor<3>) -> Tensor<3> {
        self.calls.borrow_mut().push(format!("input of {projection:?} {layer}"));
        input
    }

    fn project_pooler(
        &self,
        _input: &Tensor<2>,
        output: Tensor<2>,
        _dense: &burn::nn::Linear,
    ) -> Tensor<2> {
        self.calls.borrow_mut().push("pooler".to_owned());
        output
    }

    fn prefix(&self, layer: usize, _hidden: &Tensor<3>) -> Option<Prefix> {
        self.calls.borrow_mut().push(format!("prefix {layer}"));
        None
    }
}

#[test]
fn every_method_is_called_once_and_in_order() {
    let spy = Spy::default();
    let bert = base();
    let hidden = bert.forward_with(&texts(), &spy);
    assert_eq!(numbers(hidden.clone()), numbers(bert.forward(&texts())));
    assert_eq!(numbers(bert.pool_with(hidden.clone(), &spy)), numbers(bert.pool(hidden)));
    insta::assert_snapshot!(spy.calls.take().join("\n"), @r"
    Embeddings
    input of Query 0
    Query 0
    input of Key 0
    Key 0
    input of Value 0
    Value 0
    prefix 0
    input of AttentionOutput 0
    AttentionOutput 0
    Attention(0)
    input of FeedForwardIn 0
    FeedForwardIn 0
    input of FeedForwardOut 0
    FeedForwardOut 0
    FeedForward(0)
    input of Query 1
    Query 1
    input of Key 1
    Key 1
    input of Value 1
    Value 1
    prefix 1
    input of AttentionOutput 1
    AttentionOutput 1
    Attention(1)
    input of FeedForwardIn 1
    FeedForwardIn 1
    input of FeedForwardOut 1
    FeedForwardOut 1
    FeedForward(1)
    pooler
    ");
}

/// A prefix of the keys and values of all tokens.
struct Twice<'a>(&'a Bert);

impl Insertions for Twice<'_> {
    fn inner(&self, _part: EncoderPart) -> &dyn Insertions {
        &()
    }

    fn prefix(&self, layer: usize, hidden: &Tensor<3>) -> Option<Prefix> {
        let project = |projection| self.0.projection(layer, projection).forward(hidden.clone());
        Some(Prefix { keys: project(Projection::Key), values: project(Projection::Value) })
    }
}

#[test]
fn duplicated_keys_do_not_change_the_result() {
    let bert = base();
    // A prefix is never masked, so that this holds for texts without padding.
    let texts = texts();
    let texts = BertInput { attention_mask: texts.attention_mask.clone().full_like(true), ..texts };
    let (once, twice) = (bert.forward(&texts), bert.forward_with(&texts, &Twice(&bert)));
    for (once, twice) in numbers(once).into_iter().zip(numbers(twice)) {
        assert!((once - twice).abs() < 1e-5, "{once} {twice}");
    }
}

/// Doubles the queries of the last layer.
struct Doubler;

impl Insertions for Doubler {
    fn inner(&self, _part: EncoderPart) -> &dyn Insertions {
        &()
    }

    fn project(
        &self,
        layer: usize,
        projection: Projection,
        _input: &Tensor<3>,
        output: Tensor<3>,
        _dense: &burn::nn::Linear,
    ) -> Tensor<3> {
        if layer == 1 && projection == Projection::Query { output * 2.0 } else { output }
    }
}

#[test]
fn a_changed_projection_output_equals_changed_weights() {
    let inserted = base().forward_with(&texts(), &Doubler);
    let mut bert = base();
    let query = bert.projection_mut(1, Projection::Query);
    query.weight = Param::from_tensor(query.weight.val() * 2.0);
    query.bias = query.bias.take().map(|bias| Param::from_tensor(bias.val() * 2.0));
    assert_eq!(numbers(inserted), numbers(bert.forward(&texts())));
}

/// The error of loading a checkpoint with changed tensors of the base.
fn loading_error(change: impl Fn(&str) -> Option<String>) -> String {
    let bytes = std::fs::read(fixture("base/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let kept: Vec<_> =
        tensors.iter().filter_map(|(name, view)| Some((change(name)?, view))).collect();
    let directory = tempfile::tempdir().unwrap();
    safetensors::serialize_to_file(kept, None, &directory.path().join("model.safetensors"))
        .unwrap();
    std::fs::copy(fixture("base/config.json"), directory.path().join("config.json")).unwrap();
    let error = load(directory.path(), &Device::flex()).unwrap_err().to_string();
    error.replace(&directory.path().display().to_string(), "[directory]")
}

#[test]
fn all_wrong_tensors_are_listed() {
    let error = loading_error(|name| match name {
        "encoder.layer.0.attention.self.query.bias" => None,
        "encoder.layer.1.intermediate.dense.bias" => {
            Some("encoder.layer.1.intermediate.extra".to_owned())
        }
        "embeddings.position_embeddings.weight" => {
            Some("embeddings.token_type_embeddings.weight".to_owned())
        }
        "embeddings.token_type_embeddings.weight" => {
            Some("embeddings.position_embeddings.weight".to_owned())
        }
        name => Some(name.to_owned()),
    });
    insta::assert_snapshot!(error, @r"
    the weights in [directory] do not match its config.json:
      embeddings.position_embeddings.weight is [2, 32], expected [24, 32]
      embeddings.token_type_embeddings.weight is [24, 32], expected [2, 32]
      encoder.layer.0.attention.self.query.bias [32] is missing
      encoder.layer.1.intermediate.dense.bias [64] is missing
      encoder.layer.1.intermediate.extra [64] is unexpected
    ");
}

#[test]
fn a_truncated_file_is_named() {
    for (from, name) in [
        ("base/model.safetensors", "model.safetensors"),
        ("base/pytorch_model.bin", "pytorch_model.bin"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(fixture(from)).unwrap();
        for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(directory.path().join(name), &bytes[..length]).unwrap();
            std::fs::copy(fixture("base/config.json"), directory.path().join("config.json"))
                .unwrap();
            let error = load(directory.path(), &Device::flex()).unwrap_err().to_string();
            assert!(error.contains(name), "{length}: {error}");
        }
    }
}

#[test]
fn a_shard_outside_of_the_directory_is_refused() {
    for shard in ["../model.safetensors", "/etc/passwd", "inside/model.safetensors", ""] {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("base");
        std::fs::create_dir(&target).unwrap();
        std::fs::copy(fixture("base/config.json"), target.join("config.json")).unwrap();
        let weights = fixture("base/model.safetensors");
        std::fs::copy(&weights, directory.path().join("model.safetensors")).unwrap();
        let index =
            format!(r#"{{"weight_map": {{"embeddings.word_embeddings.weight": "{shard}"}}}}"#);
        std::fs::write(target.join("model.safetensors.index.json"), index).unwrap();
        let error = load(&target, &Device::flex()).unwrap_err().to_string();
        assert!(error.contains("expected one in its own directory"), "{error}");
    }
}

#[test]
fn a_hundred_thousand_tensors_are_an_error_that_can_be_read() {
    let bytes = std::fs::read(fixture("base/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let nothing = TensorView::new(Dtype::F32, vec![0], &[]).unwrap();
    let more = (0..100_000).map(|number| (format!("encoder.t{number}"), nothing.clone()));
    let all = tensors.iter().map(|(name, view)| (name.to_owned(), view)).chain(more);
    let directory = tempfile::tempdir().unwrap();
    safetensors::serialize_to_file(all, None, &directory.path().join("model.safetensors")).unwrap();
    std::fs::copy(fixture("base/config.json"), directory.path().join("config.json")).unwrap();
    let error = load(directory.path(), &Device::flex()).unwrap_err().to_string();
    assert!(error.len() < 20_000, "{} bytes", error.len());
    assert!(error.contains("and 99900 more"), "{error}");
}

#[test]
fn a_directory_without_weights_is_an_error_with_the_expected_files() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(fixture("base/config.json"), directory.path().join("config.json")).unwrap();
    let error = load(directory.path(), &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("holds no weights: expected model.safetensors"), "{error}");
}

/// PyTorch's own f32 is up to 1e-5 away.
#[test]
#[ignore = "needs the real MiniLM: TRAINER_MINILM is its directory"]
fn the_real_minilm_is_pytorchs() {
    let directory = std::env::var_os("TRAINER_MINILM").expect("TRAINER_MINILM is not set");
    let device = Device::flex();
    let bert = load(Path::new(&directory), &device).unwrap();
    let file = "minilm/outputs.safetensors";
    for kind in ["single", "pair"] {
        let input = input(file, &format!("{kind}."), &device);
        let hidden = bert.forward(&input);
        let first: Tensor<2> = hidden.clone().narrow(1, 0, 1).squeeze_dim(1);
        check_near(first, file, &format!("{kind}.cls_last.f64"), 1e-4);
        check_near(bert.pool(hidden), file, &format!("{kind}.pooler_output.f64"), 1e-4);
        let mut hidden = bert.embed(&input, &());
        for layer in 0..=bert.n_layers() {
            let corner = hidden.clone().narrow(1, 0, 2).narrow(2, 0, 8);
            check_near(corner, file, &format!("{kind}.hidden{layer}.tok0_1_first8"), 1e-4);
            if layer < bert.n_layers() {
                hidden = bert.run_layers(layer..layer + 1, hidden, &input.attention_mask, &());
            }
        }
    }
}
