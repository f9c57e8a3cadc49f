//! Tools as their servers list them, and as models see them.

use super::pattern::{Pattern, full_name};
use super::{McpServer, Servers};
use crate::globs;
use divisi_core::{Failure, FailureClass};
use divisi_providers::{ToolDefinition, Tools, redact};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most bytes of the definitions of one task's tools. All requests of the task contain them, and
/// before the servers have started this much is reserved for them: some thirty tools.
pub(crate) const DEFINITIONS_BYTES_MAX: u64 = 32 * 1024;

/// What the definitions of one server are assumed to take where it has not started: about a dozen
/// tools, as usual servers have.
pub(crate) const DEFINITIONS_BYTES_GUESS: u64 = 8 * 1024;

/// Most tools of one server. No task can have more within [`DEFINITIONS_BYTES_MAX`].
pub(super) const TOOLS_MAX: usize = 512;

/// Longest description: the whole manual of a tool.
const DESCRIPTION_BYTES_MAX: usize = 4 * 1024;

/// A tool of a server.
#[derive(Clone, Debug)]
pub(crate) struct McpTool {
    server: Arc<str>,
    /// Its name for the server.
    own_name: Arc<str>,
    definition: Arc<ToolDefinition>,
}

impl McpTool {
    /// The name of its server.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// Its name for the server.
    pub(super) fn own_name(&self) -> &str {
        &self.own_name
    }

    /// Whether it is allowed and not denied.
    pub(super) fn is_selected(&self, allowed: &[Pattern], denied: &[Pattern]) -> bool {
        let is_in = |patterns: &[Pattern]| {
            let is_it = |pattern: &Pattern| pattern.selects(&self.server, &self.own_name);
            patterns.iter().any(is_it)
        };
        is_in(allowed) && !is_in(denied)
    }
}

/// The tools of a server that can be offered, sorted by name, and remarks about those that cannot.
pub(super) fn usable(
    name: &Arc<str>,
    server: &McpServer,
    listed: Vec<rmcp::model::Tool>,
) -> Result<(Vec<McpTool>, Vec<String>), String> {
    let globs = match &server.tools {
        None => None,
        Some(globs) => Some(
            globs
                .iter()
                .map(|glob| globs::compile(glob, false))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|why| format!("a glob in `tools` of the MCP server `{name}` {why}"))?,
        ),
    };
    let known = redact::known();
    let (mut tools, mut remarks, mut taken) = (vec![], vec![], BTreeSet::new());
    for tool in listed {
        let own_name = tool.name.as_ref();
        if !globs
            .as_ref()
            .is_none_or(|globs| globs.iter().any(|glob| glob.is_match(own_name)))
        {
            continue;
        }
        let mut schema = Value::Object((*tool.input_schema).clone());
        let why = match full_name(name, own_name) {
            None => "its name is too long",
            Some(full) if taken.contains(&full) => "another one has its name",
            Some(_) if !is_usable(&schema) => "its schema is not valid",
            Some(full) => {
                known.value(&mut schema);
                let description = redact(tool.description.as_deref().unwrap_or_default());
                let most = description.floor_char_boundary(DESCRIPTION_BYTES_MAX);
                taken.insert(full.clone());
                let definition = ToolDefinition {
                    name: full,
                    description: description[..most].to_owned(),
                    input_schema: schema,
                };
                tools.push(McpTool {
                    server: name.clone(),
                    own_name: own_name.into(),
                    definition: definition.into(),
                });
                continue;
            }
        };
        let shown = redact(own_name);
        let most = shown.floor_char_boundary(DESCRIPTION_BYTES_MAX.min(60));
        remarks.push(format!(
            "warning: the tool `{}` of the MCP server `{name}` is left out: {why}",
            &shown[..most]
        ));
    }
    tools.sort_by(|a, b| a.definition.name.cmp(&b.definition.name));
    Ok((tools, remarks))
}

/// Whether arguments can be checked by a schema, and vendors accept it.
fn is_usable(schema: &Value) -> bool {
    schema["type"] == "object" && jsonschema::validator_for(schema).is_ok()
}

/// The tools of servers that a task has.
#[derive(Clone)]
pub(crate) struct McpTools {
    servers: Arc<Servers>,
    tools: Arc<[McpTool]>,
}

impl McpTools {
    pub(super) fn new(servers: Arc<Servers>, tools: Vec<McpTool>) -> Result<Self, Failure> {
        let found = Self {
            servers,
            tools: tools.into(),
        };
        let bytes = Tools::from(found.definitions()).bytes();
        if bytes > DEFINITIONS_BYTES_MAX {
            let message = format!(
                "the definitions of the {} tools of MCP servers that the task selects take {bytes} bytes, \
                 and {DEFINITIONS_BYTES_MAX} are allowed",
                found.tools.len()
            );
            return Err(Failure::new(FailureClass::Unavailable, message)
                .hint("name fewer of them in `tools` of the task, or in `tools` of [mcp.NAME]"));
        }
        Ok(found)
    }

    /// Their definitions for the model.
    pub(crate) fn definitions(&self) -> Vec<ToolDefinition> {
        self.tools
            .iter()
            .map(|tool| (*tool.definition).clone())
            .collect()
    }

    /// The names that the model calls.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().map(|tool| tool.definition.name.as_str())
    }

    /// The tool of this name.
    pub(crate) fn find(&self, name: &str) -> Option<(&McpTool, &ToolDefinition)> {
        let tool = self
            .tools
            .iter()
            .find(|tool| tool.definition.name == name)?;
        Some((tool, &tool.definition))
    }

    /// Calls a tool with checked arguments.
    pub(crate) async fn call(
        &self,
        tool: &McpTool,
        input: Map<String, Value>,
    ) -> Result<String, String> {
        self.servers.call(tool, input).await
    }
}
