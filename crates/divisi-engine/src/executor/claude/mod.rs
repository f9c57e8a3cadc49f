//! Tasks carried out by Claude Code, without a terminal: `claude -p`.
//!
//! The user's login is used, but no hooks, plugins, MCP servers or settings of the user or the
//! project, and no session is kept: a task depends on its prompt, its folder and the permissions
//! of the run. Retries, routing and time limits are divisi's own.
//!
//! Left out on purpose: `bypassPermissions`, subagents of its own, the web, and the continuation of
//! a session after a crash.

mod stream;

use super::agent_program::{
    ARGUMENT_BYTES_MAX, AgentProgram, Printed, Version, carry_out, log_plan, no_result, value_of,
};
use super::{Context, Ending, Executor, ExecutorSpec, Progress};
use crate::clock::wall_clock;
use crate::process::{Exit, Program};
use crate::tools::{PROTECTED_NAMES, Permissions};
use async_trait::async_trait;
use divisi_core::price::Billing;
use divisi_core::{Failure, FailureClass, Millis, PicoUsd, Task, Tier, Usage};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use stream::{End, Note, Stream};

/// Its own retries of a refused request. The default of ten takes minutes, in which divisi could
/// choose another model.
pub(super) const RETRIES_MAX: &str = "2";

/// Variables with credentials that it needs, of those that are withheld from other programs.
const OWN_VARIABLES: [&str; 9] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_CUSTOM_HEADERS",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
];

/// Switches by which it asks its models of another cloud, and the credentials that it needs then.
const CLOUDS: [(&str, &[&str]); 3] = [
    (
        "CLAUDE_CODE_USE_BEDROCK",
        &[
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_BEARER_TOKEN_BEDROCK",
            "AWS_PROFILE",
        ],
    ),
    (
        "CLAUDE_CODE_USE_VERTEX",
        &["GOOGLE_APPLICATION_CREDENTIALS"],
    ),
    ("CLAUDE_CODE_USE_FOUNDRY", &["ANTHROPIC_FOUNDRY_API_KEY"]),
];

/// Variables by which it knows that it was started by another one, whose session it would join.
pub(super) const OF_A_PARENT: [&str; 6] = [
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_CODE_CHILD_SESSION",
    "CLAUDE_CODE_CHILD_NOTES_DIR",
    "CLAUDE_CODE_EXECPATH",
];

/// Characters that have a meaning in its rules for paths, and cannot be written in them otherwise.
const OF_RULES: &str = "(),*?[{\\";

const INSTALL: &str = "install it (`npm install -g @anthropic-ai/claude-code`), or name it in `command` of its executor, in \
     divisi.toml";

/// Carries out attempts with Claude Code.
#[derive(Debug)]
pub struct ClaudeExecutor {
    program: AgentProgram,
    version: Version,
}

impl ClaudeExecutor {
    /// Its usual name as an executor.
    pub const NAME: &'static str = "claude";

    /// An executor for this program.
    pub fn new(program: AgentProgram) -> Self {
        Self {
            program,
            version: Version::default(),
        }
    }

    /// Whether it may be asked for this model. It sends any word to its vendor and prices unknown
    /// ones like its dearest, so only those of Claude are accepted, or any if another server is
    /// configured.
    fn knows(&self, word: &str) -> bool {
        word.parse::<Tier>().is_ok()
            || ["auto", "inherit"].contains(&word)
            || word.contains("claude")
            || self.program.has_variable("ANTHROPIC_BASE_URL")
    }

    fn command(&self, context: &Context) -> Result<Program, Failure> {
        let model = context.model().unwrap_or_default();
        let model = model.strip_prefix("anthropic:").unwrap_or(model);
        if !self.knows(model) {
            return Err(unknown_model(model));
        }
        let mut prompt = context.prompt();
        let mut args = Arguments::new(context)?;
        args.pair("--model", model);
        if let Some(effort) = context.effort() {
            args.pair("--effort", effort.as_str());
        }
        args.pair("--max-turns", &context.turns_max().to_string());
        if self.program.cost.is_some() && context.reserved() > PicoUsd::ZERO {
            let dollars = context.reserved().0 as f64 / PicoUsd::DOLLAR.0 as f64;
            args.pair("--max-budget-usd", &format!("{dollars:.6}"));
        }
        if let Some(schema) = context.task().schema.as_deref() {
            let schema = schema.to_string();
            match schema.len() <= ARGUMENT_BYTES_MAX {
                true => args.pair("--json-schema", &schema),
                false => {
                    prompt += &format!("\n\nAnswer with JSON alone, of this schema:\n{schema}");
                }
            }
        }
        if let Some(text) = context.agent_prompt() {
            match text.len() <= ARGUMENT_BYTES_MAX {
                true => args.pair("--append-system-prompt", text),
                false => prompt = format!("{text}\n\n{prompt}"),
            }
        }
        let mut program = self.program.program(&own_variables(&self.program))?;
        for name in OF_A_PARENT {
            program = program.without_env(name);
        }
        let program = program
            .args(args.0)
            .env("CLAUDE_CODE_MAX_RETRIES", RETRIES_MAX)
            .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
            .stdin(prompt);
        Ok(self.program.with_env(program))
    }

