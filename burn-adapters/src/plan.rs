//! What stands at each site and what trains: a method is a value of [`Plan`], not a branch elsewhere.
//! The modules themselves live in files of their own; [`TaskAdapterConfig`](crate::TaskAdapterConfig) builds them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::bottleneck::{Activation, MAX_DEPTH};
use crate::error::AdapterError;
use crate::inner_norm::InnerNorm;
use crate::layers::Layers;

/// A way to tune a BERT for a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The bottlenecks that are inserted, if any.
    pub bottleneck: Option<BottleneckPlan>,
    /// What of BERT's own weights is tuned.
    pub tuned: Tuned,
}

/// Bottlenecks of one kind at some sites.
///
/// The last three fields are extensions that the paper tried (Houlsby et al. 2019, section 3.6).
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
    /// Layers of each, from 1 to [`MAX_DEPTH`]: one is the way down and up, each further one is a matrix of
    /// `size × size` in between.
    #[serde(default = "one_layer", skip_serializing_if = "is_one_layer")]
    pub depth: usize,
    /// How their answer joins what the sub-layer made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub combine: Combine,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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

/// What a bottleneck `A` reads, and how its answer joins.
/// Below, `x` is what the sub-layer read (the residual), `h` what it made, and `LN` the norm at the site.
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

/// How a bottleneck's answer `a` (in [`Placement`], `A(…)` with its scaling) joins `h`, what the sub-layer made.
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

/// What of BERT's own weights is tuned for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tuned {
    /// Nothing.
    Nothing,
    /// Every `LayerNorm`, that of the embeddings too, as copies that belong to the task; the base keeps its own.
    LayerNorms,
    /// So many layers from the top, and the pooler where it is used.
    TopLayers(usize),
    /// All, and the pooler where it is used.
    Everything,
}

impl Plan {
    /// Checks that the plan can be carried out on a base of so many layers.
    ///
    /// # Errors
    /// If a size, deviation or factor is out of range, or a layer does not exist.
    pub fn check(&self, n_layers: usize) -> Result<(), AdapterError> {
        if let Some(bottleneck) = &self.bottleneck {
            bottleneck.check(n_layers)?;
        }
        match self.tuned {
            Tuned::TopLayers(layers) if layers == 0 || layers > n_layers => {
                Err(AdapterError::TopLayers { layers, n_layers })
            }
            _ => Ok(()),
        }
    }
}

impl BottleneckPlan {
    fn check(&self, n_layers: usize) -> Result<(), AdapterError> {
        if self.size == 0 {
            return Err(AdapterError::EmptyBottleneck);
        }
        if !(self.init_std.is_finite() && self.init_std > 0.0) {
            return Err(AdapterError::InitStd { found: self.init_std });
        }
        if let Placement::Parallel { scaling } = self.placement
            && !scaling.is_finite()
        {
            return Err(AdapterError::Scaling { found: scaling });
        }
        if !(1..=MAX_DEPTH).contains(&self.depth) {
            return Err(AdapterError::Depth { found: self.depth });
        }
        self.layers.check(n_layers)
    }
}

