//! Tasks carried out by agents that speak the Agent Client Protocol, version 1: `acp:gemini` and
//! others, or any command.
//!
//! The agent works with its own tools and its own login, in the task's folder. It is put into the
//! mode in which it asks before it changes anything, and is answered by the permissions of the run;
//! no person is asked. So what it may do is confined as far as it asks: one that divisi does not know
//! may change files without a permission, which plans and checks assume.
//!
//! The protocol has no limit for turns or money, no schema, and a cost only where an agent reports
//! it. So results are checked here, tokens are priced by divisi's table where the agent gives no
//! cost, and an agent that has cost more than was reserved is cancelled, as is one at the end of its
//! time: with the answer to that comes what it used.
//!
//! Left out on purpose: files and terminals of the client, MCP servers, sign-in by the protocol, and
//! the continuation of a session.

mod agents;
mod permission;
mod said;
mod session;

use super::agent_program::{AgentProgram, Version, log_plan, may_start, value_of, whole_prompt};
use super::claude::{OF_A_PARENT, class};
use super::command::run_until;
use super::{Context, Ending, Executor, ExecutorSpec, ModelUse};
use crate::clock::wall_clock;
use crate::process::{Exit, Program};
use crate::tools::Fence;
use agents::Known;
use async_trait::async_trait;
use divisi_core::price::Billing;
use divisi_core::{Failure, FailureClass, PicoUsd, Usage};
use serde_json::Value;
use session::{Plan, Talked, Wires, status_in, talk};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Time for an agent to end by itself when its input is closed. Adapters end their own agents then.
const END_GRACE: Duration = Duration::from_secs(4);

/// The end of an attempt's time that is kept for cancelling the agent and hearing what it used; half
/// of a shorter time.
const LAST: Duration = Duration::from_secs(6);

/// Chunks of output that wait to be read; the agent waits for more.
const CHUNKS_MAX: usize = 16;

/// Carries out attempts with an agent that speaks the Agent Client Protocol.
#[derive(Debug)]
pub struct AcpExecutor {
    name: String,
    program: AgentProgram,
    known: Option<&'static Known>,
    mode: Option<String>,
    version: Version,
}

impl AcpExecutor {
    /// Begins the names of executors of agents that divisi knows.
    pub const PREFIX: &'static str = "acp:";

    /// An executor for this program, which speaks the protocol on its standard input and output.
    /// With the name of a known agent, with or without [`AcpExecutor::PREFIX`], it is treated as
    /// that one.
    pub fn new(name: impl Into<String>, program: AgentProgram) -> Self {
        let name = name.into();
        Self {
            known: agents::known(name.strip_prefix(Self::PREFIX).unwrap_or(&name)),
            name,
            program,
            mode: None,
            version: Version::default(),
        }
    }

    /// Sets the mode of its sessions, one of its own.
    pub fn mode(mut self, mode: Option<String>) -> Self {
        self.mode = mode;
        self
    }

    /// Names of the agents that divisi knows, with [`AcpExecutor::PREFIX`].
    pub fn names() -> impl Iterator<Item = String> {
        agents::ALL
            .iter()
            .map(|known| format!("{}{}", Self::PREFIX, known.name))
    }

    /// The usual command of the agent with this name, with or without [`AcpExecutor::PREFIX`].
    pub fn command_of(name: &str) -> Option<Vec<String>> {
        let known = agents::known(name.strip_prefix(Self::PREFIX).unwrap_or(name))?;
        Some(known.command.iter().map(|&word| word.to_owned()).collect())
    }

