//! The folder of an agent: the user's, or a copy.
//!
//! A copy is a git worktree of the checked-out commit, without branch. It contains committed files
//! only, without uncommitted changes, untracked files and the files of submodules. At the end an
//! unchanged copy is removed; a changed one is kept and reported. `kept` finds those again, and
//! `merge` brings what they hold into the user's branch.
//!
//! The user's repository does not change except for its list of worktrees.

pub(crate) mod kept;
mod merge;

mod git;
mod repository;
mod special;

pub use git::GitError;
pub use kept::{FileChange, KeptWorktree, Look};
pub use merge::{Begun, MergeError, Merged, Target, quoted};

use crate::copies::FOLDER;
use crate::private;
use git::{change_worktrees, git, line, words};
use repository::{Seen, agree, commit_of, place_of, refuse_filters, still_agrees};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Longest name of a worktree in bytes; git extends it in its own files.
const NAME_BYTES_MAX: usize = 80;

/// Names tried for one worktree. If a task has left more, something else is wrong.
const NAMES_MAX: usize = 100;

/// Most changed files listed; all are counted.
const CHANGED_MAX: usize = 200;

/// The folder of an attempt.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    worktree: Option<Worktree>,
}

#[derive(Debug)]
struct Worktree {
    /// The workspace it was made for.
    of: PathBuf,
    /// The root of the worktree; the workspace may be a subfolder of it.
    path: PathBuf,
    /// The commit it was made from.
    base: String,
    /// Git's view of it.
    seen: Seen,
}

/// A worktree that was kept because files in it have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Where it is.
    pub path: PathBuf,
    /// The commit it was made from.
    pub base: String,
    /// The files that differ from that commit, sorted.
    pub changed: Vec<String>,
    /// Number of changed files; `changed` has the first of them.
    pub changed_count: usize,
}

impl Workspace {
    /// The user's folder, shared with other attempts.
    pub(crate) fn shared(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            worktree: None,
        }
    }

    /// A new worktree of the repository that contains `root`.
    ///
    /// It is below `root`, named `name` or, if that is taken, `name` with a number. It stays there
    /// until [`Workspace::close`]. Filters named by the repository's own settings run only if
    /// `programs` are permitted.
    ///
    /// Nothing is written if git would work on another folder, and no file is checked out before
    /// git accepts the worktree as its own.
    pub(crate) async fn worktree(
        root: &Path,
        name: &str,
        programs: bool,
        cancel: &CancellationToken,
    ) -> Result<Self, WorkspaceError> {
        let of = root.canonicalize().map_err(failed_at(root))?;
        special::refuse_in_repository(&of).await?;
        let inside = place_of(&of, cancel).await?;
        let base = commit_of(&of, cancel).await?;
        if !programs {
            refuse_filters(&of, cancel).await?;
        }
        let path = reserve(&of, &safe(name))?;
        let seen = match check_out(&of, &path, &base, cancel).await {
            Ok(seen) => seen,
            Err(error) => {
                remove(&of, &path).await;
                return Err(error);
            }
        };
        let workspace = path.join(inside);
        // A folder that has not been committed does not exist in the worktree.
        fs::create_dir_all(&workspace).map_err(failed_at(&workspace))?;
        Ok(Self {
            root: workspace,
            worktree: Some(Worktree {
                of,
                path,
                base,
                seen,
            }),
        })
    }

    /// The folder that the agent's paths are relative to.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it is the user's folder, which needs no cleaning up.
    pub(crate) fn is_shared(&self) -> bool {
        self.worktree.is_none()
    }

    /// Ends the work here: removes an unchanged worktree; keeps and reports a changed one.
    ///
    /// Ignored files do not count as changes. If git cannot decide, the worktree is kept. Must also
    /// be called after a cancelled attempt, so it cannot be cancelled itself.
    pub(crate) async fn close(self) -> Result<Option<Kept>, WorkspaceError> {
        let Some(Worktree {
            of,
            path,
            base,
            seen,
        }) = self.worktree
        else {
            return Ok(None);
        };
        let cancel = &CancellationToken::new();
        special::refuse_in_repository(&path).await?;
        special::refuse_among_files(&path).await?;
        // An agent can have detached the worktree from git: then git's answers below would be about
        // the user's own files.
        still_agrees(&path, Some(&seen), cancel).await?;
        let mut changed = changed_since(&base, &path, cancel).await?;
        let head = line(git(&path, &words(["rev-parse", "HEAD"]), cancel).await?);
        if changed.is_empty() && head == *base {
            let args = [
                OsStr::new("remove"),
                OsStr::new("--force"),
                path.as_os_str(),
            ];
            change_worktrees(&of, &args, cancel).await?;
            return Ok(None);
        }
        changed.sort();
        changed.dedup();
        let changed_count = changed.len();
        changed.truncate(CHANGED_MAX);
        Ok(Some(Kept {
            path,
            base,
            changed,
            changed_count,
        }))
    }
}

