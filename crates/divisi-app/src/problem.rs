//! Errors for users, with advice.

use crate::plan_file::PlanFileError;
use crate::settings::SettingsError;
use divisi_core::choice::BadKinds;
use divisi_engine::store::{LeaseError, StoreError};
use divisi_engine::{DriveError, StartError};
use divisi_script::{ErrorKind, ScriptError};
use std::fmt;

/// Why a request could not be fulfilled.
///
/// It has a [`kind`](Self::kind), a [`reason`](Self::reason) with its causes or lines, and
/// [`hints`](Self::hints) about what to do.
#[derive(Debug)]
pub struct Problem {
    kind: ProblemKind,
    reason: Reason,
    hints: Vec<String>,
}

/// The kind of a problem, by what should be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The request is invalid: a value, the settings, or a flow that cannot be parsed.
    Usage,
    /// The flow computes without end. What it requests is known up to there.
    Endless,
    /// An operation failed.
    Failed,
}

/// The content of a problem.
#[derive(Debug)]
pub enum Reason {
    /// An error with its causes.
    Error(anyhow::Error),
    /// A script, with the line that is wrong.
    Script(Box<ScriptError>),
    /// A plan file, with the lines concerned.
    Plan(PlanFileError),
}

/// The advice for a damaged journal; divisi never repairs one.
const DAMAGED: &str =
    "take the store back from a backup, or start the run anew; other runs in it can be read";

impl Problem {
    /// A failed operation.
    pub fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self {
            kind: ProblemKind::Failed,
            reason: Reason::Error(error.into()),
            hints: vec![],
        }
    }

    /// An invalid request. `message` is a lower-case phrase.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            kind: ProblemKind::Usage,
            ..Self::failed(anyhow::Error::msg(message.into()))
        }
    }

    /// A flow that cannot be parsed, or computes without end.
    pub fn script(error: ScriptError) -> Self {
        let kind = match error.kind() {
            ErrorKind::Busy => ProblemKind::Endless,
            _ => ProblemKind::Usage,
        };
        Self {
            kind,
            reason: Reason::Script(Box::new(error)),
            hints: vec![],
        }
    }

    /// Adds advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds advice, if there is any.
    pub fn with_hints(mut self, hints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.hints.extend(hints.into_iter().map(Into::into));
        self
    }

    /// The kind.
    pub fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// The reason.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The advice.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    /// The reason with its causes, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Script(error) => error.fmt(f),
            Reason::Plan(error) => error.fmt(f),
            Reason::Error(error) => write!(f, "{error:#}"),
        }
    }
}

impl From<BadKinds> for Problem {
    fn from(error: BadKinds) -> Self {
        let hint = error.hint();
        Self::usage(error.to_string()).with_hints(hint)
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(error)
    }
}

impl From<PlanFileError> for Problem {
    fn from(error: PlanFileError) -> Self {
        Self {
            kind: ProblemKind::Usage,
            reason: Reason::Plan(error),
            hints: vec![],
        }
    }
}

impl From<SettingsError> for Problem {
    fn from(error: SettingsError) -> Self {
        let hints = error.hints();
        Self {
            kind: ProblemKind::Usage,
            ..Self::failed(error)
        }
        .with_hints(hints)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let hint = match &error {
            StoreError::TooNew { .. } => {
                Some("update divisi, or name another store with `--store`")
            }
            StoreError::Foreign(_) | StoreError::Open { .. } => {
                Some("name another file with `--store`")
            }
            StoreError::Gone { .. } => Some(
                "if it was moved, move it back and resume the run; what was written after its last event is lost",
            ),
            StoreError::Linked { .. } => {
                Some("remove the other names, or copy the file and name the copy with `--store`")
            }
            StoreError::Full(_) => {
                Some("make room, then resume the run; what had been written is kept")
            }
            StoreError::InUse { .. } => Some(
                "let that run end or stop it with Ctrl-C, which keeps what is finished; then try again",
            ),
            StoreError::Busy(_) => Some(
                "see what holds it (a backup, a sync, `sqlite3`), then resume the run: what was written is kept",
            ),
            StoreError::Moved(_) => Some("that process goes on with the run"),
            StoreError::Unreadable { .. } => Some(DAMAGED),
            StoreError::Backend(error) => error.hint(),
            StoreError::Closed => Some("resume the run: what was written is kept"),
            StoreError::InboxFull(_) => Some(
                "the process that drives the run takes no messages; stop it and resume the run",
            ),
        };
        let hint = hint.map(str::to_owned);
        Self::failed(error).with_hints(hint)
    }
}

impl From<DriveError> for Problem {
    fn from(error: DriveError) -> Self {
        match error {
            DriveError::Store(error) => error.into(),
            DriveError::Lease(error) => error.into(),
            DriveError::Illegal(_) | DriveError::Missing(_) => Self::failed(error).hint(DAMAGED),
            DriveError::Unknown(_) => Self::failed(error).hint("`divisi runs` lists them"),
        }
    }
}

impl From<LeaseError> for Problem {
    fn from(error: LeaseError) -> Self {
        match &error {
            LeaseError::Held { .. } => {
                Self::failed(error).hint("wait until it is done, or stop that process with Ctrl-C")
            }
            LeaseError::Backend(backend) => {
                let hint = backend.hint().map(str::to_owned);
                Self::failed(error)
                    .with_hints(hint)
                    .hint("or name another store with `--store`")
            }
        }
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Script(error) => Self::script(*error),
            StartError::Drive(error) => error.into(),
            StartError::Lease(error) => error.into(),
            // No thread could be started: the system's error is the only explanation.
            error => Self::failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_engine::store::BackendError;

    /// The problem in one line, and each hint in one.
    fn told(problem: Problem) -> String {
        [&[problem.to_string()][..], problem.hints()]
            .concat()
            .join("\n  ")
    }

    #[test]
    fn every_failure_of_a_store_comes_with_advice() {
        let run = divisi_core::RunId::new("k3f9").unwrap();
        let path = || "runs.db".to_owned();
        let failed = || {
            let what = BackendError::new("cannot lock run k3f9 with runs.db", "it is not allowed");
            what.with_hint("make its folder one that you may write in")
        };
        let cause = |error: StoreError| told(error.into());
        let position = divisi_core::Position(7);
        let broken = <serde_json::Error as serde::de::Error>::custom("events are missing");
        let all = [
            cause(StoreError::InUse {
                path: path(),
                found: 2,
                run: run.clone(),
                holder: "process 41".into(),
            }),
            cause(StoreError::Busy(path())),
            cause(StoreError::Unreadable {
                run,
                position,
                source: broken,
            }),
            cause(StoreError::Closed),
            told(DriveError::Missing("a1b2".into()).into()),
            cause(StoreError::Backend(failed())),
            told(StartError::Lease(failed().into()).into()),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        the store runs.db has format 2 and cannot be changed while process 41 drives run k3f9 in it
          let that run end or stop it with Ctrl-C, which keeps what is finished; then try again
        another process keeps the store runs.db locked
          see what holds it (a backup, a sync, `sqlite3`), then resume the run: what was written is kept
        the journal of run k3f9 cannot be read at position 7: events are missing
          take the store back from a backup, or start the run anew; other runs in it can be read
        the store is closed
          resume the run: what was written is kept
        a text of the journal is missing from the store: a1b2
          take the store back from a backup, or start the run anew; other runs in it can be read
        cannot lock run k3f9 with runs.db: it is not allowed
          make its folder one that you may write in
        cannot lock run k3f9 with runs.db: it is not allowed
          make its folder one that you may write in
          or name another store with `--store`
        ");
    }
}
