//! The one door: every long call releases the GIL, stays interruptible and reports its progress here.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use chaffinch_core::{Control, Error};
use pyo3::prelude::*;

use crate::error::{BorderError, Result};

/// Signals are looked at this often; Ctrl-C has to answer within a second.
const POLL: Duration = Duration::from_millis(50);

/// As `threads.py` has it: a hundred thousand threads would take minutes to make, and Ctrl-C with them.
const MOST_THREADS: usize = 1024;

/// Runs `work` on `threads` threads (all cores when `None`) without the GIL.
///
/// `progress` is called with the units done so far, about twenty times a second. A pending signal cancels the work through its
/// [`Control`]; a panic comes back as an error rather than through the interpreter.
pub(crate) fn enter<T: Send>(
    py: Python<'_>,
    threads: Option<usize>,
    progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Control) -> Result<T> + Send,
) -> PyResult<T> {
    if let Some(threads) = threads.filter(|threads| !(1..=MOST_THREADS).contains(threads)) {
        return Err(BorderError::from(Error::OutOfRange {
            name: "threads",
            value: threads.to_string(),
            expected: "1 to 1024, or None for all cores",
        })
        .into());
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.unwrap_or(0))
        .build()
        .map_err(|error| BorderError::Panic(error.to_string()))?;
    let progress = progress.map(|callback| callback.clone().unbind());
    let control = Control::default();
    py.detach(|| {
        std::thread::scope(|scope| {
            let (sender, receiver) = channel::<()>();
            let worker = scope.spawn(|| {
                let _closes_when_done = sender;
                pool.install(|| work(&control))
            });
            let mut stopped: Option<PyErr> = None;
            while let Err(RecvTimeoutError::Timeout) = receiver.recv_timeout(POLL) {
                if stopped.is_none() {
                    stopped = Python::attach(|py| {
                        py.check_signals()?;
                        progress
                            .as_ref()
                            .map_or(Ok(()), |callback| callback.call1(py, (control.done(),)).map(drop))
                    })
                    .err();
                    if stopped.is_some() {
                        control.cancel();
                    }
                }
            }
            let outcome =
                worker.join().unwrap_or_else(|panic| Err(BorderError::Panic(panic_message(panic.as_ref()))));
            match stopped {
                Some(error) => Err(error),
                None => Ok(outcome?),
            }
        })
    })
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