/// The files in the worktree at `path` that differ from commit `base`.
async fn changed_since(
    base: &str,
    path: &Path,
    cancel: &CancellationToken,
) -> Result<Vec<String>, WorkspaceError> {
    let flags = [
        "--name-only",
        "--no-renames",
        "--no-ext-diff",
        "--ignore-submodules=none",
        "-z",
    ];
    let asked = [&words(["diff"])[..], &words(flags), &words([base])].concat();
    let differing = git(path, &asked, cancel).await?;
    let asked = words(["ls-files", "--others", "--exclude-standard", "-z"]);
    let untracked = git(path, &asked, cancel).await?;
    let files = differing
        .split(|byte| *byte == 0)
        .chain(untracked.split(|byte| *byte == 0));
    let files = files.filter(|file| !file.is_empty());
    Ok(files
        .map(|file| String::from_utf8_lossy(file).into_owned())
        .collect())
}

/// A name that is a single path component and not an option: other characters become dashes.
fn safe(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = name
        .chars()
        .take(NAME_BYTES_MAX)
        .map(|c| if is_plain(c) { c } else { '-' })
        .collect();
    match name.trim_matches('-') {
        "" => "worktree".to_owned(),
        name => name.to_owned(),
    }
}

/// Creates an empty folder, exclusively.
fn reserve(root: &Path, name: &str) -> Result<PathBuf, WorkspaceError> {
    let mut folder = root.to_owned();
    for part in FOLDER {
        folder.push(part);
        real_folder(&folder)?;
    }
    // Hides the worktrees from the status of the repository.
    let ignore = folder.join(".gitignore");
    match fs::File::create_new(&ignore).and_then(|mut file| io::Write::write_all(&mut file, b"*\n"))
    {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed_at(&ignore)(error)),
    }
    let names = (1..=NAMES_MAX).map(|n| {
        if n == 1 {
            name.to_owned()
        } else {
            format!("{name}-{n}")
        }
    });
    for path in names.map(|name| folder.join(name)) {
        match fs::create_dir(&path) {
            Ok(()) => return path.canonicalize().map_err(failed_at(&path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed_at(&path)(error)),
        }
    }
    Err(WorkspaceError::Crowded {
        folder,
        name: name.to_owned(),
    })
}

/// Ensures a real folder at `path`. A link there, which a repository may contain, could put the
/// copies anywhere.
fn real_folder(path: &Path) -> Result<(), WorkspaceError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed_at(path)(error));
        }
        Ok(()) | Err(_) => {}
    }
    match fs::symlink_metadata(path)
        .map_err(failed_at(path))?
        .is_dir()
    {
        // The copies contain files changed by agents, so they are private.
        true => private::narrow(path).map_err(failed_at(path)),
        false => Err(WorkspaceError::NoFolder {
            path: path.to_owned(),
        }),
    }
}

fn failed_at(path: &Path) -> impl FnOnce(io::Error) -> WorkspaceError {
    let path = path.to_owned();
    move |source| WorkspaceError::Folder { path, source }
}

/// Makes the folder at `path` a worktree of `base`. A separate command writes the files, which
/// several worktrees can run at the same time, and only after git accepts the folder as that
/// worktree.
async fn check_out(
    root: &Path,
    path: &Path,
    base: &str,
    cancel: &CancellationToken,
) -> Result<Seen, WorkspaceError> {
    // The folder is new, so an entry with its path, which `--force` replaces, belongs to a deleted
    // one.
    let flags = words(["add", "--force", "--no-checkout", "--detach"]);
    change_worktrees(
        root,
        &[&flags[..], &[path.as_os_str(), OsStr::new(base)]].concat(),
        cancel,
    )
    .await?;
    let seen = agree(path, cancel).await?;
    git(path, &words(["reset", "--hard", "--quiet"]), cancel).await?;
    Ok(seen)
}

/// Removes what a failed checkout left, as far as possible; the caller reports the failure itself.
/// Other entries of the list, such as one on an unmounted disk, belong to the user.
async fn remove(root: &Path, path: &Path) {
    let args = [
        OsStr::new("remove"),
        OsStr::new("--force"),
        path.as_os_str(),
    ];
    // Not cancelled with the attempt: a half-made worktree would stay registered.
    let _ = change_worktrees(root, &args, &CancellationToken::new()).await;
    let _ = fs::remove_dir_all(path);
}

