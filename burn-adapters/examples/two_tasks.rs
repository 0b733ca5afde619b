//! Two tasks on one base, in one forward pass: each row of the batch has its own adapters and head.
//!
//! ```text
//! cargo run --release --package burn-adapters --example two_tasks BASE_DIRECTORY A.safetensors B.safetensors
//! ```
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Bool, Device, Int, Tensor};
use burn_adapters::file::native;
use burn_adapters::{MixedBatch, StackedTasks};
use burn_bert::BertInput;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, adapters @ ..] = arguments.as_slice() else {
        return Err("expected the directory of a base and two adapter files".into());
    };
    let device = Device::flex();
    let bert = burn_bert::load(base.as_ref(), &device)?.valid();
    let mut models = Vec::new();
    for adapter in adapters {
        let path = Path::new(adapter);
        // The file names the fingerprint of its base; a program that hashes its base passes that instead.
        let fingerprint = native::read_header(path)?.metadata.base.fingerprint;
        models.push(native::load(path, bert.clone(), &fingerprint)?.0);
    }
    let tasks: Vec<_> = models.iter().map(|model| &model.task).collect();
    let stacked = StackedTasks::new(&bert, &tasks)?;

    // The same text for each task; a tokenizer makes ids from text.
    let rows: Vec<Option<usize>> = (0..tasks.len()).map(Some).collect();
    let input_ids = Tensor::<2, Int>::from_data([[101, 102]], &device).repeat_dim(0, rows.len());
    let input = BertInput {
        token_type_ids: input_ids.zeros_like(),
        attention_mask: Tensor::<2, Bool>::full(input_ids.dims(), true, &device),
        input_ids,
    };
    let logits = MixedBatch::new(&stacked, &rows, &device).forward(&bert, &input);
    for (adapter, logits) in adapters.iter().zip(logits) {
        println!("{adapter}: {logits:?}");
    }
    Ok(())
}
