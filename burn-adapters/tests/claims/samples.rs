//! Samples for laws that need no golden numbers.

use burn::tensor::{Bool, Device, Int, Tensor};
use burn_adapters::Method;
use burn_bert::BertInput;

/// One of each method.
pub(crate) const METHODS: [Method; 7] = [
    Method::Houlsby,
    Method::HoulsbyCode,
    Method::Pfeiffer,
    Method::Parallel,
    Method::LayerNorm,
    Method::TopLayers(1),
    Method::Full,
];

/// Two texts, the second with padding.
pub(crate) fn some_input(device: &Device) -> BertInput {
    let input_ids = Tensor::<2, Int>::from_data([[2, 7, 9, 11, 3], [2, 5, 3, 0, 0]], device);
    BertInput {
        attention_mask: Tensor::<2, Bool>::from_data(
            [[true, true, true, true, true], [true, true, true, false, false]],
            device,
        ),
        token_type_ids: Tensor::from_data([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]], device),
        input_ids,
    }
}
