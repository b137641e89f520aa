//! Signals that ask a run to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Result;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Ctrl-C, and the signal of `kill`, Slurm and containers.
const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

pub struct Stop {
    asked: Arc<AtomicBool>,
    /// The exit status that shells use for the signal.
    status: Arc<AtomicUsize>,
}

impl Stop {
    /// From now on the first signal asks the run to stop, and the second one ends the process.
    pub fn on_signals() -> Result<Self> {
        let stop = Self { asked: Arc::default(), status: Arc::default() };
        for signal in SIGNALS {
            let status = 128 + signal;
            // In this order, so that the first signal does not end the process.
            flag::register_conditional_shutdown(signal, status, stop.asked.clone())?;
            flag::register_usize(signal, stop.status.clone(), status as usize)?;
            flag::register(signal, stop.asked.clone())?;
        }
        Ok(stop)
    }

    /// The exit status, if a signal has asked the run to stop.
    pub fn asked(&self) -> Option<u8> {
        self.asked.load(Ordering::SeqCst).then(|| self.status.load(Ordering::SeqCst) as u8)
    }

    /// From now on the first signal ends the process.
    pub fn at_once(&self) {
        self.asked.store(true, Ordering::SeqCst);
    }
}
