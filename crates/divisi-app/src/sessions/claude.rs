//! The sessions of Claude Code: `<projects>/<folder>/<session>.jsonl`.
//!
//! The agents of a session have files below `<session>/subagents/`, with a `.meta.json` beside each.
//! Older versions wrote them into the session's own file, as side chains that are linked by their
//! `parentUuid`, and for a time as `agent-*.jsonl` beside it.

use super::lines::{each, files, first_line, first_text, moment, text};
use super::{AGENTS_MAX, Agent, AgentReply, Program, Session};
use divisi_core::Timestamp;
use divisi_core::price::Billing;
use divisi_providers::{Block, Reply, Stop, usage_of_anthropic};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The model that the program names for messages of its own.
const NO_MODEL: &str = "<synthetic>";

/// Longest file about an agent.
const ABOUT_BYTES_MAX: u64 = 1 << 20;

/// What the tools are called that start an agent.
const STARTS: [&str; 2] = ["Agent", "Task"];

/// One conversation of a session.
#[derive(Default)]
struct Thread {
    agent: Option<Agent>,
    /// Of its first line, whatever that is.
    began: Option<Timestamp>,
    /// The places of replies by the id of their message. Each block of a reply has a line of its
    /// own.
    replies: BTreeMap<String, usize>,
}

/// What the files of a session say.
#[derive(Default)]
struct Read {
    /// Of its first line.
    id: Option<String>,
    folder: Option<String>,
    /// The session's own conversation, and those of its agents by their id, or by the first line
    /// of their chain.
    main: Thread,
    agents: BTreeMap<String, Thread>,
    /// For each line of a side chain, the first line of that chain.
    chains: BTreeMap<String, String>,
    passed_over: u64,
}

/// Reads a session; `None` if nothing was asked in it.
pub(super) fn read(path: &Path) -> io::Result<Option<Session>> {
    let mut read = Read::default();
    read.file(path, None)?;
    // A file that continues another session may begin with lines of that one.
    let names = [path.parent().and_then(Path::file_name), path.file_stem()];
    let [Some(folder), Some(name)] = names.map(|name| name.and_then(|name| name.to_str())) else {
        return Ok(None);
    };
    let id = format!("{folder}/{name}");
    let session = read.id.clone().unwrap_or_default();
    let mut about = BTreeMap::new();
    for file in agent_files(path, &session) {
        let Some(agent) = agent_of(&file) else {
            continue;
        };
        if read.agents.len() >= AGENTS_MAX {
            read.passed_over += 1;
            continue;
        }
        read.file(&file, Some(&agent))?;
        let meta = divisi_files::read(&file.with_extension("meta.json"), ABOUT_BYTES_MAX);
        let meta = meta.unwrap_or_default();
        about.insert(agent, serde_json::from_slice(&meta).unwrap_or(Value::Null));
    }
    Ok(read.session(id, &about))
}

/// The files of the agents of a session: below its own, and those of this id beside it.
fn agent_files(path: &Path, id: &str) -> Vec<PathBuf> {
    let below = files(&path.with_extension(""));
    let beside = path.parent().map(files_of_folder).unwrap_or_default();
    let of_session = |file: &PathBuf| first_text(file, "sessionId").as_deref() == Some(id);
    let below = below.into_iter().filter(|file| agent_of(file).is_some());
    let beside = beside.into_iter().filter(|file| agent_of(file).is_some());
    below.chain(beside.filter(of_session)).collect()
}

fn files_of_folder(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .collect()
}

/// The id of an agent, from the name of its file.
fn agent_of(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    Some(
        name.strip_prefix("agent-")?
            .strip_suffix(".jsonl")?
            .to_owned(),
    )
}

impl Read {
    fn file(&mut self, path: &Path, agent: Option<&str>) -> io::Result<()> {
        self.passed_over += each(path, |line| self.line(&line, agent))?;
        Ok(())
    }

