//! A task's own `LayerNorm`: initially a copy of the base's, it trains while the base's stays frozen.
//!
//! Houlsby et al. 2019, section 2.1, last paragraph.

use burn::module::Param;
use burn_fused::LayerNorm;

/// A trainable copy of a base's norm, with the same values and ε.
///
/// The copy has parameter ids of its own. Burn's `clone` keeps them, and optimizers work by id, so that they would update
/// the base's norm with the copy.
pub fn task_norm(base: &LayerNorm) -> LayerNorm {
    let mut norm = base.clone();
    norm.gamma = Param::from_tensor(base.gamma.val().detach());
    norm.beta = base.beta.as_ref().map(|beta| Param::from_tensor(beta.val().detach()));
    norm
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::optim::{GradientsParams, SgdConfig};
    use burn::tensor::{Device, Tensor};

    use super::*;

    #[test]
    fn training_the_copy_leaves_the_base_alone() {
        let device = Device::flex().autodiff();
        let base = LayerNorm::new(4, 1e-12, &device).no_grad();
        let task = task_norm(&base);
        assert_ne!(base.gamma.id, task.gamma.id);

        let x = Tensor::<3>::from_data([[[1.0, 2.0, 3.0, 5.0]]], &device);
        let gradients = (task.forward(x.clone()) * base.forward(x)).sum().backward();
        let pair = (base, task);
        let gradients = GradientsParams::from_grads(gradients, &pair);
        assert_eq!(gradients.len(), 2);

        let (base, task) = SgdConfig::new().init().step(0.1, pair, gradients);
        assert_eq!(base.gamma.val().into_data().try_to_vec::<f32>().unwrap(), [1.0; 4]);
        assert_ne!(task.gamma.val().into_data().try_to_vec::<f32>().unwrap(), [1.0; 4]);
        assert!(!base.gamma.val().is_require_grad());
        assert!(task.gamma.val().is_require_grad());
    }

    #[test]
    fn a_copy_made_without_autodiff_trains_later() {
        let base = LayerNorm::new(4, 1e-12, &Device::flex()).no_grad();
        let task = task_norm(&base).train();
        assert!(task.gamma.val().is_require_grad());
        assert!(!base.train().gamma.val().is_require_grad());
    }
}
