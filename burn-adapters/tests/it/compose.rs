//! Several tasks at once, against `AdapterHub` and against what must be so.

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::tanh;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_adapters::file::native::{self, AdapterMetadata, BaseIdentity, Calibration};
use burn_adapters::first_token;
use burn_adapters::{
    AblatedLayers, AdaptedBert, AdapterDrop, AdapterError, AdapterPlan, Average, BottleneckConfig,
    ComposeError, FinalNorm, HeadKind, InnerNorm, Layers, Method, OuterNorm, Pooling,
    ResidualSource, Sites, Stack, TaskAdapter, TaskAdapterConfig, TrainableBase, average_weights,
    classification_loss, fuse,
};
use burn_bert::{Encoder, EncoderPart, Insertions, ResidualNorm, Site};
use burn_fused::LayerNorm;

use crate::fixtures::{
    Tensors, adapted, all_tensors, base, config, from_torch, hub_name, input, max_abs_difference,
    path, read, with_tensors,
};
use crate::samples::{plans, some_input};

/// As for single adapters: the peers' own single-precision results are up to 6e-6 off.
const TOLERANCE: f32 = 2e-5;

fn fixture(file: &str) -> Tensors {
    read(path(&format!("adapters/fusion/{file}.safetensors")))
}

/// The adapters `fa` and `fb`, after Pfeiffer et al.
fn adapters() -> [AdaptedBert; 2] {
    ["fa", "fb"].map(|name| {
        let model = adapted(base(&Device::flex()), &config(Method::Pfeiffer.plan(8)));
        let tensors = fixture(&format!("{name}/adapter"));
        let trained = model.trainable_parameters().into_iter();
        let inserted = trained.filter(|parameter| !parameter.path.starts_with("task.head."));
        let tensors = inserted.map(|parameter| {
            let data = &tensors[&hub_name(&parameter.path, name)];
            (parameter.path.clone(), from_torch(&parameter.path, data))
        });
        let tensors = tensors.collect();
        with_tensors(model, tensors)
    })
}

/// The logits of the fixture's head, which is of two layers.
fn logits(model: &AdaptedBert, insertions: &dyn Insertions) -> TensorData {
    let head = fixture("model_head");
    let device = Device::flex();
    let linear = |x: Tensor<2>, layer: usize| {
        let tensor = |name: &str| head[&format!("heads.fuse.{layer}.{name}")].clone();
        let weight = Tensor::<2>::from_data(tensor("weight"), &device);
        let bias = Tensor::<1>::from_data(tensor("bias"), &device);
        x.matmul(weight.transpose()) + bias.unsqueeze()
    };
    let texts = input(&read(path("inputs.safetensors")), "", &device);
    let pooled = first_token(model.bert.forward_with(&texts, insertions));
    linear(tanh(linear(pooled, 1)), 4).into_data()
}

#[track_caller]
fn check_logits(found: &TensorData, name: &str) {
    let difference = max_abs_difference(found, &fixture("outputs")[name]);
    println!("{name}: {difference:e}");
    assert!(difference <= TOLERANCE, "{name}: {difference:e}");
}

#[test]
fn single_and_stacked_adapters_give_adapter_hubs_logits() {
    let [a, b] = adapters();
    check_logits(&logits(&a, &a.task), "logits_single_fa");
    check_logits(&logits(&a, &b.task), "logits_single_fb");
    let stack = Stack { below: std::slice::from_ref(&a.task), task: &b.task };
    check_logits(&logits(&a, &stack), "logits_stack");
    // The order counts.
    let turned = logits(&a, &Stack { below: std::slice::from_ref(&b.task), task: &a.task });
    assert!(max_abs_difference(&turned, &logits(&a, &stack)) > TOLERANCE);
}

#[test]
fn averaged_weights_give_adapter_hubs_logits() {
    let [a, b] = adapters();
    // Weights are relative.
    for factor in [1.0, 20.0] {
        let models = [(a.clone(), 0.3 * factor), (b.clone(), 0.7 * factor)];
        let mean = average_weights(&models).unwrap();
        check_logits(&logits(&mean, &mean.task), "logits_average_adapter_weights");
    }
}

