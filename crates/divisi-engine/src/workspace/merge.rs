//! Merges commits of worktrees into the branch that the user has checked out.
//!
//! Before each merge, a file in git's folder says which run is merged into which branch, the commit
//! before, and the commits so far. So the next process, also after a kill, finds which merge under
//! way is divisi's own and what may be undone. Without that file, or with it and something else than
//! it says, nothing is touched.

use super::git::{GitError, git, git_to_its_end, line, words};
use super::kept::is_ancestor;
use super::repository::{commit_of, place_of, refuse_drivers, seen_from};
use super::{WorkspaceError, failed_at, special};
use divisi_core::{RunId, TaskId};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// The file of a merge under way, in git's folder.
const FILE: &str = "divisi-merge.json";

/// Longest such file: a hundred thousand commits.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// Files in git's folder while something is under way, and what that is.
const UNDER_WAY: [(&str, &str); 6] = [
    (MERGE_HEAD, "a merge"),
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase, or `git am`,"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("BISECT_LOG", "a bisection"),
];

const MERGE_HEAD: &str = "MERGE_HEAD";

/// Longest file with the name of a commit.
const HEAD_BYTES_MAX: u64 = 4096;

/// Files that an error names.
const NAMED_MAX: usize = 5;

/// The checked-out branch of a repository, to merge into.
#[derive(Clone, Debug)]
pub struct Target {
    /// Root of its files.
    pub root: PathBuf,
    /// The branch.
    pub branch: String,
    git_dir: PathBuf,
}

/// A merge of a run that was begun and is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The run.
    pub run: RunId,
    /// The branch that was checked out.
    pub branch: String,
    /// Its commit before the first merge.
    pub before: String,
    /// The tasks that are to be merged, if not all.
    pub only: Vec<TaskId>,
    /// The commits merged so far, or under way.
    pub commits: Vec<String>,
}

/// What became of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It is a commit of the branch.
    Done,
    /// These files are in conflict, which the user has to settle.
    Conflict(Vec<String>),
}

