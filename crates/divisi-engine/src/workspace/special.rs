//! Finds special files in a repository that would block git.
//!
//! Git opens its own files by name: settings, attributes, excludes, refs, indexes, objects. If one
//! of them is a pipe, as may be in a folder that was unpacked or changed by an agent, git waits for
//! a writer; if one is a link to a device, it reads without end. So git's folder is searched for
//! such files before git is started. Settings can lead git elsewhere, too; then the time limit of
//! the command applies.

use super::WorkspaceError;
use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Most entries examined. Beyond it the time limit of the command applies.
const ENTRIES_MAX: usize = 1_000_000;

/// Longest file with the path of git's folder.
const POINTER_BYTES_MAX: u64 = 64 * 1024;

/// Files that git reads in every folder of the working tree.
const AMONG_FILES: [&str; 3] = [".gitattributes", ".gitignore", ".gitmodules"];

/// Fails if git, run in `root`, would read a special file in its own folders.
pub(super) async fn refuse_in_repository(root: &Path) -> Result<(), WorkspaceError> {
    look(root, |root| {
        let git = root
            .ancestors()
            .map(|above| above.join(".git"))
            .find(|git| exists(git))?;
        found_at(&git).or_else(|| {
            folders_of(&git)
                .iter()
                .find_map(|folder| found_below(folder, |_| true))
        })
    })
    .await
}

/// Fails if git would read a special file among the files at `root`.
pub(super) async fn refuse_among_files(root: &Path) -> Result<(), WorkspaceError> {
    look(root, |root| {
        found_below(root, |name| AMONG_FILES.iter().any(|known| name == *known))
    })
    .await
}

async fn look(
    root: &Path,
    look: impl FnOnce(&Path) -> Option<PathBuf> + Send + 'static,
) -> Result<(), WorkspaceError> {
    let root = root.to_owned();
    // A panic counts as nothing found.
    let found = tokio::task::spawn_blocking(move || look(&root))
        .await
        .ok()
        .flatten();
    found.map_or(Ok(()), |path| Err(WorkspaceError::Special { path }))
}

/// Git's folder for these files, and the common one for all worktrees if that is another.
fn folders_of(git: &Path) -> Vec<PathBuf> {
    let pointed = |file: &Path, before: &str| {
        let said = divisi_files::text(divisi_files::read(file, POINTER_BYTES_MAX).ok()?).ok()?;
        Some(
            file.parent()?
                .join(said.trim_end_matches('\n').strip_prefix(before)?),
        )
    };
    let own = match git.is_dir() {
        true => Some(git.to_owned()),
        false => pointed(git, "gitdir: "),
    };
    let common = own
        .as_deref()
        .and_then(|own| pointed(&own.join("commondir"), ""));
    own.into_iter().chain(common).collect()
}

/// The first entry below `folder` that `asked` selects and that is neither a file nor a folder,
/// also after following a link. Links to folders are not followed.
fn found_below(folder: &Path, asked: impl Fn(&OsStr) -> bool) -> Option<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut entries = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            entries += 1;
            if entries > ENTRIES_MAX {
                return None;
            }
            // The type comes with the listing, so most entries need no further call.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if !kind.is_file() && asked(&entry.file_name()) => {
                    if let Some(found) = found_at(&entry.path()) {
                        return Some(found);
                    }
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
    None
}

fn found_at(path: &Path) -> Option<PathBuf> {
    fs::metadata(path)
        .is_ok_and(|there| is_special(there.file_type()))
        .then(|| path.to_owned())
}

/// Sockets do not block: opening one fails at once, and git's own file monitor has one there.
fn is_special(kind: FileType) -> bool {
    kind.is_fifo() || kind.is_char_device() || kind.is_block_device()
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Repository, close};
    use super::super::{Workspace, WorkspaceError};
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use tokio_util::sync::CancellationToken;

    fn pipe(path: &Path) {
        let _ = fs::remove_file(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }

    async fn copy(root: &Path) -> Result<Workspace, WorkspaceError> {
        Workspace::worktree(root, "x", false, &CancellationToken::new()).await
    }

    #[tokio::test]
    async fn a_pipe_in_the_place_of_a_file_of_gits_is_named_and_not_waited_for() {
        for name in [
            "info/attributes",
            "info/exclude",
            "info/sparse-checkout",
            "config",
            "config.worktree",
            "HEAD",
            "index",
            "packed-refs",
            "shallow",
            "refs/heads/odd",
            "objects/info/alternates",
            "objects/00/000000",
        ] {
            let repository = Repository::new();
            let path = repository
                .path()
                .canonicalize()
                .unwrap()
                .join(".git")
                .join(name);
            pipe(&path);
            let error = copy(
                &path
                    .ancestors()
                    .find(|above| above.join(".git").exists())
                    .unwrap()
                    .join("sub"),
            )
            .await
            .unwrap_err();
            assert!(
                matches!(&error, WorkspaceError::Special { path: found } if *found == path),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn links_to_devices_and_a_git_that_is_a_pipe_are_refused_too() {
        let repository = Repository::new();
        let attributes = repository.path().join(".git/info/attributes");
        fs::create_dir_all(attributes.parent().unwrap()).unwrap();
        symlink("/dev/zero", &attributes).unwrap();
        let error = copy(repository.path()).await.unwrap_err();
        assert!(matches!(error, WorkspaceError::Special { .. }), "{error}");
        let folder = tempfile::tempdir().unwrap();
        pipe(&folder.path().join(".git"));
        let error = copy(folder.path()).await.unwrap_err();
        assert!(matches!(error, WorkspaceError::Special { .. }), "{error}");
        // Files that git does not open for reading may be anything, and a link to a regular file is
        // allowed.
        let repository = Repository::new();
        symlink("../a", repository.path().join(".git/info/attributes")).unwrap();
        assert_eq!(close(copy(repository.path()).await.unwrap()).await, None);
    }

    #[tokio::test]
    async fn a_pipe_that_an_agent_leaves_keeps_its_copy() {
        for name in [".gitattributes", "sub/.gitignore"] {
            let repository = Repository::new();
            let copy = copy(repository.path()).await.unwrap();
            let root = copy.root().to_owned();
            pipe(&root.join(name));
            let error = copy.close().await.unwrap_err();
            assert!(matches!(error, WorkspaceError::Special { .. }), "{error}");
            assert!(root.join("a").exists());
        }
    }
}
