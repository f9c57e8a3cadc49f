//! The git program, as worktrees need it.

use crate::process::{Limits, ProcessError, Program};
use std::path::Path;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Longest time of one git command. A checkout of the largest repositories
/// takes minutes, one that hangs on a lock takes for ever.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Bytes kept of what git says: about 100,000 paths.
const OUTPUT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Variables that would lead git to another repository than the one meant;
/// they are set when we are started from a hook.
const MISLEADING: [&str; 6] =
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"];

/// What git says of an entry that another git has not finished.
const HALF_WRITTEN: &str = "/commondir";

/// Tries to change the list of worktrees. An entry is finished in less time
/// than a try takes.
const TRIES_MAX: usize = 5;

/// Runs git in `folder` and returns what it says.
///
/// Hooks of the repository do not run: nobody asked for them here, and a
/// worktree per agent would run them as often.
pub(super) async fn git(
    folder: &Path,
    args: &[&str],
    cancel: &CancellationToken,
) -> Result<String, GitError> {
    let limits = Limits { timeout: Some(TIMEOUT), idle_timeout: None, output_bytes_max: OUTPUT_BYTES_MAX };
    let program = Program::new("git")
        .args(["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"])
        .args(args.iter().copied())
        .cwd(folder)
        .without_secrets()
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0")
        .limits(limits);
    let exit = MISLEADING.into_iter().fold(program, Program::without_env).run(cancel).await?;
    match exit.status.is_ok() {
        true => Ok(exit.stdout.exact()),
        false => Err(GitError::Refused {
            command: args.iter().take(2).copied().collect::<Vec<_>>().join(" "),
            said: exit.stderr.text().trim().to_owned(),
        }),
    }
}

/// Runs `git worktree` with `args`.
///
/// Git reads the entries of all worktrees then, and fails when another git has
/// only half written one. So one of us goes at a time, and another process is
/// given time to finish its entry.
pub(super) async fn change_worktrees(
    folder: &Path,
    args: &[&str],
    cancel: &CancellationToken,
) -> Result<(), GitError> {
    static TURN: Mutex<()> = Mutex::const_new(());
    let _turn = TURN.lock().await;
    let args = [&["worktree"], args].concat();
    let mut tries = 1;
    loop {
        match git(folder, &args, cancel).await {
            Err(error) if error.says(HALF_WRITTEN) && tries < TRIES_MAX => tries += 1,
            result => return result.map(drop),
        }
    }
}

/// Why git did not do it.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// It could not run to its end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It ended with an error.
    #[error("git {command} failed: {said}")]
    Refused {
        /// What it was asked to do.
        command: String,
        /// What it said about it.
        said: String,
    },
}

impl GitError {
    /// Whether git gave this reason.
    pub(super) fn says(&self, reason: &str) -> bool {
        matches!(self, Self::Refused { said, .. } if said.contains(reason))
    }
}
