//! The tools of agents: reading files, changing them, running commands.
//!
//! A [`Toolbox`] holds the tools of one attempt, bound to one workspace. It guarantees three
//! things. No file tool reaches outside the workspace, whatever the path and whatever links it
//! contains. Every failure is a [`ToolOutput`] that tells the model what to do instead, never an
//! error that ends the attempt. And equal calls on equal files give equal texts, because results
//! are recorded and replayed.
//!
//! Commands are different: a command can do whatever the user can. So [`Permissions::run`] is a
//! separate decision.
//!
//! Tools of MCP servers ([`crate::mcp`]) are called here too, so that their arguments are checked
//! and their results redacted and cut as those of all others.
//!
//! Left out on purpose: the web.

mod command_rules;
mod edit_file;
mod fence;
mod file;
#[cfg(test)]
mod fixture;
mod git_files;
mod ignored;
mod input;
mod list_files;
mod path;
mod protected;
mod read_file;
mod run_command;
mod search_files;
mod secret;
mod selection;
mod walk;
mod watch;
mod write_file;

pub(crate) use fence::Fence;
pub use path::NoRoot;
pub(crate) use protected::NAMES as PROTECTED_NAMES;
pub use protected::Protected;
pub use selection::Selection;

use crate::mcp::McpTools;
use command_rules::CommandRules;
use divisi_core::{Failure, FailureClass};
use divisi_providers::redact;
use path::Root;
use serde_json::Value;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use watch::Watch;

/// The tools of one attempt, bound to a workspace.
#[derive(Clone)]
pub struct Toolbox {
    root: Arc<Root>,
    tools: Vec<Tool>,
    /// Selected tools without permission.
    withheld: Vec<Tool>,
    commands: CommandRules,
    limits: ToolLimits,
    /// Those of MCP servers.
    mcp: Option<McpTools>,
}

/// Permissions of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Change files of the workspace.
    pub write: bool,
    /// Run commands. They run with the rights of the user, in the workspace
    /// but not confined to it.
    pub run: bool,
}

impl Permissions {
    /// Fails with `message` if commands are not permitted.
    pub(crate) fn to_run(self, message: &str) -> Result<(), Failure> {
        match self.run {
            true => Ok(()),
            false => Err(Failure::new(FailureClass::Unavailable, message)
                .hint("allow it with `--allow run`, or `allow = [\"run\"]` in divisi.toml")),
        }
    }
}

/// Limits on the results of tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToolLimits {
    /// Bytes of one result.
    pub output_bytes_max: usize,
    /// Paths listed, or lines found, by one call.
    pub entries_max: usize,
    /// Lines of one file shown by one call.
    pub lines_max: usize,
    /// Default time limit of a command.
    pub command_timeout: Duration,
    /// Largest time limit that a call may set.
    pub command_timeout_max: Duration,
}

impl ToolLimits {
    /// About 10,000 tokens. Every later turn of the conversation pays for a result again, so more
    /// must be requested in parts.
    pub const OUTPUT_BYTES_MAX: usize = 40_000;
    /// More entries give no overview; a narrower pattern helps more.
    pub const ENTRIES_MAX: usize = 300;
    /// Nearly all source files fit whole.
    pub const LINES_MAX: usize = 2_000;
    /// Enough for a build step, short enough that a hanging one is noticed.
    pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);
    /// Enough for a test suite.
    pub const COMMAND_TIMEOUT_MAX: Duration = Duration::from_secs(900);
}

impl Default for ToolLimits {
    fn default() -> Self {
        Self {
            output_bytes_max: Self::OUTPUT_BYTES_MAX,
            entries_max: Self::ENTRIES_MAX,
            lines_max: Self::LINES_MAX,
            command_timeout: Self::COMMAND_TIMEOUT,
            command_timeout_max: Self::COMMAND_TIMEOUT_MAX,
        }
    }
}

