//! One optimizer step: gradients over batches and devices, unscaled, clipped and applied.

use std::time::Instant;

use anyhow::Result;
use burn::optim::{GradientsAccumulator, GradientsParams};
use glue_data::derive_seed;

use super::replica::Replica;
use super::state::{LoopState, layer_input};
use crate::learner::backward::{self, Activations};
use crate::learner::clip::{clip_to_global_norm, scale};
use crate::learner::error::{Quantity, TrainingError};
use crate::learner::loss_scale::LossScale;
use crate::learner::step::{StepOutput, read_output};
use crate::system::process::keep_workers_spinning;
use crate::task_data::rows;

impl LoopState<'_> {
    /// One optimizer step with the averaged gradients of batches.
    ///
    /// If gradients overflow in half precision, they are computed again with a smaller loss scale and the same random
    /// streams; running statistics of batch norms then count the batch again.
    pub(super) fn step(&mut self, batches: &[Vec<usize>]) -> Result<StepOutput> {
        let setup = self.setup;
        let started = Instant::now();
        let _spinning = keep_workers_spinning(&self.device);
        let precision = self.model.model.bert.precision();
        let mut loss_scale = self.progress.loss_scale.or_else(|| LossScale::of(precision));
        let (gradients, norm, mut output) = loop {
            let factor = loss_scale.map_or(1.0, LossScale::factor);
            let (mut gradients, output) = self.gradients(batches, factor)?;
            self.ensure_finite(Quantity::TrainingLoss, output.loss)?;
            if loss_scale.is_some() {
                gradients = scale(&self.model, gradients, 1.0 / factor);
            }
            let (gradients, norm) = clip_to_global_norm(&self.model, gradients, setup.clip);
            match &mut loss_scale {
                Some(scale) if !norm.is_finite() => {
                    if !scale.halve() {
                        return Err(TrainingError::Overflow {
                            epoch: self.progress.epochs.len() + 1,
                            step: self.progress.steps + 1,
                            loss_scale: factor,
                            learning_rate: setup.schedule.peak,
                        }
                        .into());
                    }
                }
                _ => break (gradients, norm, output),
            }
        };
        // Checked before the optimizer step, which would make moments and weights NaN.
        self.ensure_finite(Quantity::GradientNorm, norm)?;
        if let Some(scale) = &mut loss_scale {
            scale.count_step();
        }
        let rate = setup.schedule.at(self.progress.steps);
        self.model = self.optimizer.step(rate, self.model.clone(), gradients);
        for replica in &mut self.replicas {
            replica.update_from(&self.model);
        }
        self.progress.loss_scale = loss_scale;
        self.progress.steps += 1;
        self.progress.loss_sum += output.loss;
        output.gradient_norm = Some(norm);
        output.seconds = Some(started.elapsed().as_secs_f64());
        Ok(output)
    }

    /// Gradients of the mean loss of batches times a factor, and the outputs of the model.
    fn gradients(
        &self,
        batches: &[Vec<usize>],
        factor: f64,
    ) -> Result<(GradientsParams, StepOutput)> {
        let setup = self.setup;
        let stream = format!("step/{}", self.progress.steps);
        self.device.seed(derive_seed(setup.seed, &stream));
        let mut gradients = GradientsAccumulator::new();
        let mut output = StepOutput::default();
        let cached = setup.activations.as_ref().map(|activations| &activations.train);
        for (batch_number, indices) in batches.iter().enumerate() {
            let rows_each = indices.len().div_ceil(1 + self.replicas.len()).max(1);
            let mut computing = Vec::new();
            for (number, part) in indices.chunks(rows_each).enumerate() {
                let (model, device) = match number.checked_sub(1) {
                    None => (&self.model, &self.device),
                    Some(replica) => {
                        let Replica { model, device } = &self.replicas[replica];
                        device.seed(derive_seed(setup.seed, &format!("{stream}/replica/{number}")));
                        (model, device)
                    }
                };
                let batch = rows::batch(&setup.train, part, device);
                let layer_input = layer_input(cached, part, &batch)?;
                // The loss of a part is the mean over its rows.
                let share = part.len() as f64 / (indices.len() * batches.len()) as f64;
                let activations = if setup.gradient_checkpointing {
                    let name = format!("{stream}/batch/{batch_number}/part/{number}");
                    Activations::Recomputed { seed: derive_seed(setup.seed, &name) }
                } else {
                    Activations::Kept
                };
                let (forward, part_gradients) =
                    backward::gradients(model, layer_input, &batch, share * factor, activations);
                computing.push((share, forward, batch.labels, part_gradients));
            }
            // Read only now, so that the devices compute in parallel.
            for (share, forward, labels, part_gradients) in computing {
                gradients
                    .accumulate(&self.model, part_gradients.to_device(&self.device, &self.model));
                let part = read_output(forward, &labels);
                output.loss += share * part.loss;
                output.rows.extend(part.rows);
            }
        }
        Ok((gradients.grads(), output))
    }
}
