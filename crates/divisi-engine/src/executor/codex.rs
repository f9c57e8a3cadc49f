//! Tasks carried out by Codex, without a terminal: `codex exec --json`.
//!
//! The user's login is used, but not the user's configuration, and no session is kept. Commands run
//! in its own sandbox, without network: they can change files of the working folder if the run
//! permits that, and nothing otherwise.
//!
//! It has no limit of its own for turns or money, reports no cost and no model, and does not check
//! what fits a schema: its tokens are priced by divisi's table for the model it was asked for, and
//! results are checked here.

use super::agent_program::{AgentProgram, Printed, Version, carry_out, log_plan};
use super::claude::class;
use super::{Context, Ending, Executor, ExecutorSpec, Progress};
use crate::answer::Checked;
use crate::clock::wall_clock;
use crate::process::{Exit, Program};
use crate::tools::Permissions;
use async_trait::async_trait;
use divisi_core::price::Billing;
use divisi_core::{Effort, Failure, FailureClass, PicoUsd, Task, Tier, Usage};
use divisi_providers::vendors;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// Whose models it asks, and whose prices apply.
const VENDOR: &str = "openai";

/// Variables with credentials that it needs, of those that are withheld from other programs.
const OWN_VARIABLES: [&str; 3] = ["CODEX_API_KEY", "HTTPS_PROXY", "https_proxy"];

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

    fn command(&self, context: &Context) -> Result<Program, Failure> {
        let model = model_id(context.model().unwrap_or_default())?;
        let sandbox = match context.rights().permissions.write {
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
        if let Some(effort) = context.effort() {
            let word = match effort {
                Effort::Max => Effort::Xhigh.as_str(),
                other => other.as_str(),
            };
            args.extend(["-c".to_owned(), format!("model_reasoning_effort={word}")]);
        }
        args.push("-".to_owned());
        let schema = context.task().schema.as_deref();
        let parts = [
            context.agent_prompt().map(str::to_owned),
            Some(context.prompt()),
            schema.map(|schema| {
                format!("Your last message must be JSON alone, of this schema:\n{schema}")
            }),
        ];
        let prompt = parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n");
        let program = self.program.program(&OWN_VARIABLES)?;
        Ok(self.program.with_env(program.args(args).stdin(prompt)))
    }

    /// Whether a subscription pays for it: no key is set, and its login has none.
    fn is_in_plan(&self) -> bool {
        if self.program.has_variable("CODEX_API_KEY") {
            return false;
        }
        let home = std::env::var_os("CODEX_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(etcetera::home_dir().ok()?.join(".codex")));
        let login = home.and_then(|home| std::fs::read(home.join("auth.json")).ok());
        login
            .and_then(|text| serde_json::from_slice::<Value>(&text).ok())
            .is_some_and(|login| !login["OPENAI_API_KEY"].is_string())
    }

    /// Books what it has used.
    fn book(&self, stream: &Stream, context: &Context) {
        let Some(usage) = stream.usage else {
            // A turn that failed before its first reply has cost nothing; what it has used if it
            // failed later is not reported.
            if !stream.has_begun || (stream.error.is_some() && stream.said.is_none()) {
                context.spent(Usage::default(), PicoUsd::ZERO);
            }
            return;
        };
        let prices = context.prices();
        let model = model_id(context.model().unwrap_or_default()).unwrap_or_default();
        let Some(price) = prices.price(VENDOR, &model, wall_clock()) else {
            context.log(format!("warning: `{model}` has no price here"));
            return context.used_in_all(usage);
        };
        let cost = price.billed(&usage, Billing::default());
        let is_in_plan = self.is_in_plan();
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
        let words = task.model.0.iter().chain(&task.fallback);
        words
            .filter(|word| !["auto", "inherit"].contains(&&***word))
            .try_for_each(|word| model_id(word).map(|_| ()))
    }

    fn version(&self) -> Result<Arc<str>, Failure> {
        self.version.of(&self.program, INSTALL)
    }

    async fn run(&self, context: &Context) -> Ending {
        carry_out(
            self.command(context),
            INSTALL,
            context,
            |stream| self.book(stream, context),
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
        let item = &event["item"];
        match (event["type"].as_str()?, item["type"].as_str()) {
            ("thread.started", _) => {
                self.has_begun = true;
                None
            }
            ("item.completed", Some("agent_message")) => {
                let said = item["text"].as_str()?;
                self.said = Some(said.to_owned());
                said.lines()
                    .find(|line| !line.trim().is_empty())
                    .map(|line| Progress::Says(line.chars().take(80).collect()))
            }
            ("item.started", Some("command_execution")) => {
                let command = item["command"].as_str()?;
                Some(Progress::Tool(command.chars().take(80).collect()))
            }
            ("turn.completed", _) => {
                self.usage = Some(usage(&event["usage"]));
                self.error = None;
                None
            }
            ("turn.failed", _) => {
                self.error = event["error"]["message"].as_str().map(str::to_owned);
                None
            }
            ("error", _) => {
                self.error = event["message"].as_str().map(str::to_owned);
                None
            }
            _ => None,
        }
    }
}

/// Counts of a session. Prompt tokens include those of the cache.
fn usage(usage: &Value) -> Usage {
    let count = |name: &str| usage[name].as_u64().unwrap_or_default();
    let (read, written) = (
        count("cached_input_tokens"),
        count("cache_write_input_tokens"),
    );
    Usage {
        input: count("input_tokens").saturating_sub(read.saturating_add(written)),
        cache_write_5m: written,
        cache_read: read,
        output: count("output_tokens"),
        thinking: count("reasoning_output_tokens"),
        ..Usage::default()
    }
}

fn result(stream: &Stream, exit: &Exit, schema: Option<&Value>) -> Result<Value, Failure> {
    if let Some(error) = &stream.error {
        let class = class(None, status(error), error);
        let failure = Failure::new(class, error.as_str());
        return Err(match class {
            FailureClass::Auth => failure.hint("log in with `codex login`, or set CODEX_API_KEY"),
            _ => failure,
        });
    }
    if !exit.status.is_ok() || stream.usage.is_none() {
        let complaint = exit.stderr.text();
        let last = complaint.trim().lines().last();
        let last = last.unwrap_or("it said nothing on stderr");
        let message = format!(
            "`codex` ended without a result, with {}: {last}",
            exit.status
        );
        return Err(Failure::new(FailureClass::Program, message));
    }
    match (schema, stream.said.as_deref().map(str::trim)) {
        (_, None | Some("")) => Err(Failure::new(FailureClass::Empty, "the answer was empty")),
        (None, Some(said)) => Ok(said.into()),
        (Some(schema), Some(said)) => Checked::new(schema)?.check(said).map_err(|violations| {
            let message = format!("`codex` ended without a value of the schema: {violations}");
            Failure::new(FailureClass::Schema, message)
        }),
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
