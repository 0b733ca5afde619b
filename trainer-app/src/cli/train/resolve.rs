//! From the command line to a run: flags override the file of `--config`, which overrides the defaults.
//! A flag that has no effect beside the others is an error that names it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn_adapters::{Activation, Method};
use glue_data::tagging::is_conll;
use glue_data::{DataError, TableError, tabular, tasks};

use super::args::{TaskArgs, TrainArgs};
use crate::exit::UsageError;
use crate::run_config::limits;
use crate::run_config::{
    ActivationCacheMode, CustomTaskConfig, HeadNormKind, ModelConfig, OptimizerKind, RunConfig,
    TOKEN_POOLING, TaggedTaskConfig, TaskConfig,
};

/// What `trainer train` is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainJob {
    /// Start a new run.
    Start(Box<RunConfig>),
    /// Resume a stopped run with its own settings.
    Resume {
        /// Its directory; `None` for the latest unfinished run.
        run: Option<PathBuf>,
        /// The device, if it is not that of the run.
        device: Option<String>,
    },
}

impl TrainJob {
    /// The job of a command line.
    ///
    /// # Errors
    /// A [`UsageError`] for flags that cannot be combined, an unknown name or a number out of its range; another error
    /// for a configuration file that cannot be read.
    pub fn of(args: &TrainArgs) -> Result<Self> {
        let Some(run) = &args.resume else {
            return Ok(Self::Start(Box::new(resolve(args)?)));
        };
        let settings = [args.model.flags(), args.training.flags()].concat();
        if !settings.is_empty() {
            return Err(UsageError::new(format!(
                "--resume cannot be used with {}: a resumed run keeps its own settings",
                settings.join(", ")
            )));
        }
        if let (Some(run), Some(_)) = (run, &args.runs) {
            return Err(UsageError::new(format!(
                "--runs has no effect with --resume {}, which names the run's directory; leave out --runs",
                run.display()
            )));
        }
        let device = args.device.clone().or_else(|| args.devices.clone());
        Ok(Self::Resume { run: run.clone(), device })
    }
}

impl TrainArgs {
    /// Sets what the base and the task decide, except for what the flags set.
    pub(crate) fn fit_to_base(&self, config: &mut RunConfig) {
        let given = config.model.clone();
        let rate = config.training.learning_rate;
        config.fit_to_base();
        config.fit_to_task(self.model.has("max_length"));
        if self.model.has("pooling") {
            config.model.set_pooling(given.pooling);
        }
        if self.model.has("head_hidden") {
            config.model.head_hidden = given.head_hidden;
            if given.head_hidden.is_none() {
                config.model.head_norm = HeadNormKind::None;
            }
        }
        if self.training.has("learning_rate") {
            config.training.learning_rate = rate;
        }
        if self.model.has("head_norm") {
            config.model.head_norm = given.head_norm;
        }
    }
}

/// The configuration of a new run.
fn resolve(args: &TrainArgs) -> Result<RunConfig> {
    let file = args.config.as_deref().map(RunConfig::read).transpose()?;
    if let (Some(path), Some(file)) = (&args.config, &file) {
        refuse_without_effect_in(path, file)?;
    }
    override_with(file, args)
        .and_then(|config| config.check().map(|()| config))
        .and_then(|config| {
            // The run keeps its settings in a file.
            config.to_text().context("the settings cannot be written to config.toml")?;
            Ok(config)
        })
        // Any error here is in the flags: the file was checked when it was read.
        .map_err(|error| match error.downcast::<UsageError>() {
            Ok(usage) => usage.into(),
            Err(error) => UsageError::new(format!("{error:#}")),
        })
}