/// A tool as described to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolDefinition {
    /// Its name in calls.
    pub name: &'static str,
    /// What it does and when to use it.
    pub description: Cow<'static, str>,
    /// JSON Schema of its input.
    pub input_schema: Value,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolOutput {
    /// The text for the model.
    pub text: String,
    /// Whether the call failed.
    pub is_error: bool,
    /// The tool called without permission, and the permission it needs.
    pub not_permitted: Option<NotPermitted>,
    /// The exit code of the command that it ran.
    pub exit: Option<i32>,
}

/// A tool without permission in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPermitted {
    /// Its name.
    pub tool: &'static str,
    /// The permission it needs, as the word for `--allow`.
    pub permission: &'static str,
}

/// The text of a result, or an error for the model.
type Answer = Result<String, String>;

impl From<Answer> for ToolOutput {
    fn from(answer: Answer) -> Self {
        match answer {
            Ok(text) => Self {
                text,
                is_error: false,
                not_permitted: None,
                exit: None,
            },
            Err(text) => Self {
                text,
                is_error: true,
                not_permitted: None,
                exit: None,
            },
        }
    }
}

impl Toolbox {
    /// The selected tools that are permitted, in the workspace at `root`. None of them writes to
    /// `protected` paths.
    pub fn new(
        root: &Path,
        selection: &Selection,
        permissions: Permissions,
        limits: ToolLimits,
        protected: &Protected,
    ) -> Result<Self, NoRoot> {
        let root = Arc::new(Root::open(root, protected.clone())?);
        let commands = selection.commands().clone();
        let none = Self {
            root,
            tools: vec![],
            withheld: vec![],
            commands,
            limits,
            mcp: None,
        };
        Ok(none.reselect(selection, permissions))
    }

    /// Another selection for the same workspace, which is not opened again.
    pub fn reselect(&self, selection: &Selection, permissions: Permissions) -> Self {
        let (tools, withheld) = selection
            .tools()
            .partition(|tool| tool.is_permitted(permissions));
        let commands = selection.commands().clone();
        Self {
            root: self.root.clone(),
            tools,
            withheld,
            commands,
            limits: self.limits,
            mcp: self.mcp.clone(),
        }
    }

    /// The same with these tools of MCP servers.
    pub(crate) fn with_mcp(mut self, tools: Option<McpTools>) -> Self {
        self.mcp = tools;
        self
    }

    /// Its tools of MCP servers.
    pub(crate) fn mcp(&self) -> Option<&McpTools> {
        self.mcp.as_ref()
    }

    /// Whether one of these is selected and has no permission.
    pub(crate) fn withholds(&self, names: &[&str]) -> bool {
        self.withheld
            .iter()
            .any(|tool| names.contains(&tool.name()))
    }

