//! What a script asks for, and what it is told.

use crate::GroupId;
use divisi_core::event::GroupKind;
use divisi_core::event::Refusal;
use divisi_core::{FailureClass, PicoUsd, Site, Task};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Names a call of one host, numbered from 0 in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u32);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// Something a script wants done.
///
/// `Task` and `Load` wait for an answer under their id; the others are news.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Run an agent, or a command. Answer with [`Answer::Task`].
    Task {
        /// Names the call.
        id: CallId,
        /// What to do.
        task: Box<Task>,
        /// Where the script asks for it; `None` deep inside a helper.
        site: Option<Site>,
        /// In which column of that line, from 1; 0 where that is not known.
        column: u32,
        /// The innermost group it is part of.
        group: Option<GroupId>,
        /// How wide its result will be, as far as the script says so.
        expect: Expect,
        /// Length of the longest chain of tasks known to wait for it, as far as
        /// the script says so; longer goes first.
        priority: u32,
        /// Whether it is told which of the results it reads are missing.
        is_informed: bool,
        /// Whether functions of the script decide on its result.
        is_checked: bool,
    },
    /// Find another script. Answer with [`Answer::Source`] or [`Answer::LoadFailed`].
    Load {
        /// Names the call.
        id: CallId,
        /// The name of a saved flow, or the path of a file.
        reference: ScriptRef,
        /// Where the script asks for it.
        site: Option<Site>,
    },
    /// Tasks are going to be asked for together.
    GroupBegan {
        /// Names the group.
        id: GroupId,
        /// What asks for them.
        kind: GroupKind,
        /// Functions or items it was given.
        width: usize,
        /// The group that this one is part of.
        parent: Option<GroupId>,
        /// Where the script does so.
        site: Option<Site>,
    },
    /// All of a group is there; whoever waits for the group goes on.
    GroupEnded {
        /// Names the group.
        id: GroupId,
    },
    /// Tasks that the script asked for were not handed out.
    Refused {
        /// What was refused, and why.
        refusal: Refusal,
        /// How often since the engine was last told.
        count: u32,
    },
    /// The script has ended, and exceptions in it had no handler: they were thrown
    /// in promises that nothing awaits or catches.
    Uncaught {
        /// The first of them.
        message: String,
        /// Where it was thrown, if that is known.
        site: Option<Site>,
        /// How many there were.
        count: u32,
    },
    /// A progress group begins.
    Phase {
        /// Its title.
        title: String,
        /// Most that its tasks may spend, where the script says so.
        cap: Option<PicoUsd>,
    },
    /// The script has something to say to people.
    Log {
        /// What.
        message: String,
    },
    /// Something in the script is probably not what its author meant.
    Warning {
        /// A lower-case phrase.
        message: String,
        /// The line it is about.
        site: Option<Site>,
    },
}

impl Call {
    /// The id under which an answer is awaited.
    pub fn id(&self) -> Option<CallId> {
        match self {
            Self::Task { id, .. } | Self::Load { id, .. } => Some(*id),
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

/// How many elements the lists of a result will have, by its author's guess.
///
/// It decides what a plan is made with, and nothing in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// For every list that `by_path` does not name.
    pub all: Option<usize>,
    /// By the names of properties down to the list, with dots: `report.files`.
    /// The end of a path stands for the whole: `files`.
    pub by_path: BTreeMap<String, usize>,
    /// No list may be longer: what asks would not take it.
    pub max: Option<usize>,
}

impl Expect {
    /// The elements of the list at `path`; `None` where nothing is said of it.
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

/// How a script refers to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptRef {
    /// By the name under which it is saved.
    Name(String),
    /// By the path of its file.
    Path(String),
}

impl fmt::Display for ScriptRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text) | Self::Path(text) => f.write_str(text),
        }
    }
}

/// What a script is told about a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// How a task ended.
    Task(TaskAnswer),
    /// The script that was asked for.
    Source {
        /// Its name, for messages.
        name: String,
        /// Its text.
        source: String,
    },
    /// There is no such script, or it cannot be read.
    LoadFailed {
        /// A lower-case phrase that says why.
        message: String,
    },
}

/// How a task ended, as far as scripts see it.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskAnswer {
    /// The word for it.
    pub status: TaskStatus,
    /// The result as JSON text; only when `Ok`.
    pub value_json: Option<Arc<str>>,
    /// Why there is none.
    pub reason: Option<String>,
    /// What sort of failure it was; only when `Failed`.
    pub class: Option<FailureClass>,
    /// The model that answered.
    pub model: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// What they cost; what `budget.usd.spent()` counts.
    pub cost: PicoUsd,
    /// Tokens the model wrote, over all attempts; what `budget.spent()` counts.
    pub output_tokens: u64,
}

impl TaskAnswer {
    /// A result: JSON text.
    pub fn ok(value_json: impl Into<Arc<str>>) -> Self {
        Self {
            value_json: Some(value_json.into()),
            attempts: 1,
            ..Self::without_value(TaskStatus::Ok)
        }
    }

    /// All attempts have failed.
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

    /// A person stopped it.
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

/// The four ways in which a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// It has a result.
    Ok,
    /// Every attempt it was allowed has failed.
    Failed,
    /// It was never tried.
    Skipped,
    /// A person stopped it.
    Cancelled,
}

impl TaskStatus {
    /// The word that scripts see.
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
