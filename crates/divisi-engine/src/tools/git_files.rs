//! Finds the files by which git runs programs: hooks and settings.
//!
//! Most are in `.git`, which is protected by name. In a worktree, a submodule or a clone with a
//! separate folder, `.git` is a file with the path of the real folder; and hooks may be anywhere.

use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most bytes read of a git file; the longest settings have a tenth.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// The folders that `.git` in `top` leads to: of this worktree, and of the repository. The first is
/// `.git` itself if it is a folder.
pub(super) fn folders(top: &Path) -> Vec<PathBuf> {
    let git = top.join(".git");
    let own = match read(&git)
        .as_deref()
        .and_then(|text| text.strip_prefix("gitdir:"))
    {
        Some(named) => top.join(named.trim()),
        None => git,
    };
    let common = read(&own.join("commondir")).map(|named| own.join(named.trim()));
    [own].into_iter().chain(common).collect()
}

/// The hooks folder named in the repository's settings, if any.
pub(super) fn hooks(top: &Path) -> Option<PathBuf> {
    let files = folders(top)
        .into_iter()
        .flat_map(|folder| ["config", "config.worktree"].map(|name| folder.join(name)));
    let named = |text: String| {
        let mut values = text.lines().filter_map(|line| line.split_once('='));
        let hooks = values
            .rfind(|(key, _)| key.trim().eq_ignore_ascii_case("hookspath"))?
            .1;
        Some(top.join(hooks.trim().trim_matches('"')))
    };
    files.rev().filter_map(|file| read(&file)).find_map(named)
}

/// Reads a small regular file, without blocking on a pipe.
fn read(path: &Path) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let mut text = String::new();
    let is_file = file.metadata().ok()?.is_file();
    is_file.then(|| {
        file.take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .ok()
            .map(|_| text)
    })?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn folders_and_hooks_are_found_wherever_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        fs::create_dir_all(top.join("meta/worktrees/x")).unwrap();
        fs::write(top.join(".git"), "gitdir: meta/worktrees/x\n").unwrap();
        fs::write(top.join("meta/worktrees/x/commondir"), "../..\n").unwrap();
        fs::write(
            top.join("meta/config"),
            "[core]\n\thooksPath = \"tools/hooks\"\n",
        )
        .unwrap();
        assert_eq!(
            folders(top),
            [
                top.join("meta/worktrees/x"),
                top.join("meta/worktrees/x/../..")
            ]
        );
        assert_eq!(hooks(top), Some(top.join("tools/hooks")));
        assert_eq!(hooks(&top.join("meta")), None);
    }
}
