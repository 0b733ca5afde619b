//! The terminal: Ctrl-C while the dashboard is up, and the live table of a sweep.
//!
//! The dashboard puts the terminal into raw mode, where Ctrl-C is a key like any other and burn-train does not read it.
//! Here the terminal is told to send the signal all the same.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long the dashboard may take to come up.
const TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// Waits for raw mode, in the background, and makes Ctrl-C a signal again; the dashboard restores the terminal at its
/// end.
#[cfg(unix)]
pub fn keep_ctrl_c() {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

    std::thread::spawn(|| {
        let stdin = std::io::stdin();
        for _ in 0..TRIES {
            // A terminal that cannot be asked has no Ctrl-C to keep.
            let Ok(mut modes) = tcgetattr(&stdin) else { return };
            if !modes.local_modes.contains(LocalModes::ICANON) {
                modes.local_modes.insert(LocalModes::ISIG);
                // What cannot be set leaves `q`.
                let _ = tcsetattr(&stdin, OptionalActions::Now, &modes);
                return;
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
    });
}

/// Other systems send Ctrl-C in raw mode too, or have `q`.
#[cfg(not(unix))]
pub fn keep_ctrl_c() {}

/// The live table of a sweep: a row for each task and method, the running cell below, what was said above.
pub struct Board {
    bars: MultiProgress,
    rows: BTreeMap<String, Row>,
    running: ProgressBar,
    talks: bool,
}

struct Row {
    bar: ProgressBar,
    best: Mutex<Option<f64>>,
}

impl Board {
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
            bar.set_style(style("{prefix:28} {bar:20} {pos:>3}/{len:<3} {msg}"));
            bar.set_prefix(name.clone());
            bar.tick();
            (name, Row { bar, best: Mutex::new(None) })
        });
        let rows = rows.collect();
        let running = bars.add(ProgressBar::new(1));
        running.set_style(style("{spinner} {msg}  {bar:20} {pos}/{len} steps  {eta} left"));
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
    pub fn finish(&self, row: &str, score: Option<f64>) {
        let Some(row) = self.rows.get(row) else { return };
        let mut best = row.best.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(score) = score
            && best.is_none_or(|best| score > best)
        {
            *best = Some(score);
            row.bar.set_message(format!("best {:.1}", 100.0 * score));
        }
        row.bar.inc(1);
    }

    /// A line that stays.
    #[expect(clippy::print_stderr, reason = "this is the writer of the line")]
    pub fn say(&self, line: &str) {
        if !self.talks {
            return;
        }
        if self.bars.is_hidden() {
            eprintln!("{line}");
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
