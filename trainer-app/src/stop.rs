//! Ctrl-C and a polite kill: the step is ended, everything saved, the program left. A second one leaves at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow};
use burn::train::Interrupter;

/// Whether the program was asked to stop, and the run that has to hear of it.
#[derive(Clone, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    running: Arc<Mutex<Option<Interrupter>>>,
}

impl Stop {
    /// Listens to the signals; once a process.
    ///
    /// # Errors
    /// If somebody else listens already.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::default();
        let heard = stop.clone();
        ctrlc::set_handler(move || {
            if heard.asked.swap(true, Ordering::SeqCst) {
                // Whoever asks twice wants to leave now.
                std::process::exit(130);
            }
            let running = heard.running.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(interrupter) = &*running {
                interrupter.stop(Some("asked to stop"));
            }
        })
        .map_err(|error| anyhow!("catching Ctrl-C: {error}"))?;
        Ok(stop)
    }

    /// Whether somebody asked.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// The run that is to be stopped from now on; one that starts after somebody asked stops at once.
    pub(crate) fn watch(&self, interrupter: &Interrupter) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(interrupter.clone());
        if self.is_asked() {
            interrupter.stop(Some("asked to stop"));
        }
    }
}
