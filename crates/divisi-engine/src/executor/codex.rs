//! Tasks carried out by Codex, without a terminal: `codex exec --json`.
//!
//! The user's login is used, but not the user's configuration, and no session is kept. It always
//! has its shell, whose commands run in its own sandbox, without network: they can change files of
//! the working folder, and of a temporary folder of the attempt, if the task has a tool for that and
//! the run permits it, and nothing otherwise.
//! It has no rules for single files or commands. So tasks that restrict commands are refused, and of
//! the files that are protected from other agents only those outside of the folder are from it.
//!
//! It has no limit of its own for turns or money, reports no cost and no model, and does not check
//! what fits a schema: its tokens are priced by divisi's table for the model it was asked for, and
//! results are checked here.

use super::agent_program::{
    AgentProgram, Printed, Version, carry_out, log_plan, no_result, shown, value_of, whole_prompt,
};
use super::claude::class;
use super::{Context, Ending, Executor, ExecutorSpec, Progress};
use crate::clock::wall_clock;
use crate::process::{Exit, Program};
use crate::tools::{Permissions, Selection};
use async_trait::async_trait;
use divisi_core::price::Billing;
use divisi_core::{Effort, Failure, FailureClass, PicoUsd, Task, Tier, Usage};
use divisi_providers::{usage_of_codex, vendors};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whose models it asks, and whose prices apply.
const VENDOR: &str = "openai";

/// Variables with credentials that it needs, of those that are withheld from other programs.
const OWN_VARIABLES: [&str; 3] = ["CODEX_API_KEY", "HTTPS_PROXY", "https_proxy"];

/// Largest file of a login.
const LOGIN_BYTES_MAX: u64 = 1 << 20;

const INSTALL: &str = "install it (`npm install -g @openai/codex`), or name it in `command` of its executor, in divisi.toml";

/// Carries out attempts with Codex.
#[derive(Debug)]
pub struct CodexExecutor {
    program: AgentProgram,
    version: Version,
}

/// What it has printed so far.
#[derive(Debug, Default)]
struct Stream {
    has_begun: bool,
    /// Whether a reply has come, of which an item is a part.
    has_replied: bool,
    /// The last message of the agent.
    said: Option<String>,
    /// Tokens, as counted at the end of the last turn: those of the whole session.
    usage: Option<Usage>,
    /// Why the turn failed.
    error: Option<String>,
}

impl CodexExecutor {
    /// Its usual name as an executor.
    pub const NAME: &'static str = "codex";

    /// An executor for this program.
    pub fn new(program: AgentProgram) -> Self {
        Self {
            program,
            version: Version::default(),
        }
    }

    /// `temporary` is the attempt's own folder for temporary files.
    fn command(&self, context: &Context, temporary: &Path) -> Result<Program, Failure> {
        let model = model_id(context.model().unwrap_or_default())?;
        let rights = context.rights();
        can_enforce(rights.commands.as_deref(), &rights.forbidden)?;
        let writes = ["write_file", "edit_file"];
        let sandbox = match rights.tools.iter().any(|tool| writes.contains(&&**tool)) {
            true => "workspace-write",
            false => "read-only",
        };
        let mut args: Vec<String> = [
            "exec",
            "--json",
            "--skip-git-repo-check",
            "--ephemeral",
            "--ignore-user-config",
            "-s",
            sandbox,
            "-m",
            &model,
        ]
        .map(str::to_owned)
        .into();
        // Its sandbox would let commands write to all of `/tmp`.
        args.extend([
            "-c".to_owned(),
            "sandbox_workspace_write.exclude_slash_tmp=true".to_owned(),
        ]);
        if let Some(effort) = context.effort() {
            let word = match effort {
                Effort::Max => Effort::Xhigh.as_str(),
                other => other.as_str(),
            };
            args.extend(["-c".to_owned(), format!("model_reasoning_effort={word}")]);
        }
        args.push("-".to_owned());
        let prompt = whole_prompt(context);
        let program = self.program.program(&OWN_VARIABLES)?;
        let program = self.program.with_env(program.args(args).stdin(prompt));
        Ok(program.env("TMPDIR", temporary))
    }

