//! Random initial weights from a seed and the matrix's name.
//! The device's own random generator is not used, so that dropout and initialization do not affect each other.

use std::fmt::Display;

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// A source of random weights with a name.
///
/// Each name has its own random stream, which depends only on the seed and the name: adding, removing or resizing an
/// adapter elsewhere does not change it, and every device gets the same numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRng {
    seed: u64,
    path: String,
}

impl NamedRng {
    /// The root of a seed; [`child`](Self::child) names its parts.
    pub fn new(seed: u64) -> Self {
        Self { seed, path: String::new() }
    }

    /// The source of a part of this one.
    #[must_use]
    pub fn child(&self, name: impl Display) -> Self {
        Self { seed: self.seed, path: format!("{}/{name}", self.path) }
    }

    /// A trainable parameter from a normal distribution around 0, truncated at two standard deviations: values outside
    /// are drawn again, as in TensorFlow's `truncated_normal_initializer`.
    ///
    /// The values are drawn when the parameter is first read, so that loading a file does not draw them.
    pub fn truncated_normal<const D: usize>(
        &self,
        shape: [usize; D],
        std: f64,
        device: &Device,
    ) -> Param<Tensor<D>> {
        let rng = self.clone();
        parameter(shape, device, move |count| rng.draw(count, std))
    }

    /// A trainable parameter, uniform in `-bound..bound`, drawn when it is first read.
    pub fn uniform<const D: usize>(
        &self,
        shape: [usize; D],
        bound: f64,
        device: &Device,
    ) -> Param<Tensor<D>> {
        let rng = self.clone();
        parameter(shape, device, move |count| {
            let mut rng = rng.generator();
            (0..count).map(|_| single(bound * (2.0 * rng.random::<f64>() - 1.0))).collect()
        })
    }

    fn draw(&self, count: usize, std: f64) -> Vec<f32> {
        let mut rng = self.generator();
        (0..count).map(|_| single(standard_normal_within_two(&mut rng) * std)).collect()
    }

    fn generator(&self) -> ChaCha8Rng {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update(self.path.as_bytes());
        ChaCha8Rng::from_seed(hash.finalize().into())
    }
}

fn parameter<const D: usize>(
    shape: [usize; D],
    device: &Device,
    draw: impl FnOnce(usize) -> Vec<f32> + Send + Sync + 'static,
) -> Param<Tensor<D>> {
    Param::uninitialized(
        ParamId::new(),
        move |device, require_grad| {
            let values = draw(shape.iter().product());
            let tensor = Tensor::from_data(TensorData::new(values, shape), device);
            tensor.set_require_grad(require_grad)
        },
        device.clone(),
        true,
        shape.into(),
    )
}

fn standard_normal_within_two(rng: &mut ChaCha8Rng) -> f64 {
    loop {
        // Box-Muller; `1 - u` keeps the logarithm away from 0.
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * rng.random::<f64>()).cos();
        if normal.abs() <= 2.0 {
            return normal;
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "weights are drawn in double and stored in single precision"
)]
fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_the_seed_and_the_name_alone() {
        let down = NamedRng::new(7).child("layers.0").child("down");
        assert_eq!(down.draw(5, 1.0), down.clone().draw(5, 1.0));
        assert_eq!(down.draw(5, 1.0), down.draw(9, 1.0)[..5]);
        assert_ne!(
            down.draw(5, 1.0),
            NamedRng::new(8).child("layers.0").child("down").draw(5, 1.0)
        );
        assert_ne!(down.draw(5, 1.0), NamedRng::new(7).child("layers.0").child("up").draw(5, 1.0));
    }

    #[test]
    fn draws_are_cut_off_at_two_standard_deviations() {
        let draws = NamedRng::new(1).draw(100_000, 0.5);
        let count = draws.len() as f64;
        let mean = draws.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        let variance = draws.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
        assert!(draws.iter().all(|x| x.abs() <= 1.0));
        assert!(mean.abs() < 0.01, "{mean}");
        // A normal cut off at two deviations has the deviation 0.8796 of the whole one.
        assert!((variance.sqrt() / 0.5 - 0.8796).abs() < 0.005, "{variance}");
    }

    #[test]
    fn half_the_draws_beyond_one_deviation_stay() {
        // 31.7 % of a normal lies beyond one deviation, 4.55 % beyond two: 28.5 % of what is kept.
        let draws = NamedRng::new(2).draw(100_000, 1.0);
        let beyond = draws.iter().filter(|x| x.abs() > 1.0).count() as f64 / draws.len() as f64;
        assert!((beyond - 0.2848).abs() < 0.005, "{beyond}");
    }
}
