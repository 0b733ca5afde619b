//! The methods with names: each is an adapter plan with a published default size.
//! A new method made of existing modules is one row of the table below.

use std::fmt;
use std::str::FromStr;

use burn_bert::Projection;
use serde::{Deserialize, Serialize};

use super::activation::Activation;
use super::bottleneck::{BottleneckConfig, Placement, Scaling, Sites};
use super::error::PlanError;
use super::ia3::Ia3Config;
use super::lora::{DoraFormula, LoraConfig};
use super::plan::{AdapterPlan, TrainableBase};
use super::prefix::PrefixConfig;

/// Defines [`Method`] from rows of a variant, its name, its default size, and its plan for a size.
/// `K` at the end of a name is the number in the variant.
macro_rules! methods {
    ($(
        $(#[$doc:meta])*
        $variant:ident $(($number:ident: $type:ty))? = $name:literal, $default_size:expr, |$size:pat_param| $plan:expr;
    )*) => {
        /// A named method, which gives an [`AdapterPlan`].
        ///
        /// [`Display`](fmt::Display) writes its name and [`FromStr`] reads it, such as `houlsby` or `top-3`;
        /// [`NAMES`](Self::NAMES) has them all.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub enum Method {
            $($(#[$doc])* $variant $(($type))?,)*
        }

        impl Method {
            /// All names, for help texts.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// Each name with its method, given the number in the name if there is one.
            const ROWS: &'static [(&'static str, fn(usize) -> Self)] =
                &[$(($name, |number| {
                    let _ = number; // most names have none
                    Self::$variant $(({ let $number: $type = number; $number }))?
                })),*];

            /// The plan with modules of a size: the width of bottlenecks, the rank of LoRAs, or the length of prefixes.
            /// Methods without a [size](Self::has_size) ignore it.
            pub fn plan(self, size: usize) -> AdapterPlan {
                match self {
                    $(Self::$variant $(($number))? => {
                        let $size = size;
                        $plan
                    })*
                }
            }

            /// The size by default.
            pub fn default_size(self) -> usize {
                match self {
                    $(Self::$variant { .. } => $default_size,)*
                }
            }

            /// The name, with `K` for a number, and the number.
            fn name(self) -> (&'static str, usize) {
                match self {
                    $(Self::$variant $(($number))? => ($name, 0 $(+ $number)?),)*
                }
            }
        }
    };
}

/// One of the paper's sizes (Houlsby et al. 2019, section 3.2).
const BOTTLENECK_SIZE: usize = 64;
/// Hu et al. 2022, appendix D, table 9.
const RANK: usize = 8;
/// `AdapterHub`'s `prefix_length`.
const PREFIX_LENGTH: usize = 30;
/// For methods without a size.
const UNUSED: usize = 64;

methods! {
    /// The paper: serial adapters at both sites, σ = 0.01 (section 3.1), and all norms train.
    /// The paper does not name the activation; this is the one of its code.
    Houlsby = "houlsby", BOTTLENECK_SIZE, |size| houlsby(size, 1e-2);
    /// The paper's reference code: as [`Houlsby`](Self::Houlsby), with σ = 0.001, the default of
    /// `feedforward_adapter` there.
    HoulsbyCode = "houlsby-code", BOTTLENECK_SIZE, |size| houlsby(size, 1e-3);
    /// Pfeiffer et al. 2021, as `AdapterHub`'s `seq_bn`: one adapter a layer, after the feed-forward,
    /// σ = 0.02 (`init_weights` of `"bert"`); frozen norms.
    Pfeiffer = "pfeiffer", BOTTLENECK_SIZE, |size| AdapterPlan {
        bottleneck: Some(BottleneckConfig {
            sites: Sites::FeedForward,
            init_std: 0.02,
            ..BottleneckConfig::new(Placement::AfterNorm, size, Activation::Relu)
        }),
        ..frozen()
    };
    /// He et al. 2022, as `AdapterHub`'s `par_bn`: one adapter a layer, parallel to the feed-forward, times 4; frozen
    /// norms. Its matrices start as Houlsby's.
    Parallel = "parallel", BOTTLENECK_SIZE, |size| parallel(size, 4.0, Scaling::None);
    /// As [`Parallel`](Self::Parallel) with a learned factor, initially 1; `AdapterHub`'s `scaling` of `"learned"`.
    ScaledParallel = "scaled-parallel", BOTTLENECK_SIZE, |size| parallel(size, 1.0, Scaling::Learned);
    /// Hu et al. 2022: low-rank updates of query and value; frozen norms.
    /// α is 16 for every rank, as for RoBERTa large there (table 9): section 4.1 sets it once and does not tune it.
    Lora = "lora", RANK, |rank| AdapterPlan {
        lora: Some(LoraConfig::new([Projection::Query, Projection::Value].into(), rank, 16.0)),
        ..frozen()
    };
    /// Liu et al. 2024: DoRA of query and value, as PEFT computes it; frozen norms.
    Dora = "dora", RANK, |rank| dora(DoraFormula::Peft, rank);
    /// DoRA of query and value as AdapterHub computes it: the bias is scaled too, and the norm has no scaling factor.
    DoraAdapterHub = "dora-adapter-hub", RANK, |rank| dora(DoraFormula::AdapterHub, rank);
    /// Liu et al. 2022, as `AdapterHub`'s `IA3Config`: factors of key, value and the feed-forward's first projection;
    /// frozen norms.
    Ia3 = "ia3", UNUSED, |_| AdapterPlan {
        ia3: Some(Ia3Config::new(
            [Projection::Key, Projection::Value, Projection::FeedForwardIn].into(),
        )),
        ..frozen()
    };
    /// Li and Liang 2021, as `AdapterHub`'s `PrefixTuningConfig`: keys and values before every layer's own, generated by
    /// a network of width 512; frozen norms.
    Prefix = "prefix", PREFIX_LENGTH, |length| AdapterPlan {
        prefix: Some(PrefixConfig::new(length, Some(512))),
        ..frozen()
    };
    /// The same without the network: keys and values are parameters themselves.
    PrefixFlat = "prefix-flat", PREFIX_LENGTH, |length| AdapterPlan {
        prefix: Some(PrefixConfig::new(length, None)),
        ..frozen()
    };
    /// He et al. 2022, as `AdapterHub`'s `MAMConfig`: prefixes of length 30 from a network of width 800, and
    /// [`Parallel`](Self::Parallel); frozen norms.
    Mam = "mam", BOTTLENECK_SIZE, |size| AdapterPlan {
        prefix: Some(PrefixConfig::new(PREFIX_LENGTH, Some(800))),
        ..parallel(size, 4.0, Scaling::None)
    };
    /// The norms alone (Houlsby et al. 2019, section 3.4).
    LayerNorm = "layer-norm", UNUSED, |_| AdapterPlan::new(TrainableBase::LayerNorms);
    /// This many layers from the top (Houlsby et al. 2019, sections 3.3 and 3.4).
    TopLayers(layers: usize) = "top-K", UNUSED, |_| {
        AdapterPlan::new(TrainableBase::TopLayers(layers))
    };
    /// Everything: the paper's main baseline.
    Full = "full", UNUSED, |_| AdapterPlan::new(TrainableBase::Everything);
    /// Pfeiffer et al. 2021, AdapterFusion: attention over trained adapters, which are given to [`fuse`](crate::fuse).
    Fusion = "fusion", UNUSED, |_| frozen();
}

