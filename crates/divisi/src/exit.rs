//! What the process ends with, for scripts that call divisi.

use divisi_app::ProblemKind;
use divisi_core::event::RunStatus;
use std::process::ExitCode;

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done.
    Ok,
    /// The run failed, or something went wrong before it started.
    Failed,
    /// The call makes no sense: flags, settings, or a flow that cannot be read.
    Usage,
    /// The run is over, but tasks did not succeed, calls were refused, or a reply cost
    /// more than was set aside for it.
    Partial,
    /// The run rests and can be resumed.
    Parked,
    /// A person ended the run.
    Cancelled,
}

impl Exit {
    /// All of them, in the order of their codes.
    pub(crate) const ALL: [Self; 6] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Partial,
        Self::Parked,
        Self::Cancelled,
    ];

    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::Parked => 4,
            // What shells report of a program that Ctrl-C has ended.
            Self::Cancelled => 130,
        }
    }

    /// What it says, in the words of the help.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed: the run or its flow, or something before it started",
            Self::Usage => {
                "usage: wrong flags, wrong settings, no such flow, or a flow that cannot be read"
            }
            Self::Partial => {
                "partial: the run is over, but tasks did not succeed, or calls were refused"
            }
            Self::Parked => "parked: the run rests, and `divisi resume` goes on with it",
            Self::Cancelled => "cancelled: stopped by a person",
        }
    }

    /// What a run that ended so, or is parked, means for the process.
    pub(crate) fn of(status: Option<RunStatus>) -> Self {
        match status {
            None => Self::Parked,
            Some(RunStatus::Ok) => Self::Ok,
            Some(RunStatus::Partial) => Self::Partial,
            Some(RunStatus::Failed) => Self::Failed,
            Some(RunStatus::Cancelled) => Self::Cancelled,
        }
    }
}

impl Exit {
    /// What a problem of this kind means for the process.
    pub(crate) fn of_problem(kind: ProblemKind) -> Self {
        match kind {
            ProblemKind::Usage => Self::Usage,
            // What it asks for is known up to there.
            ProblemKind::Endless => Self::Partial,
            ProblemKind::Failed => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
