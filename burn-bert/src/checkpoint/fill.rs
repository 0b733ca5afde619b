//! Loads the tensors of a checkpoint into a BERT, for every format; the names in a format are defined by its module.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::bert::Bert;
use crate::config::{BertConfig, Positions};
use crate::error::{BertError, TensorProblem, WeightsError};
use crate::families::PretrainedHead;
use crate::insertion::EncoderPart;

/// The tensors of a checkpoint, with the names and the layout of its format.
pub(super) struct Checkpoint {
    /// The encoder's tensors, without those of heads.
    pub(super) tensors: Vec<Stored>,
    /// Those of the hidden layer of the family's classifier; a path is a field of [`PretrainedHead`].
    pub(super) head: Vec<Stored>,
    /// Bytes of the files.
    pub(super) bytes: u64,
    /// The name of the parameter at a path.
    pub(super) name_of: Box<dyn Fn(&str) -> String>,
    /// Whether the tensor at a path is stored transposed.
    pub(super) is_transposed: fn(&str) -> bool,
}

/// A tensor in a file that is not read yet.
#[derive(Clone)]
pub(super) struct Stored {
    /// The path of its parameter.
    pub(super) path: String,
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// Its type, if that is not a float.
    pub(super) not_floats: Option<String>,
    pub(super) read: Rc<dyn Fn() -> Result<TensorData, BertError>>,
}

impl Stored {
    /// The parameters at several paths, one after the other in the tensor's rows.
    pub(super) fn split(self, paths: Vec<String>) -> Vec<Self> {
        let count = paths.len();
        let rows = self.shape.first().copied().unwrap_or(0);
        if count == 1 || !rows.is_multiple_of(count) {
            // Rows that cannot be divided have the wrong shape for each of them.
            let of = |path| Self { path, ..self.clone() };
            return paths.into_iter().map(of).collect();
        }
        // The parts are read one after the other, and the tensor only for the first of them.
        let whole = Rc::new(OnceCell::new());
        let part = |(index, path)| {
            let mut shape = self.shape.clone();
            shape[0] = rows / count;
            let (read, of_part, whole) = (self.read.clone(), shape.clone(), Rc::clone(&whole));
            let read = Rc::new(move || {
                let values: &TensorData = if let Some(values) = whole.get() {
                    values
                } else {
                    let values = read()?;
                    whole.get_or_init(|| values)
                };
                let length = of_part.iter().product();
                let values: Vec<f32> =
                    values.iter::<f32>().skip(index * length).take(length).collect();
                Ok(TensorData::new(values, of_part.clone()))
            });
            Self { path, shape, read, ..self.clone() }
        };
        paths.into_iter().enumerate().map(part).collect()
    }
}

