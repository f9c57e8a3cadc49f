//! Parts of a request that a server may not accept. Requests without them are in `manners`.
//!
//! A [`Request`](crate::Request) is what is asked, and only that determines its digest. A dialect
//! is the form for one server. So omitting a part changes no digest, and a reply is found again in
//! whichever form it was requested.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The dialect of a server, as set by the user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Dialect {
    /// Parts that are never sent to it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub omit: BTreeSet<Part>,
    /// Its name of the field for the longest reply, in Chat Completions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<MaxTokens>,
}

/// The two names of the field for the longest reply in Chat Completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MaxTokens {
    /// The older one.
    MaxTokens,
    /// The one that OpenAI requires.
    MaxCompletionTokens,
}

/// A part of a request that a server may not accept. The settings use the same names, in snake
/// case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The option for token counts at the end of a stream.
    StreamOptions,
    /// The option that enforces the schema of an answer.
    Schema,
    /// Strict enforcement of the schema.
    Strict,
    /// A schema together with tools; each alone is accepted.
    SchemaWithTools,
    /// Tools.
    Tools,
    /// The effort of the model.
    Effort,
    /// Cache marks.
    CacheControl,
    /// A system message.
    SystemRole,
    /// The option for encrypted reasoning.
    Include,
    /// The option to keep no data.
    Store,
    /// The longest reply.
    MaxOutputTokens,
    /// The default name of the longest reply's field.
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

    /// The refused part, and the consequence of leaving it out.
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

/// A part of a request that a vendor refused, and without which it can be sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objection {
    /// The refused parts.
    pub parts: Vec<Part>,
    /// Whether only this request's schema is refused, while others may be accepted.
    pub to_this_schema: bool,
    /// The longest reply that the model allows, if more was requested.
    pub reply_tokens_max: Option<u32>,
}

/// The same request can be sent again, and will be without the refused part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Again {
    /// A notice for the user, set only the first time.
    pub notice: Option<String>,
}
