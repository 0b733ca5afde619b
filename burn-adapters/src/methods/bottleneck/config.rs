//! Where bottlenecks are inserted, what they read and how their output is added.
//!
//! In the formulas below, `x` is a sub-layer's input (the residual), `h` its output, `LN` the norm at the site, `A` a
//! bottleneck and `a` its output.
//! The options beyond the paper's are those of `AdapterHub`'s `BnConfig`, whose source defines their meaning,
//! <https://github.com/adapter-hub/adapters/blob/v1.3.0/src/adapters/methods/modeling.py>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::inner_norm::{INNER_NORM_EPSILON, InnerNorm};
use crate::methods::activation::Activation;
use crate::methods::error::PlanError;
use crate::methods::kind::KindConfig;
use crate::methods::layers::Layers;

/// The deepest bottleneck, so that no file can ask for more layers than fit into memory.
pub const MAX_DEPTH: usize = 64;

/// Configuration of the bottlenecks of a plan.
///
/// The fields from [`inner_norm`](Self::inner_norm) on are extensions: three that the paper tried (Houlsby et al. 2019,
/// section 3.6), then `AdapterHub`'s.
/// Files omit those that have their default, so that files written before a field existed look the same as new ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BottleneckConfig {
    /// The layers with bottlenecks.
    pub layers: Layers,
    /// The sites with bottlenecks in each of these layers.
    pub sites: Sites,
    /// The bottlenecks' input, and what their output is added to.
    pub placement: Placement,
    /// Width of the bottleneck, 1 or more.
    pub size: usize,
    /// Activation between the matrices.
    pub activation: Activation,
    /// Initial standard deviation of the matrices, above 0, before truncation at two deviations.
    pub init_std: f64,
    /// A norm on the input.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inner_norm: InnerNorm,
    /// ε of the inner norm if it is a `LayerNorm`, above 0; `AdapterHub`'s `ln_before` has 1e-5.
    #[serde(default = "inner_norm_epsilon", skip_serializing_if = "is_inner_norm_epsilon")]
    pub inner_norm_epsilon: f64,
    /// Number of layers of each bottleneck, from 1 to [`MAX_DEPTH`]: 1 is the matrices down and up, and each further
    /// layer a matrix of `size × size` between them.
    #[serde(default = "one_layer", skip_serializing_if = "is_one_layer")]
    pub depth: usize,
    /// How the output is combined with what it is added to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub combine: Combine,
    /// Widths of layers that differ from [`size`](Self::size).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sizes: BTreeMap<usize, usize>,
    /// A factor of the output, besides the one of [`Placement::Parallel`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub scaling: Scaling,
    /// Whether a gate scales the output for each text: the mean over its positions, padding included, of `σ(W z + b)`,
    /// where `z` is the bottleneck's input. The result thus depends on how much a text is padded.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gate: bool,
    /// What the output is added to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub skip: ResidualSource,
    /// The adapter's own norm on its output.
    #[serde(default, skip_serializing_if = "is_default")]
    pub outer_norm: OuterNorm,
    /// Whether the site's norm is applied to the sum.
    #[serde(default, rename = "closing", skip_serializing_if = "is_default")]
    pub final_norm: FinalNorm,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn inner_norm_epsilon() -> f64 {
    INNER_NORM_EPSILON
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_inner_norm_epsilon(epsilon: &f64) -> bool {
    (epsilon - INNER_NORM_EPSILON).abs() <= 0.0
}

fn one_layer() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one_layer(depth: &usize) -> bool {
    *depth == one_layer()
}

/// A choice of a layer's two sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sites {
    /// After attention and after the feed-forward, as Houlsby et al.
    Both,
    /// After attention only (Houlsby et al. 2019, section 3.6).
    Attention,
    /// After the feed-forward only, as Pfeiffer et al.
    FeedForward,
}

impl Sites {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Both, Self::Attention, Self::FeedForward];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Attention => "attention",
            Self::FeedForward => "feed-forward",
        }
    }

    /// Whether the site after attention is included.
    pub fn attention(self) -> bool {
        matches!(self, Self::Both | Self::Attention)
    }

    /// Whether the site after the feed-forward is included.
    pub fn feed_forward(self) -> bool {
        matches!(self, Self::Both | Self::FeedForward)
    }
}

/// The input of a bottleneck `A`, and how its output is added by default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// `LN(A(h) + h + x)`: Houlsby et al. 2019, figure 2.
    Serial,
    /// `LN(A(LN(h + x)) + h + x)`: Pfeiffer et al. 2021 as `AdapterHub` computes it, with the same norm twice.
    AfterNorm,
    /// `LN(scaling · A(x) + h + x)`: He et al. 2022.
    Parallel {
        /// The factor of the bottleneck's output.
        scaling: f64,
    },
}

/// A factor of a bottleneck's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// None.
    #[default]
    None,
    /// This number.
    Fixed(f64),
    /// One trainable number, initially 1.
    Learned,
    /// A trainable number for each of the `d_model` channels, initially 1.
    PerChannel,
}

