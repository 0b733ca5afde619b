//! Tokens, scores and files against what others computed and published.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::{Path, PathBuf};

use glue_data::metric::Metric;
use glue_data::tasks::squad::{
    self, AnswerSearch, SpanLogits, Squad, SquadScores, WindowConfig, Windows,
};
use glue_data::{Example, Label, Split, TextEncoder, tasks};
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The directory that a variable of the environment names.
fn named(variable: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| panic!("{variable} is not set"), PathBuf::from)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[track_caller]
fn check_scores(case: &Value, predictions: &[Label], labels: &[Label], metrics: &[Metric]) {
    for metric in metrics {
        let (found, expected) =
            (metric.compute(predictions, labels), case[metric.name()].as_f64().unwrap());
        assert!((found - expected).abs() < 1e-9, "{}: {found}, expected {expected}", metric.name());
    }
}

#[test]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "classes are small")]
fn scores_of_classes_are_scikit_learns() {
    for case in json("metrics.json")["classes"].as_array().unwrap() {
        let predictions: Vec<_> = numbers(&case["predicted"])
            .into_iter()
            .map(|class| Label::Class(class as usize))
            .collect();
        let labels: Vec<_> = numbers(&case["expected"])
            .into_iter()
            .map(|class| Label::Class(class as usize))
            .collect();
        check_scores(
            case,
            &predictions,
            &labels,
            &[Metric::Accuracy, Metric::F1, Metric::MacroF1, Metric::Matthews],
        );
    }
}

#[test]
#[expect(clippy::cast_possible_truncation, reason = "multiples of an eighth are exact")]
fn correlations_are_scipys() {
    for case in json("metrics.json")["scores"].as_array().unwrap() {
        // Labels are f32 in a task; the fixture's are multiples that f32 holds, or near enough to keep their ranks.
        let predicted = numbers(&case["predicted"]);
        let expected = numbers(&case["expected"]);
        let pearson = glue_data::metric::pearson(&predicted, &expected);
        assert!((pearson - case["pearson"].as_f64().unwrap()).abs() < 1e-9);
        let predictions: Vec<_> =
            predicted.iter().map(|score| Label::Score(*score as f32)).collect();
        let labels: Vec<_> = expected.iter().map(|score| Label::Score(*score as f32)).collect();
        check_scores(case, &predictions, &labels, &[Metric::Spearman]);
    }
}

fn single(text: &str) -> Example {
    Example { text: text.to_owned(), text2: None, label: None }
}

fn ids(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|id| u32::try_from(id.as_u64().unwrap()).unwrap())
        .collect()
}

#[test]
fn a_vocabulary_alone_makes_a_tokenizer() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(fixture("vocab.txt"), directory.path().join("vocab.txt")).unwrap();
    let vocabulary = std::fs::read_to_string(fixture("vocab.txt")).unwrap();
    let id = |token: &str| {
        u32::try_from(vocabulary.lines().position(|line| line == token).unwrap()).unwrap()
    };
    let encoder = TextEncoder::from_directory(directory.path(), 6).unwrap();
    let rows = encoder.encode(&[single("[PAD] qqqq"), single(&"qqqq ".repeat(20))]).unwrap();
    let lengths = rows.lengths();
    assert_eq!(lengths[1], 6);
    let first = &rows.rows()[0].ids;
    assert_eq!((first[0], first[first.len() - 1]), (id("[CLS]"), id("[SEP]")));
    let error = TextEncoder::from_directory(Path::new("no/such"), 6).unwrap_err().to_string();
    assert!(error.contains("expected tokenizer.json or vocab.txt"), "{error}");
}

