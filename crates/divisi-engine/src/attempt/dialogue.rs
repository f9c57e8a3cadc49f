//! The conversation of an attempt: its requests, and the classification of replies.
//!
//! Each request is a pure function of the task, the replies and the tool results before it. That
//! makes a conversation durable: an attempt that follows a lost one builds the same requests, finds
//! their replies among the recorded ones, and asks only for what is missing. The core decides what
//! follows from a reply ([`divisi_core::attempt`]).

use crate::agents::AgentDefinition;
use crate::answer::{self, Checked};
use crate::executor::{Line, Signal};
use crate::framing;
use crate::setup::Setup;
use crate::tools::{NotPermitted, Toolbox};
use crate::toolset::Toolset;
use divisi_core::attempt::{Reading, Say};
use divisi_core::event::ToolCall;
use divisi_core::{Failure, Millis, Task};
use divisi_providers::redact;
use divisi_providers::{Block, Message, Reply, Request, Role, SystemBlock};
use serde_json::Value;
use std::sync::Arc;

/// Longest findings given to the next attempt; the reservation of its first request includes this
/// length. The end of a command's output is kept, because it is usually the most useful part.
pub(crate) const FINDINGS_BYTES_MAX: usize = 8 * 1024;

/// The tool result for calls that are not executed again.
const DEADLY: &str = "this call was not carried out again: twice in a row the program that carries out calls \
    has died while it, or another call of the same turn, was under way. If it may be the reason (a very large \
    or strange argument, a command that ends other programs), find another way; if not, ask for it once more.";

/// A conversation with a model, so far.
pub(super) struct Dialogue {
    request: Arc<Request>,
    /// Bytes of all texts in the request so far.
    bytes: u64,
    checked: Option<Checked>,
    /// The last answer, if it is a result: JSON text.
    value: Option<Arc<str>>,
    /// Why the last answer is not a result.
    violations: String,
}

/// What the requests of a task begin with, in every attempt.
#[derive(Clone, Copy)]
pub(crate) struct Brief<'a> {
    pub(crate) task: &'a Task,
    pub(crate) setup: &'a Setup,
    pub(crate) tools: &'a Toolset,
    pub(crate) agent: Option<&'a AgentDefinition>,
}

/// The first request of an attempt on `model`. `findings` are those about the previous attempt's
/// result.
///
/// It is also built before an attempt, to measure its size.
pub(crate) fn opening(brief: Brief<'_>, model: &Arc<str>, findings: Option<&str>) -> Request {
    let Brief {
        task,
        setup,
        tools,
        agent,
    } = brief;
    let offered = tools.offered();
    let framing = framing::system_blocks(
        setup.framing.as_deref(),
        agent,
        !offered.is_empty(),
        task.schema.is_some(),
    );
    // Only a prefix shared with other tasks is worth a mark: framing alone is too short for the
    // cache.
    let shared = !offered.is_empty() || task.context.is_some() || agent.is_some();
    let last = framing.len().saturating_sub(1);
    let block = |(i, text): (usize, String)| SystemBlock {
        text: text.into(),
        cache: shared && i == last,
    };
    let context = task.context.iter().map(|text| Block::Text {
        text: text.clone(),
        cache: true,
    });
    let findings = findings.map(|findings| Block::text(framing::refused(last_of(findings))));
    Request {
        model: model.clone(),
        system: framing.into_iter().enumerate().map(block).collect(),
        messages: vec![Message {
            role: Role::User,
            blocks: context
                .chain([Block::text(task.prompt.clone())])
                .chain(findings)
                .collect(),
        }],
        tools: offered.clone(),
        max_tokens: setup.reply_tokens_max,
        effort: task.effort.or(agent.and_then(|agent| agent.effort)),
        schema: task.schema.clone(),
    }
}

impl Dialogue {
    /// A conversation that begins with `request`. Answers must fit `schema`, if there is one.
    pub(super) fn new(request: Request, schema: Option<&Value>) -> Result<Self, Failure> {
        let checked = schema.map(Checked::new).transpose()?;
        let bytes = request.bytes();
        Ok(Self {
            request: request.into(),
            bytes,
            checked,
            value: None,
            violations: String::new(),
        })
    }

    /// The next request.
    pub(super) fn request(&self) -> &Arc<Request> {
        &self.request
    }

    /// Bytes of all texts in it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The last answer, if it is a result: JSON text.
    pub(super) fn value(&self) -> Option<&Arc<str>> {
        self.value.as_ref()
    }

    /// Why the last answer is not a result, in words for the model.
    pub(super) fn violations(&self) -> &str {
        &self.violations
    }

    /// Classifies a reply.
    pub(super) fn read(&mut self, reply: &Reply) -> Reading {
        self.value = None;
        let text = reply.text();
        let said = answer::of(&text);
        let fits = || {
            let value = match &self.checked {
                Some(checked) => checked.check(said).map(|value| value.to_string()),
                // A string always serialises.
                None => Ok(serde_json::to_string(said).unwrap_or_default()),
            };
            match value {
                Ok(json) => self.value = Some(json.into()),
                Err(violations) => self.violations = violations,
            }
            self.value.is_some()
        };
        Reading::of(
            reply.stop,
            has_calls(reply),
            !reply.blocks.is_empty(),
            !said.is_empty(),
            fits,
        )
    }

