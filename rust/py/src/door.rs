//! The one door: every long call releases the GIL, stays interruptible and reports its progress here.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use chaffinch_core::Control;
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;

use crate::error::{BorderError, Result};

/// Signals are looked at this often; Ctrl-C has to answer within a second.
const POLL: Duration = Duration::from_millis(50);

/// As `threads.py` has it: a hundred thousand threads would take minutes to make, and Ctrl-C with them.
const MOST_THREADS: usize = 1024;

/// A number of threads that makes sense.
#[derive(Clone, Copy)]
pub(crate) struct Threads(usize);

impl Threads {
    /// For work that is not shared.
    pub(crate) const ONE: Self = Self(1);
}

impl<'py> FromPyObject<'_, 'py> for Threads {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match given.extract::<usize>() {
            Ok(threads) if (1..=MOST_THREADS).contains(&threads) => Ok(Self(threads)),
            Err(error) if !error.is_instance_of::<PyOverflowError>(given.py()) => Err(error),
            _ => {
                let message = format!("threads is {}, expected 1 to {MOST_THREADS}", given.str()?);
                Err(PyValueError::new_err(format!("{message}\nhint: leave it out for all cores")))
            }
        }
    }
}

/// Runs `work` on `threads` threads (all cores when `None`) without the GIL.
///
/// `progress` is called with the units done so far, about twenty times a second. A pending signal cancels the work through its
/// [`Control`]; a panic comes back as an error rather than through the interpreter.
pub(crate) fn enter<T: Send>(
    py: Python<'_>,
    threads: Option<Threads>,
    progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Control) -> Result<T> + Send,
) -> PyResult<T> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.map_or(0, |Threads(threads)| threads))
        .build()
        .map_err(|error| BorderError::Threads(error.to_string()))?;
    let progress = progress.map(|callback| callback.clone().unbind());
    let control = Control::default();
    py.detach(|| {
        std::thread::scope(|scope| {
            let (sender, receiver) = channel::<()>();
            let worker = std::thread::Builder::new()
                .spawn_scoped(scope, || {
                    let _closes_when_done = sender;
                    pool.install(|| work(&control))
                })
                .map_err(|error| BorderError::Threads(error.to_string()))?;
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
