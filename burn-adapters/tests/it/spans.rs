//! A head that reads every token computes what `BertForQuestionAnswering` of transformers computes.

use burn::tensor::{Device, Int, Tensor};
use burn_adapters::{HeadKind, Method, Pooling, TaskAdapterConfig, TrainableBase, span_loss};

use crate::fixtures::{
    Tensors, adapted, base, config, from_torch, input, max_abs_difference, path, read, with_tensors,
};

/// As for the other logits of this BERT.
const TOLERANCE: f32 = 2e-5;

#[test]
fn spans_and_their_loss_are_those_of_transformers() {
    let device = Device::flex();
    let mut plan = Method::LayerNorm.plan(8);
    plan.trainable_base = TrainableBase::Nothing;
    let config =
        TaskAdapterConfig { head: HeadKind::Span, pooling: Pooling::FirstToken, ..config(plan) };
    let head = read(path("qa/head.safetensors"));
    let tensors: Tensors = ["weight", "bias"]
        .into_iter()
        .map(|name| {
            let path = format!("task.head.linear.{name}");
            let data = from_torch(&path, &head[&format!("qa_outputs.{name}")]);
            (path, data)
        })
        .collect();
    let model = with_tensors(adapted(base(&device), &config), tensors);

    let texts = read(path("inputs.safetensors"));
    let golden = read(path("qa/outputs.safetensors"));
    let logits = model.forward_tokens(&input(&texts, "", &device));
    let positions = |name: &str| {
        Tensor::<1>::from_data(texts[name].clone(), &device).int().unsqueeze_dim::<2>(1)
    };
    let spans: Tensor<2, Int> =
        Tensor::cat(vec![positions("start_positions"), positions("end_positions")], 1);
    let loss = span_loss(logits.clone(), spans);
    let of = |index| logits.clone().narrow(2, index, 1).squeeze_dim::<2>(2).into_data();
    for (name, found) in
        [("start_logits", of(0)), ("end_logits", of(1)), ("loss", loss.into_data())]
    {
        let difference = max_abs_difference(&found, &golden[&format!("{name}.f64")]);
        println!("{name}: {difference:e}");
        assert!(difference <= TOLERANCE, "{name}: {difference:e}");
    }
}
