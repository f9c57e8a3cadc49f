//! Paths that tools do not write to, because they decide over rights, money and programs.
//!
//! Three kinds are protected. Some names at any depth, because programs look for them there: the
//! files of git, settings and agents of divisi and of Claude Code, MCP servers, direnv's
//! environment. The folders of saved flows. And single files in use by a run, wherever they are:
//! its flow and those it calls, its plan, the store, settings, framing, executor programs of the
//! settings.
//!
//! An agent that could write there could extend its own rights, now, at the next resume or in the
//! next run. Not protected are the project's own programs, such as its tests and what checks run:
//! agents are meant to change these.
//!
//! The resolved path counts, not its spelling: links are followed first, and existing files are
//! also compared by identity, which covers hard links and file systems that accept several
//! spellings of a name.

use super::git_files;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Names that tools do not write to, at any depth.
pub(crate) const NAMES: [&str; 11] = [
    ".git",
    ".divisi",
    ".claude",
    ".codex",
    ".gemini",
    ".opencode",
    "opencode.json",
    "opencode.jsonc",
    "divisi.toml",
    ".mcp.json",
    ".envrc",
];

/// Files and folders in use by a run. Clones share the set.
#[derive(Clone, Debug, Default)]
pub struct Protected(Arc<RwLock<BTreeSet<PathBuf>>>);

impl Protected {
    /// Protects the file or folder at `path` from now on. It need not exist; a relative path is
    /// based on the current folder.
    pub fn add(&self, path: impl AsRef<Path>) {
        let Ok(path) = std::path::absolute(path) else {
            return;
        };
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path);
    }

    /// The protected files and folders, absolute: as they were named, and without links.
    pub(crate) fn paths(&self) -> BTreeSet<PathBuf> {
        let paths = self.0.read().unwrap_or_else(PoisonError::into_inner);
        paths
            .iter()
            .flat_map(|path| [path.clone(), real(path)])
            .collect()
    }

    /// Protects the files by which git runs programs, if `workspace` is in a repository.
    pub(crate) fn add_git(&self, workspace: &Path) {
        let Some(top) = workspace
            .ancestors()
            .find(|folder| folder.join(".git").exists())
        else {
            return;
        };
        git_files::folders(top)
            .into_iter()
            .chain(git_files::hooks(top))
            .for_each(|path| self.add(path));
    }

    /// Why writing to `place`, a path below `root` without links, is refused, in words for the
    /// model; `None` if it is allowed.
    pub(super) fn why(&self, root: &Path, place: &Path) -> Option<String> {
        let whole = root.join(place);
        if let Some(name) = named(root, place) {
            return Some(format!("`{}` decides what programs may do", name.display()));
        }
        let steps: Vec<_> = whole
            .ancestors()
            .take_while(|step| *step != root)
            .filter_map(identity)
            .collect();
        let protected = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let is_held = |path: &PathBuf| {
            let there = path.metadata().ok().map(|there| (there.dev(), there.ino()));
            if there.is_some_and(|there| steps.contains(&there)) {
                return true;
            }
            let real = real(path);
            // If a protected folder contains the whole workspace, its own flows are beside the
            // workspace.
            leads_below(&real, &whole) && !root.starts_with(&real)
        };
        protected
            .iter()
            .any(is_held)
            .then(|| "it decides over runs and what they may do".to_owned())
    }
}

/// The first component of `place` with a protected name, in any spelling.
fn named<'p>(root: &Path, place: &'p Path) -> Option<&'p OsStr> {
    let mut folder = root.to_owned();
    for step in place {
        let there = identity(&folder.join(step));
        let is_same = |name: &&str| {
            alike(step, OsStr::new(name))
                || (there.is_some() && identity(&folder.join(name)) == there)
        };
        if NAMES.iter().any(is_same) {
            return Some(step);
        }
        folder.push(step);
    }
    None
}

/// Identifies a file or folder regardless of its name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata()
        .ok()
        .map(|there: Metadata| (there.dev(), there.ino()))
}

