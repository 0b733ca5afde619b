//! Prefixes: keys and values that every token of a layer attends to and that no mask hides.
//! They are parameters themselves, or the output of a small network whose first half all layers share.
//!
//! Li and Liang 2021, *Prefix-Tuning*, sections 4.2 and 4.3, as `AdapterHub` implements it,
//! <https://github.com/adapter-hub/adapters/blob/v1.3.0/src/adapters/methods/prefix_tuning.py>.
//! Its two tensors for all layers are split here, one part for each layer: the last axis of `AdapterHub`'s flat vector
//! `[length, 2 · layers, heads, d_head]` and of its network's output holds, for the `i`th layer with a prefix, the keys
//! at `2i` and the values at `2i + 1`.

mod config;

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear};
use burn::tensor::{Device, Tensor};
use burn_bert::Prefix;
use burn_fused::linear;

pub use self::config::{PrefixConfig, PrefixGate};
use super::gate::{gate, gate_layer};
use crate::named_rng::NamedRng;

/// The first half of the network that generates prefixes: `tanh(W e + b)` of one embedding for each position.
#[derive(Module, Debug)]
pub struct PrefixSource {
    /// `[length, d_model]`; `wte` at `AdapterHub`.
    pub embedding: Param<Tensor<2>>,
    /// `[d_model, width]`; `control_trans.0` at `AdapterHub`.
    pub down: Linear,
}

/// A layer's own part: its prefix itself, or the second half of the network that generates it.
#[derive(Module, Debug)]
pub struct LayerPrefix {
    /// `[length, 2 · d_model]`, keys before values, without a network.
    pub flat: Option<Param<Tensor<2>>>,
    /// `[width, 2 · d_model]`, keys before values, with a network; a part of `control_trans.2` at
    /// `AdapterHub`.
    pub up: Option<Linear>,
    /// `[d_model, gates]`
    pub gate: Option<Linear>,
}

impl PrefixConfig {
    /// The part of the network that all layers share, if there is a network.
    ///
    /// The embeddings start as `AdapterHub`'s, around 0 with deviation 1, truncated at two; the matrix starts
    /// as a linear layer of `PyTorch`'s, with a bias of 0.
    pub fn init_source(
        &self,
        d_model: usize,
        rng: &NamedRng,
        device: &Device,
    ) -> Option<PrefixSource> {
        self.reparameterization.map(|width| PrefixSource {
            embedding: rng.child("embedding").truncated_normal([self.length, d_model], 1.0, device),
            down: linear_layer([d_model, width], &rng.child("down"), device),
        })
    }

    /// A layer's own part; a flat prefix starts as the embeddings do.
    pub fn init(&self, d_model: usize, rng: &NamedRng, device: &Device) -> LayerPrefix {
        let flat = || {
            let shape = [self.length, 2 * d_model];
            rng.child("flat").truncated_normal(shape, 1.0, device)
        };
        let up = |width| linear_layer([width, 2 * d_model], &rng.child("up"), device);
        LayerPrefix {
            flat: self.reparameterization.is_none().then(flat),
            up: self.reparameterization.map(up),
            gate: (self.gate != PrefixGate::None)
                .then(|| gate_layer(d_model, self.gate.gates(), &rng.child("gate"), device)),
        }
    }
}

fn linear_layer(shape: [usize; 2], rng: &NamedRng, device: &Device) -> Linear {
    let bound = 1.0 / (shape[0] as f64).sqrt();
    Linear {
        weight: rng.uniform(shape, bound, device),
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
    /// The layer's keys and values; `hidden` is the layer's input, and `source` the part that all layers share.
    ///
    /// # Shapes
    /// - hidden: `[batch, sequence, d_model]`
    ///
    /// # Panics
    /// If a network generates the prefix and `source` is missing.
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
        let (config, rng) = (PrefixConfig::new(3, Some(4)), NamedRng::new(5));
        let source = config.init_source(6, &rng, &device).unwrap();
        let network = config.init(6, &rng, &device);
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
        let flat = PrefixConfig::new(length, None);
        let rng = NamedRng::new(0);
        assert!(flat.init_source(d_model, &rng, &device).is_none());
        assert_eq!(flat.init(d_model, &rng, &device).num_params(), length * 2 * d_model);
        let network =
            PrefixConfig { gate: PrefixGate::Separate, ..PrefixConfig::new(length, Some(width)) };
        let source = network.init_source(d_model, &rng, &device).unwrap();
        assert_eq!(source.num_params(), length * d_model + (d_model + 1) * width);
        let layer = network.init(d_model, &rng, &device);
        assert_eq!(layer.num_params(), (width + 1) * 2 * d_model + 2 * (d_model + 1));
    }
}
