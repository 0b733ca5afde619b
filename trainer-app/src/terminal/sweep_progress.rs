//! The progress table of a sweep.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

use super::progress::{draw_target, style};

/// The progress table of a sweep: messages above, a row for each task and method, the running cell below.
pub struct SweepProgress {
    bars: MultiProgress,
    rows: BTreeMap<String, Row>,
    running: ProgressBar,
    prints: bool,
}

struct Row {
    bar: ProgressBar,
    results: Mutex<RowResults>,
}

/// The results of the finished cells of a row.
#[derive(Default)]
struct RowResults {
    best: Option<f64>,
    collapsed: usize,
    failed: usize,
}

/// How a cell of a row ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RowEnd {
    /// It has a score.
    Score(f64),
    /// Its training collapsed.
    Collapsed,
    /// It could not be run.
    Failed,
}

impl RowResults {
    fn add(&mut self, end: RowEnd) {
        match end {
            RowEnd::Score(score) => {
                self.best = Some(self.best.map_or(score, |best| best.max(score)));
            }
            RowEnd::Collapsed => self.collapsed += 1,
            RowEnd::Failed => self.failed += 1,
        }
    }

    fn message(&self) -> String {
        let count = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
        let parts = [
            self.best.map(|best| format!("best {:.1}", 100.0 * best)),
            count(self.collapsed, "collapsed"),
            count(self.failed, "failed"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl SweepProgress {
    /// A table with a row for each distinct name, whose length is the number of its occurrences. When standard error is
    /// not a terminal, only messages are printed; without `prints`, nothing is.
    pub fn new(names: impl Iterator<Item = String>, prints: bool) -> Self {
        let target = if prints { draw_target() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let mut counts: Vec<(String, u64)> = Vec::new();
        for name in names {
            match counts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => counts.push((name, 1)),
            }
        }
        let rows = counts.into_iter().map(|(name, count)| {
            let bar = bars.add(ProgressBar::new(count));
            bar.set_style(style("{prefix:24!} {bar:12} {pos:>3}/{len:<3} {wide_msg}"));
            bar.set_prefix(name.clone());
            bar.tick();
            (name, Row { bar, results: Mutex::default() })
        });
        let rows = rows.collect();
        let running = bars.add(ProgressBar::new(1));
        running.set_style(style("{spinner} {wide_msg} {bar:12} {pos}/{len} steps, {eta} left"));
        Self { bars, rows, running, prints }
    }

    /// Starts a cell, and returns its progress bar.
    pub fn start(&self, cell: &str) -> ProgressBar {
        self.running.reset();
        self.running.set_message(cell.to_owned());
        self.running.enable_steady_tick(Duration::from_millis(200));
        self.running.clone()
    }

    /// Records the end of a cell of a row.
    pub fn finish(&self, row: &str, end: RowEnd) {
        let Some(row) = self.rows.get(row) else { return };
        let mut results = row.results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        results.add(end);
        row.bar.set_message(results.message());
        row.bar.inc(1);
    }

    /// Prints a message above the table.
    pub fn println(&self, line: &str) {
        if !self.prints {
            return;
        }
        if self.bars.is_hidden() {
            noteln!("{line}");
        } else {
            // An error can be ignored: the result is in the ledger.
            let _ = self.bars.println(line);
        }
    }

    /// Finishes the table: the rows remain, the line of the running cell is removed.
    pub fn close(&self) {
        self.running.finish_and_clear();
        for row in self.rows.values() {
            row.bar.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_its_best_and_what_collapsed_or_failed() {
        let mut results = RowResults::default();
        for end in [RowEnd::Score(0.8), RowEnd::Score(0.7), RowEnd::Collapsed, RowEnd::Failed] {
            results.add(end);
        }
        assert_eq!(results.message(), "best 80.0, 1 collapsed, 1 failed");
        assert_eq!(RowResults::default().message(), "");
    }
}