/// A plan by its name.
///
/// Written and read by [`Display`](fmt::Display) and [`FromStr`]: `houlsby`, `houlsby-code`, `pfeiffer`, `parallel`,
/// `layer-norm`, `top-3` (any number of layers), `full`, `fusion`.
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
    pub const NAMES: [&'static str; 8] = [
        "houlsby",
        "houlsby-code",
        "pfeiffer",
        "parallel",
        "layer-norm",
        "top-<k>",
        "full",
        "fusion",
    ];

    /// The plan, with adapters of width `size`; the methods without adapters ignore the size.
    pub fn plan(self, size: usize) -> Plan {
        let everywhere = |placement, sites, activation, init_std| {
            Some(BottleneckPlan {
                layers: Layers::All,
                sites,
                placement,
                size,
                activation,
                init_std,
                inner_norm: InnerNorm::None,
                depth: 1,
                combine: Combine::Add,
            })
        };
        let (bottleneck, tuned) = match self {
            // σ = 1e-2: the paper, section 3.1; 1e-3: `feedforward_adapter`'s default in the reference code.
            Self::Houlsby => (
                everywhere(Placement::Serial, Sites::Both, Activation::GeluNew, 1e-2),
                Tuned::LayerNorms,
            ),
            Self::HoulsbyCode => (
                everywhere(Placement::Serial, Sites::Both, Activation::GeluNew, 1e-3),
                Tuned::LayerNorms,
            ),
            // σ = 0.02: AdapterHub's init_weights "bert".
            Self::Pfeiffer => (
                everywhere(Placement::AfterNorm, Sites::FeedForward, Activation::Relu, 0.02),
                Tuned::Nothing,
            ),
            Self::Parallel => {
                let placement = Placement::Parallel { scaling: 4.0 };
                (everywhere(placement, Sites::FeedForward, Activation::Relu, 1e-2), Tuned::Nothing)
            }
            Self::LayerNorm => (None, Tuned::LayerNorms),
            Self::TopLayers(layers) => (None, Tuned::TopLayers(layers)),
            Self::Full => (None, Tuned::Everything),
            Self::Fusion => (None, Tuned::Nothing),
        };
        Plan { bottleneck, tuned }
    }

    /// Whether the method inserts adapters, so that a size means something.
    pub fn has_adapters(self) -> bool {
        self.plan(1).bottleneck.is_some()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Houlsby => f.write_str("houlsby"),
            Self::HoulsbyCode => f.write_str("houlsby-code"),
            Self::Pfeiffer => f.write_str("pfeiffer"),
            Self::Parallel => f.write_str("parallel"),
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
    use proptest::prelude::*;

    use super::*;

    const METHODS: [Method; 8] = [
        Method::Houlsby,
        Method::HoulsbyCode,
        Method::Pfeiffer,
        Method::Parallel,
        Method::LayerNorm,
        Method::TopLayers(3),
        Method::Full,
        Method::Fusion,
    ];

    fn any_plan() -> impl Strategy<Value = Plan> {
        let layers = prop_oneof![
            Just(Layers::All),
            (0..6_usize).prop_map(Layers::From),
            proptest::collection::btree_set(0..6_usize, 1..5).prop_map(Layers::Only)
        ];
        let sites =
            prop_oneof![Just(Sites::Both), Just(Sites::Attention), Just(Sites::FeedForward)];
        let placement = prop_oneof![
            Just(Placement::Serial),
            Just(Placement::AfterNorm),
            proptest::sample::select(vec![0.5, 1.0, 4.0])
                .prop_map(|scaling| Placement::Parallel { scaling })
        ];
        let activation = proptest::sample::select(Activation::ALL.to_vec());
        let start = (1..600_usize, proptest::sample::select(vec![1e-7, 1e-3, 0.02, 1.0]));
        let extensions = (
            proptest::sample::select(InnerNorm::ALL.to_vec()),
            1..=MAX_DEPTH,
            proptest::sample::select(Combine::ALL.to_vec()),
        );
        let bottleneck = (layers, sites, placement, activation, start, extensions).prop_map(
            |(layers, sites, placement, activation, start, extensions)| {
                let (size, init_std) = start;
                let (inner_norm, depth, combine) = extensions;
                BottleneckPlan {
                    layers,
                    sites,
                    placement,
                    size,
                    activation,
                    init_std,
                    inner_norm,
                    depth,
                    combine,
                }
            },
        );
        let tuned = prop_oneof![
            Just(Tuned::Nothing),
            Just(Tuned::LayerNorms),
            (1..=6_usize).prop_map(Tuned::TopLayers),
            Just(Tuned::Everything)
        ];
        (proptest::option::of(bottleneck), tuned)
            .prop_map(|(bottleneck, tuned)| Plan { bottleneck, tuned })
    }

    proptest! {
        #[test]
        fn a_plan_survives_json(plan in any_plan()) {
            plan.check(6).unwrap();
            let json = serde_json::to_string(&plan).unwrap();
            prop_assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
        }
    }

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

    fn check_refused(change: impl FnOnce(&mut BottleneckPlan), sentence: &str) {
        let mut plan = Method::Houlsby.plan(64);
        change(plan.bottleneck.as_mut().unwrap());
        assert_eq!(plan.check(6).unwrap_err().to_string(), sentence);
    }

    #[test]
    fn plans_that_cannot_be_are_refused() {
        check_refused(
            |plan| plan.size = 0,
            "the adapter size is 0, expected the width of the bottleneck: 1 or more",
        );
        check_refused(
            |plan| plan.init_std = f64::NAN,
            "the adapters' init_std is NaN, expected a finite number above 0 (the paper has 0.01)",
        );
        check_refused(
            |plan| plan.placement = Placement::Parallel { scaling: f64::INFINITY },
            "the parallel adapters' scaling is inf, expected a finite number",
        );
        for depth in [0, 65] {
            check_refused(
                |plan| plan.depth = depth,
                &format!("the adapters' depth is {depth}, expected 1 (the paper's) to 64 layers"),
            );
        }
        check_refused(
            |plan| plan.layers = Layers::Only([2, 6].into()),
            "the plan puts an adapter into layer 6, but the base has 6 layers (0 to 5)",
        );
        for layers in [0, 7] {
            assert_eq!(
                Method::TopLayers(layers).plan(64).check(6).unwrap_err().to_string(),
                format!("the plan trains the top {layers} layers of the base, expected 1 to 6"),
            );
        }
    }

    #[test]
    fn a_plan_from_before_the_extensions_is_one_without_them() {
        let json = r#"{"bottleneck": {"layers": "all", "sites": "both", "placement": "serial", "size": 64,
            "activation": "gelu_new", "init_std": 0.01}, "tuned": "layer-norms"}"#;
        assert_eq!(serde_json::from_str::<Plan>(json).unwrap(), Method::Houlsby.plan(64));
    }

    #[test]
    fn choices_are_named_alike_everywhere() {
        fn check<T: Serialize>(all: &[T], name: impl Fn(&T) -> &'static str) {
            for value in all {
                assert_eq!(serde_json::to_value(value).unwrap(), name(value));
            }
        }
        check(&Sites::ALL, |value| value.name());
        check(&Combine::ALL, |value| value.name());
        check(&InnerNorm::ALL, |value| value.name());
    }

    #[test]
    fn a_key_nobody_knows_is_refused() {
        let json = r#"{"bottleneck": null, "tuned": "nothing", "low_rank": 4}"#;
        assert!(serde_json::from_str::<Plan>(json).unwrap_err().to_string().contains("low_rank"));
    }
}
