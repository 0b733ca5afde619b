//! The checks of a configuration, before anything is read or computed.

use std::path::PathBuf;

use anyhow::{Result, anyhow, bail, ensure};
use burn_adapters::{InnerNorm, Method};
use burn_bert::Precision;

use super::model::HeadNormKind;
use super::run::RunConfig;
use super::task::{Prediction, TaggedTaskConfig};
use super::training::{Thresholds, Weighting};
use crate::run_config::limits;

impl RunConfig {
    /// Checks that numbers are in their ranges and that settings can be combined.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<()> {
        // Runs are in a directory of this name.
        limits::directory_name(&self.task.name)
            .map_err(|expected| anyhow!("the task is named `{}`, {expected}", self.task.name))?;
        self.check_numbers()?;
        self.check_columns()?;
        self.check_objective(self.task.prediction())?;
        let (model, training) = (&self.model, &self.training);
        let fuses = model.method == Method::Fusion;
        ensure!(
            !fuses || !model.fuse.is_empty(),
            "the method fusion needs one or more adapter files: --fuse A,B,C"
        );
        ensure!(
            fuses || model.fuse.is_empty(),
            "--fuse is only for the method fusion, and the method is {}; leave out --fuse",
            model.method
        );
        for (index, path) in model.fuse.iter().enumerate() {
            let is_same = |other: &PathBuf| {
                other == path
                    || matches!((other.canonicalize(), path.canonicalize()), (Ok(a), Ok(b)) if a == b)
            };
            ensure!(
                !model.fuse[..index].iter().any(is_same),
                "--fuse has the file {} twice; expected different adapters",
                path.display()
            );
        }
        ensure!(
            model.head_norm == HeadNormKind::None || model.head_hidden.is_some(),
            "the norm of the classifier follows its hidden layer, and there is none; leave out --head-norm, or give \
             --head-hidden"
        );
        self.check_insertions()?;
        ensure!(
            model.precision == Precision::F32 || !self.plan().trains_base(),
            "{} trains the base itself, which requires single precision; leave out --precision {}",
            model.method,
            model.precision
        );
        ensure!(
            !training.gradient_checkpointing || model.inner_norm != Some(InnerNorm::Batch),
            "gradient checkpointing runs every layer twice, so that batch norms would count every batch twice; leave out \
             --gradient-checkpointing, or use --inner-norm layer"
        );
        ensure!(
            !self.task.has_own_files() || self.task.data.is_none(),
            "the task has both files of its own (`custom` or `tagged`) and a directory of published files (`data`); leave \
             out one"
        );
        Ok(())
    }

    fn check_columns(&self) -> Result<()> {
        if let Some(tagged) = &self.task.tagged {
            return self.check_tagged(tagged);
        }
        let Some(custom) = &self.task.custom else { return Ok(()) };
        ensure!(
            custom.label.is_some() == custom.labels.is_empty(),
            "the labels are in one column (label) or in a column for each (labels); expected one of the two settings"
        );
        ensure!(
            custom.label_separator.is_none() || custom.labels.is_empty(),
            "label_separator is for several labels in one column (label), and labels names a column for each; leave out \
             one of the two"
        );
        ensure!(
            custom.label_separator.as_ref().is_none_or(|separator| !separator.trim().is_empty()),
            "the --label-separator is empty or white space; expected a text such as ;"
        );
        ensure!(
            !custom.score || !custom.label_columns().are_several(),
            "--score reads one number a row, and {} several labels; leave out one of the two",
            self.task.deciding_flag()
        );
        let columns = [Some(&custom.text), custom.text2.as_ref(), custom.label.as_ref()];
        let columns = columns.into_iter().flatten().chain(&custom.labels);
        let columns: Vec<&str> = columns.map(String::as_str).collect();
        limits::distinct_columns(&columns).map_err(|error| anyhow!(error))
    }

    /// Checks that settings of the loss and of the predictions are used with what the task predicts.
    ///
    /// # Errors
    /// A setting for another kind of task.
    pub fn check_objective(&self, prediction: Prediction) -> Result<()> {
        let training = &self.training;
        let balanced = |weighting| weighting == Weighting::Balanced;
        let settings = [
            ("--class-weights", balanced(training.class_weights), Prediction::Class),
            ("--label-smoothing", training.label_smoothing > 0.0, Prediction::Class),
            ("--calibrate", training.calibrate, Prediction::Class),
            ("--positive-weight", balanced(training.positive_weight), Prediction::Set),
            ("--thresholds", training.thresholds == Thresholds::Tuned, Prediction::Set),
        ];
        let set = settings.into_iter().filter(|(_, is_set, _)| *is_set);
        let first_for = |kind| set.clone().find(|(.., is_for)| *is_for == kind);
        if let (Some((one, ..)), Some((other, ..))) =
            (first_for(Prediction::Class), first_for(Prediction::Set))
        {
            bail!(
                "{one} is for tasks with {}, and {other} for tasks with {}; leave out one of the two",
                Prediction::Class.name(),
                Prediction::Set.name()
            );
        }
        for (flag, _, is_for) in set {
            ensure!(
                prediction == is_for || prediction == Prediction::ClassOrSet,
                "{flag} is for tasks with {}, and {} predicts {}; leave out {flag}",
                is_for.name(),
                self.task.deciding_flag(),
                prediction.name()
            );
        }
        Ok(())
    }

    fn check_tagged(&self, tagged: &TaggedTaskConfig) -> Result<()> {
        ensure!(
            self.task.custom.is_none(),
            "the task has files of texts (`custom`) and of words with tags (`tagged`); leave out one"
        );
        let (words, spans) = (
            tagged.tokens.as_ref().or(tagged.tags.as_ref()),
            tagged.text.as_ref().or(tagged.entities.as_ref()),
        );
        ensure!(
            words.is_none() || spans.is_none(),
            "`tagged` has columns of words with tags (`tokens`, `tags`) and of texts with spans (`text`, `entities`); leave \
             out those of one kind"
        );
        ensure!(
            tagged.entities.is_some() || !tagged.skip_misaligned,
            "`skip_misaligned` has no effect without spans (`entities`); leave it out"
        );
        let columns = [&tagged.tokens, &tagged.tags, &tagged.text, &tagged.entities];
        let columns: Vec<&str> = columns.into_iter().flatten().map(String::as_str).collect();
        limits::distinct_columns(&columns).map_err(|error| anyhow!(error))
    }

    fn check_numbers(&self) -> Result<()> {
        let (model, training) = (&self.model, &self.training);
        for (key, value, range) in [
            ("epochs", Some(training.epochs), limits::EPOCHS),
            ("batch_size", Some(training.batch_size), limits::BATCH_SIZE),
            ("accumulate", Some(training.accumulate), limits::ACCUMULATE),
            ("patience", training.patience, limits::PATIENCE),
            ("limit", self.task.limit, limits::LIMIT),
            ("size", Some(model.size), limits::SIZE),
            ("--size of a prefix", self.plan().prefix.map(|prefix| prefix.length), limits::PREFIX),
            ("depth", model.depth, limits::DEPTH),
            ("max_length", Some(model.max_length), limits::MAX_LENGTH),
        ] {
            let Some(value) = value else { continue };
            range.check(value).map_err(|expected| anyhow!("{key} is {value}, {expected}"))?;
        }
        for (key, value, range) in [
            ("learning_rate", Some(training.learning_rate), limits::LEARNING_RATE),
            ("warmup", Some(training.warmup), limits::WARMUP),
            ("clip", Some(training.clip), limits::CLIP),
            ("weight_decay", Some(training.weight_decay), limits::WEIGHT_DECAY),
            ("label_smoothing", Some(training.label_smoothing), limits::LABEL_SMOOTHING),
            ("dropout", model.dropout, limits::DROPOUT),
            ("init_std", model.init_std, limits::INIT_STD),
        ] {
            let Some(value) = value else { continue };
            range.check(value).map_err(|expected| anyhow!("{key} is {value}, {expected}"))?;
        }
        Ok(())
    }

    /// Checks that settings of inserted modules are used with methods that insert them.
    fn check_insertions(&self) -> Result<()> {
        let model = &self.model;
        ensure!(
            model.adapt_layers.is_none() || model.method.has_adapters(),
            "adapt_layers is a setting of methods that insert modules into layers, and {} does not; leave out \
             --adapt-layers",
            model.method
        );
        let set = [
            ("activation", model.activation.is_some()),
            ("init_std", model.init_std.is_some()),
            ("sites", model.sites.is_some()),
            ("depth", model.depth.is_some()),
            ("inner_norm", model.inner_norm.is_some()),
            ("combine", model.combine.is_some()),
        ];
        let set = set.into_iter().find(|(_, is_set)| *is_set);
        if let (Some((key, _)), None) = (set, &self.plan().bottleneck) {
            let flag = key.replace('_', "-");
            bail!(
                "{key} is a setting of bottlenecks, and {} has none; leave out --{flag}",
                model.method
            );
        }
        Ok(())
    }
}