    /// What it has printed before its first line.
    fn stream(&self) -> Stream {
        let switches = CLOUDS.iter().map(|(switch, _)| *switch);
        let mut accounts = switches.chain(["ANTHROPIC_AUTH_TOKEN"]);
        Stream::new(accounts.any(|name| self.program.has_variable(name)))
    }

    /// Books what it has used.
    fn book(&self, stream: &Stream, context: &Context) {
        if !stream.has_begun {
            return context.spent(Usage::default(), PicoUsd::ZERO);
        }
        if stream.end.is_none() || stream.spent().is_empty() {
            return self.book_in_all(stream, context);
        }
        let (now, prices) = (wall_clock(), context.prices());
        let is_in_plan = stream.is_in_plan();
        // All costs before the first is reported: one that is not known leaves the whole
        // reservation.
        let (mut at_list_price, mut is_known) = (PicoUsd::ZERO, true);
        let mut bills = vec![];
        for (model, spent) in stream.spent() {
            let by_table = || {
                let price = prices.price("anthropic", model, now)?;
                Some(price.billed(&spent.usage, Billing::default()))
            };
            let cost = spent.cost.or_else(by_table);
            if cost.is_none() {
                context.log(format!("warning: `{model}` has no price here"));
                is_known = false;
            }
            let cost = cost.unwrap_or_default();
            at_list_price += cost;
            bills.push((model, spent.usage, self.program.billed(cost, is_in_plan)));
        }
        let is_free = is_in_plan || self.program.cost.is_none();
        for (model, usage, cost) in bills {
            // The known part may exceed the reservation by itself.
            match is_known || is_free || at_list_price >= context.reserved() {
                true => context.spent_on(model, usage, cost),
                false => context.used_on(model, usage),
            }
        }
        if is_in_plan {
            log_plan(context, at_list_price);
        }
    }

    /// Books what it has used where it does not say by which model.
    fn book_in_all(&self, stream: &Stream, context: &Context) {
        let is_in_plan = stream.is_in_plan();
        // Of a result that names no model.
        let cost = match stream.cost_in_all {
            _ if is_in_plan || self.program.cost.is_none() => Some(PicoUsd::ZERO),
            Some(cost) if cost > PicoUsd::ZERO => Some(cost),
            _ if stream.end.is_some() && stream.seen == Usage::default() => Some(PicoUsd::ZERO),
            _ => None,
        };
        match cost {
            Some(cost) => context.spent(stream.seen, cost),
            // Tokens alone: the last replies are missing in them, so the reservation counts.
            None => context.used_in_all(stream.seen),
        }
    }
}

#[async_trait]
impl Executor for ClaudeExecutor {
    fn spec(&self) -> ExecutorSpec {
        self.program.spec()
    }

    fn accepts(&self, task: &Task, _: &Permissions) -> Result<(), Failure> {
        let word = task
            .model
            .0
            .iter()
            .chain(&task.fallback)
            .find(|word| !self.knows(word.strip_prefix("anthropic:").unwrap_or(word)));
        word.map_or(Ok(()), |word| Err(unknown_model(word)))
    }

    fn version(&self) -> Result<Arc<str>, Failure> {
        self.version.of(&self.program, INSTALL)
    }

    async fn run(&self, context: &Context) -> Ending {
        carry_out(
            self.command(context),
            self.stream(),
            INSTALL,
            context,
            |stream| self.book(stream, context),
            |stream, exit| ending(stream, exit, context),
        )
        .await
    }
}

impl Printed for Stream {
    fn line(&mut self, line: &[u8], context: &Context) {
        for note in self.read(line) {
            show(note, context);
        }
        if self.is_in_plan() {
            context.costs_nothing();
        }
    }
}

/// Variables with credentials that it needs.
pub(super) fn own_variables(program: &AgentProgram) -> Vec<&'static str> {
    let is_on = |switch: &str| {
        let value = program.variable(switch);
        value.is_some_and(|value| !["", "0", "false"].iter().any(|off| value == *off))
    };
    let clouds = CLOUDS.iter().filter(|(switch, _)| is_on(switch));
    let theirs = clouds.flat_map(|(_, names)| names.iter().copied());
    OWN_VARIABLES.into_iter().chain(theirs).collect()
}

/// The arguments of a call.
struct Arguments(Vec<String>);

