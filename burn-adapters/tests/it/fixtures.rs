//! The numbers other people's programs computed, and how their names and layouts become ours.
//!
//! Computed with torch 2.9.1, transformers 4.57.6 and adapters 1.3.0 on a BERT of 2 layers, 32 wide,
//! without dropout. Tensors that end in `.f64` come from the same model in double precision.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_adapters::{
    Activation, AdaptedBert, AdapterPlan, HeadKind, Method, TaskAdapterConfig, TrainableBase,
};
use burn_bert::{Bert, BertInput};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

/// Tensors by name, all as `f32`.
pub(crate) type Tensors = BTreeMap<String, TensorData>;

pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../burn-adapters/tests/fixtures").join(name)
}

pub(crate) fn read(file: PathBuf) -> Tensors {
    let bytes = std::fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = tensors.tensors().into_iter().map(|(name, view)| {
        let data = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => {
                data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
            }
            #[expect(clippy::cast_possible_truncation, reason = "compared in single precision")]
            Dtype::F64 => {
                data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect()
            }
            Dtype::I64 => {
                data.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f32).collect()
            }
            other => panic!("{name} is {other:?}"),
        };
        (name, TensorData::new(values, view.shape().to_vec()))
    });
    tensors.collect()
}

pub(crate) fn base(device: &Device) -> Bert {
    burn_bert::load(&path("base"), device).unwrap()
}

/// Token ids and their companions, named with a prefix (`step0.` or none).
pub(crate) fn input(tensors: &Tensors, prefix: &str, device: &Device) -> BertInput {
    let get = |name: &str| {
        Tensor::<2>::from_data(tensors[&format!("{prefix}{name}")].clone(), device).int()
    };
    BertInput {
        input_ids: get("input_ids"),
        token_type_ids: get("token_type_ids"),
        attention_mask: get("attention_mask").equal_scalar(1),
    }
}

pub(crate) fn labels(tensors: &Tensors, prefix: &str, device: &Device) -> Tensor<1, Int> {
    Tensor::<1>::from_data(tensors[&format!("{prefix}labels")].clone(), device).int()
}

/// A task of 3 classes on the paper's pooler, without dropout.
pub(crate) fn config(plan: AdapterPlan) -> TaskAdapterConfig {
    TaskAdapterConfig::new(plan, HeadKind::unnamed(3)).with_head_dropout(0.0).with_seed(1)
}

pub(crate) fn adapted(bert: Bert, config: &TaskAdapterConfig) -> AdaptedBert {
    let task = config.init(&bert).unwrap();
    AdaptedBert::new(bert, task).unwrap()
}

/// The model the training fixtures start from: `houlsby` (nothing of BERT tuned), `houlsby_ln` (its norms), or `full`;
/// adapters of width 8 with the error function's GELU.
pub(crate) fn training_start(tuned: TrainableBase, device: &Device) -> AdaptedBert {
    let mut plan = Method::Houlsby.plan(8);
    plan.bottleneck.as_mut().unwrap().activation = Activation::Gelu;
    if tuned == TrainableBase::Everything {
        plan.bottleneck = None;
    }
    plan.trainable_base = tuned;
    let model = adapted(base(device), &config(plan));
    // All three start from the same numbers.
    let start = read(path("train/houlsby.init.safetensors"));
    let tensors = model.trainable_parameters().into_iter().map(|parameter| {
        let data = from_torch(&parameter.path, &start[&hub_name(&parameter.path, "t")]);
        (parameter.path, data)
    });
    let tensors = tensors.collect();
    with_tensors(model, tensors)
}