    /// Variables with keys of the agent with this name.
    pub fn keys_of(name: &str) -> impl Iterator<Item = &'static str> {
        let known = agents::known(name.strip_prefix(Self::PREFIX).unwrap_or(name));
        let variables = known.map_or(&[][..], |known| known.variables);
        let is_key = |name: &&str| name.ends_with("_KEY") || name.ends_with("_TOKEN");
        variables.iter().copied().filter(is_key)
    }

    fn command(&self) -> Result<Program, Failure> {
        let own = self.known.map(|known| known.own_variables(&self.program));
        let mut program = self.program.program(&own.unwrap_or_default())?;
        for name in OF_A_PARENT {
            program = program.without_env(name);
        }
        for (name, value) in self.known.iter().flat_map(|known| known.env) {
            program = program.env(name, value);
        }
        Ok(self.program.with_env(program))
    }

    /// Fails if the project could make it run programs, which no one has consented to.
    fn is_safe_in(&self, folder: &Path) -> Result<(), Failure> {
        let Some(path) = self.known.and_then(|known| known.found_in(folder)) else {
            return Ok(());
        };
        let message = format!(
            "`{}` would take over settings of the project, which can run programs: {}",
            self.name,
            path.display()
        );
        Err(Failure::new(FailureClass::Unavailable, message)
            .hint("use `api`, `claude` or `codex`, which leave them out, or move them away"))
    }

    fn install(&self) -> String {
        match self.known {
            Some(known) => format!(
                "install it (`{}`), or name it in `command` of its executor, in divisi.toml",
                known.install
            ),
            None => "name it in `command` of its executor, in divisi.toml".to_owned(),
        }
    }

    /// Books what it has used.
    fn book(&self, talked: &Talked, prompt: &str, context: &Context) {
        if !talked.is_asked {
            return context.spent(Usage::default(), PicoUsd::ZERO);
        }
        let answer = talked.answer.as_ref();
        let spent = answer.map_or_else(Vec::new, |answer| models(answer, talked.model.as_deref()));
        let is_in_plan = talked.said.login.as_deref() == Some("account");
        let cost = answer.and_then(|answer| self.cost(answer, talked, &spent, context));
        let cost = cost.or_else(|| is_in_plan.then_some(PicoUsd::ZERO));
        let Some(cost) = cost else {
            // Tokens alone: what they cost is not known, so the reservation counts.
            let total = spent.iter().map(|(_, usage)| *usage).reduce(|a, b| a + b);
            let estimate = || estimate(prompt, talked.said.tokens());
            return context.used_in_all(total.unwrap_or_else(estimate));
        };
        if spent.is_empty() {
            let is_reply = |answer: &Value| answer.is_object() && !is_no_reply(answer);
            let has_reply = answer.is_some_and(is_reply) || talked.said.has_reply;
            let usage = match has_reply || cost > PicoUsd::ZERO {
                true => estimate(prompt, talked.said.tokens()),
                false => Usage::default(),
            };
            context.spent(usage, self.program.billed(cost, is_in_plan));
        }
        // The agent's own total, by the table's parts: the last model has what is left.
        let mut left = cost;
        for (at, (model, usage)) in spent.iter().enumerate() {
            let part = match at + 1 == spent.len() {
                true => left,
                false => self
                    .by_table(model, usage, context)
                    .unwrap_or_default()
                    .min(left),
            };
            left = left.saturating_sub(part);
            let part = self.program.billed(part, is_in_plan);
            match bare(model) {
                "" => context.spent(*usage, part),
                model => context.spent_on(model, *usage, part),
            }
        }
        if is_in_plan && cost > PicoUsd::ZERO {
            log_plan(context, cost);
        }
    }

    /// What it has cost: as it says, or by its tokens. `None`, which is logged, if neither is known.
    fn cost(
        &self,
        answer: &Value,
        talked: &Talked,
        spent: &[(String, Usage)],
        context: &Context,
    ) -> Option<PicoUsd> {
        if talked.said.cost.is_some() || self.program.cost.is_none() {
            return Some(talked.said.cost.unwrap_or_default());
        }
        if spent.is_empty() {
            // An error before the first reply costs nothing.
            if is_no_reply(answer) || (answer.is_null() && !talked.said.has_reply) {
                return Some(PicoUsd::ZERO);
            }
            context.log(format!(
                "{}: `{}` does not say what it used: its tokens are estimated, and all that was reserved counts",
                context.task().title(),
                self.name
            ));
            return None;
        }
        let mut total = PicoUsd::ZERO;
        for (model, usage) in spent {
            let Some(cost) = self.by_table(model, usage, context) else {
                context.log(match &**model {
                    "" => format!("warning: `{}` does not name its model", self.name),
                    model => format!("warning: `{model}` has no price here"),
                });
                return None;
            };
            total += cost;
        }
        Some(total)
    }

    /// The price of tokens by divisi's table.
    fn by_table(&self, model: &str, usage: &Usage, context: &Context) -> Option<PicoUsd> {
        let vendor = self.vendor_of(model)?;
        let price = context.prices().price(vendor, bare(model), wall_clock())?;
        Some(price.billed(usage, Billing::default()))
    }

    /// The vendor of a model: that of the agent, or that of the model's name.
    fn vendor_of<'m>(&self, model: &'m str) -> Option<&'m str> {
        let by_name = || match model.split_once('/') {
            Some((vendor, _)) => Some(vendor),
            None if model.contains("claude") => Some("anthropic"),
            None if model.contains("gemini") => Some("google"),
            None if model.starts_with("gpt-") => Some("openai"),
            None => None,
        };
        self.known.and_then(|known| known.vendor).or_else(by_name)
    }
}

