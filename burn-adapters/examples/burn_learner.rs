//! Training with Burn's own `Learner`: an `AdaptedBert` is a model of burn-train with the feature `train`.
//!
//! ```text
//! cargo run --release --package burn-adapters --features train --example burn_learner [BASE_DIRECTORY]
//! ```
//! Without a base the BERT is tiny and random.

use std::error::Error;

use burn::data::dataloader::DataLoaderBuilder;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::InMemDataset;
use burn::optim::AdamConfig;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use burn::train::metric::{AccuracyMetric, LossMetric};
use burn::train::{Learner, SupervisedTraining};
use burn_adapters::{AdaptedBert, HeadKind, Method, Targets, TaskAdapterConfig, TrainBatch};
use burn_bert::{BertConfig, BertInput};

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    let bert = match std::env::args().nth(1) {
        Some(base) => burn_bert::load(base.as_ref(), &device)?,
        None => tiny().init(&device),
    };
    let directory = std::env::temp_dir().join("burn_learner");

    let config = TaskAdapterConfig::new(Method::Houlsby.plan(8), HeadKind::unnamed(2));
    let task = config.init(&bert)?;
    let learner = Learner::new(AdaptedBert::new(bert, task)?, AdamConfig::new().init(), 1e-3);
    let [train, valid] = [128, 32].map(|rows| {
        let loader = DataLoaderBuilder::new(PadTexts).batch_size(16).shuffle(1);
        loader.set_device(device.clone()).build(texts(rows))
    });
    let training = SupervisedTraining::new(directory, train, valid).num_epochs(3);
    let training = training.metrics((AccuracyMetric::new(), LossMetric::new()));
    training.launch(learner);
    Ok(())
}

/// The token ids of a text, and its class.
type Text = (Vec<i64>, i64);

/// Texts whose second token is that of their class; a tokenizer makes ids from text.
fn texts(rows: i64) -> InMemDataset<Text> {
    let text = |row: i64| (vec![2, 10 + row % 2, 20 + row % 7, 3], row % 2);
    InMemDataset::new((0..rows).map(text).collect())
}

/// Pads the texts of a batch to the longest.
#[derive(Clone)]
struct PadTexts;

impl Batcher<Text, TrainBatch> for PadTexts {
    fn batch(&self, texts: Vec<Text>, device: &Device) -> TrainBatch {
        let longest = texts.iter().map(|(ids, _)| ids.len()).max().unwrap_or(0);
        let shape = [texts.len(), longest];
        let padded = |ids: &[i64]| {
            ids.iter().copied().chain([0].repeat(longest - ids.len())).collect::<Vec<_>>()
        };
        let ids: Vec<i64> = texts.iter().flat_map(|(ids, _)| padded(ids)).collect();
        let mask: Vec<bool> =
            texts.iter().flat_map(|(ids, _)| (0..longest).map(|index| index < ids.len())).collect();
        let classes: Vec<i64> = texts.iter().map(|(_, class)| *class).collect();
        let input_ids = Tensor::<2, Int>::from_data(TensorData::new(ids, shape), device);
        TrainBatch {
            input: BertInput {
                token_type_ids: input_ids.zeros_like(),
                input_ids,
                attention_mask: Tensor::<2, Bool>::from_data(TensorData::new(mask, shape), device),
            },
            targets: Targets::Classes(Tensor::from_data(
                TensorData::new(classes, [shape[0]]),
                device,
            )),
        }
    }
}

fn tiny() -> BertConfig {
    BertConfig {
        vocab_size: 50,
        hidden_size: 16,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 32,
        max_position_embeddings: 16,
        initializer_range: 0.3,
        ..BertConfig::bert_base()
    }
}
