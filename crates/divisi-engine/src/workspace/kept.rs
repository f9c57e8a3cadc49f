//! Kept worktrees: found by their names, looked at, committed, removed.
//!
//! The name of a worktree says its run and its attempt. So one that a killed process left behind is
//! found, too, although no journal has it.

use super::git::{change_worktrees, git, git_to_its_end, git_with_index, line, words};
use super::repository::{refuse_filters, seen_from, still_agrees};
use super::{WorkspaceError, changed_since, failed_at, special};
use crate::copies::FOLDER;
use divisi_core::{AttemptId, RunId, TaskId};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Most worktrees listed in one folder.
const LISTED_MAX: usize = 10_000;

/// The name of the worktree of an attempt.
pub(crate) fn name(run: &RunId, attempt: AttemptId) -> String {
    format!("{run}-{}-{}", attempt.task, attempt.number)
}

/// The run and the attempt in the name of a worktree. A further number, which tells worktrees of one
/// attempt apart, may follow.
fn named(name: &str) -> Option<(RunId, AttemptId)> {
    let mut parts = name.split('-');
    let run = RunId::new(parts.next()?).ok()?;
    let task = TaskId(parts.next()?.strip_prefix('t')?.parse().ok()?);
    let number = parts.next()?.parse().ok()?;
    let rest: Option<Result<u32, _>> = parts.next().map(str::parse);
    let is_name = !matches!(rest, Some(Err(_))) && parts.next().is_none();
    is_name.then_some((run, AttemptId { task, number }))
}

/// A worktree of an attempt, in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptWorktree {
    /// Its run.
    pub run: RunId,
    /// Its attempt.
    pub attempt: AttemptId,
    /// The workspace for which it was made.
    pub of: PathBuf,
    /// Its root.
    pub path: PathBuf,
}

/// A worktree as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The branch that an agent has made in it.
    pub branch: Option<String>,
    /// The commit it is at.
    pub commit: String,
    /// The commit it was made from.
    pub base: String,
    /// The files that differ from that commit.
    pub files: Vec<FileChange>,
    /// Whether it has changes that are not committed.
    pub is_dirty: bool,
    /// Whether the branch of the workspace has all of it.
    pub is_merged: bool,
}

/// A file that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// Its path in the repository.
    pub path: String,
    /// Lines added and lines removed; `None` for a binary file.
    pub lines: Option<(u64, u64)>,
}

impl KeptWorktree {
    /// The worktree at `path`, if it is where divisi puts them and its name is one of theirs. Nothing
    /// else may be committed or removed: a journal can come from another machine.
    pub fn at(path: &Path) -> Option<Self> {
        let (run, attempt) = named(path.file_name()?.to_str()?)?;
        let folder = path.parent()?;
        let of = folder.parent()?.parent()?;
        (of.join(FOLDER.join("/")) == folder).then(|| Self {
            run,
            attempt,
            of: of.to_owned(),
            path: path.to_owned(),
        })
    }

    /// All worktrees of `workspace`, whether a journal has them or not, sorted by path.
    pub fn all_of(workspace: &Path) -> Vec<Self> {
        let folder = workspace.join(FOLDER.join("/"));
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let mut all: Vec<Self> = folders
            .take(LISTED_MAX)
            .filter_map(|entry| Self::at(&entry.path()))
            .collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }

    /// Whether it is still there.
    pub fn exists(&self) -> bool {
        let is_folder = |path: &Path| path.symlink_metadata().is_ok_and(|there| there.is_dir());
        is_folder(&self.path) && self.path.parent().is_some_and(is_folder)
    }

    /// How it differs from `base`. Filters that the repository itself names run only if `programs`
    /// may.
    pub async fn look(&self, base: Option<&str>, programs: bool) -> Result<Look, WorkspaceError> {
        let cancel = &CancellationToken::new();
        self.examine(programs, cancel).await?;
        let commit = self.head(cancel).await?;
        let base = self.base(base, &commit, cancel).await?;
        let said = self.diff(&base, "--numstat", cancel).await?;
        let files = String::from_utf8_lossy(&said).into_owned();
        let is_dirty = !changed_since(&commit, &self.path, cancel).await?.is_empty();
        let is_merged = !is_dirty && is_ancestor(&self.of, &commit, cancel).await?;
        let asked = words(["symbolic-ref", "--quiet", "--short", "HEAD"]);
        let branch = git(&self.path, &asked, cancel).await.ok();
        Ok(Look {
            branch: branch.map(|name| line(name).to_string_lossy().into_owned()),
            commit,
            base,
            files: files.split('\0').filter_map(file_change).collect(),
            is_dirty,
            is_merged,
        })
    }

