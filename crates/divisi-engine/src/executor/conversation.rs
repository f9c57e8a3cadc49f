//! The conversation of one attempt: requests, replies, tools, repairs.
//!
//! Each request is a pure function of the task, the replies and the tool
//! results before it. That is what makes a conversation durable: an attempt
//! that follows a lost one builds the same requests, finds their replies among
//! those kept, and asks only for what is missing.

use super::schema::Checked;
use super::{Attempt, AttemptResult, Kept, Signal, Stopped};
use crate::driver::wall_clock;
use crate::framing;
use crate::setup::Model;
use crate::tools::Toolbox;
use divisi_core::content::Content;
use divisi_core::event::Turn;
use divisi_core::{Failure, FailureClass, Millis};
use divisi_providers::{Block, Message, Progress, ProviderError, Reply, Request, Role, Stop, SystemBlock};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Answers that may miss the schema before the task is given up. The dialect's
/// own number.
const SCHEMA_TRIES_MAX: u32 = 5;

/// The conversation of one attempt.
pub(super) struct Conversation {
    attempt: Attempt,
    model: Model,
    request: Request,
    toolbox: Toolbox,
    checked: Option<Checked>,
    /// Replies of earlier attempts that have not been used yet.
    kept: Vec<Kept>,
    /// Results of tools that ran since the last request: JSON text.
    tool_results: Option<Arc<str>>,
    turns: u32,
    schema_misses: u32,
    /// Bytes of all texts in the request so far.
    request_bytes: u64,
}

/// A reply, and what is to be recorded of it if it is new.
struct Answer {
    reply: Reply,
    turn: Option<(Turn, Arc<str>)>,
    /// Results of the tools it called, if they ran in an earlier attempt.
    tool_results: Option<Arc<str>>,
}

/// Why a conversation goes no further.
enum Halt {
    Stopped,
    Failed(Box<AttemptResult>),
}

impl From<Stopped> for Halt {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl Conversation {
    /// Prepares the first request. The tools work in `root`.
    pub(super) fn open(mut attempt: Attempt, root: &Path) -> Result<Self, Failure> {
        let assignment = attempt.assignment.clone();
        let (task, setup) = (&assignment.task, &assignment.setup);
        let Some(model) = assignment.model.clone() else {
            return Err(Failure::new(FailureClass::Unavailable, "the task has no model"));
        };
        let toolbox = assignment.tools.at(root, setup)?;
        let offered = assignment.tools.offered();
        let checked = task.schema.as_deref().map(Checked::new).transpose()?;
        let agent = assignment.agent.as_ref();
        let framing =
            framing::system_blocks(setup.framing.as_deref(), agent, !offered.is_empty(), checked.is_some());
        // Only what others share is worth a mark: framing alone is too short to be cached.
        let shared = !offered.is_empty() || task.context.is_some() || agent.is_some();
        let last = framing.len().saturating_sub(1);
        let block = |(i, text): (usize, _)| SystemBlock { text, cache: shared && i == last };
        let context = task.context.iter().map(|text| Block::Text { text: text.clone(), cache: true });
        let request = Request {
            model: model.id.clone(),
            system: framing.into_iter().map(Into::into).enumerate().map(block).collect(),
            messages: vec![Message {
                role: Role::User,
                blocks: context.chain([Block::text(task.prompt.clone())]).collect(),
            }],
            tools: offered.to_vec(),
            max_tokens: setup.reply_tokens_max,
            effort: task.effort.or(agent.and_then(|agent| agent.effort)),
            schema: task.schema.clone(),
        };
        let kept = std::mem::take(&mut attempt.kept);
        let request_bytes = request_bytes(&request);
        Ok(Self {
            attempt,
            model,
            request,
            toolbox,
            checked,
            kept,
            tool_results: None,
            turns: 0,
            schema_misses: 0,
            request_bytes,
        })
    }

    /// Holds the conversation to its end.
    pub(super) async fn hold(mut self) -> AttemptResult {
        loop {
            match self.turn().await {
                Ok(None) => {}
                Ok(Some(result)) => return result,
                Err(Halt::Failed(result)) => return *result,
                Err(Halt::Stopped) => {
                    return Failure::new(FailureClass::Interrupted, "the run stopped").into();
                }
            }
        }
    }

