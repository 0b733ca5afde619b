//! Prefixes: keys and values that every token of a layer attends to, and that no mask hides.
//! They are trained as they are, or come out of a small network whose first half all layers share.
//!
//! Li and Liang 2021, *Prefix-Tuning*, sections 4.2 and 4.3, as `AdapterHub` has it,
//! <https://github.com/adapter-hub/adapters/blob/v1.3.0/src/adapters/methods/prefix_tuning.py>.
//! Its two tensors for all layers are cut up here, one part for each layer: the last axis of `AdapterHub`'s flat vector
//! `[length, 2 · layers, heads, d_head]` and of its network's result holds, for the `i`th layer with a prefix, its keys
//! at `2i` and its values at `2i + 1`.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear};
use burn::tensor::{Device, Tensor};
use burn_bert::Prefix;
use burn_fused::linear;
use serde::{Deserialize, Serialize};

use crate::error::AdapterError;
use crate::gate::{gate, gate_layer};
use crate::init::NamedRng;
use crate::layers::Layers;

/// Prefixes in some layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefixPlan {
    /// The layers they stand in.
    pub layers: Layers,
    /// How many keys and values, 1 or more.
    pub length: usize,
    /// Width of the network that makes them; without one they train as they are.
    pub reparameterization: Option<usize>,
    /// How a text weighs them.
    #[serde(default, skip_serializing_if = "PrefixGate::is_default")]
    pub gate: PrefixGate,
}

/// Gates of a layer's prefix.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrefixGate {
    /// None.
    #[default]
    None,
    /// One for keys and values.
    Shared,
    /// One for the keys and one for the values.
    Separate,
}