/// Every case of the Hugging Face tokenizer.
#[test]
#[ignore = "needs MiniLM: set TRAINER_MINILM"]
fn token_ids_of_minilm_are_hugging_faces() {
    let directory = &named("TRAINER_MINILM");
    let cases = json("tokenizer_cases.json");
    let (long, short) = (
        TextEncoder::from_directory(directory, 512).unwrap(),
        TextEncoder::from_directory(directory, 8).unwrap(),
    );
    let singles = cases["single"].as_array().unwrap();
    assert!(singles.len() > 30);
    for case in singles {
        let example = [single(case["text"].as_str().unwrap())];
        assert_eq!(
            long.encode(&example).unwrap().rows()[0].ids,
            ids(&case["input_ids"]),
            "{}",
            case["text"]
        );
        assert_eq!(
            short.encode(&example).unwrap().rows()[0].ids,
            ids(&case["max8"]),
            "{}",
            case["text"]
        );
    }
    let text = |case: &Value, key: &str| case[key].as_str().unwrap().to_owned();
    for case in cases["pairs"].as_array().unwrap() {
        let example =
            [Example { text: text(case, "a"), text2: Some(text(case, "b")), label: None }];
        for (name, length) in [("maxNone", 512), ("max16", 16), ("max10", 10), ("max7", 7)] {
            let encoded =
                TextEncoder::from_directory(directory, length).unwrap().encode(&example).unwrap();
            let expected = &case[name];
            assert_eq!(encoded.rows()[0].ids, ids(&expected["input_ids"]), "{name} {case}");
            assert_eq!(
                encoded.rows()[0].type_ids,
                ids(&expected["token_type_ids"]),
                "{name} {case}"
            );
        }
    }
}

/// Every published file that is there.
#[test]
#[ignore = "needs the published data: set TRAINER_DATA"]
fn published_files_have_their_published_rows() {
    let data = &named("TRAINER_DATA").join("glue");
    let mut read = 0;
    for spec in tasks::all() {
        for part in
            spec.parts.iter().filter(|part| data.join(spec.directory).join(part.file).is_file())
        {
            let rows = spec.read(Some(data), part.split).unwrap();
            assert_eq!(rows.len(), part.rows, "{} {}", spec.name, part.file);
            assert_eq!(rows.iter().all(|row| row.label.is_some()), part.label.is_some());
            read += 1;
        }
    }
    assert!(read > 0, "{} holds no file of GLUE", data.display());
}

#[test]
fn helpdesk_is_balanced_and_no_text_comes_twice() {
    let spec = tasks::lookup("helpdesk").unwrap();
    let mut seen: Vec<(Split, std::collections::BTreeSet<String>)> = Vec::new();
    let mut total = 0;
    for part in spec.parts {
        let rows = spec.read(None, part.split).unwrap();
        assert_eq!(rows.len(), part.rows);
        let counts = spec.count_labels(&rows);
        assert_eq!(counts.len(), 6);
        assert!(counts.iter().all(|(_, count)| *count == part.rows / 6), "{counts:?}");
        total += rows.len();
        for row in rows {
            let words = row
                .text
                .to_lowercase()
                .split(|letter: char| !letter.is_alphanumeric())
                .map(str::to_owned)
                .collect();
            for (split, other) in &seen {
                let (shared, all) =
                    (other.intersection(&words).count(), other.union(&words).count());
                assert!(
                    10 * shared < 7 * all,
                    "nearly the same in {split:?} and {:?}: {}",
                    part.split,
                    row.text
                );
            }
            seen.push((part.split, words));
        }
    }
    assert!(total >= 900);
}

/// Answers of our own, judged by the official functions.
#[test]
fn exact_match_and_f1_are_the_official_functions() {
    let directory = fixture("squad");
    let squad = Squad::read(&directory.join("dev-v1.1.json")).unwrap();
    assert_eq!((squad.questions.len(), squad.misplaced_answers()), (9, 0));
    let predictions = squad::read_predictions(&directory.join("predictions.json")).unwrap();
    let scores = squad::score(&squad, &predictions);
    let expected = json("squad/scores.json");
    for (found, name) in [(scores.exact_match, "exact_match"), (scores.f1, "f1")] {
        let expected = expected[name].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-9, "{name}: {found}, expected {expected}");
    }
    assert_eq!(json!(scores.questions), expected["questions"]);
    assert_eq!(json!(scores.unanswered), expected["unanswered"]);
}

