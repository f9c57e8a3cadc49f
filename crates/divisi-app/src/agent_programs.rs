//! Which agent programs are installed, and whether they can work.

use crate::settings::{AUTO, Environment, ExecutorKind, ExecutorSettings, Settings};
use divisi_engine::executor::{AcpExecutor, ClaudeExecutor, CodexExecutor, Executor as _};
use std::path::{Path, PathBuf};

/// An agent program, as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentProgramFound {
    /// Its name as an executor.
    pub name: String,
    /// What it says of its version, or why it says nothing.
    pub version: Result<String, String>,
    /// How it is paid for.
    pub login: Login,
}

/// How an agent program is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// By a key or a token in a variable.
    Key,
    /// By its own login, such as that of a subscription.
    Own,
    /// Neither was found.
    None,
    /// Only the agent knows.
    Unknown,
}

/// The agent program that carries out tasks instead, where the settings leave executor and provider
/// open and there is no model to ask: the first one that is installed and has a login. Runs none of
/// them.
pub fn instead(settings: &Settings, environment: &Environment) -> Option<&'static str> {
    if settings.executor != AUTO || settings.provider != AUTO {
        return None;
    }
    let command = |name: &'static str| {
        let own = settings.executors.get(name);
        let own = own.and_then(|executor| executor.command.first());
        own.map_or(name, String::as_str)
    };
    let logins = logins(settings, environment).into_iter();
    let mut ready = logins
        .filter(|(name, login)| *login != Login::None && is_installed(command(name), environment));
    ready.next().map(|(name, _)| name)
}

/// Whether the executor of tasks that name none is an agent program without a login or a key.
pub(crate) fn lacks_login(settings: &Settings, environment: &Environment) -> bool {
    let logins = logins(settings, environment).into_iter();
    let mut own = logins.filter(|(name, _)| *name == settings.executor);
    own.any(|(_, login)| login == Login::None)
}

/// The agent programs that divisi knows; those of the Agent Client Protocol only if they are
/// installed, or named in the settings. Runs each to get its version, so `settings` must be
/// trusted.
pub fn agent_programs(settings: &Settings, environment: &Environment) -> Vec<AgentProgramFound> {
    let version = |name: &str| {
        let default = ExecutorSettings::default();
        let executor = settings.executors.get(name).unwrap_or(&default);
        let version = executor.agent_program(name).version();
        version
            .map(|version| version.to_string())
            .map_err(|failure| failure.message)
    };
    let found = logins(settings, environment).into_iter();
    let found = found.map(|(name, login)| AgentProgramFound {
        name: name.to_owned(),
        version: version(name),
        login,
    });
    found.chain(acp_agents(settings, environment)).collect()
}

/// How each of them is paid for.
fn logins(settings: &Settings, environment: &Environment) -> [(&'static str, Login); 2] {
    // Variables of the settings replace all others, as when it carries out a task.
    let variable = |program: &str, name: &str| {
        let own = settings.executors.get(program);
        let own = own.and_then(|executor| executor.env.get(name).cloned());
        own.or_else(|| environment.get(name).map(str::to_owned))
            .filter(|value| !value.is_empty())
    };
    let has =
        |program: &str, names: &[&str]| names.iter().any(|name| variable(program, name).is_some());
    let home = etcetera::home_dir().ok();
    let folder = |program: &str, name: &str, usual: &str| {
        let own = variable(program, name).map(PathBuf::from);
        own.or_else(|| Some(home.as_ref()?.join(usual)))
    };
    let is_there = |folder: Option<PathBuf>, file: &str| {
        folder.is_some_and(|folder| folder.join(file).is_file())
    };
    let claude = match has(
        ClaudeExecutor::NAME,
        &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"],
    ) {
        true => Login::Key,
        false
            if has(ClaudeExecutor::NAME, &["CLAUDE_CODE_OAUTH_TOKEN"])
                || is_there(
                    folder(ClaudeExecutor::NAME, "CLAUDE_CONFIG_DIR", ".claude"),
                    ".credentials.json",
                )
                || has_account(home.as_deref()) =>
        {
            Login::Own
        }
        false => Login::None,
    };
    let codex = match has(CodexExecutor::NAME, &["CODEX_API_KEY"]) {
        true => Login::Key,
        false
            if is_there(
                folder(CodexExecutor::NAME, "CODEX_HOME", ".codex"),
                "auth.json",
            ) =>
        {
            Login::Own
        }
        false => Login::None,
    };
    [(ClaudeExecutor::NAME, claude), (CodexExecutor::NAME, codex)]
}

/// The agents of the Agent Client Protocol that the settings name or that are installed.
fn acp_agents(settings: &Settings, environment: &Environment) -> Vec<AgentProgramFound> {
    let named = settings
        .executors
        .iter()
        .filter(|(name, executor)| executor.kind(name) == ExecutorKind::Acp)
        .map(|(name, _)| name.clone());
    let installed = AcpExecutor::names().filter(|name| {
        let program = AcpExecutor::command_of(name).and_then(|command| command.into_iter().next());
        !settings.executors.contains_key(name)
            && program.is_some_and(|program| is_installed(&program, environment))
    });
    let acp_version = |name: &str| {
        let default = ExecutorSettings::default();
        let executor = settings.executors.get(name).unwrap_or(&default);
        let version = AcpExecutor::new(name, executor.agent_program(name)).version();
        version
            .map(|version| version.to_string())
            .map_err(|failure| failure.message)
    };
    let acp = named.chain(installed).map(|name| {
        let has_key = AcpExecutor::keys_of(&name).any(|key| environment.get(key).is_some());
        AgentProgramFound {
            version: acp_version(&name),
            login: match has_key {
                true => Login::Key,
                false => Login::Unknown,
            },
            name,
        }
    });
    acp.collect()
}

/// Whether a program of this name is in `PATH`, or a file.
fn is_installed(program: &str, environment: &Environment) -> bool {
    let path = environment.get("PATH").unwrap_or_default();
    Path::new(program).is_file()
        || std::env::split_paths(path).any(|folder| folder.join(program).is_file())
}

/// Whether Claude Code notes an account: on some systems its credentials are in no file.
fn has_account(home: Option<&Path>) -> bool {
    /// The file also has its history, which may be long.
    const BYTES_MAX: u64 = 16 << 20;
    let file = home.map(|home| home.join(".claude.json"));
    let text = file.and_then(|file| divisi_files::read(&file, BYTES_MAX).ok());
    let json = text.and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    json.is_some_and(|json| {
        ["oauthAccount", "primaryApiKey"]
            .iter()
            .any(|name| json.get(name).is_some_and(|value| !value.is_null()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn variables_of_the_settings_decide_about_the_login() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("auth.json"), "{}").unwrap();
        let path = home.path().display().to_string();
        let codex = ExecutorSettings {
            command: vec!["true".into()],
            env: BTreeMap::from([("CODEX_HOME".into(), path)]),
            ..ExecutorSettings::default()
        };
        let mut settings = Settings::default();
        settings.executors.insert(CodexExecutor::NAME.into(), codex);
        let found = agent_programs(&settings, &Environment::default());
        let codex = found.iter().find(|known| known.name == CodexExecutor::NAME);
        assert_eq!(codex.unwrap().login, Login::Own);
    }
}