    fn line(&mut self, line: &Value, agent: Option<&str>) {
        let said = |name| text(line, name).map(str::to_owned);
        self.id = self.id.take().or_else(|| said("sessionId"));
        self.folder = self.folder.take().or_else(|| said("cwd"));
        let chain = match agent {
            Some(agent) => Some(agent.to_owned()),
            None if line["isSidechain"].as_bool() == Some(true) => Some(self.chain_of(line)),
            None => None,
        };
        let thread = match chain {
            Some(chain) if self.agents.len() >= AGENTS_MAX && !self.agents.contains_key(&chain) => {
                self.passed_over += 1;
                return;
            }
            Some(chain) => self.agents.entry(chain).or_default(),
            None => &mut self.main,
        };
        thread.line(line);
    }

    /// The first line of the chain that this line belongs to.
    fn chain_of(&mut self, line: &Value) -> String {
        let own = text(line, "uuid").unwrap_or_default().to_owned();
        let parent = text(line, "parentUuid").and_then(|parent| self.chains.get(parent));
        let chain = parent.unwrap_or(&own).clone();
        self.chains.insert(own, chain.clone());
        chain
    }

    fn session(self, id: String, about: &BTreeMap<String, Value>) -> Option<Session> {
        let mut main = self.main.agent?;
        main.label = first_line(&main.prompt);
        let mut agents = vec![main];
        let mut calls = vec![];
        for (agent, thread) in self.agents {
            let Some(mut found) = thread.agent else {
                continue;
            };
            let about = about.get(&agent).unwrap_or(&Value::Null);
            found.kind = text(about, "agentType").map(str::to_owned);
            found.label = text(about, "description").unwrap_or_default().to_owned();
            calls.push(text(about, "toolUseId").map(str::to_owned));
            agents.push(found);
        }
        let starts = Starts::of(&agents);
        for (agent, call) in agents.iter_mut().skip(1).zip(calls) {
            let start = call
                .and_then(|call| starts.by_call.get(&call))
                .or_else(|| starts.by_prompt.get(&agent.prompt));
            if let Some(start) = start {
                agent.started_by = Some((start.by, start.call.clone()));
                agent.kind = agent.kind.take().or_else(|| start.kind.clone());
                if agent.label.is_empty() {
                    agent.label.clone_from(&start.label);
                }
            }
            if agent.label.is_empty() {
                agent.label = first_line(&agent.prompt);
            }
        }
        Some(Session {
            program: Program::Claude,
            id,
            folder: self.folder,
            agents: in_order(agents),
            passed_over: self.passed_over,
        })
    }
}

/// Sorts agents by their beginning, the session's own first, which begins before all others.
fn in_order(mut agents: Vec<Agent>) -> Vec<Agent> {
    let began = agents.iter().map(|agent| agent.began).min();
    if let (Some(own), Some(began)) = (agents.first_mut(), began) {
        own.began = began;
    }
    let mut order: Vec<usize> = (0..agents.len()).collect();
    order.sort_by_key(|place| (*place > 0, agents[*place].began, *place));
    let mut places = vec![0; agents.len()];
    for (new, old) in order.iter().enumerate() {
        places[*old] = new;
    }
    let mut sorted: Vec<Option<Agent>> = agents.into_iter().map(Some).collect();
    let took = order.into_iter().filter_map(|old| sorted[old].take());
    took.map(|mut agent| {
        if let Some((by, _)) = &mut agent.started_by {
            *by = places[*by];
        }
        agent
    })
    .collect()
}

/// The calls of tools that start agents.
#[derive(Default)]
struct Starts {
    by_call: BTreeMap<String, Start>,
    by_prompt: BTreeMap<String, Start>,
}

#[derive(Clone)]
struct Start {
    by: usize,
    call: String,
    kind: Option<String>,
    label: String,
}

