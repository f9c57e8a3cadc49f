//! The conversation of one attempt: requests, replies, tools, repairs.
//!
//! Each request is a pure function of the task, the replies and the tool
//! results before it. That is what makes a conversation durable: an attempt
//! that follows a lost one builds the same requests, finds their replies among
//! those kept, and asks only for what is missing.

use super::ask::{Answer, Asker, Halt, Wanted, message_bytes, request_bytes};
use super::said::answer;
use super::schema::Checked;
use super::{Attempt, AttemptResult, Signal};
use crate::framing;
use crate::resolve::Assignment;
use crate::setup::Model;
use crate::tools::{NotPermitted, Toolbox};
use divisi_core::content::Content;
use divisi_core::event::Turn;
use divisi_core::{Failure, FailureClass};
use divisi_providers::{Block, Message, Reply, Request, Role, Stop, SystemBlock};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Answers that may miss the schema before the task is given up. The dialect's
/// own number.
const SCHEMA_TRIES_MAX: u32 = 5;

/// Replies in a row that may bring nothing before the task is given up. A model
/// that is told so once mostly goes on; one that is told again mostly does not.
const STALLS_MAX: u32 = 1;

/// Deaths of the process in a row after which the calls that were under way are
/// not carried out again. The first may have any reason, such as a kill; twice at
/// the same place is a reason not to try a third time.
const DEATHS_MAX: u32 = 2;

/// What the model hears then.
const DEADLY: &str = "this call was not carried out again: twice in a row the program that carries out calls \
    has died while it, or another call of the same turn, was under way. If it may be the reason (a very large \
    or strange argument, a command that ends other programs), find another way; if not, ask for it once more.";

/// The conversation of one attempt.
pub(super) struct Conversation {
    asker: Asker,
    model: Model,
    request: Request,
    toolbox: Toolbox,
    checked: Option<Checked>,
    turns_max: u32,
    /// Room for the first reply, where the budget leaves less than the settings do.
    room: Option<u32>,
    /// Results of tools that ran since the last request: JSON text.
    tool_results: Option<Arc<str>>,
    turns: u32,
    schema_misses: u32,
    /// Replies in a row that have brought nothing.
    stalls: u32,
    /// Bytes of all texts in the request so far.
    request_bytes: u64,
}

/// The first request of an attempt on `model`. `findings` says what was wrong
/// with the result of the attempt before.
pub(crate) fn opening(assignment: &Assignment, model: &Model, findings: Option<&str>) -> Request {
    let Assignment { task, setup, tools, agent, .. } = assignment;
    let offered = tools.offered();
    let agent = agent.as_deref();
    let framing =
        framing::system_blocks(setup.framing.as_deref(), agent, !offered.is_empty(), task.schema.is_some());
    // Only what others share is worth a mark: framing alone is too short to be cached.
    let shared = !offered.is_empty() || task.context.is_some() || agent.is_some();
    let last = framing.len().saturating_sub(1);
    let block = |(i, text): (usize, String)| SystemBlock { text: text.into(), cache: shared && i == last };
    let context = task.context.iter().map(|text| Block::Text { text: text.clone(), cache: true });
    let findings = findings.map(|findings| Block::text(framing::refused(findings)));
    Request {
        model: model.id.clone(),
        system: framing.into_iter().enumerate().map(block).collect(),
        messages: vec![Message {
            role: Role::User,
            blocks: context.chain([Block::text(task.prompt.clone())]).chain(findings).collect(),
        }],
        tools: offered.clone(),
        max_tokens: setup.reply_tokens_max,
        effort: task.effort.or(agent.and_then(|agent| agent.effort)),
        schema: task.schema.clone(),
    }
}

