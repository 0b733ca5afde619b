//! Signals that stop the program: the step is ended, everything saved, the program left.
//!
//! Ctrl-C a second time leaves at once. A terminal that is closed and a system that shuts down may send more than one
//! signal; they count as one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use burn::train::Interrupter;

use crate::terminal;

/// Exit code of a program that was left by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Whether the program is to stop, and the run that has to.
#[derive(Clone, Default)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    running: Arc<Mutex<Option<Interrupter>>>,
}

impl Stop {
    /// Handles the signals from now on; once a process.
    ///
    /// # Errors
    /// Handlers that cannot be set.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::default();
        handle_signals(stop.clone()).context("handling Ctrl-C")?;
        Ok(stop)
    }

    /// Whether a signal has come.
    pub fn is_asked(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// The run that is to be stopped from now on; one that starts after a signal stops at once.
    pub(crate) fn watch(&self, interrupter: &Interrupter) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(interrupter.clone());
        if self.is_asked() {
            interrupter.stop(Some("asked to stop"));
        }
    }

    /// A signal has come; whether it was Ctrl-C.
    fn handle(&self, is_interrupt: bool) {
        if self.requested.swap(true, Ordering::SeqCst) && is_interrupt {
            terminal::restore();
            std::process::exit(INTERRUPTED);
        }
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(interrupter) = &*running {
            interrupter.stop(Some("asked to stop"));
        }
    }
}

#[cfg(unix)]
fn handle_signals(stop: Stop) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if signal == SIGHUP {
                terminal::let_go_of_lost();
            }
            stop.handle(signal == SIGINT);
        }
    })?;
    Ok(())
}

#[cfg(not(unix))]
fn handle_signals(stop: Stop) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(move || stop.handle(true))
}
