//! Tools of MCP servers, for the tasks that divisi carries out itself.
//!
//! A task selects them by name (`Pattern`); `Servers` starts a server once in a run, when the
//! first attempt needs it, and shares it among all attempts. So what only looks ahead (a plan, a
//! check, the key of a task, a resume that finds every result) starts none. It is ended with the
//! run, and by its supervisor if divisi dies.
//!
//! Tools are those that a server lists at its first start: a server that changes them meanwhile
//! would change the requests of conversations under way. Left out on purpose: resources, prompts,
//! and whatever a server asks of its client.

mod connection;
mod definitions;
mod pattern;
mod pipe;
mod result;

pub(crate) use definitions::{DEFINITIONS_BYTES_GUESS, DEFINITIONS_BYTES_MAX, McpTools};
pub(crate) use pattern::Pattern;

use connection::Connection;
use definitions::McpTool;
use divisi_core::{Digest, Failure, FailureClass};
use futures::future::join_all;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Default of [`McpServer::timeout`]: as long as the official clients wait.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Default of [`McpServer::start_timeout`]: enough for `npx` to load a package first.
pub const START_TIMEOUT: Duration = Duration::from_secs(120);

/// The configured servers, by name.
pub type McpServers = BTreeMap<Arc<str>, McpServer>;

/// A configured MCP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpServer {
    /// How it is reached.
    pub reached: Reached,
    /// Longest time of a call.
    pub timeout: Duration,
    /// Longest time of its start, until it has listed its tools.
    pub start_timeout: Duration,
    /// Globs of the names of the tools that it may offer; `None` for all.
    pub tools: Option<Vec<String>>,
    /// Whether the run permits its tools.
    pub is_permitted: bool,
}

/// How a server is reached.
#[derive(Clone, PartialEq, Eq)]
pub enum Reached {
    /// A program that speaks MCP on its standard input and output.
    Program {
        /// The program and its arguments.
        command: Vec<String>,
        /// Variables set for it, besides those of divisi that contain no secret.
        env: BTreeMap<String, String>,
    },
    /// An address that speaks MCP over HTTP.
    Http {
        /// The address.
        url: String,
        /// Headers of each request.
        headers: BTreeMap<String, String>,
    },
    /// In no way that divisi knows; the reason is a phrase.
    Not(String),
}

impl fmt::Debug for Reached {
    /// Shows no values of variables or headers and no address, which may contain keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program { command, env } => f
                .debug_struct("Program")
                .field("command", command)
                .field("env", &env.keys().collect::<Vec<_>>())
                .finish(),
            Self::Http { headers, .. } => f
                .debug_struct("Http")
                .field("headers", &headers.keys().collect::<Vec<_>>())
                .finish_non_exhaustive(),
            Self::Not(why) => f.debug_tuple("Not").field(why).finish(),
        }
    }
}

impl McpServer {
    /// A server with defaults, which the run permits.
    pub fn new(reached: Reached) -> Self {
        Self {
            reached,
            timeout: TIMEOUT,
            start_timeout: START_TIMEOUT,
            tools: None,
            is_permitted: true,
        }
    }

    /// Why it cannot be reached, if that is known without starting it; its program would run in
    /// `folder`.
    pub fn problem(&self, folder: &Path) -> Option<String> {
        match &self.reached {
            Reached::Not(why) => Some(why.clone()),
            Reached::Http { .. } => None,
            Reached::Program { command, env } => {
                let program = connection::program(command, env, folder);
                let checked =
                    program.and_then(|program| program.check().map_err(|error| error.to_string()));
                checked.err()
            }
        }
    }

    /// Its identity in keys of tasks: what it is, without variables and headers, whose secrets
    /// change.
    fn identity(&self) -> Digest {
        let reached = match &self.reached {
            Reached::Program { command, .. } => serde_json::json!(command),
            Reached::Http { url, .. } => serde_json::json!(url),
            Reached::Not(_) => serde_json::Value::Null,
        };
        Digest::of(
            serde_json::json!([reached, self.tools])
                .to_string()
                .as_bytes(),
        )
    }
}

/// The servers of one run.
pub(crate) struct Servers {
    connections: BTreeMap<Arc<str>, Connection>,
    /// Messages about what servers list, not yet shown.
    notes: Mutex<Vec<String>>,
}

impl Servers {
    /// The configured servers, none of them started. Their programs run in `folder`.
    pub(crate) fn new(configured: &McpServers, folder: &Path) -> Self {
        let connections = configured.iter().map(|(name, server)| {
            let connection = Connection::new(name.clone(), server.clone(), folder);
            (name.clone(), connection)
        });
        Self {
            connections: connections.collect(),
            notes: Mutex::default(),
        }
    }

    /// Names of the permitted servers whose tools `pattern` may select.
    pub(crate) fn selected_by(&self, pattern: &Pattern) -> Vec<Arc<str>> {
        let known = self.connections.iter();
        let selected = known.filter(|(name, connection)| {
            connection.server().is_permitted && pattern.may_select(name)
        });
        selected.map(|(name, _)| name.clone()).collect()
    }

    /// The identity of a server in keys of tasks.
    pub(crate) fn identity(&self, name: &str) -> Option<Digest> {
        Some(self.connections.get(name)?.server().identity())
    }

    /// Why a pattern selects no tool, as the end of a sentence about its name; `None` if it may
    /// select one.
    pub(crate) fn lack(&self, pattern: &Pattern) -> Option<Lack> {
        let mut named = self
            .connections
            .iter()
            .filter(|(name, _)| pattern.may_select(name))
            .peekable();
        match named.peek() {
            None => Some(Lack::Unknown),
            Some((name, _)) => {
                let name = (*name).clone();
                named
                    .all(|(_, connection)| !connection.server().is_permitted)
                    .then_some(Lack::NotPermitted(name))
            }
        }
    }

    /// The tools of these servers that are allowed and not denied, in an order that depends on
    /// their names only. Starts the servers that are not running.
    pub(crate) async fn tools(
        self: &Arc<Self>,
        names: &[Arc<str>],
        allowed: &[Pattern],
        denied: &[Pattern],
    ) -> Result<McpTools, Failure> {
        let listed = names
            .iter()
            .map(async |name| match self.connections.get(name) {
                Some(connection) => connection.tools(&self.notes).await,
                None => Err(format!("there is no MCP server `{name}`")),
            });
        let mut tools = vec![];
        for listed in join_all(listed).await {
            let listed = listed.map_err(|why| {
                Failure::new(FailureClass::Unavailable, why)
                    .hint("`divisi doctor` lists MCP servers; tasks that name none of their tools need none")
            })?;
            tools.extend(
                listed
                    .iter()
                    .filter(|tool| tool.is_selected(allowed, denied))
                    .cloned(),
            );
        }
        McpTools::new(self.clone(), tools)
    }

    /// Calls a tool. Dropping the future gives up the result, and tells the server so.
    pub(crate) async fn call(
        &self,
        tool: &McpTool,
        input: serde_json::Map<String, serde_json::Value>,
    ) -> Result<String, String> {
        match self.connections.get(tool.server()) {
            Some(connection) => connection.call(tool.own_name(), input).await,
            None => Err(format!("there is no MCP server `{}`", tool.server())),
        }
    }

    /// Messages about what servers list, each given once.
    pub(crate) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends all of them for good.
    pub(crate) async fn stop(&self) {
        join_all(self.connections.values().map(Connection::stop)).await;
    }
}

/// Why a pattern selects no tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// No server has that name.
    Unknown,
    /// The run does not permit this one.
    NotPermitted(Arc<str>),
}
