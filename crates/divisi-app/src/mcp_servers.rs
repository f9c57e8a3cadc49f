//! Which MCP servers the settings and the project have, and whether a run would start them.

use crate::App;
use crate::settings::{Claim, Loaded, Project, Settings, SettingsError, Standing};

/// An MCP server, as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpServerFound {
    /// Its name.
    pub name: String,
    /// Whether the file that has it is trusted, or needs no trust.
    pub is_trusted: bool,
    /// Whether the settings permit its tools.
    pub is_permitted: bool,
    /// Why it cannot be reached, if that is known without starting it.
    pub problem: Option<String>,
}

/// The servers of the settings and of the project's file of MCP servers. None is started.
pub fn mcp_servers(loaded: &Loaded, app: &App) -> Result<Vec<McpServerFound>, SettingsError> {
    let file = app.mcp_file(app.folder())?;
    let is_in_settings = |name: &str| loaded.leaves.iter().any(|leaf| leaf.path == ["mcp", name]);
    let mut all = loaded.settings.mcp.clone();
    for (name, server) in file.iter().flat_map(|file| &file.servers) {
        all.entry(name.clone()).or_insert_with(|| server.clone());
    }
    let settings = Settings {
        mcp: all,
        ..loaded.settings.clone()
    };
    let is_trusted = |name: &str| match is_in_settings(name) {
        true => {
            let is_it = |claim: &Claim| claim.name() == format!("mcp.{name}");
            let claims = loaded.project.iter().flat_map(Project::untrusted);
            !claims.into_iter().any(is_it)
        }
        false => file
            .as_ref()
            .is_some_and(|file| file.project.standing == Standing::Trusted),
    };
    let servers = settings.mcp_servers(app.environment());
    let found = servers.iter().map(|(name, server)| McpServerFound {
        name: name.to_string(),
        is_trusted: is_trusted(name),
        is_permitted: server.is_permitted,
        problem: server.problem(app.folder()),
    });
    Ok(found.collect())
}
