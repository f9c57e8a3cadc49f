//! Runs git for copies of a repository.
//!
//! Git gets none of the variables that redirect it, and runs no program that a repository names:
//! hooks, file monitor and transports are off, and it never prompts. Filters are handled in
//! `repository.rs`.

use crate::copies::MISLEADING;
use crate::process::{Limits, ProcessError, Program};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Longest time of a git command that goes through all files. A checkout of the largest
/// repositories takes minutes; one that waits for a lock would never end.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Longest time of a lookup, which takes moments unless it is blocked.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(60);

/// Commands that only look something up.
const LOOKUPS: [&str; 2] = ["rev-parse", "config"];

/// Bytes kept of git's output: about 100,000 paths.
const OUTPUT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Settings of every command, which override those of the repository.
const SETTINGS: [&str; 6] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "submodule.recurse=false",
    // A folder with the layout of a repository is not trusted only because a repository contains
    // it.
    "safe.bareRepository=explicit",
    // Otherwise git 2.48 would write to the repository's settings that paths are relative.
    "worktree.useRelativePaths=false",
    // Otherwise maintenance would continue in the background after the command.
    "maintenance.auto=false",
];

/// Part of git's error about an entry that another git process has not finished.
const HALF_WRITTEN: &str = "/commondir";

/// Most tries to change the list of worktrees. Finishing an entry takes less time than a try.
const TRIES_MAX: usize = 5;

/// Runs git in `folder` and returns its output as bytes, because paths need not be UTF-8.
pub(super) async fn git(
    folder: &Path,
    args: &[&OsStr],
    cancel: &CancellationToken,
) -> Result<Vec<u8>, GitError> {
    let is_lookup = args
        .first()
        .is_some_and(|command| LOOKUPS.iter().any(|lookup| command == lookup));
    let timeout = if is_lookup { LOOKUP_TIMEOUT } else { TIMEOUT };
    let limits = Limits {
        timeout: Some(timeout),
        idle_timeout: None,
        output_bytes_max: OUTPUT_BYTES_MAX,
    };
    let program = Program::new("git")
        .args(SETTINGS.iter().flat_map(|setting| ["-c", setting]))
        .args(args.iter().copied())
        .cwd(folder)
        .without_secrets()
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "")
        // Without it, lookups would take locks and refresh the index.
        .env("GIT_OPTIONAL_LOCKS", "0")
        // Without it, missing objects would be fetched, which runs transports.
        .env("GIT_NO_LAZY_FETCH", "1")
        .limits(limits);
    let command = || {
        args.iter()
            .take(2)
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let exit = MISLEADING
        .into_iter()
        .fold(program, Program::without_env)
        .run(cancel)
        .await;
    let exit = exit.map_err(|source| match source {
        source @ ProcessError::Stopped { .. } => GitError::Stopped {
            command: command(),
            source,
        },
        source => source.into(),
    })?;
    match exit.status.is_ok() {
        true => Ok(exit.stdout.exact()),
        false => Err(GitError::Refused {
            command: command(),
            said: exit.stderr.text().trim().to_owned(),
        }),
    }
}

/// Runs `git worktree` with `args`.
///
/// Git then reads the entries of all worktrees, and fails if another git process has written one
/// only half. So only one runs at a time in this process, and other processes get time to finish
/// their entries.
pub(super) async fn change_worktrees(
    folder: &Path,
    args: &[&OsStr],
    cancel: &CancellationToken,
) -> Result<(), GitError> {
    static TURN: Mutex<()> = Mutex::const_new(());
    let _turn = TURN.lock().await;
    let args = [&[OsStr::new("worktree")], args].concat();
    let mut tries = 1;
    loop {
        match git(folder, &args, cancel).await {
            Err(error) if error.says(HALF_WRITTEN) && tries < TRIES_MAX => tries += 1,
            result => return result.map(drop),
        }
    }
}

/// The arguments of a command.
pub(super) fn words<const N: usize>(words: [&str; N]) -> [&OsStr; N] {
    words.map(OsStr::new)
}

/// A line of git's output without its final line break; a path may itself end in one.
pub(super) fn line(mut said: Vec<u8>) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    if said.last() == Some(&b'\n') {
        said.pop();
    }
    OsString::from_vec(said)
}

/// Why a git command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    /// It did not run to its end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It was stopped.
    #[error("git {command} did not come to its end")]
    Stopped {
        /// The command.
        command: String,
        /// The reason.
        source: ProcessError,
    },
    /// It ended with an error.
    #[error("git {command} failed: {said}")]
    Refused {
        /// The command.
        command: String,
        /// Its error message.
        said: String,
    },
}

impl GitError {
    /// Whether git's error contains this reason.
    pub(super) fn says(&self, reason: &str) -> bool {
        matches!(self, Self::Refused { said, .. } if said.contains(reason))
    }

    /// Whether git gave no error message, which means that a looked-up value does not exist.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self, Self::Refused { said, .. } if said.is_empty())
    }

    /// What the user can do about it.
    pub(super) fn hint(&self) -> Option<&'static str> {
        const TOO_OLD: [&str; 4] = [
            "unknown option",
            "unknown switch",
            "is not a git command",
            "usage: git",
        ];
        if matches!(self, Self::Process(ProcessError::NotFound { .. })) {
            return Some("install git");
        }
        if self.says("dubious ownership") {
            return Some(
                "the repository belongs to another user; if you trust it, add it to git's `safe.directory`",
            );
        }
        if TOO_OLD.into_iter().any(|reason| self.says(reason)) {
            return Some("git 2.26 or newer is needed");
        }
        None
    }
}
