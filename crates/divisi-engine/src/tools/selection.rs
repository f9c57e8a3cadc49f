//! Selects an agent's tools, by divisi's names or by those of other programs.

use super::{CommandRules, Tool};
use crate::mcp::Pattern;
use std::collections::BTreeSet;

/// The tools that an agent requests. Permissions may remove some.
///
/// Agent definitions are also written for other programs, whose names are understood: `Read`,
/// `Grep`, `Glob`, `LS`, `Edit`, `MultiEdit`, `Write` and `Bash`. `Bash(git log *)` requests
/// commands of this form only. A tool with a restriction that cannot be enforced is withheld.
/// Tools of MCP servers are selected by their names alone (`mcp__git__log`, `mcp__git__*`), never by
/// `*` or by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    tools: BTreeSet<Tool>,
    commands: CommandRules,
    missing: Vec<String>,
    mcp: Vec<Pattern>,
    mcp_denied: Vec<Pattern>,
}

impl Selection {
    /// All tools.
    pub fn all() -> Self {
        Self {
            tools: Tool::ALL.into(),
            commands: CommandRules::default(),
            missing: Vec::new(),
            mcp: Vec::new(),
            mcp_denied: Vec::new(),
        }
    }

    /// The `allowed` tools, or all by default, without the `disallowed` ones.
    pub fn of<S: AsRef<str>>(allowed: Option<&[S]>, disallowed: &[S]) -> Self {
        let mut selection = match allowed {
            Some(names) => Self::none().with(names),
            None => Self::all(),
        };
        for name in disallowed.iter().map(|name| Name::read(name.as_ref())) {
            match name {
                Name::All => {
                    selection.tools.clear();
                    selection.mcp.clear();
                }
                Name::Mcp(pattern, _) => selection.mcp_denied.push(*pattern),
                Name::Tool(tool) | Name::Narrowed(tool, _) => _ = selection.tools.remove(&tool),
                Name::Commands(pattern) => selection.commands.deny(pattern),
                // Tools that divisi does not have need not be removed.
                Name::Unknown(_) => {}
            }
        }
        selection
    }

    /// Names of tools that divisi does not have, or cannot restrict as requested. Worth a warning:
    /// the agent was written for them.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The patterns of allowed commands, if not all are, and of denied ones.
    pub(crate) fn command_patterns(&self) -> (Option<&[String]>, &[String]) {
        self.commands.patterns()
    }

    /// The allowed and the denied tools of MCP servers.
    pub(crate) fn mcp(&self) -> (&[Pattern], &[Pattern]) {
        (&self.mcp, &self.mcp_denied)
    }

    pub(super) fn tools(&self) -> impl Iterator<Item = Tool> {
        self.tools.iter().copied()
    }

    pub(super) fn commands(&self) -> &CommandRules {
        &self.commands
    }

    fn none() -> Self {
        Self {
            tools: BTreeSet::new(),
            ..Self::all()
        }
    }

    fn with<S: AsRef<str>>(mut self, names: &[S]) -> Self {
        let mut patterns = Vec::new();
        for name in names.iter().map(|name| Name::read(name.as_ref())) {
            match name {
                Name::All => self.tools.extend(Tool::ALL),
                Name::Tool(tool) => _ = self.tools.insert(tool),
                Name::Commands(pattern) => patterns.push(pattern),
                Name::Mcp(pattern, None) if !self.mcp.contains(&pattern) => self.mcp.push(*pattern),
                Name::Mcp(_, None) => {}
                Name::Narrowed(_, name) | Name::Unknown(name) | Name::Mcp(_, Some(name))
                    if self.missing.contains(&name) => {}
                Name::Narrowed(_, name) | Name::Unknown(name) | Name::Mcp(_, Some(name)) => {
                    self.missing.push(name);
                }
            }
        }
        // A plain tool is not restricted by further patterns.
        if !patterns.is_empty() && self.tools.insert(Tool::RunCommand) {
            self.commands.allow_only(patterns);
        }
        self
    }
}

/// One entry of a list of tools.
enum Name {
    All,
    Tool(Tool),
    /// Commands that match the pattern.
    Commands(String),
    /// A tool restricted to some arguments, which divisi cannot check.
    Narrowed(Tool, String),
    /// Tools of MCP servers, with the whole entry if it restricts them to some arguments.
    Mcp(Box<Pattern>, Option<String>),
    Unknown(String),
}

