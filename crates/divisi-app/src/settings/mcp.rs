//! MCP servers of the settings, and those of a project's `.mcp.json`.
//!
//! That file is Claude Code's. A folder may have it for that program alone, so it is read only in
//! runs that permit tools of MCP servers, and its servers count once the user has trusted it, as
//! those of a `divisi.toml`.

use super::claims::Claim;
use super::secrets;
use super::server_words::{fill, usable_name, variables};
use super::shape::{McpSettings, Settings};
use super::trusted::{Standing, TrustedFiles};
use super::values::Grant;
use super::{Environment, Project, SettingsError};
use divisi_core::Digest;
use divisi_engine::mcp::{McpServer, McpServers, Reached};
use divisi_files::{Refusal, up_to_repository};
use divisi_providers::redact;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Claude Code's file of a project's MCP servers.
pub const MCP_FILE: &str = ".mcp.json";

/// Longest such file, a hundred times a usual one.
const BYTES_MAX: u64 = 1 << 20;

/// A project's file of MCP servers.
#[derive(Debug)]
pub struct McpFile {
    /// The file, and whether it is trusted.
    pub project: Project,
    /// Its servers, by name.
    pub servers: BTreeMap<String, McpSettings>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default, rename = "mcpServers")]
    servers: BTreeMap<String, Written>,
}

/// A server as that file has it. Fields of later versions of its format are ignored.
#[derive(Deserialize)]
struct Written {
    #[serde(rename = "type")]
    kind: Option<String>,
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

impl From<Written> for McpSettings {
    fn from(written: Written) -> Self {
        let kind = written.kind.as_deref();
        let unknown = match (kind, &written.command, &written.url) {
            (None | Some("stdio"), Some(_), _) | (Some("http" | "streamable-http"), _, Some(_)) => {
                None
            }
            (Some("stdio"), None, _) => Some("it has no `command`".to_owned()),
            (Some("http" | "streamable-http"), _, None) => Some("it has no `url`".to_owned()),
            (Some(other), ..) => Some(format!("divisi does not know its type `{other}`")),
            (None, None, _) => Some("it has no `command`".to_owned()),
        };
        let is_http = kind.is_some_and(|kind| kind != "stdio");
        let command = written.command.into_iter().chain(written.args);
        Self {
            command: command.filter(|_| !is_http).collect(),
            env: written.env,
            url: written.url.filter(|_| is_http),
            headers: written.headers,
            timeout: None,
            tools: None,
            unknown,
        }
    }
}

/// The file for `workspace`: in it, or above it up to the root of the repository.
pub(super) fn read(
    workspace: &Path,
    trusted: Option<&TrustedFiles>,
) -> Result<Option<McpFile>, SettingsError> {
    let paths = up_to_repository(workspace).map(|folder| folder.join(MCP_FILE));
    let Some(path) = paths
        .into_iter()
        .find(|path| path.symlink_metadata().is_ok())
    else {
        return Ok(None);
    };
    let refused = |source: Refusal| SettingsError::Read {
        path: path.clone(),
        source,
    };
    let root = divisi_files::repository(workspace).unwrap_or(workspace);
    let bytes = divisi_files::read_below(root, &path, BYTES_MAX).map_err(refused)?;
    let digest = Digest::of(&bytes);
    let text = divisi_files::source(bytes).map_err(refused)?;
    secrets::make_known_in(&text);
    let content: Content = serde_json::from_str(&text).map_err(|error| SettingsError::Wrong {
        path: path.clone(),
        line: error.line(),
        column: error.column(),
        message: error.to_string(),
        hint: Some("it is the file of MCP servers that Claude Code reads, too".to_owned()),
    })?;
    let servers: BTreeMap<String, McpSettings> = content
        .servers
        .into_iter()
        .filter_map(|(name, written)| Some((usable_name(&name)?, written.into())))
        .collect();
    let claims = servers
        .iter()
        .map(|(name, server)| Claim::of_server(name, server))
        .collect();
    let standing = trusted.map_or(Standing::Unknown, |trusted| trusted.standing(&path, digest));
    Ok(Some(McpFile {
        project: Project {
            path,
            digest,
            claims,
            standing,
        },
        servers,
    }))
}

impl Settings {
    /// Whether tools of this MCP server are permitted.
    pub fn permits_mcp(&self, server: &str) -> bool {
        self.allow.iter().any(|grant| match grant {
            Grant::Mcp(None) => true,
            Grant::Mcp(Some(name)) => name == server,
            Grant::Write | Grant::Run => false,
        })
    }

