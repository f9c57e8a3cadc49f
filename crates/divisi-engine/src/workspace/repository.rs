//! Determines which folder git works on, before anything is written.
//!
//! Repository settings (`core.worktree`, `core.bare`, `extensions.worktreeConfig`), a `.git` that
//! is missing or leads elsewhere, or a name that git interprets differently can make a command in a
//! copy work on the user's files. So git is asked, and nothing is done unless its answer is the
//! copy.

use super::WorkspaceError;
use super::git::{GitError, git, line, words};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Git's view of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Root of the files it works on.
    pub(super) top: PathBuf,
    /// Folder of its own data.
    pub(super) git_dir: PathBuf,
}

/// Git's view of `folder`.
pub(super) async fn seen_from(folder: &Path, cancel: &CancellationToken) -> Result<Seen, GitError> {
    let top = git(folder, &words(["rev-parse", "--show-toplevel"]), cancel).await?;
    Ok(Seen {
        top: canonical(line(top).into()),
        git_dir: git_dir(folder, cancel).await?,
    })
}

async fn git_dir(folder: &Path, cancel: &CancellationToken) -> Result<PathBuf, GitError> {
    Ok(canonical(
        line(git(folder, &words(["rev-parse", "--absolute-git-dir"]), cancel).await?).into(),
    ))
}

/// The canonical path; unchanged if the system cannot resolve it.
fn canonical(path: PathBuf) -> PathBuf {
    fs::canonicalize(&path).unwrap_or(path)
}

/// The path of `root`, which is canonical, within the files of its repository.
pub(super) async fn place_of(
    root: &Path,
    cancel: &CancellationToken,
) -> Result<PathBuf, WorkspaceError> {
    let seen = seen_from(root, cancel).await.map_err(|error| {
        let root = root.to_owned();
        match () {
            () if error.says("not a git repository") => WorkspaceError::NoRepository { root },
            () if error.says("must be run in a work tree")
                || error.says("cannot use bare repository") =>
            {
                WorkspaceError::NoFiles { root }
            }
            () => error.into(),
        }
    })?;
    match root.strip_prefix(&seen.top) {
        Ok(inside) => Ok(inside.to_owned()),
        Err(_) => Err(WorkspaceError::Elsewhere {
            folder: root.to_owned(),
            top: seen.top,
        }),
    }
}

/// The commit checked out there.
pub(super) async fn commit_of(
    root: &Path,
    cancel: &CancellationToken,
) -> Result<String, WorkspaceError> {
    let commit = git(
        root,
        &words(["rev-parse", "--verify", "HEAD^{commit}"]),
        cancel,
    )
    .await;
    let commit = commit.map_err(|error| match error.says("Needed a single revision") {
        true => WorkspaceError::NoCommit {
            root: root.to_owned(),
        },
        false => error.into(),
    })?;
    Ok(line(commit).to_string_lossy().into_owned())
}

/// Fails if a checkout would run a program named by the repository's own settings. Filters of the
/// user's settings, such as those of Git LFS, are trusted.
pub(super) async fn refuse_filters(
    root: &Path,
    cancel: &CancellationToken,
) -> Result<(), WorkspaceError> {
    refuse_programs(
        root,
        r"^filter\..*\.(smudge|clean|process)$",
        "filter",
        cancel,
    )
    .await
}

/// The same for a merge, which runs drivers, too.
pub(super) async fn refuse_drivers(
    root: &Path,
    cancel: &CancellationToken,
) -> Result<(), WorkspaceError> {
    refuse_filters(root, cancel).await?;
    refuse_programs(root, r"^merge\..*\.driver$", "merge driver", cancel).await
}

async fn refuse_programs(
    root: &Path,
    pattern: &str,
    kind: &'static str,
    cancel: &CancellationToken,
) -> Result<(), WorkspaceError> {
    let asked = words([
        "config",
        "--show-scope",
        "--name-only",
        "-z",
        "--get-regexp",
        pattern,
    ]);
    let said = match git(root, &asked, cancel).await {
        Err(error) if error.is_silent() => return Ok(()),
        said => String::from_utf8_lossy(&said?).into_owned(),
    };
    let fields: Vec<&str> = said.split('\0').collect();
    let mut own = fields
        .chunks_exact(2)
        .filter(|pair| matches!(pair[0], "local" | "worktree"));
    match own.next() {
        None => Ok(()),
        Some(pair) => {
            // The name stands between the section and the last word.
            let inner = pair[1].split_once('.').map_or(pair[1], |(_, rest)| rest);
            let name = inner.rsplit_once('.').map_or(inner, |(name, _)| name);
            Err(WorkspaceError::Filter {
                root: root.to_owned(),
                kind,
                name: name.to_owned(),
            })
        }
    }
}

/// Ensures that git, run in the copy at `path`, works on the copy.
///
/// If a repository has settings for each worktree, those of its main worktree may be in the common
/// ones. The copy then gets settings of its own.
pub(super) async fn agree(path: &Path, cancel: &CancellationToken) -> Result<Seen, WorkspaceError> {
    match seen_from(path, cancel).await {
        Ok(seen) if seen.top == path => return Ok(seen),
        // Git's error for a worktree that it takes for a bare repository.
        Err(error) if !error.says("must be run in a work tree") => return Err(error.into()),
        Ok(_) | Err(_) => {}
    }
    if let Some(settings) = own_settings(path, cancel).await? {
        let set = async |name: &str, value: &OsStr| {
            let args = [
                OsStr::new("config"),
                OsStr::new("--file"),
                settings.as_os_str(),
                OsStr::new(name),
                value,
            ];
            git(path, &args, cancel).await.map(drop)
        };
        set("core.bare", OsStr::new("false")).await?;
        set("core.worktree", path.as_os_str()).await?;
    }
    still_agrees(path, None, cancel).await
}

/// Fails if git, run in the copy at `path`, works on something else, or has another view of it than
/// `before`.
pub(super) async fn still_agrees(
    path: &Path,
    before: Option<&Seen>,
    cancel: &CancellationToken,
) -> Result<Seen, WorkspaceError> {
    let seen = seen_from(path, cancel).await?;
    let is_same = seen.top == path && before.is_none_or(|before| *before == seen);
    match is_same {
        true => Ok(seen),
        false if seen.top == path => Err(WorkspaceError::Elsewhere {
            folder: path.to_owned(),
            top: seen.git_dir,
        }),
        false => Err(WorkspaceError::Elsewhere {
            folder: path.to_owned(),
            top: seen.top,
        }),
    }
}

/// The settings file of the copy alone; `None` if git does not read one.
async fn own_settings(
    path: &Path,
    cancel: &CancellationToken,
) -> Result<Option<PathBuf>, GitError> {
    let asked = words([
        "config",
        "--type=bool",
        "--get",
        "extensions.worktreeConfig",
    ]);
    let has_own = match git(path, &asked, cancel).await {
        Err(error) if error.is_silent() => false,
        said => line(said?) == "true",
    };
    if !has_own {
        return Ok(None);
    }
    let git_dir = git_dir(path, cancel).await?;
    // A worktree has a folder of its own for its data, with this file in it.
    let is_own = git_dir.join("commondir").is_file();
    Ok(is_own.then(|| git_dir.join("config.worktree")))
}
