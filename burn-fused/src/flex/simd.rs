//! Loops for the widest vectors of the machine, and functions that vectorise inside of them.

use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

/// Rows in one rayon task: few enough for a core's cache, enough to be worth a task.
pub(super) const ROWS_AT_ONCE: usize = 64;

/// Elements in one rayon task of an elementwise operation.
pub(super) const ELEMENTS_AT_ONCE: usize = 1 << 14;

/// Lanes of a sum: enough for every instruction set, and fixed, so that sums are the same on every machine.
const LANES: usize = 16;

/// Runs a loop that is compiled for the widest vectors of this machine.
///
/// `kernel` and all functions that it calls must be `#[inline(always)]`.
#[inline]
pub(super) fn vectorised<R>(kernel: impl FnOnce() -> R) -> R {
    struct Kernel<F>(F);
    impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Kernel<F> {
        type Output = R;

        #[inline(always)]
        fn call(self) -> R {
            (self.0)()
        }
    }
    Arch::new().dispatch(Kernel(kernel))
}

/// Several sums over rows, of the given widths; `add` adds a range of rows to them.
///
/// Chunks of rows are summed in parallel, and then the chunks in order, so that the number of threads changes no bit.
pub(super) fn column_sums<const N: usize>(
    rows: usize,
    widths: [usize; N],
    add: impl Fn(Range<usize>, [&mut [f32]; N]) + Sync,
) -> [Vec<f32>; N] {
    let chunks: Vec<[Vec<f32>; N]> = (0..rows.div_ceil(ROWS_AT_ONCE))
        .into_par_iter()
        .map(|chunk| {
            let mut sums = widths.map(|width| vec![0.0; width]);
            let range = chunk * ROWS_AT_ONCE..rows.min((chunk + 1) * ROWS_AT_ONCE);
            vectorised(|| add(range, sums.each_mut().map(Vec::as_mut_slice)));
            sums
        })
        .collect();
    let mut total = widths.map(|width| vec![0.0; width]);
    for chunk in &chunks {
        for (total, sums) in total.iter_mut().zip(chunk) {
            for (total, sum) in total.iter_mut().zip(sums) {
                *total += sum;
            }
        }
    }
    total
}

/// Sum of `term` over the elements of one row.
#[inline(always)]
pub(super) fn sum(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += term(x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += term(x);
    }
    lanes.iter().sum()
}

/// Sum of `term` over the elements of two rows.
#[inline(always)]
pub(super) fn sum_of_two(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += term(a, b);
        }
    }
    for ((lane, &a), &b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane += term(a, b);
    }
    lanes.iter().sum()
}

/// Whether no element is NaN or infinite.
#[inline(always)]
pub(super) fn is_finite(row: &[f32]) -> bool {
    sum(row, |x| x * 0.0).abs() <= 0.0
}

/// The largest element that is a number; `f32::MIN` of none.
#[inline(always)]
pub(super) fn largest(row: &[f32]) -> f32 {
    let mut lanes = [f32::MIN; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = if x > *lane { x } else { *lane };
    }
    lanes.into_iter().fold(f32::MIN, f32::max)
}

/// `eˣ` to about one unit in the last place; 0 for results below the normal numbers, infinite above 88.37, NaN for NaN.
///
/// `x = n ln 2 + r` with `|r| ≤ ln 2 / 2`, and a Taylor polynomial for `eʳ`. Adding [`ROUND`] leaves `n` in the low
/// bits, which are then shifted to the exponent.
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "the parts of ln 2 are exact as written")]
pub(super) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³
    const LN_2_HIGH: f32 = 0.693_359_375; // few enough bits that n times it is exact
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const SMALLEST: f32 = -87.336_54; // ln of the smallest normal number
    const LARGEST: f32 = 88.376_26;

    // These comparisons keep NaN.
    let clamped = if x > LARGEST { LARGEST } else { x };
    let clamped = if clamped < SMALLEST { SMALLEST } else { clamped };
    let rounded = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = n.mul_add(-LN_2_HIGH, clamped);
    let r = n.mul_add(-LN_2_LOW, r);
    let p = 1.0_f32 / 5040.0;
    let p = p.mul_add(r, 1.0 / 720.0);
    let p = p.mul_add(r, 1.0 / 120.0);
    let p = p.mul_add(r, 1.0 / 24.0);
    let p = p.mul_add(r, 1.0 / 6.0);
    let p = p.mul_add(r, 0.5);
    let p = p.mul_add(r, 1.0);
    let p = p.mul_add(r, 1.0);
    let power_of_two = f32::from_bits((rounded.to_bits() << 23).wrapping_add(0x3f80_0000));
    let power = if x < SMALLEST { 0.0 } else { p * power_of_two };
    if x > LARGEST { f32::INFINITY } else { power }
}

