//! The repository that a folder belongs to.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The root of the repository of `folder`: the nearest folder, itself or above, that has a `.git`.
///
/// A `.git` of another user does not count. Otherwise any user with write access to a folder above,
/// such as `/tmp`, could place settings, flows and agents for everyone below.
pub fn repository(folder: &Path) -> Option<&Path> {
    let root = folder
        .ancestors()
        .find(|above| above.join(".git").symlink_metadata().is_ok())?;
    let git = root.join(".git").symlink_metadata().ok()?.uid();
    let owner = folder.metadata().map_or(git, |folder| folder.uid());
    is_ours(git, owner, rustix::process::geteuid().as_raw()).then_some(root)
}

/// The folders from `folder` up to the root of its repository; outside of a repository only
/// `folder` itself.
pub fn up_to_repository(folder: &Path) -> impl Iterator<Item = &Path> {
    let root = repository(folder).unwrap_or(folder);
    folder
        .ancestors()
        .take_while(move |above| above.starts_with(root))
}

/// Whether a `.git` of user `git` counts for `me` in a folder of `owner`. One of root counts: root
/// could do anything anyway.
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
        // In a worktree `.git` is a file.
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