/// Why a workspace could not be made or closed.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// A worktree needs a repository.
    #[error("`{}` is not in a git repository", root.display())]
    NoRepository {
        /// The folder.
        root: PathBuf,
    },
    /// A worktree needs a commit.
    #[error("the git repository of `{}` has no commit", root.display())]
    NoCommit {
        /// The folder.
        root: PathBuf,
    },
    /// The repository has no files.
    #[error("the git repository of `{}` has no files there: it is bare, or this is its own folder", root.display())]
    NoFiles {
        /// The folder.
        root: PathBuf,
    },
    /// Git would work on other files.
    #[error("git, run in `{}`, works on `{}`", folder.display(), top.display())]
    Elsewhere {
        /// The folder.
        folder: PathBuf,
        /// The folder that git would work on.
        top: PathBuf,
    },
    /// Git would run a program named by the repository.
    #[error("the settings of the git repository of `{}` name a program, the {kind} `{name}`, that git would run", root.display())]
    Filter {
        /// The folder.
        root: PathBuf,
        /// What the program is: a filter, a merge driver.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A worktree cannot be committed as files of the repository.
    #[error("`{}` is a git repository of its own, inside a worktree", path.display())]
    Nested {
        /// Where it is.
        path: PathBuf,
    },
    /// Git would block on a special file in place of one of its own.
    #[error("`{}` is no regular file: git would wait for it without end", path.display())]
    Special {
        /// Path of that file.
        path: PathBuf,
    },
    /// Worktrees could not be put where they belong.
    #[error("`{}` is no folder", path.display())]
    NoFolder {
        /// The link or file in place of a folder.
        path: PathBuf,
    },
    /// Too many worktrees were left under one name.
    #[error("`{}` holds {NAMES_MAX} worktrees named `{name}`", folder.display())]
    Crowded {
        /// The folder of worktrees.
        folder: PathBuf,
        /// Their name.
        name: String,
    },
    /// A folder or file could not be created.
    #[error("`{}` could not be created", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl WorkspaceError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoRepository { .. } => {
                Some("run `git init` and commit, or leave out `isolation: 'worktree'`")
            }
            Self::NoCommit { .. } => Some("commit once: a worktree is a checkout of a commit"),
            Self::NoFiles { .. } => {
                Some("start from a worktree of it, or leave out `isolation: 'worktree'`")
            }
            Self::Elsewhere { .. } => Some(
                "look at `core.worktree` and `core.bare` in the repository's settings, and at the `.git` there",
            ),
            Self::Filter { .. } => Some(
                "allow it with `--allow run`, or define the filter in your own settings: `git config --global`",
            ),
            Self::Nested { .. } => Some("commit it where it belongs, or remove its `.git`"),
            Self::Special { .. } => Some("remove it: git keeps no pipes or devices"),
            Self::NoFolder { .. } => Some("move it away: worktrees of agents stand there"),
            Self::Crowded { .. } => {
                Some("take what you need from them, then `git worktree remove` them")
            }
            Self::Git(error) => error.hint(),
            Self::Folder { .. } => None,
        }
    }
}

