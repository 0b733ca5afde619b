//! The terminal: Ctrl-C while the dashboard is up, its state after every ending, and the live table of a sweep.
//!
//! The dashboard puts the terminal into raw mode, where Ctrl-C is a key like any other and burn-train does not read it.
//! Here it is made a signal again. burn-train restores the terminal when it closes the dashboard and when a thread
//! panics; [`restore`] is for a process that leaves at once.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

#[cfg(unix)]
pub use unix::{dashboard_starts, let_go_of_lost, restore};

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

    /// How long the dashboard may take to come up.
    const TRIES: u32 = 100;
    const BETWEEN_TRIES: Duration = Duration::from_millis(50);
    /// The main screen, no mouse reports, and the cursor: what the dashboard changed.
    const MAIN_SCREEN: &[u8] =
        b"\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?1049l\x1b[?25h";
    /// A special character that no key gives.
    const DISABLED: u8 = 0;

    /// The modes before the dashboard.
    static BEFORE: OnceLock<Termios> = OnceLock::new();

    /// Notes how the terminal is, waits for raw mode in the background, and makes Ctrl-C a signal again.
    pub fn dashboard_starts() {
        // A terminal that cannot be asked has no modes to restore, and no Ctrl-C.
        let Ok(before) = tcgetattr(std::io::stdin()) else { return };
        let _ = BEFORE.set(before);
        std::thread::spawn(|| {
            let stdin = std::io::stdin();
            for _ in 0..TRIES {
                let Ok(mut modes) = tcgetattr(&stdin) else { return };
                if !modes.local_modes.contains(LocalModes::ICANON) {
                    modes.local_modes.insert(LocalModes::ISIG);
                    // These would leave the terminal raw.
                    modes.special_codes[SpecialCodeIndex::VQUIT] = DISABLED;
                    modes.special_codes[SpecialCodeIndex::VSUSP] = DISABLED;
                    // What cannot be set leaves `q`.
                    let _ = tcsetattr(&stdin, OptionalActions::Now, &modes);
                    return;
                }
                std::thread::sleep(BETWEEN_TRIES);
            }
        });
    }

    /// Makes the terminal what it was before the dashboard; nothing where there was none.
    pub fn restore() {
        let Some(before) = BEFORE.get() else { return };
        // The process is about to end: an error has nowhere to go.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        let mut stdout = std::io::stdout();
        let _ = stdout.write_all(MAIN_SCREEN).and_then(|()| stdout.flush());
    }

    /// Reads and writes nothing where there was a terminal that is gone, so that nobody fails who writes to it.
    pub fn let_go_of_lost() {
        let Ok(null) = File::options().read(true).write(true).open("/dev/null") else { return };
        let is_lost =
            |stream: &dyn AsFd| tcgetattr(stream.as_fd()).is_err_and(|error| error == Errno::IO);
        // What cannot be replaced stays as it is.
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

/// Other systems send Ctrl-C in raw mode too, or have `q`.
#[cfg(not(unix))]
pub fn dashboard_starts() {}

/// Other systems give every program a terminal as it was.
#[cfg(not(unix))]
pub fn restore() {}

/// The live table of a sweep: a row for each task and method, the running cell below, what was said above.
pub struct SweepProgress {
    bars: MultiProgress,
    rows: BTreeMap<String, Row>,
    running: ProgressBar,
    talks: bool,
}

struct Row {
    bar: ProgressBar,
    seen: Mutex<Seen>,
}

/// What came out of the cells of a row so far.
#[derive(Default)]
struct Seen {
    best: Option<f64>,
    collapsed: usize,
    failed: usize,
}

/// How a cell of a row ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RowEnd {
    /// With a score.
    Score(f64),
    /// Its training collapsed.
    Collapsed,
    /// It could not be run.
    Failed,
}

impl Seen {
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
    /// A board with a row for each different name, as long as often the name occurs. Where there is no terminal only
    /// what is said appears, and where `talks` is unset not even that.
    pub fn new(names: impl Iterator<Item = String>, talks: bool) -> Self {
        let target = if talks && std::io::stderr().is_terminal() {
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
            (name, Row { bar, seen: Mutex::default() })
        });
        let rows = rows.collect();
        let running = bars.add(ProgressBar::new(1));
        running.set_style(style("{spinner} {wide_msg} {bar:12} {pos}/{len} steps, {eta} left"));
        Self { bars, rows, running, talks }
    }

    /// A cell starts; the line on which it moves.
    pub fn start(&self, cell: &str) -> ProgressBar {
        self.running.reset();
        self.running.set_message(cell.to_owned());
        self.running.enable_steady_tick(Duration::from_millis(200));
        self.running.clone()
    }

    /// A cell of a row has ended.
    pub fn finish(&self, row: &str, end: RowEnd) {
        let Some(row) = self.rows.get(row) else { return };
        let mut seen = row.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        seen.add(end);
        row.bar.set_message(seen.message());
        row.bar.inc(1);
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        if !self.talks {
            return;
        }
        if self.bars.is_hidden() {
            noteln!("{line}");
        } else {
            // What cannot be drawn is in the ledger.
            let _ = self.bars.println(line);
        }
    }

    /// The end: the rows stay, the running line goes.
    pub fn close(&self) {
        self.running.finish_and_clear();
        for row in self.rows.values() {
            row.bar.abandon();
        }
    }
}

/// A style whose template is written here and known to be one.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A bar for so many rows, on a terminal.
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
        let mut seen = Seen::default();
        for end in [RowEnd::Score(0.8), RowEnd::Score(0.7), RowEnd::Collapsed, RowEnd::Failed] {
            seen.add(end);
        }
        assert_eq!(seen.message(), "best 80.0, 1 collapsed, 1 failed");
        assert_eq!(Seen::default().message(), "");
    }
}
