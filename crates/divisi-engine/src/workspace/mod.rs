//! Where an agent works: in the user's folder, or in a copy of its own.
//!
//! A copy is a git worktree at the commit that is checked out, without branch.
//! It begins as committed: changes that are not committed stay where they are.
//! When the agent is done, an unchanged copy is removed and a changed one is
//! kept and reported; bringing its changes home is the flow's business.

mod git;

pub use git::GitError;

use crate::private;
use crate::process::ProcessError;
use git::{change_worktrees, git};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Where worktrees stand, below the root of the workspace.
const FOLDER: &str = ".divisi/worktrees";

/// Longest name of a worktree in bytes; git adds to it in its own files.
const NAME_BYTES_MAX: usize = 80;

/// Names tried for one worktree. More leftovers of the same task than this
/// mean that something else is wrong.
const NAMES_MAX: usize = 100;

/// Changed files that are named; the rest is counted.
const CHANGED_MAX: usize = 200;

/// Where an attempt works.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    worktree: Option<Worktree>,
}

#[derive(Debug)]
struct Worktree {
    /// The root of the worktree, of which the workspace may be a subfolder.
    path: PathBuf,
    /// The commit it began with.
    base: String,
}

/// A worktree that was not removed, because there is work in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where it is.
    pub path: PathBuf,
    /// The files that differ from the commit it began with, sorted.
    pub changed: Vec<String>,
    /// How many there are; `changed` names the first of them.
    pub changed_count: usize,
}

impl Workspace {
    /// The folder itself, together with everybody else.
    pub fn shared(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), worktree: None }
    }

    /// A fresh worktree of the repository that `root` lies in.
    ///
    /// It stands below `root`, under `name` or, if that is taken, under `name`
    /// with a number. Without [`Workspace::close`] it stays there.
    pub async fn worktree(
        root: &Path,
        name: &str,
        cancel: &CancellationToken,
    ) -> Result<Self, WorkspaceError> {
        let no_repository = || WorkspaceError::NoRepository { root: root.to_owned() };
        let no_commit = || WorkspaceError::NoCommit { root: root.to_owned() };
        let prefix = git(root, &["rev-parse", "--show-prefix"], cancel).await;
        let prefix = prefix.map_err(|error| match error.says("not a git repository") {
            true => no_repository(),
            false => error.into(),
        })?;
        let base = git(root, &["rev-parse", "--verify", "HEAD^{commit}"], cancel).await;
        let base = base.map_err(|error| match error.says("Needed a single revision") {
            true => no_commit(),
            false => error.into(),
        })?;
        let base = base.trim().to_owned();
        let path = reserve(root, &safe(name))?;
        if let Err(error) = check_out(root, &path, &base, cancel).await {
            remove(root, &path).await;
            return Err(error.into());
        }
        let workspace = path.join(prefix.trim_end_matches('\n'));
        // A folder that is not committed yet does not exist in the worktree.
        fs::create_dir_all(&workspace)
            .map_err(|source| WorkspaceError::Folder { path: workspace.clone(), source })?;
        Ok(Self { root: workspace, worktree: Some(Worktree { path, base }) })
    }

    /// The folder that the agent's paths are relative to.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Ends the work here: removes a worktree in which nothing has changed,
    /// keeps and reports one in which something has.
    ///
    /// Files that git ignores do not count as changes. Where git cannot tell,
    /// the worktree stays. To be called after a cancelled attempt too, which
    /// is why it cannot be cancelled itself.
    pub async fn close(self) -> Result<Option<Kept>, WorkspaceError> {
        let Some(Worktree { path, base }) = self.worktree else { return Ok(None) };
        let cancel = &CancellationToken::new();
        let differing = git(&path, &["diff", "--name-only", "--no-renames", "-z", &base], cancel).await?;
        let untracked = git(&path, &["ls-files", "--others", "--exclude-standard", "-z"], cancel).await?;
        let head = git(&path, &["rev-parse", "HEAD"], cancel).await?;
        let files = differing.split('\0').chain(untracked.split('\0')).filter(|file| !file.is_empty());
        let mut changed: Vec<_> = files.map(str::to_owned).collect();
        if changed.is_empty() && head.trim() == base {
            change_worktrees(&path, &["remove", "--force", &path.display().to_string()], cancel).await?;
            return Ok(None);
        }
        changed.sort();
        changed.dedup();
        let changed_count = changed.len();
        changed.truncate(CHANGED_MAX);
        Ok(Some(Kept { path, changed, changed_count }))
    }
}

/// A name that is one folder and no option: everything odd becomes a dash.
fn safe(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = name.chars().take(NAME_BYTES_MAX).map(|c| if is_plain(c) { c } else { '-' }).collect();
    match name.trim_matches('-') {
        "" => "worktree".to_owned(),
        name => name.to_owned(),
    }
}