/// The name that a parameter of an [`AdaptedBert`] has in `AdapterHub` for the adapter `adapter`.
pub(crate) fn hub_name(path: &str, adapter: &str) -> String {
    let name = if let Some(rest) = path.strip_prefix("task.layers.") {
        let rest =
            rest.replace(".attention.", ".attention.output.").replace(".feed_forward.", ".output.");
        let bottleneck = format!("adapters.{adapter}.adapter_");
        let rest = rest
            .replace("bottleneck.", &bottleneck)
            .replace("_down.", "_down.0.")
            .replace(".norm.", ".LayerNorm.");
        format!("bert.encoder.layer.{rest}")
    } else if let Some(rest) = path.strip_prefix("task.embeddings_norm.") {
        format!("bert.embeddings.LayerNorm.{rest}")
    } else {
        path.replace("task.head.linear.", "classifier.")
            .replace(".layer_norm.", ".LayerNorm.")
            .replace("attention.self_attention.", "attention.self.")
    };
    name.replace(".gamma", ".weight").replace(".beta", ".bias")
}

/// A tensor of `PyTorch` in Burn's layout: the matrices of linear layers are transposed.
pub(crate) fn from_torch(path: &str, data: &TensorData) -> TensorData {
    let is_matrix =
        data.shape().len() == 2 && path.ends_with(".weight") && !path.contains("_embeddings.");
    if !is_matrix {
        return data.clone();
    }
    Tensor::<2>::from_data(data.clone(), &Device::flex()).transpose().into_data()
}

/// The model with the tensors that `named` has, by their paths; it must use all of them.
pub(crate) fn with_tensors<M: Module>(model: M, named: Tensors) -> M {
    struct Writer(Vec<String>, Tensors);

    impl ModuleMapper for Writer {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.0.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            match self.1.remove(&self.0.join(".")) {
                None => param,
                Some(data) => {
                    assert_eq!(
                        data.shape().to_vec(),
                        param.lazy_shape().to_vec(),
                        "{}",
                        self.0.join(".")
                    );
                    let (id, tensor) = (param.id, Tensor::from_data(data, &param.lazy_device()));
                    param.transform_for_load(tensor, id)
                }
            }
        }
    }

    let mut writer = Writer(Vec::new(), named);
    let model = model.map(&mut writer);
    assert!(writer.1.is_empty(), "no parameter for {:?}", writer.1.keys());
    model
}

/// Every parameter of a module by its path, bit for bit.
pub(crate) fn all_tensors(module: &impl Module) -> Tensors {
    struct Reader(Vec<String>, Tensors);

    impl ModuleVisitor for Reader {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.0.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.insert(self.0.join("."), param.val().into_data());
        }
    }

    let mut reader = Reader(Vec::new(), Tensors::new());
    module.visit(&mut reader);
    reader.1
}

/// The gradient of every parameter that has one, by its path.
pub(crate) fn gradients_by_path(module: &impl Module, gradients: &GradientsParams) -> Tensors {
    struct Reader<'a>(Vec<String>, Tensors, &'a GradientsParams);

    impl ModuleVisitor for Reader<'_> {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.0.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.2.get::<D>(param.id) {
                self.1.insert(self.0.join("."), gradient.into_data());
            }
        }
    }

    let mut reader = Reader(Vec::new(), Tensors::new(), gradients);
    module.visit(&mut reader);
    reader.1
}

/// The model with every trained number moved a little, so that nothing that starts at 0 or 1 stays there.
pub(crate) fn with_noise(model: AdaptedBert) -> AdaptedBert {
    let tensors = all_tensors(&model).into_iter().filter(|(path, _)| model.trains(path));
    let tensors = tensors.map(|(path, data)| {
        let moved = data.iter::<f32>().enumerate().map(|(i, x)| x + 0.1 * (i as f32).sin());
        let values: Vec<f32> = moved.collect();
        (path, TensorData::new(values, data.shape().clone()))
    });
    let tensors = tensors.collect();
    with_tensors(model, tensors)
}

/// The largest difference of two tensors of one shape.
pub(crate) fn max_abs_difference(found: &TensorData, expected: &TensorData) -> f32 {
    assert_eq!(found.shape(), expected.shape());
    found.iter::<f32>().zip(expected.iter::<f32>()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The largest magnitude in a tensor.
pub(crate) fn max_abs(data: &TensorData) -> f32 {
    data.iter::<f32>().map(f32::abs).fold(0.0, f32::max)
}
