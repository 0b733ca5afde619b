//! Low-rank corrections, scales and norms put into a base's own weights, so that they cost nothing at inference.
//! Hu et al. 2022, section 4.1, *No Additional Inference Latency*.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::DType;
use burn_bert::{Encoder, Projection, Site};
use burn_fused::LayerNorm;

use crate::adapted::AdaptedBert;
use crate::error::AdapterError;
use crate::ia3::Ia3;
use crate::lora::Lora;

impl AdaptedBert {
    /// The same model with its low-rank corrections, scales and norms in the weights of its base, and a task without
    /// them.
    ///
    /// Bottlenecks, prefixes, fused adapters and the head stay with the task: no weights of BERT's can hold them.
    /// The base is a copy; it is another one than before, with another fingerprint, and of no use to other tasks.
    /// Where its matrices are in half precision, those that change are rounded to it once more.
    ///
    /// # Errors
    /// If the corrections have gates, which see the text.
    pub fn merged(&self) -> Result<Self, AdapterError> {
        let mut bert = self.bert.clone();
        for site in Site::all(bert.n_layers()) {
            take_norm(bert.norm_mut(site), self.task.own_norm(site));
        }
        for (layer, adapter) in self.task.layers.iter().enumerate() {
            for projection in Projection::ALL {
                let inserted = Inserted {
                    low_rank: adapter.low_rank.get(projection),
                    input: adapter.scale_input.get(projection),
                    output: adapter.scale_output.get(projection),
                };
                inserted.merge_into(bert.projection_mut(layer, projection))?;
            }
        }
        if let Some(pooler) = bert.pooler_mut() {
            let low_rank = self.task.pooler.as_ref();
            Inserted { low_rank, input: None, output: None }.merge_into(pooler)?;
        }
        Self::new(bert, self.task.without_what_merges())
    }
}

/// Puts a task's norm in the place of the base's, as a parameter of its own.
fn take_norm(base: &mut LayerNorm, own: Option<&LayerNorm>) {
    if let Some(own) = own {
        base.gamma = Param::from_tensor(own.gamma.val().detach());
        base.beta = Param::from_tensor(own.beta.val().detach());
    }
}

/// What stands at one projection.
struct Inserted<'a> {
    low_rank: Option<&'a Lora>,
    input: Option<&'a Ia3>,
    output: Option<&'a Ia3>,
}

impl Inserted<'_> {
    /// `W` becomes `diag(input) (W + s A B) diag(output)`, and the bias `b diag(output)`.
    ///
    /// What changes gets a parameter id of its own: an optimizer works by id, and the base it came from has the old one.
    fn merge_into(&self, dense: &mut Linear) -> Result<(), AdapterError> {
        let Self { low_rank, input, output } = self;
        if low_rank.is_none() && input.is_none() && output.is_none() {
            return Ok(());
        }
        // Merged in single precision and rounded once: a base's matrices may be in half precision.
        let of_base = dense.weight.val().dtype();
        let mut weight = dense.weight.val().cast(DType::F32); // [d_input, d_output]
        if let Some(low_rank) = low_rank {
            weight = weight + low_rank.weight().ok_or(AdapterError::GatedMerge)?;
        }
        if let Some(input) = input {
            weight = weight * input.factors.val().unsqueeze_dim(1);
        }
        if let Some(output) = output {
            weight = weight * output.factors.val().unsqueeze_dim(0);
            dense.bias = dense.bias.take().map(|bias| {
                let scaled = bias.val().cast(DType::F32) * output.factors.val();
                Param::from_tensor(scaled.cast(bias.val().dtype()).detach())
            });
        }
        dense.weight = Param::from_tensor(weight.cast(of_base).detach());
        Ok(())
    }
}
