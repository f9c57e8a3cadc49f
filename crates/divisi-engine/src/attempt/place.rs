//! The folder in which an attempt works.

use super::assignment::Assignment;
use super::{Attempt, AttemptResult};
use crate::executor::Line;
use crate::workspace::{Workspace, WorkspaceError, kept};
use divisi_core::event::Worktree;
use divisi_core::{Failure, FailureClass, Isolation};
use std::path::Path;

/// The folder in which an attempt works.
pub(super) struct Place {
    workspace: Workspace,
}

impl Place {
    /// The shared workspace, if the task needs no copy.
    pub(super) fn shared(attempt: &Attempt) -> Option<Self> {
        let Assignment {
            setup, isolation, ..
        } = &*attempt.assignment;
        (*isolation == Isolation::None).then(|| Self {
            workspace: Workspace::shared(&setup.workspace),
        })
    }

    /// A new worktree.
    pub(super) async fn worktree(attempt: &Attempt) -> Result<Self, Failure> {
        let setup = &attempt.assignment.setup;
        let (name, programs) = (kept::name(&attempt.run, attempt.id), setup.permissions.run);
        let workspace =
            Workspace::worktree(&setup.workspace, &name, programs, attempt.line.stop()).await;
        Ok(Self {
            workspace: workspace.map_err(failure)?,
        })
    }

    /// Whether there is nothing to clean up.
    pub(super) fn is_shared(&self) -> bool {
        self.workspace.is_shared()
    }

    /// The folder in which it works.
    pub(super) fn root(&self) -> &Path {
        self.workspace.root()
    }

    /// Cleans up. A changed worktree is kept, which is logged and added to `result`.
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
