//! Why a store could not do what it was asked.

use divisi_core::{Position, RunId};
use std::borrow::Cow;
use std::error::Error;

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The journal does not end where the driver thought.
    #[error("another process has written to the journal of run {0}")]
    Moved(RunId),
    /// The store was written by a later version of divisi.
    #[error("the store {path} has format {found}; this divisi reads formats up to {known}")]
    TooNew {
        /// Which store.
        path: String,
        /// Its format.
        found: u32,
        /// The latest format known here.
        known: u32,
    },
    /// The store has an older format, in which another process writes now.
    #[error(
        "the store {path} has format {found} and cannot be changed while {holder} drives run {run} in it"
    )]
    InUse {
        /// Which store.
        path: String,
        /// Its format.
        found: u32,
        /// The run that goes on.
        run: RunId,
        /// Who drives it.
        holder: String,
    },
    /// The file is no store.
    #[error("{0} is not a divisi store")]
    Foreign(String),
    /// An event in it cannot be read, or is not there.
    #[error("the journal of run {run} cannot be read at position {}", position.0)]
    Unreadable {
        /// Whose journal.
        run: RunId,
        /// Where.
        position: Position,
        /// Why.
        source: serde_json::Error,
    },
    /// Its name no longer leads to the file that is open.
    #[error("the store has gone: {path} {how}")]
    Gone {
        /// Which of its files.
        path: String,
        /// What has become of it.
        how: String,
    },
    /// Its file has several names, each of which would have a log of its own.
    #[error("the store {path} has {names} names (hard links); a store can have only one")]
    Linked {
        /// Which store.
        path: String,
        /// How many.
        names: u64,
    },
    /// The store has no room left.
    #[error("no room left to write the store {0}")]
    Full(String),
    /// Another process kept the store for so long that nothing could be written or read.
    #[error("another process keeps the store {0} locked")]
    Busy(String),
    /// The store could not be made or opened.
    #[error("cannot open the store {path}")]
    Open {
        /// Which store.
        path: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Any other failure, particular to its kind of store.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A thread of the store has ended, because it failed before.
    #[error("the store is closed")]
    Closed,
}

/// A failure particular to one kind of store or lease: callers report it and do not
/// decide by it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct BackendError {
    what: String,
    hint: Option<Cow<'static, str>>,
    source: Box<dyn Error + Send + Sync>,
}

impl BackendError {
    /// `what` failed ("the store runs.db failed"), because of `source`.
    pub fn new(what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            what: what.into(),
            hint: None,
            source: source.into(),
        }
    }

    /// The same with what a person can do about it.
    pub fn with_hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}