impl Target {
    /// The repository that contains `root`. Filters and merge drivers that it names itself run only
    /// if `programs` may.
    pub async fn open(root: &Path, programs: bool) -> Result<Self, MergeError> {
        let cancel = &CancellationToken::new();
        let root = root.canonicalize().map_err(failed_at(root))?;
        special::refuse_in_repository(&root).await?;
        place_of(&root, cancel).await?;
        let seen = seen_from(&root, cancel).await?;
        commit_of(&root, cancel).await?;
        if !programs {
            refuse_drivers(&root, cancel).await?;
        }
        let asked = words(["symbolic-ref", "--quiet", "--short", "HEAD"]);
        let branch = match git(&root, &asked, cancel).await {
            Ok(name) => line(name).to_string_lossy().into_owned(),
            Err(error) if error.is_silent() => return Err(MergeError::Detached { root }),
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            root: seen.top,
            branch,
            git_dir: seen.git_dir,
        })
    }

    /// The merge under way.
    pub fn begun(&self) -> Result<Option<Begun>, MergeError> {
        let path = self.git_dir.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = divisi_files::read(&path, FILE_BYTES_MAX).map_err(io::Error::other);
        bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::other))
            .map(Some)
            .map_err(|source| MergeError::Unreadable { path, source })
    }

    /// Makes sure that commits of `run` can be merged now: no other work is under way, and nothing is
    /// uncommitted. A conflict of this merge that the user has settled is committed; one that is not
    /// is returned.
    pub async fn prepare(&self, run: &RunId) -> Result<Merged, MergeError> {
        let begun = self.begun()?;
        if let Some(begun) = &begun {
            self.refuse_other(begun, run)?;
        }
        self.refuse_locked()?;
        if let Some(begun) = &begun
            && self.is_merging(begun)
        {
            return self.conclude().await;
        }
        self.refuse_under_way()?;
        let asked = words([
            "status",
            "--porcelain",
            "-z",
            "--no-renames",
            "--untracked-files=no",
            "--ignore-submodules=dirty",
        ]);
        let said = self.ask(&asked).await?;
        // Two letters and a blank are before each name.
        let dirty = said.split(|byte| *byte == 0).filter_map(|it| it.get(3..));
        let files: Vec<String> = dirty.map(lossy).collect();
        match files.is_empty() {
            true => Ok(Merged::Done),
            false => Err(MergeError::Dirty {
                root: self.root.clone(),
                files,
                is_begun: begun.is_some(),
            }),
        }
    }

    /// Whether the branch has this commit.
    pub async fn has(&self, commit: &str) -> Result<bool, MergeError> {
        Ok(is_ancestor(&self.root, commit, &CancellationToken::new()).await?)
    }

    /// The branch's commit.
    pub async fn head(&self) -> Result<String, MergeError> {
        Ok(commit_of(&self.root, &CancellationToken::new()).await?)
    }

    /// Begins to merge these tasks of `run`, or all if none are named, or goes on with other ones.
    pub async fn begin(&self, run: &RunId, only: Vec<TaskId>) -> Result<Begun, MergeError> {
        let begun = match self.begun()? {
            Some(begun) => Begun { only, ..begun },
            None => Begun {
                run: run.clone(),
                branch: self.branch.clone(),
                before: self.head().await?,
                only,
                commits: vec![],
            },
        };
        self.record(&begun)?;
        Ok(begun)
    }

    /// Merges `commit` as a commit of its own, by the user, without hooks.
    ///
    /// Whatever kills this process, git comes to its end. If a merge fails for another reason than a
    /// conflict, nothing of it is left.
    pub async fn merge(
        &self,
        begun: &mut Begun,
        commit: &str,
        message: &str,
    ) -> Result<Merged, MergeError> {
        if !begun.commits.iter().any(|known| known == commit) {
            begun.commits.push(commit.to_owned());
        }
        self.record(begun)?;
        let asked = words([
            "merge",
            "--no-ff",
            "--commit",
            "--no-squash",
            "--no-edit",
            "--no-verify",
            "--no-gpg-sign",
            "--no-verify-signatures",
            "--no-stat",
            "--quiet",
            "-m",
            message,
            commit,
        ]);
        let Err(error) = git_to_its_end(&self.root, &asked).await else {
            return Ok(Merged::Done);
        };
        if !self.is_merging(begun) {
            return Err(error.into());
        }
        let files = self.unmerged().await?;
        if files.is_empty() {
            git_to_its_end(&self.root, &words(["merge", "--abort"])).await?;
            return Err(error.into());
        }
        Ok(Merged::Conflict(files))
    }

    /// The merge is over: what was merged stays.
    pub fn end(&self) -> Result<(), MergeError> {
        let path = self.git_dir.join(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed_at(&path)(error).into())
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Takes the branch back to where it was before the merge of `run` was begun. Fails, with the
    /// branch as it is, if it has other commits since. Changes that are not committed stay.
    pub async fn abort(&self, run: &RunId) -> Result<Begun, MergeError> {
        let Some(begun) = self.begun()? else {
            return Err(MergeError::NotBegun { run: run.clone() });
        };
        self.refuse_other(&begun, run)?;
        self.refuse_locked()?;
        if self.is_merging(&begun) {
            git_to_its_end(&self.root, &words(["merge", "--abort"])).await?;
        }
        self.refuse_under_way()?;
        let moved = |commit: &str| MergeError::Moved {
            branch: self.branch.clone(),
            commit: commit.to_owned(),
            before: begun.before.clone(),
        };
        if !self.has(&begun.before).await? {
            return Err(moved(&self.head().await?));
        }
        let since = format!("{}..HEAD", begun.before);
        let asked = words(["rev-list", "--first-parent", "--parents", &since]);
        let said = self.ask(&asked).await?;
        for commit in String::from_utf8_lossy(&said).lines() {
            let names: Vec<&str> = commit.split(' ').collect();
            let is_ours = |merged: &&str| begun.commits.iter().any(|known| known == merged);
            if !names.get(2).is_some_and(is_ours) {
                return Err(moved(names[0]));
            }
        }
        git_to_its_end(
            &self.root,
            &words(["reset", "--quiet", "--keep", &begun.before]),
        )
        .await?;
        self.end()?;
        Ok(begun)
    }

    /// Commits a conflict that the user has settled.
    async fn conclude(&self) -> Result<Merged, MergeError> {
        let files = self.unmerged().await?;
        if !files.is_empty() {
            return Ok(Merged::Conflict(files));
        }
        let asked = words([
            "diff",
            "--name-only",
            "-z",
            "--no-ext-diff",
            "--ignore-submodules=dirty",
        ]);
        let files = names(&self.ask(&asked).await?);
        if !files.is_empty() {
            return Err(MergeError::Unstaged { files });
        }
        let asked = words([
            "commit",
            "--quiet",
            "--no-edit",
            "--cleanup=strip",
            "--no-verify",
            "--no-gpg-sign",
        ]);
        git_to_its_end(&self.root, &asked).await?;
        Ok(Merged::Done)
    }

    async fn unmerged(&self) -> Result<Vec<String>, MergeError> {
        let asked = words([
            "diff",
            "--name-only",
            "-z",
            "--no-ext-diff",
            "--diff-filter=U",
        ]);
        let mut files = names(&self.ask(&asked).await?);
        files.dedup();
        Ok(files)
    }

    /// Whether git is merging one of these commits.
    fn is_merging(&self, begun: &Begun) -> bool {
        let head = divisi_files::read(&self.git_dir.join(MERGE_HEAD), HEAD_BYTES_MAX);
        head.is_ok_and(|head| {
            let head = lossy(&head);
            begun.commits.iter().any(|known| known == head.trim())
        })
    }

    fn refuse_other(&self, begun: &Begun, run: &RunId) -> Result<(), MergeError> {
        if begun.run != *run {
            return Err(MergeError::OtherRun {
                run: begun.run.clone(),
                root: self.root.clone(),
            });
        }
        match begun.branch == self.branch {
            true => Ok(()),
            false => Err(MergeError::OtherBranch {
                run: run.clone(),
                expected: begun.branch.clone(),
                branch: self.branch.clone(),
            }),
        }
    }

    fn refuse_under_way(&self) -> Result<(), MergeError> {
        let is_there = |file: &str| self.git_dir.join(file).symlink_metadata().is_ok();
        match UNDER_WAY.iter().find(|(file, _)| is_there(file)) {
            None => Ok(()),
            Some((_, what)) => Err(MergeError::UnderWay {
                what,
                root: self.root.clone(),
            }),
        }
    }

    fn refuse_locked(&self) -> Result<(), MergeError> {
        let path = self.git_dir.join("index.lock");
        match path.symlink_metadata().is_ok() {
            true => Err(MergeError::Locked { path }),
            false => Ok(()),
        }
    }

    /// Writes the file, whole or not at all, before anything that it says is done.
    fn record(&self, begun: &Begun) -> Result<(), MergeError> {
        let path = self.git_dir.join(FILE);
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.git_dir)?;
            file.write_all(&serde_json::to_vec(begun)?)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            fs::File::open(&self.git_dir)?.sync_all()
        };
        write().map_err(|error| failed_at(&path)(error).into())
    }

    async fn ask(&self, args: &[&OsStr]) -> Result<Vec<u8>, GitError> {
        git(&self.root, args, &CancellationToken::new()).await
    }
}

