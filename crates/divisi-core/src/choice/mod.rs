//! Classifies tasks by kind of work, and finds the model tier that suffices.
//!
//! The kinds are data: `kinds.toml` and `languages.toml`, changed by the user's settings
//! ([`Kinds`]).
//! [`Kinds::choose`] weighs the available [`Evidence`]: a declared kind decides; otherwise the words
//! of the prompt count, most of all its first instruction, then the name of the agent, the schema,
//! the tools and the effort. The result lists what was weighed ([`Choice::reasons`]).
//!
//! Beside these rules there is a vote (`vote.rs`): a linear classifier over the words of the
//! prompt, trained on texts labelled with tiers. The findings of the rules and the vote are combined
//! with trained weights (`together.rs`); with weak evidence from both, the balanced tier is taken.
//! Two rules override the weights: a prompt that asks for an architecture, a plan or a proof never
//! gets the cheapest tier, and one whose only hard instruction is for a small thing ("design a
//! button") never gets the strongest. Where the user has set the tier of a kind, there is no vote.
//!
//! This distinguishes kinds of work; it cannot predict how hard one task is within its kind.
//! Published routers that look at the prompt alone are little better than chance at that, and word
//! rules no better. Savings beyond the kind come from ladders with checks.
//!
//! The texts are in `tests/data/tiers`: those of `training`, of `dev.txt` and of
//! `tests/data/prompts.tsv` are used for training, those of `evaluation.txt` never.
//! `scripts/train-tiers` trains and prints the accuracy; `docs/tiers.md` has its table.

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

/// Bytes at the beginning of a prompt that are searched; most prompts say there what they want.
pub const HEAD_BYTES_MAX: usize = 4 * 1024;

/// Bytes at its end that are searched, because instructions may follow a long text.
pub const TAIL_BYTES_MAX: usize = 1024;

/// Least confidence for a tier other than the balanced one.
pub const CONFIDENCE_MIN: f32 = 0.42;

/// What is known of a task before it runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// The prompt.
    pub prompt: &'a str,
    /// The kind declared by the flow.
    pub declared: Option<&'a str>,
    /// The provider that would answer: tiers of kinds can be set per provider.
    pub provider: Option<&'a str>,
    /// Name of the agent definition.
    pub agent: Option<&'a str>,
    /// Description of that agent definition.
    pub agent_about: Option<&'a str>,
    /// JSON Schema of the result.
    pub schema: Option<&'a Value>,
    /// The most that its tools can do, where the task names tools.
    pub tools: Option<Needs>,
    /// How hard the model should think.
    pub effort: Option<Effort>,
}

/// The sort of work a task is, and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Choice {
    /// Name of the kind.
    pub kind: Arc<str>,
    /// The tier that suffices.
    pub tier: Tier,
    /// How sure this is, 0 to 1. It is a share of evidence, not a probability.
    pub confidence: f32,
    /// Whether the flow declared the kind.
    pub declared: bool,
    /// What was weighed, by descending weight.
    pub reasons: Vec<Reason>,
}

impl Choice {
    /// The choice and its main reason in one line: `search: first asks to "find"`.
    pub fn why(&self) -> String {
        match (self.declared, self.reasons.first()) {
            (true, _) => format!("{}, as the task says", self.kind),
            (false, Some(reason)) => format!("{}: {reason}", self.kind),
            (false, None) => format!("{}: nothing tells what it is", self.kind),
        }
    }
}

/// One piece of evidence for a kind or against it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reason {
    /// What it is.
    pub what: What,
    /// The kind it is about; `vote` if it is about the tier alone.
    pub kind: Arc<str>,
    /// Its weight; negative values are evidence against the kind.
    pub weight: f32,
}

/// Evidence for or against a kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The first instruction of the prompt.
    FirstAsk(Arc<str>),
    /// Another instruction of the prompt.
    Ask(Arc<str>),
    /// Words in the prompt.
    Phrase(Arc<str>),
    /// The role that the prompt gives the agent.
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
    /// The tier by the vote, and the words that contribute most.
    Vote(Tier, Vec<Arc<str>>),
    /// Rule: a prompt that asks for hard work never gets the cheapest tier.
    NeverCheapest(Arc<str>),
    /// Rule: with weak evidence, the balanced tier.
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
