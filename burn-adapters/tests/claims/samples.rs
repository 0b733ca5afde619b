//! Samples for laws that need no golden numbers.

use burn::tensor::{Bool, Device, Int, Tensor};
use burn_adapters::{BottleneckPlan, Combine, InnerNorm, Layers, Method, Plan, Sites};
use burn_bert::BertInput;

/// One of each method.
pub(crate) const METHODS: [Method; 7] = [
    Method::Houlsby,
    Method::HoulsbyCode,
    Method::Pfeiffer,
    Method::Parallel,
    Method::LayerNorm,
    Method::TopLayers(1),
    Method::Full,
];

/// Every method, and every extension of the paper's section 3.6: each switch alone, and together.
pub(crate) fn plans(size: usize) -> Vec<(String, Plan)> {
    let methods = METHODS.map(|method| (method.to_string(), method.plan(size)));
    methods.into_iter().chain(extended_plans(size)).collect()
}

/// Methods with extensions switched on.
pub(crate) fn extended_plans(size: usize) -> Vec<(String, Plan)> {
    type Switch = fn(&mut BottleneckPlan);
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