    /// Its difference to `base` as a patch, and how many bytes in the middle are left out because it
    /// is too long.
    pub async fn patch(
        &self,
        base: Option<&str>,
        programs: bool,
    ) -> Result<(Vec<u8>, u64), WorkspaceError> {
        let cancel = &CancellationToken::new();
        self.examine(programs, cancel).await?;
        let commit = self.head(cancel).await?;
        let base = self.base(base, &commit, cancel).await?;
        let output = self.compared(&base, &words(["--patch"]), cancel).await?;
        Ok((output.exact(), output.bytes_omitted()))
    }

    /// Commits what is not committed in it, as the user. Returns the commit it is at then.
    pub async fn commit(&self, message: &str, programs: bool) -> Result<String, WorkspaceError> {
        let cancel = &CancellationToken::new();
        self.examine(programs, cancel).await?;
        let head = self.head(cancel).await?;
        let changed = changed_since(&head, &self.path, cancel).await?;
        // Git lists a folder only if it is a repository.
        if let Some(nested) = changed.iter().find(|file| file.ends_with('/')) {
            return Err(WorkspaceError::Nested {
                path: self.path.join(nested),
            });
        }
        if changed.is_empty() {
            return Ok(head);
        }
        git_to_its_end(&self.path, &words(["add", "--all"])).await?;
        let asked = words(["commit", "--quiet", "--no-verify", "--no-gpg-sign", "-m"]);
        git_to_its_end(&self.path, &[&asked[..], &[OsStr::new(message)]].concat()).await?;
        self.head(cancel).await
    }

    /// Removes it, with all that is in it.
    pub async fn remove(&self) -> Result<(), WorkspaceError> {
        if !self.exists() {
            return Ok(());
        }
        let cancel = &CancellationToken::new();
        let args = [
            OsStr::new("remove"),
            OsStr::new("--force"),
            self.path.as_os_str(),
        ];
        special::refuse_in_repository(&self.of).await?;
        match change_worktrees(&self.of, &args, cancel).await {
            // A process was killed before git knew of it, or an agent has detached it.
            Err(error)
                if error.says("is not a working tree") || error.says("validation failed") =>
            {
                fs::remove_dir_all(&self.path).map_err(failed_at(&self.path))
            }
            result => Ok(result?),
        }
    }

    /// Fails if git, run in it, would work on something else or would wait without end.
    async fn examine(
        &self,
        programs: bool,
        cancel: &CancellationToken,
    ) -> Result<(), WorkspaceError> {
        special::refuse_in_repository(&self.path).await?;
        special::refuse_among_files(&self.path).await?;
        let seen = still_agrees(&self.path, None, cancel).await?;
        // An agent can have made it a repository of its own, with programs in its settings.
        let worktrees = common_dir(&self.of, cancel).await?.join("worktrees");
        if !seen.git_dir.starts_with(worktrees) {
            return Err(WorkspaceError::Elsewhere {
                folder: self.path.clone(),
                top: seen.git_dir,
            });
        }
        match programs {
            true => Ok(()),
            false => refuse_filters(&self.path, cancel).await,
        }
    }

    async fn head(&self, cancel: &CancellationToken) -> Result<String, WorkspaceError> {
        let head = git(&self.path, &words(["rev-parse", "HEAD"]), cancel).await?;
        Ok(line(head).to_string_lossy().into_owned())
    }

