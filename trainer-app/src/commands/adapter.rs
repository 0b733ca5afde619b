//! `trainer adapter average`, `import`, `export` and `import-tensorflow`: adapter files from other adapter files, and
//! conversions from and to other packages.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use burn_adapters::file::atomic;
use burn_adapters::file::native::{self, AdapterMetadata, BaseIdentity, Calibration};
use burn_adapters::interchange::{adapter_hub, merged, peft, tensorflow};
use burn_adapters::{AdaptedBert, HeadKind, TaskAdapterConfig, TrainableBase, average_weights};
use burn_bert::{Bert, BertConfig, Encoder, HiddenActivation};
use glue_data::TextEncoder;
use serde::Deserialize;

use crate::base::{Base, tokenizer_files};
use crate::cli::{
    AverageArgs, DirectoryFormat, ExportArgs, ExportFormat, ImportArgs, ImportTensorflowArgs,
};
use crate::exit::UsageError;
use crate::inference::adapter_task;
use crate::system::devices;
use crate::system::files::check_new;
use crate::task_data::kind::task_kind;
use crate::terminal::hints;

/// Runs `trainer adapter average`.
///
/// # Errors
/// Adapters that cannot be read or differ in method, size, labels or input, or a file that cannot be written.
pub fn average(args: &AverageArgs) -> Result<()> {
    check_new(&args.out)?;
    let weights = weights(args)?;
    let first = args.adapters.first().context("there is no adapter to average")?;
    let name = native::read_header(first)?.metadata.base.name;
    let (bert, base) = load_base(args.base.as_deref().unwrap_or(&name))?;
    let mut models = Vec::new();
    let mut mean: Option<AdapterMetadata> = None;
    let mut has_calibration = false;
    for (path, weight) in args.adapters.iter().zip(weights) {
        let (model, metadata) = load(path, &bert, &base)?;
        has_calibration |= !metadata.calibration.is_default();
        let mean = mean.get_or_insert_with(|| metadata.clone());
        adapter_task::check_same_input(
            (first.display(), mean.input),
            (path.display(), metadata.input),
        )?;
        let model = match outputs_in_order(&mean.head, &metadata.head) {
            Some(order) => model.with_outputs(&order),
            None => bail!(
                "{} predicts {}, but {} predicts {}; only adapters with the same labels can be averaged",
                first.display(),
                listed(&mean.head),
                path.display(),
                listed(&metadata.head)
            ),
        };
        mean.max_length = mean.max_length.max(metadata.max_length);
        mean.input = mean.input.or(metadata.input);
        if (&mean.task, mean.data) != (&metadata.task, metadata.data) {
            mean.data = None;
        }
        models.push((model, weight));
    }
    let model = average_weights(&models)?;
    let metadata = mean.context("there is no adapter to average")?;
    if has_calibration {
        let (chosen, default) = match metadata.head {
            HeadKind::MultiLabel { .. } => ("thresholds", "0.5"),
            _ => ("temperatures", "1"),
        };
        warn(&[format!(
            "the {chosen} of the adapters were chosen for each of them and are left out: those of the mean are {default}"
        )]);
    }
    let calibration = Calibration::default();
    write(&args.out, &model, &AdapterMetadata { score: None, calibration, base, ..metadata })
}

/// The weight of each adapter in the mean.
///
/// # Errors
/// A number of weights other than that of the adapters, a weight that is not finite, or weights without a positive sum.
fn weights(args: &AverageArgs) -> Result<Vec<f64>> {
    if args.weights.is_empty() {
        return Ok(vec![1.0; args.adapters.len()]);
    }
    let (found, expected) = (args.weights.len(), args.adapters.len());
    if found != expected {
        return Err(UsageError::new(format!(
            "--weights has {found} weights for {expected} adapters; expected one for each"
        )));
    }
    let sum: f64 = args.weights.iter().sum();
    if !sum.is_finite() || sum <= 0.0 {
        return Err(UsageError::new(format!(
            "the --weights are {:?}; expected finite numbers with a positive sum",
            args.weights
        )));
    }
    Ok(args.weights.clone())
}

/// For each output of a head, the output of the other head with the same label; `None` if the labels differ.
fn outputs_in_order(one: &HeadKind, other: &HeadKind) -> Option<Vec<usize>> {
    task_kind(one).permutation_to(&task_kind(other))
}

fn listed(head: &HeadKind) -> String {
    adapter_task::listed(&task_kind(head))
}

