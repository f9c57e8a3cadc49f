//! Selects the runs that belong to the working folder.
//!
//! A run belongs to the folder in which it was started. Within a project, runs started in folders
//! above or below the working folder belong to it as well, but not those of sibling folders: `last`
//! must not continue unrelated work because it is the latest.

use std::path::{Path, PathBuf};

/// Entries that mark the root of a project.
const MARKS: [&str; 4] = ["divisi.toml", ".git", ".jj", ".hg"];

/// The working folder of a command.
pub struct Place {
    folder: PathBuf,
    /// The root of its project.
    project: Option<PathBuf>,
    home: Option<PathBuf>,
}

impl Place {
    /// The place of this folder.
    pub fn of(folder: &Path) -> Self {
        let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let home = etcetera::home_dir().ok().map(|home| canonical(&home));
        let folder = canonical(folder);
        Self {
            project: project_of(&folder, home.as_deref()),
            folder,
            home,
        }
    }

    /// Its path, as recorded with a run.
    pub fn name(&self) -> String {
        self.folder.to_string_lossy().into_owned()
    }

    /// Whether a run of `folder` belongs to this place.
    pub fn has(&self, folder: Option<&str>) -> bool {
        let Some(folder) = folder else { return false };
        if folder == self.name() {
            return true;
        }
        let other = Path::new(folder);
        let is_in_line = other.starts_with(&self.folder) || self.folder.starts_with(other);
        is_in_line
            && self.project.is_some()
            && project_of(other, self.home.as_deref()) == self.project
    }

    /// The folder of a run for display: relative to this one if it is below it or in its project,
    /// otherwise with `~` for the home folder.
    pub fn shown(&self, folder: Option<&str>) -> String {
        let Some(folder) = folder.map(Path::new) else {
            return "-".to_owned();
        };
        if folder == self.folder {
            return ".".to_owned();
        }
        if let Ok(below) = folder.strip_prefix(&self.folder) {
            return below.display().to_string();
        }
        match self
            .home
            .as_deref()
            .and_then(|home| folder.strip_prefix(home).ok())
        {
            Some(below) if below.as_os_str().is_empty() => "~".to_owned(),
            Some(below) => format!("~/{}", below.display()),
            None => folder.display().to_string(),
        }
    }
}

/// The root of the project that contains `folder`. A home folder in git does not make one project
/// of everything in it.
fn project_of(folder: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let inside = folder
        .ancestors()
        .take_while(|folder| Some(*folder) != home);
    let is_root = |folder: &&Path| MARKS.iter().any(|mark| folder.join(mark).exists());
    inside
        .filter(|folder| folder.parent().is_some())
        .find(is_root)
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn place(root: &Path, folder: &str) -> Place {
        let home = Some(root.to_owned());
        let folder = root.join(folder);
        Place {
            project: project_of(&folder, home.as_deref()),
            folder,
            home,
        }
    }

    #[test]
    fn a_project_has_the_runs_above_and_below_and_none_beside() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().canonicalize().unwrap();
        for folder in [
            ".git",
            "one/.git",
            "one/a/deep",
            "one/b",
            "one/sub/.git",
            "plain/a",
        ] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let has = |here: &str, other: &str| place(&root, here).has(root.join(other).to_str());
        let expected = [
            ("one", "one", true),
            ("one/a", "one", true),
            ("one", "one/a/deep", true),
            ("one/a", "one/b", false),
            ("one", "one/sub", false),
            ("one/sub", "one", false),
            ("one", "one/gone", true),
            ("plain", "plain", true),
            ("plain", "plain/a", false),
            ("plain/a", "plain", false),
            ("one", "plain", false),
            ("", "one", false),
            ("one", "", false),
            ("on", "one", false),
        ];
        for (here, other, expected) in expected {
            assert_eq!(has(here, other), expected, "{here} has {other}");
        }
        assert!(!place(&root, "one").has(None));
    }

    #[test]
    fn folders_are_shown_from_here() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().canonicalize().unwrap();
        let shown = |other: &str| place(&root, "work").shown(root.join(other).to_str());
        assert_eq!(
            ["work", "work/a/b", "", "other"].map(shown),
            [".", "a/b", "~", "~/other"]
        );
        assert_eq!(place(&root, "work").shown(Some("/elsewhere")), "/elsewhere");
        assert_eq!(place(&root, "work").shown(None), "-");
    }
}
