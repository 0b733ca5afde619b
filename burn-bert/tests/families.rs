//! Parity of every family of encoders with transformers 4.57.6: `goldens/families.py`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod tensors;

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use burn_bert::checkpoint::hugging_face;
use burn_bert::{Bert, BertConfig, Encoder, Family, load, load_weights};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use tensors::{check_near, fixture, input, read};

/// Single precision against double precision.
const TOLERANCE: f64 = 2e-5;
const GRADIENT_TOLERANCE: f64 = 1e-4;

const ALL: [(&str, Family); 13] = [
    ("bert", Family::Bert),
    ("roberta", Family::Roberta),
    ("xlm-roberta", Family::XlmRoberta),
    ("camembert", Family::Camembert),
    ("distilbert", Family::Distilbert),
    ("electra", Family::Electra),
    ("mpnet", Family::Mpnet),
    ("mpnet-pooled", Family::Mpnet),
    ("deberta-v2", Family::DebertaV2),
    ("deberta-v2-c2p", Family::DebertaV2),
    ("deberta-v3", Family::DebertaV2),
    ("modernbert", Family::ModernBert),
    ("modernbert-biases", Family::ModernBert),
];

fn outputs(name: &str) -> String {
    format!("families/{name}/outputs.safetensors")
}

fn has_tensor(file: &str, name: &str) -> bool {
    let bytes = std::fs::read(fixture(file)).unwrap();
    safetensors::SafeTensors::deserialize(&bytes).unwrap().tensor(name).is_ok()
}

#[test]
fn hidden_states_of_every_layer_equal_those_of_transformers() {
    for (name, family) in ALL {
        let device = Device::flex();
        let bert = load(&fixture(&format!("families/{name}")), &device).unwrap();
        assert_eq!(bert.family(), family);
        let file = outputs(name);
        let input = input(&file, "", &device);
        let check = |hidden: &Tensor<3>, what: &str| {
            check_tokens(hidden, &file, what, TOLERANCE);
        };
        let mut hidden = bert.embed(&input, &());
        check(&hidden, "hidden_states.0");
        for layer in 0..bert.n_layers() {
            hidden = bert.run_layers(layer..layer + 1, hidden, &input.attention_mask, &());
            check(&hidden, &format!("hidden_states.{}", layer + 1));
        }
        let last = bert.forward(&input);
        check(&last, "last_hidden_state");
        assert_eq!(bert.pooler().is_some(), has_tensor(&file, "pooler_output"), "{name}");
        if bert.pooler().is_some() {
            check_near(bert.pool(last), &file, "pooler_output", TOLERANCE);
        }
    }
}

/// Compares the hidden states of tokens. Those of padding have no meaning: DeBERTa's padding does not attend to tokens.
#[track_caller]
fn check_tokens(found: &Tensor<3>, file: &str, name: &str, tolerance: f64) {
    let (expected, shape) = read(file, name);
    let (mask, _) = read(file, "attention_mask");
    assert_eq!(found.dims().to_vec(), shape, "{name}");
    let found: Vec<f64> = found.to_data().iter::<f64>().collect();
    let rows = found.chunks(shape[2]).zip(expected.chunks(shape[2]));
    for (index, (found, expected)) in rows.enumerate().filter(|(index, _)| mask[*index] > 0.0) {
        for (found, expected) in found.iter().zip(expected) {
            let away = (found - expected).abs();
            assert!(away <= tolerance, "{file} {name} token {index}: {found}, {expected}");
        }
    }
}

/// The values of every parameter, or their gradients, by path.
struct Values<'a> {
    gradients: Option<&'a Gradients>,
    path: Vec<String>,
    found: BTreeMap<String, Vec<f64>>,
}

impl<'a> Values<'a> {
    fn of(bert: &Bert, gradients: Option<&'a Gradients>) -> BTreeMap<String, Vec<f64>> {
        let mut values = Self { gradients, path: Vec::new(), found: BTreeMap::new() };
        bert.visit(&mut values);
        values.found
    }
}

impl ModuleVisitor for Values<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = match self.gradients {
            None => param.val().into_data(),
            Some(gradients) => match param.val().grad(gradients) {
                Some(gradient) => gradient.into_data(),
                None => TensorData::zeros::<f32, _>(param.val().dims()),
            },
        };
        self.found.insert(self.path.join("."), values.iter::<f64>().collect());
    }
}