    /// Whether a subscription pays for it: no key is set, and its login has none.
    fn is_in_plan(&self) -> bool {
        if self.program.has_variable("CODEX_API_KEY") {
            return false;
        }
        let home = self.program.variable("CODEX_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(etcetera::home_dir().ok()?.join(".codex")));
        let file = home.map(|home| home.join("auth.json"));
        let login = file.and_then(|file| divisi_files::read(&file, LOGIN_BYTES_MAX).ok());
        login
            .and_then(|text| serde_json::from_slice::<Value>(&text).ok())
            .is_some_and(|login| !login["OPENAI_API_KEY"].is_string())
    }

    /// Books what it has used.
    fn book(&self, stream: &Stream, context: &Context, is_in_plan: bool) {
        let is_free = is_in_plan || self.program.cost.is_none();
        let Some(usage) = stream.usage else {
            // A turn that failed before its first reply has cost nothing; what it has used if it
            // failed later is not reported.
            let is_refused = stream.error.is_some() && !stream.has_replied;
            if !stream.has_begun || is_refused {
                context.spent(Usage::default(), PicoUsd::ZERO);
            }
            return;
        };
        let prices = context.prices();
        let model = model_id(context.model().unwrap_or_default()).unwrap_or_default();
        let price = prices.price(VENDOR, &model, wall_clock());
        if price.is_none() {
            context.log(format!("warning: `{model}` has no price here"));
            if !is_free {
                return context.used_on(&model, usage);
            }
        }
        let cost = price.map_or(PicoUsd::ZERO, |price| {
            price.billed(&usage, Billing::default())
        });
        context.spent_on(&model, usage, self.program.billed(cost, is_in_plan));
        if is_in_plan {
            log_plan(context, cost);
        }
    }
}

#[async_trait]
impl Executor for CodexExecutor {
    fn spec(&self) -> ExecutorSpec {
        self.program.spec()
    }

    fn accepts(&self, task: &Task, _: &Permissions) -> Result<(), Failure> {
        // What an agent definition restricts is known to the attempt.
        let selection = Selection::of(task.tools.as_deref(), &task.disallowed_tools);
        let (commands, forbidden) = selection.command_patterns();
        can_enforce(commands, forbidden)?;
        let words = task.model.0.iter().chain(&task.fallback);
        words
            .filter(|word| !["auto", "inherit"].contains(&&***word))
            .try_for_each(|word| model_id(word).map(|_| ()))
    }

    fn version(&self) -> Result<Arc<str>, Failure> {
        self.version.of(&self.program, INSTALL)
    }

