//! Matrix products on slices; the only place that hands out pointers.

use gemm::Parallelism;

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
    assert_eq!(left.columns, right.rows, "inner widths");
    assert_eq!((out.rows, out.columns), (left.rows, right.columns), "shape of the product");
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(0),
    };
    // SAFETY: each of the three lies inside its slice, as asserted when it was made; `out` is borrowed mutably, so it
    // overlaps neither of the others.
    #[expect(unsafe_code, reason = "gemm takes pointers")]
    unsafe {
        gemm::gemm(
            out.rows,
            out.columns,
            left.columns,
            out.data.as_mut_ptr(),
            1,
            out.row_stride.cast_signed(),
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
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(transposed: bool, accumulate: bool) -> Vec<f32> {
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
        assert_eq!(product(false, false), [8.0, 3.0, 20.0, 6.0]);
        assert_eq!(product(false, true), [18.0, 13.0, 30.0, 16.0]);
        assert_eq!(product(true, false), [12.0, 5.0, 16.0, 6.0]);
    }

    #[test]
    #[should_panic(expected = "do not fit into 5 elements")]
    fn a_short_slice_is_refused() {
        let _ = Matrix::new(&[0.0; 5], 2, 3);
    }
}