    /// One request and what follows from its reply; a result ends the conversation.
    async fn turn(&mut self) -> Result<Option<AttemptResult>, Halt> {
        let turns_max = self.attempt.assignment.turns_max;
        if self.turns == turns_max {
            let message = format!("did not finish in {turns_max} turns");
            let failure = Failure::new(FailureClass::Turns, message)
                .hint("raise `maxTurns` of the task or `max_turns` of the settings, or ask for less");
            return Ok(Some(failure.into()));
        }
        self.turns += 1;
        let Answer { reply, turn, tool_results } = self.ask().await?;
        let said = reply.text();
        match reply.stop {
            Stop::ToolUse => {
                self.record(turn).await?;
                let results = match tool_results.and_then(|json| serde_json::from_str(&json).ok()) {
                    Some(results) => results,
                    None => self.use_tools(&reply).await,
                };
                self.say(reply.into_message());
                self.say(Message { role: Role::User, blocks: results });
                Ok(None)
            }
            Stop::PauseTurn => {
                self.record(turn).await?;
                self.say(reply.into_message());
                Ok(None)
            }
            Stop::EndTurn | Stop::StopSequence => match self.value(&said) {
                Ok(json) => Ok(Some(AttemptResult { last_turn: turn, ..AttemptResult::of(Ok(json)) })),
                Err(violations) => {
                    self.schema_misses += 1;
                    if self.schema_misses == SCHEMA_TRIES_MAX {
                        let message = format!(
                            "no answer fitted the schema in {SCHEMA_TRIES_MAX} tries; the last: {violations}"
                        );
                        return Ok(Some(failed(FailureClass::Schema, message, &said, turn)));
                    }
                    self.record(turn).await?;
                    self.say(reply.into_message());
                    self.say(Message::user(framing::repair(&violations)));
                    Ok(None)
                }
            },
            Stop::MaxTokens => {
                let message = format!("the answer was cut off at {} tokens", self.request.max_tokens);
                Ok(Some(failed(FailureClass::Truncated, message, &said, turn)))
            }
            Stop::Refusal => {
                Ok(Some(failed(FailureClass::Declined, "the model declined to answer", &said, turn)))
            }
            Stop::ContextExceeded => Ok(Some(failed(
                FailureClass::TooLong,
                "the conversation filled the model's context",
                &said,
                turn,
            ))),
        }
    }

    /// The reply to the current request: a kept one, or a new one.
    async fn ask(&mut self) -> Result<Answer, Halt> {
        let digest = self.request.digest();
        if let Some(found) = self.kept.iter().position(|kept| kept.request == digest) {
            let kept = self.kept.remove(found);
            if let Ok(reply) = serde_json::from_str(&kept.reply) {
                return Ok(Answer { reply, turn: None, tool_results: kept.tool_results });
            }
        }
        // The first request is part of the attempt's own order to start.
        if self.turns > 1 {
            let reply_max = self.request.max_tokens;
            let prices = &self.attempt.assignment.setup.prices;
            let cost_max = prices.cost_max(&self.model, self.request_bytes, reply_max, wall_clock());
            self.attempt.line.turn_wanted(self.tool_results.take(), cost_max.unwrap_or_default()).await?;
        }
        let line = &self.attempt.line;
        let progress = |progress| match progress {
            Progress::Started | Progress::Alive => line.sign_of_life(),
            Progress::OutputTokens(tokens) => line.signal(|attempt| Signal::Writing { attempt, tokens }),
        };
        let sent_at = Instant::now();
        let reply = match self.model.provider.send(&self.request, &progress).await {
            Ok(reply) => reply,
            Err(error) => return Err(Halt::Failed(Box::new(unanswered(error)))),
        };
        let prices = &self.attempt.assignment.setup.prices;
        let json: Arc<str> = serde_json::to_string(&reply).unwrap_or_default().into();
        let turn = Turn {
            request: digest,
            reply: Content::of(json.clone()).0,
            model: reply.model.as_str().into(),
            usage: reply.usage,
            cost: prices.cost(&self.model, &reply, wall_clock()).unwrap_or_default(),
            took: Millis(sent_at.elapsed().as_millis() as u64),
        };
        Ok(Answer { reply, turn: Some((turn, json)), tool_results: None })
    }

