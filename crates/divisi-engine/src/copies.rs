//! Copies of a repository for agents: where they stand, and what programs in them are told
//! of git.

use std::ffi::OsString;
use std::path::Path;

/// Where copies stand, below the root of the workspace.
pub(crate) const FOLDER: [&str; 2] = [".divisi", "worktrees"];

/// Variables that lead git to another repository, index or object than the
/// folder it is run in: those that hooks and filters are started with, of
/// `git rev-parse --local-env-vars`, and two more.
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
    // What they add to what git says is not said of the repository.
    "GIT_TRACE",
    "GIT_TRACE_SETUP",
    "GIT_TRACE_PERFORMANCE",
    "GIT_TRACE2",
    "GIT_TRACE2_EVENT",
    "GIT_TRACE2_PERF",
];

/// Folders at which git stops looking further up for a repository.
pub(crate) const CEILING: &str = "GIT_CEILING_DIRECTORIES";

/// For a program that is started in a copy: the variables that it goes without,
/// and one that it gets, so that git finds the copy or nothing. `None` elsewhere,
/// where the user's own variables hold.
///
/// The copies stand inside the user's repository. If one is no longer a worktree,
/// because an agent has removed its `.git`, git would go up and work there.
pub(crate) fn git_environment(folder: &Path) -> Option<(&'static [&'static str], OsString)> {
    let copies = folder
        .ancestors()
        .skip(1)
        .find(|folder| folder.ends_with(FOLDER.join("/")))?;
    Some((&MISLEADING, copies.into()))
}