/// The official script's figures for answers that others published.
#[test]
#[ignore = "needs the published data: set TRAINER_DATA"]
fn exact_match_and_f1_of_published_answers_are_the_official_scripts() {
    let directory = named("TRAINER_DATA").join("squad");
    let squad = Squad::read(&directory.join("dev-v1.1.json")).unwrap();
    assert_eq!((squad.paragraphs.len(), squad.questions.len()), (2067, 10570));
    assert_eq!(squad.questions.iter().map(|question| question.answers.len()).sum::<usize>(), 34726);
    assert_eq!(squad.misplaced_answers(), 0);
    for (file, exact_match, f1, unanswered) in [
        ("bert-ensemble.json", 86.206_244_087_038_78, 92.195_579_783_511_45, 0),
        ("logistic-regression.json", 40.141_911_069_063_39, 50.981_536_473_244_61, 13),
    ] {
        let published = directory.join("published_predictions").join(file);
        let scores = squad::score(&squad, &squad::read_predictions(&published).unwrap());
        assert!((scores.exact_match - exact_match).abs() < 1e-9, "{file}: {scores:?}");
        assert!((scores.f1 - f1).abs() < 1e-9, "{file}: {scores:?}");
        assert_eq!((scores.questions, scores.unanswered), (10570, unanswered), "{file}");
    }
}

/// Windows of the published questions with a real tokenizer.
#[test]
#[ignore = "needs the published data and MiniLM: set TRAINER_DATA and TRAINER_MINILM"]
fn what_a_window_of_minilm_points_at_is_the_published_answer() {
    let squad = Squad::read(&named("TRAINER_DATA").join("squad/dev-v1.1.json")).unwrap();
    let (rows, scores) = point_at_answers(&squad);
    // As many as the reference code makes with the uncased vocabulary, which is MiniLM's.
    assert_eq!(rows, 10_833);
    // Of the rest most are longer than 30 tokens; some begin or end inside a piece.
    assert!(scores.exact_match > 99.6, "{scores:?}");
    assert!(scores.f1 < 100.0 && scores.unanswered == 0, "{scores:?}");
}

/// The same of questions of our own.
#[test]
#[ignore = "needs MiniLM: set TRAINER_MINILM"]
fn what_a_window_of_minilm_points_at_is_the_answer() {
    let squad = Squad::read(&fixture("squad/dev-v1.1.json")).unwrap();
    let (rows, scores) = point_at_answers(&squad);
    assert_eq!(rows, squad.questions.len());
    assert!((scores.exact_match - 100.0).abs() < 1e-9, "{scores:?}");
}

/// How many windows there are, and the scores of a model that always points at the first answer.
fn point_at_answers(squad: &Squad) -> (usize, SquadScores) {
    let encoder = TextEncoder::from_directory(&named("TRAINER_MINILM"), 128).unwrap();
    let windows = Windows::cut(squad, &encoder, &WindowConfig::default()).unwrap();
    let rows = windows.rows().rows();
    assert!(rows.iter().all(|row| row.ids.len() <= 384));
    let logits: Vec<SpanLogits> = rows
        .iter()
        .map(|row| {
            let Some(Label::Span { start, end }) = row.label else { panic!("all are labeled") };
            let raised = |position| {
                let mut logits = vec![0.0; row.ids.len()];
                logits[position] = 1.0;
                logits
            };
            SpanLogits { start: raised(start), end: raised(end) }
        })
        .collect();
    let found = AnswerSearch::default().search(squad, &windows, &logits);
    (rows.len(), squad::score(squad, &squad::predictions(squad, &found)))
}
