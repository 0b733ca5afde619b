//! Notes on a run whose rows or steps are too few: for the score to say much, for whole batches, or for training.

use super::prepared::Run;
use crate::run_config::TrainingConfig;

/// With fewer validation rows, one row more or less that is right moves the accuracy by more than 5 points.
const FEW_VALIDATION_ROWS: usize = 20;
/// With fewer steps, adapters at the default learning rates hardly differ from their initialization.
const FEW_STEPS: usize = 50;

impl Run {
    /// Notes on rows and steps that are too few, and what can be done.
    pub fn size_notes(&self) -> Vec<String> {
        let data = &self.data.prepared;
        let training = &self.config.training;
        let rows = data.train.rows().len();
        let steps = self.steps_per_epoch * training.epochs;
        let notes = [
            validation_note(data.validation.rows().len()),
            left_out_note(rows, self.steps_per_epoch, training),
            steps_note(steps),
        ];
        notes.into_iter().flatten().collect()
    }
}

fn validation_note(rows: usize) -> Option<String> {
    let plural = if rows == 1 { "row" } else { "rows" };
    (rows < FEW_VALIDATION_ROWS)
        .then(|| format!("{rows} validation {plural}: the score says little, and so does the choice of the best epoch"))
}

/// A note on rows that do not fill a batch, if they are 5 % or more.
fn left_out_note(rows: usize, steps_per_epoch: usize, training: &TrainingConfig) -> Option<String> {
    let TrainingConfig { batch_size, accumulate, epochs, .. } = *training;
    let left_out = rows.saturating_sub(steps_per_epoch * batch_size * accumulate);
    if left_out * 20 < rows || left_out == 0 {
        return None;
    }
    let better = better_batch_size(rows, batch_size, accumulate, epochs);
    let remedy = better.filter(|(_, fewer)| *fewer < left_out).map(|(size, fewer)| {
        let effect = if fewer == 0 { "uses all".to_owned() } else { format!("leaves out {fewer}") };
        format!("; --batch-size {size} {effect}")
    });
    let whole = if accumulate == 1 { "a batch" } else { "the batches of a step" };
    Some(format!(
        "{left_out} of {rows} training rows do not fill {whole} and are left out of each epoch, other ones each time{}",
        remedy.unwrap_or_default()
    ))
}

/// The batch size below `batch_size` that leaves out fewest rows, and how many: the largest of those, with enough steps
/// if there is one.
fn better_batch_size(
    rows: usize,
    batch_size: usize,
    accumulate: usize,
    epochs: usize,
) -> Option<(usize, usize)> {
    /// Smaller batches are slow.
    const SMALLEST: usize = 4;
    let left_out = |size: usize| rows % (size * accumulate);
    let has_enough_steps = |size: &usize| rows / (size * accumulate) * epochs >= FEW_STEPS;
    let sizes = (SMALLEST..batch_size).filter(|size| size * accumulate <= rows);
    let (enough, few): (Vec<_>, Vec<_>) = sizes.partition(has_enough_steps);
    let sizes = if enough.is_empty() { few } else { enough };
    let best = sizes.into_iter().rev().min_by_key(|size| left_out(*size))?;
    Some((best, left_out(best)))
}

fn steps_note(steps: usize) -> Option<String> {
    let plural = if steps == 1 { "step" } else { "steps" };
    (steps < FEW_STEPS).then(|| {
        format!(
            "only {steps} optimizer {plural}; a smaller --batch-size or more --epochs trains longer"
        )
    })
}

#[cfg(test)]
mod tests {
    use burn_adapters::Method;

    use super::*;
    use crate::run_config::RunConfig;

    fn training(batch_size: usize, accumulate: usize) -> TrainingConfig {
        let training = RunConfig::defaults(Method::Houlsby).training;
        TrainingConfig { batch_size, accumulate, epochs: 10, ..training }
    }

    #[test]
    fn rows_that_are_left_out_of_an_epoch_are_counted_from_5_percent_on() {
        let note = left_out_note(54, 1, &training(32, 1)).unwrap();
        assert_eq!(
            note,
            "22 of 54 training rows do not fill a batch and are left out of each epoch, other ones each time; \
             --batch-size 9 uses all"
        );
        // The 4 rows of 612 are less than 1 %; a single smaller batch leaves out none.
        assert_eq!(left_out_note(612, 19, &training(32, 1)), None);
        assert_eq!(left_out_note(22, 1, &training(32, 1)), None);
        // 53 is a prime number.
        let note = left_out_note(53, 1, &training(32, 1)).unwrap();
        assert!(note.ends_with("; --batch-size 4 leaves out 1"), "{note}");
        let note = left_out_note(100, 1, &training(32, 2)).unwrap();
        assert!(
            note.starts_with("36 of 100") && note.ends_with("; --batch-size 10 uses all"),
            "{note}"
        );
    }

    #[test]
    fn few_steps_and_few_validation_rows_are_noted() {
        assert!(steps_note(10).unwrap().starts_with("only 10 optimizer steps; "));
        assert_eq!(steps_note(50), None);
        assert!(
            validation_note(2).unwrap().starts_with("2 validation rows: the score says little")
        );
        assert_eq!(validation_note(20), None);
    }
}