impl Arguments {
    /// What each call has, and the permissions of the attempt.
    fn new(context: &Context) -> Result<Self, Failure> {
        let mut args = Self(
            [
                "-p",
                "--output-format",
                "stream-json",
                "--verbose",
                "--setting-sources",
                "",
                "--strict-mcp-config",
                "--disable-slash-commands",
                "--no-session-persistence",
            ]
            .map(str::to_owned)
            .into(),
        );
        args.permissions(context)?;
        Ok(args)
    }

    fn pair(&mut self, flag: &str, value: &str) {
        self.0.extend([flag.to_owned(), value.to_owned()]);
    }

    /// Only permitted tools exist. Files can be changed in the working folder alone: a rule that
    /// allows a tool by its name would allow it everywhere. Fails if no rule can name a protected
    /// file in that folder, or a forbidden command.
    fn permissions(&mut self, context: &Context) -> Result<(), Failure> {
        let rights = context.rights();
        let tools: Vec<&str> = rights
            .tools
            .iter()
            .filter_map(|name| known_tool(name))
            .collect();
        let has = |tool: &str| tools.contains(&tool);
        let writes = has("Edit") || has("Write");
        self.pair("--tools", &tools.join(","));
        self.pair(
            "--permission-mode",
            if writes { "acceptEdits" } else { "dontAsk" },
        );
        if has("Bash") {
            let rules = match &rights.commands {
                None => vec!["Bash".to_owned()],
                Some(patterns) => patterns.iter().map(|p| format!("Bash({p})")).collect(),
            };
            self.0.push("--allowedTools".to_owned());
            self.0.extend(rules);
        }
        let mut forbidden = rights.forbidden.iter();
        if let Some(pattern) = forbidden.find(|p| has("Bash") && p.contains(['(', ')'])) {
            let message = format!("`claude` has no rule for the commands `{pattern}`");
            return Err(Failure::new(FailureClass::BadRequest, message)
                .hint("forbid them by a pattern without brackets, or forbid all (`Bash`)"));
        }
        let mut forbidden: Vec<String> = rights
            .forbidden
            .iter()
            .map(|p| format!("Bash({p})"))
            .collect();
        if writes {
            forbidden.extend(
                PROTECTED_NAMES
                    .iter()
                    .flat_map(|name| [format!("Edit(**/{name})"), format!("Edit(**/{name}/**)")]),
            );
            let root = context.root();
            let real_root = root.canonicalize();
            let roots = [root, real_root.as_deref().unwrap_or(root)];
            for path in rights.protected.paths() {
                match path.to_str().filter(|path| has_rule(path)) {
                    Some(path) => forbidden.push(format!("Edit(/{path})")),
                    None if roots.iter().any(|root| path.starts_with(root)) => {
                        return Err(unprotected(&path));
                    }
                    // It changes nothing outside of its folder.
                    None => {}
                }
            }
        }
        if !forbidden.is_empty() {
            self.0.push("--disallowedTools".to_owned());
            self.0.extend(forbidden);
        }
        Ok(())
    }
}

/// Whether a rule of it can name this path and no other.
fn has_rule(path: &str) -> bool {
    !path.contains(|c: char| OF_RULES.contains(c) || c.is_control()) && !path.ends_with(' ')
}

fn unprotected(path: &Path) -> Failure {
    let message = format!(
        "`claude` could change {}, which decides over runs: its rules cannot name a path with any of {OF_RULES}",
        path.display()
    );
    Failure::new(FailureClass::BadRequest, message)
        .hint("rename it or its folder, or run without `--allow write`")
}

/// Its name of a tool of divisi.
pub(super) fn known_tool(name: &str) -> Option<&'static str> {
    Some(match name {
        "list_files" => "Glob",
        "search_files" => "Grep",
        "read_file" => "Read",
        "write_file" => "Write",
        "edit_file" => "Edit",
        "run_command" => "Bash",
        _ => return None,
    })
}

/// The permission without which it does not have a tool.
fn permission_for(tool: &str, permissions: Permissions) -> Option<&'static str> {
    match tool {
        "Bash" if !permissions.run => Some("run"),
        "Edit" | "Write" | "MultiEdit" | "NotebookEdit" if !permissions.write => Some("write"),
        _ => None,
    }
}

fn show(note: Note, context: &Context) {
    match note {
        Note::Tool(what) => context.shows(Progress::Tool(what)),
        Note::Says(what) | Note::Retries(what) => context.shows(Progress::Says(what)),
        Note::Denied(tool) => match permission_for(&tool, context.rights().permissions) {
            Some(permission) => context.refused(&tool, permission),
            None => {
                let title = context.task().title();
                context.log(format!("{title}: `claude` was not allowed to use {tool}"));
            }
        },
    }
}

