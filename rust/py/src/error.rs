//! Every error crosses the border here.

use chaffinch_core::Error;
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

pyo3::import_exception!(chaffinch.errors, DataError);
pyo3::import_exception!(chaffinch.errors, RecipeError);

/// What a border function fails with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BorderError {
    #[error(transparent)]
    Core(#[from] Error),
    #[error(transparent)]
    Arrow(#[from] arrow_schema::ArrowError),
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    /// The operating system gave no thread.
    #[error(
        "a thread could not be started: {0}\nhint: give fewer threads, or raise the limit of processes (`ulimit -u`)"
    )]
    Threads(String),
    #[error("internal error, please report it: {0}")]
    Panic(String),
}

/// The border's result.
pub(crate) type Result<T> = std::result::Result<T, BorderError>;

fn with_hint(message: &str, hint: Option<&str>) -> String {
    hint.map_or_else(|| message.to_owned(), |hint| format!("{message}\nhint: {hint}"))
}

impl From<BorderError> for PyErr {
    fn from(error: BorderError) -> Self {
        match error {
            BorderError::Core(core) => {
                let message = with_hint(&core.to_string(), core.hint());
                match core {
                    Error::LengthMismatch { .. } | Error::OutOfRange { .. } => PyValueError::new_err(message),
                    Error::Shortfall { .. }
                    | Error::TooFewRows { .. }
                    | Error::TooManyRows { .. }
                    | Error::Data { .. } => DataError::new_err(message),
                    Error::Template { .. } => RecipeError::new_err(message),
                    Error::Interrupted => PyKeyboardInterrupt::new_err(()),
                }
            }
            BorderError::Arrow(arrow) => DataError::new_err(arrow.to_string()),
            BorderError::File { path, source } => {
                // With an errno Python picks FileNotFoundError, PermissionError ... by itself.
                let reason = source.to_string();
                match source.raw_os_error() {
                    Some(number) => PyOSError::new_err((number, reason, path)),
                    None => PyOSError::new_err(format!("{path}: {reason}")),
                }
            }
            threads @ BorderError::Threads(_) => PyOSError::new_err(threads.to_string()),
            BorderError::Panic(message) => {
                PyRuntimeError::new_err(format!("internal error, please report it: {message}"))
            }
        }
    }
}
