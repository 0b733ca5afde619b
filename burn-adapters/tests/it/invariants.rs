//! Laws: what holds for every method, whatever the numbers.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor};
use burn_adapters::{
    AdaptedBert, AdapterError, AdapterPlan, BottleneckConfig, FinalNorm, HeadError, HeadKind,
    Method, OuterNorm, PlanError, Pooling, PrefixGate, ResidualSource, TaskAdapterConfig,
    classification_loss,
};
use burn_adapters::{first_token, mean_of_tokens};
use burn_bert::{Bert, BertConfig, BertInput, Encoder};

use crate::fixtures::{
    adapted, all_tensors, base, config, max_abs, max_abs_difference, with_noise,
};

use crate::samples::{extended_plans, plans, some_input};

/// A small base with dropout, with random weights.
fn base_with_dropout(device: &Device) -> Bert {
    small_base().init(device)
}

fn small_base() -> BertConfig {
    BertConfig {
        vocab_size: 16,
        hidden_size: 8,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 16,
        max_position_embeddings: 8,
        ..BertConfig::bert_base()
    }
}

/// What plain BERT with the task's head says.
fn plain_logits(model: &AdaptedBert, input: &BertInput) -> Tensor<2> {
    let hidden = model.bert.forward_with(input, &());
    let pooled = match model.task.config().pooling {
        Pooling::Pooler => model.bert.pool(hidden),
        Pooling::FirstToken => first_token(hidden),
        Pooling::Mean => mean_of_tokens(hidden, input.attention_mask.clone()),
    };
    model.task.head.forward(pooled)
}

#[test]
fn an_untracked_model_keeps_nothing_and_takes_nothing_from_the_other() {
    let device = Device::flex().autodiff();
    for (name, plan) in plans(4) {
        let model = adapted(base(&device), &config(plan));
        let untracked = model.untracked();
        assert!(!untracked.forward(&some_input(&device)).is_tracked(), "{name}");
        assert!(model.forward(&some_input(&device)).is_tracked(), "{name}");
        assert_eq!(all_tensors(&untracked), all_tensors(&model), "{name}");
    }
}

#[test]
fn a_zero_adapter_changes_nothing() {
    let device = Device::flex();
    // A prefix is seen whatever it holds, and some of the peers' switches change BERT's own sum.
    let plans = plans(4).into_iter().filter(|(_, plan)| {
        let changes_the_sum = |plan: &BottleneckConfig| {
            plan.skip != ResidualSource::SublayerOutput
                || plan.final_norm != FinalNorm::Applied
                || plan.outer_norm == OuterNorm::Sum
        };
        plan.prefix.is_none() && !plan.bottleneck.as_ref().is_some_and(changes_the_sum)
    });
    for (name, plan) in plans {
        let mut model = adapted(base(&device), &config(plan.clone()));
        for layer in &mut model.task.layers {
            for site in [&mut layer.attention, &mut layer.feed_forward] {
                if let Some(bottleneck) = &mut site.bottleneck {
                    let zeros = bottleneck.up.weight.val().zeros_like();
                    bottleneck.up.weight = Param::from_tensor(zeros);
                }
            }
        }
        let input = some_input(&device);
        let (adapted, plain) =
            (model.forward(&input).into_data(), plain_logits(&model, &input).into_data());
        assert_eq!(adapted, plain, "{name}");
    }
}

#[test]
fn corrections_and_scales_start_at_nothing() {
    let device = Device::flex();
    let starts_at_nothing =
        |plan: &AdapterPlan| plan.bottleneck.is_none() && plan.prefix.is_none() && plan.inserts();
    let plans: Vec<_> = plans(4).into_iter().filter(|(_, plan)| starts_at_nothing(plan)).collect();
    assert!(plans.len() >= 4);
    for (name, plan) in plans {
        let model = adapted(base(&device), &config(plan));
        let input = some_input(&device);
        let plain = plain_logits(&model, &input).into_data();
        assert_eq!(model.forward(&input).into_data(), plain, "{name}");
    }
}

#[test]
fn a_fresh_adapter_is_near_the_identity() {
    let device = Device::flex();
    for (method, near) in [(Method::Houlsby, 1e-2), (Method::HoulsbyCode, 1e-4)] {
        let model = adapted(base(&device), &config(method.plan(8)));
        let input = some_input(&device);
        let (adapted, plain) =
            (model.forward(&input).into_data(), plain_logits(&model, &input).into_data());
        let distance = max_abs_difference(&adapted, &plain) / max_abs(&plain);
        println!("{method}: {distance:e}");
        assert!(distance > 0.0 && distance < near, "{method}: {distance:e}");
    }
}

