//! Metrics for Prometheus, in its text format:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the histogram's buckets, in seconds.
const BOUNDS: [f64; 8] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// The counters.
#[derive(Default)]
pub(super) struct Metrics {
    /// Batches that were run.
    pub(super) batches: AtomicU64,
    /// Texts in these batches.
    pub(super) batched_texts: AtomicU64,
    answered: Mutex<Answered>,
}

#[derive(Default)]
struct Answered {
    by_status: BTreeMap<u16, u64>,
    /// Requests in each bucket, the last for those above all bounds.
    by_seconds: [u64; BOUNDS.len() + 1],
    seconds: f64,
}

impl Metrics {
    /// Counts a response.
    pub(super) fn answered(&self, status: u16, time: Duration) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        *answered.by_status.entry(status).or_default() += 1;
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        answered.by_seconds[bucket] += 1;
        answered.seconds += seconds;
    }

    /// All metrics as text.
    pub(super) fn text(&self, waiting: usize, tasks: usize, is_degraded: bool) -> String {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, lines: Vec<(String, f64)>| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# TYPE trainer_{name} {kind}");
            for (label, value) in lines {
                let _ = writeln!(text, "trainer_{name}{label} {value}");
            }
        };
        let one = |value: f64| vec![(String::new(), value)];
        let statuses = answered.by_status.iter();
        let statuses =
            statuses.map(|(status, count)| (format!("{{status=\"{status}\"}}"), *count as f64));
        family("requests_total", "counter", statuses.collect());
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        family("batches_total", "counter", one(count(&self.batches)));
        family("batched_texts_total", "counter", one(count(&self.batched_texts)));
        family("waiting_texts", "gauge", one(waiting as f64));
        family("tasks", "gauge", one(tasks as f64));
        family("degraded", "gauge", one(f64::from(u8::from(is_degraded))));
        let mut below = 0;
        let bounds = BOUNDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        let mut lines = Vec::new();
        for (bound, count) in bounds.zip(answered.by_seconds) {
            below += count;
            lines.push((format!("_bucket{{le=\"{bound}\"}}"), below as f64));
        }
        lines.push(("_sum".to_owned(), answered.seconds));
        lines.push(("_count".to_owned(), below as f64));
        family("request_seconds", "histogram", lines);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_in_the_text_format_of_prometheus() {
        let metrics = Metrics::default();
        metrics.answered(200, Duration::from_millis(7));
        metrics.answered(200, Duration::from_secs(9));
        metrics.answered(404, Duration::ZERO);
        let text = metrics.text(5, 2, true);
        for line in [
            "# TYPE trainer_requests_total counter",
            "trainer_requests_total{status=\"200\"} 2",
            "trainer_requests_total{status=\"404\"} 1",
            "trainer_waiting_texts 5",
            "trainer_tasks 2",
            "trainer_degraded 1",
            "trainer_request_seconds_bucket{le=\"0.005\"} 1",
            "trainer_request_seconds_bucket{le=\"0.01\"} 2",
            "trainer_request_seconds_bucket{le=\"5\"} 2",
            "trainer_request_seconds_bucket{le=\"+Inf\"} 3",
            "trainer_request_seconds_count 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
