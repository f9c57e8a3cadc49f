//! Bounded search for files below a folder.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bounds of a search.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Levels of folders.
    pub depth_max: usize,
    /// Entries of all folders together.
    pub entries_max: usize,
}

/// The result of a search.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The files with a wanted name, folder by folder in the order of their names. Not all need be
    /// regular; that is checked when they are read.
    pub files: Vec<PathBuf>,
    /// What was left out, with the reason as a lower-case phrase.
    pub left_out: Vec<(PathBuf, String)>,
}

/// The files below `folder` whose names are `wanted`; none if the folder does not exist.
///
/// Links are followed, each folder is entered once, and with `within` nothing outside of it is
/// found.
pub fn files_below(
    folder: &Path,
    within: Option<&Path>,
    limits: Limits,
    wanted: impl Fn(&OsStr) -> bool,
) -> Files {
    let mut walk = Walk {
        within: None,
        limits,
        wanted,
        seen: BTreeSet::new(),
        entries: 0,
        found: Files::default(),
    };
    let Ok(start) = folder.canonicalize() else {
        return walk.found;
    };
    match within.map(Path::canonicalize).transpose() {
        Ok(within) => walk.within = within,
        Err(error) => {
            walk.leave_out(folder, error.to_string());
            return walk.found;
        }
    }
    if walk.may_be_at(folder, &start) {
        walk.enter(folder, 0);
    }
    walk.found
}

struct Walk<W> {
    within: Option<PathBuf>,
    limits: Limits,
    wanted: W,
    /// Folders already entered, by device and inode.
    seen: BTreeSet<(u64, u64)>,
    entries: usize,
    found: Files,
}

impl<W: Fn(&OsStr) -> bool> Walk<W> {
    fn enter(&mut self, folder: &Path, depth: usize) {
        let names = match self.names(folder) {
            Ok(names) => names,
            Err(error) => return self.leave_out(folder, error.to_string()),
        };
        for name in names {
            let path = folder.join(&name);
            let real = match path.canonicalize() {
                Ok(real) => real,
                Err(error) if (self.wanted)(&name) => {
                    self.leave_out(&path, error.to_string());
                    continue;
                }
                // A dangling link without a wanted name.
                Err(_) => continue,
            };
            if !self.may_be_at(&path, &real) {
                continue;
            }
            match real.is_dir() {
                true if depth + 1 == self.limits.depth_max => {
                    self.leave_out(
                        &path,
                        format!("folders more than {} levels deep are not read", depth + 1),
                    );
                }
                true => self.enter(&path, depth + 1),
                false if (self.wanted)(&name) => self.found.files.push(path),
                false => {}
            }
        }
    }

    /// The names in a folder that was not entered before, up to the limit.
    fn names(&mut self, folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
        let stat = folder.metadata()?;
        if !stat.is_dir() || !self.seen.insert((stat.dev(), stat.ino())) {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            if self.entries == self.limits.entries_max {
                self.leave_out(
                    folder,
                    format!("only {} entries are looked at", self.entries),
                );
                break;
            }
            self.entries += 1;
            names.push(entry?.file_name());
        }
        names.sort();
        Ok(names)
    }

    fn may_be_at(&mut self, path: &Path, real: &Path) -> bool {
        match &self.within {
            Some(within) if !real.starts_with(within) => {
                let reason = format!("it leads out of {}", within.display());
                self.leave_out(path, reason);
                false
            }
            _ => true,
        }
    }

    fn leave_out(&mut self, path: &Path, reason: String) {
        self.found.left_out.push((path.to_owned(), reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    const LIMITS: Limits = Limits {
        depth_max: 3,
        entries_max: 12,
    };

    fn folder(files: &[&str], links: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        for (link, to) in links {
            let path = folder.path().join(link);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(to, path).unwrap();
        }
        folder
    }

    fn found(folder: &tempfile::TempDir, within: Option<&Path>) -> Vec<String> {
        let is_markdown = |name: &OsStr| {
            Path::new(name)
                .extension()
                .is_some_and(|ending| ending == "md")
        };
        let found = files_below(&folder.path().join("a"), within, LIMITS, is_markdown);
        let prefix = format!("{}/", folder.path().display());
        let files = found.files.iter().map(|path| path.display().to_string());
        let left_out = found
            .left_out
            .iter()
            .map(|(path, reason)| format!("{}: {reason}", path.display()));
        files
            .chain(left_out)
            .map(|line| line.replace(&prefix, ""))
            .collect()
    }

    #[test]
    fn files_come_in_the_order_of_their_names_and_links_inside_are_followed() {
        let folder = folder(
            &["a/b.md", "a/a/c.md", "a/x.txt", "more/d.md"],
            &[("a/z", "../more"), ("a/0.md", "b.md")],
        );
        assert_eq!(
            found(&folder, Some(folder.path())),
            ["a/0.md", "a/a/c.md", "a/b.md", "a/z/d.md"]
        );
    }

    #[test]
    fn nothing_outside_is_found_where_a_folder_is_given() {
        let links = [
            ("a/all", "/"),
            ("a/host.md", "/etc/hosts"),
            ("a/self", "."),
            ("a/gone.md", "nothing"),
        ];
        let folder = folder(&["a/b.md"], &links);
        let root = folder.path().canonicalize().unwrap();
        let expected = [
            "a/b.md".to_owned(),
            format!("a/all: it leads out of {}", root.display()),
            "a/gone.md: No such file or directory (os error 2)".to_owned(),
            format!("a/host.md: it leads out of {}", root.display()),
        ];
        assert_eq!(found(&folder, Some(folder.path())), expected);
        assert!(found(&folder, None).contains(&"a/host.md".to_owned()));
    }

    #[test]
    fn the_folder_itself_may_lead_outside_only_where_none_is_given() {
        let elsewhere = folder(&["b.md"], &[]);
        let folder = folder(&[], &[("a", elsewhere.path().to_str().unwrap())]);
        assert!(found(&folder, Some(folder.path()))[0].starts_with("a: it leads out of"));
        assert_eq!(found(&folder, None), ["a/b.md"]);
    }

    #[test]
    fn a_walk_has_an_end() {
        let deep = folder(&["a/1/2/3/4.md", "a/1/2/x.md"], &[("a/1/again", "..")]);
        assert_eq!(
            found(&deep, None),
            [
                "a/1/2/x.md",
                "a/1/2/3: folders more than 3 levels deep are not read"
            ]
        );
        let names: Vec<String> = (0..20).map(|n| format!("a/{n}.md")).collect();
        let wide = folder(&names.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        let found = found(&wide, None);
        assert_eq!(
            (found.len(), &*found[12]),
            (13, "a: only 12 entries are looked at")
        );
    }
}
