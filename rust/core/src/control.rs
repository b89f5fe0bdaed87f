//! How a caller watches a long call and stops it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{Error, Result};

/// Shared between a running kernel and whoever waits for it. Kernels call [`Control::advance`] every few thousand rows.
#[derive(Debug, Default)]
pub struct Control {
    cancelled: AtomicBool,
    done: AtomicU64,
}

impl Control {
    /// Asks the kernel to stop at its next [`Control::advance`].
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Units of work done so far: rows, or bytes where the stage says so.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Counts `units` as done; fails with [`Error::Interrupted`] once cancelled.
    pub fn advance(&self, units: u64) -> Result<()> {
        self.done.fetch_add(units, Ordering::Relaxed);
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// Counts a kernel's rows and the bytes it read for them, and passes them on in portions: an atomic for every row would cost more
/// than a short row, and one for every few thousand rows would leave a row of 50 MB without an answer to Ctrl-C.
#[derive(Debug)]
pub struct Pace<'a> {
    control: &'a Control,
    rows: u64,
    bytes: usize,
}

impl<'a> Pace<'a> {
    /// Starts counting for `control`.
    pub fn new(control: &'a Control) -> Self {
        Self { control, rows: 0, bytes: 0 }
    }

    /// One more row, of about `bytes` bytes; fails as [`Control::advance`] does.
    pub fn step(&mut self, bytes: usize) -> Result<()> {
        self.rows += 1;
        self.bytes += bytes;
        if self.rows >= 4096 || self.bytes >= 1 << 20 { self.flush() } else { Ok(()) }
    }

    /// About `bytes` bytes of a row that another pass counts; fails as [`Control::advance`] does.
    pub fn glance(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes + 256;
        if self.bytes >= 1 << 20 { self.flush() } else { Ok(()) }
    }

    /// Passes on what is still held back; call it after the last row.
    pub fn flush(&mut self) -> Result<()> {
        self.bytes = 0;
        self.control.advance(std::mem::take(&mut self.rows))
    }
}
