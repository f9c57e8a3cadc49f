//! Settings files: their paths, and their errors.

use super::layer::{self, Leaf, Origin};
use super::{Settings, SettingsError, complaint, secrets};
use divisi_core::Digest;
use divisi_files::{Refusal, up_to_repository};
use etcetera::BaseStrategy;
use std::path::{Path, PathBuf};
use toml::Value;

/// Name of a project's file.
pub const PROJECT_FILE: &str = "divisi.toml";

/// Path of the user's file, existing or not.
pub(crate) fn user_file() -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    Some(folders.config_dir().join("divisi").join("config.toml"))
}

/// Longest settings file, a hundred times the longest known one.
const BYTES_MAX: u64 = 1 << 20;

/// The nearest project file: in the workspace, or above it up to the root of the repository.
pub(super) fn project_file(workspace: &Path) -> Option<PathBuf> {
    let paths = up_to_repository(workspace).map(|folder| folder.join(PROJECT_FILE));
    // An existing but unreadable file is included, so that it is reported.
    paths
        .into_iter()
        .find(|path| path.symlink_metadata().is_ok())
}

/// The content of a settings file.
pub(super) struct Read {
    pub(super) leaves: Vec<Leaf>,
    /// Its settings, with defaults for the rest.
    pub(super) settings: Settings,
    /// The digest of its bytes.
    pub(super) digest: Digest,
}

/// Reads the user's file at `path`; a missing one has no leaves.
pub(super) fn read_users(path: &Path) -> Result<Read, SettingsError> {
    match divisi_files::read(path, BYTES_MAX) {
        Err(refusal) if refusal.is_missing() => parse(path, vec![]),
        bytes => parse(path, bytes.map_err(refused(path))?),
    }
}

/// Reads the project's file at `path`, which must be within the project, below `root`.
pub(super) fn read_projects(path: &Path, root: &Path) -> Result<Read, SettingsError> {
    parse(
        path,
        divisi_files::read_below(root, path, BYTES_MAX).map_err(refused(path))?,
    )
}

fn refused(path: &Path) -> impl Fn(Refusal) -> SettingsError {
    |source| SettingsError::Read {
        path: path.to_owned(),
        source,
    }
}

fn parse(path: &Path, bytes: Vec<u8>) -> Result<Read, SettingsError> {
    let digest = Digest::of(&bytes);
    let text = divisi_files::source(bytes).map_err(refused(path))?;
    secrets::make_known_in(&text);
    let wrong = |error| explain(path, &text, &error);
    let settings = toml::from_str::<Settings>(&text).map_err(wrong)?;
    // Also for settings that will be ignored, because they are shown when asking for trust.
    secrets::make_known(&settings);
    let mut leaves = layer::leaves(
        toml::from_str(&text).map_err(wrong)?,
        &Origin::File(path.to_owned()),
    );
    for leaf in &mut leaves {
        anchor(leaf, path);
    }
    let settings = Settings {
        store: anchored(&settings.store, path),
        framing: settings.framing.map(|framing| anchored(&framing, path)),
        ..settings
    };
    Ok(Read {
        leaves,
        settings,
        digest,
    })
}

/// Paths in a file are relative to its folder.
pub(super) fn anchor(leaf: &mut Leaf, file: &Path) {
    let is_path = matches!(leaf.path[..], [ref name] if name == "store" || name == "framing");
    if let (true, Value::String(path)) = (is_path, &mut leaf.value) {
        *path = anchored(Path::new(path.as_str()), file)
            .display()
            .to_string();
    }
}

fn anchored(path: &Path, file: &Path) -> PathBuf {
    file.parent()
        .map_or_else(|| path.to_owned(), |folder| folder.join(path))
}

fn explain(path: &Path, text: &str, error: &toml::de::Error) -> SettingsError {
    let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let (message, hint) = complaint::told_of(line, error.message());
    SettingsError::Wrong {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message,
        hint,
    }
}
