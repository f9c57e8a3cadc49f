//! Where an agent works: in the user's folder, or in a copy of its own.
//!
//! A copy is a git worktree at the commit that is checked out, without branch.
//! It begins as committed: changes that are not committed, files that git does
//! not know and the files of submodules are not in it. When the agent is done,
//! an unchanged copy is removed and a changed one is kept and reported; bringing
//! its changes home is the flow's business.
//!
//! Of the user's repository nothing changes but the list of its worktrees.

mod git;
mod repository;
mod special;

pub(crate) use git::GitError;

use crate::copies::FOLDER;
use crate::private;
use git::{change_worktrees, git, line, words};
use repository::{Seen, agree, commit_of, place_of, refuse_filters, still_agrees};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Longest name of a worktree in bytes; git adds to it in its own files.
const NAME_BYTES_MAX: usize = 80;

/// Names tried for one worktree. More leftovers of the same task than this
/// mean that something else is wrong.
const NAMES_MAX: usize = 100;

/// Changed files that are named; the rest is counted.
const CHANGED_MAX: usize = 200;

/// Where an attempt works.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    worktree: Option<Worktree>,
}

#[derive(Debug)]
struct Worktree {
    /// The folder that it was made for.
    of: PathBuf,
    /// The root of the worktree, of which the workspace may be a subfolder.
    path: PathBuf,
    /// The commit it began with.
    base: String,
    /// What git takes it for.
    seen: Seen,
}

/// A worktree that was not removed, because there is work in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Where it is.
    pub path: PathBuf,
    /// The commit it began with.
    pub base: String,
    /// The files that differ from the commit it began with, sorted.
    pub changed: Vec<String>,
    /// How many there are; `changed` names the first of them.
    pub changed_count: usize,
}

impl Workspace {
    /// The folder itself, together with everybody else.
    pub(crate) fn shared(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            worktree: None,
        }
    }

    /// A fresh worktree of the repository that `root` lies in.
    ///
    /// It stands below `root`, under `name` or, if that is taken, under `name`
    /// with a number. Without [`Workspace::close`] it stays there. Only where
    /// `programs` may run, filters run that the repository's own settings name.
    ///
    /// Nothing is written where git takes another folder for the repository's
    /// files, and no file is checked out before git takes the worktree for its own.
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
        // A folder that is not committed yet does not exist in the worktree.
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

    /// Whether it is the folder itself, in which nothing is to be tidied up.
    pub(crate) fn is_shared(&self) -> bool {
        self.worktree.is_none()
    }

    /// Ends the work here: removes a worktree in which nothing has changed,
    /// keeps and reports one in which something has.
    ///
    /// Files that git ignores do not count as changes. Where git cannot tell,
    /// the worktree stays. To be called after a cancelled attempt too, which
    /// is why it cannot be cancelled itself.
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
        // An agent can have taken the worktree away from git: then what git says
        // below would be of the user's own files.
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

/// The files in the worktree at `path` that differ from the commit `base`.
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

/// A name that is one folder and no option: everything odd becomes a dash.
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

/// Creates an empty folder that nobody else has.
fn reserve(root: &Path, name: &str) -> Result<PathBuf, WorkspaceError> {
    let mut folder = root.to_owned();
    for part in FOLDER {
        folder.push(part);
        real_folder(&folder)?;
    }
    // Keeps git from showing the worktrees as files of the repository.
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

/// Makes sure that there is a folder at `path`. A link there, which a repository
/// can contain, would let the copies stand anywhere.
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
        // The copies hold what agents have made of the files.
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

/// Makes the folder at `path` a worktree of `base`. The files are written by a
/// command of their own, which many worktrees can do at the same time, and only
/// once git takes the folder for that worktree.
async fn check_out(
    root: &Path,
    path: &Path,
    base: &str,
    cancel: &CancellationToken,
) -> Result<Seen, WorkspaceError> {
    // The folder is new. An entry of the same path, which `--force` replaces, is of
    // one that somebody has deleted.
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

/// Takes away what a failed checkout has left, as far as possible: the
/// failure itself is what the caller must hear about. Other entries of the list,
/// such as one on a disk that is not mounted now, are the user's.
async fn remove(root: &Path, path: &Path) {
    let args = [
        OsStr::new("remove"),
        OsStr::new("--force"),
        path.as_os_str(),
    ];
    let _ = change_worktrees(root, &args, &CancellationToken::new()).await;
    let _ = fs::remove_dir_all(path);
}

/// Why there is no workspace, or why it could not be closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkspaceError {
    /// Worktrees need a repository.
    #[error("`{}` is not in a git repository", root.display())]
    NoRepository {
        /// The folder.
        root: PathBuf,
    },
    /// Worktrees need something to check out.
    #[error("the git repository of `{}` has no commit", root.display())]
    NoCommit {
        /// The folder.
        root: PathBuf,
    },
    /// There are no files to copy.
    #[error("the git repository of `{}` has no files there: it is bare, or this is its own folder", root.display())]
    NoFiles {
        /// The folder.
        root: PathBuf,
    },
    /// A command there would work on other files.
    #[error("git, run in `{}`, works on `{}`", folder.display(), top.display())]
    Elsewhere {
        /// The folder.
        folder: PathBuf,
        /// What git takes for it.
        top: PathBuf,
    },
    /// A checkout would run a program of the repository.
    #[error("the settings of the git repository of `{}` name a program, the filter `{name}`, that a checkout would run", root.display())]
    Filter {
        /// The folder.
        root: PathBuf,
        /// The filter.
        name: String,
    },
    /// Git would wait for what stands in the place of one of its files.
    #[error("`{}` is no regular file: git would wait for it without end", path.display())]
    Special {
        /// What it is.
        path: PathBuf,
    },
    /// Worktrees would not stand where they belong.
    #[error("`{}` is no folder", path.display())]
    NoFolder {
        /// What is a link or a file.
        path: PathBuf,
    },
    /// Too many worktrees have been left under one name.
    #[error("`{}` holds {NAMES_MAX} worktrees named `{name}`", folder.display())]
    Crowded {
        /// Where they stand.
        folder: PathBuf,
        /// What they are named.
        name: String,
    },
    /// A folder or file could not be made.
    #[error("`{}` could not be created", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl WorkspaceError {
    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
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
        // Build output is no change.
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
