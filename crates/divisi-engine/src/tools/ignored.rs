//! Files ignored by git, according to its ignore files.
//!
//! Ignore files belong to the repository and are not trusted: they are opened like other files,
//! read up to a limit, and their patterns are bounded before compiling.

use super::git_files;
use super::path::{Place, Root};
use crate::globs;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

/// Most bytes read of one file. The longest known files have a tenth.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Most patterns of one file; compiling them takes longer than reading them.
const PATTERNS_MAX: usize = 2_000;

/// The rules for a folder: from its own file and those of the folders above.
pub(super) struct Ignored {
    own: Gitignore,
    above: Option<Arc<Self>>,
}

impl Ignored {
    /// The rules for `start` from files above it, up to the top of the repository, or to the root
    /// of the workspace without a repository.
    pub(super) fn above(root: &Root, start: &Place) -> Arc<Self> {
        let real = root.path();
        let top = real.ancestors().find(|folder| folder.join(".git").exists());
        // The exclude file of the clone has the lowest precedence.
        let exclude = top.and_then(|top| git_files::folders(top).pop());
        let exclude = exclude.and_then(|folder| open(&folder.join("info/exclude")));
        let own = exclude.map_or_else(Gitignore::empty, |file| patterns(top.unwrap_or(real), file));
        let mut ignored = Arc::new(Self { own, above: None });
        let mut outside: Vec<&Path> = real
            .ancestors()
            .skip(1)
            .take_while(|folder| top.is_some_and(|top| folder.starts_with(top)))
            .collect();
        outside.reverse();
        for folder in outside {
            if let Some(file) = open(&folder.join(NAME)) {
                ignored = Arc::new(Self {
                    own: patterns(folder, file),
                    above: Some(ignored),
                });
            }
        }
        // The file in `start` itself is read together with that folder.
        let mut folders: Vec<Place> = start.folders().collect();
        folders.reverse();
        for folder in &folders {
            if let Ok(opened) = root.open_folder(folder) {
                ignored = Self::below(&ignored, root, folder, &opened);
            }
        }
        ignored
    }

    /// The rules for `folder`.
    pub(super) fn below(
        above: &Arc<Self>,
        root: &Root,
        folder: &Place,
        opened: &impl AsFd,
    ) -> Arc<Self> {
        match rustix::fs::openat(opened, NAME, FLAGS, Mode::empty()) {
            Ok(file) => {
                let own = patterns(&root.path().join(folder.path()), file.into());
                Arc::new(Self {
                    own,
                    above: Some(above.clone()),
                })
            }
            Err(_) => above.clone(),
        }
    }

    /// Whether an entry is ignored. The nearest file with a matching pattern decides.
    pub(super) fn holds(&self, root: &Root, place: &Place, is_folder: bool) -> bool {
        let path = root.path().join(place.path());
        let mut rules = Some(self);
        while let Some(Self { own, above }) = rules {
            match own.matched(&path, is_folder) {
                ignore::Match::None => rules = above.as_deref(),
                ignore::Match::Ignore(_) => return true,
                ignore::Match::Whitelist(_) => return false,
            }
        }
        false
    }
}

const NAME: &str = ".gitignore";

/// Does not block on a pipe, and follows no link, like git.
const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

fn open(path: &Path) -> Option<File> {
    Some(rustix::fs::open(path, FLAGS, Mode::empty()).ok()?.into())
}

/// The patterns in `file`, for paths below `folder`. Invalid ones ignore nothing.
fn patterns(folder: &Path, file: File) -> Gitignore {
    let mut bytes = Vec::new();
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    if !is_file || file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).is_err() {
        return Gitignore::empty();
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut builder = GitignoreBuilder::new(folder);
    let lines = text
        .trim_start_matches('\u{feff}')
        .lines()
        .filter(|line| globs::bounded(line).is_ok());
    for line in lines.take(PATTERNS_MAX) {
        // Invalid patterns are skipped, as git does.
        let _ = builder.add_line(None, line);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}
