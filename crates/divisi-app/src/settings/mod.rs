//! The user's settings.
//!
//! Five layers, of which the nearer one wins: defaults, the user's file, the project's file, the
//! environment, flags. The origin of each value is kept, because "why does it do that" is asked
//! more often than "what can I set". Keys of vendors are never part of it: settings name the
//! variable with a key.
//!
//! The project's file comes with the folder, possibly from a stranger. Settings in it beyond a
//! choice of models and limits (`claims`) apply only after the user has trusted the file in this
//! form (`trusted`).

mod shape;
mod server_words;
mod shorthand;
mod values;

mod mcp;

mod complaint;
mod environment;
mod file;
mod layer;
mod secrets;

mod advice;
mod claims;
mod trusted;

pub mod reference;

pub use claims::Claim;
pub(crate) use claims::is_below;
pub use environment::{Environment, LOG};
pub use file::PROJECT_FILE;
pub(crate) use file::user_file;
pub use layer::{Leaf, Origin};
pub use mcp::{MCP_FILE, McpFile};
pub(crate) use shape::AUTO;
pub use shape::{
    Budget, ExecutorKind, ExecutorSettings, McpSettings, Notify, Occasion, PriceSettings,
    ProviderSettings, RateLimits, Retry, Settings,
};
pub(crate) use shape::{limits_folder, state_folder};
pub use trusted::{Standing, TrustedFile, TrustedFiles};
pub(crate) use values::permissions;
pub use values::{AttemptPrice, Dollars, Grant, PerMillion, Span};

use divisi_core::Digest;
use divisi_files::Refusal;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// The settings, with their origins.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Every value, sorted by name.
    pub leaves: Vec<Leaf>,
    /// The project's file, if there is one.
    pub project: Option<Project>,
    /// Its file of MCP servers, if there is one and their tools are permitted.
    pub mcp_file: Option<Project>,
}

/// A project's file of settings, or of MCP servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// The file.
    pub path: PathBuf,
    /// The digest of its content.
    pub digest: Digest,
    /// Its settings that need trust.
    pub claims: Vec<Claim>,
    /// Whether it has that trust.
    pub standing: Standing,
}

/// What happens to settings that need trust and do not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untrusted {
    /// They prevent execution.
    Refused,
    /// They are ignored.
    LeftOut,
    /// They apply, except for files to open: for commands that only examine something.
    LookedAt,
}

/// Loads the settings for `workspace`, with `flags` on top.
pub fn load(
    environment: &Environment,
    workspace: &Path,
    flags: Vec<Leaf>,
    untrusted: Untrusted,
) -> Result<Loaded, SettingsError> {
    let files = Files {
        of_user: user_file(),
        trusted: TrustedFiles::of_user(),
    };
    load_with(&files, environment, workspace, flags, untrusted)
}

/// The user's files that the settings depend on.
struct Files {
    of_user: Option<PathBuf>,
    trusted: Option<TrustedFiles>,
}

fn load_with(
    files: &Files,
    environment: &Environment,
    workspace: &Path,
    flags: Vec<Leaf>,
    untrusted: Untrusted,
) -> Result<Loaded, SettingsError> {
    let of_user = files.of_user.as_deref().map(file::read_users).transpose()?;
    let (user, of_user) =
        of_user.map_or_else(Default::default, |read| (read.settings, read.leaves));
    let (project, of_project) = match file::project_file(workspace) {
        None => (None, vec![]),
        Some(path) => {
            let (project, leaves) = projects(path, workspace, &user, files, untrusted)?;
            (Some(project), leaves)
        }
    };
    let mut leaves = layer::merge([
        defaults(),
        of_user,
        of_project,
        environment.leaves()?,
        flags,
    ]);
    let in_flight_said = programs_follow(&mut leaves);
    // Each layer has been checked by itself, and values do not depend on each other.
    let settings = layer::settings(&leaves)
        .map_err(|error| SettingsError::Merged(error.message().to_owned()))?;
    let in_flight_said = NonZeroU32::new(settings.limits.in_flight_max).filter(|_| in_flight_said);
    let settings = Settings {
        in_flight_said,
        ..settings
    };
    secrets::make_known(&settings);
    let (settings, mcp_file) = with_mcp_file(settings, workspace, files, untrusted)?;
    Ok(Loaded {
        settings,
        leaves,
        project,
        mcp_file,
    })
}