impl Conversation {
    /// Prepares the first request. The tools work in `root`.
    pub(super) fn open(attempt: Attempt, root: &Path) -> Result<Self, Failure> {
        let Attempt { assignment, model, findings, room, kept, line, .. } = attempt;
        let (task, setup) = (&assignment.task, &assignment.setup);
        let Some(model) = model else {
            return Err(Failure::new(FailureClass::Unavailable, "the task has no model"));
        };
        let toolbox = assignment.tools.at(root, setup)?;
        let checked = task.schema.as_deref().map(Checked::new).transpose()?;
        let request = opening(&assignment, &model, findings.as_deref());
        let request_bytes = request_bytes(&request);
        Ok(Self {
            asker: Asker {
                line,
                setup: setup.clone(),
                kept,
                hedge: assignment.hedge.clone(),
                idle_timeout: assignment.idle_timeout,
            },
            turns_max: assignment.turns_max,
            room,
            model,
            request,
            toolbox,
            checked,
            tool_results: None,
            turns: 0,
            schema_misses: 0,
            stalls: 0,
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
        let turns_max = self.turns_max;
        if self.turns == turns_max {
            let message = format!("did not finish in {turns_max} turns");
            let failure = Failure::new(FailureClass::Turns, message)
                .hint("raise `maxTurns` of the task or `max_turns` of the settings, or ask for less");
            return Ok(Some(failure.into()));
        }
        self.turns += 1;
        let Answer { reply, turn, tool_results, deaths, cut } = self.ask().await?;
        let text = reply.text();
        let said = answer(&text).to_owned();
        match reply.stop {
            Stop::ToolUse if !has_calls(&reply) => self.stall(reply, &said, turn).await,
            Stop::EndTurn | Stop::StopSequence if said.is_empty() => self.stall(reply, &said, turn).await,
            Stop::PauseTurn if reply.blocks.is_empty() => self.stall(reply, &said, turn).await,
            Stop::ToolUse => {
                self.stalls = 0;
                self.asker.record(turn).await?;
                let results = match tool_results.and_then(|json| serde_json::from_str(&json).ok()) {
                    Some(results) => results,
                    None => self.use_tools(&reply, deaths < DEATHS_MAX).await,
                };
                self.say(reply.into_message());
                self.say(Message { role: Role::User, blocks: results });
                Ok(None)
            }
            Stop::PauseTurn => {
                self.asker.record(turn).await?;
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
                    self.asker.record(turn).await?;
                    self.say(reply.into_message());
                    self.say(Message::user(framing::repair(&violations)));
                    Ok(None)
                }
            },
            Stop::MaxTokens if cut.is_some() => {
                let message = "the answer was cut off at the length that the budget had room for";
                let failed = failed(FailureClass::Interrupted, message, &said, turn);
                Ok(Some(AttemptResult { next_turn: cut, ..failed }))
            }
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

    /// Goes on after a reply that brings nothing: says so to the model, and gives
    /// up when it happens again.
    async fn stall(
        &mut self,
        reply: Reply,
        said: &str,
        turn: Option<(Turn, Arc<str>)>,
    ) -> Result<Option<AttemptResult>, Halt> {
        self.stalls += 1;
        let is_empty = said.is_empty();
        if self.stalls > STALLS_MAX {
            let (message, hint) = match is_empty {
                true => (
                    "the answer was empty, and again when the model was asked once more",
                    "ask another model, or raise `max_reply_tokens` for one that thinks at length",
                ),
                false => (
                    "the model stopped to call a tool, but called none, and again when it was told so",
                    "ask another model, or a server that passes on calls of tools",
                ),
            };
            let mut failed = failed(FailureClass::Empty, message, said, turn);
            failed.result = failed.result.map_err(|failure| failure.hint(hint));
            return Ok(Some(failed));
        }
        self.asker.record(turn).await?;
        if is_empty {
            // What is empty cannot be sent back, and two messages of one side in a
            // row are more than some servers take.
            self.add(Block::text(framing::EMPTY));
        } else {
            self.say(reply.into_message());
            self.say(Message::user(framing::NO_CALL));
        }
        Ok(None)
    }

    /// Adds to what was said last, by us.
    fn add(&mut self, block: Block) {
        let added = Message { role: Role::User, blocks: vec![block] };
        self.request_bytes += message_bytes(&added);
        match self.request.messages.last_mut() {
            Some(last) if last.role == Role::User => last.blocks.extend(added.blocks),
            _ => self.request.messages.push(added),
        }
    }

    /// The reply to the current request.
    async fn ask(&mut self) -> Result<Answer, Halt> {
        let wanted = Wanted {
            request: &self.request,
            model: &self.model,
            bytes: self.request_bytes,
            // The first request is part of the attempt's own order to start.
            ordered: (self.turns == 1).then_some(self.room),
            tool_results: self.tool_results.take(),
            judges: false,
        };
        self.asker.ask(wanted).await
    }

    /// Carries out the calls of a reply; where it may not, each has an error as its
    /// result.
    async fn use_tools(&mut self, reply: &Reply, may_run: bool) -> Vec<Block> {
        let mut results = vec![];
        for block in &reply.blocks {
            let Block::ToolUse { id, name, input } = block else { continue };
            self.asker.line.signal(|attempt| Signal::Tool { attempt, what: describe(name, input) });
            let output = match may_run {
                true => self.toolbox.call(name, input, self.asker.line.stop()).await,
                false => Err::<String, String>(DEADLY.to_owned()).into(),
            };
            if let Some(NotPermitted { tool, permission }) = output.not_permitted {
                self.asker.line.tool_refused(tool, permission);
            }
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
        let json = match &self.checked {
            Some(checked) => checked.check(said)?.to_string(),
            // A text is always JSON.
            None => serde_json::to_string(said).unwrap_or_default(),
        };
        Ok(json.into())
    }
}

fn has_calls(reply: &Reply) -> bool {
    reply.blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }))
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
    let name = &name[..name.floor_char_boundary(60)];
    let most = first.floor_char_boundary(60);
    format!("{name} {}", first[..most].lines().next().unwrap_or_default()).trim_end().into()
}
