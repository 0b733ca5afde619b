//! The terminal: Ctrl-C with the dashboard, restoring its state, and the progress table of a sweep.
//!
//! The dashboard puts the terminal into raw mode, in which Ctrl-C is an ordinary key that burn-train does not handle.
//! Here it is made a signal again. burn-train restores the terminal when it closes the dashboard and when a thread
//! panics; [`restore`] is for a process that exits immediately.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

#[cfg(unix)]
pub use unix::{enable_ctrl_c, replace_lost, restore};

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::sync::OnceLock;
    use std::time::Duration;

    use rustix::io::Errno;
    use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
    use rustix::termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
    };

    /// How often raw mode is looked for; the dashboard may take 5 seconds to start.
    const TRIES: u32 = 100;
    const BETWEEN_TRIES: Duration = Duration::from_millis(50);
    /// Restores what the dashboard changed: main screen, no mouse reports, and the cursor.
    const MAIN_SCREEN: &[u8] =
        b"\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?1049l\x1b[?25h";
    /// A special character that no key produces.
    const DISABLED: u8 = 0;

    /// The modes before the dashboard.
    static BEFORE: OnceLock<Termios> = OnceLock::new();

    /// Saves the modes of the terminal, waits for raw mode in the background, and makes Ctrl-C a signal again.
    pub fn enable_ctrl_c() {
        // Without terminal modes there is nothing to restore, and no Ctrl-C.
        let Ok(before) = tcgetattr(std::io::stdin()) else { return };
        let _ = BEFORE.set(before);
        std::thread::spawn(|| {
            let stdin = std::io::stdin();
            for _ in 0..TRIES {
                let Ok(mut modes) = tcgetattr(&stdin) else { return };
                if !modes.local_modes.contains(LocalModes::ICANON) {
                    modes.local_modes.insert(LocalModes::ISIG);
                    // These signals would leave the terminal in raw mode.
                    modes.special_codes[SpecialCodeIndex::VQUIT] = DISABLED;
                    modes.special_codes[SpecialCodeIndex::VSUSP] = DISABLED;
                    // If that fails, `q` still stops the run.
                    let _ = tcsetattr(&stdin, OptionalActions::Now, &modes);
                    return;
                }
                std::thread::sleep(BETWEEN_TRIES);
            }
        });
    }

    /// Restores the terminal to its state before the dashboard, if there was one.
    pub fn restore() {
        let Some(before) = BEFORE.get() else { return };
        // The process is about to exit, so that errors cannot be reported.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        let mut stdout = std::io::stdout();
        let _ = stdout.write_all(MAIN_SCREEN).and_then(|()| stdout.flush());
    }

    /// Replaces standard streams whose terminal was closed by /dev/null, so that writing to them does not fail.
    pub fn replace_lost() {
        let Ok(null) = File::options().read(true).write(true).open("/dev/null") else { return };
        let is_lost =
            |stream: &dyn AsFd| tcgetattr(stream.as_fd()).is_err_and(|error| error == Errno::IO);
        // A stream that cannot be replaced is left unchanged.
        if is_lost(&std::io::stdin()) {
            let _ = dup2_stdin(&null);
        }
        if is_lost(&std::io::stdout()) {
            let _ = dup2_stdout(&null);
        }
        if is_lost(&std::io::stderr()) {
            let _ = dup2_stderr(&null);
        }
    }
}

/// Other systems send Ctrl-C in raw mode too, or use `q`.
#[cfg(not(unix))]
pub fn enable_ctrl_c() {}

/// Other systems restore the terminal themselves.
#[cfg(not(unix))]
pub fn restore() {}

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
        let target = if prints && std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
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

/// The style of a template; the templates in this file are valid.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A progress bar for a number of rows, shown on a terminal.
pub(crate) fn rows_bar(rows: usize) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(rows as u64), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} rows  {eta} left") {
        bar.set_style(style);
    }
    bar
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
