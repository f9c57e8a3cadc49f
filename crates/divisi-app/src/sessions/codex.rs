//! The sessions of Codex: `<sessions>/<year>/<month>/<day>/rollout-*.jsonl`, one agent each.

use super::lines::{each, first_line, moment, text};
use super::{Agent, AgentReply, Program, Session};
use divisi_core::{Timestamp, Usage};
use divisi_providers::{Block, Reply, Stop, usage_of_codex};
use serde_json::Value;
use std::io;
use std::path::Path;
use std::sync::Arc;

#[derive(Default)]
struct Read {
    id: Option<String>,
    folder: Option<String>,
    model: String,
    agent: Option<Agent>,
    began: Option<Timestamp>,
    /// Content since the last count of tokens: that of one reply.
    blocks: Vec<Block>,
    /// Tokens of the session so far, as the program counts.
    total: Option<Usage>,
}

/// Reads a session; `None` if nothing was asked in it.
pub(super) fn read(path: &Path) -> io::Result<Option<Session>> {
    let mut read = Read::default();
    let passed_over = each(path, |line| read.line(&line))?;
    let name = path.file_stem().and_then(|name| name.to_str());
    let id = read.id.or_else(|| name.map(str::to_owned));
    Ok(read.agent.zip(id).map(|(mut agent, id)| {
        agent.label = first_line(&agent.prompt);
        Session {
            program: Program::Codex,
            id,
            folder: read.folder,
            agents: vec![agent],
            passed_over,
        }
    }))
}

impl Read {
    fn line(&mut self, line: &Value) {
        let Some(at) = moment(line) else {
            return;
        };
        self.began.get_or_insert(at);
        let said = &line["payload"];
        match (text(line, "type"), text(said, "type")) {
            (Some("session_meta"), _) => {
                self.id = text(said, "id").map(str::to_owned);
                self.folder = text(said, "cwd").map(str::to_owned);
            }
            (Some("turn_context"), _) => {
                self.model = text(said, "model").unwrap_or(&self.model).to_owned();
            }
            (Some("response_item"), Some("message")) => self.message(said),
            (Some("response_item"), Some(kind)) if kind.ends_with("_call") => self.call(said),
            (Some("event_msg"), Some("token_count")) => self.count(&said["info"], at),
            (Some("event_msg"), Some("error")) => {
                let message = text(said, "message").unwrap_or("it failed").to_owned();
                if let Some(agent) = &mut self.agent {
                    agent.failure = Some(message);
                }
            }
            _ => return,
        }
        if let Some(agent) = &mut self.agent {
            agent.ended = agent.ended.max(at);
        }
    }

    fn message(&mut self, message: &Value) {
        let parts = message["content"].as_array().into_iter().flatten();
        let said: String = parts.filter_map(|part| text(part, "text")).collect();
        match text(message, "role") {
            Some("assistant") => self.blocks.push(Block::Text {
                text: Arc::from(said.as_str()),
                cache: false,
            }),
            // What the program itself adds stands in tags.
            Some("user") if !said.trim().is_empty() && !said.trim_start().starts_with('<') => {
                match &mut self.agent {
                    Some(agent) => agent.prompts += 1,
                    None => self.agent = Some(Agent::new(said, self.began.unwrap_or_default())),
                }
            }
            _ => {}
        }
    }

    fn call(&mut self, call: &Value) {
        let id = text(call, "call_id").or_else(|| text(call, "id"));
        let input = ["arguments", "input", "action"]
            .iter()
            .map(|name| &call[*name]);
        let input = input.into_iter().find(|input| !input.is_null());
        // A function has JSON in a string, a tool of its own any text.
        let input = input.map(|input| match input {
            Value::String(text) => serde_json::from_str(text)
                .ok()
                .filter(Value::is_object)
                .unwrap_or_else(|| serde_json::json!({"input": text})),
            other => other.clone(),
        });
        self.blocks.push(Block::ToolUse {
            id: id.unwrap_or_default().to_owned(),
            name: text(call, "name").unwrap_or("shell").to_owned(),
            input: input.unwrap_or_else(|| serde_json::json!({})),
        });
    }

    /// The tokens of the last reply. The same count may be stated again.
    fn count(&mut self, info: &Value, at: Timestamp) {
        let (total, last) = (
            usage_of_codex(&info["total_token_usage"]),
            usage_of_codex(&info["last_token_usage"]),
        );
        let Some(agent) = self.agent.as_mut().filter(|_| !info.is_null()) else {
            return;
        };
        if self.total.replace(total) == Some(total) {
            return;
        }
        agent.failure = None;
        let blocks = std::mem::take(&mut self.blocks);
        let is_call = blocks
            .iter()
            .any(|block| matches!(block, Block::ToolUse { .. }));
        agent.replies.push(AgentReply {
            at,
            reply: Reply {
                blocks,
                stop: if is_call {
                    Stop::ToolUse
                } else {
                    Stop::EndTurn
                },
                usage: last,
                ..Reply::new(self.model.as_str(), "")
            },
        });
    }
}