#[test]
fn a_fresh_adapter_with_extensions_is_near_the_identity() {
    for (name, mut plan) in extended_plans(8) {
        plan.bottleneck.as_mut().unwrap().init_std = 1e-2;
        // Batch norm norms by the batch while it trains, and by its running statistics afterwards.
        for device in [Device::flex(), Device::flex().autodiff()] {
            let model = adapted(base(&device), &config(plan.clone()));
            let input = some_input(&device);
            let (adapted, plain) =
                (model.forward(&input).into_data(), plain_logits(&model, &input).into_data());
            let distance = max_abs_difference(&adapted, &plain) / max_abs(&plain);
            println!("{name}: {distance:e}");
            assert!(distance > 0.0 && distance < 1e-2, "{name}: {distance:e}");
        }
    }
}

#[test]
fn gradients_are_asked_for_exactly_what_trains() {
    struct Check<'a>(Vec<String>, &'a AdaptedBert);

    impl ModuleVisitor for Check<'_> {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.0.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let path = self.0.join(".");
            assert_eq!(param.val().is_require_grad(), self.1.trains(&path), "{path}");
        }
    }

    for (_, plan) in plans(4) {
        for pooling in Pooling::ALL {
            let config = TaskAdapterConfig { pooling, ..config(plan.clone()) };
            let later = adapted(base_with_dropout(&Device::flex()), &config).train();
            let at_once = adapted(base_with_dropout(&Device::flex().autodiff()), &config);
            for model in [later, at_once] {
                model.visit(&mut Check(Vec::new(), &model));
            }
        }
    }
}

#[test]
fn what_is_frozen_never_changes_and_what_trains_does() {
    let device = Device::flex().autodiff();
    // The base and its dropout are drawn; a gradient that is lost in rounding would be an accident.
    device.seed(7);
    // Wide enough that no relu is dead for every token.
    for (name, mut plan) in plans(16) {
        if let Some(bottleneck) = &mut plan.bottleneck {
            // The gradients of a deep adapter near zero are too small to move a scale of 1.
            bottleneck.init_std = 0.5;
        }
        for pooling in Pooling::ALL {
            let config = TaskAdapterConfig { pooling, head_dropout: 0.1, ..config(plan.clone()) };
            // What starts at 0 would hold up the gradients of what it is multiplied with.
            let mut model = with_noise(adapted(base_with_dropout(&device), &config));
            let before = all_tensors(&model);
            let mut optimizer = AdamConfig::new().init();
            for _ in 0..2 {
                let logits = model.forward(&some_input(&device));
                let loss =
                    classification_loss(logits, Tensor::<1, Int>::from_data([2, 0], &device));
                let gradients = GradientsParams::from_grads(loss.backward(), &model);
                assert_eq!(
                    gradients.len(),
                    model.trainable_parameters().len(),
                    "{name} {pooling:?}"
                );
                model = optimizer.step(1e-2, model, gradients);
            }
            for (path, after) in all_tensors(&model) {
                // The gradient of a key's bias is rounding, which may be exactly 0.
                if !path.ends_with("key.bias") {
                    assert_eq!(
                        before[&path] != after,
                        model.is_saved(&path),
                        "{name} {pooling:?} {path}"
                    );
                }
            }
        }
    }
}

#[test]
fn dropout_goes_on_in_the_frozen_base() {
    let device = Device::flex().autodiff();
    let model = adapted(base_with_dropout(&device), &config(Method::Houlsby.plan(4)));
    let run = |model: &AdaptedBert, device: &Device| model.forward(&some_input(device)).into_data();
    assert_ne!(run(&model, &device), run(&model, &device));
    let model = model.valid();
    assert_eq!(run(&model, &Device::flex()), run(&model, &Device::flex()));
}

#[test]
fn two_tasks_on_one_base_share_no_parameter() {
    let bert = base(&Device::flex());
    let ids = |method: Method| {
        let model = adapted(bert.clone(), &config(method.plan(4)));
        let of_base = burn::module::list_param_ids(&model.bert);
        let of_task = burn::module::list_param_ids(&model.task);
        (of_base, of_task)
    };
    let ((base_ids, one), (_, two)) = (ids(Method::Houlsby), ids(Method::Houlsby));
    assert!(one.iter().all(|id| !two.contains(id) && !base_ids.contains(id)));
}

