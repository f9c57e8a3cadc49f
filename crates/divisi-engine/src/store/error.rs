//! Errors of stores.

use divisi_core::{Position, RunId};
use std::borrow::Cow;
use std::error::Error;

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The journal does not end where the driver expected.
    #[error("another process has written to the journal of run {0}")]
    Moved(RunId),
    /// The store was written by a later version of divisi.
    #[error("the store {path} has format {found}; this divisi reads formats up to {known}")]
    TooNew {
        /// Path of the store.
        path: String,
        /// Its format.
        found: u32,
        /// The latest format supported by this version.
        known: u32,
    },
    /// The store has an older format, and another process is writing to it.
    #[error(
        "the store {path} has format {found} and cannot be changed while {holder} drives run {run} in it"
    )]
    InUse {
        /// Path of the store.
        path: String,
        /// Its format.
        found: u32,
        /// The run in progress.
        run: RunId,
        /// The process that drives it.
        holder: String,
    },
    /// The file is not a store.
    #[error("{0} is not a divisi store")]
    Foreign(String),
    /// An event is unreadable or missing.
    #[error("the journal of run {run} cannot be read at position {}", position.0)]
    Unreadable {
        /// The run.
        run: RunId,
        /// Position of the event.
        position: Position,
        /// The cause.
        source: serde_json::Error,
    },
    /// Its path no longer leads to the open file.
    #[error("the store has gone: {path} {how}")]
    Gone {
        /// Path of the file concerned.
        path: String,
        /// What happened to it.
        how: String,
    },
    /// Its file has several hard links, each of which would have a log of its own.
    #[error("the store {path} has {names} names (hard links); a store can have only one")]
    Linked {
        /// Path of the store.
        path: String,
        /// Number of links.
        names: u64,
    },
    /// Too many messages of a run have not been taken.
    #[error("{max} messages to run {0} wait to be taken, which is as many as may wait", max = super::INBOX_MAX)]
    InboxFull(RunId),
    /// No space is left for the store.
    #[error("no room left to write the store {0}")]
    Full(String),
    /// Another process kept the store locked for too long.
    #[error("another process keeps the store {0} locked")]
    Busy(String),
    /// The store could not be created or opened.
    #[error("cannot open the store {path}")]
    Open {
        /// Path of the store.
        path: String,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Any other failure, specific to the kind of store.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A thread of the store has ended after an earlier failure.
    #[error("the store is closed")]
    Closed,
}

/// A failure specific to one kind of store or lease: callers report it and do not depend on its
/// cause.
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

    /// Adds advice for the user.
    pub fn with_hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// Advice for the user.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}
