//! Finds flows by name or path.

use divisi_files::{Refusal, up_to_repository};
use divisi_script::{Script, ScriptRef};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders of saved flows in a project, in order of precedence.
const FOLDERS: [&str; 3] = ["flows", ".divisi/flows", ".claude/workflows"];

/// The same in the home folder.
const HOME_FOLDERS: [&str; 2] = [".divisi/flows", ".claude/workflows"];

/// Longest flow or plan; far more than the script engine compiles.
const FLOW_BYTES_MAX: u64 = 64 << 20;

/// Most files of a folder that are searched for a name.
const FILES_MAX: usize = 2_000;

/// Most bytes of a folder's files that are read to find a name in their `meta`: some thousand flows
/// of usual length.
const SEARCHED_BYTES_MAX: u64 = 16 << 20;

/// File extensions of flows.
pub(super) const ENDINGS: [&str; 2] = ["js", "mjs"];

/// Finds flows by name or path, in one folder and those above it.
#[derive(Clone, Debug)]
pub struct Library {
    root: PathBuf,
}

/// A flow's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowFile {
    /// Its path.
    pub path: String,
    /// Its text.
    pub source: String,
}

impl Library {
    /// The flows visible from `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Loads the flow that a script refers to. The error is a lower-case phrase.
    pub fn load(&self, reference: &ScriptRef) -> Result<FlowFile, String> {
        match reference {
            ScriptRef::Path(path) => file(&self.root.join(path), divisi_files::read),
            ScriptRef::Name(name) => self.named(name, divisi_files::read),
        }
    }

    /// Finds a flow by a typed path, or else by its saved name.
    pub fn find(&self, name: &str) -> Result<FlowFile, String> {
        self.named(name, divisi_files::read_typed)
    }

    /// Reads the flow at `path`, from which an earlier run was started.
    pub fn reread(path: &str) -> Result<FlowFile, String> {
        file(Path::new(path), divisi_files::read)
    }

    fn named(&self, name: &str, read: Read) -> Result<FlowFile, String> {
        let path = self.root.join(name);
        if path.symlink_metadata().is_ok() && !path.is_dir() {
            return file(&path, read);
        }
        if looks_like_path(name) {
            return Err(format!("there is no file {name}"));
        }
        if let Some(found) = self.searched().iter().find_map(|folder| folder.find(name)) {
            return found;
        }
        let looked = FOLDERS.join(", ");
        Err(format!(
            "there is no flow `{name}` in {looked} here, further up, or in your home folder"
        ))
    }

    /// The file names of saved flows, for advice.
    pub fn names(&self) -> BTreeSet<String> {
        let files = self
            .searched()
            .into_iter()
            .flat_map(|folder| folder.files());
        files
            .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
            .collect()
    }

    /// All folders in order of precedence: from the root up to the top of the repository, then the
    /// home folder's.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.searched()
            .into_iter()
            .map(|folder| folder.path)
            .collect()
    }

    fn searched(&self) -> Vec<Folder> {
        let top = up_to_repository(&self.root).last().map(Path::to_owned);
        let of_project =
            up_to_repository(&self.root).flat_map(|place| FOLDERS.map(|name| place.join(name)));
        let of_project = of_project.map(|path| Folder {
            path,
            within: top.clone(),
        });
        let of_home = etcetera::home_dir()
            .into_iter()
            .flat_map(|home| HOME_FOLDERS.map(|name| home.join(name)));
        of_project
            .chain(of_home.map(|path| Folder { path, within: None }))
            .collect()
    }
}

/// Reads a file of limited length.
type Read = fn(&Path, u64) -> Result<Vec<u8>, Refusal>;

/// A folder of saved flows.
struct Folder {
    path: PathBuf,
    /// The repository, which its links may not leave. Links in the home folder may lead anywhere.
    within: Option<PathBuf>,
}

impl Folder {
    /// The file of that name, or else the one whose `meta` has that name.
    fn find(&self, name: &str) -> Option<Result<FlowFile, String>> {
        let by_file = ENDINGS
            .iter()
            .map(|ending| self.path.join(format!("{name}.{ending}")));
        if let Some(path) = by_file
            .into_iter()
            .find(|path| path.symlink_metadata().is_ok())
        {
            return Some(self.read(&path, FLOW_BYTES_MAX));
        }
        let mut left = SEARCHED_BYTES_MAX;
        self.files().into_iter().find_map(|path| {
            // An unreadable file has no `meta` to search.
            let file = self.read(&path, left).ok()?;
            left = left.saturating_sub(file.source.len() as u64);
            let script = Script::parse(&file.path, &file.source).ok()?;
            (script.meta().name == name).then_some(Ok(file))
        })
    }

