//! Dropout masks as a function of index and seed: never stored, and the same in any order.

use burn::tensor::{Device, Distribution, Int, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::simd::{ELEMENTS_AT_ONCE, vectorised};
use super::tensor::in_memory_order;

/// A mask: 0 with probability `rate`, `1 / (1 - rate)` otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mask {
    seed: [u32; 2],
    /// Random bits below this drop an element.
    threshold: u32,
    scale: f32,
}

impl Mask {
    /// A mask with the next seed of the device's random stream.
    pub(super) fn draw(rate: f64, device: &Device) -> Self {
        let bits = Distribution::Uniform(0.0, f64::from(i32::MAX)); // the widest range that Burn draws from
        let drawn = Tensor::<1, Int>::random([2], bits, &device.clone().inner()).into_data();
        let mut seed = drawn.iter::<u32>();
        let mut next = || seed.next().expect("two numbers were drawn");
        Self::new([next(), next()], rate)
    }

    #[expect(clippy::cast_sign_loss, reason = "a rate lies in 0..1")]
    fn new(seed: [u32; 2], rate: f64) -> Self {
        Self {
            seed,
            threshold: (rate * 4_294_967_296.0) as u32,
            scale: (1.0 / (1.0 - rate)) as f32,
        }
    }

    /// The mask of one block of elements; blocks are independent of each other.
    #[inline(always)]
    pub(super) fn block(self, index: usize) -> Block {
        let index = index as u64;
        let [a, b] = self.seed;
        let key = hash((index as u32) ^ a).wrapping_add((index >> 32) as u32);
        Block { keys: [hash(key ^ b), hash(key.wrapping_add(0x9e37_79b9))], mask: self }
    }
}

/// The mask of a block of fewer than 2³² elements.
#[derive(Clone, Copy)]
pub(super) struct Block {
    keys: [u32; 2],
    mask: Mask,
}

impl Block {
    /// The factor of the element at this index in the block.
    #[inline(always)]
    pub(super) fn factor(self, index: u32) -> f32 {
        let bits = hash(index.wrapping_mul(0x9e37_79b9).wrapping_add(self.keys[0])) ^ self.keys[1];
        if hash(bits) < self.mask.threshold { 0.0 } else { self.mask.scale }
    }
}

/// A bijective hash of 32 bits: `lowbias32`, found by Chris Wellons' search,
/// <https://nullprogram.com/blog/2018/07/31/>.
#[inline(always)]
fn hash(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// The tensor times the mask, in place if the tensor's memory is not shared. The backward pass is the same function.
pub(super) fn apply(x: FlexTensor, mask: Mask) -> FlexTensor {
    let mut x = in_memory_order(x);
    x.storage_mut::<f32>().par_chunks_mut(ELEMENTS_AT_ONCE).enumerate().for_each(
        |(index, chunk)| {
            vectorised(
                #[inline(always)]
                || {
                    let block = mask.block(index);
                    for (index, x) in (0..).zip(chunk) {
                        *x *= block.factor(index);
                    }
                },
            );
        },
    );
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retained(mask: Mask, block: usize, count: u32) -> Vec<bool> {
        let block = mask.block(block);
        (0..count).map(|index| block.factor(index) > 0.0).collect()
    }

    fn share_of_equal(a: &[bool], b: &[bool]) -> f64 {
        let same = a.iter().zip(b).filter(|(a, b)| a == b).count();
        same as f64 / a.len().min(b.len()) as f64
    }

    #[test]
    fn elements_are_dropped_at_the_rate() {
        for rate in [0.1, 0.5, 0.9] {
            let retained = retained(Mask::new([1, 2], rate), 3, 1 << 18);
            let found = retained.iter().filter(|is| !**is).count() as f64 / retained.len() as f64;
            // Five standard deviations.
            let tolerance = 5.0 * (rate * (1.0 - rate) / f64::from(1 << 18)).sqrt();
            assert!((found - rate).abs() < tolerance, "{found} of {rate}");
        }
    }

    #[test]
    fn neighbours_blocks_and_seeds_are_independent() {
        let count = 1 << 18;
        let mask = retained(Mask::new([1, 2], 0.5), 3, count);
        // Independent bits are equal half the time.
        let tolerance = 5.0 * 0.5 / f64::from(count).sqrt();
        for (what, other) in [
            ("the next index", mask[1..].to_vec()),
            ("64 indices on", mask[64..].to_vec()),
            ("the next block", retained(Mask::new([1, 2], 0.5), 4, count)),
            ("a block far away", retained(Mask::new([1, 2], 0.5), 3 | 1 << 33, count)),
            ("the first half of the seed", retained(Mask::new([2, 2], 0.5), 3, count)),
            ("the second half of the seed", retained(Mask::new([1, 3], 0.5), 3, count)),
        ] {
            let found = share_of_equal(&mask, &other);
            assert!((found - 0.5).abs() < tolerance, "{what}: {found}");
        }
    }
}
