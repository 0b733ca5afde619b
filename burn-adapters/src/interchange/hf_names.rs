//! The names of BERT's linear layers in Hugging Face checkpoints.

use burn_bert::{Bert, Projection};

/// The linear layers within a layer, in the order of [`Projection::ALL`].
pub(super) const LINEAR_LAYERS: [&str; 6] = Bert::CHECKPOINT_PATHS.projections;

/// The linear layer of a projection, by the name of the field in [`Projections`](crate::Projections).
pub(super) fn linear_layer(field: &str) -> Option<&'static str> {
    Projection::ALL.into_iter().zip(LINEAR_LAYERS).find_map(|(projection, name)| {
        (projection.name().replace('-', "_") == field).then_some(name)
    })
}
