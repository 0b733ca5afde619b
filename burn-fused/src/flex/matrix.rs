//! Matrix products on slices; the only place that hands out pointers.

use std::ops::Range;

use gemm::Parallelism;
use rayon::prelude::*;

/// A matrix inside a slice: element `(i, j)` lies at `i · row_stride + j · column_stride`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other.
    pub(super) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that start `row_stride` elements apart.
    pub(super) fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert_holds(data.len(), rows, columns, row_stride);
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// Some rows of it.
    fn rows(self, first: usize, rows: usize) -> Self {
        Self { data: &self.data[first * self.row_stride..], rows, ..self }
    }

    /// Some columns of it.
    fn columns(self, first: usize, columns: usize) -> Self {
        Self { data: &self.data[first * self.column_stride..], columns, ..self }
    }

    /// The transpose, of the same memory.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A matrix to write, rows `row_stride` elements apart.
pub(super) struct MatrixMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// Rows one after the other.
    pub(super) fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that start `row_stride` elements apart.
    pub(super) fn strided(
        data: &'a mut [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Self {
        assert_holds(data.len(), rows, columns, row_stride);
        Self { data, rows, columns, row_stride }
    }
}

/// That `(rows - 1, columns - 1)` lies inside, and rows do not overlap.
fn assert_holds(len: usize, rows: usize, columns: usize, row_stride: usize) {
    assert!(columns <= row_stride || rows <= 1, "rows overlap");
    assert!(
        rows == 0 || columns == 0 || (rows - 1) * row_stride + columns <= len,
        "{rows} rows of {columns}, {row_stride} apart, do not fit into {len} elements"
    );
}

/// Who works on a product.
#[derive(Clone, Copy)]
pub(super) enum Threads {
    /// The caller.
    One,
    /// All of rayon's.
    All,
}

/// `out = factor · left · right`, or `out += …` where `accumulate` is set.
pub(super) fn multiply(
    out: MatrixMut,
    accumulate: bool,
    factor: f32,
    left: Matrix,
    right: Matrix,
    threads: Threads,
) {
    assert_eq!((out.rows, out.columns), (left.rows, right.columns), "shape of the product");
    let place = Tile { first: out.data.as_mut_ptr(), row_stride: out.row_stride };
    // SAFETY: `out` lies inside its slice, as asserted when it was made, and is borrowed mutably.
    #[expect(unsafe_code, reason = "gemm takes pointers")]
    unsafe {
        write(place, accumulate, factor, left, right, threads);
    }
}

/// `left · right` in memory of its own, rows one after the other.
pub(super) fn product(left: Matrix, right: Matrix, threads: Threads) -> Vec<f32> {
    let (rows, columns) = (left.rows, right.columns);
    let mut out = Vec::with_capacity(rows * columns);
    let place = Tile { first: out.as_mut_ptr(), row_stride: columns };
    // SAFETY: there is room for that many elements, which nobody else knows of. What is not accumulated is written
    // without being read, all of it.
    #[expect(
        unsafe_code,
        reason = "gemm takes pointers, and clearing what it overwrites takes time"
    )]
    unsafe {
        write(place, false, 1.0, left, right, threads);
        out.set_len(rows * columns);
    }
    out
}

/// Where a product is written, rows `row_stride` elements apart.
#[derive(Clone, Copy)]
struct Tile {
    first: *mut f32,
    row_stride: usize,
}

// SAFETY: threads that share a place write different parts of it.
#[expect(unsafe_code, reason = "gemm takes pointers")]
unsafe impl Send for Tile {}
#[expect(unsafe_code, reason = "gemm takes pointers")]
unsafe impl Sync for Tile {}

