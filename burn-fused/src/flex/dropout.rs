//! Dropout masks as a function of place and seed: never stored, and the same in whatever order they are drawn.

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
    /// A mask whose seed is the next of the device's stream.
    pub(super) fn draw(rate: f64, device: &Device) -> Self {
        let bits = Distribution::Uniform(0.0, f64::from(i32::MAX)); // the widest that Burn draws
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
        let key = mix((index as u32) ^ a).wrapping_add((index >> 32) as u32);
        Block { keys: [mix(key ^ b), mix(key.wrapping_add(0x9e37_79b9))], mask: self }
    }
}

/// The mask of a block of fewer than 2³² elements.
#[derive(Clone, Copy)]
pub(super) struct Block {
    keys: [u32; 2],
    mask: Mask,
}

impl Block {
    /// What the element at this place in the block is multiplied with.
    #[inline(always)]
    pub(super) fn factor(self, place: u32) -> f32 {
        let bits = mix(place.wrapping_mul(0x9e37_79b9).wrapping_add(self.keys[0])) ^ self.keys[1];
        if mix(bits) < self.mask.threshold { 0.0 } else { self.mask.scale }
    }
}

/// A bijection of 32 bits that leaves no visible trace of its input: the mixer `lowbias32` found by Chris Wellons'
/// search, <https://nullprogram.com/blog/2018/07/31/>.
#[inline(always)]
fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// The mask times the tensor, in the tensor's memory where nobody else holds it. Its own gradient: the same mask.
pub(super) fn apply(x: FlexTensor, mask: Mask) -> FlexTensor {
    let mut x = in_memory_order(x);
    x.storage_mut::<f32>().par_chunks_mut(ELEMENTS_AT_ONCE).enumerate().for_each(
        |(index, chunk)| {
            vectorised(
                #[inline(always)]
                || {
                    let block = mask.block(index);
                    for (place, x) in (0..).zip(chunk) {
                        *x *= block.factor(place);
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

    fn kept(mask: Mask, block: usize, count: u32) -> Vec<bool> {
        let block = mask.block(block);
        (0..count).map(|place| block.factor(place) > 0.0).collect()
    }

    fn agreement(a: &[bool], b: &[bool]) -> f64 {
        let same = a.iter().zip(b).filter(|(a, b)| a == b).count();
        same as f64 / a.len().min(b.len()) as f64
    }

    #[test]
    fn the_rate_is_the_rate() {
        for rate in [0.1, 0.5, 0.9] {
            let kept = kept(Mask::new([1, 2], rate), 3, 1 << 18);
            let found = kept.iter().filter(|kept| !**kept).count() as f64 / kept.len() as f64;
            // Five standard deviations.
            let tolerance = 5.0 * (rate * (1.0 - rate) / f64::from(1 << 18)).sqrt();
            assert!((found - rate).abs() < tolerance, "{found} of {rate}");
        }
    }

    #[test]
    fn neighbours_blocks_and_seeds_are_independent() {
        let count = 1 << 18;
        let mask = kept(Mask::new([1, 2], 0.5), 3, count);
        // Independent coins agree half the time.
        let tolerance = 5.0 * 0.5 / f64::from(count).sqrt();
        for (what, other) in [
            ("the next place", mask[1..].to_vec()),
            ("64 places on", mask[64..].to_vec()),
            ("the next block", kept(Mask::new([1, 2], 0.5), 4, count)),
            ("a block far away", kept(Mask::new([1, 2], 0.5), 3 | 1 << 33, count)),
            ("the first half of the seed", kept(Mask::new([2, 2], 0.5), 3, count)),
            ("the second half of the seed", kept(Mask::new([1, 3], 0.5), 3, count)),
        ] {
            let found = agreement(&mask, &other);
            assert!((found - 0.5).abs() < tolerance, "{what}: {found}");
        }
    }
}
