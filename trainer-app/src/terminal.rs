//! Ctrl-C while the dashboard is up.
//!
//! The dashboard puts the terminal into raw mode, where Ctrl-C is a key like any other and burn-train does not read it.
//! Here the terminal is told to send the signal all the same.

use std::time::Duration;

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