#[test]
fn the_seed_alone_decides_the_start() {
    let (one, other) = (Device::flex(), Device::flex().autodiff());
    let start = |device: &Device, seed| {
        let config = TaskAdapterConfig { seed, ..config(Method::Houlsby.plan(4)) };
        all_tensors(&config.init(&base(device)).unwrap())
    };
    one.seed(1);
    let first = start(&one, 5);
    one.seed(2);
    assert_eq!(first, start(&other, 5));
    assert_ne!(first, start(&one, 6));
}

#[test]
fn a_layer_starts_alike_whatever_stands_elsewhere() {
    let device = Device::flex();
    let mut narrow = Method::Houlsby.plan(4);
    narrow.bottleneck.as_mut().unwrap().layers = burn_adapters::Layers::Only([1].into());
    let all = all_tensors(&config(Method::Houlsby.plan(4)).init(&base(&device)).unwrap());
    let one = all_tensors(&config(narrow).init(&base(&device)).unwrap());
    assert!(one.len() < all.len());
    assert!(one.keys().all(|path| !path.starts_with("layers.0.attention.bottleneck")));
    for (path, tensor) in one {
        assert_eq!(tensor, all[&path], "{path}");
    }
}

#[test]
fn padding_does_not_reach_the_logits() {
    let device = Device::flex();
    // A gate is a mean over padding too, as its inventors have it.
    let sees_padding = |(_, plan): &(String, AdapterPlan)| {
        plan.bottleneck.as_ref().is_some_and(|plan| plan.gate)
            || plan.lora.as_ref().is_some_and(|plan| plan.gate)
            || plan.prefix.as_ref().is_some_and(|plan| plan.gate != PrefixGate::None)
    };
    for (name, plan) in plans(4).into_iter().filter(|plan| !sees_padding(plan)) {
        for pooling in Pooling::ALL {
            let model =
                adapted(base(&device), &TaskAdapterConfig { pooling, ..config(plan.clone()) });
            let input = some_input(&device);
            let together = model.forward(&input).narrow(0, 1, 1);
            let alone = model.forward(&BertInput {
                input_ids: input.input_ids.slice([1..2, 0..3]),
                token_type_ids: input.token_type_ids.slice([1..2, 0..3]),
                attention_mask: input.attention_mask.slice([1..2, 0..3]),
            });
            let difference = max_abs_difference(&together.into_data(), &alone.into_data());
            assert!(difference < 2e-5, "{name} {pooling:?}: {difference:e}");
        }
    }
}

#[test]
fn a_task_for_another_base_is_refused() {
    let device = Device::flex();
    let task = config(Method::Houlsby.plan(4)).init(&base_with_dropout(&device)).unwrap();
    let deeper = BertConfig { num_hidden_layers: 3, ..small_base() }.init(&device);
    assert_eq!(
        AdaptedBert::new(deeper, task).unwrap_err().to_string(),
        "the task was made for a base of 2 layers, 8 wide, but this base has 3 layers and is 8 wide"
    );
}

#[test]
fn configurations_that_cannot_be_are_refused() {
    let bert = base(&Device::flex());
    let refused = |config: TaskAdapterConfig| config.init(&bert).unwrap_err();
    let good = config(Method::Houlsby.plan(4));
    assert!(matches!(
        refused(TaskAdapterConfig { head: HeadKind::unnamed(0), ..good.clone() }),
        AdapterError::Head(HeadError::NoOutputs)
    ));
    for head_dropout in [1.0, -0.1, f64::NAN] {
        let error = refused(TaskAdapterConfig { head_dropout, ..good.clone() });
        assert!(matches!(error, AdapterError::Head(HeadError::Dropout { .. })));
    }
    let error = refused(TaskAdapterConfig { plan: Method::TopLayers(3).plan(4), ..good });
    assert!(matches!(error, AdapterError::Plan(PlanError::TopLayers { layers: 3, n_layers: 2 })));
    let error = config(Method::Houlsby.plan(4)).init(&bert.without_pooler()).unwrap_err();
    assert!(matches!(error, AdapterError::Head(HeadError::NoPooler)));
}
