//! Calls of a script, and answers to them.

use crate::GroupId;
use divisi_core::event::GroupKind;
use divisi_core::event::Refusal;
use divisi_core::{FailureClass, Millis, PicoUsd, Site, Task};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The number of a call within its host, from 0 in the order of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u32);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// A request of a script.
///
/// `Task`, `Load` and `Timer` wait for an answer under their id; the other calls are notifications.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Run a task: an agent or a command. Answer with [`Answer::Task`].
    Task {
        /// The id of the call.
        id: CallId,
        /// What to do.
        task: Box<Task>,
        /// The line that requests it; `None` deep inside a helper.
        site: Option<Site>,
        /// The column in that line, from 1; 0 if unknown.
        column: u32,
        /// The innermost group that contains it.
        group: Option<GroupId>,
        /// The expected width of its result, as far as the script says.
        expect: Expect,
        /// Length of the longest known chain of tasks that waits for it; longer chains go first.
        priority: u32,
        /// Whether its prompt mentions which of the results it reads are missing.
        is_informed: bool,
        /// Whether functions of the script check its result.
        is_checked: bool,
    },
    /// Find another script. Answer with [`Answer::Source`] or [`Answer::LoadFailed`].
    Load {
        /// The id of the call.
        id: CallId,
        /// The name of a saved flow, or the path of a file.
        reference: ScriptRef,
        /// The line that requests it.
        site: Option<Site>,
    },
    /// Let a time pass, whatever happens meanwhile. Answer with [`Answer::Task`], whose value is not
    /// used.
    Timer {
        /// The id of the call.
        id: CallId,
        /// The time.
        delay: Millis,
        /// The line that requests it.
        site: Option<Site>,
        /// The innermost group that contains it.
        group: Option<GroupId>,
    },
    /// Tasks follow that belong together.
    GroupBegan {
        /// The id of the group.
        id: GroupId,
        /// The function that requests them.
        kind: GroupKind,
        /// Number of functions or items it was given.
        width: usize,
        /// The group that contains it.
        parent: Option<GroupId>,
        /// The line that requests it.
        site: Option<Site>,
    },
    /// All results of a group are known; code that awaits the group goes on.
    GroupEnded {
        /// The id of the group.
        id: GroupId,
    },
    /// Tasks were refused and not handed out.
    Refused {
        /// What was refused, and why.
        refusal: Refusal,
        /// Refusals since the last notification.
        count: u32,
    },
    /// The script has ended with unhandled exceptions: they were thrown in promises that are
    /// neither awaited nor caught.
    Uncaught {
        /// The message of the first one.
        message: String,
        /// The line that threw it, if known.
        site: Option<Site>,
        /// Number of exceptions.
        count: u32,
    },
    /// A phase begins.
    Phase {
        /// Its title.
        title: String,
        /// Most that its tasks may spend, if the script sets a cap.
        cap: Option<PicoUsd>,
    },
    /// A log message of the script.
    Log {
        /// The text.
        message: String,
    },
    /// A probable mistake in the script.
    Warning {
        /// A lower-case phrase.
        message: String,
        /// The line it is about.
        site: Option<Site>,
    },
}

impl Call {
    /// The id under which an answer is awaited; `None` for notifications.
    pub fn id(&self) -> Option<CallId> {
        match self {
            Self::Task { id, .. } | Self::Load { id, .. } | Self::Timer { id, .. } => Some(*id),
            Self::GroupBegan { .. }
            | Self::GroupEnded { .. }
            | Self::Refused { .. }
            | Self::Uncaught { .. }
            | Self::Phase { .. }
            | Self::Log { .. }
            | Self::Warning { .. } => None,
        }
    }
}

/// The expected lengths of the lists in a result, estimated by the script's author.
///
/// Used to build plans; it has no effect on runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// The length of every list that `by_path` does not name.
    pub all: Option<usize>,
    /// Lengths by path: the property names down to the list, joined by dots, as in `report.files`.
    /// The end of a path suffices: `files`.
    pub by_path: BTreeMap<String, usize>,
    /// The longest list that the requesting helper accepts.
    pub max: Option<usize>,
}

impl Expect {
    /// The length of the list at `path`; `None` if none is given.
    pub fn elements(&self, path: &str) -> Option<usize> {
        let is_end = |name: &str| {
            path.strip_suffix(name)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let named = self
            .by_path
            .iter()
            .filter(|(name, _)| is_end(name))
            .max_by_key(|(name, _)| name.len());
        named.map(|(_, elements)| *elements).or(self.all)
    }
}

/// A reference to another script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptRef {
    /// The name under which it is saved.
    Name(String),
    /// The path of its file.
    Path(String),
}

impl fmt::Display for ScriptRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text) | Self::Path(text) => f.write_str(text),
        }
    }
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// How a task ended.
    Task(TaskAnswer),
    /// The requested script.
    Source {
        /// Its name, for messages.
        name: String,
        /// Its text.
        source: String,
    },
    /// There is no such script, or it cannot be read.
    LoadFailed {
        /// A lower-case phrase with the reason.
        message: String,
    },
}

/// How a task ended, as scripts see it.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskAnswer {
    /// The status.
    pub status: TaskStatus,
    /// The result as JSON text; only when `Ok`.
    pub value_json: Option<Arc<str>>,
    /// Why there is none.
    pub reason: Option<String>,
    /// The class of the failure; only when `Failed`.
    pub class: Option<FailureClass>,
    /// The model that answered.
    pub model: Option<String>,
    /// Number of attempts.
    pub attempts: u32,
    /// The cost of all attempts, which `budget.usd.spent()` sums.
    pub cost: PicoUsd,
    /// Output tokens of all attempts, which `budget.spent()` sums.
    pub output_tokens: u64,
}

impl TaskAnswer {
    /// A result as JSON text.
    pub fn ok(value_json: impl Into<Arc<str>>) -> Self {
        Self {
            value_json: Some(value_json.into()),
            attempts: 1,
            ..Self::without_value(TaskStatus::Ok)
        }
    }

    /// The task failed.
    pub fn failed(class: FailureClass, reason: impl Into<String>) -> Self {
        let reason = Some(reason.into());
        Self {
            class: Some(class),
            reason,
            attempts: 1,
            ..Self::without_value(TaskStatus::Failed)
        }
    }

    /// It was never tried.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..Self::without_value(TaskStatus::Skipped)
        }
    }

    /// The user stopped it.
    pub fn cancelled() -> Self {
        Self::without_value(TaskStatus::Cancelled)
    }

    fn without_value(status: TaskStatus) -> Self {
        Self {
            status,
            value_json: None,
            reason: None,
            class: None,
            model: None,
            attempts: 0,
            cost: PicoUsd::ZERO,
            output_tokens: 0,
        }
    }
}

/// The ways in which a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// It has a result.
    Ok,
    /// It failed, and is not tried again.
    Failed,
    /// It was never tried.
    Skipped,
    /// The user stopped it.
    Cancelled,
}

impl TaskStatus {
    /// The word for it in scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_that_fits_decides() {
        let by_path = [("files".to_owned(), 2), ("report.files".to_owned(), 3)].into();
        let expect = Expect {
            all: Some(9),
            by_path,
            max: None,
        };
        let found = [
            "files",
            "report.files",
            "a.report.files",
            "a.files",
            "profiles",
            "other",
        ];
        assert_eq!(
            found.map(|path| expect.elements(path)),
            [2, 3, 3, 2, 9, 9].map(Some)
        );
        assert_eq!(Expect::default().elements("files"), None);
    }
}
