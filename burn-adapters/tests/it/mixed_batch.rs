//! Rows of different tasks in one batch: each answers as it does alone.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use burn_adapters::{
    Activation, AdaptedBert, AdapterError, AdapterPlan, ComposeError, HeadKind, Layers, Method,
    MixedBatch, Pooling, Scaling, StackedTasks, TaskAdapterConfig, check_mixable,
};
use burn_bert::{Bert, BertInput, Encoder, Projection};

use crate::fixtures::{adapted, all_tensors, base, config, max_abs_difference, path, with_tensors};
use crate::samples::plans;

/// Sums of a batched product and of a plain one differ in their order.
const TOLERANCE: f32 = 2e-5;

/// A task whose every trained number differs from what `init` makes, and from those of the others.
fn task(number: usize, config: &TaskAdapterConfig) -> AdaptedBert {
    task_of(base(&Device::flex()), number, config)
}

fn task_of(bert: Bert, number: usize, config: &TaskAdapterConfig) -> AdaptedBert {
    let model = adapted(bert, config);
    let kept = all_tensors(&model).into_iter().filter(|(path, _)| model.is_saved(path));
    let moved = kept.map(|(path, data)| {
        let values: Vec<f32> = data
            .iter::<f32>()
            .enumerate()
            .map(|(place, x)| x + ((place + 31 * number) as f32).sin() * 0.1)
            // A variance is positive.
            .map(|x| if path.ends_with("running_var") { x.abs() } else { x })
            .collect();
        let shape = data.shape().clone();
        (path, TensorData::new(values, shape))
    });
    let moved = moved.collect();
    with_tensors(model, moved)
}

/// As many texts, of 2 to 5 tokens.
fn texts(rows: usize, device: &Device) -> BertInput {
    let place = |row: usize| (0..5).map(move |column| (row, column));
    let ids: Vec<i64> = (0..rows)
        .flat_map(place)
        .map(|(row, column)| (2 + (row * 5 + column * 3) % 12) as i64)
        .collect();
    let mask: Vec<bool> =
        (0..rows).flat_map(place).map(|(row, column)| column < 2 + row % 4).collect();
    let input_ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, 5]), device);
    BertInput {
        token_type_ids: input_ids.zeros_like(),
        attention_mask: Tensor::<2, Bool>::from_data(TensorData::new(mask, [rows, 5]), device),
        input_ids,
    }
}

fn row(input: &BertInput, row: usize) -> BertInput {
    BertInput {
        input_ids: input.input_ids.clone().narrow(0, row, 1),
        token_type_ids: input.token_type_ids.clone().narrow(0, row, 1),
        attention_mask: input.attention_mask.clone().narrow(0, row, 1),
    }
}

fn check_alone(models: &[AdaptedBert], rows: &[Option<usize>], name: &str) {
    check_alone_on(&base(&Device::flex()), models, rows, name);
}

fn check_alone_on(bert: &Bert, models: &[AdaptedBert], rows: &[Option<usize>], name: &str) {
    let device = Device::flex();
    let tasks: Vec<_> = models.iter().map(|model| &model.task).collect();
    let set = StackedTasks::new(bert, &tasks).unwrap();
    let per_row = MixedBatch::new(&set, rows, &device);
    let input = texts(rows.len(), &device);
    let hidden = bert.forward_with(&input, &per_row);
    let logits = per_row.forward(bert, &input);
    for (place, task) in rows.iter().enumerate() {
        let alone = row(&input, place);
        let found = hidden.clone().narrow(0, place, 1).into_data();
        let (expected, expected_logits) = match task {
            None => (bert.forward(&alone), Vec::new()),
            Some(task) => {
                let model = &models[*task];
                let hidden = model.bert.forward_with(&alone, &model.task);
                let logits = model.head_logits(hidden.clone(), &alone.attention_mask);
                (hidden, logits.into_data().iter::<f32>().collect())
            }
        };
        let difference = max_abs_difference(&found, &expected.into_data());
        assert!(difference <= TOLERANCE, "{name}, row {place}: {difference:e}");
        assert_eq!(logits[place].len(), expected_logits.len());
        for (found, expected) in logits[place].iter().zip(&expected_logits) {
            assert!((found - expected).abs() <= TOLERANCE, "{name}, row {place}");
        }
    }
}

/// A task that labels words.
fn tagger(number: usize, outputs: usize, head_hidden: Option<Activation>) -> AdaptedBert {
    let labels = (0..outputs).map(|label| format!("B-{label}")).collect();
    let head = HeadKind::TokenClassification { labels };
    let plan = Method::Pfeiffer.plan(4);
    let config =
        TaskAdapterConfig { head, pooling: Pooling::FirstToken, head_hidden, ..config(plan) };
    task(number, &config)
}

#[test]
fn rows_of_texts_and_of_words_share_a_batch() {
    let mut models = different_tasks();
    let texts = models.len();
    models.extend([tagger(21, 9, None), tagger(22, 2, Some(Activation::Tanh))]);
    let mixed = [Some(texts), Some(0), None, Some(texts + 1), Some(1), Some(texts), Some(5)];
    check_alone(&models, &mixed, "texts and words");
    check_alone(&models, &[Some(texts), Some(texts + 1)], "words alone");
    check_alone(&models[texts..], &[Some(1), None, Some(0)], "a set of words");
}

