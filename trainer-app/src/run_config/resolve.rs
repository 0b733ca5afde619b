//! From what was typed to what is done: flags over a file over the defaults.
//! A flag that would have no effect beside the others is refused by its name.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use burn_adapters::{Activation, Combine, InnerNorm, Method, Pooling, Sites};
use glue_data::tasks;

use super::defaults::{QUESTION_LENGTH, QUESTION_POOLING};
use super::{CustomTaskConfig, OptimizerKind, RunConfig, StateCache, TaskConfig, default_pooling};
use crate::cli::{TaskArgs, TrainArgs};
use crate::exit::UsageError;
use crate::limits;

/// What `trainer train` is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainJob {
    /// A new run.
    Start(Box<RunConfig>),
    /// The rest of a run that was stopped, with its own settings.
    Resume {
        /// Its directory; none for the newest unfinished one.
        run: Option<PathBuf>,
        /// Where to compute, if not where it was computed before.
        device: Option<String>,
    },
}

impl TrainJob {
    /// The job of a command line.
    ///
    /// # Errors
    /// A [`UsageError`] for flags that do not go together, a name that does not exist or a number out of its range;
    /// another error for a configuration file that cannot be read.
    pub fn of(args: &TrainArgs) -> Result<Self> {
        let Some(run) = &args.resume else {
            return Ok(Self::Start(Box::new(RunConfig::resolve(args)?)));
        };
        if let (Some(run), Some(_)) = (run, &args.runs) {
            return Err(UsageError::new(format!(
                "--runs has no effect beside --resume {}, which names the run's directory; leave out --runs",
                run.display()
            )));
        }
        let device = args.device.clone().or_else(|| args.devices.clone());
        Ok(Self::Resume { run: run.clone(), device })
    }
}

impl RunConfig {
    /// The configuration of a new run: flags over the file over the defaults.
    ///
    /// # Errors
    /// As [`TrainJob::of`].
    pub fn resolve(args: &TrainArgs) -> Result<Self> {
        let file = args.config.as_deref().map(Self::read).transpose()?;
        Self::over(file, args)
            .and_then(|config| config.check().map(|()| config))
            // Whatever is wrong now is in the flags: the file was checked when it was read.
            .map_err(|error| match error.downcast::<UsageError>() {
                Ok(usage) => usage.into(),
                Err(error) => UsageError::new(format!("{error:#}")),
            })
    }

    fn over(file: Option<Self>, args: &TrainArgs) -> Result<Self> {
        let method = match &args.method {
            Some(name) => Some(name.parse().with_context(|| format!("--method {name}"))?),
            None => (!args.fuse.is_empty()).then_some(Method::Fusion),
        };
        let mut config = match file.clone() {
            Some(file) => file,
            None => Self::defaults(method.unwrap_or(Method::Houlsby)),
        };
        config.model.method = method.unwrap_or(config.model.method);
        config.apply(args)?;
        if let Some(file) = &file {
            refuse_foreign_defaults(file, &config, args)?;
        } else {
            let pooling = args.pooling.is_some().then_some(config.model.pooling);
            config.fit_to_task_data(args.max_length.is_some());
            set(&mut config.model.pooling, pooling);
        }
        refuse_without_effect(&config, args)?;
        Ok(config)
    }