/// Runs `trainer adapter import`.
///
/// # Errors
/// A directory that cannot be read, has settings that are not supported, or belongs to a base of another shape; or a
/// file that cannot be written.
pub fn import(args: &ImportArgs) -> Result<()> {
    check_new(&args.target.out)?;
    check_labels(&args.labels)?;
    let (bert, base) = load_base(&args.target.base)?;
    let max_length = max_length(&bert, args.target.max_length)?;
    let directory = Base::locate(&args.target.base)?.directory().to_owned();
    let format = match args.format {
        Some(format) => format,
        None => format_of(&args.directory)?,
    };
    let labels = (!args.labels.is_empty()).then(|| args.labels.clone());
    let (method, mut imported) = match format {
        DirectoryFormat::AdapterHub => {
            ("adapter-hub", adapter_hub::read(&args.directory, bert, labels.clone())?)
        }
        DirectoryFormat::Peft => ("peft", peft::read(&args.directory, bert, labels.clone())?),
    };
    let base_kind =
        (format == DirectoryFormat::Peft).then(|| base_problem(&directory)).transpose()?;
    if args.multi_label || base_kind == Some(true) {
        imported.head = imported.head.into_multi_label();
    }
    if labels.is_none() && imported.head.is_unnamed() {
        // A directory of PEFT has no names of labels; the base's configuration may have those of the task.
        let named = base_labels(&directory, imported.head.outputs())?;
        if let Some(named) = named {
            imported.head = match imported.head {
                HeadKind::MultiLabel { .. } => named.into_multi_label(),
                _ => named,
            };
        }
        if let Some(labels) = imported.head.labels().filter(|_| imported.head.is_unnamed()) {
            imported.warnings.push(format!(
                "the directory has no names of the labels, so that they are {}; --labels A,B names them, in the order of \
                 the head's outputs",
                listed_briefly(labels)
            ));
        }
    }
    if format == DirectoryFormat::Peft {
        imported.warnings.extend(other_base(&args.directory, &args.target.base)?);
    }
    warn(&imported.warnings);
    let metadata = AdapterMetadata {
        method: method.to_owned(),
        task: args.task.clone().unwrap_or(imported.name),
        data: None,
        input: None,
        head: imported.head,
        score: None,
        calibration: Calibration::default(),
        max_length,
        base,
    };
    write(&args.target.out, &imported.model, &metadata)
}

/// The first labels, and the last if there are more.
fn listed_briefly(labels: &[String]) -> String {
    match labels {
        [first, second, _, .., last] => format!("{first}, {second} … {last}"),
        labels => labels.join(", "),
    }
}

/// Checks that the labels of the command line differ in more than the spaces around them.
fn check_labels(labels: &[String]) -> Result<()> {
    let spaced = labels.iter().find(|label| label.trim() != label.as_str());
    let Some(label) = spaced else { return Ok(()) };
    Err(UsageError::new(format!(
        "the label `{label}` of --labels has spaces around it; write the labels without spaces before and after the \
         commas"
    )))
}

/// A warning if a directory of PEFT names another base than the one it is imported for.
fn other_base(directory: &Path, name: &str) -> Result<Option<String>> {
    #[derive(Deserialize)]
    struct Config {
        base_model_name_or_path: Option<String>,
    }

    let path = directory.join("adapter_config.json");
    let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let config: Config =
        serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display()))?;
    // A model of the hub may have been saved from a directory, and the reverse: only the last part is compared.
    let last = |name: &str| name.trim_end_matches('/').rsplit('/').next().map(str::to_owned);
    let named = config.base_model_name_or_path.filter(|named| !named.is_empty());
    Ok(named.filter(|named| last(named) != last(name)).map(|named| {
        format!(
            "{} names the base {named}, and the adapter is imported for {name}; if these are different models, its \
             predictions are wrong",
            path.display()
        )
    }))
}

/// The package whose files a directory has.
fn format_of(directory: &Path) -> Result<DirectoryFormat> {
    let has = |files: [&str; 2]| files.iter().any(|file| directory.join(file).is_file());
    let is_peft = has(["adapter_model.safetensors", "adapter_model.bin"]);
    let is_hub = has(["adapter.safetensors", "pytorch_adapter.bin"]);
    match (is_peft, is_hub) {
        (true, true) => Err(UsageError::new(format!(
            "{} has the files of both a PEFT adapter and an AdapterHub adapter; choose one with --format",
            directory.display()
        ))),
        (true, false) => Ok(DirectoryFormat::Peft),
        (false, _) => Ok(DirectoryFormat::AdapterHub),
    }
}

/// The maximum length in tokens: as given, or the default within the base's positions.
fn max_length(bert: &Bert, given: Option<usize>) -> Result<usize> {
    const DEFAULT: usize = 128;
    let positions = bert.embedding_sizes().positions;
    match given {
        Some(length) if length > positions => Err(UsageError::new(format!(
            "--max-length is {length}, but the base has {positions} positions"
        ))),
        given => Ok(given.unwrap_or(DEFAULT.min(positions))),
    }
}