    /// The MCP servers, with the variables of `environment` that they name filled in.
    pub(crate) fn mcp_servers(&self, environment: &Environment) -> McpServers {
        let server = |(name, settings): (&String, &McpSettings)| {
            let reached = reached(settings, environment).unwrap_or_else(Reached::Not);
            let mut server = McpServer::new(reached);
            if let Some(timeout) = settings.timeout {
                server.timeout = Duration::from_millis(timeout.0.0);
            }
            server.tools = settings.tools.clone();
            server.is_permitted = self.permits_mcp(name);
            (name.as_str().into(), server)
        };
        self.mcp.iter().map(server).collect()
    }
}

/// How a server is reached; the error says why it cannot be.
fn reached(settings: &McpSettings, environment: &Environment) -> Result<Reached, String> {
    if let Some(unknown) = &settings.unknown {
        return Err(unknown.clone());
    }
    let filled = |text: &String| fill(text, |name| environment.get(name));
    let all = |values: &BTreeMap<String, String>| -> Result<BTreeMap<String, String>, String> {
        values
            .iter()
            .map(|(name, value)| Ok((name.clone(), filled(value)?)))
            .collect()
    };
    if let Some(url) = &settings.url {
        let (url, headers) = (filled(url)?, all(&settings.headers)?);
        redact::add_address(&url);
        headers
            .iter()
            .for_each(|(name, value)| redact::add_setting(name, value));
        // What is taken from a variable for a header is a key, whatever the names are.
        settings
            .headers
            .values()
            .flat_map(|value| variables(value))
            .for_each(|name| redact::add_variable(&name));
        return Ok(Reached::Http { url, headers });
    }
    let env = all(&settings.env)?;
    env.iter()
        .for_each(|(name, value)| redact::add_setting(name, value));
    Ok(Reached::Program {
        command: settings
            .command
            .iter()
            .map(filled)
            .collect::<Result<_, _>>()?,
        env,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_json(json: &str) -> Result<Option<McpFile>, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MCP_FILE), json).unwrap();
        read(folder.path(), None)
    }

    #[test]
    fn the_file_of_claude_code_is_understood() {
        let file = read_json(
            r#"{"mcpServers": {
                "git log": {"command": "npx", "args": ["-y", "server"], "env": {"A": "${B:-c}"}, "later": 1},
                "web": {"type": "http", "url": "https://x.example/mcp", "headers": {"Authorization": "Bearer ${KEY}"}},
                "old": {"type": "sse", "url": "https://x.example/sse"},
                "none": {},
                "///": {"command": "x"}}}"#,
        );
        let file = file.unwrap().unwrap();
        let claims: Vec<String> = file
            .project
            .claims
            .iter()
            .map(|claim| format!("{}: {}", claim.name(), claim.would))
            .collect();
        insta::assert_debug_snapshot!(claims, @r#"
        [
            "mcp.git_log: runs `npx` on this machine, with what is in B",
            "mcp.none: is a server that divisi cannot reach, and does nothing",
            "mcp.old: is a server that divisi cannot reach, and does nothing",
            "mcp.web: sends what agents ask of it, and what is in KEY, to https://x.example",
        ]
        "#);
        let settings = Settings {
            mcp: file.servers,
            allow: vec![Grant::Mcp(Some("web".to_owned()))],
            ..Settings::default()
        };
        insta::assert_debug_snapshot!(settings.mcp_servers(&Environment::default()), @r#"
        {
            "git_log": McpServer {
                reached: Program {
                    command: [
                        "npx",
                        "-y",
                        "server",
                    ],
                    env: [
                        "A",
                    ],
                },
                timeout: 60s,
                start_timeout: 120s,
                tools: None,
                is_permitted: false,
            },
            "none": McpServer {
                reached: Not(
                    "it has no `command`",
                ),
                timeout: 60s,
                start_timeout: 120s,
                tools: None,
                is_permitted: false,
            },
            "old": McpServer {
                reached: Not(
                    "divisi does not know its type `sse`",
                ),
                timeout: 60s,
                start_timeout: 120s,
                tools: None,
                is_permitted: false,
            },
            "web": McpServer {
                reached: Not(
                    "the variable KEY, which it needs, is not set",
                ),
                timeout: 60s,
                start_timeout: 120s,
                tools: None,
                is_permitted: true,
            },
        }
        "#);
    }

    #[test]
    fn a_file_that_is_none_names_its_line() {
        let error = read_json("{\n  \"mcpServers\": [],\n}").unwrap_err();
        assert!(error.to_string().contains(".mcp.json, line 2"), "{error}");
    }
}