    fn apply(&mut self, args: &TrainArgs) -> Result<()> {
        self.apply_task(&args.task)?;
        self.task.limit = args.limit.or(self.task.limit);
        set(&mut self.seed, args.seed);
        set(&mut self.device, args.device.clone().or_else(|| args.devices.clone()));

        let reads_file = args.config.is_some();
        let model = &mut self.model;
        if let Some(base) = &args.base {
            model.base.clone_from(base);
            if !reads_file {
                model.pooling = default_pooling(base);
            }
        }
        if !args.fuse.is_empty() {
            model.fuse.clone_from(&args.fuse);
        } else if args.method.is_some() && model.method != Method::Fusion {
            model.fuse.clear();
        }
        set(&mut model.size, args.size);
        if let Some(name) = &args.activation {
            let activation = by_name("activation", name, &Activation::ALL, Activation::name)?;
            model.activation = Some(activation);
        }
        model.init_std = args.init_std.or(model.init_std);
        if let Some(name) = &args.sites {
            model.sites = Some(by_name("choice of sites", name, &Sites::ALL, Sites::name)?);
        }
        if let Some(layers) = &args.adapt_layers {
            let parsed = layers.parse().with_context(|| format!("--adapt-layers {layers}"))?;
            model.adapt_layers = Some(parsed);
        }
        model.depth = args.depth.or(model.depth);
        if let Some(name) = &args.inner_norm {
            model.inner_norm = Some(by_name("inner norm", name, &InnerNorm::ALL, InnerNorm::name)?);
        }
        if let Some(name) = &args.combine {
            model.combine = Some(by_name("way to combine", name, &Combine::ALL, Combine::name)?);
        }
        if let Some(name) = &args.pooling {
            model.pooling = by_name("pooling", name, &Pooling::ALL, Pooling::name)?;
        }
        set(&mut model.max_length, args.max_length);
        model.dropout = args.dropout.or(model.dropout);
        set(&mut model.precision, args.precision);

        let training = &mut self.training;
        set(&mut training.epochs, args.epochs);
        set(&mut training.learning_rate, args.learning_rate);
        set(&mut training.batch_size, args.batch_size);
        set(&mut training.accumulate, args.accumulate);
        set(&mut training.optimizer, args.optimizer);
        set(&mut training.weight_decay, args.weight_decay);
        set(&mut training.warmup, args.warmup);
        set(&mut training.decay, args.decay);
        set(&mut training.clip, args.clip);
        training.patience = args.patience.or(training.patience);
        set(&mut training.cache, args.cache);
        training.gradient_checkpointing |= args.gradient_checkpointing;
        Ok(())
    }

    fn apply_task(&mut self, args: &TaskArgs) -> Result<()> {
        let limit = self.task.limit;
        if let Some(task) = own_task(args)? {
            self.task = TaskConfig { limit, ..task };
            return Ok(());
        }
        if let Some(name) = &args.task {
            // The directory of a file's published task holds the other tasks too.
            self.task.name.clone_from(name);
            self.task.custom = None;
        }
        if let Some(data) = &args.data {
            if self.task.custom.is_some() {
                bail!(
                    "--data has no effect beside the own files of --config; leave it out, or name a --task"
                );
            }
            self.task.data = Some(data.clone());
        }
        if self.task.custom.is_none() && !self.task.is_question_answering() {
            let is_embedded = tasks::lookup(&self.task.name)?.source.is_none();
            if is_embedded && args.data.is_some() {
                bail!(
                    "--data has no effect: the rows of {} are part of the program; leave it out, or name the task \
                     whose files are there with --task",
                    self.task.name
                );
            }
            if is_embedded {
                self.task.data = None;
            }
        }
        Ok(())
    }
}

/// The settings that follow from another one where nothing else is said: their flags, and their values here.
fn derived(config: &RunConfig) -> Vec<(&'static str, String)> {
    let defaults = RunConfig::defaults(config.model.method);
    let (pooling, length) = if config.task.is_question_answering() {
        (QUESTION_POOLING, QUESTION_LENGTH)
    } else {
        (default_pooling(&config.model.base), defaults.model.max_length)
    };
    let training = &defaults.training;
    let mut derived = vec![
        ("--epochs", training.epochs.to_string()),
        ("--learning-rate", format!("{:e}", training.learning_rate)),
        ("--decay", format!("{:?}", training.decay)),
        ("--pooling", pooling.name().to_owned()),
        ("--max-length", length.to_string()),
    ];
    if config.model.method.has_size() {
        derived.push(("--size", defaults.model.size.to_string()));
    }
    derived
}

/// A configuration file has every setting. Where a flag changes the method, the base or the task, those settings of the
/// file that were made for the other one have to be named.
fn refuse_foreign_defaults(file: &RunConfig, config: &RunConfig, args: &TrainArgs) -> Result<()> {
    let is_given = |flag: &str| match flag {
        "--epochs" => args.epochs.is_some(),
        "--learning-rate" => args.learning_rate.is_some(),
        "--decay" => args.decay.is_some(),
        "--pooling" => args.pooling.is_some(),
        "--max-length" => args.max_length.is_some(),
        _ => args.size.is_some(),
    };
    let before = derived(file);
    let changed: Vec<&str> = derived(config)
        .into_iter()
        .filter(|setting| !before.contains(setting) && !is_given(setting.0))
        .map(|(flag, _)| flag)
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let by = [
        ("--base", args.base.is_some() && config.model.base != file.model.base),
        ("--method", args.method.is_some() && config.model.method != file.model.method),
        ("--fuse", !args.fuse.is_empty()),
        ("--task", args.task.task.is_some() && config.task.name != file.task.name),
        ("--train", args.task.train.is_some()),
    ];
    let by: Vec<&str> = by.iter().filter(|(_, changes)| *changes).map(|(flag, _)| *flag).collect();
    bail!(
        "{} is not what the settings of --config were made for; name {} too, or leave out --config",
        by.join(" and "),
        changed.join(", ")
    );
}

