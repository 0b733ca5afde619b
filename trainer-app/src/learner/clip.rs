//! Gradient clipping by the global norm of all gradients, which keeps their direction.
//! Burn's `GradientClipping::Norm` clips each tensor by itself.

use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn_fused::sum_of_squares;

use super::step::TrainableModel;

/// Scales all gradients of a module down so that their global norm is at most `max_norm`, and returns the norm they
/// had before.
///
/// Gradients within the norm are returned unchanged, and so are gradients whose norm is not finite.
pub fn clip_to_global_norm<M: Module>(
    module: &M,
    gradients: GradientsParams,
    max_norm: f64,
) -> (GradientsParams, f64) {
    let norm = global_norm(module, &gradients);
    if norm.is_finite() && norm > max_norm {
        (scale(module, gradients, max_norm / norm), norm)
    } else {
        (gradients, norm)
    }
}

/// The norm of all gradients of a module as one vector; 0 if there are none.
pub fn global_norm<M: Module>(module: &M, gradients: &GradientsParams) -> f64 {
    struct Squares<'a> {
        gradients: &'a GradientsParams,
        sums: Vec<Tensor<1>>,
    }

    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(param.id) {
                self.sums.push(sum_of_squares(gradient));
            }
        }
    }

    let mut squares = Squares { gradients, sums: Vec::new() };
    module.visit(&mut squares);
    if squares.sums.is_empty() {
        return 0.0;
    }
    // One value is read from the device, not one per tensor.
    let sum: f64 = Tensor::cat(squares.sums, 0).sum().into_scalar();
    sum.sqrt()
}

/// Multiplies all gradients of a module by a factor.
pub fn scale<M: Module>(module: &M, gradients: GradientsParams, factor: f64) -> GradientsParams {
    struct Scale {
        gradients: GradientsParams,
        factor: f64,
    }

    impl ModuleVisitor for Scale {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let id: ParamId = param.id;
            if let Some(gradient) = self.gradients.remove::<D>(id) {
                self.gradients.register(id, gradient * self.factor);
            }
        }
    }

    let mut scale = Scale { gradients, factor };
    module.visit(&mut scale);
    scale.gradients
}

/// The sum of the absolute values of all trainable parameters: not finite if one of them is not.
pub fn sum_of_trainable(trainable: &TrainableModel) -> f64 {
    struct Sums {
        group: ParamGroup,
        sums: Vec<Tensor<1>>,
    }

    impl ModuleVisitor for Sums {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.group.matches(&param.id, None) {
                self.sums.push(param.val().inner().abs().sum());
            }
        }
    }

    let mut sums = Sums { group: trainable.model.saved_group(), sums: Vec::new() };
    trainable.visit(&mut sums);
    if sums.sums.is_empty() { 0.0 } else { Tensor::cat(sums.sums, 0).sum().into_scalar() }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    use super::*;

    /// Gradients with the norm 5: the weight's is 3 at one place, the bias's 4.
    fn module_and_gradients() -> (Linear, GradientsParams) {
        let device = Device::flex();
        let module = LinearConfig::new(2, 1).init(&device.clone().autodiff());
        let mut gradients = GradientsParams::new();
        gradients.register(module.weight.id, Tensor::<2>::from_data([[3.0], [0.0]], &device));
        gradients
            .register(module.bias.as_ref().unwrap().id, Tensor::<1>::from_data([-4.0], &device));
        (module, gradients)
    }

    fn values(module: &Linear, gradients: &GradientsParams) -> Vec<f32> {
        let weight = gradients.get::<2>(module.weight.id).unwrap().into_data();
        let bias = gradients.get::<1>(module.bias.as_ref().unwrap().id).unwrap().into_data();
        weight.iter::<f32>().chain(bias.iter::<f32>()).collect()
    }

    #[test]
    fn all_gradients_shrink_by_the_same_factor() {
        let (module, gradients) = module_and_gradients();
        let (clipped, norm) = clip_to_global_norm(&module, gradients, 1.0);
        assert!((norm - 5.0).abs() < 1e-6);
        for (found, expected) in values(&module, &clipped).into_iter().zip([0.6, 0.0, -0.8]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        assert!((global_norm(&module, &clipped) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn gradients_within_the_norm_stay() {
        let (module, gradients) = module_and_gradients();
        let before = values(&module, &gradients);
        let (clipped, _) = clip_to_global_norm(&module, gradients, 5.5);
        assert_eq!(values(&module, &clipped), before);
    }

    #[test]
    fn a_norm_that_is_not_finite_is_told_and_scales_nothing() {
        let (module, mut gradients) = module_and_gradients();
        gradients.register(
            module.weight.id,
            Tensor::<2>::from_data([[f32::NAN], [0.0]], &Device::flex()),
        );
        let (clipped, norm) = clip_to_global_norm(&module, gradients, 1.0);
        assert!(norm.is_nan());
        assert!((values(&module, &clipped)[2] - -4.0).abs() < f32::EPSILON);
    }

    #[test]
    fn no_gradients_have_the_norm_zero() {
        let (module, _) = module_and_gradients();
        assert!(global_norm(&module, &GradientsParams::new()).abs() < f64::EPSILON);
    }
}
