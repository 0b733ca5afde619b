//! The methods by their names: each is a plan, and the sizes it was published with.

use std::fmt;
use std::str::FromStr;

use burn_bert::Projection;
use serde::{Deserialize, Serialize};

use crate::bottleneck::Activation;
use crate::bottleneck_plan::{BottleneckPlan, Placement, Scaling, Sites};
use crate::error::AdapterError;
use crate::ia3::Ia3Plan;
use crate::lora::LoraPlan;
use crate::plan::{Plan, TrainableBase};
use crate::prefix::PrefixPlan;

/// A plan by its name.
///
/// Written and read by [`Display`](fmt::Display) and [`FromStr`]: `houlsby`, `houlsby-code`, `pfeiffer`, `parallel`,
/// `scaled-parallel`, `lora`, `ia3`, `prefix`, `prefix-flat`, `mam`, `layer-norm`, `top-3` (any number of layers),
/// `full`, `fusion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Method {
    /// The paper: serial adapters at both sites, σ = 0.01, all norms train.
    /// The paper does not name the activation; this is the one of its code.
    Houlsby,
    /// The paper's reference code: as [`Houlsby`](Self::Houlsby), with σ = 0.001.
    HoulsbyCode,
    /// Pfeiffer et al. 2021, as `AdapterHub`'s `seq_bn`: one adapter a layer, after the feed-forward; norms frozen.
    Pfeiffer,
    /// He et al. 2022, as `AdapterHub`'s `par_bn`: one adapter a layer, beside the feed-forward, times 4; norms frozen.
    /// Its matrices start as Houlsby's.
    Parallel,
    /// As [`Parallel`](Self::Parallel), but the factor is learned and starts at 1; `AdapterHub`'s `scaling` of
    /// `"learned"`.
    ScaledParallel,
    /// Hu et al. 2022: low-rank corrections of query and value, α = 16; norms frozen.
    Lora,
    /// Liu et al. 2022, as `AdapterHub`'s `IA3Config`: scales of key, value and the wide half of the feed-forward;
    /// norms frozen.
    Ia3,
    /// Li and Liang 2021, as `AdapterHub`'s `PrefixTuningConfig`: keys and values before every layer's own, made by a
    /// network of width 512; norms frozen.
    Prefix,
    /// The same without the network: the keys and values themselves train.
    PrefixFlat,
    /// He et al. 2022, as `AdapterHub`'s `MAMConfig`: prefixes of length 30 by a network of width 800, and
    /// [`Parallel`](Self::Parallel); norms frozen.
    Mam,
    /// The norms alone (Houlsby et al. 2019, section 3.4).
    LayerNorm,
    /// So many layers from the top (Houlsby et al. 2019, sections 3.3 and 3.4).
    TopLayers(usize),
    /// Everything: the paper's main baseline.
    Full,
    /// Pfeiffer et al. 2021, AdapterFusion: attention over trained adapters, which [`fuse`](crate::fuse) is given.
    Fusion,
}

impl Method {
    /// The names, for a help text.
    pub const NAMES: [&'static str; 14] = [
        "houlsby",
        "houlsby-code",
        "pfeiffer",
        "parallel",
        "scaled-parallel",
        "lora",
        "ia3",
        "prefix",
        "prefix-flat",
        "mam",
        "layer-norm",
        "top-<k>",
        "full",
        "fusion",
    ];

    /// The plan, with adapters of a size: the width of bottlenecks, the rank of low-rank corrections, or the length of
    /// prefixes.
    /// Methods without a [size](Self::has_size) ignore it.
    pub fn plan(self, size: usize) -> Plan {
        let bottlenecks = |placement, sites, activation, init_std| {
            let plan = BottleneckPlan::new(placement, size, activation);
            Some(BottleneckPlan { sites, init_std, ..plan })
        };
        let parallel = |scaling, learned| {
            let placement = Placement::Parallel { scaling };
            let plan = BottleneckPlan::new(placement, size, Activation::Relu);
            Some(BottleneckPlan { sites: Sites::FeedForward, scaling: learned, ..plan })
        };
        let frozen = Plan::without_insertions(TrainableBase::Nothing);
        match self {
            // σ = 1e-2: the paper, section 3.1; 1e-3: `feedforward_adapter`'s default in the reference code.
            Self::Houlsby => Plan {
                bottleneck: bottlenecks(Placement::Serial, Sites::Both, Activation::GeluNew, 1e-2),
                ..Plan::without_insertions(TrainableBase::LayerNorms)
            },
            Self::HoulsbyCode => Plan {
                bottleneck: bottlenecks(Placement::Serial, Sites::Both, Activation::GeluNew, 1e-3),
                ..Plan::without_insertions(TrainableBase::LayerNorms)
            },
            // σ = 0.02: AdapterHub's init_weights "bert".
            Self::Pfeiffer => Plan {
                bottleneck: bottlenecks(
                    Placement::AfterNorm,
                    Sites::FeedForward,
                    Activation::Relu,
                    0.02,
                ),
                ..frozen
            },
            Self::Parallel => Plan { bottleneck: parallel(4.0, Scaling::None), ..frozen },
            Self::ScaledParallel => Plan { bottleneck: parallel(1.0, Scaling::Learned), ..frozen },
            // α = 16 for every rank, as Hu et al. 2022 have it for RoBERTa large (table 9): section 4.1 sets it once and
            // does not tune it.
            Self::Lora => {
                let projections = [Projection::Query, Projection::Value].into();
                Plan { low_rank: Some(LoraPlan::new(projections, size, 16.0)), ..frozen }
            }
            Self::Ia3 => {
                let outputs =
                    [Projection::Key, Projection::Value, Projection::FeedForwardIn].into();
                Plan { scale: Some(Ia3Plan::new(outputs)), ..frozen }
            }
            Self::Prefix => Plan { prefix: Some(PrefixPlan::new(size, Some(512))), ..frozen },
            Self::PrefixFlat => Plan { prefix: Some(PrefixPlan::new(size, None)), ..frozen },
            Self::Mam => Plan {
                bottleneck: parallel(4.0, Scaling::None),
                prefix: Some(PrefixPlan::new(30, Some(800))),
                ..frozen
            },
            Self::LayerNorm => Plan::without_insertions(TrainableBase::LayerNorms),
            Self::TopLayers(layers) => Plan::without_insertions(TrainableBase::TopLayers(layers)),
            Self::Full => Plan::without_insertions(TrainableBase::Everything),
            Self::Fusion => frozen,
        }
    }

