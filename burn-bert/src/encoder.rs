//! The stack of layers, and one layer.

use burn::module::Module;
use burn::tensor::{Bool, Tensor};

use crate::attention::Attention;
use crate::feed_forward::Intermediate;
use crate::insertion::{Insertions, Projection, Site};
use crate::residual::{Place, Residual};

/// The layers, from the bottom.
#[derive(Module, Debug)]
pub struct Encoder {
    /// Named in the singular, as in the checkpoint.
    pub layer: Vec<Layer>,
}

/// Attention, then feed-forward, each closed by a residual.
#[derive(Module, Debug)]
pub struct Layer {
    /// The first sub-layer.
    pub attention: Attention,
    /// The second sub-layer's first half.
    pub intermediate: Intermediate,
    /// The second sub-layer's second projection, with its residual and norm.
    pub output: Residual,
}

impl Layer {
    /// # Shapes
    /// - hidden, result: `[batch, sequence, d_model]`
    /// - attention_mask: `[batch, sequence]`
    pub(crate) fn forward(
        &self,
        hidden: Tensor<3>,
        attention_mask: &Tensor<2, Bool>,
        layer: usize,
        insertions: &dyn Insertions,
    ) -> Tensor<3> {
        let hidden = self.attention.forward(hidden, attention_mask, layer, insertions);
        let wide = self.intermediate.forward(&hidden, layer, insertions);
        let place =
            Place { layer, site: Site::FeedForward(layer), projection: Projection::FeedForwardOut };
        self.output.forward(wide, hidden, place, insertions)
    }
}