/// `Φ(x)` and `φ(x)`: distribution and density of the standard normal.
///
/// Abramowitz and Stegun, formula 7.1.26, whose error function is within 1.5e-7.
#[inline(always)]
pub(super) fn normal(x: f32) -> (f32, f32) {
    const FRAC_1_SQRT_TAU: f32 = 0.398_942_3;
    let magnitude = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let bell = exp(-magnitude * magnitude); // e^(-x²/2)
    let t = 1.0 / 0.327_591_1_f32.mul_add(magnitude, 1.0);
    let p = 1.061_405_4_f32;
    let p = p.mul_add(t, -1.453_152);
    let p = p.mul_add(t, 1.421_413_7);
    let p = p.mul_add(t, -0.284_496_74);
    let p = p.mul_add(t, 0.254_829_6);
    let upper_tail = 0.5 * p * t * bell; // 1 - Φ(|x|)
    let distribution = if x < 0.0 { upper_tail } else { 1.0 - upper_tail };
    (distribution, bell * FRAC_1_SQRT_TAU)
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Across the whole range, on every instruction set the machine has.
    fn grid(limit: f32) -> impl Iterator<Item = f32> {
        (-20_000..=20_000).map(move |i| i as f32 / 20_000.0 * limit)
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for x in grid(87.0) {
            let (found, expected) = (vectorised(|| exp(x)), f64::from(x).exp());
            let error = (f64::from(found) - expected).abs() / expected;
            assert!(error < 2.4e-7, "exp({x}) is {expected} and not {found}");
        }
        assert_eq!(exp(-200.0).to_bits(), 0.0_f32.to_bits());
        assert_eq!(exp(f32::NEG_INFINITY).to_bits(), 0.0_f32.to_bits());
        assert!(exp(88.3) > 2e38 && exp(88.3).is_finite());
        assert_eq!(exp(200.0).to_bits(), f32::INFINITY.to_bits());
        assert_eq!(exp(f32::INFINITY).to_bits(), f32::INFINITY.to_bits());
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn normal_has_the_textbook_values() {
        // x, Φ(x), φ(x) to ten digits.
        let table: [(f32, f64, f64); 5] = [
            (0.0, 0.5, 0.398_942_280_4),
            (1.0, 0.841_344_746_1, 0.241_970_724_5),
            (-1.0, 0.158_655_253_9, 0.241_970_724_5),
            (2.5, 0.993_790_334_7, 0.017_528_300_5),
            (-4.0, 0.000_031_671_2, 0.000_133_830_2),
        ];
        for (x, distribution, density) in table {
            let found = vectorised(|| normal(x));
            assert!((f64::from(found.0) - distribution).abs() < 2e-7, "Φ({x}) = {}", found.0);
            assert!((f64::from(found.1) - density).abs() < 1e-7, "φ({x}) = {}", found.1);
        }
    }

    #[test]
    fn reductions_take_every_element() {
        let row: Vec<f32> = (0..53).map(|i| (i * 7 % 53) as f32).collect();
        assert_eq!(sum(&row, |x| x).to_bits(), 1378.0_f32.to_bits());
        assert_eq!(sum_of_two(&row, &row, |a, b| a - b).to_bits(), 0.0_f32.to_bits());
        assert_eq!(largest(&row).to_bits(), 52.0_f32.to_bits());
        assert_eq!(largest(&[-3.0]).to_bits(), (-3.0_f32).to_bits());
        assert!(is_finite(&row));
        for index in 0..row.len() {
            for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut row = row.clone();
                row[index] = special;
                assert!(!is_finite(&row), "{special} at {index}");
            }
        }
    }
}
