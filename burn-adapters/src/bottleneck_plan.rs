//! Which bottlenecks stand where, and what they read and are added to: a value for each of the published variants.
//!
//! Below, `x` is what a sub-layer read (the residual), `h` what it made, `LN` the norm at the site, `A` a bottleneck
//! and `a` its answer.
//! The switches beyond the paper's are those of `AdapterHub`'s `BnConfig`, whose source decides what they mean,
//! <https://github.com/adapter-hub/adapters/blob/v1.3.0/src/adapters/methods/modeling.py>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bottleneck::{Activation, MAX_DEPTH};
use crate::error::AdapterError;
use crate::inner_norm::{INNER_NORM_EPSILON, InnerNorm};
use crate::layers::Layers;

/// Bottlenecks of one kind at some sites.
///
/// The fields from [`inner_norm`](Self::inner_norm) on are extensions: three that the paper tried (Houlsby et al. 2019,
/// section 3.6), then `AdapterHub`'s.
/// A file leaves them out where they are off, so that files from before they existed and files that do without them
/// are the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BottleneckPlan {
    /// The layers they stand in.
    pub layers: Layers,
    /// Their sites within each of those layers.
    pub sites: Sites,
    /// What they read and what they are added to.
    pub placement: Placement,
    /// Width in the middle, 1 or more.
    pub size: usize,
    /// What stands in the middle.
    pub activation: Activation,
    /// Standard deviation of the matrices at the start, above 0, before the cut at two deviations.
    pub init_std: f64,
    /// The norm on what they read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inner_norm: InnerNorm,
    /// ε of the inner norm where it is a `LayerNorm`, above 0; `AdapterHub`'s `ln_before` has 1e-5.
    #[serde(default = "inner_norm_epsilon", skip_serializing_if = "is_inner_norm_epsilon")]
    pub inner_norm_epsilon: f64,
    /// Layers of each, from 1 to [`MAX_DEPTH`]: one is the way down and up, each further one is a matrix of
    /// `size × size` in between.
    #[serde(default = "one_layer", skip_serializing_if = "is_one_layer")]
    pub depth: usize,
    /// How their answer joins what it is added to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub combine: Combine,
    /// Layers whose bottlenecks have another width than [`size`](Self::size).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sizes: BTreeMap<usize, usize>,
    /// A factor before their answer, besides the one in [`Placement::Parallel`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub scaling: Scaling,
    /// Whether each text's answer is weighed by a gate: the mean over its positions, padding included, of
    /// `σ(W z + b)`, where `z` is what the bottleneck reads. How much a text is padded is seen in the result.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gate: bool,
    /// What their answer is added to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub skip: ResidualSource,
    /// A norm of the adapter's own on its answer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub outer_norm: OuterNorm,
    /// What closes the site.
    #[serde(default, skip_serializing_if = "is_default")]
    pub closing: Closing,
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
    /// After attention only (Houlsby et al. 2019, section 3.6, tried it).
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

    /// Whether something stands after attention.
    pub fn attention(self) -> bool {
        matches!(self, Self::Both | Self::Attention)
    }

    /// Whether something stands after the feed-forward.
    pub fn feed_forward(self) -> bool {
        matches!(self, Self::Both | Self::FeedForward)
    }
}

/// What a bottleneck `A` reads, and how its answer joins where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// `LN(A(h) + h + x)`: Houlsby et al. 2019, figure 2.
    Serial,
    /// `LN(A(LN(h + x)) + h + x)`: Pfeiffer et al. 2021 as `AdapterHub` computes it, with the same norm twice.
    AfterNorm,
    /// `LN(scaling · A(x) + h + x)`: He et al. 2022.
    Parallel {
        /// The factor before the bottleneck's answer.
        scaling: f64,
    },
}

/// A factor before a bottleneck's answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// None.
    #[default]
    None,
    /// This number.
    Fixed(f64),
    /// One number that trains and starts at 1.
    Learned,
    /// One number for each of the `d_model` channels; they train and start at 1.
    PerChannel,
}

/// What a bottleneck's answer is added to; with it, `h` in the formulas of [`Placement`] becomes this.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResidualSource {
    /// `h`: `AdapterHub`'s `residual_before_ln` of true.
    #[default]
    #[serde(rename = "made")]
    SublayerOutput,
    /// `h + x`, so that `x` is counted twice where the site is closed: `AdapterHub`'s `"post_add"`.
    Sum,
    /// What the bottleneck read: `AdapterHub`'s `residual_before_ln` of false.
    #[serde(rename = "read")]
    BottleneckInput,
}

/// Where a norm of the adapter's own stands around the sum of its answer and the skip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OuterNorm {
    /// Nowhere.
    #[default]
    None,
    /// On the answer alone: `AdapterHub`'s `ln_after` without `adapter_residual_before_ln`.
    Answer,
    /// On the sum: `AdapterHub`'s `ln_after` with `adapter_residual_before_ln`.
    Sum,
}

/// What becomes of the sum `s` of a bottleneck's answer and the skip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Closing {
    /// `LN(s + x)`, as the formulas of [`Placement`] have it.
    #[default]
    Norm,
    /// `s` unchanged: `AdapterHub`'s `original_ln_after` of false.
    #[serde(rename = "nothing")]
    None,
}

/// How a bottleneck's answer `a` (in [`Placement`], `A(…)` with its scaling) joins `h`, or what [`ResidualSource`] has for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Combine {
    /// `h + a`, as the formulas of [`Placement`] have it.
    #[default]
    Add,
    /// `h · (1 + a)`, element by element, in the place of `h + a`.
    ///
    /// The 1 keeps a bottleneck that is near zero near the identity, from which the paper starts; `h · a` alone would
    /// start by erasing what the sub-layer made.
    /// Houlsby et al. 2019, section 3.6, tried a multiplicative interaction with adapters in parallel and give no
    /// formula.
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

impl BottleneckPlan {
    /// Bottlenecks with no extension switched on.
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
            closing: Closing::Norm,
        }
    }

    /// The width of those in a layer.
    pub fn size_in(&self, layer: usize) -> usize {
        self.sizes.get(&layer).copied().unwrap_or(self.size)
    }

    pub(crate) fn check(&self) -> Result<(), AdapterError> {
        if self.size == 0 || self.sizes.values().any(|size| *size == 0) {
            return Err(AdapterError::EmptyBottleneck);
        }
        if !(self.init_std.is_finite() && self.init_std > 0.0) {
            return Err(AdapterError::InitStd { found: self.init_std });
        }
        if !(self.inner_norm_epsilon.is_finite() && self.inner_norm_epsilon > 0.0) {
            return Err(AdapterError::Epsilon { found: self.inner_norm_epsilon });
        }
        if let Placement::Parallel { scaling } = self.placement {
            if !scaling.is_finite() {
                return Err(AdapterError::Factor {
                    what: "the parallel adapters' scaling",
                    found: scaling,
                });
            }
            if self.skip != ResidualSource::SublayerOutput {
                return Err(AdapterError::SkipInParallel);
            }
        }
        match self.scaling {
            Scaling::Fixed(found) if !found.is_finite() => {
                return Err(AdapterError::Factor { what: "the adapters' scaling", found });
            }
            _ => {}
        }
        if !(1..=MAX_DEPTH).contains(&self.depth) {
            return Err(AdapterError::Depth { found: self.depth });
        }
        Ok(())
    }
}
