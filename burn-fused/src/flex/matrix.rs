//! Matrix products on slices: the only file with `unsafe` code.

use std::ops::Range;

use gemm::Parallelism;
use rayon::prelude::*;

/// A matrix inside a slice: element `(i, j)` is at `i · row_stride + j · column_stride`.
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

/// Asserts that `(rows - 1, columns - 1)` is inside, and rows do not overlap.
fn assert_holds(len: usize, rows: usize, columns: usize, row_stride: usize) {
    assert!(columns <= row_stride || rows <= 1, "rows overlap");
    assert!(
        rows == 0 || columns == 0 || (rows - 1) * row_stride + columns <= len,
        "{rows} rows of {columns}, {row_stride} apart, do not fit into {len} elements"
    );
}

/// The threads that compute a product.
#[derive(Clone, Copy)]
pub(super) enum Threads {
    /// The calling one.
    One,
    /// All threads of rayon's pool.
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
    let tile = Tile { first: out.data.as_mut_ptr(), row_stride: out.row_stride };
    // SAFETY: `out` is inside its slice, as asserted by its constructor, and borrowed mutably.
    #[expect(unsafe_code, reason = "gemm takes pointers")]
    unsafe {
        write(tile, accumulate, factor, left, right, threads);
    }
}

/// `left · right` as a new matrix, rows one after the other.
pub(super) fn product(left: Matrix, right: Matrix, threads: Threads) -> Vec<f32> {
    let (rows, columns) = (left.rows, right.columns);
    let mut out = Vec::with_capacity(rows * columns);
    let tile = Tile { first: out.as_mut_ptr(), row_stride: columns };
    // SAFETY: the vector has room for that many elements and is not shared. Without `accumulate` every element is
    // written and none is read.
    #[expect(
        unsafe_code,
        reason = "gemm takes pointers, and clearing memory that it overwrites takes time"
    )]
    unsafe {
        write(tile, false, 1.0, left, right, threads);
        out.set_len(rows * columns);
    }
    out
}

/// The memory that a product is written to, rows `row_stride` elements apart.
#[derive(Clone, Copy)]
struct Tile {
    first: *mut f32,
    row_stride: usize,
}

// SAFETY: threads that share a tile write different parts of it.
#[expect(unsafe_code, reason = "gemm takes pointers")]
unsafe impl Send for Tile {}
#[expect(unsafe_code, reason = "gemm takes pointers")]
unsafe impl Sync for Tile {}

/// Multiplies, in pieces on all threads if the product is large enough.
///
/// gemm could distribute a product over threads itself, but then packs matrices that it reads across rows on one thread
/// only, which takes a tenth of a training step on short texts.
///
/// # Safety
/// `out` must have the rows and columns of the product, and nothing else may read or write them.
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
        // Captures the whole tile and not only its pointer, which is not `Sync`.
        let Tile { first, row_stride } = { out };
        // SAFETY: the piece is inside of the tile, and no other piece overlaps it; `left` and `right` are inside their
        // slices, as asserted by their constructors.
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

/// Smaller products are done before another thread wakes up.
const MIN_PARALLEL_WORK: usize = 1 << 19;

/// About the smallest side of a piece. It is above 64, because gemm sums small products in another order.
const MIN_PIECE: usize = 96;

/// The number of pieces along the rows and along the columns of a product, so that each thread has one: the longer side
/// is divided first, then the other if pieces would become too small.
fn pieces(rows: usize, columns: usize, threads: usize) -> (usize, usize) {
    let cut = |length: usize, count: usize| (length / MIN_PIECE).clamp(1, count);
    let of_longer = cut(rows.max(columns), threads);
    let of_shorter = cut(rows.min(columns), threads.div_ceil(of_longer));
    if columns >= rows { (of_shorter, of_longer) } else { (of_longer, of_shorter) }
}

/// One of `count` parts of so many rows or columns, aligned to vectors.
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
