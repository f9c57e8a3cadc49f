//! Finds parts of a request that a vendor refuses and that can be left out.
//!
//! Only a refusal that names the part counts: by its field, in a validator's path, or in words.
//! Leaving out tools changes what an agent can do, so for them only an explicit statement that they
//! are unsupported counts; an error about a malformed call does not.

use super::number;
use super::shapes::says;
use super::told::Told;
use crate::dialect::{Objection, Part};

/// Names of parts that are unambiguous in an error text.
const NAMES: [(Part, &[&str]); 5] = [
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
        ],
    ),
];

/// Fields of parts whose names are also ordinary words, in all three wire formats: they count only
/// if the text refers to them as fields, see [`is_field`].
const FIELDS: [(Part, &[&str]); 7] = [
    (Part::Schema, &["text"]),
    (Part::Include, &["include"]),
    (Part::Effort, &["reasoning", "thinking"]),
    (Part::SystemRole, &["instructions", "system"]),
    (Part::Store, &["store"]),
    (
        Part::MaxTokensName,
        &["max_tokens", "max_completion_tokens"],
    ),
    (Part::MaxOutputTokens, &["max_output_tokens"]),
];

/// Words before a field's name.
const BEFORE_FIELDS: [&str; 15] = [
    "parameter",
    "parameters",
    "param",
    "params",
    "argument",
    "arguments",
    "supplied",
    "field",
    "fields",
    "property",
    "properties",
    "key",
    "keys",
    "option",
    "not allowed", // Additional properties are not allowed ('store' was unexpected)
];

/// Texts after a field's name.
const AFTER_FIELDS: [&str; 5] = [
    ": extra",
    ": unknown",
    ": unrecognized",
    ": unexpected",
    " parameter",
];

/// The same at the beginning of a sentence.
const AFTER_FIRST: [&str; 3] = [" is not supported", " is unsupported", " is not allowed"];

/// Words about the size of a number, in which case leaving the field out is no remedy.
const ABOUT_SIZE: [&str; 7] = [
    "at least",
    "minimum",
    ">=",
    "greater than",
    "less than",
    "too large",
    "too small",
];

/// Words that show that the server accepts the field, with another value.
const OTHER_VALUE: [&str; 4] = ["must be", "requires", "cannot be", "can't be"];

/// Words that refuse a part.
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

/// Phrases that say that tools are unsupported.
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

/// Phrases about one particular schema, while others may be accepted.
const THIS_SCHEMA: [&str; 12] = [
    "failed to parse json schema",        // llama.cpp
    "invalid schema for response_format", // OpenAI
    "schemas contains too many",          // Anthropic
    "too many optional parameters",       // Anthropic
    "compiled grammar is too large",      // Anthropic
    "grammar compilation",                // Anthropic
    "schema is too complex",              // Anthropic
    "output_config.format.schema",        // Anthropic
    "invalid json schema",                // Groq, Together
    "failed to parse grammar",            // llama.cpp
    "json schema conversion failed",      // llama.cpp
    "specified schema produces a constraint that has too many states", // Gemini
];

/// Phrases that say that a system message is not accepted.
const NO_SYSTEM: [&str; 4] = [
    "system role not supported", // Gemma's template, at vLLM and SGLang
    "developer instruction is not enabled", // Gemini
    "system messages are not supported",
    "does not support system",
];

