//! Unusual repositories: each gives a copy that git accepts as its own, or a refusal, and does not
//! change by a single byte.

use super::tests::{Repository, close, git_in};
use super::*;
use crate::process::Program;
use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};

/// A repository, and the folder in it to be copied.
struct Odd {
    /// The parent of everything that must not change.
    all: Repository,
    root: PathBuf,
}

impl Odd {
    /// The root of a repository, after `change`.
    fn new(change: impl FnOnce(&Repository)) -> Self {
        let all = Repository::new();
        change(&all);
        let root = all.path().to_owned();
        Self { all, root }
    }

    fn at(self, folder: impl AsRef<Path>) -> Self {
        Self {
            root: self.all.path().join(folder),
            ..self
        }
    }

    async fn copy(&self) -> Result<Workspace, WorkspaceError> {
        Workspace::worktree(&self.root, "x", false, &CancellationToken::new()).await
    }

    /// All files and links, except those of divisi.
    fn state(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut state = BTreeMap::new();
        collect(self.all.path(), &mut state);
        state
    }
}

fn collect(folder: &Path, state: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            if !path.ends_with(".divisi") {
                collect(&path, state);
            }
        } else {
            let bytes = match metadata.is_symlink() {
                true => fs::read_link(&path).unwrap().into_os_string().into_vec(),
                false => fs::read(&path).unwrap(),
            };
            state.insert(path, (metadata.permissions().mode(), bytes));
        }
    }
}

/// A submodule `mod`, from the repository `inner`.
fn with_submodule(all: &Repository) {
    let inner = all.path().join("inner");
    fs::create_dir(&inner).unwrap();
    git_in(&inner, &["init", "--quiet"]);
    // Named like one of git's own files, which must not be overwritten.
    fs::write(inner.join("description"), "tracked\n").unwrap();
    fs::write(inner.join("a"), "a\n").unwrap();
    git_in(&inner, &["add", "."]);
    git_in(&inner, &["commit", "--quiet", "-m", "inner"]);
    let url = inner.display().to_string();
    all.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        &url,
        "mod",
    ]);
    all.git(&["commit", "--quiet", "-m", "with a submodule"]);
}

fn set(all: &Repository, name: &str, value: &str) {
    all.git(&["config", name, value]);
}