    /// The files of flows in it, by name.
    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.path)
            .into_iter()
            .flatten()
            .take(FILES_MAX);
        let is_flow = |path: &PathBuf| {
            path.extension()
                .is_some_and(|own| ENDINGS.iter().any(|ending| own == *ending))
        };
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(is_flow)
            .collect();
        files.sort();
        files
    }

    fn read(&self, path: &Path, bytes_max: u64) -> Result<FlowFile, String> {
        file(path, |path, _| match &self.within {
            Some(within) => divisi_files::read_below(within, path, bytes_max),
            None => divisi_files::read(path, bytes_max),
        })
    }
}

fn looks_like_path(name: &str) -> bool {
    name.contains('/')
        || ENDINGS
            .iter()
            .any(|ending| name.ends_with(&format!(".{ending}")))
}

/// Reads the file at `path` with `read`.
fn file(
    path: &Path,
    read: impl Fn(&Path, u64) -> Result<Vec<u8>, Refusal>,
) -> Result<FlowFile, String> {
    match read(path, FLOW_BYTES_MAX).and_then(divisi_files::source) {
        Ok(source) => Ok(FlowFile {
            path: path.display().to_string(),
            source,
        }),
        Err(refusal) => Err(format!("cannot read {}: {refusal}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A repository with flows, seen from deep within it.
    fn repository(flows: &[(&str, &str)]) -> (tempfile::TempDir, Library) {
        let folder = tempfile::tempdir().unwrap();
        for path in [".git", "deep/er", "flows", ".claude/workflows"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        for (path, source) in flows {
            fs::write(folder.path().join(path), source).unwrap();
        }
        let library = Library::new(folder.path().join("deep/er"));
        (folder, library)
    }

    const AUDIT: &str = "export const meta = {name: 'check-all', description: 'd'}\nreturn 1";

    #[test]
    fn flows_are_found_by_path_file_name_and_meta_name() {
        let (_folder, library) = repository(&[(".claude/workflows/audit.js", AUDIT)]);
        for name in ["audit", "check-all", "../../.claude/workflows/audit.js"] {
            assert_eq!(library.find(name).unwrap().source, AUDIT, "{name}");
        }
        insta::assert_snapshot!(library.find("nothing").unwrap_err(), @"there is no flow `nothing` in flows, .divisi/flows, .claude/workflows here, further up, or in your home folder");
        insta::assert_snapshot!(library.find("x.js").unwrap_err(), @"there is no file x.js");
    }

    #[test]
    fn outside_of_a_repository_nothing_above_is_found() {
        let (folder, library) = repository(&[("flows/audit.js", AUDIT)]);
        assert!(library.names().contains("audit"));
        fs::remove_dir(folder.path().join(".git")).unwrap();
        assert!(library.find("audit").is_err());
        assert!(library.names().is_empty());
    }

    #[test]
    fn what_is_no_flow_of_the_repository_is_refused_with_the_reason() {
        let (folder, library) = repository(&[
            ("secret.js", AUDIT),
            ("flows/latin.js", ""),
            ("flows/marked.js", "\u{feff}return 1\r\n"),
        ]);
        let flows = folder.path().join("flows");
        fs::write(flows.join("latin.js"), b"return 'caf\xe9'").unwrap();
        symlink("../../../../../../etc/hosts", flows.join("far.js")).unwrap();
        symlink("/dev/zero", flows.join("endless.js")).unwrap();
        symlink("../secret.js", flows.join("near.js")).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, flows.join("pipe.js"), pipe, mode, 0).unwrap();
        let said = |name: &str| {
            let prefix = folder.path().display().to_string();
            library
                .find(name)
                .map_or_else(|said| said, |file| file.source)
                .replace(&prefix, "")
        };
        insta::assert_snapshot!(said("pipe"), @"cannot read /flows/pipe.js: it is a named pipe, not a regular file");
        insta::assert_snapshot!(said("../../flows/pipe.js"), @"cannot read /deep/er/../../flows/pipe.js: it is a named pipe, not a regular file");
        insta::assert_snapshot!(said("endless"), @"cannot read /flows/endless.js: it leads out of ");
        insta::assert_snapshot!(said("../../flows/endless.js"), @"cannot read /deep/er/../../flows/endless.js: it is a device, not a regular file");
        insta::assert_snapshot!(said("far"), @"cannot read /flows/far.js: it leads out of ");
        insta::assert_snapshot!(said("latin"), @"cannot read /flows/latin.js: it is not UTF-8: byte 0xe9 in line 1");
        assert_eq!(said("near"), AUDIT);
        assert_eq!(said("marked"), "return 1\n");
        // Unreadable files do not prevent others from being found by their meta.
        assert_eq!(said("check-all"), AUDIT);
    }
}