/// The end of the attempt, by the last result and the exit code.
fn ending(stream: &Stream, exit: &Exit, context: &Context) -> Ending {
    let Some(end) = &stream.end else {
        return no_result("claude", exit).into();
    };
    let is_complete = end
        .terminal_reason
        .as_deref()
        .is_none_or(|reason| reason == "completed");
    if end.is_error || !is_complete {
        let failure = failure(stream, end);
        let limits = matches!(
            failure.class,
            FailureClass::RateLimited | FailureClass::Overloaded
        );
        let until_reset = || {
            let rest = Millis(stream.resets_at?.saturating_mul(1_000)).0;
            Some(Millis(rest.saturating_sub(wall_clock().0)))
        };
        let rest = match failure.class {
            FailureClass::Quota => until_reset(),
            _ if limits => stream.retry_delay.map(Millis),
            _ => None,
        };
        let ending = Ending::from(failure);
        return match rest {
            Some(rest) => ending.retry_after(rest),
            None => ending,
        };
    }
    if !exit.status.is_ok() {
        let message = format!("`claude` had a result, but ended with {}", exit.status);
        return Failure::new(FailureClass::Program, message).into();
    }
    result(end, context.task().schema.as_deref()).into()
}

/// The value of a complete result. The flag for schemas can end without a value, so it is looked
/// for in the text, too.
fn result(end: &End, schema: Option<&Value>) -> Result<Value, Failure> {
    match (schema, &end.structured) {
        (Some(_), Some(value)) => Ok(value.clone()),
        (Some(schema), None) => value_of("claude", schema, &end.text),
        (None, _) if end.text.trim().is_empty() => {
            Err(Failure::new(FailureClass::Empty, "the answer was empty"))
        }
        (None, _) => Ok(Value::from(end.text.as_str())),
    }
}

/// Why there is no result.
fn failure(stream: &Stream, end: &End) -> Failure {
    let said = match end.text.trim() {
        "" => "it did not say why",
        said => said,
    };
    match end.terminal_reason.as_deref() {
        Some("max_turns") => {
            let message = format!("did not finish in {} turns", end.turns.saturating_sub(1));
            return Failure::new(FailureClass::Turns, message).hint(
                "raise `maxTurns` of the task or `turns_max` of the settings, or ask for less",
            );
        }
        Some("budget_exhausted") => {
            return Failure::new(FailureClass::Budget, said).hint(
                "raise `maxCost` of the task or `cost` of its executor in divisi.toml, or ask for less",
            );
        }
        Some("prompt_too_long") => return Failure::new(FailureClass::TooLong, said),
        Some("structured_output_retry_exhausted") => {
            return Failure::new(FailureClass::Schema, said);
        }
        _ => {}
    }
    let class = class(stream.error.as_deref(), end.status, said);
    let failure = Failure::new(class, said);
    match class {
        FailureClass::Auth => failure.hint(
            "log in with `claude` and its command /login, or set ANTHROPIC_API_KEY to a valid key",
        ),
        FailureClass::Quota => {
            failure.hint("wait for your plan's reset or add credit, then resume")
        }
        _ => failure,
    }
}

/// The class of an API error: by the vendor's word, the HTTP status and, for what these leave open,
/// the text.
pub(super) fn class(error: Option<&str>, status: Option<u64>, said: &str) -> FailureClass {
    let lower = said.to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    // The quota of a subscription, which is there again after hours.
    let is_plan = says(&[
        "usage limit",
        "limit reached",
        "hit your",
        "session limit",
        "weekly limit",
    ]);
    match (error, status) {
        (Some("billing_error"), _) | (_, Some(402)) => FailureClass::Quota,
        (Some("authentication_failed"), _) | (_, Some(401 | 403)) => FailureClass::Auth,
        (Some("rate_limit"), _) | (_, Some(429)) if is_plan => FailureClass::Quota,
        (Some("rate_limit"), _) | (_, Some(429)) => FailureClass::RateLimited,
        (Some("overloaded"), _) | (_, Some(529)) => FailureClass::Overloaded,
        (Some("model_not_found"), _) | (_, Some(404)) => FailureClass::Unavailable,
        (_, Some(400 | 413)) if says(&["too long", "too large"]) => FailureClass::TooLong,
        (_, Some(400)) if says(&["credit balance"]) => FailureClass::Quota,
        (Some("invalid_request"), _) | (_, Some(400..=499)) => FailureClass::BadRequest,
        (_, Some(500..=599)) => FailureClass::Server,
        // Without a status nothing answered.
        (Some("server_error"), None) => FailureClass::Network,
        (Some("server_error"), _) => FailureClass::Server,
        _ => FailureClass::Program,
    }
}

fn unknown_model(word: &str) -> Failure {
    let message = format!("`claude` has no model `{word}`");
    Failure::new(FailureClass::Unavailable, message)
        .hint("name haiku, sonnet, opus, fable or an id of Claude, or leave the model out")
}
