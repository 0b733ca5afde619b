//! Ctrl-C with the dashboard, and restoring the state of the terminal.
//!
//! The dashboard puts the terminal into raw mode, in which Ctrl-C is an ordinary key that burn-train does not handle.
//! Here it is made a signal again. burn-train restores the terminal when it closes the dashboard and when a thread
//! panics; [`restore`] is for a process that exits immediately.

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
