//! Loss and gradients of one step equal `PyTorch`'s.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use burn_adapters::{Tuned, classification_loss};

use crate::fixtures::{
    Tensors, from_torch, hub_name, input, labels, max_abs, max_abs_difference, path, read,
    training_start,
};

/// Relative to the largest entry of each gradient.
const TOLERANCE: f32 = 1e-4;
/// The gradient of a key's bias is 0 in exact arithmetic (softmax does not see a shift); what both sides have there
/// is rounding.
const ROUNDING: f32 = 1e-7;

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

fn check_gradients(kind: &str, tuned: Tuned) {
    let device = Device::flex().autodiff();
    let model = training_start(tuned, &device);
    let batches = read(path("train/batches.safetensors"));
    let golden = read(path(&format!("train/{kind}.grads_step0.safetensors")));
    let logits = model.forward(&input(&batches, "step0.", &device));
    let loss = classification_loss(logits, labels(&batches, "step0.", &device));
    let difference =
        max_abs_difference(&loss.to_data(), &golden["loss.f64"]) / max_abs(&golden["loss.f64"]);
    println!("{kind} loss: {difference:e}");
    assert!(difference <= TOLERANCE, "{kind} loss: {difference:e}");

    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    let found = gradients_by_path(&model, &gradients);
    let expected = golden
        .keys()
        .filter(|name| name.starts_with("grad.") && name.strip_suffix(".f64").is_none())
        .count();
    assert_eq!(found.len(), expected, "{kind}");
    let mut worst = (0.0, String::new());
    for (path, gradient) in found {
        let name = format!("grad.{}", hub_name(&path, "t"));
        let expected = golden.get(&format!("{name}.f64")).unwrap_or_else(|| &golden[&name]);
        let expected = from_torch(&path, expected);
        let difference = max_abs_difference(&gradient, &expected);
        if path.ends_with(".key.bias") {
            assert!(difference <= ROUNDING, "{kind} {path}: {difference:e}");
            continue;
        }
        let relative = difference / max_abs(&expected);
        assert!(relative <= TOLERANCE, "{kind} {path}: {relative:e} of {:e}", max_abs(&expected));
        if relative > worst.0 {
            worst = (relative, path);
        }
    }
    println!("{kind} gradients: {worst:?}");
}

#[test]
fn adapters_and_head_get_the_gradients_of_pytorch() {
    check_gradients("houlsby", Tuned::Nothing);
}

#[test]
fn adapters_norms_and_head_get_the_gradients_of_pytorch() {
    check_gradients("houlsby_ln", Tuned::LayerNorms);
}

#[test]
fn the_whole_model_gets_the_gradients_of_pytorch() {
    check_gradients("full", Tuned::Everything);
}