#[test]
fn averaged_outputs_give_adapter_hubs_logits_but_for_its_division() {
    /// `AdapterHub` divides the weighted outputs, with the sub-layer's own in them, by their number once more.
    struct Halved<'a>([&'a TaskAdapter; 2]);

    impl Insertions for Halved<'_> {
        fn inner(&self, _part: EncoderPart) -> &dyn Insertions {
            &()
        }

        fn add_and_norm(
            &self,
            site: Site,
            residual: Tensor<3>,
            output: Tensor<3>,
            norm: ResidualNorm<'_>,
        ) -> Tensor<3> {
            let changes = self.0.map(|task| task.delta(site, &residual, &output, norm));
            let [Some(a), Some(b)] = changes else { return norm.forward([output, residual]) };
            norm.forward([(output + a * 0.3 + b * 0.7) / 2, residual])
        }
    }

    let [a, b] = adapters();
    check_logits(&logits(&a, &Halved([&a.task, &b.task])), "logits_average");
    let average = logits(&a, &Average { tasks: vec![(&a.task, 0.3), (&b.task, 0.7)] });
    assert!(max_abs_difference(&average, &fixture("outputs")["logits_average"]) > TOLERANCE);
}

#[test]
fn fused_adapters_give_adapter_hubs_logits() {
    let [a, b] = adapters();
    let tasks = [a.task, b.task].to_vec();
    let task = fuse(&config(Method::Fusion.plan(0)), tasks, &a.bert).unwrap();
    let model = AdaptedBert::new(a.bert, task).unwrap();
    let file = fixture("fuse");
    let tensors = model.trainable_parameters().into_iter().filter_map(|parameter| {
        let rest = parameter.path.strip_prefix("task.fusion.layers.")?;
        let (layer, rest) = rest.split_once(".feed_forward.")?;
        let name = format!("bert.encoder.layer.{layer}.output.adapter_fusion_layer.fa,fb.{rest}");
        Some((parameter.path.clone(), from_torch(&parameter.path, &file[&name])))
    });
    let tensors: Tensors = tensors.collect();
    assert_eq!(tensors.len(), file.len());
    let model = with_tensors(model, tensors);
    check_logits(&logits(&model, &model.task), "logits_fuse");
}

#[test]
fn adapters_dropped_from_a_layer_give_adapter_hubs_logits() {
    let file = |file: &str| read(path(&format!("adapters/houlsby_static/{file}.safetensors")));
    let (adapter, head) = (file("adapter"), file("model_head"));
    let mut plan = Method::Houlsby.plan(8);
    plan.bottleneck.as_mut().unwrap().activation = burn_adapters::Activation::Swish;
    plan.trainable_base = TrainableBase::Nothing;
    let model = adapted(base(&Device::flex()), &config(plan));
    let tensors = model.trainable_parameters().into_iter().map(|parameter| {
        let hub = hub_name(&parameter.path, "houlsby_static");
        let data = adapter.get(&hub).unwrap_or_else(|| &head[&hub]);
        (parameter.path.clone(), from_torch(&parameter.path, data))
    });
    let tensors = tensors.collect();
    let model = with_tensors(model, tensors);
    let texts = input(&read(path("inputs.safetensors")), "", &Device::flex());
    for (layers, name) in [("0", "logits_skip_layer0"), ("all", "logits_no_adapter")] {
        let layers: Layers = layers.parse().unwrap();
        let dropped = AdapterDrop { insertions: &model.task, layers: &layers };
        let found = model.forward_with(&texts, &dropped).into_data();
        assert!(max_abs_difference(&found, &file("outputs")[name]) <= TOLERANCE, "{name}");
    }
    // The norms are the base's, so that leaving out the bottlenecks is the same.
    let without = AblatedLayers { task: &model.task, layers: 0..1 };
    let found = model.forward_with(&texts, &without).into_data();
    assert!(max_abs_difference(&found, &file("outputs")["logits_skip_layer0"]) <= TOLERANCE);
}

