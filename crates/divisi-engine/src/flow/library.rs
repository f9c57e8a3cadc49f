//! Finds flows by name or path.

use divisi_script::{Script, ScriptRef};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders, below a project's, in which flows are saved; nearer ones first.
const FOLDERS: [&str; 3] = ["flows", ".divisi/flows", ".claude/workflows"];

/// Endings of a flow's file.
pub(super) const ENDINGS: [&str; 2] = ["js", "mjs"];

/// Finds flows by name or path, from one folder upwards.
#[derive(Clone, Debug)]
pub struct Library {
    root: PathBuf,
}

/// A flow's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowFile {
    /// Where it is.
    pub path: String,
    /// Its text.
    pub source: String,
}

impl Library {
    /// The flows that can be seen from `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Loads what a script refers to. The error is a lower-case phrase.
    pub fn load(&self, reference: &ScriptRef) -> Result<FlowFile, String> {
        match reference {
            ScriptRef::Path(path) => read(&self.root.join(path)),
            ScriptRef::Name(name) => self.find(name),
        }
    }

    /// Finds a flow by a path, or else by the name it is saved under.
    pub fn find(&self, name: &str) -> Result<FlowFile, String> {
        let path = self.root.join(name);
        // Not only plain files: a pipe can hold a flow, too.
        if path.exists() && !path.is_dir() {
            return read(&path);
        }
        if looks_like_path(name) {
            return Err(format!("there is no file {name}"));
        }
        for folder in self.folders() {
            if let Some(file) = find_in(&folder, name) {
                return Ok(file);
            }
        }
        let looked = FOLDERS.join(", ");
        Err(format!("there is no flow `{name}` in {looked} here, further up, or in your home folder"))
    }

    /// The names under which flows are saved, by their files; for advice.
    pub fn names(&self) -> BTreeSet<String> {
        let files = self.folders().into_iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
        let name = |path: PathBuf| {
            let is_flow = ENDINGS.iter().any(|ending| path.extension().is_some_and(|own| own == *ending));
            is_flow.then(|| Some(path.file_stem()?.to_string_lossy().into_owned())).flatten()
        };
        files.filter_map(|entry| name(entry.ok()?.path())).collect()
    }

    /// All folders, nearest first: from the root upwards to the repository's
    /// top, then the home folder's.
    pub fn folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![];
        for folder in self.root.ancestors() {
            folders.extend(FOLDERS.iter().map(|name| folder.join(name)));
            if folder.join(".git").exists() {
                break;
            }
        }
        if let Ok(home) = etcetera::home_dir() {
            folders.push(home.join(".divisi/flows"));
            folders.push(home.join(".claude/workflows"));
        }
        folders
    }
}

fn looks_like_path(name: &str) -> bool {
    name.contains('/') || ENDINGS.iter().any(|ending| name.ends_with(&format!(".{ending}")))
}

/// The file of that name, or else the one whose `meta` says that name.
fn find_in(folder: &Path, name: &str) -> Option<FlowFile> {
    let by_file = ENDINGS.iter().map(|ending| folder.join(format!("{name}.{ending}")));
    if let Some(file) = by_file.filter(|path| path.is_file()).find_map(|path| read(&path).ok()) {
        return Some(file);
    }
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let ours = |path: &PathBuf| path.extension().is_some_and(|e| ENDINGS.iter().any(|ending| e == *ending));
    let named = |file: &FlowFile| {
        Script::parse(&file.path, &file.source).is_ok_and(|script| script.meta().name == name)
    };
    paths.into_iter().filter(ours).filter_map(|path| read(&path).ok()).find(named)
}

fn read(path: &Path) -> Result<FlowFile, String> {
    match std::fs::read_to_string(path) {
        Ok(source) => Ok(FlowFile { path: path.display().to_string(), source }),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_found_by_path_file_name_and_meta_name() {
        let folder = tempfile::tempdir().unwrap();
        let flows = folder.path().join(".claude/workflows");
        std::fs::create_dir_all(&flows).unwrap();
        std::fs::create_dir_all(folder.path().join("deep/er")).unwrap();
        let audit = "export const meta = {name: 'check-all', description: 'd'}\nreturn 1";
        std::fs::write(flows.join("audit.js"), audit).unwrap();
        let library = Library::new(folder.path().join("deep/er"));
        for name in ["audit", "check-all", "../../.claude/workflows/audit.js"] {
            assert_eq!(library.find(name).unwrap().source, audit, "{name}");
        }
        insta::assert_snapshot!(library.find("nothing").unwrap_err(), @"there is no flow `nothing` in flows, .divisi/flows, .claude/workflows here, further up, or in your home folder");
        insta::assert_snapshot!(library.find("x.js").unwrap_err(), @"there is no file x.js");
    }
}
