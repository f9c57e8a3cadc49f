//! Which folder git works in, asked before anything is written.
//!
//! A repository's settings (`core.worktree`, `core.bare`,
//! `extensions.worktreeConfig`), a `.git` that is gone or leads elsewhere, a name
//! that git reads differently: with each of them a command that is run in a
//! copy can work on the user's files. So git is asked, and what it answers has
//! to be the copy, or nothing is done there.

use super::WorkspaceError;
use super::git::{GitError, git, line, words};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// What git takes a folder for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The root of the files that it works on.
    pub(super) top: PathBuf,
    /// Where it keeps what it knows of them.
    pub(super) git_dir: PathBuf,
}

/// What git takes `folder` for.
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

/// As the system names it; as it is where the system knows no such path.
fn canonical(path: PathBuf) -> PathBuf {
    fs::canonicalize(&path).unwrap_or(path)
}

/// What `root`, a canonical path, is within the files of its repository.
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

/// The commit that is checked out there.
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

/// Fails where a checkout would run a program that the repository's own settings
/// name. Filters of the user's settings, such as those of Git LFS, are the user's.
pub(super) async fn refuse_filters(
    root: &Path,
    cancel: &CancellationToken,
) -> Result<(), WorkspaceError> {
    let pattern = r"^filter\..*\.(smudge|clean|process)$";
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
            let name = pair[1]
                .trim_start_matches("filter.")
                .rsplit_once('.')
                .map_or(pair[1], |(name, _)| name);
            Err(WorkspaceError::Filter {
                root: root.to_owned(),
                name: name.to_owned(),
            })
        }
    }
}

/// Makes sure that git, run in the copy at `path`, works on the copy.
///
/// Where a repository keeps settings for each worktree, those of its main one
/// can stand among those of all. The copy then gets settings of its own.
pub(super) async fn agree(path: &Path, cancel: &CancellationToken) -> Result<Seen, WorkspaceError> {
    match seen_from(path, cancel).await {
        Ok(seen) if seen.top == path => return Ok(seen),
        // It says so of a worktree that it takes for a repository without files.
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

/// Fails where git, run in the copy at `path`, works on something else, or no
/// longer by the `before` it had.
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

/// The file with settings of the copy alone; `None` where git reads no such file.
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
    // What belongs to a worktree alone stands in a folder of its own.
    let is_own = git_dir.join("commondir").is_file();
    Ok(is_own.then(|| git_dir.join("config.worktree")))
}
