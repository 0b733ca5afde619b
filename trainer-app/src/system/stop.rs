//! Signals that stop the program: training finishes the current step, saves a checkpoint and exits.
//!
//! Before training starts, there is nothing to save, and a signal ends the program. So does a second Ctrl-C.
//! A closed terminal and a system that shuts down may send several signals, which count as one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use burn::train::Interrupter;

use crate::exit::exit_interrupted;
use crate::terminal;

/// Whether the program has to stop, and the running training.
#[derive(Clone, Default)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    running: Arc<Mutex<Option<Interrupter>>>,
    /// Whether the last line of an interrupted program is JSON.
    json: bool,
}

impl Stop {
    /// Handles the signals from now on; may be called once per process.
    ///
    /// # Errors
    /// Handlers that cannot be set.
    pub fn on_signals(json: bool) -> Result<Self> {
        let stop = Self { json, ..Self::default() };
        handle_signals(stop.clone()).context("handling Ctrl-C")?;
        Ok(stop)
    }

    /// Whether a signal was received.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Registers the run to stop from now on; a run that starts after a signal stops immediately.
    pub(crate) fn watch(&self, interrupter: &Interrupter) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(interrupter.clone());
        if self.is_requested() {
            interrupter.stop(Some("interrupted"));
        }
    }

    /// Handles a signal; `is_interrupt` is whether it was Ctrl-C.
    fn handle(&self, is_interrupt: bool) {
        let is_second = self.requested.swap(true, Ordering::SeqCst) && is_interrupt;
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match &*running {
            Some(interrupter) if !is_second => interrupter.stop(Some("interrupted")),
            _ => {
                terminal::restore();
                exit_interrupted(self.json);
            }
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
                terminal::replace_lost();
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