/// Adds the servers of the project's file of MCP servers, if any of them are permitted. A server of
/// the settings takes the place of one of this file.
fn with_mcp_file(
    mut settings: Settings,
    workspace: &Path,
    files: &Files,
    untrusted: Untrusted,
) -> Result<(Settings, Option<Project>), SettingsError> {
    let is_mcp = |grant: &Grant| matches!(grant, Grant::Mcp(_));
    if !settings.allow.iter().any(is_mcp) {
        return Ok((settings, None));
    }
    let Some(file) = mcp::read(workspace, files.trusted.as_ref())? else {
        return Ok((settings, None));
    };
    let McpFile { project, servers } = file;
    let counts = match (project.standing, untrusted) {
        (Standing::Trusted, _) | (_, Untrusted::LookedAt) => true,
        (_, Untrusted::LeftOut) => false,
        (_, Untrusted::Refused) if project.claims.is_empty() => false,
        (_, Untrusted::Refused) => return Err(SettingsError::Untrusted(Box::new(project))),
    };
    if counts {
        for (name, server) in servers {
            settings.mcp.entry(name).or_insert(server);
        }
        secrets::make_known(&settings);
    }
    Ok((settings, Some(project)))
}

/// The project's file of MCP servers for `workspace`, whether or not their tools are permitted.
pub(crate) fn mcp_file(workspace: &Path) -> Result<Option<McpFile>, SettingsError> {
    mcp::read(workspace, TrustedFiles::of_user().as_ref())
}

/// The project's file, with the settings that apply.
fn projects(
    path: PathBuf,
    workspace: &Path,
    user: &Settings,
    files: &Files,
    untrusted: Untrusted,
) -> Result<(Project, Vec<Leaf>), SettingsError> {
    let root = divisi_files::repository(workspace).unwrap_or(workspace);
    let file::Read {
        mut leaves,
        settings,
        digest,
    } = file::read_projects(&path, root)?;
    let claims = claims::of(&leaves, &settings, user, root);
    let trusted = files.trusted.as_ref();
    let standing = trusted.map_or(Standing::Unknown, |trusted| trusted.standing(&path, digest));
    let project = Project {
        path,
        digest,
        claims,
        standing,
    };
    if project.standing != Standing::Trusted {
        if untrusted == Untrusted::Refused && project.claims.iter().any(Claim::asks) {
            return Err(SettingsError::Untrusted(Box::new(project)));
        }
        let counts =
            |claim: &Claim| untrusted == Untrusted::LookedAt && claim.harmless_to_look_at();
        leaves.retain(|leaf| {
            project
                .claims
                .iter()
                .all(|claim| claim.path != leaf.path || counts(claim))
        });
        claims::confine_prices(&mut leaves, &settings);
        // Choosing an ignored provider would leave none.
        let is_gone = |name: &str| {
            project
                .claims
                .iter()
                .any(|claim| claim.path[..] == ["providers", name] && !counts(claim))
        };
        leaves.retain(|leaf| {
            leaf.path[..] != ["provider"] || !leaf.value.as_str().is_some_and(is_gone)
        });
    }
    Ok((project, leaves))
}

impl Project {
    /// The folder of the file.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Its settings that need trust and do not have it.
    pub fn untrusted(&self) -> &[Claim] {
        if self.standing == Standing::Trusted {
            &[]
        } else {
            &self.claims
        }
    }
}

/// If the number of tasks in flight is set and that of programs is not, all of them may be
/// programs. Returns whether the former is set.
fn programs_follow(leaves: &mut [Leaf]) -> bool {
    let is = |leaf: &Leaf, name: &str| leaf.path == ["limits", name];
    let said = leaves
        .iter()
        .find(|leaf| is(leaf, "in_flight_max") && leaf.origin != Origin::Default);
    let Some(Leaf { value, origin, .. }) = said.cloned() else {
        return false;
    };
    if let Some(programs) = leaves.iter_mut().find(|leaf| is(leaf, "programs_max"))
        && programs.origin == Origin::Default
    {
        (programs.value, programs.origin) = (value, origin);
    }
    true
}

fn defaults() -> Vec<Leaf> {
    // Defaults contain only values that TOML supports.
    let table = toml::Table::try_from(Settings::default()).unwrap_or_default();
    layer::leaves(table, &Origin::Default)
}

/// Why settings could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file exists but is unreadable.
    #[error("cannot read the settings file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Refusal,
    },
    /// A file contains an invalid setting.
    #[error("{}, line {line}, column {column}: {message}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The error.
        message: String,
        /// Advice.
        hint: Option<String>,
    },
    /// A variable contains an invalid setting.
    #[error("the environment variable {name}: {message}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// The error.
        message: String,
        /// Advice.
        hint: Option<String>,
    },
    /// A project's file has settings that need the user's trust.
    #[error("the settings of this folder need your trust: {}", .0.path.display())]
    Untrusted(Box<Project>),
    /// The combination of layers is invalid.
    #[error("the settings do not fit together: {0}")]
    Merged(String),
}

impl SettingsError {
    /// Advice for the user.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Wrong { hint, .. } | Self::Variable { hint, .. } => {
                hint.iter().cloned().collect()
            }
            Self::Untrusted(project) => project.hints(),
            Self::Read { .. } | Self::Merged(_) => vec![],
        }
    }
}

#[cfg(test)]
mod tests;
