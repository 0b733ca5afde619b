//! How much slower a batch of many tasks is than one of a single task.
//!
//! ```text
//! cargo build --release --workspace --example mixed_batch
//! target/release/examples/mixed_batch BASE_DIRECTORY [TOKENS]
//! ```
//! Rounds are interleaved, so that what else the machine does hits all alike.
#![expect(clippy::print_stdout, reason = "the table is what was asked for")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Bool, Device, Int, Tensor};
use burn_adapters::{
    AdaptedBert, HeadKind, Method, MixedBatch, Pooling, StackedTasks, TaskAdapterConfig,
};
use burn_bert::BertInput;

const ROWS: usize = 64;
const ROUNDS: usize = 7;
const TASKS: [usize; 4] = [1, 4, 16, 64];

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let base = args.next().ok_or("name the directory of a base")?;
    let tokens: usize = args.next().map_or(Ok(64), |tokens| tokens.parse())?;
    let device = Device::flex();
    let bert = burn_bert::load(Path::new(&base), &device)?.valid();
    let mut models = Vec::new();
    for seed in 0..64 {
        let config = TaskAdapterConfig::new(Method::Houlsby.plan(64), HeadKind::unnamed(2))
            .with_pooling(Pooling::Mean)
            .with_seed(seed);
        let task = config.init(&bert)?;
        models.push(AdaptedBert::new(bert.clone(), task)?.valid());
    }
    let input_ids = Tensor::<1, Int>::arange(1000..1000 + (ROWS * tokens) as i64, &device)
        .reshape([ROWS, tokens]);
    let input = BertInput {
        token_type_ids: input_ids.zeros_like(),
        attention_mask: Tensor::<2, Bool>::full([ROWS, tokens], true, &device),
        input_ids,
    };
    let mut sets = Vec::new();
    for tasks in TASKS {
        let together: Vec<_> = models[..tasks].iter().map(|model| &model.task).collect();
        sets.push((tasks, StackedTasks::new(&bert, &together)?));
    }

    let mut single = Vec::new();
    let mut mixed = vec![Vec::new(); sets.len()];
    for _ in 0..ROUNDS {
        single.push(seconds(|| drop(models[0].forward(&input).into_data())));
        for ((tasks, set), seconds_of) in sets.iter().zip(&mut mixed) {
            let rows: Vec<_> = (0..ROWS).map(|row| Some(row % tasks)).collect();
            seconds_of.push(seconds(|| {
                drop(MixedBatch::new(set, &rows, &device).forward(&bert, &input));
            }));
        }
    }
    println!("{ROWS} texts of {tokens} tokens, the median of {ROUNDS} rounds");
    let alone = median(single);
    println!("{:<24} {:>8.1} texts/s", "one task, on its own", ROWS as f64 / alone);
    for ((tasks, _), seconds) in sets.iter().zip(mixed) {
        let seconds = median(seconds);
        let speed = ROWS as f64 / seconds;
        println!(
            "{:<24} {speed:>8.1} texts/s  {:.2} of that",
            format!("{tasks} mixed"),
            alone / seconds
        );
    }
    Ok(())
}

fn seconds(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
