//! What stands where and what trains: a method is a value of [`Plan`], not a branch elsewhere.
//! The parts of a plan live beside the modules they describe; [`TaskAdapterConfig`](crate::TaskAdapterConfig) builds
//! them, and [`Method`](crate::Method) has the plans with names.

use serde::{Deserialize, Serialize};

use crate::bottleneck_plan::BottleneckPlan;
use crate::error::AdapterError;
use crate::ia3::Ia3Plan;
use crate::inner_norm::InnerNorm;
use crate::layers::Layers;
use crate::lora::LoraPlan;
use crate::prefix::{PrefixGate, PrefixPlan};

/// A way to tune a BERT for a task. Parts of several kinds go together: He et al. 2022 have prefixes and bottlenecks.
///
/// A file leaves out what is not inserted, bottlenecks apart, so that files from before a kind existed and files that
/// do without it are the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The bottlenecks that are inserted, if any.
    pub bottleneck: Option<BottleneckPlan>,
    /// The low-rank corrections of projections, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_rank: Option<LoraPlan>,
    /// The scales of projections, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Ia3Plan>,
    /// The prefixes of attention, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<PrefixPlan>,
    /// What of BERT's own weights is tuned.
    pub tuned: TrainableBase,
}

/// What of BERT's own weights is tuned for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainableBase {
    /// Nothing.
    Nothing,
    /// Every `LayerNorm`, that of the embeddings too, as copies that belong to the task; the base keeps its own.
    LayerNorms,
    /// The same in this layer and all above it; those below and the embeddings' stay the base's.
    LayerNormsFrom(usize),
    /// So many layers from the top, and the pooler where it is used.
    TopLayers(usize),
    /// All, and the pooler where it is used.
    Everything,
}

impl Plan {
    /// The plan that inserts nothing.
    pub fn without_insertions(tuned: TrainableBase) -> Self {
        Self { bottleneck: None, low_rank: None, scale: None, prefix: None, tuned }
    }

    /// The layers in which something is inserted, one value for each kind.
    pub fn inserted_layers(&self) -> impl Iterator<Item = &Layers> {
        let bottleneck = self.bottleneck.as_ref().map(|plan| &plan.layers);
        let low_rank = self.low_rank.as_ref().map(|plan| &plan.layers);
        let scale = self.scale.as_ref().map(|plan| &plan.layers);
        let prefix = self.prefix.as_ref().map(|plan| &plan.layers);
        [bottleneck, low_rank, scale, prefix].into_iter().flatten()
    }

    /// Whether anything is inserted.
    pub fn inserts(&self) -> bool {
        self.inserted_layers().next().is_some()
    }

    /// Puts what is inserted into other layers, each kind into the same.
    #[must_use]
    pub fn in_layers(mut self, layers: &Layers) -> Self {
        let bottleneck = self.bottleneck.as_mut().map(|plan| &mut plan.layers);
        let low_rank = self.low_rank.as_mut().map(|plan| &mut plan.layers);
        let scale = self.scale.as_mut().map(|plan| &mut plan.layers);
        let prefix = self.prefix.as_mut().map(|plan| &mut plan.layers);
        for of_kind in [bottleneck, low_rank, scale, prefix].into_iter().flatten() {
            of_kind.clone_from(layers);
        }
        self
    }

    /// Checks that the plan can be carried out on a base of so many layers.
    ///
    /// # Errors
    /// If a size, deviation or factor is out of range, nothing is named to be corrected, or a layer does not exist.
    pub fn check(&self, n_layers: usize) -> Result<(), AdapterError> {
        self.bottleneck.iter().try_for_each(BottleneckPlan::check)?;
        self.low_rank.iter().try_for_each(LoraPlan::check)?;
        self.scale.iter().try_for_each(Ia3Plan::check)?;
        self.prefix.iter().try_for_each(PrefixPlan::check)?;
        for layers in self.inserted_layers() {
            layers.check(n_layers)?;
        }
        let sizes = self.bottleneck.iter().flat_map(|plan| plan.sizes.keys());
        if let Some(layer) = sizes.max().filter(|layer| **layer >= n_layers) {
            return Err(AdapterError::LayerOutOfRange { layer: *layer, n_layers });
        }
        match self.tuned {
            TrainableBase::TopLayers(layers) if layers == 0 || layers > n_layers => {
                Err(AdapterError::TopLayers { layers, n_layers })
            }
            TrainableBase::LayerNormsFrom(first) => Layers::From(first).check(n_layers),
            _ => Ok(()),
        }
    }

