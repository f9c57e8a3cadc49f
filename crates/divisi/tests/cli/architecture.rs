//! The map of the house is true.

use std::path::{Path, PathBuf};

/// Every file that ARCHITECTURE.md names, with its whole path or the end of it, is there.
#[test]
fn every_file_that_the_architecture_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let files: Vec<PathBuf> = ["crates", "benches", "docs", "examples", "flows", "scripts"]
        .into_iter()
        .flat_map(|folder| files_below(&root.join(folder), &root))
        .collect();
    let is_path = |word: &&str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
        let endings = [".rs", ".js", ".toml", ".yaml", ".md"];
        word.contains('/')
            && word.chars().all(is_plain)
            && endings.iter().any(|ending| word.ends_with(ending))
    };
    let named: Vec<&str> = text.split('`').skip(1).step_by(2).filter(is_path).collect();
    assert!(named.len() > 40, "only {} paths are found", named.len());
    let is_there = |path: &str| files.iter().any(|file| file.ends_with(path));
    let missing: Vec<&str> = named.into_iter().filter(|path| !is_there(path)).collect();
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md names what is not there: {missing:#?}"
    );
}

/// The files in a folder and those in it, as they are named from `root`.
fn files_below(folder: &Path, root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| match path.is_dir() {
        true => files_below(&path, root),
        false => vec![path.strip_prefix(root).unwrap().to_owned()],
    });
    files.collect()
}