/// Runs `trainer adapter export`.
///
/// # Errors
/// A directory that is not empty, an adapter that cannot be read, something that the format does not support, or a file
/// that cannot be written; no directory is left behind.
pub fn export(args: &ExportArgs) -> Result<()> {
    check_empty(&args.out)?;
    let header = native::read_header(&args.adapter)?;
    check_has_modules(args, &header.metadata.method, &header.config)?;
    let name = args.base.as_deref().unwrap_or(&header.metadata.base.name);
    let (bert, base) = load_base(name)?;
    let (model, metadata) = load(&args.adapter, &bert, &base)?;
    let mut lost = Vec::new();
    atomic::create_directory(&args.out, |out| -> Result<()> {
        match args.format {
            ExportFormat::AdapterHub => {
                let name = args.name.clone().unwrap_or_else(|| metadata.task.replace('.', "-"));
                let head = &metadata.head;
                lost =
                    adapter_hub::write_directory(out, &model, &name, head, args.with_layer_norms)?;
            }
            ExportFormat::Peft => {
                peft::write_directory(out, &model, &metadata.head, &base.name)?;
                lost = lost_in_peft(&metadata);
            }
            ExportFormat::Merged => {
                let directory = Base::locate(name)?.directory().to_owned();
                let config = BertConfig::from_directory(&directory)?;
                lost = merged::write_directory(out, &model, &metadata.head, &config)?;
                copy_tokenizer(&directory, out)?;
                let copied = TextEncoder::from_directory(out, metadata.max_length)?.fingerprint();
                base.check_tokenizer(&args.adapter, Some(&copied))?;
            }
        }
        Ok(())
    })?;
    if !metadata.calibration.is_default() {
        lost.push(
            "the thresholds or the temperature that were chosen on the validation rows are not in the directory"
                .to_owned(),
        );
    }
    warn(&lost);
    outln!("{}", args.out.display());
    noteln!("\nnext, in Python:");
    match args.format {
        ExportFormat::AdapterHub => noteln!("  model.load_adapter({:?})", args.out),
        ExportFormat::Peft => noteln!("  PeftModel.from_pretrained(model, {:?})", args.out),
        ExportFormat::Merged => {
            let class = match metadata.head {
                HeadKind::Span => "AutoModelForQuestionAnswering",
                HeadKind::TokenClassification { .. } => "AutoModelForTokenClassification",
                _ => "AutoModelForSequenceClassification",
            };
            noteln!("  {class}.from_pretrained({:?})", args.out);
        }
    }
    Ok(())
}

/// Checks that an adapter has inserted modules of its own, which is what AdapterHub and PEFT save.
fn check_has_modules(args: &ExportArgs, method: &str, config: &TaskAdapterConfig) -> Result<()> {
    let norms = config.plan.trainable_base;
    let has_norms = matches!(norms, TrainableBase::LayerNorms | TrainableBase::LayerNormsFrom(_));
    let (format, is_supported) = match args.format {
        ExportFormat::AdapterHub => ("adapter-hub", config.plan.inserts()),
        ExportFormat::Peft => ("peft", config.plan.inserts() || has_norms),
        ExportFormat::Merged => ("merged", true),
    };
    if is_supported && config.fused.is_empty() {
        return Ok(());
    }
    let path = args.adapter.display();
    Err(UsageError::new(if config.fused.is_empty() {
        format!(
            "--format {format} is for methods that insert modules, but {path} was trained with {method}, which trains \
             weights of the base; use --format merged"
        )
    } else {
        format!(
            "--format {format} has no place for a fusion of adapters, which {path} is; export the adapters that it was \
             trained on, one by one"
        )
    }))
}

/// What a directory of PEFT has no place for.
fn lost_in_peft(metadata: &AdapterMetadata) -> Vec<String> {
    let mut lost = vec![format!(
        "the name of the task, {}, is not in the directory; `trainer adapter import --task {}` restores it",
        metadata.task,
        hints::quoted(&metadata.task)
    )];
    if let HeadKind::MultiLabel { .. } = metadata.head {
        lost.push(
            "that a text may have several labels is not in the directory: pass problem_type=\"multi_label_classification\" \
             where the base is loaded; `trainer adapter import --multi-label` restores it"
                .to_owned(),
        );
    }
    if let Some(labels) = metadata.head.labels().filter(|_| !metadata.head.is_unnamed()) {
        let labels = labels.join(",");
        lost.push(format!(
            "the names of the labels are not in the directory, only their order: {labels}; `trainer adapter import --labels \
             {}` restores them",
            hints::quoted(&labels)
        ));
    }
    lost
}

