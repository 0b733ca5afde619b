//! A model's weights by name: those that are saved, taken out and put back.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};

use super::adapted::AdaptedBert;

/// The name in a file of the parameter at a path of an [`AdaptedBert`].
pub(crate) fn name_in_file(path: &str) -> &str {
    path.strip_prefix("task.").unwrap_or(path)
}

/// Whether all values are finite.
pub(crate) fn is_finite(data: &TensorData) -> bool {
    data.iter::<f32>().all(f32::is_finite)
}

/// The tensors that a model's file holds, by their names there.
pub(crate) fn saved_weights(model: &AdaptedBert) -> BTreeMap<String, TensorData> {
    let weights = read_weights(model, |path| model.is_saved(path)).into_iter();
    weights.map(|(path, data)| (name_in_file(&path).to_owned(), data)).collect()
}

/// The chosen float tensors of a module by their paths, as `f32`.
///
/// `burn_store`'s `collect` would read every tensor, also those of a base that are not loaded yet.
pub(crate) fn read_weights(
    module: &impl Module,
    chosen: impl Fn(&str) -> bool,
) -> BTreeMap<String, TensorData> {
    struct Reader<F> {
        chosen: F,
        path: Vec<String>,
        weights: BTreeMap<String, TensorData>,
    }

    impl<F: Fn(&str) -> bool> ModuleVisitor for Reader<F> {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let path = self.path.join(".");
            if (self.chosen)(&path) {
                self.weights.insert(path, param.val().into_data().convert_dtype(DType::F32));
            }
        }
    }

    let mut reader = Reader { chosen, path: Vec::new(), weights: BTreeMap::new() };
    module.visit(&mut reader);
    reader.weights
}

/// The model with these tensors instead of its own; names without a parameter are ignored.
///
/// `burn_store`'s `apply` aborts the process if a device runs out of memory on the way.
pub(crate) fn put_weights(
    model: AdaptedBert,
    weights: BTreeMap<String, TensorData>,
) -> AdaptedBert {
    struct Writer {
        path: Vec<String>,
        weights: BTreeMap<String, TensorData>,
    }

    impl ModuleMapper for Writer {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let path = self.path.join(".");
            match self.weights.remove(name_in_file(&path)) {
                Some(data) => {
                    let (id, tensor) = (param.id, Tensor::from_data(data, &param.lazy_device()));
                    param.transform_for_load(tensor, id)
                }
                None => param,
            }
        }
    }

    model.map(&mut Writer { path: Vec::new(), weights })
}