#[cfg(test)]
mod odd_repositories;

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    pub(super) struct Repository(tempfile::TempDir);

    impl Repository {
        /// A repository with one commit of `a`, `sub/b` and an ignore rule.
        pub(super) fn new() -> Self {
            let repository = Self(tempfile::tempdir().unwrap());
            repository.git(&["init", "--quiet"]);
            fs::create_dir(repository.path().join("sub")).unwrap();
            for (file, content) in [("a", "a\n"), ("sub/b", "b\n"), (".gitignore", "target/\n")] {
                fs::write(repository.path().join(file), content).unwrap();
            }
            repository.git(&["add", "."]);
            repository.git(&["commit", "--quiet", "-m", "first"]);
            repository
        }

        pub(super) fn path(&self) -> &Path {
            self.0.path()
        }

        pub(super) fn git(&self, args: &[&str]) -> String {
            git_in(self.path(), args)
        }

        async fn worktree(&self, name: &str) -> Workspace {
            Workspace::worktree(self.path(), name, false, &CancellationToken::new())
                .await
                .unwrap()
        }

        pub(super) fn worktree_count(&self) -> usize {
            self.git(&["worktree", "list"]).lines().count() - 1
        }
    }

    pub(super) fn git_in(folder: &Path, args: &[&str]) -> String {
        let identity = [
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@example.org",
            "-c",
            "maintenance.auto=false",
        ];
        let output = Command::new("git")
            .args(identity)
            .args(args)
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) async fn close(workspace: Workspace) -> Option<Kept> {
        workspace.close().await.unwrap()
    }

    #[tokio::test]
    async fn a_shared_workspace_is_the_folder_itself() {
        let workspace = Workspace::shared("/somewhere");
        assert_eq!(workspace.root(), Path::new("/somewhere"));
        assert_eq!(close(workspace).await, None);
    }

    #[tokio::test]
    async fn an_unchanged_worktree_is_removed() {
        let repository = Repository::new();
        let workspace = repository.worktree("task").await;
        let root = workspace.root().to_owned();
        assert!(root.ends_with(".divisi/worktrees/task"));
        assert_eq!(fs::read_to_string(root.join("sub/b")).unwrap(), "b\n");
        // Build output does not count as a change.
        fs::create_dir(root.join("target")).unwrap();
        fs::write(root.join("target/out"), "").unwrap();
        assert_eq!(repository.git(&["status", "--porcelain"]), "");
        assert_eq!(close(workspace).await, None);
        assert!(!root.exists());
        assert_eq!(repository.worktree_count(), 0);
    }

    #[tokio::test]
    async fn a_changed_worktree_is_kept_and_reported() {
        let repository = Repository::new();
        let workspace = repository.worktree("task").await;
        let root = workspace.root().to_owned();
        fs::write(root.join("a"), "changed").unwrap();
        fs::remove_file(root.join("sub/b")).unwrap();
        fs::write(root.join("new file"), "").unwrap();
        let kept = close(workspace).await.unwrap();
        assert_eq!((kept.path, kept.changed_count), (root, 3));
        assert_eq!(kept.changed, ["a", "new file", "sub/b"]);
        assert_eq!(
            fs::read_to_string(repository.path().join("a")).unwrap(),
            "a\n"
        );
        assert_eq!(repository.git(&["status", "--porcelain"]), "");
    }

    #[tokio::test]
    async fn a_commit_is_a_change_even_an_empty_one() {
        let repository = Repository::new();
        let (with_file, empty) = (
            repository.worktree("with-file").await,
            repository.worktree("empty").await,
        );
        fs::write(with_file.root().join("a"), "changed").unwrap();
        git_in(
            with_file.root(),
            &["commit", "--quiet", "-a", "-m", "second"],
        );
        git_in(
            empty.root(),
            &["commit", "--quiet", "--allow-empty", "-m", "second"],
        );
        assert_eq!(close(with_file).await.unwrap().changed, ["a"]);
        assert_eq!(close(empty).await.unwrap().changed, [""; 0]);
    }

    #[tokio::test]
    async fn a_subfolder_of_the_repository_stays_the_root() {
        let repository = Repository::new();
        let sub = repository.path().join("sub");
        fs::create_dir(sub.join("not committed")).unwrap();
        for (root, end) in [
            (sub.clone(), "x/sub"),
            (sub.join("not committed"), "x/sub/not committed"),
        ] {
            let workspace = Workspace::worktree(&root, "x", false, &CancellationToken::new())
                .await
                .unwrap();
            assert!(
                workspace.root().ends_with(end) && workspace.root().is_dir(),
                "{:?}",
                workspace.root()
            );
            assert_eq!(close(workspace).await, None);
        }
    }

    #[tokio::test]
    async fn many_at_once_do_not_disturb_each_other() {
        let repository = Repository::new();
        let all = futures::future::join_all((0..8).map(|_| repository.worktree("same"))).await;
        let roots: std::collections::BTreeSet<_> =
            all.iter().map(|w| w.root().to_owned()).collect();
        assert_eq!(roots.len(), 8);
        let kept = futures::future::join_all(all.into_iter().map(close)).await;
        assert!(kept.iter().all(Option::is_none), "{kept:?}");
        assert_eq!(repository.worktree_count(), 0);
    }

    #[tokio::test]
    async fn names_cannot_lead_elsewhere() {
        let repository = Repository::new();
        let workspace = repository.worktree("../../-x y/ä").await;
        assert!(
            workspace.root().ends_with(".divisi/worktrees/x-y"),
            "{:?}",
            workspace.root()
        );
        assert_eq!(safe("../.."), "worktree");
    }

    #[tokio::test]
    async fn without_repository_or_commit_the_error_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let problem = async || {
            let error = Workspace::worktree(folder.path(), "x", false, &CancellationToken::new())
                .await
                .unwrap_err();
            (
                error
                    .to_string()
                    .replace(&folder.path().display().to_string(), "DIR"),
                error.hint().unwrap(),
            )
        };
        assert_eq!(
            problem().await,
            (
                "`DIR` is not in a git repository".to_owned(),
                "run `git init` and commit, or leave out `isolation: 'worktree'`"
            )
        );
        git_in(folder.path(), &["init", "--quiet"]);
        assert_eq!(
            problem().await,
            (
                "the git repository of `DIR` has no commit".to_owned(),
                "commit once: a worktree is a checkout of a commit"
            )
        );
        assert!(!folder.path().join(".divisi").exists());
    }
}