impl Starts {
    fn of(agents: &[Agent]) -> Self {
        let mut starts = Self::default();
        for (by, agent) in agents.iter().enumerate() {
            let blocks = agent.replies.iter().flat_map(|reply| &reply.reply.blocks);
            for block in blocks {
                let Block::ToolUse { id, name, input } = block else {
                    continue;
                };
                if !STARTS.contains(&name.as_str()) {
                    continue;
                }
                let start = Start {
                    by,
                    call: id.clone(),
                    kind: text(input, "subagent_type").map(str::to_owned),
                    label: text(input, "description").unwrap_or_default().to_owned(),
                };
                if let Some(prompt) = text(input, "prompt") {
                    starts.by_prompt.insert(prompt.to_owned(), start.clone());
                }
                starts.by_call.insert(id.clone(), start);
            }
        }
        starts
    }
}

impl Thread {
    fn line(&mut self, line: &Value) {
        let Some(at) = moment(line) else {
            return;
        };
        self.began.get_or_insert(at);
        let message = &line["message"];
        match text(line, "type") {
            Some("user") => {
                if let Some(prompt) = prompt(message).filter(|_| line["isMeta"] != true) {
                    let began = self.began.unwrap_or(at);
                    match &mut self.agent {
                        Some(agent) => agent.prompts += 1,
                        None => self.agent = Some(Agent::new(prompt, began)),
                    }
                }
            }
            Some("assistant") => self.reply(message, at),
            _ => return,
        }
        if let Some(agent) = &mut self.agent {
            agent.ended = agent.ended.max(at);
        }
    }

    fn reply(&mut self, message: &Value, at: Timestamp) {
        let Some(agent) = &mut self.agent else {
            return;
        };
        let model = text(message, "model").unwrap_or_default();
        let blocks = blocks(message);
        if model == NO_MODEL {
            let said = blocks.iter().filter_map(Block::as_text).collect::<String>();
            agent.failure = Some(said);
            return;
        }
        agent.failure = None;
        let (usage, billing) = usage_of_anthropic(&message["usage"]);
        let id = text(message, "id").unwrap_or_default().to_owned();
        let known = self.replies.get(&id).filter(|_| !id.is_empty());
        if let Some(reply) = known.and_then(|place| agent.replies.get_mut(*place)) {
            reply.reply.blocks.extend(blocks);
            // The first line of a reply may have the counts of its beginning.
            if usage.output >= reply.reply.usage.output {
                (reply.reply.usage, reply.reply.billing) = (usage, billing);
            }
            reply.at = at;
            return;
        }
        self.replies.insert(id, agent.replies.len());
        agent.replies.push(AgentReply {
            at,
            reply: Reply {
                blocks,
                stop: stop(message),
                usage,
                billing: Billing {
                    stated: None,
                    ..billing
                },
                ..Reply::new(model, "")
            },
        });
    }
}

/// The prompt in a message of the user; `None` if it answers calls of tools.
fn prompt(message: &Value) -> Option<String> {
    let prompt = match &message["content"] {
        Value::String(prompt) => prompt.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| text(part, "text")).collect(),
        _ => return None,
    };
    (!prompt.trim().is_empty()).then_some(prompt)
}

fn blocks(message: &Value) -> Vec<Block> {
    let blocks = message["content"].as_array().into_iter().flatten();
    blocks
        .filter_map(|block| match text(block, "type")? {
            "text" => Some(Block::Text {
                text: text(block, "text")?.into(),
                cache: false,
            }),
            "tool_use" => Some(Block::ToolUse {
                id: text(block, "id")?.to_owned(),
                name: text(block, "name")?.to_owned(),
                input: block["input"].clone(),
            }),
            _ => None,
        })
        .collect()
}

fn stop(message: &Value) -> Stop {
    match text(message, "stop_reason") {
        Some("tool_use") => Stop::ToolUse,
        Some("max_tokens") => Stop::MaxTokens,
        Some("refusal") => Stop::Refusal,
        _ => Stop::EndTurn,
    }
}