/// The settings of a file or the defaults, with those that were given as flags.
fn override_with(file: Option<RunConfig>, args: &TrainArgs) -> Result<RunConfig> {
    let mut config = match &file {
        Some(file) => file.clone(),
        None => RunConfig::defaults(method(args)?),
    };
    config.seed = args.seed.unwrap_or(config.seed);
    if let Some(device) = args.device.as_ref().or(args.devices.as_ref()) {
        config.device.clone_from(device);
    }
    apply_task(&mut config.task, &args.task)?;
    args.model.apply(&mut config.model)?;
    args.training.apply(&mut config.training)?;
    if args.model.has("fuse") {
        config.model.method = Method::Fusion;
    } else if args.model.has("method") && config.model.method != Method::Fusion {
        config.model.fuse.clear();
    }
    // The value of a file for another method or optimizer is not written into the new run's file.
    let defaults = RunConfig::defaults(config.model.method);
    if !config.model.method.has_size() && !args.model.has("size") {
        config.model.size = defaults.model.size;
    }
    if config.training.optimizer == OptimizerKind::Adam && !args.training.has("weight_decay") {
        config.training.weight_decay = defaults.training.weight_decay;
    }
    if let Some(file) = &file {
        refuse_foreign_defaults(file, &config, args)?;
    } else {
        args.fit_to_base(&mut config);
    }
    refuse_without_effect(&config, args)?;
    Ok(config)
}

/// The method of the flags, which decides the other defaults.
fn method(args: &TrainArgs) -> Result<Method> {
    let mut model = RunConfig::defaults(Method::Houlsby).model;
    args.model.apply(&mut model)?;
    Ok(if args.model.has("fuse") { Method::Fusion } else { model.method })
}

/// Applies the flags of the section `[task]`.
fn apply_task(task: &mut TaskConfig, args: &TaskArgs) -> Result<()> {
    let limit = args.limit.or(task.limit);
    task.limit = limit;
    if let Some(own) = own_task(args)? {
        *task = TaskConfig { limit, ..own };
        return Ok(());
    }
    if let Some(name) = &args.task {
        // The data directory of the file holds the other published tasks too.
        task.name.clone_from(name);
        (task.custom, task.tagged) = (None, None);
    }
    if let Some(data) = &args.data {
        if task.has_own_files() {
            bail!(
                "--data has no effect with the custom files of --config; leave it out, or give a --task"
            );
        }
        task.data = Some(data.clone());
    }
    if !task.has_own_files() && !task.is_question_answering() {
        let is_embedded = tasks::find(&task.name)?.source().is_none();
        if is_embedded && args.data.is_some() {
            bail!(
                "--data has no effect: the rows of {} are included in the program; leave it out, or give the task \
                 of these files with --task",
                task.name
            );
        }
        if is_embedded {
            task.data = None;
        }
    }
    Ok(())
}

/// The settings whose defaults depend on other settings: field, flag and default value.
fn derived(config: &RunConfig) -> Vec<(&'static str, String)> {
    let defaults = RunConfig::defaults(config.model.method);
    let mut fitted = config.clone();
    fitted.fit_to_base();
    fitted.model.max_length = defaults.model.max_length;
    fitted.fit_to_task(false);
    let ModelConfig { pooling, head_hidden, head_norm, max_length, .. } = &fitted.model;
    let training = &defaults.training;
    let mut derived = vec![
        ("epochs", training.epochs.to_string()),
        ("learning_rate", format!("{:e}", fitted.training.learning_rate)),
        ("decay", format!("{:?}", training.decay)),
        ("pooling", pooling.name().to_owned()),
        ("head_hidden", head_hidden.map_or("none", Activation::name).to_owned()),
        ("head_norm", head_norm.name().to_owned()),
        ("max_length", max_length.to_string()),
    ];
    if config.model.method.has_size() {
        derived.push(("size", defaults.model.size.to_string()));
    }
    derived
}

