//! Spans of layers without adapters: the shared way gives the bits of the naive one.

use burn::tensor::{Device, TensorData};
use burn_adapters::{AblatedLayers, AdaptedBert, Method, ablate_spans};
use burn_bert::{BertConfig, BertInput, Encoder};

use crate::fixtures::{adapted, base, config, with_noise};

use crate::samples::{plans, some_input};

fn naively(model: &AdaptedBert, input: &BertInput) -> Vec<(std::ops::Range<usize>, TensorData)> {
    let n_layers = model.bert.n_layers();
    let spans = (0..n_layers).flat_map(|first| (first + 1..=n_layers).map(move |end| first..end));
    let logits = spans.map(|layers| {
        let without = AblatedLayers { task: &model.task, layers: layers.clone() };
        let hidden = model.bert.forward_with(input, &without);
        (layers, model.classify_hidden(hidden, &input.attention_mask).into_data())
    });
    logits.collect()
}

fn shared(model: &AdaptedBert, input: &BertInput) -> Vec<(std::ops::Range<usize>, TensorData)> {
    let mut spans = Vec::new();
    ablate_spans(model, input, |layers, logits| spans.push((layers, logits.into_data())));
    spans
}

#[test]
fn shared_layers_change_no_bit() {
    let device = Device::flex();
    let deeper = BertConfig {
        vocab_size: 16,
        hidden_size: 8,
        num_hidden_layers: 5,
        num_attention_heads: 2,
        intermediate_size: 16,
        max_position_embeddings: 8,
        ..BertConfig::bert_base()
    };
    let deeper = deeper.init(&device);
    for (name, mut plan) in plans(4) {
        if let Some(bottleneck) = &mut plan.bottleneck {
            bottleneck.init_std = 0.5;
        }
        for bert in [base(&device), deeper.clone()] {
            let model = adapted(bert, &config(plan.clone()));
            let input = some_input(&device);
            assert_eq!(shared(&model, &input), naively(&model, &input), "{name}");
        }
    }
}

#[test]
fn what_is_left_out_matters_and_what_is_not_there_does_not() {
    let device = Device::flex();
    let mut plan = Method::Houlsby.plan(4);
    plan.bottleneck.as_mut().unwrap().init_std = 0.5;
    plan.bottleneck.as_mut().unwrap().layers = burn_adapters::Layers::Only([1].into());
    let model = adapted(base(&device), &config(plan));
    let input = some_input(&device);
    let whole = model.forward(&input).into_data();
    let without =
        model.classify_hidden(model.bert.forward(&input), &input.attention_mask).into_data();
    assert_ne!(whole, without);
    // The task's norms are still those of the base.
    for (layers, logits) in shared(&model, &input) {
        assert_eq!(logits, if layers.contains(&1) { without.clone() } else { whole.clone() });
    }
}

#[test]
fn without_every_layer_plain_bert_is_left() {
    let device = Device::flex();
    let input = some_input(&device);
    let methods = [Method::Lora, Method::Ia3, Method::Prefix, Method::PrefixFlat, Method::Mam];
    for method in methods {
        let model = with_noise(adapted(base(&device), &config(method.plan(4))));
        let plain =
            model.classify_hidden(model.bert.forward(&input), &input.attention_mask).into_data();
        assert_ne!(model.forward(&input).into_data(), plain, "{method}");
        let spans = shared(&model, &input);
        let (_, found) = spans.iter().find(|(layers, _)| *layers == (0..2)).unwrap();
        assert_eq!(*found, plain, "{method}");
        assert!(spans.iter().filter(|(_, logits)| *logits == plain).count() == 1, "{method}");
    }
}

#[test]
fn the_norms_of_the_task_stay() {
    let device = Device::flex();
    let mut model = adapted(base(&device), &config(Method::Houlsby.plan(4)));
    let plain = model.classify_hidden(
        model.bert.forward(&some_input(&device)),
        &some_input(&device).attention_mask,
    );
    for layer in &mut model.task.layers {
        for site in [&mut layer.attention, &mut layer.feed_forward] {
            let norm = site.norm.as_mut().unwrap();
            norm.beta = norm.beta.take().map(|beta| beta.map(|beta| beta + 0.5));
        }
    }
    let without_norms = plain.into_data();
    for (layers, logits) in shared(&model, &some_input(&device)) {
        assert_ne!(logits, without_norms, "{layers:?}");
    }
}