/// Tasks that differ in everything in which they may.
fn different_tasks() -> Vec<AdaptedBert> {
    let mut serial = Method::Houlsby.plan(8);
    serial.bottleneck.as_mut().unwrap().activation = Activation::Tanh;
    let mut partial = Method::Pfeiffer.plan(3).in_layers(&Layers::Only([1].into()));
    partial.bottleneck.as_mut().unwrap().scaling = Scaling::Learned;
    let mut scaled = Method::Parallel.plan(5);
    scaled.bottleneck.as_mut().unwrap().scaling = Scaling::Fixed(0.5);
    let mut both = Method::Lora.plan(2);
    both.bottleneck = Method::Parallel.plan(4).bottleneck;
    let (tanh, relu) = (Some(Activation::Tanh), Some(Activation::Relu));
    let kinds: [(AdapterPlan, usize, Pooling, Option<Activation>); 10] = [
        (serial, 2, Pooling::Pooler, None),
        (partial, 5, Pooling::Mean, tanh),
        (scaled, 1, Pooling::FirstToken, None),
        (both, 3, Pooling::Pooler, None),
        (Method::Ia3.plan(1), 4, Pooling::Mean, None),
        (Method::LayerNorm.plan(1), 3, Pooling::Pooler, tanh),
        (Method::Lora.plan(3), 2, Pooling::FirstToken, relu),
        (Method::HoulsbyCode.plan(6), 7, Pooling::Mean, None),
        (Method::Dora.plan(5), 3, Pooling::FirstToken, tanh),
        (Method::DoraAdapterHub.plan(2), 2, Pooling::Pooler, None),
    ];
    let configs = kinds.into_iter().map(|(plan, outputs, pooling, head_hidden)| {
        TaskAdapterConfig { head: HeadKind::unnamed(outputs), pooling, head_hidden, ..config(plan) }
    });
    configs.enumerate().map(|(number, config)| task(number, &config)).collect()
}

#[test]
fn each_row_answers_as_it_does_alone() {
    let models = different_tasks();
    let rows =
        [0, 10, 3, 8, 1, 7, 2, 9, 4, 6, 5, 1].map(|task| (task < models.len()).then_some(task));
    check_alone(&models, &rows, "all together");
    check_alone(&models, &[Some(2), Some(2)], "one task");
    check_alone(&models, &[None, None], "no task");
    check_alone(&models, &[None, Some(4)], "no bottleneck among the rows");
    check_alone(&[], &[None], "an empty set");
}

/// In DeBERTa, the projections of queries and keys are those of the distances too, which then differ from row to row.
#[test]
fn rows_answer_as_they_do_alone_where_projections_serve_distances_too() {
    let directory = path("../../../burn-bert/tests/fixtures/families/deberta-v3");
    let bert = burn_bert::load(&directory, &Device::flex()).unwrap();
    let mut lora = Method::Lora.plan(2);
    lora.lora.as_mut().unwrap().projections = [Projection::Query, Projection::Key].into();
    let plans = [lora, Method::Ia3.plan(1), Method::Houlsby.plan(4)];
    let models: Vec<_> = plans
        .into_iter()
        .enumerate()
        .map(|(number, plan)| {
            let config = TaskAdapterConfig { pooling: Pooling::FirstToken, ..config(plan) };
            task_of(bert.clone(), number, &config)
        })
        .collect();
    check_alone_on(&bert, &models, &[Some(1), Some(0), None, Some(2), Some(0)], "DeBERTa");
}

#[test]
fn every_method_and_switch_that_mixes_answers_as_it_does_alone() {
    let mut mixed = 0;
    for (number, (name, plan)) in plans(4).into_iter().enumerate() {
        let config = config(plan);
        if check_mixable(&config).is_err() {
            continue;
        }
        let models = [
            task(number, &config),
            task(
                99,
                &TaskAdapterConfig {
                    head: HeadKind::unnamed(2),
                    ..crate::fixtures::config(Method::Houlsby.plan(6))
                },
            ),
        ];
        check_alone(&models, &[Some(1), Some(0), None], &name);
        mixed += 1;
    }
    assert!(mixed >= 14, "{mixed}");
}

#[test]
fn what_does_not_mix_is_named() {
    let refused = |plan: AdapterPlan, change: fn(&mut TaskAdapterConfig)| {
        let mut config = config(plan);
        change(&mut config);
        let model = adapted(base(&Device::flex()), &config);
        let error = StackedTasks::new(&base(&Device::flex()), &[&model.task]).unwrap_err();
        assert!(matches!(error, AdapterError::Compose(ComposeError::CannotMix { .. })));
        error.to_string()
    };
    assert_eq!(
        refused(Method::Prefix.plan(4), |_| {}),
        "a task with prefixes cannot share a batch with others; run it in batches of its own"
    );
    assert!(refused(Method::Full.plan(4), |_| {}).contains("layers of the base that are tuned"));
    let deep = refused(Method::Houlsby.plan(4), |config| {
        config.plan.bottleneck.as_mut().unwrap().depth = 2;
    });
    assert!(deep.contains("bottlenecks deeper than 1"));
}
