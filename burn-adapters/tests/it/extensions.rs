//! The paper's extensions, one by one: how much they train, that all of it trains, and what they compute.

use burn::module::Module;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Int, Tensor};
use burn_adapters::file::native::{AdapterMetadata, BaseIdentity, Calibration, load, save};
use burn_adapters::{
    Activation, AdaptedBert, AdapterPlan, BottleneckConfig, Combine, Group, HeadKind, InnerNorm,
    LoraConfig, Method, OuterNorm, Placement, Scaling, Sites, classification_loss,
};
use burn_bert::{Encoder, Insertions, Projection, ResidualNorm, Site};

use crate::fixtures::{
    adapted, all_tensors, base, config, gradients_by_path, max_abs, max_abs_difference,
};
use crate::samples::{plans, some_input};

/// Widths of the base of the fixtures, and its layers.
const D_MODEL: usize = 32;
const D_WIDE: usize = 64;
const N_LAYERS: usize = 2;

fn step(model: &AdaptedBert, device: &Device) -> GradientsParams {
    let logits = model.forward(&some_input(device));
    let loss = classification_loss(logits, Tensor::<1, Int>::from_data([2, 0], device));
    GradientsParams::from_grads(loss.backward(), model)
}

#[test]
fn adapters_are_counted_by_formula() {
    for size in [1, 4, 7] {
        for (name, plan) in plans(size).into_iter().filter(|(_, plan)| plan.inserts()) {
            let layers = 0..N_LAYERS;
            let expected: usize =
                layers.map(|layer| inserted_parameters(&plan, layer)).sum::<usize>()
                    + shared_parameters(&plan);
            let table = adapted(base(&Device::flex()), &config(plan)).trainable_table();
            let row = table.rows.iter().find(|row| row.group == Group::Adapters).unwrap();
            assert_eq!(row.parameters, expected, "{name}, size {size}");
        }
    }
}

fn inserted_parameters(plan: &AdapterPlan, layer: usize) -> usize {
    let width = |projection, wide| if projection == wide { D_WIDE } else { D_MODEL };
    let d_input = |projection: &Projection| width(*projection, Projection::FeedForwardOut);
    let d_output = |projection: &Projection| width(*projection, Projection::FeedForwardIn);
    let mut sum = 0;
    if let Some(plan) = plan.bottleneck.as_ref().filter(|plan| plan.layers.contains(layer)) {
        let size = plan.size_in(layer);
        let mut one = 2 * size * D_MODEL + D_MODEL + size;
        one += (plan.depth - 1) * (size * size + size);
        one += if plan.inner_norm == InnerNorm::None { 0 } else { 2 * D_MODEL };
        one += if plan.outer_norm == OuterNorm::None { 0 } else { 2 * D_MODEL };
        one += if plan.gate { D_MODEL + 1 } else { 0 };
        one += match plan.scaling {
            Scaling::None | Scaling::Fixed(_) => 0,
            Scaling::Learned => 1,
            Scaling::PerChannel => D_MODEL,
        };
        sum += one * if plan.sites == Sites::Both { 2 } else { 1 };
    }
    if let Some(plan) = plan.lora.as_ref().filter(|plan| plan.layers.contains(layer)) {
        for projection in &plan.projections {
            sum += plan.rank * (d_input(projection) + d_output(projection));
            sum += if plan.gate { d_input(projection) + 1 } else { 0 };
            sum += if plan.dora.is_some() { d_output(projection) } else { 0 };
        }
    }
    if let Some(plan) = plan.ia3.as_ref().filter(|plan| plan.layers.contains(layer)) {
        sum += plan.inputs.iter().map(d_input).sum::<usize>();
        sum += plan.outputs.iter().map(d_output).sum::<usize>();
    }
    if let Some(plan) = plan.prefix.as_ref().filter(|plan| plan.layers.contains(layer)) {
        let rows = plan.reparameterization.map_or(plan.length, |width| width + 1);
        sum += rows * 2 * D_MODEL + plan.gate.gates() * (D_MODEL + 1);
    }
    sum
}

fn shared_parameters(plan: &AdapterPlan) -> usize {
    let width =
        plan.prefix.as_ref().and_then(|plan| plan.reparameterization.zip(Some(plan.length)));
    let source = width.map_or(0, |(width, length)| length * D_MODEL + (D_MODEL + 1) * width);
    let pooler = plan.lora.as_ref().filter(|plan| plan.pooler);
    let magnitudes = |plan: &LoraConfig| if plan.dora.is_some() { D_MODEL } else { 0 };
    source + pooler.map_or(0, |plan| plan.rank * 2 * D_MODEL + magnitudes(plan))
}