/// Multiplies, piece by piece on all threads where that pays.
///
/// gemm could share a product among threads itself, but lays out what it reads across rows on one of them alone, which
/// is a tenth of a step on short texts.
///
/// # Safety
/// As many rows and columns as the product has lie at `out`, and nobody else reads or writes them.
#[expect(unsafe_code, reason = "gemm takes pointers")]
unsafe fn write(
    out: Tile,
    accumulate: bool,
    factor: f32,
    left: Matrix,
    right: Matrix,
    threads: Threads,
) {
    assert_eq!(left.columns, right.rows, "inner widths");
    let (rows, columns) = (left.rows, right.columns);
    let is_small = rows * columns * left.columns < MIN_PARALLEL_WORK;
    let (down, across) = match threads {
        Threads::All if !is_small => pieces(rows, columns, rayon::current_num_threads()),
        Threads::One | Threads::All => (1, 1),
    };
    let piece = |number: usize| {
        let Range { start: row, end } = part(rows, number / across, down);
        let left = left.rows(row, end - row);
        let Range { start: column, end } = part(columns, number % across, across);
        let right = right.columns(column, end - column);
        // The whole place is used and not its pointer alone, which threads do not share.
        let Tile { first, row_stride } = { out };
        // SAFETY: the piece is inside of what the caller answers for, and is no other's; `left` and `right` lie inside
        // their slices, as asserted when they were made.
        unsafe {
            gemm::gemm(
                left.rows,
                right.columns,
                left.columns,
                first.add(row * row_stride + column),
                1,
                row_stride.cast_signed(),
                accumulate,
                left.data.as_ptr(),
                left.column_stride.cast_signed(),
                left.row_stride.cast_signed(),
                right.data.as_ptr(),
                right.column_stride.cast_signed(),
                right.row_stride.cast_signed(),
                1.0,
                factor,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    };
    match down * across {
        1 => piece(0),
        count => (0..count).into_par_iter().for_each(piece),
    }
}

/// Products of fewer multiplications are done before another thread is awake.
const MIN_PARALLEL_WORK: usize = 1 << 19;

/// Pieces are about so thin at the least, and thicker than 64: where no side is, gemm sums in another order.
const MIN_PIECE: usize = 96;

/// How many pieces a product is cut into down its rows and across its columns, so that each thread has one: along the
/// longer side, and along the other where pieces would become thin.
fn pieces(rows: usize, columns: usize, threads: usize) -> (usize, usize) {
    let cut = |length: usize, count: usize| (length / MIN_PIECE).clamp(1, count);
    let of_longer = cut(rows.max(columns), threads);
    let of_shorter = cut(rows.min(columns), threads.div_ceil(of_longer));
    if columns >= rows { (of_shorter, of_longer) } else { (of_longer, of_shorter) }
}

/// One of `count` parts of so many rows or columns, which end where vectors do.
fn part(length: usize, number: usize, count: usize) -> Range<usize> {
    const VECTOR: usize = 16;
    let start = |number| {
        if number == count { length } else { number * length / count / VECTOR * VECTOR }
    };
    start(number)..start(number + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(transposed: bool, accumulate: bool) -> Vec<f32> {
        let left = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let right = [1.0, 0.0, 2.0, 0.0, 1.0, 1.0];
        let mut out = vec![10.0; 4];
        let (left, right) = if transposed {
            (Matrix::new(&left, 3, 2).transposed(), Matrix::new(&right, 3, 2))
        } else {
            (Matrix::new(&left, 2, 3), Matrix::new(&right, 3, 2))
        };
        multiply(MatrixMut::new(&mut out, 2, 2), accumulate, 1.0, left, right, Threads::One);
        out
    }

    #[test]
    fn products_are_those_of_the_textbook() {
        assert_eq!(small(false, false), [8.0, 3.0, 20.0, 6.0]);
        assert_eq!(small(false, true), [18.0, 13.0, 30.0, 16.0]);
        assert_eq!(small(true, false), [12.0, 5.0, 16.0, 6.0]);
    }

    #[test]
    fn pieces_on_several_threads_are_the_whole_to_the_bit() {
        let numbers = |count: usize| (0..count).map(|i| (i * 7 % 31) as f32 - 15.3).collect();
        for (rows, inner, columns) in [(361, 96, 384), (700, 64, 130), (97, 512, 97), (1, 9, 99999)]
        {
            let (left, right): (Vec<f32>, Vec<f32>) =
                (numbers(rows * inner), numbers(inner * columns));
            let left = Matrix::new(&left, rows, inner);
            for right in [
                Matrix::new(&right, inner, columns),
                Matrix::new(&right, columns, inner).transposed(),
            ] {
                let alone = product(left, right, Threads::One);
                assert_eq!(alone.len(), rows * columns);
                for threads in [1, 2, 3, 16] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                    let shared = pool.unwrap().install(|| product(left, right, Threads::All));
                    assert!(alone == shared, "{rows} {inner} {columns} on {threads} threads");
                }
            }
        }
    }

    #[test]
    fn every_thread_has_a_piece_where_there_are_enough_rows_and_columns() {
        assert_eq!(pieces(361, 384, 2), (1, 2));
        assert_eq!(pieces(4096, 384, 2), (2, 1));
        assert_eq!(pieces(361, 384, 16), (3, 4));
        assert_eq!(pieces(10, 10, 16), (1, 1));
        assert_eq!(part(361, 0, 2), 0..176);
        assert_eq!(part(361, 1, 2), 176..361);
    }

    #[test]
    #[should_panic(expected = "do not fit into 5 elements")]
    fn a_short_slice_is_refused() {
        let _ = Matrix::new(&[0.0; 5], 2, 3);
    }
}