    /// Makes a reply durable before anything is done because of it.
    async fn record(&self, turn: Option<(Turn, Arc<str>)>) -> Result<(), Stopped> {
        match turn {
            Some((turn, json)) => self.attempt.line.turn_ended(turn, json).await,
            None => Ok(()),
        }
    }

    async fn use_tools(&mut self, reply: &Reply) -> Vec<Block> {
        let mut results = vec![];
        for block in &reply.blocks {
            let Block::ToolUse { id, name, input } = block else { continue };
            self.attempt.line.signal(|attempt| Signal::Tool { attempt, what: describe(name, input) });
            let output = self.toolbox.call(name, input, self.attempt.line.stop()).await;
            let (content, is_error) = (output.text, output.is_error);
            results.push(Block::ToolResult { tool_use_id: id.clone(), content, is_error, cache: false });
        }
        // The conversation so far is read again by the next request.
        if let Some(Block::ToolResult { cache, .. }) = results.last_mut() {
            *cache = true;
        }
        self.tool_results = serde_json::to_string(&results).ok().map(Into::into);
        results
    }

    fn say(&mut self, message: Message) {
        // Only the latest results mark the cache: vendors take four marks.
        for earlier in self.request.messages.iter_mut().skip(1).flat_map(|message| &mut message.blocks) {
            if let Block::ToolResult { cache, .. } = earlier {
                *cache = false;
            }
        }
        self.request_bytes += message_bytes(&message);
        self.request.messages.push(message);
    }

    /// The result in what the model said, as JSON text.
    fn value(&self, said: &str) -> Result<Arc<str>, String> {
        let value = match &self.checked {
            Some(checked) => checked.check(said)?,
            None => Value::String(said.trim().to_owned()),
        };
        Ok(value.to_string().into())
    }
}

/// An attempt that got no reply.
fn unanswered(error: ProviderError) -> AttemptResult {
    let (retry_after, unanswered) = (error.retry_after, error.maybe_billed);
    AttemptResult { retry_after, unanswered, ..Failure::from(error).into() }
}

/// An attempt whose last reply is no result.
fn failed(
    class: FailureClass,
    message: impl Into<String>,
    said: &str,
    turn: Option<(Turn, Arc<str>)>,
) -> AttemptResult {
    let mut failure = Failure::new(class, message);
    if !said.is_empty() {
        let most = said.floor_char_boundary(Content::INLINE_BYTES_MAX / 2);
        failure.partial = Some(Content::Inline(Value::from(&said[..most]).to_string().into()));
    }
    AttemptResult { last_turn: turn, ..failure.into() }
}

/// A tool at work, in a few words: its name and the first text it was given.
fn describe(name: &str, input: &Value) -> Arc<str> {
    let first =
        input.as_object().and_then(|fields| fields.values().find_map(Value::as_str)).unwrap_or_default();
    let most = first.floor_char_boundary(60);
    format!("{name} {}", first[..most].lines().next().unwrap_or_default()).trim_end().into()
}

fn request_bytes(request: &Request) -> u64 {
    let system: usize = request.system.iter().map(|block| block.text.len()).sum();
    let tools: usize = request
        .tools
        .iter()
        .map(|tool| tool.name.len() + tool.description.len() + tool.input_schema.to_string().len())
        .sum();
    let schema = request.schema.as_ref().map_or(0, |schema| schema.to_string().len());
    (system + tools + schema) as u64 + request.messages.iter().map(message_bytes).sum::<u64>()
}

fn message_bytes(message: &Message) -> u64 {
    let bytes = |block: &Block| match block {
        Block::Text { text, .. } => text.len(),
        Block::ToolUse { name, input, .. } => name.len() + input.to_string().len(),
        Block::ToolResult { content, .. } => content.len(),
        Block::Opaque(value) => value.to_string().len(),
    };
    message.blocks.iter().map(bytes).sum::<usize>() as u64
}
