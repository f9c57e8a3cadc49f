//! Lists files below a folder, always in the same order.
//!
//! Folders are opened step by step from the root, following no link, like files: everything listed
//! is in the workspace, even if folders are renamed meanwhile.

use super::ignored::Ignored;
use super::path::{Place, Root};
use super::watch::Watch;
use crate::globs;
use globset::GlobMatcher;
use rustix::fs::FileType;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Most entries examined by one call. A repository of this size is walked within seconds; a larger
/// one has a folder that git should ignore.
const ENTRIES_MAX: usize = 200_000;

/// Deepest nesting of folders. Each is opened from the root, so the number of steps grows with its
/// square; no source tree is nearly as deep.
const DEPTH_MAX: usize = 128;

/// Folders without project files: git's history, and divisi's store with the worktrees of other
/// agents.
const SKIPPED: [&str; 2] = [".git", ".divisi"];

/// The entries below a folder.
#[derive(Default)]
pub(super) struct Walk {
    /// Ordered by name.
    pub(super) entries: Vec<Entry>,
    /// What was left out, for the end of the answer; may be empty.
    pub(super) remarks: String,
}

pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) is_folder: bool,
}

/// An entry to be examined, with the ignore rules of its folder.
struct Open {
    entry: Entry,
    depth: usize,
    ignored: Arc<Ignored>,
}

/// Lists what is below `start`, down to `depth` if given, without what git ignores. Links are left
/// out, because their targets are listed where they are.
///
/// Ignored files can be listed by starting in their folder.
pub(super) fn walk(
    root: &Root,
    start: &Place,
    depth: Option<usize>,
    watch: &Watch,
) -> Result<Walk, String> {
    let depth_max = depth.unwrap_or(DEPTH_MAX).min(DEPTH_MAX);
    let is_folder = root.kind(start).is_ok_and(FileType::is_dir);
    let first = Entry {
        place: start.clone(),
        is_folder,
    };
    let mut open = vec![Open {
        entry: first,
        depth: 0,
        ignored: Ignored::above(root, start),
    }];
    let (mut walk, mut seen, mut unreadable) = (Walk::default(), 0, 0);
    while let Some(Open {
        entry,
        depth,
        ignored,
    }) = open.pop()
    {
        watch.look()?;
        seen += 1;
        if seen > ENTRIES_MAX {
            walk.remarks.push_str(&format!(
                "\n… only the first {ENTRIES_MAX} entries were looked at"
            ));
            break;
        }
        if entry.is_folder && depth < depth_max {
            match children(root, &entry.place, depth, &ignored, watch)? {
                Ok(children) => open.extend(children),
                Err(_) => unreadable += 1,
            }
        } else if entry.is_folder && depth == DEPTH_MAX {
            unreadable += 1;
        }
        if depth > 0 || !entry.is_folder {
            walk.entries.push(entry);
        }
    }
    if unreadable > 0 {
        walk.remarks
            .push_str(&format!("\n… {unreadable} entries could not be read"));
    }
    Ok(walk)
}

/// The entries of a folder in reverse order, for a stack. The outer error stops the call, the inner
/// one says that the folder cannot be read.
fn children(
    root: &Root,
    folder: &Place,
    depth: usize,
    above: &Arc<Ignored>,
    watch: &Watch,
) -> Result<io::Result<Vec<Open>>, String> {
    let opened = match root.open_folder(folder) {
        Ok(opened) => opened,
        Err(error) => return Ok(Err(error)),
    };
    let ignored = Ignored::below(above, root, folder, &opened);
    let names = match names(&opened, watch)? {
        Ok(names) => names,
        Err(error) => return Ok(Err(error)),
    };
    let child = |(name, is_folder): (OsString, bool)| {
        let entry = Entry {
            place: folder.child(&name),
            is_folder,
        };
        (!ignored.holds(root, &entry.place, is_folder)).then(|| Open {
            entry,
            depth: depth + 1,
            ignored: ignored.clone(),
        })
    };
    Ok(Ok(names.into_iter().rev().filter_map(child).collect()))
}

/// The names in a folder, sorted, each with whether it is a folder.
fn names(
    folder: &impl std::os::fd::AsFd,
    watch: &Watch,
) -> Result<io::Result<Vec<(OsString, bool)>>, String> {
    let mut entries = match rustix::fs::Dir::read_from(folder) {
        Ok(entries) => entries,
        Err(error) => return Ok(Err(error.into())),
    };
    let mut found = Vec::new();
    while let Some(entry) = entries.read() {
        watch.look()?;
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return Ok(Err(error.into())),
        };
        let name = entry.file_name();
        let kind = match entry.file_type() {
            // Some file systems do not give the type in the listing.
            FileType::Unknown => {
                rustix::fs::statat(folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                    .map_or(FileType::Unknown, |stat| {
                        FileType::from_raw_mode(stat.st_mode)
                    })
            }
            kind => kind,
        };
        let name = name.to_bytes();
        let is_skipped = [".", ".."]
            .iter()
            .chain(&SKIPPED)
            .any(|skipped| name == skipped.as_bytes());
        if !is_skipped && (kind.is_dir() || kind.is_file()) {
            found.push((
                std::os::unix::ffi::OsStringExt::from_vec(name.to_vec()),
                kind.is_dir(),
            ));
        }
        // Further entries would not be examined anyway.
        if found.len() > ENTRIES_MAX {
            break;
        }
    }
    found.sort_unstable();
    Ok(Ok(found))
}

/// Selects the files of a call.
pub(super) struct Filter {
    glob: Option<GlobMatcher>,
    start: PathBuf,
    by_name: bool,
}

impl Filter {
    /// Files that match `glob`: by name if it has no slash, otherwise by path from `start` or from
    /// the root. Without one, all files.
    pub(super) fn new(glob: Option<&str>, start: &Place) -> Result<Self, String> {
        let glob = glob.map(|glob| glob.trim_start_matches("./").trim_start_matches('/'));
        let by_name = glob.is_some_and(|glob| !glob.contains('/'));
        let glob = glob.map(|glob| globs::compile(glob, true)).transpose();
        let glob = glob.map_err(|why| format!("the glob {why}"))?;
        Ok(Self {
            glob,
            start: start.path().to_owned(),
            by_name,
        })
    }

    pub(super) fn fits(&self, place: &Place) -> bool {
        let Some(glob) = &self.glob else { return true };
        let path = place.path();
        match self.by_name {
            true => path.file_name().is_some_and(|name| glob.is_match(name)),
            false => {
                glob.is_match(path)
                    || path
                        .strip_prefix(&self.start)
                        .is_ok_and(|path| glob.is_match(path))
            }
        }
    }
}