/// A task whose bottlenecks and norms are far from what they started as.
fn strong(plan: &burn_adapters::AdapterPlan, seed: u64) -> AdaptedBert {
    let mut plan = plan.clone();
    if let Some(bottleneck) = &mut plan.bottleneck {
        bottleneck.init_std = 0.5;
    }
    let mut model = adapted(base(&Device::flex()), &TaskAdapterConfig { seed, ..config(plan) });
    let shift = seed as f32 / 8.0;
    let moved = |norm: &mut Option<LayerNorm>| {
        for norm in norm.iter_mut() {
            norm.beta = norm.beta.take().map(|beta| beta.map(|beta| beta + shift));
        }
    };
    moved(&mut model.task.embeddings_norm);
    for layer in &mut model.task.layers {
        moved(&mut layer.attention.norm);
        moved(&mut layer.feed_forward.norm);
    }
    model
}

fn near(found: Tensor<2>, expected: Tensor<2>) -> bool {
    max_abs_difference(&found.into_data(), &expected.into_data()) <= TOLERANCE
}

#[test]
fn below_a_layer_that_is_not_dropped_there_is_plain_bert() {
    let input = some_input(&Device::flex());
    let mask = &input.attention_mask;
    for (name, plan) in plans(4) {
        let model = strong(&plan, 3);
        let bert = &model.bert;
        for (layers, from) in [("..1", 1), ("all", 2)] {
            let layers: Layers = layers.parse().unwrap();
            let dropped = AdapterDrop { insertions: &model.task, layers: &layers };
            let plain = bert.run_layers(0..from, bert.embed(&input, &()), mask, &());
            let above = bert.run_layers(from..2, plain, mask, &model.task);
            let expected = model.classify_hidden(above, mask).into_data();
            let found = model.forward_with(&input, &dropped).into_data();
            assert_eq!(found, expected, "{name}");
        }
    }
}

#[test]
fn a_task_alone_is_its_own_stack_and_its_own_average() {
    let input = some_input(&Device::flex());
    let mut open = Method::Houlsby.plan(4);
    open.bottleneck.as_mut().unwrap().final_norm = FinalNorm::Omitted;
    for (name, plan) in plans(4).into_iter().chain([("closed by nothing".to_owned(), open)]) {
        let model = strong(&plan, 3);
        let expected = model.forward(&input);
        let stack = Stack { below: &[], task: &model.task };
        assert!(near(model.forward_with(&input, &stack), expected.clone()), "stack, {name}");
        // Prefixes are not averaged: they stand one after the other.
        if plan.prefix.is_none() {
            let twice = Average { tasks: vec![(&model.task, 0.25), (&model.task, 0.75)] };
            assert!(near(model.forward_with(&input, &twice), expected.clone()), "average, {name}");
        }
        let mean = average_weights(&[(model.clone(), 1.0), (model.clone(), 2.0)]).unwrap();
        assert!(near(mean.forward(&input), expected), "weights, {name}");
    }
}

#[test]
fn the_mean_of_norms_is_the_norm_of_means() {
    // AblatedLayers bottlenecks, averaging outputs and averaging weights are one.
    let input = some_input(&Device::flex());
    let [a, b] = [1, 2].map(|seed| strong(&Method::LayerNorm.plan(4), seed));
    let mean = average_weights(&[(a.clone(), 0.4), (b.clone(), 0.6)]).unwrap();
    let outputs = Average { tasks: vec![(&a.task, 0.4), (&b.task, 0.6)] };
    assert!(near(mean.forward(&input), mean.forward_with(&input, &outputs)));
    assert!(!near(mean.forward(&input), a.forward(&input)));
}

#[test]
fn only_adapters_of_one_kind_have_a_mean() {
    let [a, b] = [4, 8].map(|size| strong(&Method::Houlsby.plan(size), 1));
    assert_eq!(
        average_weights(&[(a.clone(), 1.0), (b, 1.0)]).unwrap_err().to_string(),
        "adapter 2 of those to be averaged has another method, size, pooling or head than the first; only adapters that have all of these in common can be averaged"
    );
    for weights in [vec![], vec![1.0, -1.0], vec![f64::NAN]] {
        let models: Vec<_> = weights.into_iter().map(|weight| (a.clone(), weight)).collect();
        assert!(matches!(
            average_weights(&models).unwrap_err(),
            AdapterError::Compose(ComposeError::AverageWeights { .. })
        ));
    }
}