    /// Whether there are no tools.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty() && self.mcp.is_none()
    }

    /// The definitions for the model, always in the same order.
    pub fn definitions(&self) -> Vec<ToolDefinition> {
        let definition = |tool: &Tool| match tool {
            Tool::ListFiles => list_files::definition(),
            Tool::SearchFiles => search_files::definition(),
            Tool::ReadFile => read_file::definition(),
            Tool::WriteFile => write_file::definition(),
            Tool::EditFile => edit_file::definition(),
            Tool::RunCommand => run_command::definition(&self.commands, &self.limits),
        };
        self.tools.iter().map(definition).collect()
    }

    /// Executes one call of the model.
    ///
    /// Dropping the future stops a command at once, and a walk or search soon; a file is written
    /// completely or not at all.
    pub async fn call(&self, name: &str, input: &Value, cancel: &CancellationToken) -> ToolOutput {
        let mut output = match self
            .definitions()
            .into_iter()
            .zip(&self.tools)
            .find(|(d, _)| d.name == name)
        {
            Some((definition, tool)) => {
                match input::checked(definition.name, &definition.input_schema, input) {
                    Ok(input) => self.run(*tool, input, cancel).await,
                    Err(problem) => Err(problem).into(),
                }
            }
            None => self.call_mcp(name, input).await.into(),
        };
        output.not_permitted = self.not_permitted(name);
        // Redacted first, because cutting could leave the beginning of a secret.
        output.text = redact(&output.text).into_owned();
        shorten(&mut output.text, self.limits.output_bytes_max);
        output
    }

    /// Calls a tool of an MCP server.
    async fn call_mcp(&self, name: &str, input: &Value) -> Answer {
        let found = self
            .mcp
            .as_ref()
            .and_then(|mcp| Some((mcp, mcp.find(name)?)));
        let Some((mcp, (tool, definition))) = found else {
            return Err(self.unknown(name));
        };
        match input::checked(&definition.name, &definition.input_schema, input)? {
            Value::Object(input) => mcp.call(tool, input).await,
            other => Err(format!(
                "the arguments of `{name}` are no JSON object: {other}"
            )),
        }
    }

    async fn run(&self, tool: Tool, input: Value, cancel: &CancellationToken) -> ToolOutput {
        let (root, limits) = (self.root.clone(), self.limits);
        // Work on another thread does not stop when this future is dropped, so the guard cancels
        // it.
        let cancel = cancel.child_token();
        let _stops_with_us = cancel.clone().drop_guard();
        let watch = Watch::new(&cancel);
        let answer = match tool {
            Tool::RunCommand => {
                return run_command::run(&root, &self.commands, &limits, input, &cancel).await;
            }
            Tool::ListFiles => {
                blocking(move || list_files::run(&root, &limits, input, &watch)).await
            }
            Tool::SearchFiles => {
                blocking(move || search_files::run(&root, &limits, input, &watch)).await
            }
            Tool::ReadFile => blocking(move || read_file::run(&root, &limits, input, &watch)).await,
            Tool::WriteFile => blocking(move || write_file::run(&root, input, &watch)).await,
            Tool::EditFile => blocking(move || edit_file::run(&root, input, &watch)).await,
        };
        answer.into()
    }

    /// The tool of this name, if only a permission is missing.
    fn not_permitted(&self, name: &str) -> Option<NotPermitted> {
        let tool = selection::tool(name).filter(|tool| self.withheld.contains(tool))?;
        Some(NotPermitted {
            tool: tool.name(),
            permission: tool.permission()?,
        })
    }

    fn unknown(&self, name: &str) -> String {
        let name = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
        let own = self.tools.iter().map(|tool| tool.name());
        let names: Vec<_> = own
            .chain(self.mcp.iter().flat_map(McpTools::names))
            .collect();
        let what = match Tool::ALL.iter().any(|tool| tool.name() == name) {
            true => "is not allowed here",
            false => "does not exist",
        };
        match names.is_empty() {
            true => format!("tool `{name}` {what}; there are no tools, answer without them"),
            false => format!("tool `{name}` {what}; use one of: {}", names.join(", ")),
        }
    }
}

/// All tools, in the order shown to models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tool {
    ListFiles,
    SearchFiles,
    ReadFile,
    WriteFile,
    EditFile,
    RunCommand,
}

impl Tool {
    const ALL: [Self; 6] = [
        Self::ListFiles,
        Self::SearchFiles,
        Self::ReadFile,
        Self::WriteFile,
        Self::EditFile,
        Self::RunCommand,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::ListFiles => list_files::NAME,
            Self::SearchFiles => search_files::NAME,
            Self::ReadFile => read_file::NAME,
            Self::WriteFile => write_file::NAME,
            Self::EditFile => edit_file::NAME,
            Self::RunCommand => run_command::NAME,
        }
    }

    fn is_permitted(self, permissions: Permissions) -> bool {
        match self {
            Self::ListFiles | Self::SearchFiles | Self::ReadFile => true,
            Self::WriteFile | Self::EditFile => permissions.write,
            Self::RunCommand => permissions.run,
        }
    }

    /// The permission it needs, as the word for `--allow`.
    fn permission(self) -> Option<&'static str> {
        match self {
            Self::ListFiles | Self::SearchFiles | Self::ReadFile => None,
            Self::WriteFile | Self::EditFile => Some("write"),
            Self::RunCommand => Some("run"),
        }
    }
}

/// Bytes shown of the name of an unknown tool.
const NAME_BYTES_MAX: usize = 64;

async fn blocking(work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(format!("the tool broke down: {e}")))
}

