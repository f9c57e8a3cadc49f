//! Copies of a repository for agents: their place, and the environment of git for programs in them.

use std::ffi::OsString;
use std::path::Path;

/// The folder of copies, below the root of the workspace.
pub(crate) const FOLDER: [&str; 2] = [".divisi", "worktrees"];

/// Variables that lead git to another repository, index or object than those of its working folder:
/// those set for hooks and filters, those of `git rev-parse --local-env-vars`, and two more.
/// Settings given by variables (`GIT_CONFIG_COUNT`) are the user's and stay.
pub(crate) const MISLEADING: [&str; 22] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_QUARANTINE_PATH",
    "GIT_CONFIG",
    "GIT_GRAFT_FILE",
    "GIT_SHALLOW_FILE",
    "GIT_NAMESPACE",
    "GIT_REPLACE_REF_BASE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_ATTR_SOURCE",
    // Trace output would be mixed with git's answers.
    "GIT_TRACE",
    "GIT_TRACE_SETUP",
    "GIT_TRACE_PERFORMANCE",
    "GIT_TRACE2",
    "GIT_TRACE2_EVENT",
    "GIT_TRACE2_PERF",
];

/// Variable with the folders above which git does not search for a repository.
pub(crate) const CEILING: &str = "GIT_CEILING_DIRECTORIES";

/// Variables for a program started in a copy, so that git finds the copy or nothing: those to
/// remove, and the value of one to set. `None` elsewhere, where the user's own variables apply.
///
/// Copies are inside the user's repository. If an agent has removed the `.git` of one, git would
/// otherwise find the user's repository above it.
pub(crate) fn git_environment(folder: &Path) -> Option<(&'static [&'static str], OsString)> {
    let copies = folder
        .ancestors()
        .skip(1)
        .find(|folder| folder.ends_with(FOLDER.join("/")))?;
    Some((&MISLEADING, copies.into()))
}