/// A BERT of the given configuration with all tensors of a checkpoint.
///
/// Tensors are read one by one into their parameters, so that memory holds the weights once.
pub(super) fn fill(
    config: &BertConfig,
    directory: &Path,
    checkpoint: Checkpoint,
    device: &Device,
) -> Result<Bert, BertError> {
    let Checkpoint { tensors, head, bytes, name_of, is_transposed } = checkpoint;
    check_expansion(directory, &tensors, bytes)?;
    check_layers(directory, &tensors, config)?;
    let mut problems = Vec::new();
    let mut stored = BTreeMap::new();
    for tensor in tensors {
        if let Some(found) = tensor.not_floats.clone() {
            problems.push(TensorProblem::NotFloats { name: tensor.name.clone(), found });
        }
        if let Some(duplicate) = stored.insert(tensor.path.clone(), tensor) {
            problems.push(TensorProblem::Duplicate { name: duplicate.name });
        }
    }

    let mut bert = config.init(device);
    if !stored.keys().any(|path| path.starts_with("pooler.")) {
        bert.pooler = None;
    }
    let mut shapes = Shapes::default();
    bert.visit(&mut shapes);
    for (path, burn_shape) in &shapes.found {
        let mut expected = burn_shape.clone();
        if is_transposed(path) {
            expected.reverse();
        }
        match stored.get(path) {
            None => problems.push(TensorProblem::Missing { name: name_of(path), expected }),
            Some(Stored { name, shape, .. }) if *shape != expected => {
                let (name, found) = (name.clone(), shape.clone());
                problems.push(TensorProblem::Shape { name, found, expected });
            }
            Some(_) => {}
        }
    }
    // Published checkpoints of DeBERTa have a table that their configuration does not use, which transformers ignores too
    // (`_keys_to_ignore_on_load_unexpected`).
    if config.positions == Positions::None {
        stored.remove("embeddings.position_embeddings.weight");
    }
    let unexpected = stored.iter().filter(|(path, _)| !shapes.found.contains_key(*path));
    problems.extend(unexpected.map(|(_, Stored { name, shape, .. })| TensorProblem::Unexpected {
        name: name.clone(),
        found: shape.clone(),
    }));
    if !problems.is_empty() {
        return Err(WeightsError::Tensors { directory: directory.to_owned(), problems }.into());
    }

    let mut filler =
        Filler { stored, is_transposed, path: Vec::new(), error: None, problems: Vec::new() };
    let mut bert = bert.map(&mut filler);
    if let Some(error) = filler.error {
        return Err(error);
    }
    if !filler.problems.is_empty() {
        let (directory, problems) = (directory.to_owned(), filler.problems);
        return Err(WeightsError::Tensors { directory, problems }.into());
    }
    bert.pretrained_head = pretrained_head(config, directory, &head)?.map(Arc::new);
    Ok(bert)
}

/// The hidden layer of the family's classifier, if transformers starts with that of a checkpoint and all of it is there.
fn pretrained_head(
    config: &BertConfig,
    directory: &Path,
    stored: &[Stored],
) -> Result<Option<PretrainedHead>, BertError> {
    let Some(layer) = config.sequence_classifier().hidden else { return Ok(None) };
    let Some(norm) = layer.norm else { return Ok(None) };
    let width = config.hidden_size;
    let read = |path: &str, shape: &[usize]| -> Result<Option<TensorData>, BertError> {
        let is_it = |stored: &&Stored| {
            stored.path == path && stored.shape == shape && stored.not_floats.is_none()
        };
        let Some(stored) = stored.iter().find(is_it) else { return Ok(None) };
        let data = (stored.read)()?.convert_dtype(DType::F32);
        if is_finite(&data) {
            return Ok(Some(data));
        }
        let problems = vec![TensorProblem::NotFinite { name: stored.name.clone() }];
        Err(WeightsError::Tensors { directory: directory.to_owned(), problems }.into())
    };
    let (weight, gamma) = (read("weight", &[width, width])?, read("gamma", &[width])?);
    let (bias, beta) = (read("bias", &[width])?, read("beta", &[width])?);
    let (bias, beta) = (bias.filter(|_| layer.has_bias), beta.filter(|_| norm.has_bias));
    let is_whole = bias.is_some() == layer.has_bias && beta.is_some() == norm.has_bias;
    let head = weight.zip(gamma).filter(|_| is_whole);
    Ok(head.map(|(weight, gamma)| PretrainedHead {
        weight: transposed(&weight),
        bias,
        gamma,
        beta,
    }))
}

fn is_finite(data: &TensorData) -> bool {
    data.as_slice::<f32>().is_ok_and(|numbers| numbers.iter().all(|x| x.is_finite()))
}

/// Refuses tensors that need far more memory than their files have bytes: a view in a pickle, or overlapping tensors of
/// a bundle, can have any size.
fn check_expansion(directory: &Path, tensors: &[Stored], bytes: u64) -> Result<(), WeightsError> {
    /// Single precision needs twice the bytes of half precision, and a file may be compressed.
    const MAX_FACTOR: u128 = 16;
    let count = |shape: &[usize]| {
        shape.iter().fold(1_u128, |count, side| count.saturating_mul(*side as u128))
    };
    let numbers =
        tensors.iter().fold(0_u128, |sum, stored| sum.saturating_add(count(&stored.shape)));
    let needed = numbers.saturating_mul(size_of::<f32>() as u128);
    if needed > MAX_FACTOR * u128::from(bytes) {
        return Err(WeightsError::Expansion { directory: directory.to_owned(), needed, bytes });
    }
    Ok(())
}