/// Cuts `text` at a character boundary, and appends a remark.
fn shorten(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let omitted = text.len() - bytes_max;
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push_str(&format!(
            "\n… {omitted} more bytes left out; ask for less at a time"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::Fixture;
    use super::*;
    use serde_json::json;

    const ALL: Permissions = Permissions {
        write: true,
        run: true,
    };

    fn names(selection: &Selection, permissions: Permissions) -> Vec<&'static str> {
        let toolbox = Toolbox::new(
            Path::new("."),
            selection,
            permissions,
            ToolLimits::default(),
            &Protected::default(),
        )
        .unwrap();
        toolbox
            .definitions()
            .iter()
            .map(|definition| definition.name)
            .collect()
    }

    #[test]
    fn what_is_not_permitted_is_not_offered() {
        let all = Selection::all();
        let reading = ["list_files", "search_files", "read_file"];
        assert_eq!(names(&all, Permissions::default()), reading);
        let writing = [&reading[..], &["write_file", "edit_file"]].concat();
        assert_eq!(
            names(
                &all,
                Permissions {
                    write: true,
                    run: false
                }
            ),
            writing
        );
        assert_eq!(names(&all, ALL), [&writing[..], &["run_command"]].concat());
        assert_eq!(
            names(&Selection::of(Some(&["Bash"]), &[]), Permissions::default()),
            [""; 0]
        );
    }

    #[test]
    fn definitions_are_valid_schemas_that_name_each_field() {
        let toolbox = Toolbox::new(
            Path::new("."),
            &Selection::all(),
            ALL,
            ToolLimits::default(),
            &Protected::default(),
        )
        .unwrap();
        for ToolDefinition {
            name, input_schema, ..
        } in toolbox.definitions()
        {
            jsonschema::validator_for(&input_schema).unwrap();
            assert_eq!(input_schema["additionalProperties"], json!(false), "{name}");
            for field in input_schema["properties"].as_object().unwrap().values() {
                assert!(field["description"].is_string(), "{name}: {field}");
            }
        }
    }

    #[tokio::test]
    async fn a_tool_that_is_not_there_says_what_is() {
        let fixture = Fixture::new();
        assert_eq!(
            fixture.error("fly", json!({})).await,
            "tool `fly` does not exist; use one of: list_files, search_files, read_file, write_file, \
             edit_file, run_command"
        );
        let not_permitted = async |fixture: &Fixture, tool| {
            let output = fixture
                .toolbox()
                .call(tool, &json!({}), &CancellationToken::new())
                .await;
            output.not_permitted.map(|refused| refused.permission)
        };
        assert_eq!(not_permitted(&fixture, "write_file").await, None);
        let reader = fixture.permit(Permissions::default());
        assert_eq!(
            reader.error("write_file", json!({})).await,
            "tool `write_file` is not allowed here; use one of: list_files, search_files, read_file"
        );
        assert_eq!(not_permitted(&reader, "write_file").await, Some("write"));
        assert_eq!(not_permitted(&reader, "run_command").await, Some("run"));
        assert_eq!(
            not_permitted(&reader, "Bash").await,
            Some("run"),
            "by its name elsewhere"
        );
        assert_eq!(
            not_permitted(&reader, "read_file").await,
            None,
            "wrong input, but permitted"
        );
        assert_eq!(not_permitted(&reader, "fly").await, None);
    }

    #[tokio::test]
    async fn wrong_input_names_the_field() {
        let fixture = Fixture::new();
        assert_eq!(
            fixture
                .error("read_file", json!({"limit": "ten", "pat": "a"}))
                .await,
            "the input does not fit `read_file`:\n\
             - limit: \"ten\" is not of type \"integer\"\n\
             - Additional properties are not allowed ('pat' was unexpected)\n\
             - \"path\" is a required property"
        );
    }

    #[tokio::test]
    async fn long_results_are_cut_between_characters() {
        let mut text = "ää".to_owned();
        shorten(&mut text, 3);
        assert_eq!(text, "ä\n… 1 more bytes left out; ask for less at a time");
    }
}