    async fn run(&self, context: &Context) -> Ending {
        let is_in_plan = self.is_in_plan();
        if is_in_plan {
            context.costs_nothing();
        }
        let temporary = match tempfile::tempdir() {
            Ok(temporary) => temporary,
            Err(error) => {
                let message = format!("cannot make a folder for temporary files: {error}");
                return Err(Failure::new(FailureClass::Program, message)).into();
            }
        };
        carry_out(
            self.command(context, temporary.path()),
            Stream::default(),
            INSTALL,
            context,
            |stream| self.book(stream, context, is_in_plan),
            |stream: &Stream, exit| result(stream, exit, context.task().schema.as_deref()).into(),
        )
        .await
    }
}

impl Printed for Stream {
    fn line(&mut self, line: &[u8], context: &Context) {
        if let Some(progress) = self.read(line) {
            context.shows(progress);
        }
    }
}

impl Stream {
    /// Reads one line. Unknown events, fields and lines are passed over.
    fn read(&mut self, line: &[u8]) -> Option<Progress> {
        let event: Value = serde_json::from_slice(line).ok()?;
        let (kind, item) = (event["type"].as_str()?, &event["item"]);
        // Warnings are items, too, and may come before any request.
        if kind.starts_with("item.") && item["type"] != "error" {
            self.has_replied = true;
            self.error = None;
        }
        match (kind, item["type"].as_str()) {
            ("thread.started", _) => {
                self.has_begun = true;
                None
            }
            ("item.completed", Some("agent_message")) => {
                let said = item["text"].as_str()?;
                self.said = Some(said.to_owned());
                Some(shown(said))
                    .filter(|said| !said.is_empty())
                    .map(Progress::Says)
            }
            ("item.started", Some("command_execution")) => {
                let command = item["command"].as_str()?;
                Some(Progress::Tool(shown(command)))
            }
            ("turn.completed", _) => {
                self.usage = Some(usage_of_codex(&event["usage"]));
                self.error = None;
                None
            }
            ("turn.failed", _) => {
                self.fails(&event["error"]["message"], "the turn failed");
                None
            }
            ("error", _) => {
                self.fails(&event["message"], "it did not say why");
                None
            }
            _ => None,
        }
    }
}

impl Stream {
    /// Notes an error. One without a text does not replace one that has a text.
    fn fails(&mut self, message: &Value, otherwise: &str) {
        match message.as_str() {
            Some(message) => self.error = Some(message.to_owned()),
            None => _ = self.error.get_or_insert_with(|| otherwise.to_owned()),
        }
    }
}

fn result(stream: &Stream, exit: &Exit, schema: Option<&Value>) -> Result<Value, Failure> {
    if let Some(error) = &stream.error {
        let class = class_of(error);
        let failure = Failure::new(class, error.as_str());
        return Err(match class {
            FailureClass::Auth => failure.hint("log in with `codex login`, or set CODEX_API_KEY"),
            _ => failure,
        });
    }
    if !exit.status.is_ok() || stream.usage.is_none() {
        return Err(no_result("codex", exit));
    }
    match (schema, stream.said.as_deref().map(str::trim)) {
        (_, None | Some("")) => Err(Failure::new(FailureClass::Empty, "the answer was empty")),
        (None, Some(said)) => Ok(said.into()),
        (Some(schema), Some(said)) => value_of("codex", schema, said),
    }
}

/// The class of an error: by its status, or by its words, which it has instead for what it knows.
fn class_of(said: &str) -> FailureClass {
    const WORDS: [(&str, FailureClass); 7] = [
        ("usage limit", FailureClass::Quota),
        ("quota exceeded", FailureClass::Quota),
        ("at capacity", FailureClass::Overloaded),
        ("high demand", FailureClass::Overloaded),
        ("context window", FailureClass::TooLong),
        ("stream disconnected", FailureClass::Network),
        ("connection failed", FailureClass::Network),
    ];
    let status = status(said);
    let lower = said.to_lowercase();
    let by_words = WORDS.iter().find(|(words, _)| lower.contains(words));
    match by_words.filter(|_| status.is_none()) {
        Some((_, class)) => *class,
        None => class(None, status, said),
    }
}

/// The HTTP status, which is only in the text: `unexpected status 401 Unauthorized`, `last status:
/// 429 Too Many Requests`.
fn status(said: &str) -> Option<u64> {
    let after = said.rsplit("status").next()?;
    let digits = after.trim_start_matches([':', ' ']);
    let end = digits.find(|c: char| !c.is_ascii_digit());
    digits[..end.unwrap_or(digits.len())].parse().ok()
}

/// Fails where commands are restricted: it runs any command in its sandbox.
fn can_enforce(commands: Option<&[String]>, forbidden: &[String]) -> Result<(), Failure> {
    let Some(pattern) = commands.unwrap_or_default().iter().chain(forbidden).next() else {
        return Ok(());
    };
    let message = format!("`codex` cannot restrict commands, such as by `Bash({pattern})`");
    Err(Failure::new(FailureClass::BadRequest, message)
        .hint("leave the pattern out, or use another executor"))
}

/// The vendor's id of a tier; other words are passed on if they look like its ids.
fn model_id(word: &str) -> Result<String, Failure> {
    let word = word.strip_prefix("openai:").unwrap_or(word);
    if let Ok(tier) = word.parse::<Tier>() {
        let vendor = vendors().into_iter().find(|vendor| vendor.name == VENDOR);
        let id = vendor.and_then(|vendor| vendor.tiers.get(&tier).cloned());
        return id.ok_or_else(|| unknown_model(word));
    }
    match word.contains("claude") || word.contains(':') || word.is_empty() {
        true => Err(unknown_model(word)),
        false => Ok(word.to_owned()),
    }
}

fn unknown_model(word: &str) -> Failure {
    let message = format!("`codex` has no model `{word}`");
    Failure::new(FailureClass::Unavailable, message)
        .hint("name haiku, sonnet, opus or an id of OpenAI, or leave the model out")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_status_is_in_the_text() {
        for (said, expected) in [
            ("unexpected status 401 Unauthorized: no key", Some(401)),
            (
                "exceeded retry limit, last status: 429 Too Many Requests, id: 5",
                Some(429),
            ),
            ("stream disconnected", None),
        ] {
            assert_eq!(status(said), expected, "{said}");
        }
    }

    #[test]
    fn an_error_has_its_class_by_status_or_words() {
        for (said, class) in [
            (
                "unexpected status 401 Unauthorized: no key",
                FailureClass::Auth,
            ),
            (
                "exceeded retry limit, last status: 429 Too Many Requests",
                FailureClass::RateLimited,
            ),
            (
                "You've hit your usage limit. Try again at 5 PM.",
                FailureClass::Quota,
            ),
            (
                "Quota exceeded. Check your plan and billing details.",
                FailureClass::Quota,
            ),
            (
                "Selected model is at capacity. Please try a different model.",
                FailureClass::Overloaded,
            ),
            (
                "Codex ran out of room in the model's context window.",
                FailureClass::TooLong,
            ),
            (
                "stream disconnected before completion: closed",
                FailureClass::Network,
            ),
            ("it broke", FailureClass::Program),
        ] {
            assert_eq!(class_of(said), class, "{said}");
        }
    }

    #[test]
    fn the_last_message_and_the_last_totals_count() {
        let mut stream = Stream::default();
        for event in [
            json!({"type": "thread.started"}),
            json!({"type": "item.completed", "item": {"type": "agent_message", "text": "Looking."}}),
            json!({"type": "error", "message": "Reconnecting... 1/1"}),
            json!({"type": "item.completed", "item": {"type": "agent_message", "text": "Done."}}),
            json!({"type": "turn.completed", "usage": {"input_tokens": 100, "cached_input_tokens": 40,
                "output_tokens": 7}}),
        ] {
            stream.read(event.to_string().as_bytes());
        }
        assert_eq!(stream.said.as_deref(), Some("Done."));
        assert_eq!(stream.error, None, "it went on");
        let usage = stream.usage.unwrap();
        assert_eq!((usage.input, usage.cache_read, usage.output), (60, 40, 7));
    }

    #[test]
    fn tiers_are_those_of_its_vendor_and_other_vendors_are_refused() {
        assert!(model_id("haiku").unwrap().starts_with("gpt-"));
        assert_eq!(model_id("gpt-x").unwrap(), "gpt-x");
        assert!(model_id("claude-haiku-5-5").is_err());
    }

    proptest! {
        #[test]
        fn anything_can_be_read(line in prop::collection::vec(any::<u8>(), 0..60), text in ".{0,30}") {
            let mut stream = Stream::default();
            stream.read(&line);
            for kind in ["item.completed", "turn.completed", "turn.failed", "error"] {
                stream.read(json!({"type": kind, "item": text, "usage": text}).to_string().as_bytes());
            }
            status(&text);
        }
    }
}