#[async_trait]
impl Executor for AcpExecutor {
    fn spec(&self) -> ExecutorSpec {
        let spec = self.program.spec();
        let identity = match &self.mode {
            Some(mode) => format!("{} {mode}", spec.identity),
            None => spec.identity.to_string(),
        };
        let spec = ExecutorSpec {
            identity: identity.into(),
            ..spec
        };
        match self.known {
            Some(known) if known.has_tiers => spec,
            Some(_) => spec.models(ModelUse::Names),
            None => ExecutorSpec {
                writes: true,
                ..spec.models(ModelUse::Names)
            },
        }
    }

    fn version(&self) -> Result<Arc<str>, Failure> {
        match self.known {
            // Subcommands have no version of their own.
            Some(known) if self.program.command == known.command => {
                let program = AgentProgram::new(known.command.first().copied());
                self.version.of(&program, &self.install())
            }
            Some(_) => self.version.of(&self.program, &self.install()),
            // A command that is not known may do anything for `--version`.
            None => Ok("".into()),
        }
    }

    async fn run(&self, context: &Context) -> Ending {
        let prepared = self
            .is_safe_in(context.root())
            .and_then(|()| self.command());
        let prepared = prepared.and_then(|program| {
            let rights = context.rights();
            Fence::new(
                context.root(),
                &rights.protected,
                rights.commands.as_deref(),
                &rights.forbidden,
            )
            .map(|fence| (program, fence))
            .map_err(|error| Failure::new(FailureClass::Unavailable, error.to_string()))
        });
        let (program, fence) = match prepared {
            Ok(prepared) => prepared,
            Err(failure) => {
                context.spent(Usage::default(), PicoUsd::ZERO);
                return failure.into();
            }
        };
        context.waits(may_start()).await;
        let time = Duration::from_millis(context.timeout().0);
        let prompt = whole_prompt(context);
        let plan = Plan {
            name: &self.name,
            known: self.known,
            mode: self.mode.as_deref(),
            context,
            prompt: prompt.clone(),
            has_cost: self.program.cost.is_some(),
            deadline: Instant::now() + time.saturating_sub(LAST.min(time / 2)),
        };
        let (to, input) = mpsc::channel(CHUNKS_MAX);
        let (output, from) = mpsc::channel(CHUNKS_MAX);
        let program = program.stdin_from(input).stdout_to(output);
        let over = context.stop().child_token();
        let ran = run_until(program, context, &over);
        let talk = async {
            let talked = talk(Wires { to, from }, fence, &plan).await;
            self.book(&talked, &prompt, context);
            talked
        };
        let (talked, ran) = both(talk, ran, &over).await;
        self.ending(&talked, ran, context)
    }
}