    /// The lowest layer with something of the task in it, in a base of so many layers.
    ///
    /// Below it the hidden states are plain BERT's: nothing there has to be differentiated, and without dropout they
    /// can be computed once.
    /// It is 0 as well where the embeddings are tuned.
    pub fn lowest_layer(&self, n_layers: usize) -> usize {
        let tuned = match self.tuned {
            TrainableBase::Nothing => n_layers,
            TrainableBase::LayerNorms | TrainableBase::Everything => 0,
            TrainableBase::LayerNormsFrom(first) => first,
            TrainableBase::TopLayers(layers) => n_layers.saturating_sub(layers),
        };
        self.inserted_layers().map(Layers::lowest).fold(tuned, usize::min)
    }

    /// Whether weights of the base train, so that they have to be in single precision.
    pub fn trains_base(&self) -> bool {
        matches!(self.tuned, TrainableBase::Everything | TrainableBase::TopLayers(_))
    }

    /// Whether something that is inserted looks at padding, so that a text's result depends on what it is batched with:
    /// batch norms and gates do.
    pub fn sees_padding(&self) -> bool {
        let bottleneck = |plan: &BottleneckPlan| plan.gate || plan.inner_norm == InnerNorm::Batch;
        self.bottleneck.as_ref().is_some_and(bottleneck)
            || self.low_rank.as_ref().is_some_and(|plan| plan.gate)
            || self.prefix.as_ref().is_some_and(|plan| plan.gate != PrefixGate::None)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use burn_bert::Projection;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::INNER_NORM_EPSILON;
    use crate::bottleneck::{Activation, MAX_DEPTH};
    use crate::bottleneck_plan::{
        Closing, Combine, OuterNorm, Placement, ResidualSource, Scaling, Sites,
    };
    use crate::lora::RankScaling;
    use crate::method::Method;

    fn any_layers() -> impl Strategy<Value = Layers> {
        prop_oneof![
            Just(Layers::All),
            (0..6_usize).prop_map(Layers::From),
            proptest::collection::btree_set(0..6_usize, 1..5).prop_map(Layers::Only)
        ]
    }

    fn some_projections() -> impl Strategy<Value = BTreeSet<Projection>> {
        proptest::sample::subsequence(Projection::ALL.to_vec(), 1..=6)
            .prop_map(|projections| projections.into_iter().collect())
    }

    fn any_bottleneck() -> impl Strategy<Value = BottleneckPlan> {
        let placement = prop_oneof![
            Just((Placement::Serial, ResidualSource::BottleneckInput)),
            select(vec![
                ResidualSource::SublayerOutput,
                ResidualSource::Sum,
                ResidualSource::BottleneckInput
            ])
            .prop_map(|skip| (Placement::AfterNorm, skip)),
            select(vec![0.5, 1.0, 4.0]).prop_map(|scaling| (
                Placement::Parallel { scaling },
                ResidualSource::SublayerOutput
            ))
        ];
        let start = (1..600_usize, select(vec![1e-7, 1e-3, 0.02, 1.0]));
        let of_the_paper = (
            (select(InnerNorm::ALL.to_vec()), select(vec![INNER_NORM_EPSILON, 1e-5])),
            1..=MAX_DEPTH,
            select(Combine::ALL.to_vec()),
            select(Activation::ALL.to_vec()),
        );
        let of_adapter_hub = (
            proptest::collection::btree_map(0..6_usize, 1..600_usize, 0..3),
            select(vec![Scaling::None, Scaling::Fixed(0.5), Scaling::Learned, Scaling::PerChannel]),
            proptest::bool::ANY,
            select(vec![OuterNorm::None, OuterNorm::Answer, OuterNorm::Sum]),
            select(vec![Closing::Norm, Closing::None]),
        );
        let both_or_one = select(Sites::ALL.to_vec());
        (any_layers(), both_or_one, placement, start, of_the_paper, of_adapter_hub).prop_map(
            |(layers, sites, (placement, skip), (size, init_std), of_the_paper, of_adapter_hub)| {
                let (inner, depth, combine, activation) = of_the_paper;
                let (inner_norm, inner_norm_epsilon) = inner;
                let (other_sizes, scaling, gate, outer_norm, closing) = of_adapter_hub;
                BottleneckPlan {
                    layers,
                    sites,
                    placement,
                    size,
                    activation,
                    init_std,
                    inner_norm,
                    inner_norm_epsilon,
                    depth,
                    combine,
                    sizes: other_sizes,
                    scaling,
                    gate,
                    skip,
                    outer_norm,
                    closing,
                }
            },
        )
    }

    fn any_low_rank() -> impl Strategy<Value = LoraPlan> {
        let scaling = select(vec![RankScaling::Rank, RankScaling::RankStabilized]);
        let switches = (proptest::bool::ANY, proptest::bool::ANY);
        (any_layers(), some_projections(), 1..99_usize, select(vec![1.0, 16.0]), scaling, switches)
            .prop_map(|(layers, projections, rank, alpha, scaling, (pooler, gate))| LoraPlan {
                layers,
                projections,
                pooler,
                rank,
                alpha,
                scaling,
                gate,
            })
    }

    fn any_plan() -> impl Strategy<Value = Plan> {
        let scale = (any_layers(), some_projections(), some_projections())
            .prop_map(|(layers, outputs, inputs)| Ia3Plan { layers, outputs, inputs });
        let gate = select(vec![PrefixGate::None, PrefixGate::Shared, PrefixGate::Separate]);
        let width = proptest::option::of(1..999_usize);
        let prefix = (any_layers(), 1..99_usize, width, gate).prop_map(
            |(layers, length, reparameterization, gate)| PrefixPlan {
                layers,
                length,
                reparameterization,
                gate,
            },
        );
        let tuned = prop_oneof![
            Just(TrainableBase::Nothing),
            Just(TrainableBase::LayerNorms),
            (0..6_usize).prop_map(TrainableBase::LayerNormsFrom),
            (1..=6_usize).prop_map(TrainableBase::TopLayers),
            Just(TrainableBase::Everything)
        ];
        let inserted = (
            proptest::option::of(any_bottleneck()),
            proptest::option::of(any_low_rank()),
            proptest::option::of(scale),
            proptest::option::of(prefix),
        );
        (inserted, tuned).prop_map(|((bottleneck, low_rank, scale, prefix), tuned)| Plan {
            bottleneck,
            low_rank,
            scale,
            prefix,
            tuned,
        })
    }

    proptest! {
        #[test]
        fn a_plan_survives_json(plan in any_plan()) {
            plan.check(6).unwrap();
            let json = serde_json::to_string(&plan).unwrap();
            prop_assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
        }

        #[test]
        fn everything_moves_to_the_layers_that_are_named(plan in any_plan(), layers in any_layers()) {
            let inserts = plan.inserts();
            let moved = plan.in_layers(&layers);
            prop_assert!(moved.inserted_layers().all(|found| *found == layers));
            prop_assert_eq!(moved.inserts(), inserts);
        }
    }

    #[test]
    fn below_the_lowest_layer_there_is_nothing_of_the_task() {
        let above = |layers: Layers, tuned| {
            let plan = Plan { tuned, ..Method::Houlsby.plan(8) };
            plan.in_layers(&layers).lowest_layer(6)
        };
        assert_eq!(above(Layers::From(3), TrainableBase::LayerNormsFrom(3)), 3);
        assert_eq!(above(Layers::From(3), TrainableBase::LayerNormsFrom(2)), 2);
        assert_eq!(
            above(Layers::From(3), TrainableBase::LayerNorms),
            0,
            "the embeddings' norm is tuned"
        );
        assert_eq!(above(Layers::Only([5, 4].into()), TrainableBase::Nothing), 4);
        let lowest = |method: Method| method.plan(8).lowest_layer(6);
        assert_eq!(lowest(Method::TopLayers(2)), 4);
        assert_eq!(lowest(Method::Pfeiffer), 0);
        assert_eq!(lowest(Method::Full), 0);
        for method in [Method::Lora, Method::Ia3, Method::Prefix, Method::Mam] {
            assert_eq!(lowest(method), 0, "{method}");
            assert_eq!(method.plan(8).in_layers(&Layers::From(5)).lowest_layer(6), 5, "{method}");
        }
    }

    fn check_refused(change: impl FnOnce(&mut BottleneckPlan), sentence: &str) {
        let mut plan = Method::Houlsby.plan(64);
        change(plan.bottleneck.as_mut().unwrap());
        assert_eq!(plan.check(6).unwrap_err().to_string(), sentence);
    }

    #[test]
    fn corrections_that_cannot_be_are_refused() {
        let refused = |plan: Plan, sentence: &str| {
            assert_eq!(plan.check(6).unwrap_err().to_string(), sentence);
        };
        let zero = |what: &str| format!("{what} is 0, expected 1 or more");
        refused(Method::Lora.plan(0), &zero("the rank of the low-rank corrections"));
        refused(Method::Prefix.plan(0), &zero("the length of the prefixes"));
        let mut plan = Method::Prefix.plan(8);
        plan.prefix.as_mut().unwrap().reparameterization = Some(0);
        refused(plan, &zero("the width of the prefixes' network"));
        let mut plan = Method::Lora.plan(8);
        plan.low_rank.as_mut().unwrap().alpha = f64::NAN;
        refused(plan, "the low-rank corrections' alpha is NaN, expected a finite number");
        let mut plan = Method::Lora.plan(8);
        plan.low_rank.as_mut().unwrap().projections.clear();
        let nothing =
            |what: &str| format!("the plan has {what} but names no projection to put them on");
        refused(plan, &nothing("low-rank corrections"));
        let mut plan = Method::Ia3.plan(8);
        plan.scale.as_mut().unwrap().outputs.clear();
        refused(plan, &nothing("scales"));
        for method in [Method::Lora, Method::Ia3, Method::Prefix] {
            let sentence =
                "the plan puts an adapter into layer 6, but the base has 6 layers (0 to 5)";
            refused(method.plan(8).in_layers(&Layers::From(6)), sentence);
        }
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
        check_refused(
            |plan| plan.scaling = Scaling::Fixed(f64::NAN),
            "the adapters' scaling is NaN, expected a finite number",
        );
        check_refused(
            |plan| {
                plan.placement = Placement::Parallel { scaling: 1.0 };
                plan.skip = ResidualSource::Sum;
            },
            "the adapters in parallel have a `skip`, but they are added to what the sub-layer made (`made`)",
        );
        check_refused(
            |plan| plan.sizes = BTreeMap::from([(3, 0)]),
            "the adapter size is 0, expected the width of the bottleneck: 1 or more",
        );
        check_refused(
            |plan| plan.sizes = BTreeMap::from([(7, 8)]),
            "the plan puts an adapter into layer 7, but the base has 6 layers (0 to 5)",
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
        check(&Projection::ALL, |value| value.name());
    }

    #[test]
    fn a_key_nobody_knows_is_refused() {
        let json = r#"{"bottleneck": null, "tuned": "nothing", "lowrank": 4}"#;
        assert!(serde_json::from_str::<Plan>(json).unwrap_err().to_string().contains("lowrank"));
    }
}
