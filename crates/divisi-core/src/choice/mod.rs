//! Which sort of work a task is, and how strong a model that takes.
//!
//! The kinds are data: `kinds.toml`, changed by the user's settings ([`Kinds`]).
//! [`Kinds::choose`] weighs what is known of a task ([`Evidence`]): a declared
//! kind settles it; else the words of its prompt count, most of all what it is
//! told to do first, and the name of its agent, its schema, its tools and its
//! effort. What was weighed is told ([`Choice::reasons`]).
//!
//! Beside these rules there is a vote (`vote.rs`): a linear model over the words of
//! the prompt, which has learnt what tier texts of such words are given. What the rules
//! have found and the vote are weighed against each other (`together.rs`); where both
//! are thin, the balanced tier is taken. One rule stands above the weights: a prompt that
//! asks for an architecture, a plan or a proof never goes to the cheapest tier. Where a
//! user has said the tier of a kind, there is no vote on it.
//!
//! What this can do: tell kinds of work apart. What it cannot: tell how hard one
//! task is within its kind. Published routers that look at the prompt alone
//! score little better than chance at that, and rules of words no better at
//! all. The saving beyond the kind comes from ladders with checks.
//!
//! The texts are in `tests/data/tiers`: those of `training`, of `dev.txt` and of
//! `tests/data/prompts.tsv` are trained on, those of `evaluation.txt` never.
//! `scripts/train-tiers` trains and prints how good it is; `docs/tiers.md` has its table.

mod gist;
mod kinds;
mod score;
mod together;
mod vote;
mod words;

pub use kinds::{BadKinds, Kind, KindChange, Kinds, Needs, TokenPrior, UnknownKind};

use crate::task::Effort;
use crate::tier::Tier;
use serde::Serialize;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// Bytes of a prompt that are looked at from its beginning, where people say
/// what they want.
pub const HEAD_BYTES_MAX: usize = 4 * 1024;

/// Bytes of it that are looked at from its end, where they say it after a long text.
pub const TAIL_BYTES_MAX: usize = 1024;

/// Least confidence at which another tier than the balanced one is taken.
pub const CONFIDENCE_MIN: f32 = 0.42;

/// What is known of a task before it runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// What the agent is told.
    pub prompt: &'a str,
    /// The kind that the flow says it is.
    pub declared: Option<&'a str>,
    /// Who would answer: tiers of kinds can be set per provider.
    pub provider: Option<&'a str>,
    /// Name of the agent definition.
    pub agent: Option<&'a str>,
    /// What that definition says of itself.
    pub agent_about: Option<&'a str>,
    /// JSON Schema of the result.
    pub schema: Option<&'a Value>,
    /// The most that the tools it is given can do, if it was given any by name.
    pub tools: Option<Needs>,
    /// How hard the model should think.
    pub effort: Option<Effort>,
}

/// The sort of work a task is, and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Name of the kind.
    pub kind: Arc<str>,
    /// The tier that suffices.
    pub tier: Tier,
    /// How sure this is, 0 to 1. It is a share of evidence, not a probability.
    pub confidence: f32,
    /// Whether the flow said the kind.
    pub declared: bool,
    /// What was weighed, the weightiest first.
    pub reasons: Vec<Reason>,
}

impl Choice {
    /// Why, in one line: `search, for it is asked to "find"`.
    pub fn why(&self) -> String {
        match (self.declared, self.reasons.first()) {
            (true, _) => format!("{}, as the task says", self.kind),
            (false, Some(reason)) => format!("{}: {reason}", self.kind),
            (false, None) => format!("{}: nothing tells what it is", self.kind),
        }
    }
}

/// One thing that spoke for a kind or against it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// What it is.
    pub what: What,
    /// The kind it speaks of; `vote` where it speaks of the tier alone.
    pub kind: Arc<str>,
    /// How much it counts; below zero it speaks against that kind.
    pub weight: f32,
}

/// What can speak for a kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The first thing the prompt tells the agent to do.
    FirstAsk(Arc<str>),
    /// Something else it tells it to do.
    Ask(Arc<str>),
    /// Words in the prompt.
    Phrase(Arc<str>),
    /// Who the prompt says the agent is.
    Role(Arc<str>),
    /// Name of the agent definition.
    Agent(Arc<str>),
    /// Words of its description.
    AgentAbout(Arc<str>),
    /// The size of the schema.
    Schema(&'static str),
    /// What its tools can do.
    Tools(&'static str),
    /// How hard it should think.
    Effort(Effort),
    /// A long prompt.
    Length,
    /// The tier that texts of such words are given, and the words that tell most.
    Vote(Tier, Vec<Arc<str>>),
    /// Rule: who asks for hard work never gets the cheapest tier.
    NeverCheapest(Arc<str>),
    /// Rule: when unsure, the balanced tier.
    Unsure,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::FirstAsk(words) => write!(f, "first asks to \"{words}\""),
            What::Ask(words) => write!(f, "asks to \"{words}\""),
            What::Phrase(words) => write!(f, "speaks of \"{words}\""),
            What::Role(words) => write!(f, "it says \"{words}\""),
            What::Agent(name) => write!(f, "agent `{name}`"),
            What::AgentAbout(words) => write!(f, "its agent's description speaks of \"{words}\""),
            What::Schema(size) => write!(f, "{size} schema"),
            What::Tools(tools) => write!(f, "{tools}"),
            What::Effort(effort) => write!(f, "effort {effort}"),
            What::Length => f.write_str("long prompt"),
            What::Vote(tier, words) => {
                write!(f, "texts like this go to {tier}")?;
                match words.is_empty() {
                    true => Ok(()),
                    false => write!(f, ": \"{}\"", words.join("\", \"")),
                }
            }
            What::NeverCheapest(words) => write!(f, "\"{words}\" never goes to the cheapest tier"),
            What::Unsure => f.write_str("unsure, so the balanced tier"),
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod training;