impl PrefixGate {
    /// How many numbers a text's gates are.
    pub fn gates(self) -> usize {
        match self {
            Self::None => 0,
            Self::Shared => 1,
            Self::Separate => 2,
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl PrefixPlan {
    /// Prefixes in every layer, without gates.
    pub fn new(length: usize, reparameterization: Option<usize>) -> Self {
        Self { layers: Layers::All, length, reparameterization, gate: PrefixGate::None }
    }

    pub(crate) fn config(&self, d_model: usize) -> PrefixConfig {
        PrefixConfig::new(d_model, self.length)
            .with_width(self.reparameterization)
            .with_gates(self.gate.gates())
    }

    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        if self.length == 0 {
            return Err(AdapterError::Zero { what: "the length of the prefixes" });
        }
        if self.reparameterization == Some(0) {
            return Err(AdapterError::Zero { what: "the width of the prefixes' network" });
        }
        Ok(())
    }
}

/// Configuration of a [`LayerPrefix`], and of the [`PrefixSource`] that those of all layers share.
#[derive(Config, Debug)]
pub struct PrefixConfig {
    /// Width of keys and values, all heads together.
    pub d_model: usize,
    /// How many keys and values, at least 1.
    pub length: usize,
    /// Width of the network that makes them, if there is one.
    pub width: Option<usize>,
    /// Gates of a layer, 0 to 2.
    #[config(default = 0)]
    pub gates: usize,
}

/// The first half of the network that makes prefixes: `tanh(W e + b)` of one embedding for each position.
#[derive(Module, Debug)]
pub struct PrefixSource {
    /// `[length, d_model]`; `wte` at `AdapterHub`.
    pub embedding: Param<Tensor<2>>,
    /// `[d_model, width]`; `control_trans.0` at `AdapterHub`.
    pub down: Linear,
}

/// A layer's own part: its prefix itself, or the second half of the network that makes it.
#[derive(Module, Debug)]
pub struct LayerPrefix {
    /// `[length, 2 · d_model]`, keys before values, where there is no network.
    pub flat: Option<Param<Tensor<2>>>,
    /// `[width, 2 · d_model]`, keys before values, where there is a network; a part of `control_trans.2` at
    /// `AdapterHub`.
    pub up: Option<Linear>,
    /// `[d_model, gates]`, if there are gates.
    pub gate: Option<Linear>,
}

impl PrefixConfig {
    /// What all layers share, if there is a network.
    ///
    /// The embeddings start as `AdapterHub`'s, around 0 with deviation 1, cut at two; the matrix as a linear layer of
    /// `PyTorch`'s, with a bias of 0.
    pub fn init_source(&self, stream: &NamedRng, device: &Device) -> Option<PrefixSource> {
        self.width.map(|width| PrefixSource {
            embedding: stream.child("embedding").truncated_normal(
                [self.length, self.d_model],
                1.0,
                device,
            ),
            down: linear_layer([self.d_model, width], &stream.child("down"), device),
        })
    }

    /// A layer's own part; a flat prefix starts as the embeddings do.
    pub fn init(&self, stream: &NamedRng, device: &Device) -> LayerPrefix {
        let flat = || {
            let shape = [self.length, 2 * self.d_model];
            stream.child("flat").truncated_normal(shape, 1.0, device)
        };
        let up = |width| linear_layer([width, 2 * self.d_model], &stream.child("up"), device);
        LayerPrefix {
            flat: self.width.is_none().then(flat),
            up: self.width.map(up),
            gate: (self.gates > 0)
                .then(|| gate_layer(self.d_model, self.gates, &stream.child("gate"), device)),
        }
    }
}

fn linear_layer(shape: [usize; 2], stream: &NamedRng, device: &Device) -> Linear {
    let bound = 1.0 / (shape[0] as f64).sqrt();
    Linear {
        weight: stream.uniform(shape, bound, device),
        bias: Some(Initializer::Zeros.init([shape[1]], device)),
    }
}

impl PrefixSource {
    /// # Shapes
    /// - result: `[1, length, width]`
    fn forward(&self) -> Tensor<3> {
        linear(self.embedding.val().unsqueeze(), &self.down).tanh()
    }
}

impl LayerPrefix {
    /// The layer's keys and values; `hidden` is what the layer reads, and `source` what all layers share.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    ///
    /// # Panics
    /// If the prefix is made by a network and `source` is missing.
    pub fn forward(&self, hidden: &Tensor<3>, source: Option<&PrefixSource>) -> Prefix {
        let [batch, _, d_model] = hidden.dims();
        let both = match (&self.flat, &self.up) {
            (Some(flat), _) => flat.val().unsqueeze(),
            (None, up) => {
                let network = source.zip(up.as_ref());
                let (source, up) = network.expect("a prefix is flat or has both halves");
                linear(source.forward(), up)
            }
        }; // [1, length, 2 · d_model]
        let [_, length, _] = both.dims();
        let both = both.expand([batch, length, 2 * d_model]);
        let (keys, values) = (both.clone().narrow(2, 0, d_model), both.narrow(2, d_model, d_model));
        let Some(layer) = &self.gate else {
            return Prefix { keys, values };
        };
        let gates = gate(hidden.clone(), layer); // [batch, 1, gates]
        let last = gates.dims()[2] - 1;
        Prefix {
            keys: keys * gates.clone().narrow(2, 0, 1),
            values: values * gates.narrow(2, last, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_and_a_table_that_hold_the_same_give_the_same() {
        let device = Device::flex();
        let (config, stream) = (PrefixConfig::new(6, 3).with_width(Some(4)), NamedRng::new(5));
        let source = config.init_source(&stream, &device).unwrap();
        let network = config.init(&stream, &device);
        let hidden = Tensor::<3>::ones([2, 5, 6], &device);
        let made = network.forward(&hidden, Some(&source));
        assert_eq!((made.keys.dims(), made.values.dims()), ([2, 3, 6], [2, 3, 6]));

        let both = Tensor::cat(vec![made.keys.clone(), made.values.clone()], 2);
        let flat = LayerPrefix {
            flat: Some(Param::from_tensor(both.narrow(0, 0, 1).squeeze_dim::<2>(0))),
            up: None,
            gate: None,
        };
        let given = flat.forward(&hidden, None);
        assert_eq!(given.keys.into_data(), made.keys.into_data());
        assert_eq!(given.values.into_data(), made.values.into_data());
    }

    #[test]
    fn parameters_are_counted_by_formula() {
        let device = Device::flex();
        let (d_model, length, width) = (6, 3, 4);
        let flat = PrefixConfig::new(d_model, length);
        let stream = NamedRng::new(0);
        assert!(flat.init_source(&stream, &device).is_none());
        assert_eq!(flat.init(&stream, &device).num_params(), length * 2 * d_model);
        let network = flat.with_width(Some(width)).with_gates(2);
        let source = network.init_source(&stream, &device).unwrap();
        assert_eq!(source.num_params(), length * d_model + (d_model + 1) * width);
        let layer = network.init(&stream, &device);
        assert_eq!(layer.num_params(), (width + 1) * 2 * d_model + 2 * (d_model + 1));
    }
}
