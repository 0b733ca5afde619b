//! Layers without a task: `AdapterDrop` at inference, Rücklé et al. 2021, section 3.
//!
//! Unlike [`AblatedLayers`](super::ablated_layers::AblatedLayers), which leaves a task's norms where they are to ask what the bottlenecks
//! do, this leaves nothing of a task: the states up to the first layer that is not dropped are plain BERT's, and may be
//! shared by many tasks.

use burn_bert::{EncoderPart, Insertions};

use crate::layers::Layers;

/// Insertions that are left out in some layers, with all they have there; where the lowest layer is among these, also at
/// the embeddings.
pub struct AdapterDrop<'a> {
    /// What is inserted elsewhere.
    pub insertions: &'a dyn Insertions,
    /// The layers in which nothing is.
    pub layers: &'a Layers,
}

impl Insertions for AdapterDrop<'_> {
    fn inner(&self, part: EncoderPart) -> &dyn Insertions {
        let layer = match part {
            EncoderPart::Embeddings => 0,
            EncoderPart::Layer(layer) => layer,
            EncoderPart::Pooler => return self.insertions,
        };
        if self.layers.contains(layer) { &() } else { self.insertions }
    }
}