fn frozen() -> AdapterPlan {
    AdapterPlan::new(TrainableBase::Nothing)
}

fn dora(formula: DoraFormula, rank: usize) -> AdapterPlan {
    let config = LoraConfig::new([Projection::Query, Projection::Value].into(), rank, 16.0);
    AdapterPlan { lora: Some(LoraConfig { dora: Some(formula), ..config }), ..frozen() }
}

fn houlsby(size: usize, init_std: f64) -> AdapterPlan {
    let config = BottleneckConfig::new(Placement::Serial, size, Activation::GeluNew);
    AdapterPlan {
        bottleneck: Some(BottleneckConfig { init_std, ..config }),
        ..AdapterPlan::new(TrainableBase::LayerNorms)
    }
}

fn parallel(size: usize, factor: f64, scaling: Scaling) -> AdapterPlan {
    let placement = Placement::Parallel { scaling: factor };
    let config = BottleneckConfig::new(placement, size, Activation::Relu);
    AdapterPlan {
        bottleneck: Some(BottleneckConfig { sites: Sites::FeedForward, scaling, ..config }),
        ..frozen()
    }
}

impl Method {
    /// Whether the method inserts anything.
    pub fn has_adapters(self) -> bool {
        self.plan(1).inserts()
    }

    /// Whether the method has a size.
    pub fn has_size(self) -> bool {
        self.plan(1) != self.plan(2)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, number) = self.name();
        f.write_str(&name.replace('K', &number.to_string()))
    }
}

impl FromStr for Method {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let number = |name: &str| match name.strip_suffix('K') {
            Some(start) => text.strip_prefix(start)?.parse().ok(),
            None => (name == text).then_some(0),
        };
        let method = Self::ROWS.iter().find_map(|(name, method)| number(name).map(method));
        method
            .ok_or_else(|| PlanError::UnknownMethod { found: text.to_owned(), known: Self::NAMES })
    }
}

impl From<Method> for String {
    fn from(method: Method) -> Self {
        method.to_string()
    }
}

impl TryFrom<String> for Method {
    type Error = PlanError;

    fn try_from(name: String) -> Result<Self, PlanError> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every method, with 3 in the names that have a number.
    fn methods() -> impl Iterator<Item = Method> {
        Method::ROWS.iter().map(|(_, method)| method(3))
    }

    #[test]
    fn a_method_survives_its_name() {
        for method in methods() {
            assert_eq!(method.to_string().parse::<Method>().unwrap(), method);
            let json = serde_json::to_string(&method).unwrap();
            assert_eq!(json, format!("\"{method}\""));
            assert_eq!(serde_json::from_str::<Method>(&json).unwrap(), method);
        }
    }

    #[test]
    fn an_unknown_method_is_an_error_that_lists_the_known_ones() {
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
            methods().map(|method| (method.to_string(), method.plan(64))).collect();
        insta::assert_json_snapshot!(presets);
    }

    #[test]
    fn methods_have_a_size_if_their_plan_depends_on_it() {
        for method in methods() {
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