fn fused(device: &Device) -> AdaptedBert {
    let bert = base(device);
    // The second stands at one of the two sites and leaves the norms as they are.
    let tasks = [
        (Sites::Both, TrainableBase::LayerNorms, 1),
        (Sites::FeedForward, TrainableBase::Nothing, 2),
    ];
    let tasks = tasks.map(|(sites, tuned, seed)| {
        let mut plan = AdapterPlan { trainable_base: tuned, ..Method::Houlsby.plan(4) };
        let bottleneck = plan.bottleneck.as_mut().unwrap();
        (bottleneck.init_std, bottleneck.sites) = (0.5, sites);
        adapted(bert.clone(), &TaskAdapterConfig { seed, ..config(plan) }).task
    });
    let task = fuse(&config(Method::Fusion.plan(0)), tasks.to_vec(), &bert).unwrap();
    AdaptedBert::new(bert, task).unwrap()
}

#[test]
fn a_fusion_starts_as_the_mean_of_its_adapters() {
    let device = Device::flex();
    let bert = base(&device);
    let [one, two] = [1, 2].map(|seed| strong(&Method::Houlsby.plan(4), seed));
    let tasks = vec![one.task.clone(), two.task.clone()];
    let mut task = fuse(&config(Method::Fusion.plan(0)), tasks, &bert).unwrap();
    // Queries of 0 prefer nobody; values start as the identity but for 1e-6.
    for layer in &mut task.fusion.as_mut().unwrap().layers {
        for site in [&mut layer.attention, &mut layer.feed_forward] {
            let query = &mut site.as_mut().unwrap().query;
            query.weight = query.weight.clone().map(|weight| weight.zeros_like());
        }
    }
    let model = AdaptedBert::new(bert, task).unwrap();
    let average = Average { tasks: vec![(&one.task, 0.5), (&two.task, 0.5)] };
    let input = some_input(&device);
    let difference = max_abs_difference(
        &model.forward(&input).into_data(),
        &model.forward_with(&input, &average).into_data(),
    );
    assert!(difference < 1e-3, "{difference:e}");
    assert!(!near(model.forward(&input), model.forward_with(&input, &one.task)));
}

#[test]
fn a_fusion_trains_and_its_adapters_stay() {
    let device = Device::flex().autodiff();
    let mut model = fused(&device);
    let before = all_tensors(&model);
    let mut optimizer = AdamConfig::new().init();
    for _ in 0..2 {
        let logits = model.forward(&some_input(&device));
        let loss = classification_loss(logits, Tensor::<1, Int>::from_data([2, 0], &device));
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        assert_eq!(gradients.len(), model.trainable_parameters().len());
        model = optimizer.step(1e-2, model, gradients);
    }
    for (path, after) in all_tensors(&model) {
        // A key's bias moves all products alike, and where one adapter stands alone there is nothing to weigh.
        let weighs = path.contains(".query.") || path.contains(".key.");
        if !weighs {
            assert_eq!(before[&path] != after, model.trains(&path), "{path}");
        }
        if path.contains("feed_forward.query.weight") {
            assert!(before[&path] != after, "{path}");
        }
    }
    let decaying = model.trainable_parameters().into_iter().filter(|parameter| parameter.decays);
    let decaying: Vec<_> = decaying.map(|parameter| parameter.path).collect();
    assert!(decaying.contains(&"task.fusion.layers.0.feed_forward.query.weight".to_owned()));
    assert!(!decaying.contains(&"task.fusion.layers.0.feed_forward.value.weight".to_owned()));
}