/// Whether `path` is `folder` or below it, on a file system that may ignore case.
fn leads_below(folder: &Path, path: &Path) -> bool {
    let mut steps = path.iter();
    folder
        .iter()
        .all(|step| steps.next().is_some_and(|other| alike(step, other)))
}

/// Whether some file system treats two names as equal: without regard to case, or to invisible
/// characters.
fn alike(a: &OsStr, b: &OsStr) -> bool {
    a == b || folded(a) == folded(b)
}

fn folded(name: &OsStr) -> String {
    let is_seen = |c: &char| !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    name.to_string_lossy()
        .chars()
        .filter(is_seen)
        .flat_map(char::to_lowercase)
        .collect()
}

/// Resolves the existing part of the path.
fn real(path: &Path) -> PathBuf {
    let mut missing = vec![];
    let mut existing = path.to_owned();
    loop {
        match existing.canonicalize() {
            Ok(mut real) => {
                real.extend(missing.iter().rev());
                return real;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return path.to_owned(),
        }
        match existing.file_name() {
            Some(name) => missing.push(name.to_owned()),
            None => return path.to_owned(),
        }
        existing.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn refused(protected: &Protected, root: &Path, place: &str) -> bool {
        protected
            .why(&root.canonicalize().unwrap(), Path::new(place))
            .is_some()
    }

    #[test]
    fn what_gives_rights_is_not_writable() {
        let folder = tempfile::tempdir().unwrap();
        for place in [
            ".git",
            ".git/hooks/pre-commit",
            "a/.git/config",
            ".GIT/config",
            ".g\u{200c}it/config",
            ".divisi/agents/a.md",
            ".claude/settings.json",
            "sub/divisi.toml",
            "Divisi.TOML",
            ".mcp.json",
            "sub/.envrc",
        ] {
            assert!(
                refused(&Protected::default(), folder.path(), place),
                "{place}"
            );
        }
        for place in [
            ".gitignore",
            ".github/workflows/ci.yml",
            "claude.md",
            "flows/a.js",
            "AGENTS.md",
        ] {
            assert!(
                !refused(&Protected::default(), folder.path(), place),
                "{place}"
            );
        }
    }

    #[test]
    fn what_git_does_by_itself_is_protected_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("meta")).unwrap();
        fs::write(root.join(".git"), "gitdir: meta\n").unwrap();
        fs::write(root.join("meta/config"), "[core]\n\thookspath = .husky\n").unwrap();
        let protected = Protected::default();
        protected.add_git(&root.join("sub"));
        for place in [
            ".git",
            "meta/config",
            "meta/hooks/pre-commit",
            ".husky/pre-commit",
        ] {
            assert!(refused(&protected, root, place), "{place}");
        }
        assert!(!refused(&protected, root, "metal"));
    }

    #[test]
    fn what_a_run_has_in_use_is_protected_by_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("flows")).unwrap();
        fs::create_dir_all(root.join("lib")).unwrap();
        fs::write(root.join("flows/f.js"), "").unwrap();
        fs::write(root.join("lib/real.js"), "").unwrap();
        fs::hard_link(root.join("flows/f.js"), root.join("twin.js")).unwrap();
        symlink("../lib/real.js", root.join("flows/link.js")).unwrap();
        let protected = Protected::default();
        protected.add(root.join("flows/f.js"));
        protected.add(root.join("flows/link.js"));
        protected.add(root.join("not/yet.db"));
        for place in [
            "flows/f.js",
            "twin.js",
            "lib/real.js",
            "not/yet.db",
            "not/YET.db",
            "flows/F.js",
        ] {
            assert!(refused(&protected, root, place), "{place}");
        }
        for place in ["flows/g.js", "lib/other.js", "not/yet.db2", "f.js"] {
            assert!(!refused(&protected, root, place), "{place}");
        }
        protected.add(root.join("flows"));
        for place in ["flows", "flows/g.js", "flows/deep/er.js", "Flows/g.js"] {
            assert!(refused(&protected, root, place), "{place}");
        }
        fs::create_dir(root.join("flows/project")).unwrap();
        assert!(!refused(
            &protected,
            &root.join("flows/project"),
            "src/main.rs"
        ));
    }
}
