//! Loads an adapter that the Python package `adapters` saved, and runs it.
//!
//! ```text
//! cargo run --release --package burn-adapters --example load_adapter_hub BASE_DIRECTORY ADAPTER_DIRECTORY
//! ```
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;

use burn::tensor::{Bool, Device, Int, Tensor};
use burn_adapters::interchange::adapter_hub;
use burn_bert::BertInput;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let base = args.next().ok_or("the first argument is the directory of the base")?;
    let adapter = args.next().ok_or("the second argument is the directory of the adapter")?;
    let device = Device::flex();
    let bert = burn_bert::load(base.as_ref(), &device)?;
    let imported = adapter_hub::read(adapter.as_ref(), bert, None)?;
    for warning in &imported.warnings {
        println!("warning: {warning}");
    }
    println!("{}: {:?}", imported.name, imported.head);

    // [CLS] [SEP]; a tokenizer makes ids from text.
    let input_ids = Tensor::<2, Int>::from_data([[101, 102]], &device);
    let input = BertInput {
        token_type_ids: input_ids.zeros_like(),
        attention_mask: Tensor::<2, Bool>::full([1, 2], true, &device),
        input_ids,
    };
    println!("logits {}", imported.model.forward(&input).into_data());
    Ok(())
}
