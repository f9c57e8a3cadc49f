//! Where an attempt works, and what is left of it there.

use super::assignment::Assignment;
use super::{Attempt, AttemptResult};
use crate::executor::Line;
use crate::workspace::{Workspace, WorkspaceError};
use divisi_core::event::Worktree;
use divisi_core::{Failure, FailureClass, Isolation};
use std::path::Path;

/// Where an attempt works.
pub(super) struct Place {
    workspace: Workspace,
}

impl Place {
    /// The place that the attempt's task asks for, where there is nothing to prepare.
    pub(super) fn shared(attempt: &Attempt) -> Option<Self> {
        let Assignment {
            setup, isolation, ..
        } = &*attempt.assignment;
        (*isolation == Isolation::None).then(|| Self {
            workspace: Workspace::shared(&setup.workspace),
        })
    }

    /// A worktree of its own.
    pub(super) async fn worktree(attempt: &Attempt) -> Result<Self, Failure> {
        let setup = &attempt.assignment.setup;
        let (name, programs) = (attempt.id.to_string(), setup.permissions.run);
        let workspace =
            Workspace::worktree(&setup.workspace, &name, programs, attempt.line.stop()).await;
        Ok(Self {
            workspace: workspace.map_err(failure)?,
        })
    }

    /// Whether there is nothing to tidy up.
    pub(super) fn is_shared(&self) -> bool {
        self.workspace.is_shared()
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
        line.log(format!(
            "{} changed {changed} files in {path}; the worktree is kept",
            line.attempt().task
        ));
        let worktree = Worktree {
            path: path.into(),
            base: kept.base.into(),
            changed: changed as u64,
        };
        AttemptResult {
            worktree: Some(Box::new(worktree)),
            ..result
        }
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
