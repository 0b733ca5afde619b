#![doc = include_str!("../README.md")]

mod activation;
mod adam;
mod attention;
mod dropout;
#[cfg(feature = "flex")]
mod flex;
mod linear;
mod norm;

pub use activation::{Activation, activation};
pub use adam::{AdamRates, AdamState, bert_adam, sum_of_squares};
pub use attention::{AttentionOptions, attention};
pub use dropout::dropout;
pub use linear::linear;
pub use norm::{LayerNorm, ResidualInputs};

use burn::tensor::Device;

/// Whether this crate's own operations run on a device.
#[cfg(feature = "flex")]
fn is_fused(device: &Device) -> bool {
    use burn::backend::DispatchDevice;
    let device = device.as_dispatch();
    if let DispatchDevice::Autodiff(autodiff) = device {
        return matches!(autodiff.clone().inner(), DispatchDevice::Flex(_));
    }
    matches!(device, DispatchDevice::Flex(_))
}
