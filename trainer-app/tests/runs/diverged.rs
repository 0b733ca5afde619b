//! Runs whose numbers are not finite: errors where that arises, never results.

use crate::desk::{Desk, TRAIN};

/// Rows with scores to learn.
fn lay_scores(desk: &Desk) {
    let text = std::fs::read_to_string(desk.path("rows.csv")).unwrap();
    let scores = text.lines().skip(1).enumerate().map(|(row, line)| {
        let body = line.split(',').nth(1).unwrap();
        format!("{body},{}.5\n", row % 5)
    });
    let scores: String = std::iter::once("body,score\n".to_owned()).chain(scores).collect();
    std::fs::write(desk.path("scores.csv"), scores).unwrap();
}

const TRAIN_SCORES: &str = "train --train scores.csv --text body --label score --score --base base \
                            --device cpu --size 4 --batch-size 200 --max-length 16 --plain --name s";

#[test]
fn a_validation_loss_that_is_not_finite_is_an_error_and_no_result() {
    let desk = Desk::new();
    lay_scores(&desk);
    // One step, whose rate is the peak; what it does to the weights is first seen on the validation rows.
    let said = desk.refuses(&format!("{TRAIN_SCORES} --epochs 1 --warmup 0 --lr 1e38"));
    assert!(said.contains("is NaN at step 1 (epoch 1)"), "{said}");
    assert!(said.contains("a lower --learning-rate is the usual cure"), "{said}");
    assert!(!desk.path("runs/scores/s/result.json").exists());
    assert!(!desk.path("runs/scores/s/adapter.safetensors").exists());
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_good_checkpoint() {
    let desk = Desk::new();
    let line = TRAIN.replace("--lr 1e-2", "--lr 1e30");
    let said = desk.refuses(&format!("{line} --name diverged --checkpoint-every 0"));
    assert!(said.contains("a lower --learning-rate is the usual cure"), "{said}");
    assert!(!desk.path("runs/rows/diverged/result.json").exists());
    // Again, from where the numbers were still right.
    let said = desk.refuses("train --resume runs/rows/diverged --plain --device cpu");
    assert!(said.contains("a lower --learning-rate is the usual cure"), "{said}");
}

#[test]
fn gradients_that_overflow_half_precision_are_computed_again_with_a_smaller_loss() {
    let desk = Desk::new();
    lay_scores(&desk);
    // With the first factor of the loss, 1024, the gradients of such scores are far beyond 65504.
    let text = std::fs::read_to_string(desk.path("scores.csv")).unwrap();
    std::fs::write(desk.path("scores.csv"), text.replace(".5\n", "9000.5\n")).unwrap();
    let norms = |precision: &str| {
        let line = TRAIN_SCORES.replace("--plain --name s", "--json --dropout 0 --batch-size 8");
        let line = line.replace("--batch-size 200 ", "");
        desk.says(&format!("{line} --epochs 1 --precision {precision} --name {precision}"));
        let metrics = desk.metrics(&format!("runs/scores/{precision}"));
        let norms = metrics.iter().filter_map(|line| line["gradient_norm"].as_f64());
        norms.collect::<Vec<_>>()
    };
    let (half, single) = (norms("f16"), norms("f32"));
    assert!(half.len() > 10 && half.len() == single.len(), "no step is left out");
    for (step, (half, single)) in half.iter().zip(&single).enumerate() {
        assert!((half - single).abs() < 0.02 * single, "{step}: {half} and {single}");
    }
}
