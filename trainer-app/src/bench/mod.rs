//! The cases of the benchmark, and their measurement: a training step on texts of given lengths.
//! The command that runs them is in [`commands::bench`](crate::commands::bench).

mod shapes;
mod workload;

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::tensor::Device;
use burn_adapters::{AdaptedBert, HeadKind, Method, Pooling, TaskAdapterConfig};
use burn_bert::{Bert, BertConfig, Precision};
use glue_data::{Encoded, Label, TokenizedDataset, derive_seed};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::base::Base;
use crate::learner::backward::{Activations, gradients};
use crate::learner::clip::clip_to_global_norm;
use crate::learner::memory;
use crate::learner::optimizer::build_optimizer;
use crate::learner::progress::median;
use crate::learner::step::{TrainableModel, read_output};
use crate::run_config::RunConfig;
use crate::system::devices;
use crate::system::process::keep_workers_spinning;
use crate::task_data::rows;
use workload::SEED;
pub use workload::Workload;

/// The default cases of each workload: training with a method, with gradient checkpointing, or inference.
pub const METHODS: [&str; 6] = ["houlsby", CHECKPOINTED, "layer-norm", "full", INFERENCE, "lora"];
/// Houlsby's adapters with gradient checkpointing.
const CHECKPOINTED: &str = "checkpointed";
/// The forward pass, with Houlsby's adapters or, where the peers have none, LoRA.
const INFERENCE: &str = "inference";

const SIZE: usize = 64;

/// A case; passed as JSON to the process that measures it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenchJob {
    /// The base and its texts.
    pub workload: Workload,
    /// The `config.json` of a base of another family than BERT, with random weights.
    pub config: Option<serde_json::Value>,
    /// One of [`METHODS`].
    pub method: String,
    /// Width of the adapters.
    pub size: usize,
    /// Tokens of each text of each batch of a pass.
    pub batches: Vec<Vec<usize>>,
    /// Device and precision.
    #[serde(flatten)]
    pub setting: BenchSetting,
    /// Timed passes, after one for warm-up.
    pub passes: usize,
}

/// The settings that all cases share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenchSetting {
    /// The device, by its name.
    pub device: String,
    /// Precision of the base; the peers' matrix products.
    pub precision: Precision,
    /// Whether the peers' models are compiled with `torch.compile`.
    pub compile: bool,
}

/// Time and memory of a case.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Seconds per step: the median over passes of their means.
    pub seconds: f64,
    /// Tokens per step, without padding.
    pub tokens: f64,
    /// Peak resident memory in MiB, if the system reports it.
    pub peak_mib: Option<u64>,
}

impl BenchJob {
    /// A case of the table; `quick` runs fewer steps.
    pub fn new(workload: Workload, method: &str, quick: bool, setting: BenchSetting) -> Self {
        let batches = workload.batches();
        let passes = match (quick, batches.len()) {
            (true, 1) => 3,
            (true, _) => 1,
            (false, 1) => 10,
            (false, _) => 3,
        };
        // Each method has its default size; cases that are not methods use Houlsby's.
        let size = match (method, workload.method_of_inference()) {
            (INFERENCE, of_inference) => of_inference.default_size(),
            _ => method.parse().map_or(SIZE, Method::default_size),
        };
        let config = workload.config();
        Self { workload, config, method: method.to_owned(), size, batches, setting, passes }
    }
}

impl Measurement {
    /// The median time and the maximum memory of some processes; `None` without any.
    pub fn median(measurements: &[Self]) -> Option<Self> {
        let tokens = measurements.first()?.tokens;
        let seconds = median(measurements.iter().map(|measurement| measurement.seconds).collect());
        let peak_mib = measurements.iter().filter_map(|measurement| measurement.peak_mib).max();
        Some(Self { seconds, tokens, peak_mib })
    }

    /// Throughput without padding.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens / self.seconds
    }
}

/// Whether this program can measure a method.
pub fn is_ours(method: &str) -> bool {
    [CHECKPOINTED, INFERENCE].contains(&method) || method.parse::<Method>().is_ok()
}