/// Creates an empty folder that nobody else has.
fn reserve(root: &Path, name: &str) -> Result<PathBuf, WorkspaceError> {
    let folder = root.join(FOLDER);
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| WorkspaceError::Folder { path, source }
    };
    // A repository can hold links of these names, which would lead checkouts elsewhere.
    for path in folder.ancestors().take_while(|path| *path != root) {
        if path.is_symlink() {
            return Err(fail(path)(io::Error::other("it is a link")));
        }
    }
    // Worktrees hold what agents have made of the files.
    private::folder(&folder).map_err(fail(&folder))?;
    // Keeps git from showing the worktrees as files of the repository.
    let ignore = folder.join(".gitignore");
    match File::create_new(&ignore).and_then(|mut file| file.write_all(b"*\n")) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fail(&ignore)(error)),
        Ok(()) | Err(_) => {}
    }
    let names = (1..=NAMES_MAX).map(|n| if n == 1 { name.to_owned() } else { format!("{name}-{n}") });
    for path in names.map(|name| folder.join(name)) {
        match fs::create_dir(&path) {
            Ok(()) => return path.canonicalize().map_err(fail(&path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(fail(&path)(error)),
        }
    }
    Err(WorkspaceError::Crowded { folder, name: name.to_owned() })
}

/// Makes the folder at `path` a worktree of `base`. The files are written by a
/// command of their own, which many worktrees can do at the same time.
async fn check_out(root: &Path, path: &Path, base: &str, cancel: &CancellationToken) -> Result<(), GitError> {
    let text = path.display().to_string();
    change_worktrees(root, &["add", "--no-checkout", "--detach", &text, base], cancel).await?;
    git(path, &["reset", "--hard", "--quiet"], cancel).await?;
    Ok(())
}

/// Takes away what a failed checkout has left, as far as possible: the
/// failure itself is what the caller must hear about.
async fn remove(root: &Path, path: &Path) {
    let _ = fs::remove_dir_all(path);
    let _ = change_worktrees(root, &["prune"], &CancellationToken::new()).await;
}

/// Why there is no workspace, or why it could not be closed.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
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
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoRepository { .. } => {
                Some("run `git init` and commit, or leave out `isolation: 'worktree'`")
            }
            Self::NoCommit { .. } => Some("commit once: a worktree is a checkout of a commit"),
            Self::Crowded { .. } => Some("take what you need from them, then `git worktree remove` them"),
            Self::Git(GitError::Process(ProcessError::NotFound { .. })) => Some("install git"),
            Self::Folder { .. } | Self::Git(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    struct Repository(tempfile::TempDir);

    impl Repository {
        /// A repository with one commit of `a`, `sub/b` and an ignore rule.
        fn new() -> Self {
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

        fn path(&self) -> &Path {
            self.0.path()
        }

        fn git(&self, args: &[&str]) -> String {
            git_in(self.path(), args)
        }

        async fn worktree(&self, name: &str) -> Workspace {
            Workspace::worktree(self.path(), name, &CancellationToken::new()).await.unwrap()
        }

        fn worktree_count(&self) -> usize {
            self.git(&["worktree", "list"]).lines().count() - 1
        }
    }

    fn git_in(folder: &Path, args: &[&str]) -> String {
        let identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"];
        let output = Command::new("git").args(identity).args(args).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    async fn close(workspace: Workspace) -> Option<Kept> {
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
        assert_eq!(fs::read_to_string(repository.path().join("a")).unwrap(), "a\n");
        assert_eq!(repository.git(&["status", "--porcelain"]), "");
    }

    #[tokio::test]
    async fn a_commit_is_a_change_even_an_empty_one() {
        let repository = Repository::new();
        let (with_file, empty) = (repository.worktree("with-file").await, repository.worktree("empty").await);
        fs::write(with_file.root().join("a"), "changed").unwrap();
        git_in(with_file.root(), &["commit", "--quiet", "-a", "-m", "second"]);
        git_in(empty.root(), &["commit", "--quiet", "--allow-empty", "-m", "second"]);
        assert_eq!(close(with_file).await.unwrap().changed, ["a"]);
        assert_eq!(close(empty).await.unwrap().changed, [""; 0]);
    }

    #[tokio::test]
    async fn a_subfolder_of_the_repository_stays_the_root() {
        let repository = Repository::new();
        let sub = repository.path().join("sub");
        fs::create_dir(sub.join("not committed")).unwrap();
        for (root, end) in [(sub.clone(), "x/sub"), (sub.join("not committed"), "x/sub/not committed")] {
            let workspace = Workspace::worktree(&root, "x", &CancellationToken::new()).await.unwrap();
            assert!(workspace.root().ends_with(end) && workspace.root().is_dir(), "{:?}", workspace.root());
            assert_eq!(close(workspace).await, None);
        }
    }

    #[tokio::test]
    async fn many_at_once_do_not_disturb_each_other() {
        let repository = Repository::new();
        let all = futures::future::join_all((0..8).map(|_| repository.worktree("same"))).await;
        let roots: std::collections::BTreeSet<_> = all.iter().map(|w| w.root().to_owned()).collect();
        assert_eq!(roots.len(), 8);
        let kept = futures::future::join_all(all.into_iter().map(close)).await;
        assert!(kept.iter().all(Option::is_none), "{kept:?}");
        assert_eq!(repository.worktree_count(), 0);
    }

    #[tokio::test]
    async fn names_cannot_lead_elsewhere() {
        let repository = Repository::new();
        let workspace = repository.worktree("../../-x y/ä").await;
        assert!(workspace.root().ends_with(".divisi/worktrees/x-y"), "{:?}", workspace.root());
        assert_eq!(safe("../.."), "worktree");
    }

    #[tokio::test]
    async fn without_repository_or_commit_the_error_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let problem = async || {
            let error = Workspace::worktree(folder.path(), "x", &CancellationToken::new()).await.unwrap_err();
            (error.to_string().replace(&folder.path().display().to_string(), "DIR"), error.hint().unwrap())
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
