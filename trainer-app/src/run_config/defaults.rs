//! The default values of a run.

use burn_adapters::{ClassifierHead, Method, Pooling};
use burn_bert::{BertConfig, FineTuning, Precision};

use super::model::{HeadNormKind, ModelConfig};
use super::run::{RunConfig, VERSION};
use super::task::TaskConfig;
use super::training::{
    ActivationCacheMode, Decay, OptimizerKind, Thresholds, TrainingConfig, Weighting,
};
use crate::base::Base;

/// The base by default.
const MINILM: &str = "minilm";

/// Maximum length of a window of a paragraph, in tokens: the reference code's, `run_squad.py`.
const QUESTION_LENGTH: usize = 384;

/// The pooling of a task whose head reads every token: nothing is pooled.
pub(crate) const TOKEN_POOLING: Pooling = Pooling::FirstToken;

impl RunConfig {
    /// The configuration of `trainer train --method METHOD` without other flags.
    pub fn defaults(method: Method) -> Self {
        let (learning_rate, epochs) = match method {
            // Adapters need more epochs than full fine-tuning and a higher rate; the rate is the reference code's. At
            // 1e-3 BERT-Adam, which has no bias correction, collapses on CoLA: docs/performance.md.
            Method::Houlsby
            | Method::HoulsbyCode
            | Method::Pfeiffer
            | Method::Parallel
            | Method::ScaledParallel
            | Method::Mam
            | Method::LayerNorm
            | Method::Fusion => (3e-4, 10),
            // Hu et al. 2022, appendix D, table 9: 4e-4 or 5e-4 for most of GLUE's tasks.
            Method::Lora | Method::Dora | Method::DoraAdapterHub => (5e-4, 10),
            // Liu et al. 2022 ((IA)³), section 3.5.
            Method::Ia3 => (3e-3, 10),
            // Mao et al. 2022 (UniPELT), for a reparameterized prefix on BERT-base and GLUE.
            Method::Prefix => (2e-4, 10),
            // Liu et al. 2022 (P-tuning v2), `run_script/run_boolq_bert.sh`: a prefix without
            // reparameterization learns slowly.
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
            task: TaskConfig {
                name: "helpdesk".to_owned(),
                data: None,
                limit: None,
                custom: None,
                tagged: None,
            },
            model: ModelConfig {
                base: MINILM.to_owned(),
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
                pooling: Pooling::Mean,
                head_hidden: None,
                head_norm: HeadNormKind::None,
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
                class_weights: Weighting::None,
                label_smoothing: 0.0,
                positive_weight: Weighting::None,
                thresholds: Thresholds::Half,
                calibrate: false,
                cache: ActivationCacheMode::Auto,
                gradient_checkpointing: false,
            },
        }
    }

    /// Sets the classifier and the learning rate to the base's defaults. A base that is not on this machine, or that cannot
    /// be read, counts as BERT.
    pub(crate) fn fit_to_base(&mut self) {
        // Finding `minilm` compares its files with their published checksums.
        let is_known = self.model.base == MINILM;
        let config = if is_known { None } else { Base::config_of(&self.model.base) };
        self.fit_to(config.as_ref());
    }

    /// The same for a base of this configuration.
    pub(crate) fn fit_to(&mut self, base: Option<&BertConfig>) {
        self.model.set_classifier(default_head(&self.model.base, base));
        self.training.learning_rate = match self.fine_tuning(base) {
            Some(published) => published.learning_rate,
            None => Self::defaults(self.model.method).training.learning_rate,
        };
    }

    /// The published rate of the family, if layers of the base train.
    pub(crate) fn fine_tuning(&self, base: Option<&BertConfig>) -> Option<FineTuning> {
        let trains_layers = matches!(self.model.method, Method::TopLayers(_) | Method::Full);
        base.filter(|_| trains_layers)?.family.fine_tuning()
    }

    /// Sets what the task decides: question answering uses longer windows, unless the length was chosen, and heads that
    /// read every token use no pooling.
    pub(crate) fn fit_to_task(&mut self, keeps_length: bool) {
        if self.task.reads_tokens() {
            self.model.pooling = TOKEN_POOLING;
            // A family whose layers end in a LayerNorm has them in its classes for tokens too.
            if self.model.head_norm == HeadNormKind::None {
                self.model.head_hidden = None;
            }
        }
        if self.task.is_question_answering() && !keeps_length {
            self.model.max_length = QUESTION_LENGTH;
        }
    }
}

/// Whether the default classifier and learning rate of a base depend on files that are not on this machine yet.
pub(crate) fn needs_base(base: &str) -> bool {
    base != MINILM && matches!(Base::find(base), Ok(None))
}

/// The default classifier of a base: that of its family in transformers.
///
/// BERT's reads the pooler, as the paper's does. `MiniLM`'s pooler was not trained with its sentence encoder, which uses
/// the mean of the tokens; `docs/decisions/0003-pooling.md` has the measurement.
fn default_head(name: &str, base: Option<&BertConfig>) -> ClassifierHead {
    if name == MINILM {
        return ClassifierHead::linear(Pooling::Mean);
    }
    base.map_or(ClassifierHead::linear(Pooling::Pooler), |config| {
        config.sequence_classifier().into()
    })
}
