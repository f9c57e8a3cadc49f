//! Where an attempt works, and what is left of it there.

use super::{Attempt, AttemptResult, Line};
use crate::workspace::{Workspace, WorkspaceError};
use divisi_core::event::Worktree;
use divisi_core::{Failure, FailureClass, Isolation};
use std::path::Path;

/// Where an attempt works.
pub(super) struct Place {
    workspace: Workspace,
}

impl Place {
    /// The place that the attempt's task asks for.
    pub(super) async fn of(attempt: &Attempt) -> Result<Self, Failure> {
        let setup = &attempt.assignment.setup;
        let root = &setup.workspace;
        let workspace = match attempt.assignment.isolation {
            Isolation::None => Workspace::shared(root),
            Isolation::Worktree => {
                let name = attempt.id.to_string();
                let programs = setup.permissions.run;
                Workspace::worktree(root, &name, programs, attempt.line.stop()).await.map_err(failure)?
            }
        };
        Ok(Self { workspace })
    }

    /// The folder in which it works.
    pub(super) fn root(&self) -> &Path {
        self.workspace.root()
    }

    /// Tidies up. A worktree with work in it is kept: the run's log says so, and so
    /// does the end of the attempt, which becomes of `result`.
    pub(super) async fn leave(self, line: &Line, result: AttemptResult) -> AttemptResult {
        let kept = match self.workspace.close().await {
            Ok(None) => return result,
            Ok(Some(kept)) => kept,
            Err(error) => {
                line.log(format!("warning: {}: {error}", line.attempt().task));
                return result;
            }
        };
        let (path, changed) = (kept.path.display().to_string(), kept.changed_count);
        line.log(format!("{} changed {changed} files in {path}; the worktree is kept", line.attempt().task));
        let worktree = Worktree { path: path.into(), base: kept.base.into(), changed: changed as u64 };
        AttemptResult { worktree: Some(Box::new(worktree)), ..result }
    }
}

fn failure(error: WorkspaceError) -> Failure {
    let hint = error.hint();
    let failure = Failure::new(FailureClass::Unavailable, error.to_string());
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
