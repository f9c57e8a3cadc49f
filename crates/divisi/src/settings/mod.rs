//! What the user has set.
//!
//! Five layers, the nearer one wins: defaults, the user's file, the project's
//! file, the environment, flags. Where each value comes from is kept, because
//! "why does it do that" is asked more often than "what can I set". Keys of
//! vendors are never part of it: settings name the variable that holds one.

mod shape;
mod values;

mod environment;
mod file;
mod layer;
mod secrets;

pub(crate) use environment::{Environment, LOG};
pub(crate) use file::{PROJECT_FILE, user_file};
pub(crate) use layer::{Leaf, Origin};
pub(crate) use shape::{Kind, ProviderSettings, RateLimits, Settings, limits_folder};
pub(crate) use values::{Dollars, Grant, Span, permissions};

use std::io;
use std::path::{Path, PathBuf};

/// The settings, and where each comes from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    /// Every value, in the order of their names.
    pub(crate) leaves: Vec<Leaf>,
}

/// Loads the settings that hold in `workspace`, with `flags` on top.
pub(crate) fn load(
    environment: &Environment,
    workspace: &Path,
    flags: Vec<Leaf>,
) -> Result<Loaded, SettingsError> {
    load_with(user_file(), environment, workspace, flags)
}

fn load_with(
    user_file: Option<PathBuf>,
    environment: &Environment,
    workspace: &Path,
    flags: Vec<Leaf>,
) -> Result<Loaded, SettingsError> {
    let mut layers = vec![defaults()];
    for path in user_file.into_iter().chain(file::project_file(workspace)) {
        layers.push(file::read(&path)?);
    }
    layers.push(environment.leaves()?);
    layers.push(flags);
    let leaves = layer::merge(layers);
    // Every layer has been checked by itself, and values do not depend on each other.
    let settings =
        layer::settings(&leaves).map_err(|error| SettingsError::Merged(error.message().to_owned()))?;
    secrets::make_known(&settings);
    Ok(Loaded { settings, leaves })
}

fn defaults() -> Vec<Leaf> {
    // The defaults hold nothing that TOML cannot.
    let table = toml::Table::try_from(Settings::default()).unwrap_or_default();
    layer::leaves(table, &Origin::Default)
}

/// Why there are no settings to go by.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// A file is there but cannot be read.
    #[error("cannot read the settings file {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file says something that makes no sense.
    #[error("{}, line {line}, column {column}: {message}", path.display())]
    Wrong { path: PathBuf, line: usize, column: usize, message: String, hint: Option<String> },
    /// So does a variable.
    #[error("the environment variable {name}: {message}")]
    Variable { name: &'static str, message: String },
    /// The layers do not fit together.
    #[error("the settings do not fit together: {0}")]
    Merged(String),
}

impl SettingsError {
    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Self::Wrong { hint, .. } => hint.as_deref(),
            Self::Read { .. } | Self::Variable { .. } | Self::Merged(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