/// A configuration file has every setting. If a flag changes the method, the base or the task, the settings whose
/// defaults depend on it must be given too.
fn refuse_foreign_defaults(file: &RunConfig, config: &RunConfig, args: &TrainArgs) -> Result<()> {
    let is_given = |field: &str| args.model.has(field) || args.training.has(field);
    let before = derived(file);
    let changed: Vec<String> = derived(config)
        .into_iter()
        .filter(|setting| !before.contains(setting) && !is_given(setting.0))
        .map(|(field, _)| format!("--{}", field.replace('_', "-")))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let by = [
        ("--base", args.model.has("base") && config.model.base != file.model.base),
        ("--method", args.model.has("method") && config.model.method != file.model.method),
        ("--fuse", args.model.has("fuse")),
        ("--task", args.task.task.is_some() && config.task.name != file.task.name),
        ("--train", args.task.train.is_some()),
        ("--tokens", args.task.tokens.is_some()),
        ("--tags", args.task.tags.is_some()),
        ("--entities", args.task.entities.is_some()),
        ("--skip-misaligned", args.task.skip_misaligned),
    ];
    let by: Vec<&str> = by.iter().filter(|(_, changes)| *changes).map(|(flag, _)| *flag).collect();
    bail!(
        "the settings of --config depend on another {}; give {} too, or leave out --config",
        by.join(" and "),
        changed.join(", ")
    );
}

/// Refuses flags that have no effect with the other settings.
fn refuse_without_effect(config: &RunConfig, args: &TrainArgs) -> Result<()> {
    let method = config.model.method;
    let by = if args.model.has("fuse") {
        "--fuse".to_owned()
    } else if args.model.has("method") {
        format!("--method {method}")
    } else {
        format!("the method {method}")
    };
    let refuse = |flag: &str, why: &str| -> Result<()> {
        bail!("{flag} has no effect with {by}, which {why}; leave out {flag}")
    };
    if args.training.has("cache") && caches_nothing(config) {
        refuse(
            "--cache",
            "trains the lowest layer, so that there are no layers below to cache (--adapt-layers 3.. starts higher)",
        )?;
    }
    if args.model.has("size") && !method.has_size() {
        refuse("--size", "has no size")?;
    }
    if args.model.has("adapt_layers") && !method.has_adapters() {
        refuse("--adapt-layers", "inserts no modules into layers")?;
    }
    let bottleneck_fields = ["activation", "init_std", "sites", "depth", "inner_norm", "combine"];
    if config.plan().bottleneck.is_none() {
        for field in bottleneck_fields.iter().filter(|field| args.model.has(field)) {
            refuse(&format!("--{}", field.replace('_', "-")), "has no bottlenecks")?;
        }
    }
    if args.training.has("weight_decay") && config.training.optimizer == OptimizerKind::Adam {
        bail!(
            "--weight-decay has no effect with --optimizer adam, which has no weight decay; use --optimizer adam-w, \
             or leave out --weight-decay"
        );
    }
    if config.task.is_question_answering() && config.model.pooling != TOKEN_POOLING {
        bail!(
            "--pooling has no effect with --task {}, which uses every token; leave out --pooling",
            config.task.name
        );
    }
    if let Some(tagged) = &config.task.tagged
        && config.model.pooling != TOKEN_POOLING
    {
        bail!(
            "--pooling has no effect with --train {}: the classifier of words reads every token; leave out --pooling",
            tagged.train.display()
        );
    }
    Ok(())
}

/// Whether states are to be cached, but no layer lies below the lowest trainable one.
fn caches_nothing(config: &RunConfig) -> bool {
    let method = config.model.method;
    let is_cached =
        matches!(config.training.cache, ActivationCacheMode::Memory | ActivationCacheMode::Disk);
    let starts_higher = method.has_adapters() && config.model.adapt_layers.is_some()
        || matches!(method, Method::TopLayers(_));
    is_cached && !starts_higher
}