/// What a bottleneck's output is added to: this replaces `h` in the formulas of [`Placement`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResidualSource {
    /// `h`: `AdapterHub`'s `residual_before_ln` of true.
    #[default]
    #[serde(rename = "made")]
    SublayerOutput,
    /// `h + x`, so that `x` is added twice with the final norm: `AdapterHub`'s `"post_add"`.
    Sum,
    /// The bottleneck's input: `AdapterHub`'s `residual_before_ln` of false.
    #[serde(rename = "read")]
    BottleneckInput,
}

/// Where the adapter's own norm is applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OuterNorm {
    /// Nowhere.
    #[default]
    None,
    /// To the output alone: `AdapterHub`'s `ln_after` without `adapter_residual_before_ln`.
    #[serde(rename = "answer")]
    Output,
    /// To the sum of output and skip connection: `AdapterHub`'s `ln_after` with `adapter_residual_before_ln`.
    Sum,
}

/// Whether the site's norm is applied to the sum `s` of a bottleneck's output and the skip connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinalNorm {
    /// The result is `LN(s + x)`, as in the formulas of [`Placement`].
    #[default]
    #[serde(rename = "norm")]
    Applied,
    /// The result is `s`: `AdapterHub`'s `original_ln_after` of false.
    #[serde(rename = "nothing")]
    Omitted,
}

/// How a bottleneck's output `a` (scaling included) is combined with `h`, or with what [`ResidualSource`] replaces it
/// by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Combine {
    /// `h + a`, as in the formulas of [`Placement`].
    #[default]
    Add,
    /// `h · (1 + a)`, element by element, in place of `h + a`.
    ///
    /// The 1 keeps a bottleneck near zero close to the identity, where the paper starts; `h · a` alone would start by
    /// erasing the sub-layer's output.
    /// Houlsby et al. 2019, section 3.6, tried a multiplicative interaction with parallel adapters and give no formula.
    Multiply,
}

impl Combine {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Add, Self::Multiply];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Multiply => "multiply",
        }
    }
}

impl BottleneckConfig {
    /// Bottlenecks at both sites of every layer, without extensions.
    pub fn new(placement: Placement, size: usize, activation: Activation) -> Self {
        Self {
            layers: Layers::All,
            sites: Sites::Both,
            placement,
            size,
            activation,
            // Houlsby et al. 2019, section 3.1.
            init_std: 1e-2,
            inner_norm: InnerNorm::None,
            inner_norm_epsilon: INNER_NORM_EPSILON,
            depth: 1,
            combine: Combine::Add,
            sizes: BTreeMap::new(),
            scaling: Scaling::None,
            gate: false,
            skip: ResidualSource::SublayerOutput,
            outer_norm: OuterNorm::None,
            final_norm: FinalNorm::Applied,
        }
    }

    /// The width of the bottlenecks in a layer.
    pub fn size_in(&self, layer: usize) -> usize {
        self.sizes.get(&layer).copied().unwrap_or(self.size)
    }
}

impl KindConfig for BottleneckConfig {
    fn name(&self) -> &'static str {
        "bottlenecks"
    }

    fn layers(&self) -> &Layers {
        &self.layers
    }

    fn layers_mut(&mut self) -> &mut Layers {
        &mut self.layers
    }

    fn check(&self) -> Result<(), PlanError> {
        if self.sizes().contains(&0) {
            return Err(PlanError::EmptyBottleneck);
        }
        if !(self.init_std.is_finite() && self.init_std > 0.0) {
            return Err(PlanError::InitStd { found: self.init_std });
        }
        if !(self.inner_norm_epsilon.is_finite() && self.inner_norm_epsilon > 0.0) {
            return Err(PlanError::Epsilon { found: self.inner_norm_epsilon });
        }
        if let Placement::Parallel { scaling } = self.placement {
            if !scaling.is_finite() {
                let what = "the parallel adapters' scaling";
                return Err(PlanError::Factor { what, found: scaling });
            }
            if self.skip != ResidualSource::SublayerOutput {
                return Err(PlanError::SkipInParallel);
            }
        }
        match self.scaling {
            Scaling::Fixed(found) if !found.is_finite() => {
                return Err(PlanError::Factor { what: "the adapters' scaling", found });
            }
            _ => {}
        }
        if !(1..=MAX_DEPTH).contains(&self.depth) {
            return Err(PlanError::Depth { found: self.depth, highest: MAX_DEPTH });
        }
        Ok(())
    }

    fn highest_configured_layer(&self) -> Option<usize> {
        self.sizes.keys().max().copied()
    }

    fn sizes(&self) -> Vec<usize> {
        self.sizes.values().copied().chain([self.size]).collect()
    }

    fn depends_on_padding(&self) -> bool {
        self.gate || self.inner_norm == InnerNorm::Batch
    }

    fn mixing_obstacle(&self) -> Option<&'static str> {
        let obstacles = [
            (self.depth > 1, "bottlenecks deeper than 1"),
            (self.gate, "bottlenecks with gates"),
            (self.skip != ResidualSource::SublayerOutput, "bottlenecks with a `skip`"),
            (self.outer_norm != OuterNorm::None, "bottlenecks with an `outer_norm`"),
            (self.final_norm != FinalNorm::Applied, "bottlenecks with a `closing`"),
        ];
        obstacles.into_iter().find_map(|(found, obstacle)| found.then_some(obstacle))
    }
}
