//! Flags over a file over the defaults.

use anyhow::{Context, Result, bail};
use burn_adapters::{Activation, Combine, InnerNorm, Method, Pooling, Sites};

use super::{CustomTaskConfig, RunConfig, TaskConfig, default_pooling};
use crate::cli::{TaskArgs, TrainArgs};

impl RunConfig {
    /// The configuration that was asked for: flags over the file over the defaults.
    ///
    /// # Errors
    /// A file that cannot be read, a name nobody knows, a number out of its range.
    pub fn resolve(args: &TrainArgs) -> Result<Self> {
        let mut config = match &args.config {
            Some(path) => Self::read(path)?,
            None => Self::defaults(match &args.method {
                Some(name) => name.parse()?,
                None if !args.fuse.is_empty() => Method::Fusion,
                None => Method::Houlsby,
            }),
        };
        config.apply(args)?;
        config.check()?;
        Ok(config)
    }

    fn apply(&mut self, args: &TrainArgs) -> Result<()> {
        if let Some(task) = task_config(&args.task)? {
            self.task = TaskConfig { limit: self.task.limit, ..task };
        } else if args.task.data.is_some() {
            self.task.data.clone_from(&args.task.data);
        }
        self.task.limit = args.limit.or(self.task.limit);
        set(&mut self.seed, args.seed);
        set(&mut self.device, args.device.clone().or_else(|| args.devices.clone()));

        let model = &mut self.model;
        if let Some(base) = &args.base {
            model.base.clone_from(base);
            model.pooling = default_pooling(base);
        }
        if let Some(name) = &args.method {
            model.method = name.parse()?;
        }
        if !args.fuse.is_empty() {
            model.method = Method::Fusion;
            model.fuse.clone_from(&args.fuse);
        }
        set(&mut model.size, args.size);
        if let Some(name) = &args.activation {
            model.activation =
                Some(by_name("activation", name, &Activation::ALL, Activation::name)?);
        }
        model.init_std = args.init_std.or(model.init_std);
        if let Some(name) = &args.sites {
            model.sites = Some(by_name("choice of sites", name, &Sites::ALL, Sites::name)?);
        }
        if let Some(layers) = &args.adapt_layers {
            model.adapt_layers = Some(layers.parse()?);
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
        let keeps_length = args.max_length.is_some() || args.config.is_some();
        self.fit_to_subject(keeps_length);
        Ok(())
    }
}

fn task_config(args: &TaskArgs) -> Result<Option<TaskConfig>> {
    if let Some(train) = &args.train {
        let (Some(text), Some(label)) = (args.text.clone(), args.label.clone()) else {
            bail!("--train needs --text COL and --label COL, the names of the columns");
        };
        let name = train
            .file_stem()
            .map_or_else(|| "custom".into(), |stem| stem.to_string_lossy().into_owned());
        let custom = CustomTaskConfig {
            train: train.clone(),
            validation: args.validation.clone(),
            test: args.test.clone(),
            text,
            text2: args.text2.clone(),
            label,
            score: args.score,
        };
        return Ok(Some(TaskConfig { name, data: None, limit: None, custom: Some(custom) }));
    }
    Ok(args.task.clone().map(|name| TaskConfig {
        name,
        data: args.data.clone(),
        limit: None,
        custom: None,
    }))
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
