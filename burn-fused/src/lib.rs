#![doc = include_str!("../README.md")]

mod activation;
mod attention;
mod dropout;
#[cfg(feature = "flex")]
mod flex;
mod linear;
mod norm;

pub use activation::{Activation, activation};
pub use attention::{AttentionOptions, attention};
pub use dropout::dropout;
pub use linear::linear;
pub use norm::{LayerNorm, Summands};

use burn::tensor::Device;

/// Whether this crate's own operations run on a device.
#[cfg(feature = "flex")]
fn is_fused(device: &Device) -> bool {
    use burn::backend::DispatchDevice;
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        DispatchDevice::Autodiff(autodiff) => {
            matches!(autodiff.clone().inner(), DispatchDevice::Flex(_))
        }
        #[expect(unreachable_patterns, reason = "the other variants come with features of Burn's")]
        _ => false,
    }
}
