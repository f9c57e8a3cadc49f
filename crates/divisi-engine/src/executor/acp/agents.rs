//! The agents that divisi knows: how each is started, made to ask, logged in to and paid.

use crate::executor::claude::{self, known_tool};
use crate::executor::{AgentProgram, Context};
use divisi_core::PicoUsd;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// An agent that divisi knows.
#[derive(Debug)]
pub(super) struct Known {
    /// Its name, after `acp:`.
    pub(super) name: &'static str,
    /// The command that speaks the protocol.
    pub(super) command: &'static [&'static str],
    /// Variables with credentials of its own, of those that are withheld from other programs.
    pub(super) variables: &'static [&'static str],
    /// Variables that make it ask before it changes anything.
    pub(super) env: &'static [(&'static str, &'static str)],
    /// Names of files and folders by which a project makes it run programs, and that no variable or
    /// flag makes it leave out: it does not start where there are any.
    pub(super) project: &'static [&'static str],
    /// The mode in which it asks before it changes anything, if it has modes.
    pub(super) mode: Option<&'static str>,
    /// Whose models it asks, if those of one vendor: their prices apply.
    pub(super) vendor: Option<&'static str>,
    /// Whether tiers are names of its models, so that it is asked for one in any case.
    pub(super) has_tiers: bool,
    /// How it is installed.
    pub(super) install: &'static str,
    /// How it is logged in to.
    pub(super) login: &'static str,
}

/// All of them.
pub(super) static ALL: [Known; 5] = [
    Known {
        name: "claude",
        command: &["claude-agent-acp"],
        variables: &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"],
        env: &[
            ("CLAUDE_CODE_MAX_RETRIES", claude::RETRIES_MAX),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ],
        project: &[],
        mode: Some("default"),
        vendor: Some("anthropic"),
        has_tiers: true,
        install: "npm install -g @agentclientprotocol/claude-agent-acp",
        login: "log in with `claude` and its command /login, or set ANTHROPIC_API_KEY",
    },
    Known {
        name: "codex",
        command: &["codex-acp"],
        variables: &[
            "CODEX_API_KEY",
            "OPENAI_API_KEY",
            "HTTPS_PROXY",
            "https_proxy",
        ],
        env: &[],
        project: &[".codex"],
        // Commands run in its own sandbox, without network, and it asks for all beyond.
        mode: Some("read-only"),
        vendor: Some("openai"),
        has_tiers: true,
        install: "npm install -g @agentclientprotocol/codex-acp",
        login: "log in with `codex login`, or set CODEX_API_KEY",
    },
    Known {
        name: "gemini",
        command: &["gemini", "--acp"],
        variables: &[
            "GEMINI_API_KEY",
            "GOOGLE_API_KEY",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOOGLE_GEMINI_BASE_URL",
            "HTTPS_PROXY",
            "https_proxy",
        ],
        env: &[],
        project: &[".gemini"],
        mode: Some("default"),
        vendor: Some("google"),
        has_tiers: false,
        install: "npm install -g @google/gemini-cli",
        login: "log in with `gemini`, or set GEMINI_API_KEY",
    },
    Known {
        name: "opencode",
        command: &["opencode", "acp"],
        variables: ANY_VENDOR,
        env: &[
            (
                "OPENCODE_PERMISSION",
                r#"{"edit":"ask","bash":"ask","webfetch":"ask","websearch":"ask","external_directory":"ask"}"#,
            ),
            // Plugins and MCP servers of a project run before anything is asked.
            ("OPENCODE_DISABLE_PROJECT_CONFIG", "1"),
            ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
        ],
        project: &[],
        mode: None,
        vendor: None,
        has_tiers: false,
        install: "npm install -g opencode-ai",
        login: "log in with `opencode auth login`, or set the key of a vendor",
    },
    Known {
        name: "goose",
        command: &["goose", "acp"],
        variables: ANY_VENDOR,
        env: &[("GOOSE_MODE", "approve")],
        project: &[],
        mode: None,
        vendor: None,
        has_tiers: false,
        install: "see https://block.github.io/goose",
        login: "run `goose configure`, or set the key of a vendor",
    },
];

/// Keys of agents that ask whatever vendor the user has chosen in them.
const ANY_VENDOR: &[&str] = &[
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "OPENROUTER_API_KEY",
    "HTTPS_PROXY",
    "https_proxy",
];

/// The agent of this name.
pub(super) fn known(name: &str) -> Option<&'static Known> {
    ALL.iter().find(|known| known.name == name)
}

impl Known {
    /// Variables with credentials that it needs, for this program.
    pub(super) fn own_variables(&self, program: &AgentProgram) -> Vec<&'static str> {
        match self.name {
            "claude" => claude::own_variables(program),
            _ => self.variables.to_vec(),
        }
    }

    /// What makes it run programs of the project that holds `folder`: in that folder, or in one above
    /// it in its repository. The user's own settings in the home folder are no project's.
    pub(super) fn found_in(&self, folder: &Path) -> Option<PathBuf> {
        let is_home = |folder: &Path| etcetera::home_dir().is_ok_and(|home| home == folder);
        let top = folder.ancestors().find(|above| above.join(".git").exists());
        let top = top.unwrap_or(folder);
        let mut within = folder
            .ancestors()
            .take_while(|above| above.starts_with(top) && !is_home(above));
        within.find_map(|folder| {
            let paths = self.project.iter().map(|name| folder.join(name));
            paths
                .into_iter()
                .find(|path| path.symlink_metadata().is_ok())
        })
    }

    /// What is sent with a new session beside the protocol, to the adapter of Claude Code alone: its
    /// limits, its tools, and to leave out hooks, plugins, MCP servers and settings, as by
    /// [`ClaudeExecutor`](crate::executor::ClaudeExecutor).
    pub(super) fn session(&self, context: &Context, has_cost: bool) -> Option<Value> {
        if self.name != "claude" {
            return None;
        }
        let tools: Vec<&str> = context
            .rights()
            .tools
            .iter()
            .filter_map(|name| known_tool(name))
            .collect();
        let forbidden = &context.rights().forbidden;
        let forbidden: Vec<_> = forbidden.iter().map(|p| format!("Bash({p})")).collect();
        let mut options = json!({
            "settingSources": [],
            "strictMcpConfig": true,
            "persistSession": false,
            "promptSuggestions": false,
            "maxTurns": context.turns_max(),
            "tools": tools,
            "disallowedTools": forbidden,
        });
        if has_cost && context.reserved() > PicoUsd::ZERO {
            options["maxBudgetUsd"] =
                (context.reserved().0 as f64 / PicoUsd::DOLLAR.0 as f64).into();
        }
        Some(json!({ "claudeCode": { "options": options } }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_project_are_found_up_to_the_top_of_its_repository() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("repository/inner");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::create_dir(folder.path().join(".codex")).unwrap();
        let codex = known("codex").unwrap();
        std::fs::create_dir(folder.path().join("repository/.git")).unwrap();
        assert_eq!(codex.found_in(&inner), None, "outside of the repository");
        let own = folder.path().join("repository/.codex");
        std::os::unix::fs::symlink("nowhere", &own).unwrap();
        assert_eq!(codex.found_in(&inner), Some(own));
        assert_eq!(known("opencode").unwrap().found_in(&inner), None);
    }
}
