//! The git program, as copies of a repository need it.
//!
//! Git is told nothing by the surroundings of this process and runs no program
//! that a repository names: its hooks, its file monitor and its transports are
//! off, and it never prompts. Filters are another matter, see `repository.rs`.

use crate::copies::MISLEADING;
use crate::process::{Limits, ProcessError, Program};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Longest time of a git command that goes through all files. A checkout of the largest
/// repositories takes minutes, one that hangs on a lock takes for ever.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Longest time of one that only looks something up: in moments, or it waits for something.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(60);

/// Commands that only look something up.
const LOOKUPS: [&str; 2] = ["rev-parse", "config"];

/// Bytes kept of what git says: about 100,000 paths.
const OUTPUT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What holds for every command, over all settings of the repository.
const SETTINGS: [&str; 6] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "submodule.recurse=false",
    // A folder laid out like a repository is none because a repository contains it.
    "safe.bareRepository=explicit",
    // Git 2.48 would note in the repository's settings that paths are relative.
    "worktree.useRelativePaths=false",
    // It would go on in the background after the command.
    "maintenance.auto=false",
];

/// What git says of an entry that another git has not finished.
const HALF_WRITTEN: &str = "/commondir";

/// Tries to change the list of worktrees. An entry is finished in less time
/// than a try takes.
const TRIES_MAX: usize = 5;

/// Runs git in `folder` and returns what it says, byte by byte: paths need not be UTF-8.
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
        // What is only looked at is not locked, nor is an index refreshed on the way.
        .env("GIT_OPTIONAL_LOCKS", "0")
        // An object that is not here is missing: fetching it would run transports.
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
/// Git reads the entries of all worktrees then, and fails when another git has
/// only half written one. So one of us goes at a time, and another process is
/// given time to finish its entry.
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

/// Words of a command.
pub(super) fn words<const N: usize>(words: [&str; N]) -> [&OsStr; N] {
    words.map(OsStr::new)
}

/// What git has written as one line: all but its line break, since a path may end in one.
pub(super) fn line(mut said: Vec<u8>) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    if said.last() == Some(&b'\n') {
        said.pop();
    }
    OsString::from_vec(said)
}

/// Why git did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    /// It could not run to its end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It was stopped by us.
    #[error("git {command} did not come to its end")]
    Stopped {
        /// What it was asked to do.
        command: String,
        /// Why it was stopped.
        source: ProcessError,
    },
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

    /// Whether git had nothing to say, which is how it answers that there is none.
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