/// Refuses settings of a file that have no effect with its other settings, as their flags are refused.
///
/// A file always has a size and a weight decay: without effect they are the default values.
fn refuse_without_effect_in(path: &Path, file: &RunConfig) -> Result<()> {
    let RunConfig { model, training, .. } = file;
    let defaults = RunConfig::defaults(model.method);
    let refuse = |setting: String, why: String, expected: String| -> Result<()> {
        Err(UsageError::new(format!(
            "{setting} in {} has no effect: {why}; expected {expected}",
            path.display()
        )))
    };
    if !model.method.has_size() && model.size != defaults.model.size {
        refuse(
            format!("size = {}", model.size),
            format!("the method {} has no size", model.method),
            format!("size = {}, which stands for no size", defaults.model.size),
        )?;
    }
    let decay = defaults.training.weight_decay;
    #[expect(clippy::float_cmp, reason = "the value is compared with the one that is written")]
    if training.optimizer == OptimizerKind::Adam && training.weight_decay != decay {
        refuse(
            format!("weight_decay = {}", training.weight_decay),
            "the optimizer adam has no weight decay".to_owned(),
            format!("the optimizer adam-w, or weight_decay = {decay}, which stands for none"),
        )?;
    }
    if caches_nothing(file) {
        refuse(
            "cache".to_owned(),
            format!("the method {} trains the lowest layer", model.method),
            "no cache, or adapt_layers that start higher".to_owned(),
        )?;
    }
    Ok(())
}

/// The task of custom files, if `--train` was given.
fn own_task(args: &TaskArgs) -> Result<Option<TaskConfig>> {
    let Some(train) = &args.train else { return Ok(None) };
    let name = own_name(train)?;
    let task = TaskConfig { name, data: None, limit: None, custom: None, tagged: None };
    if is_conll(train) || args.tokens.is_some() || args.tags.is_some() || args.entities.is_some() {
        return Ok(Some(TaskConfig { tagged: Some(tagged_files(args, train)?), ..task }));
    }
    let has_label = args.label.is_some() || !args.labels.is_empty();
    let Some(text) = args.text.clone().filter(|_| has_label) else {
        let missing = [("--text COL", args.text.is_some()), ("--label COL", has_label)];
        let missing: Vec<&str> =
            missing.iter().filter(|(_, given)| !given).map(|(flag, _)| *flag).collect();
        let columns = tabular::column_names(train).map_err(|error| match error {
            DataError::Table(TableError::Format { .. }) => UsageError::new(format!(
                "{error} with --text COL and --label COL, or words with tags, which --tags COL or --entities KEY name"
            )),
            other => other.into(),
        })?;
        let columns = columns.join(", ");
        bail!(
            "--train needs {} too (or, for words with tags, --tags COL or --entities KEY); the columns of {} are {columns}",
            missing.join(" and "),
            train.display()
        );
    };
    let custom = CustomTaskConfig {
        train: train.clone(),
        validation: args.validation.clone(),
        test: args.test.clone(),
        text,
        text2: args.text2.clone(),
        label: args.label.clone(),
        label_separator: args.label_separator.clone(),
        labels: args.labels.clone(),
        score: args.score,
    };
    Ok(Some(TaskConfig { custom: Some(custom), ..task }))
}

/// The files of texts whose words have tags.
fn tagged_files(args: &TaskArgs, train: &Path) -> Result<TaggedTaskConfig> {
    let without_effect = [
        ("--label", args.label.is_some()),
        ("--label-separator", args.label_separator.is_some()),
        ("--labels", !args.labels.is_empty()),
        ("--text2", args.text2.is_some()),
        ("--score", args.score),
    ];
    if let Some((flag, _)) = without_effect.iter().find(|(_, is_given)| *is_given) {
        bail!(
            "{flag} has no effect with --train {}, in which each word has a tag; leave out {flag}",
            train.display()
        );
    }
    Ok(TaggedTaskConfig {
        train: train.to_owned(),
        validation: args.validation.clone(),
        test: args.test.clone(),
        tokens: args.tokens.clone(),
        tags: args.tags.clone(),
        text: args.text.clone(),
        entities: args.entities.clone(),
        skip_misaligned: args.skip_misaligned,
    })
}

/// The name of the task of a file: that of the file, without its extension.
fn own_name(train: &Path) -> Result<String> {
    let stem = train.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = stem.unwrap_or_default();
    // The task's name is a directory below `--runs`.
    limits::directory_name(&name).map_err(|expected| {
        UsageError::new(format!(
            "--train {}: the file's name without its extension, `{name}`, becomes the task's name; {expected}",
            train.display()
        ))
    })?;
    Ok(name)
}