/// Waits for the session and for the program, in either order. A program that goes on after its
/// session is stopped: at once if the session has failed, because its time may be over.
async fn both<R>(
    talk: impl Future<Output = Talked>,
    ran: impl Future<Output = R>,
    over: &CancellationToken,
) -> (Talked, R) {
    let (mut talk, mut ran) = (std::pin::pin!(talk), std::pin::pin!(ran));
    tokio::select! {
        talked = &mut talk => {
            let grace = match &talked.failure {
                Some(_) => Duration::ZERO,
                None => END_GRACE,
            };
            let ran = match timeout(grace, &mut ran).await {
                Ok(ran) => ran,
                Err(_) => {
                    over.cancel();
                    ran.await
                }
            };
            (talked, ran)
        }
        ran = &mut ran => (talk.await, ran),
    }
}

impl AcpExecutor {
    /// The end of the attempt.
    fn ending(&self, talked: &Talked, ran: Result<Exit, Failure>, context: &Context) -> Ending {
        if let Some(failure) = &talked.failure {
            return failure.clone().into();
        }
        match (&talked.answer, ran) {
            (Some(answer), _) => self
                .result(talked, answer, context.task().schema.as_deref())
                .into(),
            (None, Ok(exit)) => self.died(talked, &exit).into(),
            (None, Err(failure)) if failure.class == FailureClass::Unavailable => {
                failure.hint(self.install()).into()
            }
            // It was stopped because it went on without speaking.
            (None, Err(failure))
                if failure.class == FailureClass::Interrupted && !context.stop().is_cancelled() =>
            {
                let message = format!("`{}` closed its output and did not end", self.name);
                Failure::new(FailureClass::Program, message).into()
            }
            (None, Err(failure)) => failure.into(),
        }
    }

    /// It ended without an answer.
    fn died(&self, talked: &Talked, exit: &Exit) -> Failure {
        let complaint = exit.stderr.text();
        let last = complaint.trim().lines().last();
        let why = last.or(talked.noise.as_deref());
        let why = why.unwrap_or("it said nothing on stderr");
        let message = format!(
            "`{}` ended without an answer, with {}: {why}",
            self.name, exit.status
        );
        Failure::new(FailureClass::Program, message)
    }

    fn result(
        &self,
        talked: &Talked,
        answer: &Value,
        schema: Option<&Value>,
    ) -> Result<Value, Failure> {
        let said = talked.said.answer();
        let name = &self.name;
        let failure = |class, message: String| Err(Failure::new(class, message));
        let was_refused = || {
            let what = talked.refused.join("`, `");
            let message = format!("`{name}` stopped because it was not allowed `{what}`");
            Failure::new(FailureClass::Unavailable, message)
                .hint("allow it with `--allow`, or ask for less")
        };
        match answer.get("stopReason").and_then(Value::as_str) {
            Some("end_turn") => {}
            Some("max_tokens") => {
                return failure(FailureClass::Truncated, "the answer was cut off".to_owned());
            }
            Some("max_turn_requests") => {
                return failure(FailureClass::Turns, format!("`{name}` used all its turns"));
            }
            Some("refusal") => {
                let message = format!("`{name}` declined: {said}");
                return failure(FailureClass::Declined, message);
            }
            Some("cancelled") if !talked.refused.is_empty() => return Err(was_refused()),
            other => {
                let why = other.unwrap_or("no reason");
                let message = format!("`{name}` stopped without an answer: {why}");
                return failure(FailureClass::Program, message);
            }
        }
        if is_no_reply(answer) {
            return failure(
                class(None, status_in(said), said),
                format!("`{name}`: {said}"),
            );
        }
        match (schema, said) {
            (_, "") if !talked.refused.is_empty() => Err(was_refused()),
            (_, "") => failure(FailureClass::Empty, "the answer was empty".to_owned()),
            (None, said) => Ok(said.into()),
            (Some(schema), said) => value_of(name, schema, said),
        }
    }
}

