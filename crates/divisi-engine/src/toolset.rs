//! The tools of a task, selected once and offered to a model in every request.

use crate::mcp::{DEFINITIONS_BYTES_GUESS, DEFINITIONS_BYTES_MAX, Lack, McpTools, Servers};
use crate::setup::Setup;
use crate::tools::{Selection, ToolLimits, Toolbox};
use divisi_core::{Failure, FailureClass};
use divisi_providers::{ToolDefinition, Tools, redact};
use std::path::Path;
use std::sync::Arc;

/// The tools of a task.
pub struct Toolset {
    selection: Selection,
    toolbox: Toolbox,
    offered: Tools,
    names: Vec<Arc<str>>,
    servers: Arc<Servers>,
    /// The MCP servers that it selects tools of.
    selected: Vec<Arc<str>>,
    missing: Vec<String>,
}

impl Toolset {
    /// All tools that the setup permits, but none of MCP servers.
    pub(crate) fn all(setup: &Setup, servers: Arc<Servers>) -> Result<Self, Failure> {
        let selection = Selection::all();
        let toolbox = open(&setup.workspace, &selection, setup)?;
        Ok(Self::of(toolbox, selection, servers))
    }

    /// The selected tools that the setup permits.
    pub fn reselect(&self, setup: &Setup, selection: Selection) -> Self {
        Self::of(
            self.toolbox.reselect(&selection, setup.permissions),
            selection,
            self.servers.clone(),
        )
    }

    fn of(toolbox: Toolbox, selection: Selection, servers: Arc<Servers>) -> Self {
        let offered = offered(&toolbox, None);
        let names = offered
            .iter()
            .map(|tool| tool.name.as_str().into())
            .collect();
        let (allowed, _) = selection.mcp();
        let mut selected: Vec<_> = allowed
            .iter()
            .flat_map(|pattern| servers.selected_by(pattern))
            .collect();
        selected.sort();
        selected.dedup();
        let lacking = allowed
            .iter()
            .filter(|pattern| servers.lack(pattern).is_some());
        let missing = selection
            .missing()
            .iter()
            .cloned()
            .chain(lacking.map(|pattern| pattern.as_str().to_owned()))
            .collect();
        Self {
            selection,
            toolbox,
            offered,
            names,
            servers,
            selected,
            missing,
        }
    }

    /// The definitions for the model; those of MCP servers only after [`Toolset::connected`].
    pub fn offered(&self) -> &Tools {
        &self.offered
    }

    /// Whether it selects tools of MCP servers, which must be connected first.
    pub(crate) fn selects_mcp(&self) -> bool {
        !self.selected.is_empty()
    }

    /// The same with the tools of its MCP servers, which are started if they are not running.
    pub(crate) async fn connected(&self) -> Result<Self, Failure> {
        let (allowed, denied) = self.selection.mcp();
        let found = self.servers.tools(&self.selected, allowed, denied).await?;
        Ok(Self {
            selection: self.selection.clone(),
            offered: offered(&self.toolbox, Some(&found)),
            toolbox: self.toolbox.clone().with_mcp(Some(found)),
            names: self.names.clone(),
            servers: self.servers.clone(),
            selected: self.selected.clone(),
            missing: self.missing.clone(),
        })
    }

    /// Messages about its MCP servers that have not been shown.
    pub(crate) fn take_notes(&self) -> Vec<String> {
        self.servers.take_notes()
    }

    /// Most bytes that definitions of MCP servers add to those that are offered now.
    pub(crate) fn unknown_bytes_max(&self) -> u64 {
        match self.selects_mcp() {
            true => DEFINITIONS_BYTES_MAX,
            false => 0,
        }
    }

    /// The same, as far as it can be guessed.
    pub(crate) fn unknown_bytes_guess(&self) -> u64 {
        (self.selected.len() as u64 * DEFINITIONS_BYTES_GUESS).min(self.unknown_bytes_max())
    }

