//! What of a request a server may not take. How requests are written without it, and learn to be,
//! is in `manners`.
//!
//! A [`Request`](crate::Request) says what is asked; its digest is of that alone. A dialect says
//! how it is put to one server. So what a server turns out not to take changes no digest: a
//! reply is found again whichever way it was asked for.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is said in the settings of how a server wants to be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Dialect {
    /// What is never sent to it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub omit: BTreeSet<Part>,
    /// Its name for the longest reply, where Chat Completions are spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<MaxTokens>,
}

/// The two names of the longest reply in Chat Completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MaxTokens {
    /// The older one.
    MaxTokens,
    /// The one that OpenAI wants.
    MaxCompletionTokens,
}

/// A part of a request that a server may not take. The settings name them as here, in
/// snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The wish for a count of tokens at the end of a stream.
    StreamOptions,
    /// The form in which an answer is held to its schema.
    Schema,
    /// That the answer is held to every word of its schema.
    Strict,
    /// A schema together with tools; each alone is taken.
    SchemaWithTools,
    /// Tools.
    Tools,
    /// How hard the model should think.
    Effort,
    /// Marks for the cache.
    CacheControl,
    /// A message of the system.
    SystemRole,
    /// The wish for encrypted reasoning.
    Include,
    /// The wish that nothing is kept.
    Store,
    /// The longest reply.
    MaxOutputTokens,
    /// The usual one of the two names of the longest reply.
    #[serde(skip)]
    MaxTokensName,
}

impl Part {
    /// Its name in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StreamOptions => "stream_options",
            Self::Schema => "schema",
            Self::Strict => "strict",
            Self::SchemaWithTools => "schema_with_tools",
            Self::Tools => "tools",
            Self::Effort => "effort",
            Self::CacheControl => "cache_control",
            Self::SystemRole => "system_role",
            Self::Include => "include",
            Self::Store => "store",
            Self::MaxOutputTokens => "max_output_tokens",
            Self::MaxTokensName => "max_tokens",
        }
    }

    /// What is not taken, and what follows from going on without it.
    pub(crate) fn consequence(self) -> (&'static str, &'static str) {
        match self {
            Self::StreamOptions => ("stream_options", "tokens may have to be estimated"),
            Self::Schema => ("a schema for the answer", "the prompt tells it instead"),
            Self::Strict => ("this schema strictly", "it is sent without being enforced"),
            Self::SchemaWithTools => (
                "a schema together with tools",
                "where there are tools, the prompt tells the schema",
            ),
            Self::Tools => (
                "tools",
                "its agents can neither read files nor run anything",
            ),
            Self::Effort => ("an effort", "the model decides how hard it thinks"),
            Self::CacheControl => ("marks for the cache", "nothing is marked"),
            Self::SystemRole => ("a system message", "the first message tells it instead"),
            Self::Include => (
                "the wish for its reasoning",
                "reasoning is not given back to it",
            ),
            Self::Store => ("the wish that nothing is kept", "what it keeps is up to it"),
            Self::MaxOutputTokens => (
                "a longest reply",
                "a reply may be longer, and dearer, than what is set aside for it",
            ),
            Self::MaxTokensName => (
                "the usual name of the longest reply",
                "the other name is sent",
            ),
        }
    }
}

/// What of a request a vendor objected to, where the same can be asked without it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objection {
    /// The parts that it does not take.
    pub parts: Vec<Part>,
    /// Whether only the schema of this request is not taken, while others may be.
    pub to_this_schema: bool,
    /// The longest reply that it writes, where more was asked for.
    pub reply_tokens_max: Option<u32>,
}

/// That the same request may be sent again, because it will be written without what was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Again {
    /// What people should know of it: set the first time only.
    pub notice: Option<String>,
}
