//! Samples for laws that need no golden numbers.

use burn::tensor::{Bool, Device, Int, Tensor};
use burn_adapters::{
    AdapterPlan, BottleneckConfig, Combine, FinalNorm, InnerNorm, Layers, LoraConfig, Method,
    OuterNorm, PrefixGate, RankScaling, ResidualSource, Scaling, Sites,
};
use burn_bert::{BertInput, Projection};

/// One of each method.
pub(crate) const METHODS: [Method; 15] = [
    Method::Houlsby,
    Method::HoulsbyCode,
    Method::Pfeiffer,
    Method::Parallel,
    Method::ScaledParallel,
    Method::Lora,
    Method::Dora,
    Method::DoraAdapterHub,
    Method::Ia3,
    Method::Prefix,
    Method::PrefixFlat,
    Method::Mam,
    Method::LayerNorm,
    Method::TopLayers(1),
    Method::Full,
];

/// Every method, every extension of the paper's section 3.6 and every switch of the peers: each alone, and together.
pub(crate) fn plans(size: usize) -> Vec<(String, AdapterPlan)> {
    let methods = METHODS.map(|method| (method.to_string(), small(method.plan(size))));
    methods.into_iter().chain(extended_plans(size)).chain(peers_plans(size)).collect()
}

/// The plan with a network for its prefixes that fits a small base.
fn small(mut plan: AdapterPlan) -> AdapterPlan {
    if let Some(prefix) = &mut plan.prefix {
        prefix.length = 3;
        prefix.reparameterization = prefix.reparameterization.map(|_| 16);
    }
    plan
}

/// What `AdapterHub` and `PEFT` can switch on.
pub(crate) fn peers_plans(size: usize) -> Vec<(String, AdapterPlan)> {
    type Switch = fn(&mut AdapterPlan, usize);
    fn bottleneck(plan: &mut AdapterPlan) -> &mut BottleneckConfig {
        plan.bottleneck.as_mut().unwrap()
    }
    fn low_rank(plan: &mut AdapterPlan) -> &mut LoraConfig {
        plan.lora.as_mut().unwrap()
    }
    fn everywhere(plan: &mut LoraConfig) {
        plan.projections = Projection::ALL.into();
        plan.pooler = true;
        plan.scaling = RankScaling::RankStabilized;
    }
    let switches: [(&str, Method, Switch); 15] = [
        ("skip sum", Method::Pfeiffer, |plan, _| bottleneck(plan).skip = ResidualSource::Sum),
        ("skip read", Method::Pfeiffer, |plan, _| {
            bottleneck(plan).skip = ResidualSource::BottleneckInput;
        }),
        ("outer norm", Method::Houlsby, |plan, _| bottleneck(plan).outer_norm = OuterNorm::Output),
        ("outer norm of the sum", Method::Houlsby, |plan, _| {
            bottleneck(plan).outer_norm = OuterNorm::Sum;
        }),
        ("Adapter+", Method::Pfeiffer, |plan, _| {
            let plan = bottleneck(plan);
            (plan.skip, plan.final_norm) = (ResidualSource::BottleneckInput, FinalNorm::Omitted);
            plan.scaling = Scaling::PerChannel;
        }),
        ("gate", Method::Houlsby, |plan, _| bottleneck(plan).gate = true),
        ("fixed factor", Method::Houlsby, |plan, _| {
            bottleneck(plan).scaling = Scaling::Fixed(0.5);
        }),
        ("sizes", Method::Houlsby, |plan, size| {
            bottleneck(plan).sizes = [(1, size + 1)].into();
        }),
        ("everywhere", Method::Lora, |plan, _| everywhere(low_rank(plan))),
        ("everywhere", Method::Dora, |plan, _| everywhere(low_rank(plan))),
        ("everywhere", Method::DoraAdapterHub, |plan, _| everywhere(low_rank(plan))),
        ("gate", Method::DoraAdapterHub, |plan, _| low_rank(plan).gate = true),
        ("PEFT", Method::Ia3, |plan, _| {
            let plan = plan.ia3.as_mut().unwrap();
            plan.outputs = [Projection::Key, Projection::Value].into();
            plan.inputs = [Projection::AttentionOutput, Projection::FeedForwardOut].into();
        }),
        ("two gates", Method::PrefixFlat, |plan, _| {
            plan.prefix.as_mut().unwrap().gate = PrefixGate::Separate;
        }),
        ("UniPELT", Method::Pfeiffer, |plan, size| {
            bottleneck(plan).gate = true;
            plan.lora = Method::Lora.plan(size).lora;
            low_rank(plan).gate = true;
            plan.prefix = Method::Prefix.plan(size).prefix;
            plan.prefix.as_mut().unwrap().gate = PrefixGate::Shared;
        }),
    ];
    let plans = switches.into_iter().map(|(name, method, switch)| {
        let mut plan = method.plan(size);
        switch(&mut plan, size);
        (format!("{method}, {name}"), small(plan))
    });
    plans.collect()
}

/// Methods with extensions switched on.
pub(crate) fn extended_plans(size: usize) -> Vec<(String, AdapterPlan)> {
    type Switch = fn(&mut BottleneckConfig);
    let switches: [(&str, Method, Switch); 11] = [
        ("layer norm", Method::Houlsby, |plan| plan.inner_norm = InnerNorm::Layer),
        ("batch norm", Method::Houlsby, |plan| plan.inner_norm = InnerNorm::Batch),
        ("depth 3", Method::Houlsby, |plan| plan.depth = 3),
        ("attention", Method::Houlsby, |plan| plan.sites = Sites::Attention),
        ("feed-forward", Method::Houlsby, |plan| plan.sites = Sites::FeedForward),
        ("layers 1..", Method::Houlsby, |plan| plan.layers = Layers::From(1)),
        ("multiply", Method::Houlsby, |plan| plan.combine = Combine::Multiply),
        ("multiply", Method::Pfeiffer, |plan| plan.combine = Combine::Multiply),
        ("multiply", Method::Parallel, |plan| plan.combine = Combine::Multiply),
        ("layer norm, depth 2", Method::Pfeiffer, |plan| {
            plan.inner_norm = InnerNorm::Layer;
            plan.depth = 2;
        }),
        ("everything", Method::Parallel, |plan| {
            plan.inner_norm = InnerNorm::Batch;
            plan.depth = 2;
            plan.sites = Sites::Both;
            plan.combine = Combine::Multiply;
        }),
    ];
    let extended = switches.into_iter().map(|(name, method, switch)| {
        let mut plan = method.plan(size);
        plan.bottleneck.as_mut().map(switch).unwrap();
        (format!("{method}, {name}"), plan)
    });
    extended.collect()
}

/// Two texts, the second with padding.
pub(crate) fn some_input(device: &Device) -> BertInput {
    let input_ids = Tensor::<2, Int>::from_data([[2, 7, 9, 11, 3], [2, 5, 3, 0, 0]], device);
    BertInput {
        attention_mask: Tensor::<2, Bool>::from_data(
            [[true, true, true, true, true], [true, true, true, false, false]],
            device,
        ),
        token_type_ids: Tensor::from_data([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]], device),
        input_ids,
    }
}
