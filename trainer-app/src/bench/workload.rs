//! The workloads: a base, and texts of given lengths.

use burn_adapters::Method;
use clap::ValueEnum;
use glue_data::batching::training_batches;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{INFERENCE, shapes};

/// Seed of token ids, order and dropout.
pub(super) const SEED: u64 = 0;
const BATCHES_OF_COLA: usize = 16;

/// The distribution of the lengths of CoLA's 8551 training sentences: tokens, including `[CLS]` and `[SEP]`, and number
/// of sentences; counted with the tokenizer of `minilm` (BERT's uncased vocabulary).
const COLA_LENGTHS: [(usize, usize); 34] = [
    (4, 7),
    (5, 129),
    (6, 310),
    (7, 649),
    (8, 979),
    (9, 1154),
    (10, 1129),
    (11, 916),
    (12, 797),
    (13, 574),
    (14, 452),
    (15, 334),
    (16, 235),
    (17, 182),
    (18, 145),
    (19, 125),
    (20, 96),
    (21, 66),
    (22, 67),
    (23, 66),
    (24, 41),
    (25, 26),
    (26, 21),
    (27, 17),
    (28, 6),
    (29, 8),
    (30, 6),
    (31, 1),
    (32, 8),
    (33, 1),
    (35, 1),
    (37, 1),
    (40, 1),
    (47, 1),
];

/// A base, and texts of some lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// MiniLM, 32 texts of 128 tokens
    #[serde(rename = "minilm-128")]
    #[value(name = "minilm-128")]
    Minilm128,
    /// MiniLM, batches of 32 texts as long as CoLA's
    MinilmCola,
    /// A BERT of base size with random weights, 8 texts of 128 tokens
    #[serde(rename = "bert-base-128")]
    #[value(name = "bert-base-128")]
    BertBase128,
    /// The same, 32 texts
    #[serde(rename = "bert-base-32x128")]
    #[value(name = "bert-base-32x128")]
    BertBase32x128,
    /// A BERT of large size with random weights, 32 texts of 128 tokens
    #[serde(rename = "bert-large-32x128")]
    #[value(name = "bert-large-32x128")]
    BertLarge32x128,
    /// RoBERTa-base with random weights, 8 texts of 128 tokens
    #[serde(rename = "roberta-base-128")]
    #[value(name = "roberta-base-128")]
    RobertaBase128,
    /// DistilBERT with random weights, 8 texts of 128 tokens
    #[serde(rename = "distilbert-base-128")]
    #[value(name = "distilbert-base-128")]
    DistilbertBase128,
    /// DeBERTa-v3-base with random weights, 8 texts of 128 tokens
    #[serde(rename = "deberta-v3-base-128")]
    #[value(name = "deberta-v3-base-128")]
    DebertaV3Base128,
    /// ModernBERT-base with random weights, 8 texts of 128 tokens
    #[serde(rename = "modernbert-base-128")]
    #[value(name = "modernbert-base-128")]
    ModernbertBase128,
    /// The same, 2 texts of 1024 tokens
    #[serde(rename = "modernbert-base-2x1024")]
    #[value(name = "modernbert-base-2x1024")]
    ModernbertBase2x1024,
}