/// Tokens where the agent counts none.
fn estimate(prompt: &str, output: u64) -> Usage {
    Usage {
        input: said::tokens(prompt.len()),
        output,
        ..Usage::default()
    }
}

/// Usage by model, from the answer to a prompt: those of `_meta.quota`, which adapters and Gemini
/// add, or the sum of the protocol for the model that was asked for.
fn models(answer: &Value, asked: Option<&str>) -> Vec<(String, Usage)> {
    let by_model = answer.pointer("/_meta/quota/model_usage");
    let by_model = by_model.and_then(Value::as_array).into_iter().flatten();
    let by_model: Vec<_> = by_model
        .filter_map(|used| {
            let model = used.get("model")?.as_str()?;
            Some((model.to_owned(), usage(used.get("token_count")?)))
        })
        .collect();
    if !by_model.is_empty() {
        return by_model;
    }
    let sum = answer.get("usage").filter(|usage| usage.is_object());
    sum.map(|sum| (asked.unwrap_or_default().to_owned(), usage(sum)))
        .into_iter()
        .collect()
}

/// Counts of tokens. Prompt tokens do not include those of the cache.
fn usage(counts: &Value) -> Usage {
    let count = |names: &[&str]| {
        let found = names.iter().find_map(|name| counts.get(name)?.as_u64());
        found.unwrap_or_default()
    };
    Usage {
        input: count(&["inputTokens", "input_tokens"]),
        cache_write_5m: count(&["cachedWriteTokens", "cacheWriteInputTokens"]),
        cache_read: count(&["cachedReadTokens", "cachedInputTokens"]),
        output: count(&["outputTokens", "output_tokens"]),
        thinking: count(&["thoughtTokens", "reasoningOutputTokens"]),
        ..Usage::default()
    }
}

/// Whether no model has replied, although the turn has ended well: the adapter of Codex gives the
/// vendor's refusal as an answer then.
fn is_no_reply(answer: &Value) -> bool {
    let by_model = answer.pointer("/_meta/quota/model_usage");
    answer.get("usage") == Some(&Value::Null)
        && by_model
            .and_then(Value::as_array)
            .is_some_and(Vec::is_empty)
}

/// The id of a model without the name of its vendor.
fn bare(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn usage_is_by_model_where_the_agent_says_so() {
        let gemini = json!({"stopReason": "end_turn", "_meta": {"quota": {"model_usage": [
            {"model": "g", "token_count": {"input_tokens": 10, "output_tokens": 3}}]}}});
        let spent = models(&gemini, None);
        assert_eq!(
            (&*spent[0].0, spent[0].1.input, spent[0].1.output),
            ("g", 10, 3)
        );
        let opencode = json!({"usage": {"inputTokens": 1, "outputTokens": 2,
            "cachedReadTokens": 3, "cachedWriteTokens": 4}, "_meta": {}});
        let spent = models(&opencode, Some("anthropic/claude-x"));
        assert_eq!(bare(&spent[0].0), "claude-x");
        assert_eq!((spent[0].1.cache_read, spent[0].1.cache_write_5m), (3, 4));
        assert_eq!(models(&json!({"stopReason": "end_turn"}), Some("x")), []);
    }

    #[test]
    fn an_ended_turn_without_any_model_is_no_reply() {
        let quota = |usage: Value, models: Value| json!({"usage": usage, "_meta": {"quota": {"model_usage": models}}});
        assert!(is_no_reply(&quota(Value::Null, json!([]))));
        assert!(!is_no_reply(&quota(json!({"inputTokens": 1}), json!([]))));
        assert!(!is_no_reply(&json!({"stopReason": "end_turn"})));
    }
}
