//! The weights of several tasks as one tensor, from which each row of a batch gathers its own.
//! A task without a weight, and the slot after the last task, have an identity in its place.

use burn::tensor::{Int, Tensor};
use burn_fused::{LayerNorm, ResidualInputs};

/// A linear layer for each task, padded with zeros to the widest.
#[derive(Debug)]
pub(super) struct Matrices {
    /// `[tasks + 1, d_input, d_output]`
    weight: Tensor<3>,
    /// `[tasks + 1, 1, d_output]`, if any task has one.
    bias: Option<Tensor<3>>,
}

impl Matrices {
    /// The layers of tasks, weights `[d_input, d_output]` and biases `[d_output]`; `None` if no task has one.
    pub(super) fn new(
        layers: impl Iterator<Item = Option<(Tensor<2>, Option<Tensor<1>>)>>,
    ) -> Option<Self> {
        let layers: Vec<_> = layers.collect();
        let present = || layers.iter().flatten();
        let widest = |axis: usize| present().map(|(weight, _)| weight.dims()[axis]).max();
        let shape = [widest(0)?, widest(1)?];
        let device = present().next()?.0.device();
        let dtype = present().next()?.0.dtype();
        let zeros = || Tensor::<2>::zeros(shape, (&device, dtype));
        let zero_bias = || Tensor::<2>::zeros([1, shape[1]], (&device, dtype));
        let weights = layers.iter().map(|layer| match layer {
            Some((weight, _)) => {
                let [rows, columns] = weight.dims();
                zeros().slice_assign([0..rows, 0..columns], weight.clone())
            }
            None => zeros(),
        });
        let weights = weights.chain([zeros()]).collect();
        let biased = present().any(|(_, bias)| bias.is_some());
        let all_biases = layers.iter().map(|layer| match layer {
            Some((_, Some(bias))) => {
                let [columns] = bias.dims();
                zero_bias().slice_assign([0..1, 0..columns], bias.clone().unsqueeze())
            }
            _ => zero_bias(),
        });
        let all_biases = all_biases.chain([zero_bias()]).collect();
        Some(Self {
            weight: Tensor::stack(weights, 0),
            bias: biased.then(|| Tensor::stack(all_biases, 0)),
        })
    }

    /// Applies the layer of each row's task.
    ///
    /// # Shapes
    /// - x: `[batch, sequence, d_input]`
    /// - index: `[batch]`
    /// - result: `[batch, sequence, d_output]`
    pub(super) fn forward(&self, x: Tensor<3>, index: &Tensor<1, Int>) -> Tensor<3> {
        let product = x.matmul(self.weight.clone().select(0, index.clone()));
        match &self.bias {
            Some(bias) => product + bias.clone().select(0, index.clone()),
            None => product,
        }
    }
}

/// One factor for each channel and task.
#[derive(Debug)]
pub(super) struct Vectors {
    /// `[tasks + 1, 1, channels]`
    factors: Tensor<3>,
}

impl Vectors {
    /// The factors of tasks, `[channels]` each; `None` if no task has one.
    pub(super) fn new(factors: impl Iterator<Item = Option<Tensor<1>>>) -> Option<Self> {
        let factors: Vec<_> = factors.collect();
        let one = factors.iter().flatten().next()?.ones_like();
        let factors = factors.into_iter().map(|factors| factors.unwrap_or_else(|| one.clone()));
        let factors = factors.chain([one.clone()]).map(Tensor::unsqueeze::<2>);
        Some(Self { factors: Tensor::stack(factors.collect(), 0) })
    }

    /// The factors of each row's task.
    ///
    /// # Shapes
    /// - index: `[batch]`
    /// - result: `[batch, 1, channels]`
    pub(super) fn rows(&self, index: &Tensor<1, Int>) -> Tensor<3> {
        self.factors.clone().select(0, index.clone())
    }
}

/// The norms of tasks at a site: one normalization, which each row scales and shifts by its own γ and β.
#[derive(Debug)]
pub(super) struct Norms {
    /// Scales by 1 and shifts by 0.
    unit: LayerNorm,
    gamma: Vectors,
    beta: Vectors,
}

impl Norms {
    /// The norms of tasks, with the base's for those that have none; `None` if none has one, or the base has none there.
    pub(super) fn new<'a>(
        norms: impl Iterator<Item = Option<&'a LayerNorm>>,
        base: Option<&'a LayerNorm>,
    ) -> Option<Self> {
        let base = base?;
        let norms: Vec<_> = norms.collect();
        if norms.iter().all(Option::is_none) {
            return None;
        }
        let of_all = |of: fn(&LayerNorm) -> Tensor<1>| {
            let slots = norms.iter().map(|norm| norm.unwrap_or(base)).chain([base]);
            let values: Vec<_> = slots.map(|norm| of(norm).unsqueeze::<2>()).collect();
            Vectors { factors: Tensor::stack(values, 0) }
        };
        Some(Self {
            unit: LayerNorm::new(base.gamma.dims()[0], base.epsilon, &base.gamma.device()),
            gamma: of_all(|norm| norm.gamma.val()),
            beta: of_all(LayerNorm::beta_or_zeros),
        })
    }

    /// # Shapes
    /// - inputs, result: `[batch, sequence, d_model]`
    /// - index: `[batch]`
    pub(super) fn forward(
        &self,
        inputs: impl Into<ResidualInputs>,
        index: &Tensor<1, Int>,
    ) -> Tensor<3> {
        self.unit.forward(inputs) * self.gamma.rows(index) + self.beta.rows(index)
    }
}
