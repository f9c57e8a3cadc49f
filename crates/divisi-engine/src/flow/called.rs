//! Finds the files of other flows that a flow calls, as far as its text shows them.

use super::library::ENDINGS;
use crate::tools::Protected;
use std::path::{Path, PathBuf};

/// Prevents agents from writing to a flow and to the flows it calls by file name, which are loaded
/// when they are called, possibly after an agent's work. A computed name is protected once it is
/// loaded.
pub(crate) fn protect(protected: &Protected, path: Option<&str>, source: &str, workspace: &Path) {
    path.iter().for_each(|path| protected.add(path));
    called(source, workspace)
        .iter()
        .for_each(|path| protected.add(path));
}

/// The quoted texts that are paths of existing scripts.
fn called(source: &str, workspace: &Path) -> Vec<PathBuf> {
    let is_script = |text: &&str| {
        ENDINGS
            .iter()
            .any(|ending| text.ends_with(&format!(".{ending}")))
    };
    let between = source.split(['\'', '"', '`', '\n']).filter(is_script);
    between
        .map(|name| workspace.join(name))
        .filter(|path| path.is_file())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_between_quotes_are_found_where_they_exist() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.js", "b.mjs", "c.js"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let source = "await workflow('./a.js')\nawait workflow({scriptPath: \"b.mjs\"})\n// c.js, and 'no.js'";
        let found = called(source, folder.path());
        assert_eq!(
            found,
            [folder.path().join("./a.js"), folder.path().join("b.mjs")]
        );
    }
}
