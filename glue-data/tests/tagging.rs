//! Entities and their scores against seqeval, and published predictions.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::Path;

use glue_data::tagging::{
    Entity, EntityCounts, EntityF1, EntityScores, Mode, Scheme, TagColumns, entities, read,
    strict_entities, words,
};
use glue_data::tasks::entities::{self as entity_tasks, EntityTask};
use glue_data::{PublishedTask, tasks};
use serde_json::Value;

/// seqeval sums in another order.
const TOLERANCE: f64 = 1e-12;

fn mode(name: &str) -> Mode {
    match name {
        "default" => Mode::Default,
        "BIO" => Mode::Strict(Scheme::Bio),
        "IOB1" => Mode::Strict(Scheme::Iob1),
        "BIOES" => Mode::Strict(Scheme::Bioes),
        other => panic!("{other}"),
    }
}

fn sequences(value: &Value) -> Vec<Vec<&str>> {
    let sequences = value.as_array().unwrap().iter();
    sequences.map(|tags| tags.as_str().unwrap().split(' ').collect()).collect()
}

#[track_caller]
fn check_close(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() < TOLERANCE, "{what}: {found}, expected {expected}");
}

#[track_caller]
fn check_f1(found: EntityF1, expected: &Value, what: &str) {
    for (index, score) in [found.precision, found.recall, found.f1].into_iter().enumerate() {
        check_close(score, &expected[index], what);
    }
}

#[track_caller]
fn check_scores(found: &EntityScores, expected: &Value) {
    check_close(found.accuracy, &expected["accuracy"], "accuracy");
    check_f1(found.micro, &expected["micro"], "micro");
    check_f1(found.macro_average, &expected["macro"], "macro");
    check_f1(found.weighted, &expected["weighted"], "weighted");
    let by_type = expected["by_type"].as_object().unwrap();
    assert_eq!(found.by_type.len(), by_type.len(), "{by_type:?}");
    for of in &found.by_type {
        let expected = &by_type[&of.label];
        check_f1(of.scores, expected, &of.label);
        assert_eq!(of.support as u64, expected[3].as_u64().unwrap(), "{}", of.label);
    }
}

#[test]
fn entities_and_scores_are_those_of_seqeval() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/entities.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(cases.len() > 50);
    for case in cases {
        let mode = mode(case["mode"].as_str().unwrap());
        let (gold, predicted) = (sequences(&case["gold"]), sequences(&case["predicted"]));
        let mut counts = EntityCounts::new(mode);
        for (row, (gold, predicted)) in gold.iter().zip(&predicted).enumerate() {
            counts.add(gold, predicted).unwrap();
            let found = match mode {
                Mode::Default => entities(predicted),
                Mode::Strict(scheme) => strict_entities(predicted, scheme).unwrap(),
            };
            let expected = case["entities"][row].as_array().unwrap().iter().map(|entity| Entity {
                label: entity[0].as_str().unwrap().to_owned(),
                words: usize::try_from(entity[1].as_u64().unwrap()).unwrap()
                    ..usize::try_from(entity[2].as_u64().unwrap()).unwrap(),
            });
            assert_eq!(found, expected.collect::<Vec<_>>(), "{predicted:?}");
        }
        check_scores(&counts.scores(), &case["scores"]);
    }
}

/// Reads every split of a task, and checks the number of texts.
fn check_task(task: &EntityTask, data: Option<&Path>) {
    for part in task.parts {
        let counts = task.count(data, part.split).unwrap();
        assert_eq!(counts.rows, part.texts, "{}", part.file);
        let types: Vec<&str> = counts.by_label.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(types, task.types, "{}", part.file);
    }
}

#[test]
fn the_embedded_texts_have_the_words_of_raw_texts() {
    let task = entity_tasks::find("helpdesk-entities").unwrap();
    check_task(task, None);
    for part in task.parts {
        for text in task.read(None, part.split).unwrap() {
            assert_eq!(words(&text.text), text.words, "{}", text.text);
        }
    }
    assert_eq!(tasks::find("helpdesk-entities").unwrap().n_labels(), task.labels().len());
    assert!(task.labels().is_sorted());
}

#[test]
#[ignore = "needs the published data: set TRAINER_DATA"]
fn the_published_texts_of_wnut17_are_all_read() {
    let data = std::env::var_os("TRAINER_DATA").unwrap();
    check_task(entity_tasks::find("wnut17").unwrap(), Some(Path::new(&data)));
}

/// The scores in percent of two systems of the shared task, by seqeval. The task's paper has the same F1
/// (Derczynski et al. 2017, table 3).
#[test]
#[ignore = "needs the published data: set TRAINER_DATA"]
fn published_predictions_of_wnut17_have_their_published_scores() {
    let data = std::env::var_os("TRAINER_DATA").unwrap();
    let directory = Path::new(&data).join("wnut17");
    let gold = read(&directory.join("emerging.test.annotated"), &TagColumns::default()).unwrap();
    assert_eq!(gold.len(), 1287);
    for (file, expected) in
        [("arcada", [47.395, 34.569, 39.979]), ("uh_ritual", [57.536, 32.901, 41.863])]
    {
        let path = directory.join("submissions").join(file);
        let predicted = read(&path, &TagColumns::default()).unwrap();
        let mut counts = EntityCounts::default();
        for text in 0..gold.len() {
            counts.add(&gold.tags(text), &predicted.tags(text)).unwrap();
        }
        let EntityF1 { precision, recall, f1 } = counts.scores().micro;
        for (found, expected) in [precision, recall, f1].into_iter().zip(expected) {
            assert!(
                (100.0 * found - expected).abs() < 5e-4,
                "{file}: {found}, expected {expected}"
            );
        }
    }
}