    /// The commit it was made from: as recorded, or where it leaves the branch of the workspace.
    async fn base(
        &self,
        recorded: Option<&str>,
        commit: &str,
        cancel: &CancellationToken,
    ) -> Result<String, WorkspaceError> {
        if let Some(recorded) = recorded.filter(|recorded| is_name(recorded)) {
            return Ok(recorded.to_owned());
        }
        let found = git(&self.of, &words(["merge-base", "HEAD", commit]), cancel).await;
        Ok(found.map_or(commit.to_owned(), |base| {
            line(base).to_string_lossy().into_owned()
        }))
    }

    async fn diff(
        &self,
        base: &str,
        form: &str,
        cancel: &CancellationToken,
    ) -> Result<Vec<u8>, WorkspaceError> {
        let flags = words([form, "-z", "--no-renames"]);
        Ok(self.compared(base, &flags, cancel).await?.exact())
    }

    /// What git says of its difference to `base`, new files included, which an index of the moment
    /// lists.
    async fn compared(
        &self,
        base: &str,
        flags: &[&OsStr],
        cancel: &CancellationToken,
    ) -> Result<crate::process::Output, WorkspaceError> {
        let folder = tempfile::tempdir().map_err(failed_at(&std::env::temp_dir()))?;
        let index = folder.path().join("index");
        let seen = seen_from(&self.path, cancel).await?;
        let own = seen.git_dir.join("index");
        if own.exists() {
            fs::copy(&own, &index).map_err(failed_at(&index))?;
        }
        let add = words(["add", "--intent-to-add", "--", "."]);
        git_with_index(&self.path, Some(&index), &add, cancel).await?;
        let asked = words([
            "diff",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "--ignore-submodules=none",
            "--submodule=short",
            "--src-prefix=a/",
            "--dst-prefix=b/",
        ]);
        let asked = [&asked[..], flags, &words([base, "--"])].concat();
        Ok(git_with_index(&self.path, Some(&index), &asked, cancel).await?)
    }
}

/// Whether a text can be the name of a commit. A journal can come from another machine, and git takes
/// other words for options.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the commit checked out at `root` has `commit` among its ancestors.
pub(super) async fn is_ancestor(
    root: &Path,
    commit: &str,
    cancel: &CancellationToken,
) -> Result<bool, WorkspaceError> {
    if !is_name(commit) {
        return Ok(false);
    }
    let asked = words(["merge-base", "--is-ancestor", commit, "HEAD"]);
    match git(root, &asked, cancel).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_silent() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The folder of the repository of `root` that all its worktrees share.
async fn common_dir(root: &Path, cancel: &CancellationToken) -> Result<PathBuf, WorkspaceError> {
    let said = git(root, &words(["rev-parse", "--git-common-dir"]), cancel).await?;
    let path = root.join(line(said));
    path.canonicalize().map_err(failed_at(&path))
}

/// A record of `git diff --numstat`.
fn file_change(record: &str) -> Option<FileChange> {
    let mut fields = record.splitn(3, '\t');
    let (added, removed) = (fields.next()?, fields.next()?);
    Some(FileChange {
        path: fields.next()?.to_owned(),
        lines: added.parse().ok().zip(removed.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_run_and_attempt() {
        let attempt = AttemptId {
            task: TaskId(7),
            number: 2,
        };
        let run = RunId::new("k3f9").unwrap();
        assert_eq!(name(&run, attempt), "k3f9-t7-2");
        for known in ["k3f9-t7-2", "k3f9-t7-2-3"] {
            assert_eq!(named(known), Some((run.clone(), attempt)), "{known}");
        }
        for other in [
            "t7-2",
            "k3f9-7-2",
            "k3f9-t7",
            "k3f9-t7-2-x",
            "K-t7-2",
            "k3f9-t7-2-3-4",
            "",
        ] {
            assert_eq!(named(other), None, "{other}");
        }
    }

    #[test]
    fn only_what_is_in_its_place_is_a_worktree() {
        let at = |path: &str| KeptWorktree::at(Path::new(path)).map(|found| found.of);
        assert_eq!(at("/w/.divisi/worktrees/k3f9-t7-2"), Some("/w".into()));
        for path in [
            "/home/me",
            "/w/worktrees/k3f9-t7-2",
            "/w/.divisi/worktrees/mine",
            "k3f9-t7-2",
        ] {
            assert_eq!(at(path), None, "{path}");
        }
    }
}
