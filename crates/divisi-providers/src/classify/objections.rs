//! What of a request a vendor objects to, where it can be asked without.
//!
//! Only a refusal that names the part counts, by the field, in a validator's path or in words.
//! To leave out tools changes what an agent can do, so for them nothing but a plain word that
//! they are not supported will do; the words for a broken call do not.

use super::shapes::says;
use super::told::Told;
use crate::dialect::{Objection, Part};

/// The names under which vendors speak of a part.
const NAMES: [(Part, &[&str]); 6] = [
    (Part::StreamOptions, &["stream_options", "include_usage"]),
    (
        Part::Schema,
        &[
            "response_format",
            "json_schema",
            "output_config.format",
            "output_format",
            "output format",
            "text.format",
            "json mode",
            "response mime type",
            "response_mime_type",
            "structured output",
            "guided_json",
            "json_object",
        ],
    ),
    (Part::CacheControl, &["cache_control"]),
    (Part::Include, &["encrypted content", "encrypted_content"]),
    (
        Part::Effort,
        &[
            "reasoning_effort",
            "reasoningeffort",
            "reasoning.effort",
            "output_config.effort",
            "think value",
            "support thinking",
            "support parameter reasoning",
            "reasoning: extra",
            "`reasoning`",
            "'reasoning'",
            "argument supplied: thinking",
            "argument supplied: reasoning",
        ],
    ),
    (
        Part::MaxTokensName,
        &[
            "'max_tokens'",
            "'max_completion_tokens'",
            "`max_tokens`",
            "`max_completion_tokens`",
            "max_tokens: extra",
            "max_completion_tokens: extra",
            "argument supplied: max_tokens",
            "argument supplied: max_completion_tokens",
        ],
    ),
];

/// Words with which vendors refuse a part.
const REFUSALS: [&str; 25] = [
    "no endpoints found",
    "not support",
    "unsupported",
    "not permitted",
    "not allowed",
    "unrecognized",
    "unrecognised",
    "unknown",
    "unexpected",
    "extra fields",
    "invalid",
    "must be",
    "unavailable",
    "not available",
    "cannot be",
    "can't be",
    "not enabled",
    "deprecated",
    "no longer",
    "not implemented",
    "not recognized",
    "only supported",
    "requires",
    "isn't supported",
    "property unsupported",
];

/// Phrases that say that there can be no tools.
const NO_TOOLS: [&str; 15] = [
    "tools are not supported",
    "does not support function call",
    "does not support tools",                // Ollama
    "support tool use",                      // OpenRouter: no endpoints found that …
    "auto\" tool choice requires",           // vLLM
    "tools param requires",                  // llama.cpp
    "unsupported param: tools",              // llama.cpp
    "tools: extra inputs are not permitted", // Mistral, vLLM
    "argument supplied: tools",              // Azure
    "tools is not supported",
    "'tools' is not supported",
    "`tools` is not supported",
    "tool calling … not supported",      // Groq
    "function calling is not enabled",   // Gemini
    "does not support function calling", // DeepSeek
];

/// Phrases about the words of one schema, while others may be taken.
const THIS_SCHEMA: [&str; 12] = [
    "failed to parse json schema",                                     // llama.cpp
    "invalid schema for response_format",                              // OpenAI
    "schemas contains too many",                                       // Anthropic
    "too many optional parameters",                                    // Anthropic
    "compiled grammar is too large",                                   // Anthropic
    "grammar compilation",                                             // Anthropic
    "schema is too complex",                                           // Anthropic
    "output_config.format.schema",                                     // Anthropic
    "invalid json schema",                                             // Groq, Together
    "failed to parse grammar",                                         // llama.cpp
    "json schema conversion failed",                                   // llama.cpp
    "specified schema produces a constraint that has too many states", // Gemini
];

/// Phrases that say that a system prompt is not taken as a message of its own.
const NO_SYSTEM: [&str; 4] = [
    "system role not supported",            // Gemma's template, at vLLM and SGLang
    "developer instruction is not enabled", // Gemini
    "system messages are not supported",
    "does not support system",
];

/// What the vendor objects to, if it can be asked without.
pub(super) fn find(told: &Told, said: &str) -> Option<Objection> {
    // What a field is said to be stands beside the sentence at some.
    let said = [said, &told.params.join("\n")].join("\n");
    let any = |phrases: &[&str]| phrases.iter().any(|phrase| says(&said, phrase));
    let is_refused = any(&REFUSALS);
    let about_schema = any(NAMES[1].1);
    let objection = |parts: &[Part]| Some(Objection { parts: parts.to_vec(), ..Objection::default() });
    if let Some(most) = reply_tokens_max(&said) {
        return Some(Objection { reply_tokens_max: Some(most), ..Objection::default() });
    }
    if any(&THIS_SCHEMA) {
        return Some(Objection { to_this_schema: true, ..Objection::default() });
    }
    let about_tools = any(&["tool", "function call"]);
    if about_schema && about_tools && is_refused {
        return objection(&[Part::SchemaWithTools]);
    }
    if any(&NO_TOOLS) || (is_refused && told.params.iter().any(|param| param == "tools")) {
        return objection(&[Part::Tools]);
    }
    if any(&NO_SYSTEM) {
        return objection(&[Part::SystemRole]);
    }
    if !is_refused {
        return None;
    }
    let named = NAMES
        .iter()
        .filter(|(part, names)| any(names) || told.params.iter().any(|param| param == part.as_str()));
    let mut parts: Vec<Part> = named.map(|(part, _)| *part).collect();
    if parts.is_empty() && any(&["output_config"]) {
        // Anthropic has both in it.
        parts = vec![Part::Schema, Part::Effort];
    }
    (!parts.is_empty()).then_some(Objection { parts, ..Objection::default() })
}

/// Words after which stands how long a reply may be.
const LIMITS: [&str; 7] = [
    "supports at most ",                 // OpenAI
    "range of max_tokens is [1,",        // DeepSeek
    "range of max_tokens should be [1,", // DashScope
    "the model limit of ",               // Bedrock
    "less than or equal to ",            // Groq
    "expected a value <= ",              // Volcengine
    "max_tokens: ",                      // Anthropic: max_tokens: 16384 > 8192, which is the maximum …
];

/// How long a reply of the model may be, where more was asked for.
fn reply_tokens_max(said: &str) -> Option<u32> {
    let is_about = ["max_tokens", "max_completion_tokens", "max_output_tokens", "maximum tokens"];
    if !is_about.iter().any(|name| said.contains(name)) || said.contains("context length") {
        return None;
    }
    LIMITS.into_iter().find_map(|cue| {
        let rest = &said[said.find(cue)? + cue.len()..];
        let rest = match cue {
            "max_tokens: " => {
                rest.split_once(" > ").filter(|_| said.contains("maximum allowed number of output tokens"))?.1
            }
            _ => rest,
        };
        let number: String =
            rest.trim_start_matches([' ', '`']).chars().take_while(char::is_ascii_digit).collect();
        number.parse().ok().filter(|most| *most > 0)
    })
}
