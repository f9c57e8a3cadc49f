//! What agent programs have already done: their session files, read as runs.
//!
//! Claude Code and Codex write each session as lines of JSON below the user's home. Versions differ,
//! so unknown lines and fields are passed over, and lines that are no JSON are counted. A session
//! becomes a run: its agents are the tasks, with the models that answered and their tokens. The
//! files state no cost, so replies are priced by divisi's list, whether a plan paid for them or not.

mod claude;
mod codex;
mod journal;
mod lines;
mod review;
#[cfg(test)]
mod tests;

pub use review::{Dearer, Review};

use crate::place::Place;
use crate::settings::Settings;
use crate::{Problem, prices};
use divisi_core::{Digest, Kinds, RunId, Timestamp};
use divisi_engine::prices::Catalogue;
use divisi_engine::store::Store;
use divisi_providers::Reply;
use journal::Added;
use std::path::PathBuf;
use std::sync::Arc;

/// Most sessions read at once.
const SESSIONS_MAX: usize = 10_000;

/// Most agents of a session; the others are passed over.
const AGENTS_MAX: usize = 10_000;

/// A program that keeps its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Claude Code.
    Claude,
    /// Codex.
    Codex,
}

/// A session, as far as its files show it.
#[derive(Clone, Debug, PartialEq)]
struct Session {
    program: Program,
    /// Its id, as the program names it.
    id: String,
    /// The folder it worked in.
    folder: Option<String>,
    /// Its agents in the order in which they began; the first is the session's own.
    agents: Vec<Agent>,
    /// Lines that are no JSON, or too long, and agents beyond the limit.
    passed_over: u64,
}

/// An agent of a session.
#[derive(Clone, Debug, PartialEq)]
struct Agent {
    label: String,
    /// Name of its definition.
    kind: Option<String>,
    /// Its first prompt.
    prompt: String,
    /// Number of prompts. An agent with more is a conversation, not a task.
    prompts: u32,
    /// The agent that started it, and the call of a tool by which it did.
    started_by: Option<(usize, String)>,
    began: Timestamp,
    ended: Timestamp,
    replies: Vec<AgentReply>,
    /// Why it failed, if it did.
    failure: Option<String>,
}

/// A reply of a model to an agent.
#[derive(Clone, Debug, PartialEq)]
struct AgentReply {
    at: Timestamp,
    reply: Reply,
}

/// What came of an import.
#[derive(Debug, Default)]
pub struct Imported {
    /// The runs that were added, or replaced because their session went on.
    pub runs: Vec<RunId>,
    /// Sessions that were known already.
    pub known: usize,
    /// Files that could not be read, with the reason.
    pub unread: Vec<(PathBuf, String)>,
    /// Lines that are no JSON or too long, and agents beyond the limit.
    pub passed_over: u64,
    /// Sessions beyond the limit; the latest were read.
    pub left_out: usize,
    /// The figures of all sessions that were read.
    pub review: Review,
}

impl Program {
    /// Its name: also that of the executor, from which estimates learn.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
        }
    }

    /// The program of this name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Claude, Self::Codex]
            .into_iter()
            .find(|program| program.as_str() == name)
    }

    /// The vendor of its models.
    fn vendor(self) -> &'static str {
        match self {
            Self::Claude => "anthropic",
            Self::Codex => "openai",
        }
    }

    /// The folder of its sessions. `variable` reads the environment.
    pub fn folder(self, variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
        let (own, usual, below) = match self {
            Self::Claude => ("CLAUDE_CONFIG_DIR", ".claude", "projects"),
            Self::Codex => ("CODEX_HOME", ".codex", "sessions"),
        };
        let home = || Some(etcetera::home_dir().ok()?.join(usual));
        let folder = variable(own).map(PathBuf::from).or_else(home)?;
        Some(folder.join(below))
    }
}

/// Reads the sessions of `program` below `folder` that were written at `since` or later, and adds
/// them to `store` as runs. A session that is known is replaced if it has gone on.
///
/// Blocks while it reads files.
pub async fn import(
    program: Program,
    folder: &std::path::Path,
    since: Timestamp,
    settings: &Settings,
    store: &dyn Store,
    place: &Place,
) -> Result<Imported, Problem> {
    let (catalogue, kinds) = (prices::of(settings)?, settings.kinds()?);
    let (files, left_out) = lines::sessions(program, folder, since)?;
    let mut imported = Imported {
        left_out,
        ..Imported::default()
    };
    let table = Table {
        catalogue: &catalogue,
        kinds: &kinds,
    };
    for path in files {
        let read = match program {
            Program::Claude => claude::read(&path),
            Program::Codex => codex::read(&path),
        };
        let session = match read {
            Ok(Some(session)) => session,
            // Nothing was asked in it.
            Ok(None) => continue,
            Err(error) => {
                imported.unread.push((path, error.to_string()));
                continue;
            }
        };
        let id = session.run_id();
        match journal::add(&session, &id, &table, store, place).await? {
            Added::New => imported.runs.push(id),
            Added::Known => imported.known += 1,
            Added::Not(why) => {
                imported.unread.push((path, why));
                continue;
            }
        }
        imported.passed_over += session.passed_over;
        imported.review.add(&session, &table);
    }
    Ok(imported)
}

impl Session {
    /// The same for a session at each import.
    fn run_id(&self) -> RunId {
        let digest = Digest::of(format!("{} {}", self.program.as_str(), self.id).as_bytes());
        let bits = digest.as_bytes().iter().take(8);
        RunId::from_entropy(bits.fold(0, |all, byte| (all << 8) | u64::from(*byte)))
    }
}

impl Agent {
    fn new(prompt: String, began: Timestamp) -> Self {
        Self {
            label: String::new(),
            kind: None,
            prompt,
            prompts: 1,
            started_by: None,
            began,
            ended: began,
            replies: vec![],
            failure: None,
        }
    }

    /// Its result: the text of its last reply.
    fn result(&self) -> String {
        self.replies
            .last()
            .map(|last| last.reply.text())
            .unwrap_or_default()
    }

    /// The model of its first reply.
    fn model(&self) -> Option<Arc<str>> {
        Some(self.replies.first()?.reply.model.as_str().into())
    }
}

/// Prices, and what decides over tiers.
struct Table<'a> {
    catalogue: &'a Catalogue,
    kinds: &'a Kinds,
}
