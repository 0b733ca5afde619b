//! What a run does when nobody says.

use burn_adapters::{Method, Pooling};
use burn_bert::Precision;

use super::{
    ModelConfig, OptimizerKind, RunConfig, StateCache, TaskConfig, TrainingConfig, VERSION,
};
use crate::learner::schedule::Decay;

/// Longest window of a paragraph, in tokens: the reference code's, `run_squad.py`.
pub(super) const QUESTION_LENGTH: usize = 384;

/// What the head of questions reads: every token, so that nothing is pooled.
pub(super) const QUESTION_POOLING: Pooling = Pooling::FirstToken;

impl RunConfig {
    /// What `trainer train` does with a method when nothing else is said.
    pub fn defaults(method: Method) -> Self {
        let (learning_rate, epochs) = match method {
            // Adapters want more epochs than full fine-tuning, and a higher rate; the rate is the reference code's. At
            // 1e-3 BERT-Adam, which does not correct its young moments, collapses on CoLA: docs/performance.md.
            Method::Houlsby
            | Method::HoulsbyCode
            | Method::Pfeiffer
            | Method::Parallel
            | Method::ScaledParallel
            | Method::Mam
            | Method::LayerNorm
            | Method::Fusion => (3e-4, 10),
            // Hu et al. 2022, appendix D, table 9: 4e-4 or 5e-4 for most of GLUE's tasks.
            Method::Lora => (5e-4, 10),
            // Liu et al. 2022 ((IA)³), section 3.5.
            Method::Ia3 => (3e-3, 10),
            // Mao et al. 2022 (UniPELT), for a prefix out of a network on BERT-base and GLUE.
            Method::Prefix => (2e-4, 10),
            // Liu et al. 2022 (P-tuning v2), `run_script/run_boolq_bert.sh`: what trains as it is, trains slowly.
            Method::PrefixFlat => (5e-3, 10),
            Method::TopLayers(_) | Method::Full => (1e-4, 3),
        };
        let decay =
            if method == Method::HoulsbyCode { Decay::FromStart } else { Decay::Continuous };
        Self {
            version: VERSION,
            seed: 42,
            device: "auto".to_owned(),
            directory: None,
            task: TaskConfig { name: "helpdesk".to_owned(), data: None, limit: None, custom: None },
            model: ModelConfig {
                base: "minilm".to_owned(),
                method,
                fuse: Vec::new(),
                size: method.default_size(),
                activation: None,
                init_std: None,
                sites: None,
                adapt_layers: None,
                depth: None,
                inner_norm: None,
                combine: None,
                pooling: default_pooling("minilm"),
                max_length: 128,
                dropout: None,
                precision: Precision::F32,
            },
            training: TrainingConfig {
                epochs,
                learning_rate,
                batch_size: 32,
                accumulate: 1,
                optimizer: OptimizerKind::BertAdam,
                weight_decay: 0.01,
                warmup: 0.1,
                decay,
                clip: 1.0,
                patience: None,
                cache: StateCache::Auto,
                gradient_checkpointing: false,
            },
        }
    }

    /// What follows from the task: questions are read in longer windows, unless the length was chosen, and with every
    /// token.
    pub(crate) fn fit_to_task_data(&mut self, keeps_length: bool) {
        if self.task.is_question_answering() {
            self.model.pooling = QUESTION_POOLING;
            if !keeps_length {
                self.model.max_length = QUESTION_LENGTH;
            }
        }
    }
}

/// What the head reads when nobody says.
///
/// The paper reads the pooler. `MiniLM`'s was left over when its sentence encoder was trained on the mean of the
/// tokens; `docs/decisions/0003-pooling.md` has the measurement.
pub(crate) fn default_pooling(base: &str) -> Pooling {
    if base == "minilm" { Pooling::Mean } else { Pooling::Pooler }
}