#[test]
fn every_parameter_gets_a_gradient_that_is_not_zero() {
    let device = Device::flex().autodiff();
    for activation in Activation::ALL {
        // Wide enough that no relu is dead for every token.
        for (name, mut plan) in plans(16) {
            if plan.lora.is_some() {
                // A correction starts at nothing, and so does the gradient of its first half.
                continue;
            }
            let Some(bottleneck) = &mut plan.bottleneck else { continue };
            bottleneck.activation = activation;
            // The paper's σ would give a deep adapter gradients that are too small to be told from rounding.
            bottleneck.init_std = 0.5;
            let model = adapted(base(&device), &config(plan));
            let gradients = gradients_by_path(&model, &step(&model, &device));
            for parameter in model.trainable_parameters() {
                let gradient = gradients.get(&parameter.path);
                let gradient = gradient.unwrap_or_else(|| panic!("{name}: no {}", parameter.path));
                assert!(
                    max_abs(gradient) > 0.0,
                    "{name}, {}: {}",
                    activation.name(),
                    parameter.path
                );
            }
        }
    }
}

#[test]
fn pre_norm_sites_add_without_a_norm() {
    let device = Device::flex();
    for (method, formula) in [
        (Method::Houlsby, "x + h + A(h)"),
        (Method::Pfeiffer, "x + h + A(h + x)"),
        (Method::Parallel, "x + h + 4 A(x)"),
        (Method::LayerNorm, "x + h"),
    ] {
        let mut plan = method.plan(4);
        plan.bottleneck.iter_mut().for_each(|bottleneck| bottleneck.init_std = 0.5);
        let model = adapted(base(&device), &config(plan));
        let x = model.bert.embed(&some_input(&device), &());
        let h = x.clone().tanh() * 0.5 + 0.25;
        let a = model.task.layers[1].feed_forward.bottleneck.as_ref();
        let sum = h.clone() + x.clone();
        let expected = match (method, a) {
            (Method::Houlsby, Some(a)) => sum + a.forward(h.clone()),
            (Method::Pfeiffer, Some(a)) => sum.clone() + a.forward(sum),
            (Method::Parallel, Some(a)) => sum + a.forward(x.clone()) * 4.0,
            _ => sum,
        };
        let site = Site::FeedForward(1);
        let found = model.task.add_and_norm(site, x, h, ResidualNorm::Pre).into_data();
        let difference = max_abs_difference(&found, &expected.into_data());
        assert!(difference <= 1e-5, "{formula}: {difference:e}");
    }
}

#[test]
fn a_product_is_that_of_the_formula() {
    let device = Device::flex();
    for (method, placement) in [
        (Method::Houlsby, Placement::Serial),
        (Method::Pfeiffer, Placement::AfterNorm),
        (Method::Parallel, Placement::Parallel { scaling: 4.0 }),
    ] {
        let mut plan = method.plan(4);
        let bottleneck = plan.bottleneck.as_mut().unwrap();
        (bottleneck.combine, bottleneck.init_std) = (Combine::Multiply, 0.5);
        assert_eq!(bottleneck.placement, placement);
        let model = adapted(base(&device), &config(plan));
        let site = &model.task.layers[1].feed_forward;
        let norm = model.bert.norm(Site::FeedForward(1)).unwrap();
        let a = site.bottleneck.as_ref().unwrap();
        let x = model.bert.embed(&some_input(&device), &());
        let h = x.clone().tanh() * 0.5 + 0.25;
        let answer = match placement {
            Placement::Serial => a.forward(h.clone()),
            Placement::AfterNorm => a.forward(norm.forward(h.clone() + x.clone())),
            Placement::Parallel { scaling } => a.forward(x.clone()) * scaling,
        };
        let expected = norm.forward(h.clone() * (answer + 1.0) + x.clone());
        let found = model.task.add_and_norm(Site::FeedForward(1), x, h, ResidualNorm::Post(norm));
        let difference = max_abs_difference(&found.into_data(), &expected.into_data());
        assert!(difference < 1e-5, "{method}: {difference:e}");
    }
}