impl Name {
    fn read(text: &str) -> Self {
        let text = text.trim();
        let (name, pattern) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((name, pattern)) => (name, Some(pattern.trim())),
            None => (text, None),
        };
        if name == "*" {
            return Self::All;
        }
        if let Some(mcp) = Pattern::parse(name) {
            let narrowed = pattern.filter(|pattern| !matches!(*pattern, "" | "*"));
            return Self::Mcp(mcp.into(), narrowed.map(|_| text.to_owned()));
        }
        match (tool(name), pattern) {
            (None, _) => Self::Unknown(text.to_owned()),
            (Some(tool), None | Some("" | "*")) => Self::Tool(tool),
            (Some(Tool::RunCommand), Some(pattern)) => Self::Commands(pattern.to_owned()),
            (Some(tool), Some(_)) => Self::Narrowed(tool, text.to_owned()),
        }
    }
}

/// The tool with this name, in divisi or in other programs.
pub(super) fn tool(name: &str) -> Option<Tool> {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "glob" | "ls" => Some(Tool::ListFiles),
        "grep" => Some(Tool::SearchFiles),
        "read" => Some(Tool::ReadFile),
        "write" => Some(Tool::WriteFile),
        "edit" | "multiedit" => Some(Tool::EditFile),
        "bash" => Some(Tool::RunCommand),
        _ => Tool::ALL.into_iter().find(|tool| tool.name() == name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(allowed: Option<&[&str]>, disallowed: &[&str]) -> String {
        let selection = Selection::of(allowed, disallowed);
        selection
            .tools()
            .map(Tool::name)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn foreign_names_stand_for_ours() {
        assert_eq!(
            selected(Some(&["Read", "Grep", " Glob"]), &[]),
            "list_files search_files read_file"
        );
        assert_eq!(
            selected(Some(&["LS", "MultiEdit", "read_file"]), &[]),
            "list_files read_file edit_file"
        );
        assert_eq!(
            selected(Some(&["Write", "bash"]), &[]),
            "write_file run_command"
        );
        assert_eq!(selected(Some(&[]), &[]), "");
        assert_eq!(selected(Some(&["*"]), &[]), selected(None, &[]));
    }

    #[test]
    fn what_is_disallowed_is_not_there() {
        let readers = "list_files search_files read_file";
        assert_eq!(
            selected(None, &["Write", "Edit", "Bash", "WebSearch"]),
            readers
        );
        assert_eq!(selected(Some(&["Read"]), &["*"]), "");
    }

    #[test]
    fn a_tool_that_cannot_be_narrowed_is_withheld() {
        let selection = Selection::of(
            Some(&["Read(docs/**)", "Grep", "WebFetch", "WebFetch"]),
            &[],
        );
        assert_eq!(selection.tools().collect::<Vec<_>>(), [Tool::SearchFiles]);
        assert_eq!(selection.missing(), ["Read(docs/**)", "WebFetch"]);
        assert_eq!(
            selected(Some(&["Read", "Grep"]), &["Read(.env)"]),
            "search_files"
        );
    }

    #[test]
    fn tools_of_mcp_servers_are_selected_by_name_alone() {
        let mcp = |allowed: Option<&[&str]>, disallowed: &[&str]| {
            let selection = Selection::of(allowed, disallowed);
            let (allowed, denied) = selection.mcp();
            let names = |patterns: &[Pattern]| {
                let names: Vec<_> = patterns.iter().map(Pattern::as_str).collect();
                names.join(" ")
            };
            format!("{} - {}", names(allowed), names(denied))
        };
        assert_eq!(mcp(None, &[]), " - ");
        assert_eq!(mcp(Some(&["*"]), &[]), " - ");
        assert_eq!(
            mcp(
                Some(&["mcp__a__*", "Read", "mcp__a__*"]),
                &["mcp__a__drop(x)"]
            ),
            "mcp__a__* - mcp__a__drop"
        );
        assert_eq!(mcp(Some(&["mcp__a"]), &["*"]), " - ");
        let narrowed = Selection::of(Some(&["mcp__a__get(https://x/*)"]), &[]);
        assert_eq!(narrowed.missing(), ["mcp__a__get(https://x/*)"]);
        assert!(narrowed.mcp().0.is_empty());
    }

    #[test]
    fn patterns_narrow_commands_unless_all_are_allowed_anyway() {
        let commands = |names| Selection::of(Some(names), &[]).commands.check("ls");
        assert!(commands(&["Bash(git log *)", "Bash(npm:*)"]).is_err());
        assert!(commands(&["Bash(git log *)", "Bash"]).is_ok());
        assert!(commands(&["Bash(*)"]).is_ok());
        assert!(
            Selection::of(None, &["Bash(ls *)"])
                .commands
                .check("ls")
                .is_err()
        );
    }
}
