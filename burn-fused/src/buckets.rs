//! Distances between positions as rows of a table.

use std::ops::Range;

/// Which row of a table of `2 · span` rows belongs to the distance between a query and a key.
///
/// <https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/models/deberta_v2/modeling_deberta_v2.py>
/// (`make_log_bucket_position`, `build_relative_position`)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistanceBuckets {
    /// Each distance has a row; those of `span` and more share the last.
    Each {
        /// Half of the number of rows.
        span: usize,
    },
    /// Distances up to half of `span` have rows of their own, larger ones share rows on a logarithmic scale.
    Logarithmic {
        /// Half of the number of rows: `position_buckets`.
        span: usize,
        /// The distance that has the last row, plus one: `max_relative_positions`.
        max_distance: usize,
    },
}

impl DistanceBuckets {
    /// Half of the number of rows.
    pub fn span(&self) -> usize {
        match *self {
            Self::Each { span } | Self::Logarithmic { span, .. } => span,
        }
    }

    /// The rows of the distances in a text.
    pub fn rows(&self, sequence: usize) -> Range<usize> {
        let last = sequence.saturating_sub(1);
        self.row(0, last)..self.row(last, 0) + 1
    }

    /// The row of the distance from a key at position `key` to a query at position `query`.
    pub fn row(&self, query: usize, key: usize) -> usize {
        let span = self.span();
        let bucket = self.bucket(query.abs_diff(key));
        if query >= key {
            (span + bucket).min((2 * span).saturating_sub(1))
        } else {
            span.saturating_sub(bucket)
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in single precision as in transformers; a bucket is above 0"
    )]
    fn bucket(&self, distance: usize) -> usize {
        let Self::Logarithmic { span, max_distance } = *self else { return distance };
        let middle = span / 2;
        if distance <= middle {
            return distance;
        }
        let largest = ((max_distance as f64 - 1.0) / middle as f64) as f32;
        let position = (distance as f32 / middle as f32).ln() / largest.ln();
        (position * (middle as f32 - 1.0)).ceil() as usize + middle
    }
}