#[test]
fn a_deeper_bottleneck_is_that_of_the_formula() {
    let device = Device::flex();
    let rng = burn_adapters::NamedRng::new(3);
    let config = BottleneckConfig {
        init_std: 0.5,
        depth: 3,
        inner_norm: InnerNorm::Layer,
        ..BottleneckConfig::new(Placement::Serial, 4, Activation::Tanh)
    };
    let bottleneck = config.init(0, 6, &rng, &device);
    assert_eq!(bottleneck.hidden.len(), 2);
    let x = Tensor::<3>::from_data(
        [[[1.0, -2.0, 0.5, 3.0, 0.0, 1.0], [2.0, 2.0, -1.0, 0.0, 4.0, 0.5]]],
        &device,
    );
    let mean = x.clone().mean_dim(2);
    let centered = x.clone() - mean;
    let deviation = centered.clone().square().mean_dim(2).sqrt();
    let mut expected = centered / deviation;
    for layer in [&bottleneck.down, &bottleneck.hidden[0], &bottleneck.hidden[1]] {
        expected = layer.forward(expected).tanh();
    }
    let expected = bottleneck.up.forward(expected);
    let difference = max_abs_difference(&bottleneck.forward(x).into_data(), &expected.into_data());
    assert!(difference < 1e-5, "{difference:e}");
}

#[test]
fn batch_norm_norms_by_all_positions_and_then_by_running_statistics() {
    let device = Device::flex();
    let plain = BottleneckConfig {
        init_std: 0.5,
        ..BottleneckConfig::new(Placement::Serial, 3, Activation::GeluNew)
    };
    let config = BottleneckConfig { inner_norm: InnerNorm::Batch, ..plain.clone() };
    let rng = burn_adapters::NamedRng::new(3);
    let with = config.init(0, 2, &rng, &device.clone().autodiff());
    let without = plain.init(0, 2, &rng, &device);
    let values = [[[1.0, 10.0], [3.0, 20.0]], [[5.0, 30.0], [7.0, 40.0]]];
    let x = Tensor::<3>::from_data(values, &device);

    // Mean 4 and 25, variance 5 and 125 over the four positions.
    let normed = (x.clone() - Tensor::<3>::from_data([[[4.0, 25.0]]], &device))
        / (Tensor::<3>::from_data([[[5.0, 125.0]]], &device) + 1e-5).sqrt();
    let found = with.forward(Tensor::from_data(values, &device.clone().autodiff())).into_data();
    let expected = without.forward(normed).into_data();
    let difference = max_abs_difference(&found, &expected);
    assert!(difference < 1e-5, "{difference:e}");

    // A tenth of the way from mean 0 and variance 1 to those of the batch.
    let with = with.valid();
    let norm = with.batch_norm.as_ref().unwrap();
    let mean = norm.running_mean.value().into_data().try_to_vec::<f32>().unwrap();
    let variance = norm.running_var.value();
    assert!((mean[0] - 0.4).abs() < 1e-6 && (mean[1] - 2.5).abs() < 1e-6, "{mean:?}");
    let mean = norm.running_mean.value().unsqueeze::<3>();
    let normed = (x.clone() - mean) / (variance.unsqueeze::<3>() + 1e-5).sqrt();
    let difference =
        max_abs_difference(&with.forward(x).into_data(), &without.forward(normed).into_data());
    assert!(difference < 1e-5, "{difference:e}");
}

#[test]
fn running_statistics_are_saved_up_to_the_last_step() {
    let device = Device::flex().autodiff();
    let mut plan = Method::Houlsby.plan(4);
    plan.bottleneck.as_mut().unwrap().inner_norm = InnerNorm::Batch;
    let mut model = adapted(base(&device), &config(plan));
    let mut optimizer = SgdConfig::new().init();
    for _ in 0..3 {
        let gradients = step(&model, &device);
        model = optimizer.step(0.1, model, gradients);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.safetensors");
    let metadata = AdapterMetadata {
        method: "houlsby".to_owned(),
        task: "colors".to_owned(),
        data: None,
        input: None,
        head: HeadKind::Classification { labels: ["a", "b", "c"].map(str::to_owned).to_vec() },
        score: None,
        calibration: Calibration::default(),
        max_length: 8,
        base: BaseIdentity::new("tiny", "5f0c"),
    };
    save(&path, &model, &metadata).unwrap();
    let (loaded, _) = load(&path, base(&Device::flex()), "5f0c").unwrap();
    let norm = |model: &AdaptedBert| {
        let layer = &model.task.layers[1].attention;
        layer.bottleneck.as_ref().unwrap().batch_norm.clone().unwrap()
    };
    // `value_sync` counts the last step in.
    let expected = norm(&model).running_var.value_sync().into_data();
    assert_eq!(norm(&loaded).running_var.value().into_data(), expected);
    assert_ne!(expected.iter::<f32>().collect::<Vec<_>>(), [1.0; D_MODEL]);
    assert_eq!(all_tensors(&loaded), all_tensors(&model.valid()));
    let input = some_input(&Device::flex());
    assert_eq!(loaded.forward(&input).into_data(), model.valid().forward(&input).into_data());
}