/// Names that end in a NUL each.
fn names(said: &[u8]) -> Vec<String> {
    let names = said.split(|byte| *byte == 0);
    names.filter(|name| !name.is_empty()).map(lossy).collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The first of these files, and how many there are besides.
fn first(files: &[String]) -> String {
    let named = files.iter().take(NAMED_MAX).map(|file| format!("`{file}`"));
    let named = named.collect::<Vec<_>>().join(", ");
    match files.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Why nothing can be merged, or be undone.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Something about the repository.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// No branch is checked out.
    #[error("the git repository of `{}` has a commit checked out, and no branch to merge into", root.display())]
    Detached {
        /// The folder.
        root: PathBuf,
    },
    /// Files have changes that are not committed.
    #[error("`{}` has changes that are not committed: {}", root.display(), first(files))]
    Dirty {
        /// Root of the files.
        root: PathBuf,
        /// Which ones.
        files: Vec<String>,
        /// Whether a merge of the run was begun before.
        is_begun: bool,
    },
    /// A settled conflict has changes that would not be committed.
    #[error(
        "the conflict is settled, but not all of it would be committed: {}",
        first(files)
    )]
    Unstaged {
        /// Which files have changed since they were added.
        files: Vec<String>,
    },
    /// Something of the user is under way.
    #[error("{what} is under way in `{}`", root.display())]
    UnderWay {
        /// What it is.
        what: &'static str,
        /// Root of the files.
        root: PathBuf,
    },
    /// Another git works on the index, or was killed.
    #[error("another git works on the repository, or was killed: `{}` exists", path.display())]
    Locked {
        /// Its lock.
        path: PathBuf,
    },
    /// Another run is being merged.
    #[error("a merge of run {run} is under way in `{}`", root.display())]
    OtherRun {
        /// The other run.
        run: RunId,
        /// Root of the files.
        root: PathBuf,
    },
    /// The merge was begun on another branch.
    #[error(
        "the merge of run {run} was begun on branch `{expected}`, and `{branch}` is checked out"
    )]
    OtherBranch {
        /// The run.
        run: RunId,
        /// The branch it was begun on.
        expected: String,
        /// The branch that is checked out.
        branch: String,
    },
    /// There is nothing to undo.
    #[error("no merge of run {run} is under way")]
    NotBegun {
        /// The run.
        run: RunId,
    },
    /// The branch has commits of the user since.
    #[error("`{branch}` has commits that are not of this merge, such as {commit}")]
    Moved {
        /// The branch.
        branch: String,
        /// One of them.
        commit: String,
        /// The commit before the merge.
        before: String,
    },
    /// The file of the merge cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl From<GitError> for MergeError {
    fn from(error: GitError) -> Self {
        Self::Workspace(error.into())
    }
}

