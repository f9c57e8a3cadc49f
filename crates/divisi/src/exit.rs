//! The exit codes, for scripts that call divisi.

use divisi_app::ProblemKind;
use divisi_core::event::RunStatus;
use std::process::ExitCode;

/// The exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done.
    Ok,
    /// The run failed, or something went wrong before it started.
    Failed,
    /// The call is wrong: its flags, the settings, or a flow that cannot be read.
    Usage,
    /// The run is over, but tasks did not succeed, calls were refused, or a reply cost more than
    /// its reservation.
    Partial,
    /// The run is parked and can be resumed.
    Parked,
    /// The user ended the run.
    Cancelled,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 6] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Partial,
        Self::Parked,
        Self::Cancelled,
    ];

    /// The code as a number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::Parked => 4,
            // The code that shells report for a program ended by Ctrl-C.
            Self::Cancelled => 130,
        }
    }

    /// The meaning of the code, as in the help.
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

    /// The code for a run that ended with this status, or is parked.
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
    /// The code for a problem of this kind.
    pub(crate) fn of_problem(kind: ProblemKind) -> Self {
        match kind {
            ProblemKind::Usage => Self::Usage,
            // The plan is complete up to the point where it was cut.
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