/// Refuses flags that do nothing beside the other settings.
fn refuse_without_effect(config: &RunConfig, args: &TrainArgs) -> Result<()> {
    let method = config.model.method;
    let by = match (&args.method, args.fuse.is_empty()) {
        (_, false) => "--fuse".to_owned(),
        (Some(name), true) => format!("--method {name}"),
        (None, true) => format!("the method {method}"),
    };
    let refuse = |flag: &str, why: &str| -> Result<()> {
        bail!("{flag} has no effect with {by}, which {why}; leave out {flag}")
    };
    let keeps = matches!(config.training.cache, StateCache::Memory | StateCache::Disk);
    let can_keep = method.has_adapters() && config.model.adapt_layers.is_some()
        || matches!(method, Method::TopLayers(_));
    if keeps && args.cache.is_some() && !can_keep {
        refuse(
            "--cache",
            "trains in the lowest layer, so that nothing below can be kept (--adapt-layers 3.. starts higher)",
        )?;
    }
    if args.size.is_some() && !method.has_size() {
        refuse("--size", "has no size to choose")?;
    }
    if args.adapt_layers.is_some() && !method.has_adapters() {
        refuse("--adapt-layers", "inserts nothing into layers")?;
    }
    let bottleneck_flags = [
        ("--activation", args.activation.is_some()),
        ("--init-std", args.init_std.is_some()),
        ("--sites", args.sites.is_some()),
        ("--depth", args.depth.is_some()),
        ("--inner-norm", args.inner_norm.is_some()),
        ("--combine", args.combine.is_some()),
    ];
    if config.plan().bottleneck.is_none() {
        for (flag, _) in bottleneck_flags.iter().filter(|(_, is_given)| *is_given) {
            refuse(flag, "has no bottlenecks")?;
        }
    }
    if args.weight_decay.is_some() && config.training.optimizer == OptimizerKind::Adam {
        bail!(
            "--weight-decay has no effect with --optimizer adam, which has no weight decay; take --optimizer adam-w \
             or leave out --weight-decay"
        );
    }
    if config.task.is_question_answering() && config.model.pooling != QUESTION_POOLING {
        bail!(
            "--pooling has no effect with --task {}, whose answers are read from every token; leave out --pooling",
            config.task.name
        );
    }
    Ok(())
}

/// The task of one's own files, where some were named.
fn own_task(args: &TaskArgs) -> Result<Option<TaskConfig>> {
    let Some(train) = &args.train else { return Ok(None) };
    let (Some(text), Some(label)) = (args.text.clone(), args.label.clone()) else {
        bail!("--train needs --text COL and --label COL, the names of the columns");
    };
    let stem = train.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = stem.unwrap_or_default();
    // The runs are in a directory of the task's name.
    limits::directory_name(&name).map_err(|expected| {
        UsageError::new(format!(
            "--train {}: the file's name without its extension names the task, and is `{name}`; {expected}",
            train.display()
        ))
    })?;
    let custom = CustomTaskConfig {
        train: train.clone(),
        validation: args.validation.clone(),
        test: args.test.clone(),
        text,
        text2: args.text2.clone(),
        label,
        score: args.score,
    };
    Ok(Some(TaskConfig { name, data: None, limit: None, custom: Some(custom) }))
}

fn by_name<T: Copy>(
    what: &str,
    name: &str,
    all: &[T],
    name_of: fn(T) -> &'static str,
) -> Result<T> {
    let found = all.iter().copied().find(|value| name_of(*value) == name);
    found.with_context(|| {
        let names: Vec<_> = all.iter().map(|value| name_of(*value)).collect();
        format!("there is no {what} `{name}`; choose one of {}", names.join(", "))
    })
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