#[test]
fn gradients_of_every_parameter_equal_those_of_pytorch() {
    for (name, _) in ALL {
        let directory = fixture(&format!("families/{name}"));
        let config = BertConfig::from_directory(&directory).unwrap().with_dropout(0.0);
        let device = Device::flex().autodiff();
        let bert = load_weights(&config, &directory, &device).unwrap();
        let file = outputs(name);
        let input = input(&file, "", &device);
        let weighted = |tensor: Tensor<3>, weights: &str| {
            let (values, shape) = read(&file, &format!("loss_weights.{weights}"));
            let weights = Tensor::<3>::from_data(
                TensorData::new(
                    values,
                    if shape.len() == 2 { vec![1, shape[0], shape[1]] } else { shape },
                ),
                &device,
            );
            (tensor * weights).sum()
        };
        let last = bert.forward(&input);
        let mut loss = weighted(last.clone(), "last_hidden_state");
        if bert.pooler().is_some() {
            loss = loss + weighted(bert.pool(last).unsqueeze(), "pooler_output");
        }
        let gradients = loss.backward();
        let found = Values::of(&bert, Some(&gradients));
        let expected =
            load_weights(&config, &directory.join("gradients"), &Device::flex()).unwrap();
        let expected = Values::of(&expected, None);
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        let largest = |values: &[f64]| values.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        // That of a key's bias is 0, because softmax does not change with it.
        let floor = 1e-2 * expected.values().map(|values| largest(values)).fold(0.0, f64::max);
        for (path, expected) in expected {
            let largest = largest(&expected).max(floor);
            let pairs = found[&path].iter().zip(&expected);
            let worst = pairs.map(|(found, expected)| (found - expected).abs()).fold(0.0, f64::max);
            let relative = worst / largest;
            assert!(relative <= GRADIENT_TOLERANCE, "{name} {path}: {relative:.1e}");
        }
    }
}

#[test]
fn a_configuration_and_weights_are_written_as_they_were_read() {
    for (name, _) in ALL {
        let directory = fixture(&format!("families/{name}"));
        let config = BertConfig::from_directory(&directory).unwrap();
        assert_eq!(config.unknown_keys, [""; 0], "{name}");
        let json = Value::Object(config.to_config_json());
        let original: Value =
            serde_json::from_slice(&std::fs::read(directory.join("config.json")).unwrap()).unwrap();
        for (key, value) in json.as_object().unwrap() {
            assert_eq!(original.get(key), Some(value), "{name} {key}");
        }
        let again = BertConfig::from_json_bytes(
            &directory.join("config.json"),
            json.to_string().as_bytes(),
        );
        assert_eq!(again.unwrap(), config, "{name}");

        let file = format!("families/{name}/model.safetensors");
        let bert = load(&directory, &Device::flex()).unwrap();
        let prefix = config.family.checkpoint_prefix();
        let names = hugging_face::tensors(&bert);
        let (first, _) = names.first_key_value().unwrap();
        let prefix = if has_tensor(&file, &format!("{prefix}{first}")) { prefix } else { "" };
        for (tensor, data) in names {
            let (values, shape) = read(&file, &format!("{prefix}{tensor}"));
            assert_eq!(data.shape().to_vec(), shape, "{name} {tensor}");
            assert!(data.iter::<f64>().eq(values), "{name} {tensor}");
        }
    }
}

/// As in microsoft/mdeberta-v3-base.
#[test]
fn a_table_of_positions_that_deberta_does_not_use_is_ignored() {
    let from = fixture("families/deberta-v3");
    let bytes = std::fs::read(from.join("model.safetensors")).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let zeros = vec![0; 4 * 32 * 32];
    let unused = TensorView::new(Dtype::F32, vec![32, 32], &zeros).unwrap();
    let name = "deberta.embeddings.position_embeddings.weight".to_owned();
    let directory = tempfile::tempdir().unwrap();
    let tensors = stored.iter().map(|(name, view)| (name.to_owned(), view));
    let path = directory.path().join("model.safetensors");
    safetensors::serialize_to_file(tensors.chain([(name, unused)]), None, &path).unwrap();
    std::fs::copy(from.join("config.json"), directory.path().join("config.json")).unwrap();

    let device = Device::flex();
    let found = Values::of(&load(directory.path(), &device).unwrap(), None);
    assert_eq!(found, Values::of(&load(&from, &device).unwrap(), None));
}
