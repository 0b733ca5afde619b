//! Puts the tensors of a checkpoint into a BERT, whoever wrote them; what they are called there is not known here.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::config::BertConfig;
use crate::error::{BertError, TensorProblem};
use crate::model::Bert;

/// The tensors of a checkpoint and its way of naming and laying them out.
pub(super) struct Checkpoint {
    /// The encoder's tensors, those of heads left out.
    pub(super) tensors: Vec<Stored>,
    /// The usual name of the parameter at a path.
    pub(super) name_of: fn(&str) -> String,
    /// Whether the tensor at a path is a matrix that lies there the other way round.
    pub(super) is_transposed: fn(&str) -> bool,
}

/// A tensor that was found in a file, not read yet.
pub(super) struct Stored {
    /// The path of the parameter it stands for.
    pub(super) path: String,
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) read: Box<dyn FnOnce() -> Result<TensorData, BertError>>,
}

/// A BERT of the given configuration with all tensors of a checkpoint.
///
/// Tensors are read one by one straight into their parameters, so that the weights are in memory once.
pub(super) fn fill(
    config: &BertConfig,
    directory: &Path,
    checkpoint: Checkpoint,
    device: &Device,
) -> Result<Bert, BertError> {
    let Checkpoint { tensors, name_of, is_transposed } = checkpoint;
    let mut problems = Vec::new();
    let mut stored = BTreeMap::new();
    for tensor in tensors {
        if let Some(twice) = stored.insert(tensor.path.clone(), tensor) {
            problems.push(TensorProblem::Twice { name: twice.name });
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
    let left_over = stored.iter().filter(|(path, _)| !shapes.found.contains_key(*path));
    problems.extend(left_over.map(|(_, Stored { name, shape, .. })| TensorProblem::LeftOver {
        name: name.clone(),
        found: shape.clone(),
    }));
    if !problems.is_empty() {
        return Err(BertError::Tensors { directory: directory.to_owned(), problems });
    }

    let mut filler = Filler { stored, is_transposed, path: Vec::new(), error: None };
    let bert = bert.map(&mut filler);
    filler.error.map_or(Ok(bert), Err)
}

/// A matrix the other way round, in memory too: a transposed view would be put in order again in every forward.
pub(super) fn transposed(matrix: &TensorData) -> TensorData {
    let [rows, columns] = [matrix.shape()[0], matrix.shape()[1]];
    let values: Vec<f32> = matrix.iter::<f32>().collect();
    let turned =
        (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied());
    TensorData::new(turned.collect::<Vec<_>>(), [columns, rows])
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

/// Collects the shape of every parameter without drawing its weights.
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

/// Puts the stored tensors into the parameters, one after the other.
struct Filler {
    stored: BTreeMap<String, Stored>,
    is_transposed: fn(&str) -> bool,
    path: Vec<String>,
    error: Option<BertError>,
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
        // Every parameter was found in the files before; after an error nothing more is read.
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
        let device = param.lazy_device();
        let data = if (self.is_transposed)(&path) { transposed(&data) } else { data };
        let tensor = Tensor::<D>::from_data(data, &device);
        // A fresh parameter can be trained; where nothing can be differentiated there is nothing to say.
        let tensor = if device.is_autodiff() { tensor.require_grad() } else { tensor };
        Param::initialized(param.id, tensor)
    }
}
