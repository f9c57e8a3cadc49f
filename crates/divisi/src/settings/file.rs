//! Settings files: where they are, and what is wrong with them.

use super::layer::{self, Leaf, Origin};
use super::{Settings, SettingsError, secrets};
use crate::slip::Unknown;
use etcetera::BaseStrategy;
use std::path::{Path, PathBuf};
use toml::Value;

/// The name of a project's file.
pub(crate) const PROJECT_FILE: &str = "divisi.toml";

/// Where the user's file is, whether it exists or not.
pub(crate) fn user_file() -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    Some(folders.config_dir().join("divisi").join("config.toml"))
}

/// The nearest project file: in the workspace, or above it up to the root of
/// the repository.
pub(super) fn project_file(workspace: &Path) -> Option<PathBuf> {
    let root = workspace.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(workspace);
    let inside = workspace.ancestors().take_while(|folder| folder.starts_with(root));
    inside.map(|folder| folder.join(PROJECT_FILE)).find(|path| path.is_file())
}

/// The settings in the file at `path`; none if it is not there.
pub(super) fn read(path: &Path) -> Result<Vec<Leaf>, SettingsError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(source) => return Err(SettingsError::Read { path: path.to_owned(), source }),
    };
    secrets::make_known_in(&text);
    let wrong = |error| explain(path, &text, &error);
    toml::from_str::<Settings>(&text).map_err(wrong)?;
    let mut leaves = layer::leaves(toml::from_str(&text).map_err(wrong)?, &Origin::File(path.to_owned()));
    for leaf in &mut leaves {
        anchor(leaf, path);
    }
    Ok(leaves)
}

/// Paths in a file are meant from where the file is.
fn anchor(leaf: &mut Leaf, file: &Path) {
    let is_path = matches!(leaf.path[..], [ref name] if name == "store" || name == "framing");
    if let (true, Value::String(path), Some(folder)) = (is_path, &mut leaf.value, file.parent()) {
        *path = folder.join(&*path).display().to_string();
    }
}

fn explain(path: &Path, text: &str, error: &toml::de::Error) -> SettingsError {
    let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let (message, hint) = match Unknown::parse(error.message()) {
        Some(unknown) => (format!("there is no setting `{}`", unknown.name), Some(unknown.hint())),
        None => (error.message().to_owned(), None),
    };
    SettingsError::Wrong {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message,
        hint,
    }
}
