//! The files below a folder, in an order that is always the same.

use super::path::{Place, Root};
use globset::{GlobBuilder, GlobMatcher};
use ignore::WalkBuilder;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// Entries looked at by one call. A repository of this size can still be
/// walked in seconds; what is larger has a folder that git should ignore.
const ENTRIES_MAX: usize = 200_000;

/// Folders that hold no work: the history of git, and our own store with the
/// worktrees of other agents.
const SKIPPED: [&str; 2] = [".git", ".divisi"];

/// What stands below a folder.
pub(super) struct Walk {
    /// In the order of their names.
    pub(super) entries: Vec<Entry>,
    /// What the list does not hold, for the end of the answer; empty if nothing.
    pub(super) remarks: String,
}

pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) is_folder: bool,
}

/// Lists what is below `start`, down to `depth` if given, less what git
/// ignores. Links are left out: what they lead to is listed where it lies.
///
/// Ignored files can still be listed by starting in their folder.
pub(super) fn walk(
    root: &Root,
    start: &Place,
    depth: Option<usize>,
    cancel: &CancellationToken,
) -> Result<Walk, String> {
    let in_repository = root.path().ancestors().any(|folder| folder.join(".git").exists());
    let entries = WalkBuilder::new(root.path().join(start.path()))
        .hidden(false)
        .ignore(false)
        .git_global(false)
        .require_git(in_repository)
        .max_depth(depth)
        .sort_by_file_name(std::ffi::OsStr::cmp)
        .filter_entry(|entry| entry.depth() == 0 || !SKIPPED.iter().any(|name| entry.file_name() == *name))
        .build();
    let (mut walk, mut seen, mut unreadable) = (Walk { entries: Vec::new(), remarks: String::new() }, 0, 0);
    for entry in entries {
        if cancel.is_cancelled() {
            return Err("cancelled".to_owned());
        }
        seen += 1;
        if seen > ENTRIES_MAX {
            walk.remarks.push_str(&format!("\n… only the first {ENTRIES_MAX} entries were looked at"));
            break;
        }
        let Ok(entry) = entry else {
            unreadable += 1;
            continue;
        };
        let kind = entry.file_type();
        let is_folder = kind.is_some_and(|kind| kind.is_dir());
        let is_start = is_folder && entry.depth() == 0;
        if !is_start && (is_folder || kind.is_some_and(|kind| kind.is_file())) {
            let path = entry.path().strip_prefix(root.path()).unwrap_or(entry.path());
            walk.entries.push(Entry { place: Place::resolved(path), is_folder });
        }
    }
    if unreadable > 0 {
        walk.remarks.push_str(&format!("\n… {unreadable} entries could not be read"));
    }
    Ok(walk)
}

/// Which files a call is about.
pub(super) struct Filter {
    glob: Option<GlobMatcher>,
    start: PathBuf,
    by_name: bool,
}

impl Filter {
    /// Files that fit `glob`: by name if it has no slash, otherwise by path
    /// from `start` or from the root. All files without one.
    pub(super) fn new(glob: Option<&str>, start: &Place) -> Result<Self, String> {
        let glob = glob.map(|glob| glob.trim_start_matches("./").trim_start_matches('/'));
        let by_name = glob.is_some_and(|glob| !glob.contains('/'));
        let matcher = glob.map(|glob| GlobBuilder::new(glob).literal_separator(true).build()).transpose();
        let matcher = matcher.map_err(|e| format!("the glob is not valid: {}", e.kind()))?;
        let glob = matcher.map(|glob| glob.compile_matcher());
        Ok(Self { glob, start: start.path().to_owned(), by_name })
    }

    pub(super) fn fits(&self, place: &Place) -> bool {
        let Some(glob) = &self.glob else { return true };
        let path = place.path();
        match self.by_name {
            true => path.file_name().is_some_and(|name| glob.is_match(name)),
            false => {
                glob.is_match(path) || path.strip_prefix(&self.start).is_ok_and(|path| glob.is_match(path))
            }
        }
    }
}