/// Refuses another number of layers than the tensors have, before memory is allocated for them.
fn check_layers(
    directory: &Path,
    tensors: &[Stored],
    config: &BertConfig,
) -> Result<(), WeightsError> {
    let expected = config.num_hidden_layers;
    let biases = 4 * usize::from(config.attention_bias) + 2 * usize::from(config.feed_forward_bias);
    let of_layer = 6 + biases + if config.norm_bias { 4 } else { 2 };
    // With fewer, the layer counts as missing.
    let least = of_layer / 2;
    let layer = |stored: &Stored| match Bert::PARAMETER_PATHS.part(&stored.path) {
        Some(EncoderPart::Layer(layer)) => Some(layer),
        _ => None,
    };
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for layer in tensors.iter().filter_map(layer) {
        *counts.entry(layer).or_default() += 1;
    }
    let found = counts.values().filter(|count| **count >= least).count();
    if found != expected {
        return Err(WeightsError::Layers { directory: directory.to_owned(), found, expected });
    }
    Ok(())
}

/// The transpose of a matrix, in memory order: a transposed view would be copied in every forward pass.
pub fn transposed(matrix: &TensorData) -> TensorData {
    let [rows, columns] = [matrix.shape()[0], matrix.shape()[1]];
    let values: Vec<f32> = matrix.iter::<f32>().collect();
    let transposed =
        (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied());
    TensorData::new(transposed.collect::<Vec<_>>(), [columns, rows])
}

/// The values of every parameter by its path, in single precision.
pub(super) fn parameters(bert: &Bert) -> Vec<(String, TensorData)> {
    #[derive(Default)]
    struct Values {
        path: Vec<String>,
        found: Vec<(String, TensorData)>,
    }

    impl ModuleVisitor for Values {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let data = param.val().into_data().convert_dtype(DType::F32);
            self.found.push((self.path.join("."), data));
        }
    }

    let mut values = Values::default();
    bert.visit(&mut values);
    values.found
}

/// Collects the shape of every parameter without initializing it.
#[derive(Default)]
struct Shapes {
    path: Vec<String>,
    found: BTreeMap<String, Vec<usize>>,
}

impl ModuleVisitor for Shapes {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.insert(self.path.join("."), param.lazy_shape().to_vec());
    }
}

/// Reads the stored tensors into the parameters, one after the other.
struct Filler {
    stored: BTreeMap<String, Stored>,
    is_transposed: fn(&str) -> bool,
    path: Vec<String>,
    error: Option<BertError>,
    problems: Vec<TensorProblem>,
}

impl ModuleMapper for Filler {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        // Every parameter has a stored tensor, as checked before. After an error nothing more is read.
        let Some(stored) = self.stored.remove(&path).filter(|_| self.error.is_none()) else {
            return param;
        };
        let data = match (stored.read)() {
            Ok(data) => data.convert_dtype(DType::F32),
            Err(error) => {
                self.error = Some(error);
                return param;
            }
        };
        if !is_finite(&data) {
            self.problems.push(TensorProblem::NotFinite { name: stored.name });
            return param;
        }
        let device = param.lazy_device();
        let data = if (self.is_transposed)(&path) { transposed(&data) } else { data };
        let tensor = Tensor::<D>::from_data(data, &device);
        // A new parameter is trainable; only a tensor of an autodiff device can require a gradient.
        let tensor = if device.is_autodiff() { tensor.require_grad() } else { tensor };
        Param::initialized(param.id, tensor)
    }
}
