//! Runs git for copies of a repository.
//!
//! Git gets none of the variables that redirect it, and runs no program that a repository names:
//! hooks, file monitor and transports are off, and it never prompts. Filters are handled in
//! `repository.rs`.

use crate::copies::MISLEADING;
use crate::process::{Limits, Output, ProcessError, Program};
use divisi_providers::redact::{self, redact};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Seek};
use std::path::Path;
use std::process::Stdio;
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

/// Bytes kept of an error message of a command whose output is a file.
const SAID_BYTES_MAX: u64 = 64 * 1024;

/// Settings of every command, which override those of the repository.
const SETTINGS: [&str; 7] = [
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
    // Names in patches are as they are, without escapes for letters.
    "core.quotePath=false",
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
    let output = git_with_index(folder, None, args, cancel).await?;
    Ok(output.exact())
}

/// The same with another index, if one is given.
pub(super) async fn git_with_index(
    folder: &Path,
    index: Option<&Path>,
    args: &[&OsStr],
    cancel: &CancellationToken,
) -> Result<Output, GitError> {
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
        .limits(limits);
    let index = index.map(|index| ("GIT_INDEX_FILE".into(), Some(index.into())));
    let exit = environment()
        .into_iter()
        .chain(index)
        .fold(program, |program, (name, value)| match value {
            Some(value) => program.env(name, value),
            None => program.without_env(name),
        })
        .run(cancel)
        .await;
    let exit = exit.map_err(|source| match source {
        source @ ProcessError::Stopped { .. } => GitError::Stopped {
            command: named(args),
            source,
        },
        source => source.into(),
    })?;
    match exit.status.is_ok() {
        true => Ok(exit.stdout),
        false => Err(GitError::Refused {
            command: named(args),
            said: exit.stderr.text().trim().to_owned(),
        }),
    }
}

/// Runs a command of git that changes files of the user, and lets it finish them even if divisi is
/// killed meanwhile: half of a merge would be left otherwise. So it has no supervisor, no time limit
/// and no pipe that could break, and the terminal's Ctrl-C does not reach it.
pub(super) async fn git_to_its_end(folder: &Path, args: &[&OsStr]) -> Result<(), GitError> {
    let lost = |source| {
        GitError::from(ProcessError::NotStarted {
            program: "git".to_owned(),
            source,
        })
    };
    let mut said = tempfile::tempfile().map_err(lost)?;
    let mut command = tokio::process::Command::new("git");
    command
        .args(SETTINGS.iter().flat_map(|setting| ["-c", setting]))
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said.try_clone().map_err(lost)?)
        .process_group(0);
    for (name, value) in environment() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut child = command.spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => GitError::from(ProcessError::NotFound {
            program: "git".to_owned(),
        }),
        _ => lost(source),
    })?;
    if child.wait().await.map_err(lost)?.success() {
        return Ok(());
    }
    let mut text = vec![];
    said.rewind()
        .and_then(|()| said.take(SAID_BYTES_MAX).read_to_end(&mut text))
        .map_err(lost)?;
    Err(GitError::Refused {
        command: named(args),
        said: redact(&String::from_utf8_lossy(&text)).trim().to_owned(),
    })
}

/// What git gets of divisi's environment, and, without a value, what it does not.
fn environment() -> Vec<(OsString, Option<OsString>)> {
    let known = redact::known();
    let withheld = known.variables().map(OsStr::to_owned);
    let withheld = withheld.chain(MISLEADING.map(OsString::from));
    let set = [
        ("LC_ALL", "C"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_ASKPASS", ""),
        // Without it, lookups would take locks and refresh the index.
        ("GIT_OPTIONAL_LOCKS", "0"),
        // Without it, missing objects would be fetched, which runs transports.
        ("GIT_NO_LAZY_FETCH", "1"),
    ];
    let set = set.map(|(name, value)| (name.into(), Some(value.into())));
    withheld.map(|name| (name, None)).chain(set).collect()
}

/// A command for messages: its first words.
fn named(args: &[&OsStr]) -> String {
    let words = args.iter().take(2).map(|word| word.to_string_lossy());
    words.collect::<Vec<_>>().join(" ")
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
pub enum GitError {
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
        if self.says("tell me who you are") || self.says("empty ident") {
            return Some(
                "the commits are yours: `git config --global user.name` and `user.email` say who you are",
            );
        }
        if self.says("index.lock") {
            return Some(
                "another git works there; if none does, one was killed: remove the file that is named",
            );
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
