//! Calibration of the probabilities of classes: their expected calibration error, and the temperature that corrects it.
//!
//! Guo et al. 2017, "On Calibration of Modern Neural Networks", sections 2 and 4.2.

use crate::task_kind::argmax;

/// The number of bins of the expected calibration error: that of Guo et al.
pub const BINS: usize = 15;

/// The temperatures among which the best is searched.
const TEMPERATURES: (f64, f64) = (0.05, 20.0);

/// The probabilities of the classes, from logits that are divided by a temperature.
pub fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let power = |logit: &f32| ((f64::from(*logit) - max) / temperature).exp();
    let powers: Vec<f64> = logits.iter().map(power).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// The difference between the accuracy of predictions and their mean probability, in each of [`BINS`] equal intervals of
/// the probability; the mean over the rows.
///
/// `rows` are the logits and the class of each row.
pub fn expected_calibration_error<'a>(
    rows: impl IntoIterator<Item = (&'a [f32], usize)>,
    temperature: f64,
) -> f64 {
    // The sum of the probabilities and the number of right predictions of each bin.
    let mut bins = [(0.0, 0.0); BINS];
    let mut n_rows = 0.0;
    for (logits, class) in rows {
        let Some(predicted) = argmax(logits) else { continue };
        let probability = softmax(logits, temperature)[predicted];
        // A bin includes its upper bound.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to BINS"
        )]
        let bin = ((probability * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        bins[bin].0 += probability;
        bins[bin].1 += f64::from(u8::from(predicted == class));
        n_rows += 1.0;
    }
    let error: f64 =
        bins.iter().map(|(probability, right): &(f64, f64)| (probability - right).abs()).sum();
    if n_rows > 0.0 { error / n_rows } else { 0.0 }
}

/// The temperature by which the logits are divided, so that the classes have the highest likelihood; between 0.05 and 20,
/// and 1 without rows.
///
/// `rows` are the logits and the class of each row. The search halves an interval in which the derivative of the
/// likelihood changes its sign, so that it always ends with the same number.
pub fn best_temperature<'a>(rows: impl IntoIterator<Item = (&'a [f32], usize)> + Clone) -> f64 {
    const HALVINGS: usize = 60;
    if rows.clone().into_iter().next().is_none() {
        return 1.0;
    }
    // The derivative of the negative log-likelihood with respect to 1 / temperature, which never decreases.
    let slope = |inverse: f64| -> f64 {
        let of_row = |(logits, class): (&[f32], usize)| {
            let probabilities = softmax(logits, 1.0 / inverse).into_iter();
            let mean: f64 = probabilities.zip(logits).map(|(p, logit)| p * f64::from(*logit)).sum();
            mean - f64::from(logits[class])
        };
        rows.clone().into_iter().map(of_row).sum()
    };
    let (mut low, mut high) = (1.0 / TEMPERATURES.1, 1.0 / TEMPERATURES.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        // Where the probabilities are as near to 0 and 1 as they can be, it is 0.
        if slope(middle) <= 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    1.0 / f64::midpoint(low, high)
}