/// Measures one case in this process.
///
/// # Errors
/// A base or a method that does not exist.
pub fn measure(job: &BenchJob) -> Result<Measurement> {
    ensure!(job.passes > 0 && !job.batches.is_empty(), "the case has no batches or no passes");
    let BenchSetting { device, precision, .. } = &job.setting;
    let device = devices::resolve(device)?.autodiff();
    devices::check_precision(&device, *precision)?;
    let infers = job.method == INFERENCE;
    let method = match job.method.as_str() {
        CHECKPOINTED => Method::Houlsby,
        INFERENCE => job.workload.method_of_inference(),
        method => method.parse()?,
    };
    ensure!(
        *precision == Precision::F32 || !method.plan(job.size).trains_base(),
        "{method} trains the base itself, which requires f32"
    );
    let (config, bert) = base(job, &device)?;
    let bert = bert.with_precision(*precision);
    let pooling = if config.has_pooler { Pooling::Pooler } else { Pooling::FirstToken };
    let task = TaskAdapterConfig::new(method.plan(job.size), HeadKind::unnamed(2))
        .with_head_dropout(config.hidden_dropout_prob)
        .with_pooling(pooling)
        .with_seed(SEED)
        .init(&bert)?;
    let mut trainable = TrainableModel { model: AdaptedBert::new(bert, task)? };
    let training = RunConfig::defaults(method).training;
    let mut optimizer = build_optimizer(&training, &trainable);
    let rows = texts(&job.batches, config.vocab_size);
    let valid = trainable.valid();

    let mut passes = Vec::new();
    for pass in 0..=job.passes {
        let started = Instant::now();
        for (index, lengths) in job.batches.iter().enumerate() {
            let _spinning = keep_workers_spinning(&device);
            let first: usize = job.batches[..index].iter().map(Vec::len).sum();
            let indices: Vec<usize> = (first..first + lengths.len()).collect();
            if infers {
                let batch = rows::batch(&rows, &indices, &device.clone().inner());
                black_box(read_output(valid.forward(&batch), &batch.labels));
                continue;
            }
            let seed = derive_seed(SEED, &format!("step/{pass}/{index}"));
            device.seed(seed);
            let activations = match job.method.as_str() {
                CHECKPOINTED => Activations::Recomputed { seed },
                _ => Activations::Kept,
            };
            let batch = rows::batch(&rows, &indices, &device);
            let (forward, gradients) = gradients(&trainable, None, &batch, 1.0, activations);
            black_box(read_output(forward, &batch.labels));
            let (gradients, _) = clip_to_global_norm(&trainable, gradients, training.clip);
            trainable = optimizer.step(1e-4, trainable, gradients);
        }
        device.sync().context("waiting for the device")?;
        // The first pass fills caches and pools.
        if pass > 0 {
            passes.push(started.elapsed().as_secs_f64() / job.batches.len() as f64);
        }
    }
    let tokens: usize = job.batches.iter().flatten().sum();
    Ok(Measurement {
        seconds: median(passes),
        tokens: tokens as f64 / job.batches.len() as f64,
        // A GPU's memory is not the process's.
        peak_mib: memory::peak_bytes()
            .filter(|_| devices::is_cpu(&device))
            .map(|bytes| bytes / (1 << 20)),
    })
}

/// The base of a case: MiniLM, or an encoder with random weights.
fn base(job: &BenchJob, device: &Device) -> Result<(BertConfig, Bert)> {
    let config = match (&job.config, job.workload) {
        (Some(json), _) => {
            let name = Path::new("config.json");
            BertConfig::from_json_bytes(name, json.to_string().as_bytes())?
        }
        (None, Workload::Minilm128 | Workload::MinilmCola) => {
            let directory = Base::locate("minilm")?.directory().to_owned();
            let config = BertConfig::from_json_file(&directory.join("config.json"))?;
            let bert = burn_bert::load_weights(&config, &directory, device)?;
            return Ok((config, bert));
        }
        (None, Workload::BertLarge32x128) => BertConfig::bert_large(),
        (None, _) => BertConfig::bert_base(),
    };
    let bert = config.init(device);
    Ok((config, bert))
}

/// Texts of random words, in the order of the batches.
fn texts(batches: &[Vec<usize>], vocabulary: usize) -> TokenizedDataset {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    // The vocabulary's first thousand are special and unused tokens; a vocabulary is far below 2³².
    let words = 1000..u32::try_from(vocabulary).unwrap_or(u32::MAX);
    let texts = batches.iter().flatten().enumerate().map(|(text, length)| Encoded {
        ids: (0..*length).map(|_| random.random_range(words.clone())).collect(),
        type_ids: vec![0; *length],
        label: Some(Label::Class(text % 2)),
    });
    TokenizedDataset::from(texts.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_the_cpu() -> BenchSetting {
        BenchSetting { device: "cpu".to_owned(), precision: Precision::F32, compile: false }
    }

    #[test]
    fn a_case_goes_through_json_and_back() {
        let job = BenchJob::new(Workload::MinilmCola, "houlsby", true, on_the_cpu());
        let text = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<BenchJob>(&text).unwrap(), job);
    }

    #[test]
    fn each_method_has_its_usual_size() {
        let size = |method| BenchJob::new(Workload::Minilm128, method, true, on_the_cpu()).size;
        assert_eq!((size("houlsby"), size("lora"), size("inference")), (64, 8, 64));
    }

    #[test]
    fn processes_are_told_by_their_median_time_and_their_most_memory() {
        let figure = |seconds, mib| Measurement { seconds, tokens: 6.0, peak_mib: Some(mib) };
        let measurements = [figure(9.0, 1), figure(2.0, 7), figure(3.0, 2)];
        assert_eq!(Measurement::median(&measurements), Some(figure(3.0, 7)));
        assert!((measurements[2].tokens_per_second() - 2.0).abs() < 1e-12);
        assert_eq!(Measurement::median(&[]), None);
    }
}