    /// What it selects of MCP servers, as written.
    pub(crate) fn unknown(&self) -> Vec<Arc<str>> {
        let (allowed, _) = self.selection.mcp();
        let known = allowed
            .iter()
            .filter(|pattern| self.servers.lack(pattern).is_none());
        known.map(|pattern| pattern.as_str().into()).collect()
    }

    /// Whether it selects a tool that changes files for which there is no permission.
    pub fn withholds_writing(&self) -> bool {
        self.toolbox.withholds(&["write_file", "edit_file"])
    }

    /// Whether it selects the tool that runs commands, for which there is no permission.
    pub fn withholds_running(&self) -> bool {
        self.toolbox.withholds(&["run_command"])
    }

    /// Requested tools that do not exist or are not permitted. Worth a warning: the agent was
    /// written for them.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Why it has no tool of this name, as the rest of a sentence.
    pub(crate) fn why_missing(&self, name: &str) -> String {
        let (allowed, _) = self.selection.mcp();
        let pattern = allowed.iter().find(|pattern| pattern.as_str() == name);
        match pattern.and_then(|pattern| self.servers.lack(pattern)) {
            Some(Lack::Unknown) => {
                "which is of no MCP server of the settings or of .mcp.json".to_owned()
            }
            Some(Lack::NotPermitted(server)) => {
                format!("which the run does not permit (`--allow mcp:{server}` does)")
            }
            None if is_of_the_web(name) => {
                "which there is not (an MCP server can have such a tool)".to_owned()
            }
            None => "which there is not".to_owned(),
        }
    }

    /// The patterns of allowed commands, if not all are, and of denied ones.
    pub fn command_patterns(&self) -> (Option<&[String]>, &[String]) {
        self.selection.command_patterns()
    }

    /// Their names, sorted, which are part of a task's identity; without those of MCP servers.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// What of MCP servers is part of a task's identity: which servers they are, and which of
    /// their tools are selected. Their definitions are not: to know them, a resume would have to
    /// start every server before it could find a result.
    pub(crate) fn mcp_words(&self) -> Vec<Arc<str>> {
        if self.selected.is_empty() {
            return vec![];
        }
        let (allowed, denied) = self.selection.mcp();
        let servers = self.selected.iter().map(|name| {
            let identity = self.servers.identity(name);
            let digest = identity
                .map(|digest| digest.to_string())
                .unwrap_or_default();
            Arc::from(format!("mcp {name} {digest}"))
        });
        let mut words: Vec<Arc<str>> = servers
            .chain(allowed.iter().map(|pattern| pattern.as_str().into()))
            .chain(
                denied
                    .iter()
                    .map(|pattern| format!("not {}", pattern.as_str()).into()),
            )
            .collect();
        words.sort();
        words
    }

    /// The tools bound to the folder `root`.
    pub(crate) fn at(&self, root: &Path, setup: &Setup) -> Result<Toolbox, Failure> {
        match root == setup.workspace {
            true => Ok(self.toolbox.clone()),
            false => {
                let mcp = self.toolbox.mcp().cloned();
                Ok(open(root, &self.selection, setup)?.with_mcp(mcp))
            }
        }
    }
}

/// Whether a tool is one that searches or reads the web elsewhere.
fn is_of_the_web(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["websearch", "webfetch", "web_search", "web_fetch"]
        .iter()
        .any(|web| name.starts_with(web))
}

/// The definitions for a model.
fn offered(toolbox: &Toolbox, mcp: Option<&McpTools>) -> Tools {
    let definition = |tool: crate::tools::ToolDefinition| ToolDefinition {
        name: tool.name.to_owned(),
        description: redact(&tool.description).into_owned(),
        input_schema: tool.input_schema,
    };
    let own = toolbox.definitions().into_iter().map(definition);
    let mcp = mcp.into_iter().flat_map(McpTools::definitions);
    own.chain(mcp).collect::<Vec<_>>().into()
}

fn open(root: &Path, selection: &Selection, setup: &Setup) -> Result<Toolbox, Failure> {
    Toolbox::new(
        root,
        selection,
        setup.permissions,
        ToolLimits::default(),
        &setup.protected,
    )
    .map_err(|error| Failure::new(FailureClass::Unavailable, error.to_string()))
}