/// The refused part, if it can be left out.
pub(super) fn find(told: &Told, said: &str) -> Option<Objection> {
    // Some servers put the reason in a field next to the sentence.
    let said = [said, &told.params.join("\n")].join("\n");
    let any = |phrases: &[&str]| phrases.iter().any(|phrase| says(&said, phrase));
    let is_refused = any(&REFUSALS);
    let about_schema = any(NAMES[1].1);
    let objection = |parts: &[Part]| {
        Some(Objection {
            parts: parts.to_vec(),
            ..Objection::default()
        })
    };
    if let Some(most) = reply_tokens_max(&said) {
        return Some(Objection {
            reply_tokens_max: Some(most),
            ..Objection::default()
        });
    }
    if any(&THIS_SCHEMA) {
        return Some(Objection {
            to_this_schema: true,
            ..Objection::default()
        });
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
    let by_param = |part: &Part| told.params.iter().any(|param| param == part.as_str());
    let by_name = NAMES
        .iter()
        .filter(|(part, names)| any(names) || by_param(part));
    let by_field = FIELDS.iter().filter(|(part, names)| {
        names
            .iter()
            .any(|name| is_field(&said, name) || told.params.iter().any(|param| param == name))
            && match part {
                Part::MaxTokensName | Part::MaxOutputTokens => !any(&ABOUT_SIZE),
                // Leaving out `store` lets the vendor keep the data, so only a server that does not
                // know the field counts.
                Part::Store => !any(&OTHER_VALUE),
                _ => true,
            }
    });
    let mut parts: Vec<Part> = by_name.chain(by_field).map(|(part, _)| *part).collect();
    parts.sort_unstable();
    parts.dedup();
    if parts.is_empty() && any(&["output_config"]) {
        // Anthropic's `output_config` contains both.
        parts = vec![Part::Schema, Part::Effort];
    }
    (!parts.is_empty()).then_some(Objection {
        parts,
        ..Objection::default()
    })
}

/// Whether `said` refers to `name` as a field of the request.
fn is_field(said: &str, name: &str) -> bool {
    let is_of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
    said.match_indices(name).any(|(at, _)| {
        let (before, after) = (&said[..at], &said[at + name.len()..]);
        let before = before.strip_suffix("body.").unwrap_or(before);
        // A full stop may end a sentence.
        let goes_on = after.starts_with(is_of_word)
            && after
                .strip_prefix('.')
                .is_none_or(|rest| rest.starts_with(char::is_alphanumeric));
        if before.ends_with(is_of_word) || goes_on {
            return false;
        }
        let around = |c: char| matches!(c, ' ' | ':' | '\'' | '`' | '"' | '(' | '[' | '\\');
        let before = before.trim_end_matches(around);
        let is_quoted = said[before.len()..at].contains(['\'', '`', '"']);
        let after = after.trim_start_matches(['\'', '`', '"', '\\']);
        BEFORE_FIELDS.iter().any(|cue| before.ends_with(cue))
            || AFTER_FIELDS.iter().any(|cue| after.starts_with(cue))
            || (before.is_empty() || before.ends_with(['.', '\n']))
                && AFTER_FIRST.iter().any(|cue| after.starts_with(cue))
            // A name with an underscore is not an ordinary word.
            || (is_quoted && name.contains('_'))
    })
}

/// Words for the longest reply.
const OF_REPLIES: [&str; 10] = [
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "maxoutputtokens",
    "max tokens",
    "maximum tokens",
    "max output",
    "maximum output",
    "output token limit",
];

/// Words for a limit on prompt and reply together.
const OF_BOTH: [&str; 7] = [
    "context length",
    "context window",
    "context limit",
    "prompt tokens",
    "input tokens",
    "input length",
    "prompt and",
];

/// Texts before the longest allowed reply.
const LIMITS: [&str; 29] = [
    "max_tokens: ",      // Anthropic: max_tokens: 16384 > 8192, which is the maximum …
    "supports at most ", // OpenAI
    "range of max_tokens is [1,", // DeepSeek
    "range of max_tokens should be [1,", // DashScope
    "范围[1,",           // z.ai
    "range is from 1 (inclusive) to ", // Vertex
    "the model limit of ", // Bedrock
    "less than or equal to ", // Groq, Mistral, Cohere
    "expected a value <= ", // Volcengine
    "exceeds the limit of ",
    "exceeds limit of ",
    "exceeds the model's limit of ",
    "exceeds the maximum of ",
    "exceeds maximum of ",
    "exceeds the maximum allowed value of ",
    "exceeds the maximum output tokens of ",
    "exceeds ",
    "must be <= ",
    "must be at most ",
    "must not exceed ",
    "cannot exceed ",
    "may not exceed ",
    "between 1 and ",
    "max output is ",
    "maximum output is ",
    "max output tokens is ",
    "maximum output tokens is ",
    "maximum allowed is ",
    "limit is ",
];

/// The longest reply that the model allows, if more was requested.
fn reply_tokens_max(said: &str) -> Option<u32> {
    let any = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if !any(&OF_REPLIES) || any(&OF_BOTH) {
        return None;
    }
    let after = |cue: &'static str| {
        said.match_indices(cue)
            .map(move |(at, _)| (cue, &said[at + cue.len()..]))
    };
    LIMITS.into_iter().flat_map(after).find_map(|(cue, rest)| {
        let rest = match cue {
            "max_tokens: " => {
                rest.split_once(" > ")
                    .filter(|_| said.contains("maximum allowed number of output tokens"))?
                    .1
            }
            _ => rest,
        };
        let (number, after) = number(rest)?;
        let most = number - u64::from(after.starts_with(" (exclusive)") && number > 0);
        u32::try_from(most).ok().filter(|most| *most > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_replies_is_read_however_it_is_put() {
        for (said, most) in [
            ("max_tokens (16000) exceeds the limit of 4096", Some(4_096)),
            ("this model's max output is 8,192 tokens", Some(8_192)),
            ("max_tokens must be <= 1_024", Some(1_024)),
            (
                "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model",
                Some(4_096),
            ),
            (
                "max_tokens: input should be less than or equal to 8192",
                Some(8_192),
            ),
            (
                "`max_new_tokens` must be <= 2048. given: 16000",
                Some(2_048),
            ),
            (
                "max_tokens must be between 1 and 32,768, inclusive",
                Some(32_768),
            ),
            (
                "the maxoutputtokens value of 100000 is wrong: the supported range is from 1 (inclusive) to 8193 (exclusive)",
                Some(8_192),
            ),
            ("max_tokens 参数非法。限制数值范围[1,4095]", Some(4_095)),
            (
                "requested max_output_tokens 16000 exceeds 4,096",
                Some(4_096),
            ),
            ("max_tokens must be at least 1024", None),
            ("max_tokens exceeds the limit of your plan", None),
            ("prompt tokens + max_tokens exceeds the limit of 8192", None),
            ("your request exceeds the limit of 20 images", None),
        ] {
            assert_eq!(reply_tokens_max(said), most, "{said}");
        }
    }

    #[test]
    fn a_field_is_told_from_a_word() {
        for said in [
            "unknown parameter: 'store'.",
            "unsupported parameter: store",
            "unrecognized request argument supplied: store",
            "property 'store' is unsupported",
            "additional properties are not allowed ('store' was unexpected)",
            "store: extra inputs are not permitted",
            "body.store: extra inputs are not permitted",
            "json: unknown field \"store\"",
            "json: unknown field \\\"store\\\"",
            "unknown field `store`, expected one of `model`",
            "bad request. store is not supported",
            "the 'store' parameter is not available",
        ] {
            assert!(is_field(said, "store"), "{said}");
        }
        for said in [
            "restore: extra inputs",
            "the vector_store: extra inputs",
            "store it",
        ] {
            assert!(!is_field(said, "store"), "{said}");
        }
        assert!(!is_field(
            "messages.0.text: extra inputs are not permitted",
            "text"
        ));
        assert!(!is_field(
            "messages: text content blocks must contain non-whitespace text",
            "text"
        ));
        assert!(!is_field(
            "content of type 'text' is not supported with 'audio'",
            "text"
        ));
    }
}
