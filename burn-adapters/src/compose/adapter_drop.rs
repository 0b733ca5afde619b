//! AdapterDrop at inference: layers without a task, Rücklé et al. 2021, section 3.
//!
//! Unlike [`AblatedLayers`](super::AblatedLayers), which keeps a task's norms, this removes everything of the task from
//! a layer: the states up to the first layer that is not dropped are plain BERT's, and many tasks can share them.

use burn_bert::{EncoderPart, Insertions};

use crate::methods::layers::Layers;

/// Insertions without those of some layers; if the lowest layer is dropped, so is the norm of the embeddings.
pub struct AdapterDrop<'a> {
    /// The insertions of the other layers.
    pub insertions: &'a dyn Insertions,
    /// The dropped layers.
    pub layers: &'a Layers,
}

impl Insertions for AdapterDrop<'_> {
    fn inner(&self, part: EncoderPart) -> &dyn Insertions {
        let layer = match part {
            EncoderPart::Embeddings => 0,
            EncoderPart::Layer(layer) => layer,
            EncoderPart::Final | EncoderPart::Pooler => return self.insertions,
        };
        if self.layers.contains(layer) { &() } else { self.insertions }
    }
}