/// A hook or monitor that must not run: it leaves a file behind.
fn trap(all: &Repository, path: &str) -> String {
    let path = all.path().join(path);
    fs::write(
        &path,
        format!(
            "#!/bin/sh\ntouch '{}'\nexit 1\n",
            all.path().join("RAN").display()
        ),
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// All repositories, with what is unusual about each.
fn all_kinds() -> Vec<(&'static str, Odd)> {
    let name = |bytes: &[u8]| {
        let name = PathBuf::from(OsStr::from_bytes(bytes));
        let odd = Odd::new(|all| {
            let at = all.path().join(&name);
            fs::create_dir(&at).unwrap();
            git_in(&at, &["init", "--quiet"]);
            fs::write(at.join("a"), "a\n").unwrap();
            git_in(&at, &["add", "."]);
            git_in(&at, &["commit", "--quiet", "-m", "first"]);
            // A checkout at the wrong place would overwrite this.
            fs::write(at.join("a"), "hours of work\n").unwrap();
        });
        odd.at(&name)
    };
    vec![
        (
            "work that is not committed",
            Odd::new(|all| {
                fs::write(all.path().join("a"), "staged\n").unwrap();
                all.git(&["add", "a"]);
                fs::write(all.path().join("a"), "hours of work\n").unwrap();
                fs::write(all.path().join("untracked"), "").unwrap();
                fs::remove_file(all.path().join("sub/b")).unwrap();
            }),
        ),
        (
            "hooks that fail, a monitor, an index that is locked",
            Odd::new(|all| {
                for hook in [
                    "post-checkout",
                    "reference-transaction",
                    "post-index-change",
                    "pre-commit",
                ] {
                    trap(all, &format!(".git/hooks/{hook}"));
                }
                set(all, "core.fsmonitor", &trap(all, "monitor"));
                fs::write(all.path().join(".git/index.lock"), "").unwrap();
            }),
        ),
        (
            "hooks of the settings",
            Odd::new(|all| {
                fs::create_dir(all.path().join("hooks")).unwrap();
                trap(all, "hooks/post-checkout");
                set(all, "core.hooksPath", "hooks");
            }),
        ),
        (
            "a detached head",
            Odd::new(|all| _ = all.git(&["checkout", "--quiet", "--detach"])),
        ),
        (
            "a branch ahead of main",
            Odd::new(|all| {
                all.git(&["checkout", "--quiet", "-b", "feature"]);
                all.git(&["commit", "--quiet", "--allow-empty", "-m", "second"]);
            }),
        ),
        (
            "a sparse checkout",
            Odd::new(|all| {
                _ = all.git(&["sparse-checkout", "set", "--no-cone", "/a", "/.gitignore"]);
            }),
        ),
        (
            "core.worktree",
            Odd::new(|all| set(all, "core.worktree", &all.path().display().to_string())),
        ),
        (
            "core.worktree, relative, and settings for each worktree",
            Odd::new(|all| {
                set(all, "core.worktree", "..");
                set(all, "extensions.worktreeConfig", "true");
                fs::write(all.path().join("a"), "hours of work\n").unwrap();
            }),
        ),
        (
            "core.worktree and settings for each worktree",
            Odd::new(|all| {
                set(all, "core.worktree", &all.path().display().to_string());
                set(all, "extensions.worktreeConfig", "true");
                fs::write(all.path().join("a"), "hours of work\n").unwrap();
            }),
        ),
        ("a submodule", Odd::new(with_submodule).at("mod")),
        (
            "a submodule with settings for each worktree",
            Odd::new(|all| {
                with_submodule(all);
                git_in(
                    &all.path().join("mod"),
                    &["config", "extensions.worktreeConfig", "true"],
                );
                fs::write(all.path().join("mod/a"), "hours of work\n").unwrap();
            })
            .at("mod"),
        ),
        ("a repository with a submodule", Odd::new(with_submodule)),
        (
            "a worktree",
            Odd::new(|all| {
                all.git(&["worktree", "add", "--quiet", "-b", "side", "other"]);
                fs::write(all.path().join("other/a"), "hours of work\n").unwrap();
            })
            .at("other"),
        ),
        (
            "a worktree of a bare repository",
            Odd::new(|all| {
                all.git(&["clone", "--quiet", "--bare", ".", "bare"]);
                git_in(
                    &all.path().join("bare"),
                    &["worktree", "add", "--quiet", "--detach", "../other"],
                );
            })
            .at("other"),
        ),
        (
            "a worktree of a bare repository with settings for each",
            Odd::new(|all| {
                all.git(&["clone", "--quiet", "--bare", ".", "bare"]);
                let bare = all.path().join("bare");
                git_in(
                    &bare,
                    &["worktree", "add", "--quiet", "--detach", "../other"],
                );
                git_in(&bare, &["config", "extensions.worktreeConfig", "true"]);
                fs::write(
                    bare.join("worktrees/other/config.worktree"),
                    "[core]\n\tbare = false\n",
                )
                .unwrap();
            })
            .at("other"),
        ),
        (
            "a `.git` that is a file",
            Odd::new(|all| {
                all.git(&[
                    "clone",
                    "--quiet",
                    "--separate-git-dir",
                    "elsewhere",
                    ".",
                    "here",
                ]);
            })
            .at("here"),
        ),
        (
            "a shallow clone",
            Odd::new(|all| {
                all.git(&["commit", "--quiet", "--allow-empty", "-m", "second"]);
                let url = format!("file://{}", all.path().display());
                all.git(&["clone", "--quiet", "--depth", "1", &url, "shallow"]);
            })
            .at("shallow"),
        ),
        (
            "a copy within a copy",
            Odd::new(|all| {
                fs::create_dir_all(all.path().join("ours/.divisi/worktrees")).unwrap();
                all.git(&[
                    "worktree",
                    "add",
                    "--quiet",
                    "--detach",
                    "ours/.divisi/worktrees/t",
                ]);
            })
            .at("ours/.divisi/worktrees/t"),
        ),
        (
            "an entry of a disk that is not mounted",
            Odd::new(|all| {
                all.git(&["worktree", "add", "--quiet", "--detach", "disk"]);
                fs::remove_dir_all(all.path().join("disk")).unwrap();
            }),
        ),
        ("a name with blanks", name(b"my project ")),
        ("a name with line breaks", name(b"a\nb\n")),
        ("a name that is no UTF-8", name(b"caf\xe9")),
    ]
}

#[tokio::test]
async fn a_copy_is_what_git_takes_it_for_and_the_repository_stays_as_it_is() {
    futures::future::join_all(
        all_kinds()
            .into_iter()
            .map(|(what, odd)| stays_as_it_is(what, odd)),
    )
    .await;
}

async fn stays_as_it_is(what: &str, odd: Odd) {
    let before = odd.state();
    let copy = odd
        .copy()
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let path = copy.worktree.as_ref().unwrap().path.clone();
    assert!(
        path.starts_with(odd.root.canonicalize().unwrap().join(".divisi/worktrees")),
        "{what}"
    );
    let top = Program::new("git")
        .args(["rev-parse", "--show-toplevel"])
        .cwd(copy.root());
    let top = top
        .run(&CancellationToken::new())
        .await
        .unwrap()
        .stdout
        .exact();
    assert_eq!(Path::new(&line(top)), path, "{what}");
    assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "a\n", "{what}");
    fs::write(copy.root().join("made"), "").unwrap();
    let kept = close(copy)
        .await
        .unwrap_or_else(|| panic!("{what}: work was thrown away"));
    assert_eq!(kept.changed, ["made"], "{what}");
    let args = [
        OsStr::new("remove"),
        OsStr::new("--force"),
        kept.path.as_os_str(),
    ];
    change_worktrees(&odd.root, &args, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(close(odd.copy().await.unwrap()).await, None, "{what}");
    assert!(
        !odd.all.path().join("RAN").exists(),
        "{what}: a program of the repository ran"
    );
    let after = odd.state();
    let differing = before
        .iter()
        .filter(|(path, state)| after.get(*path) != Some(state));
    let differing: Vec<_> = differing.map(|(path, _)| path).collect();
    assert_eq!((differing, after.len()), (vec![], before.len()), "{what}");
}

#[tokio::test]
async fn what_has_no_copy_is_refused_and_stays_as_it_is() {
    let filter = |all: &Repository| {
        fs::write(all.path().join(".gitattributes"), "a filter=evil\n").unwrap();
        set(all, "filter.evil.smudge", &trap(all, "smudge"));
    };
    let refusals = [
        (
            "bare",
            Odd::new(|all| _ = all.git(&["clone", "--quiet", "--bare", ".", "bare"])).at("bare"),
        ),
        ("git's own folder", Odd::new(|_| {}).at(".git")),
        (
            "core.worktree elsewhere",
            Odd::new(|all| {
                fs::create_dir(all.path().join("far")).unwrap();
                set(
                    all,
                    "core.worktree",
                    &all.path().join("far").display().to_string(),
                );
            })
            .at("sub"),
        ),
        ("filter", Odd::new(filter)),
        (
            "link",
            Odd::new(|all| {
                fs::create_dir(all.path().join("elsewhere")).unwrap();
                symlink("elsewhere", all.path().join(".divisi")).unwrap();
            }),
        ),
    ];
    let mut told = vec![];
    for (what, odd) in refusals {
        let before = odd.state();
        let error = odd
            .copy()
            .await
            .err()
            .unwrap_or_else(|| panic!("{what}: a copy"));
        assert!(before == odd.state(), "{what}");
        let shown = error.to_string().replace(
            &odd.all.path().canonicalize().unwrap().display().to_string(),
            "DIR",
        );
        told.push(format!(
            "{what}: {shown}\n  hint: {}\n",
            error.hint().unwrap()
        ));
    }
    insta::assert_snapshot!(told.concat(), @"
    bare: the git repository of `DIR/bare` has no files there: it is bare, or this is its own folder
      hint: start from a worktree of it, or leave out `isolation: 'worktree'`
    git's own folder: the git repository of `DIR/.git` has no files there: it is bare, or this is its own folder
      hint: start from a worktree of it, or leave out `isolation: 'worktree'`
    core.worktree elsewhere: git, run in `DIR/sub`, works on `DIR/far`
      hint: look at `core.worktree` and `core.bare` in the repository's settings, and at the `.git` there
    filter: the settings of the git repository of `DIR` name a program, the filter `evil`, that git would run
      hint: allow it with `--allow run`, or define the filter in your own settings: `git config --global`
    link: `DIR/.divisi` is no folder
      hint: move it away: worktrees of agents stand there
    ");
}

#[tokio::test]
async fn filters_of_the_repository_run_where_programs_may() {
    let odd = Odd::new(|all| {
        fs::write(all.path().join(".gitattributes"), "a filter=up\n").unwrap();
        all.git(&["add", "."]);
        all.git(&["commit", "--quiet", "-m", "filtered"]);
        set(all, "filter.up.smudge", "tr a-z A-Z");
    });
    assert!(matches!(odd.copy().await, Err(WorkspaceError::Filter { name, .. }) if name == "up"));
    let copy = Workspace::worktree(&odd.root, "x", true, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(fs::read_to_string(copy.root().join("a")).unwrap(), "A\n");
}

/// A repository of another user, where the test may make one.
#[tokio::test]
async fn a_repository_of_another_user_is_left_alone_with_advice() {
    let odd = Odd::new(|_| {});
    for path in [odd.all.path().to_owned(), odd.all.path().join(".git")] {
        if std::os::unix::fs::chown(path, Some(65_534), None).is_err() {
            return;
        }
    }
    let error = odd.copy().await.unwrap_err();
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("safe.directory")),
        "{error}"
    );
}

#[tokio::test]
async fn a_deleted_folder_of_copies_is_no_obstacle() {
    let odd = Odd::new(|_| {});
    fs::write(odd.copy().await.unwrap().root().join("made"), "").unwrap();
    fs::remove_dir_all(odd.root.join(".divisi")).unwrap();
    assert_eq!(close(odd.copy().await.unwrap()).await, None);
    assert_eq!(odd.all.worktree_count(), 0);
}

/// An agent that may run commands can do this to its copy. Git's answers are then about the user's
/// files.
#[tokio::test]
async fn a_copy_that_was_taken_away_from_git_is_kept_and_cannot_reach_the_repository() {
    type Deed = fn(&Path, &Repository);
    let deeds: [(&str, Deed); 3] = [
        ("gone", |copy, _| {
            fs::remove_file(copy.join(".git")).unwrap();
        }),
        ("its own", |copy, _| {
            fs::remove_file(copy.join(".git")).unwrap();
            git_in(copy, &["init", "--quiet"]);
        }),
        ("the user's", |copy, all| {
            let git_dir = format!("gitdir: {}\n", all.path().join(".git").display());
            fs::write(copy.join(".git"), git_dir).unwrap();
        }),
    ];
    for (what, deed) in deeds {
        let odd = Odd::new(|all| fs::write(all.path().join("a"), "hours of work\n").unwrap());
        let copy = odd.copy().await.unwrap();
        let root = copy.root().to_owned();
        fs::write(root.join("made"), "").unwrap();
        let before = odd.state();
        deed(&root, &odd.all);
        if what == "gone" {
            let reset = Program::shell("git reset --hard")
                .cwd(&root)
                .run(&CancellationToken::new())
                .await
                .unwrap();
            assert!(
                reset.stderr.text().contains("not a git repository"),
                "{}",
                reset.stderr.text()
            );
        }
        let error = copy.close().await.unwrap_err();
        assert!(root.join("made").exists(), "{what}: {error}");
        assert!(before == odd.state(), "{what}: {error}");
    }
}