    /// Whether the method inserts anything.
    pub fn has_adapters(self) -> bool {
        self.plan(1).inserts()
    }

    /// Whether a size means something.
    pub fn has_size(self) -> bool {
        self.plan(1) != self.plan(2)
    }

    /// The size where nobody says another.
    pub fn default_size(self) -> usize {
        match self {
            // Hu et al. 2022, appendix D, table 9.
            Self::Lora => 8,
            // AdapterHub's `prefix_length`.
            Self::Prefix | Self::PrefixFlat => 30,
            // One of the paper's sizes (Houlsby et al. 2019, section 3.2).
            _ => 64,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Houlsby => f.write_str("houlsby"),
            Self::HoulsbyCode => f.write_str("houlsby-code"),
            Self::Pfeiffer => f.write_str("pfeiffer"),
            Self::Parallel => f.write_str("parallel"),
            Self::ScaledParallel => f.write_str("scaled-parallel"),
            Self::Lora => f.write_str("lora"),
            Self::Ia3 => f.write_str("ia3"),
            Self::Prefix => f.write_str("prefix"),
            Self::PrefixFlat => f.write_str("prefix-flat"),
            Self::Mam => f.write_str("mam"),
            Self::LayerNorm => f.write_str("layer-norm"),
            Self::TopLayers(layers) => write!(f, "top-{layers}"),
            Self::Full => f.write_str("full"),
            Self::Fusion => f.write_str("fusion"),
        }
    }
}

impl FromStr for Method {
    type Err = AdapterError;

    fn from_str(name: &str) -> Result<Self, AdapterError> {
        let unknown = || AdapterError::UnknownMethod { found: name.to_owned() };
        match name {
            "houlsby" => Ok(Self::Houlsby),
            "houlsby-code" => Ok(Self::HoulsbyCode),
            "pfeiffer" => Ok(Self::Pfeiffer),
            "parallel" => Ok(Self::Parallel),
            "scaled-parallel" => Ok(Self::ScaledParallel),
            "lora" => Ok(Self::Lora),
            "ia3" => Ok(Self::Ia3),
            "prefix" => Ok(Self::Prefix),
            "prefix-flat" => Ok(Self::PrefixFlat),
            "mam" => Ok(Self::Mam),
            "layer-norm" => Ok(Self::LayerNorm),
            "full" => Ok(Self::Full),
            "fusion" => Ok(Self::Fusion),
            _ => {
                let layers = name.strip_prefix("top-").and_then(|layers| layers.parse().ok());
                layers.map(Self::TopLayers).ok_or_else(unknown)
            }
        }
    }
}

impl From<Method> for String {
    fn from(method: Method) -> Self {
        method.to_string()
    }
}

impl TryFrom<String> for Method {
    type Error = AdapterError;

    fn try_from(name: String) -> Result<Self, AdapterError> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: [Method; 14] = [
        Method::Houlsby,
        Method::HoulsbyCode,
        Method::Pfeiffer,
        Method::Parallel,
        Method::ScaledParallel,
        Method::Lora,
        Method::Ia3,
        Method::Prefix,
        Method::PrefixFlat,
        Method::Mam,
        Method::LayerNorm,
        Method::TopLayers(3),
        Method::Full,
        Method::Fusion,
    ];

    #[test]
    fn a_method_survives_its_name() {
        for method in METHODS {
            assert_eq!(method.to_string().parse::<Method>().unwrap(), method);
            let json = serde_json::to_string(&method).unwrap();
            assert_eq!(json, format!("\"{method}\""));
            assert_eq!(serde_json::from_str::<Method>(&json).unwrap(), method);
        }
    }

    #[test]
    fn a_method_nobody_knows_is_named_with_the_others() {
        for name in ["", "Houlsby", "lora2", "top-", "top-x", "top--1"] {
            let error = name.parse::<Method>().unwrap_err().to_string();
            assert!(
                error.contains(&format!("`{name}`")) && error.contains("houlsby-code"),
                "{error}"
            );
        }
    }

    #[test]
    fn presets_are_what_they_were() {
        let presets: std::collections::BTreeMap<_, _> =
            METHODS.iter().map(|method| (method.to_string(), method.plan(64))).collect();
        insta::assert_json_snapshot!(presets);
    }

    #[test]
    fn a_size_is_asked_for_where_it_means_something() {
        for method in METHODS {
            let without = [
                Method::Ia3,
                Method::LayerNorm,
                Method::TopLayers(3),
                Method::Full,
                Method::Fusion,
            ];
            let expected = !without.contains(&method);
            assert_eq!(method.has_size(), expected, "{method}");
            method.plan(method.default_size()).check(6).unwrap();
        }
    }
}
