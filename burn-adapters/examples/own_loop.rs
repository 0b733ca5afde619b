//! A training loop of your own: Houlsby adapters on a BERT, with Burn's Adam.
//!
//! ```text
//! cargo run --release --package burn-adapters --example own_loop [BASE_DIRECTORY]
//! ```
//! Without a base the BERT is tiny and random.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Bool, Device, Int, Tensor};
use burn_adapters::{AdaptedBert, HeadKind, Method, TaskAdapterConfig, classification_loss};
use burn_bert::{BertConfig, BertInput};

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    let bert = match std::env::args().nth(1) {
        Some(base) => burn_bert::load(base.as_ref(), &device)?,
        None => tiny().init(&device),
    };
    let config = TaskAdapterConfig::new(Method::Houlsby.plan(8), HeadKind::unnamed(2));
    let task = config.init(&bert)?;
    let mut model = AdaptedBert::new(bert, task)?;
    println!("{}", model.trainable_table());

    // The token ids of two texts and their classes; a tokenizer makes them from text.
    let input = BertInput {
        input_ids: Tensor::<2, Int>::from_data([[2, 17, 30, 3], [2, 8, 3, 0]], &device),
        token_type_ids: Tensor::zeros([2, 4], &device),
        attention_mask: Tensor::<2, Bool>::from_data(
            [[true, true, true, true], [true, true, true, false]],
            &device,
        ),
    };
    let labels = Tensor::<1, Int>::from_data([0, 1], &device);

    let mut optimizer = AdamConfig::new().init();
    for step in 1..=20 {
        let loss = classification_loss(model.forward(&input), labels.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(1e-2, model, gradients);
        println!("step {step}: loss {:.4}", loss.into_scalar::<f32>());
    }
    Ok(())
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
