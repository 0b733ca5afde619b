//! Long texts as overlapping windows: the spans of their tokens, and where each token has the most context.
//!
//! `convert_examples_to_features` and `_check_is_max_context` in the reference code,
//! <https://github.com/google-research/bert/blob/1cd50d7aa7d26638e05eb5b8a282b30cc92c6eb6/run_squad.py>.

use std::ops::Range;

/// Splits `tokens` tokens into spans of at most `length`.
pub(crate) fn spans(tokens: usize, length: usize, stride: usize) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut start = 0;
    while start < tokens {
        let end = tokens.min(start + length);
        spans.push(start..end);
        if end == tokens {
            break;
        }
        start += stride.min(length);
    }
    spans
}

/// The tokens that have their maximum context in each span: the smaller of the contexts on the left and on the right is
/// largest, and a longer span counts a little more (`_check_is_max_context`). These tokens are consecutive, and each token
/// belongs to one span, because the advantage of a later span grows with the token's position.
pub(crate) fn max_contexts(spans: &[Range<usize>]) -> Vec<Range<usize>> {
    // In hundredths, because the reference weights the length of a span by 0.01.
    let context = |span: &Range<usize>, token: usize| {
        span.contains(&token)
            .then(|| 100 * (token - span.start).min(span.end - 1 - token) + span.len())
    };
    let mut best: Vec<Range<usize>> = spans.iter().map(|span| span.start..span.start).collect();
    for token in 0..spans.last().map_or(0, |span| span.end) {
        // Starts and ends are in order: the spans with the token are consecutive.
        let first = spans.partition_point(|span| span.end <= token);
        let candidates = spans.iter().enumerate().skip(first);
        let candidates = candidates.map_while(|(index, span)| Some((context(span, token)?, index)));
        // The first of equal ones.
        let winner = candidates.min_by_key(|(context, _)| std::cmp::Reverse(*context));
        if let Some((_, winner)) = winner {
            let own = &mut best[winner];
            *own = if own.start == own.end { token..token + 1 } else { own.start..token + 1 };
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `_check_is_max_context` of the reference, with its floating-point numbers.
    fn is_max_context(spans: &[Range<usize>], current: usize, token: usize) -> bool {
        let mut best: Option<(f64, usize)> = None;
        for (index, span) in spans.iter().enumerate().filter(|(_, span)| span.contains(&token)) {
            let lesser = (token - span.start).min(span.end - 1 - token);
            let score = 0.01_f64.mul_add(span.len() as f64, lesser as f64);
            if best.is_none_or(|(best, _)| score > best) {
                best = Some((score, index));
            }
        }
        best.is_some_and(|(_, index)| index == current)
    }

    proptest! {
        #[test]
        fn every_token_is_at_its_max_context_in_the_references_window(
            tokens in 0..400_usize,
            length in 1..120_usize,
            stride in 1..150_usize,
        ) {
            let spans = spans(tokens, length, stride);
            let best = max_contexts(&spans);
            for token in 0..tokens {
                for (index, own) in best.iter().enumerate() {
                    prop_assert_eq!(own.contains(&token), is_max_context(&spans, index, token));
                }
            }
        }
    }
}