/// Checks that a directory is empty or does not exist.
fn check_empty(directory: &Path) -> Result<()> {
    let is_empty = match std::fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => {
            return Err(error).with_context(|| format!("listing {}", directory.display()));
        }
    };
    if is_empty {
        return Ok(());
    }
    Err(UsageError::new(format!(
        "{} is not empty, and its files would be mixed with those of the adapter; choose another directory with --out",
        directory.display()
    )))
}

/// Copies the files of a tokenizer that exist.
fn copy_tokenizer(from: &Path, to: &Path) -> Result<()> {
    for file in tokenizer_files().filter(|file| from.join(file).is_file()) {
        std::fs::copy(from.join(file), to.join(file))
            .with_context(|| format!("copying {file} to {}", to.display()))?;
    }
    Ok(())
}

fn warn(sentences: &[String]) {
    for sentence in sentences {
        noteln!("warning: {sentence}");
    }
}

/// Runs `trainer adapter import-tensorflow`.
///
/// # Errors
/// A checkpoint that cannot be read or belongs to another base, a number of labels other than that of the head's outputs,
/// or a file that cannot be written.
pub fn import_tensorflow(args: &ImportTensorflowArgs) -> Result<()> {
    check_new(&args.target.out)?;
    check_labels(&args.labels)?;
    let (bert, base) = load_base(&args.target.base)?;
    let max_length = max_length(&bert, args.target.max_length)?;
    if bert.hidden_activation() == Some(HiddenActivation::Gelu) {
        warn(&[format!(
            "the paper's code computes GELU with the tanh approximation, and {} with the error function: hidden states \
             differ by about 1e-3; use the directory of Google's checkpoint as --base for the former",
            args.target.base
        )]);
    }
    let model = tensorflow::read(&args.checkpoint, bert)?;
    let head = match model.task.config().head.outputs() {
        1 if args.labels.is_empty() => HeadKind::Regression,
        outputs => HeadKind::with_labels(args.labels.clone(), outputs)?,
    };
    let metadata = AdapterMetadata {
        method: "houlsby-code".to_owned(),
        task: args.task.clone(),
        data: None,
        input: None,
        head,
        score: None,
        calibration: Calibration::default(),
        max_length,
        base,
    };
    write(&args.target.out, &model, &metadata)
}

/// Whether a base's `config.json` is of a model of several labels a text.
fn base_problem(directory: &Path) -> Result<bool> {
    #[derive(Deserialize)]
    struct Config {
        problem_type: Option<String>,
    }

    let path = directory.join("config.json");
    if !path.is_file() {
        return Ok(false);
    }
    let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let config: Config = serde_json::from_slice(&text)
        .with_context(|| format!("reading the problem_type in {}", path.display()))?;
    Ok(config.problem_type.as_deref() == Some("multi_label_classification"))
}

/// The labels in a base's `config.json`, if there is one for each output.
fn base_labels(directory: &Path, outputs: usize) -> Result<Option<HeadKind>> {
    #[derive(Deserialize)]
    struct Config {
        id2label: Option<BTreeMap<usize, String>>,
    }

    let path = directory.join("config.json");
    if outputs < 2 || !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let config: Config = serde_json::from_slice(&text)
        .with_context(|| format!("reading the labels (id2label) in {}", path.display()))?;
    let labels = config.id2label.unwrap_or_default();
    if !labels.keys().copied().eq(0..outputs) {
        return Ok(None);
    }
    Ok(Some(HeadKind::with_labels(labels.into_values().collect(), outputs)?))
}

/// Loads a base on the CPU, whose results are reproducible.
fn load_base(name: &str) -> Result<(Bert, BaseIdentity)> {
    let base = Base::locate(name)?;
    let device: Device = devices::resolve("cpu")?;
    let bert = burn_bert::load(base.directory(), &device)?;
    Ok((bert, base.identity()?))
}

/// Loads an adapter on its base.
fn load(path: &Path, bert: &Bert, base: &BaseIdentity) -> Result<(AdaptedBert, AdapterMetadata)> {
    // The header first, since the rest may be large.
    let header = native::read_header(path)?;
    header.metadata.base.check_tokenizer(path, base.tokenizer.as_deref())?;
    Ok(native::load(path, bert.clone(), &base.fingerprint)?)
}

fn write(path: &Path, model: &AdaptedBert, metadata: &AdapterMetadata) -> Result<()> {
    native::save(path, model, metadata)?;
    outln!("{}", path.display());
    let adapter = hints::path(path);
    hints::next(&[
        (
            format!("adapter inspect {adapter}"),
            "show the method, labels, score and base of the adapter file",
        ),
        (format!("predict {adapter}"), "label texts that you type, one per line; Ctrl-D ends"),
    ]);
    Ok(())
}