#[test]
fn a_fusion_is_one_file() {
    let device = Device::flex();
    let model = fused(&device);
    let metadata = AdapterMetadata {
        method: "fusion".to_owned(),
        task: "colors".to_owned(),
        data: None,
        input: None,
        head: HeadKind::Classification { labels: ["a", "b", "c"].map(str::to_owned).to_vec() },
        score: None,
        calibration: Calibration::default(),
        max_length: 16,
        base: BaseIdentity::new("tiny", "5f0c"),
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fused.safetensors");
    native::save(&file, &model, &metadata).unwrap();
    let (loaded, _) = native::load(&file, base(&device), "5f0c").unwrap();
    assert_eq!(all_tensors(&loaded), all_tensors(&model));
    let input = some_input(&device);
    assert_eq!(loaded.forward(&input).into_data(), model.forward(&input).into_data());
    // Nothing of the base is in it, and of the adapters what they insert.
    let names: Vec<_> = native::read_header(&file).unwrap().tensors.into_keys().collect();
    assert!(names.iter().all(|name| !name.starts_with("bert.")));
    assert!(
        names.contains(&"fusion.adapters.1.layers.0.feed_forward.bottleneck.up.bias".to_owned())
    );
    assert!(!names.iter().any(|name| name.starts_with("fusion.adapters") && name.contains("norm")));
}

#[test]
fn what_cannot_stay_as_it_is_is_not_fused() {
    let bert = base(&Device::flex());
    let mut with_batch_norm = Method::Houlsby.plan(4);
    let batch = |bottleneck: &mut BottleneckConfig| bottleneck.inner_norm = InnerNorm::Batch;
    with_batch_norm.bottleneck.as_mut().map(batch).unwrap();
    for (plan, sentence) in [
        (Method::Full.plan(4), "its base was trained: Everything"),
        (Method::LayerNorm.plan(4), "it has no bottlenecks"),
        (with_batch_norm, "it has an inner batch norm"),
    ] {
        let task = adapted(bert.clone(), &config(plan)).task;
        let error = fuse(&config(Method::Fusion.plan(0)), vec![task], &bert).unwrap_err();
        assert!(error.to_string().contains(sentence), "{error}");
    }
    let serial = || Method::Houlsby.plan(4);
    let changed = |change: fn(&mut BottleneckConfig)| {
        let mut plan = serial();
        change(plan.bottleneck.as_mut().unwrap());
        plan
    };
    let after_norm = |skip| {
        let mut plan = Method::Pfeiffer.plan(4);
        plan.bottleneck.as_mut().unwrap().skip = skip;
        plan
    };
    for (plans, sentence) in [
        ([serial(), Method::Pfeiffer.plan(4)], "its placement is not that of the first"),
        ([Method::Parallel.plan(4), Method::Parallel.plan(4)], "parallel to the sub-layer"),
        ([serial(), changed(|plan| plan.gate = true)], "it has a gate"),
        ([serial(), changed(|plan| plan.outer_norm = OuterNorm::Sum)], "it has an outer norm"),
        (
            [
                after_norm(ResidualSource::SublayerOutput),
                after_norm(ResidualSource::BottleneckInput),
            ],
            "its output is not added to the sub-layer's output",
        ),
        (
            [after_norm(ResidualSource::Sum), after_norm(ResidualSource::SublayerOutput)],
            "its output is not added to the sub-layer's output",
        ),
    ] {
        let tasks = plans.clone().map(|plan| adapted(bert.clone(), &config(plan)).task).to_vec();
        let error = fuse(&config(Method::Fusion.plan(0)), tasks, &bert).unwrap_err();
        assert!(error.to_string().contains(sentence), "{error}");
        // A file may hold such a fusion from before it was refused.
        let fused = plans
            .map(|plan| AdapterPlan { trainable_base: TrainableBase::Nothing, ..plan })
            .to_vec();
        let of_file = TaskAdapterConfig { fused, ..config(Method::Fusion.plan(0)) };
        of_file.init(&bert).unwrap();
    }
    let task = adapted(bert.clone(), &config(Method::Pfeiffer.plan(4))).task;
    let error = fuse(&config(Method::Houlsby.plan(4)), vec![task], &bert).unwrap_err();
    assert!(error.to_string().contains("adapters of its own"), "{error}");
    let error = fuse(&config(Method::Fusion.plan(0)), vec![], &bert).unwrap_err();
    assert!(matches!(error, AdapterError::Compose(ComposeError::NothingToFuse)));
}

#[test]
fn a_fusion_pools_and_counts_as_any_task() {
    let model = fused(&Device::flex());
    assert_eq!(model.task.config().pooling, Pooling::Pooler);
    // The first task's norms are averaged with those of the base, which the second has.
    assert_eq!(model.task.config().plan.trainable_base, TrainableBase::LayerNorms);
    let table = model.trainable_table().to_string();
    // 4 sites: query and key with biases, value without.
    assert!(table.contains("fusion                20       12,544"), "{table}");
    assert!(!table.contains("adapters"), "{table}");
}
