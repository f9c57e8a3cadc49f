//! How far above a folder its own files are looked for.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The root of the repository that `folder` lies in: the nearest folder, itself
/// or above, that holds a `.git`.
///
/// A `.git` that belongs to somebody else makes no repository. Otherwise anybody
/// who may write to a folder above, as to `/tmp`, could put settings, flows and
/// agents there for all who work below.
pub fn repository(folder: &Path) -> Option<&Path> {
    let root = folder
        .ancestors()
        .find(|above| above.join(".git").symlink_metadata().is_ok())?;
    let git = root.join(".git").symlink_metadata().ok()?.uid();
    let owner = folder.metadata().map_or(git, |folder| folder.uid());
    is_ours(git, owner, rustix::process::geteuid().as_raw()).then_some(root)
}

/// The folders from `folder` up to the root of its repository; only `folder`
/// itself outside of one.
pub fn up_to_repository(folder: &Path) -> impl Iterator<Item = &Path> {
    let root = repository(folder).unwrap_or(folder);
    folder
        .ancestors()
        .take_while(move |above| above.starts_with(root))
}

/// Whether a `.git` of user `git` counts for `me` in a folder of `owner`. The
/// system's own user could do anything anyway.
fn is_ours(git: u32, owner: u32, me: u32) -> bool {
    git == owner || git == me || git == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_nearest_git_is_the_root_and_without_one_the_folder_is_alone() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("repo/a/b");
        fs::create_dir_all(&deep).unwrap();
        assert_eq!(up_to_repository(&deep).collect::<Vec<_>>(), [&deep]);
        // A worktree has a file of that name.
        fs::write(place.path().join("repo/.git"), "gitdir: elsewhere").unwrap();
        let repo = place.path().join("repo");
        assert_eq!(repository(&deep), Some(&*repo));
        assert_eq!(up_to_repository(&deep).count(), 3);
    }

    #[test]
    fn a_git_of_somebody_else_makes_no_repository() {
        let (me, they) = (1000, 1001);
        assert!(is_ours(me, me, me));
        assert!(is_ours(they, they, me));
        assert!(is_ours(0, me, me));
        assert!(is_ours(me, they, me));
        assert!(!is_ours(they, me, me));
    }
}
