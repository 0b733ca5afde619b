//! Adapter plans: which modules a method inserts, and which of the base's parameters it trains.

use serde::{Deserialize, Serialize};

use super::bottleneck::BottleneckConfig;
use super::error::PlanError;
use super::ia3::Ia3Config;
use super::kind::KindConfig;
use super::layers::Layers;
use super::lora::LoraConfig;
use super::prefix::PrefixConfig;

/// Defines [`AdapterPlan`] from the kinds of modules, and the walks over them.
macro_rules! adapter_plan {
    ($($(#[$attribute:meta])* $kind:ident: $config:ty,)*) => {
        /// A way to tune a BERT for a task: modules of any kinds, and a part of the base.
        ///
        /// Kinds combine: He et al. 2022 use prefixes and bottlenecks together.
        ///
        /// Files omit the kinds that are not used, bottlenecks apart, so that files written before a kind existed look
        /// the same as new ones.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct AdapterPlan {
            $($(#[$attribute])* pub $kind: Option<$config>,)*
            /// The parameters of the base that train.
            #[serde(rename = "tuned")]
            pub trainable_base: TrainableBase,
        }

        impl AdapterPlan {
            /// The plan that inserts nothing.
            pub fn new(trainable_base: TrainableBase) -> Self {
                Self { $($kind: None,)* trainable_base }
            }

            /// The configurations of the modules that are inserted.
            pub(crate) fn kinds(&self) -> impl Iterator<Item = &dyn KindConfig> {
                let kinds = [$(self.$kind.as_ref().map(|config| config as &dyn KindConfig)),*];
                kinds.into_iter().flatten()
            }

            fn kinds_mut(&mut self) -> impl Iterator<Item = &mut dyn KindConfig> {
                let kinds = [$(self.$kind.as_mut().map(|config| config as &mut dyn KindConfig)),*];
                kinds.into_iter().flatten()
            }

            /// The plan without the modules that the base's weights can hold.
            pub(crate) fn without_mergeable(self) -> Self {
                Self {
                    $($kind: self.$kind.filter(|config| !config.is_mergeable()),)*
                    trainable_base: match self.trainable_base {
                        TrainableBase::LayerNorms | TrainableBase::LayerNormsFrom(_) => {
                            TrainableBase::Nothing
                        }
                        other => other,
                    },
                }
            }
        }
    };
}

adapter_plan! {
    /// Bottleneck adapters.
    bottleneck: BottleneckConfig,
    /// Low-rank updates of projections.
    #[serde(default, rename = "low_rank", skip_serializing_if = "Option::is_none")]
    lora: LoraConfig,
    /// Factors of projections.
    #[serde(default, rename = "scale", skip_serializing_if = "Option::is_none")]
    ia3: Ia3Config,
    /// Prefixes of attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: PrefixConfig,
}

/// The parameters of BERT itself that train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainableBase {
    /// None.
    Nothing,
    /// Every `LayerNorm`, that of the embeddings included, as copies that belong to the task; the base keeps its own.
    LayerNorms,
    /// The same in this layer and all above it; lower layers and the embeddings use the base's.
    LayerNormsFrom(usize),
    /// This many layers from the top, and the pooler if it is used.
    TopLayers(usize),
    /// All, and the pooler if it is used.
    Everything,
}

impl AdapterPlan {
    /// The layers of each kind of module that is inserted.
    pub fn inserted_layers(&self) -> impl Iterator<Item = &Layers> {
        self.kinds().map(KindConfig::layers)
    }

    /// Whether anything is inserted.
    pub fn inserts(&self) -> bool {
        self.kinds().next().is_some()
    }

    /// The plan with all modules in these layers.
    #[must_use]
    pub fn in_layers(mut self, layers: &Layers) -> Self {
        self.kinds_mut().for_each(|config| config.layers_mut().clone_from(layers));
        self
    }

    /// Checks that the plan fits a base with this many layers.
    ///
    /// # Errors
    /// If a size, deviation or factor is out of range, a kind names no projection, or a layer does not exist.
    pub fn check(&self, n_layers: usize) -> Result<(), PlanError> {
        self.kinds().try_for_each(KindConfig::check)?;
        self.inserted_layers().try_for_each(|layers| layers.check(n_layers))?;
        let configured = self.kinds().filter_map(KindConfig::highest_configured_layer).max();
        if let Some(layer) = configured.filter(|layer| *layer >= n_layers) {
            return Err(PlanError::LayerOutOfRange { layer, n_layers });
        }
        match self.trainable_base {
            TrainableBase::TopLayers(layers) if layers == 0 || layers > n_layers => {
                Err(PlanError::TopLayers { layers, n_layers })
            }
            TrainableBase::LayerNormsFrom(first) => Layers::From(first).check(n_layers),
            _ => Ok(()),
        }
    }

    /// The lowest layer with anything of the task, in a base with this many layers.
    ///
    /// The hidden states below it are plain BERT's: no gradient is needed there, and without dropout they can be
    /// computed once.
    /// It is 0 as well if the embeddings train.
    pub fn lowest_layer(&self, n_layers: usize) -> usize {
        let trainable = match self.trainable_base {
            TrainableBase::Nothing => n_layers,
            TrainableBase::LayerNorms | TrainableBase::Everything => 0,
            TrainableBase::LayerNormsFrom(first) => first,
            TrainableBase::TopLayers(layers) => n_layers.saturating_sub(layers),
        };
        self.inserted_layers().map(Layers::lowest).fold(trainable, usize::min)
    }

    /// Whether weights of the base train, which then have to be in single precision.
    pub fn trains_base(&self) -> bool {
        matches!(self.trainable_base, TrainableBase::Everything | TrainableBase::TopLayers(_))
    }

    /// Whether a text's result depends on how much it is padded, and thus on the other texts of its batch: with batch
    /// norms and gates it does.
    pub fn depends_on_padding(&self) -> bool {
        self.kinds().any(KindConfig::depends_on_padding)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use burn_bert::Projection;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::methods::{
        Activation, Combine, DoraFormula, FinalNorm, INNER_NORM_EPSILON, InnerNorm, MAX_DEPTH,
        Method, OuterNorm, Placement, PrefixGate, RankScaling, ResidualSource, Scaling, Sites,
    };

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

    fn any_bottleneck() -> impl Strategy<Value = BottleneckConfig> {
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
            select(vec![OuterNorm::None, OuterNorm::Output, OuterNorm::Sum]),
            select(vec![FinalNorm::Applied, FinalNorm::Omitted]),
        );
        let both_or_one = select(Sites::ALL.to_vec());
        (any_layers(), both_or_one, placement, start, of_the_paper, of_adapter_hub).prop_map(
            |(layers, sites, (placement, skip), (size, init_std), of_the_paper, of_adapter_hub)| {
                let (inner, depth, combine, activation) = of_the_paper;
                let (inner_norm, inner_norm_epsilon) = inner;
                let (other_sizes, scaling, gate, outer_norm, final_norm) = of_adapter_hub;
                BottleneckConfig {
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
                    final_norm,
                }
            },
        )
    }

    fn any_low_rank() -> impl Strategy<Value = LoraConfig> {
        let scaling = select(vec![RankScaling::Rank, RankScaling::RankStabilized]);
        let gate_and_dora = select(vec![
            (false, None),
            (true, None),
            (false, Some(DoraFormula::Peft)),
            (false, Some(DoraFormula::AdapterHub)),
            (true, Some(DoraFormula::AdapterHub)),
        ]);
        let switches = (proptest::bool::ANY, gate_and_dora);
        (any_layers(), some_projections(), 1..99_usize, select(vec![1.0, 16.0]), scaling, switches)
            .prop_map(|(layers, projections, rank, alpha, scaling, (pooler, (gate, dora)))| {
                LoraConfig { layers, projections, pooler, rank, alpha, scaling, gate, dora }
            })
    }

    fn any_plan() -> impl Strategy<Value = AdapterPlan> {
        let scale = (any_layers(), some_projections(), some_projections())
            .prop_map(|(layers, outputs, inputs)| Ia3Config { layers, outputs, inputs });
        let gate = select(vec![PrefixGate::None, PrefixGate::Shared, PrefixGate::Separate]);
        let width = proptest::option::of(1..999_usize);
        let prefix = (any_layers(), 1..99_usize, width, gate).prop_map(
            |(layers, length, reparameterization, gate)| PrefixConfig {
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
        (inserted, tuned).prop_map(|((bottleneck, lora, ia3, prefix), trainable_base)| {
            AdapterPlan { bottleneck, lora, ia3, prefix, trainable_base }
        })
    }

    proptest! {
        #[test]
        fn a_plan_survives_json(plan in any_plan()) {
            plan.check(6).unwrap();
            let json = serde_json::to_string(&plan).unwrap();
            prop_assert_eq!(serde_json::from_str::<AdapterPlan>(&json).unwrap(), plan);
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
            let plan = AdapterPlan { trainable_base: tuned, ..Method::Houlsby.plan(8) };
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

    fn check_refused(change: impl FnOnce(&mut BottleneckConfig), sentence: &str) {
        let mut plan = Method::Houlsby.plan(64);
        change(plan.bottleneck.as_mut().unwrap());
        assert_eq!(plan.check(6).unwrap_err().to_string(), sentence);
    }

    #[test]
    fn corrections_that_cannot_be_are_refused() {
        let refused = |plan: AdapterPlan, sentence: &str| {
            assert_eq!(plan.check(6).unwrap_err().to_string(), sentence);
        };
        let zero = |what: &str| format!("{what} is 0, expected 1 or more");
        refused(Method::Lora.plan(0), &zero("the rank of LoRA"));
        refused(Method::Prefix.plan(0), &zero("the length of the prefixes"));
        let mut plan = Method::Prefix.plan(8);
        plan.prefix.as_mut().unwrap().reparameterization = Some(0);
        refused(plan, &zero("the width of the prefixes' network"));
        let mut plan = Method::Lora.plan(8);
        plan.lora.as_mut().unwrap().alpha = f64::NAN;
        refused(plan, "the alpha of LoRA is NaN, expected a finite number");
        let mut plan = Method::Lora.plan(8);
        plan.lora.as_mut().unwrap().projections.clear();
        let nothing =
            |what: &str| format!("the adapter settings have {what} but name no projection for it");
        refused(plan, &nothing("LoRA"));
        let mut plan = Method::Dora.plan(8);
        plan.lora.as_mut().unwrap().gate = true;
        refused(
            plan,
            "the adapter settings combine DoRA by PEFT's formula with gates, which only AdapterHub's formula supports",
        );
        let mut plan = Method::Ia3.plan(8);
        plan.ia3.as_mut().unwrap().outputs.clear();
        refused(plan, &nothing("(IA)³"));
        for method in [Method::Lora, Method::Ia3, Method::Prefix] {
            let sentence = "the adapter settings put an adapter into layer 6, but the base has 6 layers (0 to 5)";
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
            "the adapter settings put an adapter into layer 7, but the base has 6 layers (0 to 5)",
        );
        for depth in [0, 65] {
            check_refused(
                |plan| plan.depth = depth,
                &format!("the adapters' depth is {depth}, expected 1 (the paper's) to 64 layers"),
            );
        }
        check_refused(
            |plan| plan.layers = Layers::Only([2, 6].into()),
            "the adapter settings put an adapter into layer 6, but the base has 6 layers (0 to 5)",
        );
        for layers in [0, 7] {
            assert_eq!(
                Method::TopLayers(layers).plan(64).check(6).unwrap_err().to_string(),
                format!("the method trains the top {layers} layers, expected 1 to 6"),
            );
        }
    }

    #[test]
    fn a_plan_from_before_the_extensions_is_one_without_them() {
        let json = r#"{"bottleneck": {"layers": "all", "sites": "both", "placement": "serial", "size": 64,
            "activation": "gelu_new", "init_std": 0.01}, "tuned": "layer-norms"}"#;
        assert_eq!(serde_json::from_str::<AdapterPlan>(json).unwrap(), Method::Houlsby.plan(64));
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
        assert!(
            serde_json::from_str::<AdapterPlan>(json).unwrap_err().to_string().contains("lowrank")
        );
    }
}