impl MergeError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Workspace(error) => return error.hint().map(str::to_owned),
            Self::Detached { .. } => "check a branch out: `git switch <branch>`".to_owned(),
            Self::Dirty {
                is_begun: false, ..
            } => "commit them, or put them aside: `git stash`".to_owned(),
            Self::Dirty { .. } => {
                "if they are yours, commit them; `git diff` shows them. If a git that was killed has \
                 left them, `git reset --hard` takes them back"
                    .to_owned()
            }
            Self::Unstaged { .. } => "add the files: `git add <file>`".to_owned(),
            Self::UnderWay { .. } => "finish it or give it up first; `git status` says how".to_owned(),
            Self::Locked { path } => {
                let path = quoted(&path.display().to_string());
                format!("wait for it; if none is at work: `rm {path}`")
            }
            Self::OtherRun { run, .. } => {
                format!("`divisi merge {run}` goes on with it, `divisi merge {run} --abort` undoes it")
            }
            Self::OtherBranch { expected, .. } => format!("`git switch {}`", quoted(expected)),
            Self::NotBegun { .. } => {
                "a merge that is complete is undone by git: `git reset --keep <commit before it>`"
                    .to_owned()
            }
            Self::Moved { before, .. } => format!(
                "`git reset --keep {before}` takes the branch back all the same, without these commits"
            ),
            Self::Unreadable { .. } => {
                "look at the branch with `git log`, then remove the file".to_owned()
            }
        })
    }
}

/// A text as a word for the shell.
pub fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
