//! A convolution over the positions of the embeddings, beside the first layer.

use burn::module::Module;
use burn::nn::Dropout;
use burn::nn::conv::Conv1d;
use burn::tensor::{Bool, Tensor};
use burn_fused::{LayerNorm, activation, dropout};

use crate::config::HiddenActivation;

/// A convolution, which is added to the first layer's output, and the LayerNorm of the sum.
///
/// <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/deberta_v2/modeling_deberta_v2.py> (`ConvLayer`)
#[derive(Module, Debug)]
pub(crate) struct Convolution {
    /// `[d_model, d_model / groups, kernel_size]`
    pub(crate) conv: Conv1d,
    pub(crate) layer_norm: LayerNorm,
    /// Before the activation.
    pub(crate) dropout: Dropout,
    #[module(skip)]
    pub(crate) activation: HiddenActivation,
}

impl Convolution {
    /// `input` are the embeddings, whose padding is 0, and `output` is the first layer's. The result of padding is 0.
    ///
    /// # Shapes
    /// - input, output, result: `[batch, sequence, d_model]`
    /// - attention_mask: `[batch, sequence]`
    pub(crate) fn forward(
        &self,
        input: Tensor<3>,
        output: Tensor<3>,
        attention_mask: &Tensor<2, Bool>,
    ) -> Tensor<3> {
        let padding = attention_mask.clone().bool_not().unsqueeze_dim::<3>(2); // [batch, sequence, 1]
        let (dtype, weight_dtype) = (input.dtype(), self.conv.weight.val().dtype());
        let x = self.conv.forward(input.cast(weight_dtype).swap_dims(1, 2)).swap_dims(1, 2);
        let x = x.cast(dtype).mask_fill(padding.clone(), 0.0);
        let x = activation(dropout(x, &self.dropout), self.activation.into());
        self.layer_norm.forward([x, output]).mask_fill(padding, 0.0)
    }
}
