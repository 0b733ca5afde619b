//! Layers without a task: `AdapterDrop` at inference, Rücklé et al. 2021, section 3.
//!
//! Unlike [`AblatedLayers`](super::ablated_layers::AblatedLayers), which leaves a task's norms where they are to ask what the bottlenecks
//! do, this leaves nothing of a task: the states up to the first layer that is not dropped are plain BERT's, and may be
//! shared by many tasks.

use burn::tensor::Tensor;
use burn_bert::insertion::{Insertions, Prefix, Projection, Site};
use burn_fused::LayerNorm;

use crate::layers::Layers;

/// Insertions that are left out in some layers, with all they have there; where the lowest layer is among these, also at
/// the embeddings.
pub struct AdapterDrop<'a> {
    /// What is inserted elsewhere.
    pub insertions: &'a dyn Insertions,
    /// The layers in which nothing is.
    pub layers: &'a Layers,
}

impl AdapterDrop<'_> {
    fn at(&self, site: Site) -> &dyn Insertions {
        self.in_layer(match site {
            Site::Embeddings => 0,
            Site::Attention(layer) | Site::FeedForward(layer) => layer,
        })
    }

    fn in_layer(&self, layer: usize) -> &dyn Insertions {
        if self.layers.contains(layer) { &() } else { self.insertions }
    }
}

impl Insertions for AdapterDrop<'_> {
    fn add_and_norm(
        &self,
        site: Site,
        residual: Tensor<3>,
        output: Tensor<3>,
        norm: &LayerNorm,
    ) -> Tensor<3> {
        self.at(site).add_and_norm(site, residual, output, norm)
    }

    fn norm(&self, site: Site, hidden: Tensor<3>, norm: &LayerNorm) -> Tensor<3> {
        self.at(site).norm(site, hidden, norm)
    }

    fn project_input(&self, layer: usize, projection: Projection, input: Tensor<3>) -> Tensor<3> {
        self.in_layer(layer).project_input(layer, projection, input)
    }

    fn project(
        &self,
        layer: usize,
        projection: Projection,
        input: &Tensor<3>,
        output: Tensor<3>,
    ) -> Tensor<3> {
        self.in_layer(layer).project(layer, projection, input, output)
    }

    fn project_pooler(&self, input: &Tensor<2>, output: Tensor<2>) -> Tensor<2> {
        self.insertions.project_pooler(input, output)
    }

    fn prefix(&self, layer: usize, hidden: &Tensor<3>) -> Option<Prefix> {
        self.in_layer(layer).prefix(layer, hidden)
    }
}