impl Workload {
    /// The default workloads on a CPU.
    pub const ON_CPUS: [Self; 3] = [Self::Minilm128, Self::MinilmCola, Self::BertBase128];
    /// The default workloads on a GPU.
    pub const ON_GPUS: [Self; 3] = [Self::MinilmCola, Self::BertBase32x128, Self::BertLarge32x128];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minilm128 => "MiniLM 32x128",
            Self::MinilmCola => "MiniLM CoLA",
            Self::BertBase128 => "BERT-base 8x128",
            Self::BertBase32x128 => "BERT-base 32x128",
            Self::BertLarge32x128 => "BERT-large 32x128",
            Self::RobertaBase128 => "RoBERTa-base 8x128",
            Self::DistilbertBase128 => "DistilBERT 8x128",
            Self::DebertaV3Base128 => "DeBERTa-v3-base 8x128",
            Self::ModernbertBase128 => "ModernBERT-base 8x128",
            Self::ModernbertBase2x1024 => "ModernBERT-base 2x1024",
        }
    }

    /// Tokens of each text of each batch of a pass.
    pub(super) fn batches(self) -> Vec<Vec<usize>> {
        match self {
            Self::Minilm128 | Self::BertBase32x128 | Self::BertLarge32x128 => vec![vec![128; 32]],
            Self::BertBase128
            | Self::RobertaBase128
            | Self::DistilbertBase128
            | Self::DebertaV3Base128
            | Self::ModernbertBase128 => vec![vec![128; 8]],
            Self::ModernbertBase2x1024 => vec![vec![1024; 2]],
            Self::MinilmCola => {
                let lengths = lengths_as_of_cola();
                let batches = training_batches(&lengths, 32, SEED, 1);
                batches
                    .into_iter()
                    .map(|batch| batch.into_iter().map(|row| lengths[row]).collect())
                    .collect()
            }
        }
    }

    /// The `config.json` of a base with random weights.
    pub(super) fn config(self) -> Option<Value> {
        match self {
            Self::RobertaBase128 => Some(shapes::roberta_base()),
            Self::DistilbertBase128 => Some(shapes::distilbert_base()),
            Self::DebertaV3Base128 => Some(shapes::deberta_v3_base()),
            Self::ModernbertBase128 | Self::ModernbertBase2x1024 => Some(shapes::modernbert_base()),
            _ => None,
        }
    }

    /// Whether the base is MiniLM, with its published weights.
    pub fn is_minilm(self) -> bool {
        matches!(self, Self::Minilm128 | Self::MinilmCola)
    }

    /// Whether the package `adapters` has the base's class.
    fn is_in_adapter_hub(self) -> bool {
        !matches!(self, Self::ModernbertBase128 | Self::ModernbertBase2x1024)
    }

    /// The method whose modules inference runs.
    pub(super) fn method_of_inference(self) -> Method {
        if self.is_in_adapter_hub() { Method::Houlsby } else { Method::Lora }
    }

    /// Whether the peers can measure a method.
    pub fn has_peer(self, method: &str) -> bool {
        match method {
            "houlsby" => self.is_in_adapter_hub(),
            "full" | "lora" | INFERENCE => true,
            _ => false,
        }
    }

    /// The same texts as batched by the peers' data loaders: in shuffled order, regardless of length.
    pub fn peers_batches(self) -> Vec<Vec<usize>> {
        match self {
            Self::MinilmCola => lengths_as_of_cola().chunks(32).map(<[usize]>::to_vec).collect(),
            _ => self.batches(),
        }
    }
}

/// Lengths of texts in shuffled order, with CoLA's distribution.
fn lengths_as_of_cola() -> Vec<usize> {
    let all: Vec<usize> = COLA_LENGTHS
        .iter()
        .flat_map(|(length, count)| std::iter::repeat_n(*length, *count))
        .collect();
    let texts = 32 * BATCHES_OF_COLA;
    // Evenly spaced quantiles approximate the distribution best.
    let mut lengths: Vec<usize> =
        (0..texts).map(|text| all[(2 * text + 1) * all.len() / (2 * texts)]).collect();
    lengths.shuffle(&mut ChaCha8Rng::seed_from_u64(SEED));
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_are_distributed_as_those_of_cola() {
        let (texts, tokens) =
            COLA_LENGTHS.iter().fold((0, 0), |(texts, tokens), (length, count)| {
                (texts + count, tokens + length * count)
            });
        assert_eq!(texts, 8551);
        let drawn: Vec<usize> = Workload::MinilmCola.batches().concat();
        assert_eq!(drawn.len(), 512);
        let mean = drawn.iter().sum::<usize>() as f64 / drawn.len() as f64;
        assert!((mean - tokens as f64 / texts as f64).abs() < 0.1, "{mean}");
    }

    #[test]
    fn the_peers_read_the_same_texts() {
        for workload in [Workload::Minilm128, Workload::MinilmCola] {
            let sorted = |batches: Vec<Vec<usize>>| {
                let mut lengths = batches.concat();
                lengths.sort_unstable();
                lengths
            };
            assert_eq!(sorted(workload.batches()), sorted(workload.peers_batches()));
        }
        let padded = |batches: Vec<Vec<usize>>| -> usize {
            batches.iter().map(|batch| 32 * batch.iter().max().unwrap()).sum()
        };
        let cola = Workload::MinilmCola;
        assert!(padded(cola.batches()) < padded(cola.peers_batches()));
    }
}