    /// Appends a reply and the message that follows it.
    pub(super) fn say(&mut self, reply: Reply, say: Say) {
        let told = match say {
            Say::GoOn => None,
            Say::Repair | Say::VerdictForm => Some(framing::repair(&self.violations)),
            Say::NoCall => Some(framing::NO_CALL.to_owned()),
            // An empty reply cannot be sent back, and some servers refuse two consecutive messages
            // of one side.
            Say::Empty => return self.append(Block::text(framing::EMPTY)),
        };
        self.add(reply.into_message());
        if let Some(told) = told {
            self.add(Message::user(told));
        }
    }

    /// Appends a reply and the results of the tools it called.
    pub(super) fn use_results(&mut self, reply: Reply, results: Vec<Block>) {
        self.add(reply.into_message());
        self.add(Message {
            role: Role::User,
            blocks: results,
        });
    }

    fn add(&mut self, message: Message) {
        let request = Arc::make_mut(&mut self.request);
        // Only the latest results have a cache mark, because vendors accept four.
        for earlier in request
            .messages
            .iter_mut()
            .skip(1)
            .flat_map(|message| &mut message.blocks)
        {
            if let Block::ToolResult { cache, .. } = earlier {
                *cache = false;
            }
        }
        self.bytes += message.bytes();
        request.messages.push(message);
    }

    /// Adds to the last message of the user's side.
    fn append(&mut self, block: Block) {
        let added = Message {
            role: Role::User,
            blocks: vec![block],
        };
        self.bytes += added.bytes();
        let request = Arc::make_mut(&mut self.request);
        match request.messages.last_mut() {
            Some(last) if last.role == Role::User => last.blocks.extend(added.blocks),
            _ => request.messages.push(added),
        }
    }
}

/// Executes the calls of a reply; if it may not, each gets an error as its result.
pub(super) async fn use_tools(
    toolbox: &Toolbox,
    reply: &Reply,
    may_run: bool,
    line: &Line,
) -> (Vec<Block>, Vec<ToolCall>) {
    let (mut results, mut calls) = (vec![], vec![]);
    for block in &reply.blocks {
        let Block::ToolUse { id, name, input } = block else {
            continue;
        };
        line.signal(|attempt| Signal::Tool {
            attempt,
            what: describe(name, input),
        });
        let began = line.now();
        let output = match may_run {
            true => toolbox.call(name, input, line.stop()).await,
            false => Err::<String, String>(DEADLY.to_owned()).into(),
        };
        if let Some(NotPermitted { tool, permission }) = output.not_permitted {
            line.tool_refused(tool, permission);
        }
        calls.push(ToolCall {
            name: shown(name).into(),
            from: Millis(began.0),
            took: line.now().since(began),
            bytes: output.text.len() as u64,
            failed: output.is_error,
            exit: output.exit,
        });
        let (content, is_error) = (output.text, output.is_error);
        results.push(Block::ToolResult {
            tool_use_id: id.clone(),
            content,
            is_error,
            cache: false,
        });
    }
    // Marked, because the next request reads the conversation so far from the cache.
    if let Some(Block::ToolResult { cache, .. }) = results.last_mut() {
        *cache = true;
    }
    (results, calls)
}

fn has_calls(reply: &Reply) -> bool {
    reply
        .blocks
        .iter()
        .any(|block| matches!(block, Block::ToolUse { .. }))
}

/// The shown part of a name: models may call anything.
fn shown(name: &str) -> &str {
    &name[..name.floor_char_boundary(60)]
}

/// Short description of a tool call: its name and the first text argument.
fn describe(name: &str, input: &Value) -> Arc<str> {
    /// Fields that name the subject of a call, in the built-in tools and in most others.
    const SUBJECTS: [&str; 7] = [
        "command",
        "pattern",
        "query",
        "path",
        "file_path",
        "url",
        "prompt",
    ];
    /// Longest subject: about a line of a wide terminal.
    const SUBJECT_BYTES_MAX: usize = 160;
    let first = input.as_object().and_then(|fields| {
        let named = SUBJECTS.iter().find_map(|name| fields.get(*name)?.as_str());
        named.or_else(|| fields.values().find_map(Value::as_str))
    });
    // Redacted before it is cut: the piece of a secret would not be recognised later.
    let first = redact(first.unwrap_or_default());
    let name = shown(name);
    let most = first.floor_char_boundary(SUBJECT_BYTES_MAX);
    format!(
        "{name} {}",
        first[..most].lines().next().unwrap_or_default()
    )
    .trim_end()
    .into()
}

/// The part of findings that the next attempt gets.
pub(super) fn last_of(findings: &str) -> &str {
    end_of(findings, FINDINGS_BYTES_MAX)
}

/// The end of a text, of at most this length.
pub(super) fn end_of(text: &str, bytes_max: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(bytes_max))..]
}
