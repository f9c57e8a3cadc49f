//! What vendors mean by the counts that they send, where that cannot be told from the counts.
//!
//! [`super::field`] knows all names and places of counts, of all vendors. This table has the
//! rest, vendor by vendor: whether thinking is part of the output, and whether the reply states its
//! own cost. A server that is not in the table counts as OpenAI does.

use crate::endpoint::Endpoint;

/// How a vendor counts and bills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Habits {
    /// Where thinking is counted.
    pub(crate) thinking: Thinking,
    /// The cost that replies state, if it is the bill.
    pub(crate) bill: Option<Bill>,
}

/// Where thinking is counted in the Chat Completions format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// As part of the output.
    #[default]
    Inside,
    /// Beside the output: the output has the visible tokens only.
    Beside,
}

/// The form of a stated cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bill {
    /// `cost` in dollars; with the user's own key for the vendor behind (`is_byok`), it is only the
    /// fee, and `cost_details.upstream_inference_cost` comes on top.
    Dollars,
    /// `cost.total_cost` in dollars.
    Total,
    /// `cost_in_usd_ticks`, of which a dollar has 10^10.
    Ticks,
}

/// One vendor.
struct Row {
    /// Names that users give it in their settings.
    names: &'static [&'static str],
    /// Its host.
    host: &'static str,
    habits: Habits,
    /// Where this is documented. For readers; a test checks that there is one.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers of the table"))]
    source: &'static str,
}

/// The usual habits.
const USUAL: Habits = Habits {
    thinking: Thinking::Inside,
    bill: None,
};

/// All vendors of whose habits we know.
const TABLE: &[Row] = &[
    // Input without what was written to a cache or read from one; thinking inside the output.
    Row {
        names: &["anthropic"],
        host: "api.anthropic.com",
        habits: USUAL,
        source: "https://platform.claude.com/docs/en/api/messages",
    },
    // Cached and written tokens inside the prompt, reasoning inside the output.
    Row {
        names: &["openai"],
        host: "api.openai.com",
        habits: USUAL,
        source: "https://developers.openai.com/api/docs/guides/prompt-caching",
    },
    // Thoughts in the total, in the details or nowhere else, never in the output.
    Row {
        names: &["gemini", "google"],
        host: "generativelanguage.googleapis.com",
        habits: Habits {
            thinking: Thinking::Beside,
            ..USUAL
        },
        source: "https://github.com/router-for-me/CLIProxyAPI/issues/5733",
    },
    // `prompt_cache_hit_tokens` at top level; reasoning inside.
    Row {
        names: &["deepseek"],
        host: "api.deepseek.com",
        habits: USUAL,
        source: "https://api-docs.deepseek.com/guides/kv_cache",
    },
    // `num_cached_tokens` at top level, or the usual details.
    Row {
        names: &["mistral", "mistralai"],
        host: "api.mistral.ai",
        habits: USUAL,
        source: "https://docs.mistral.ai/api",
    },
    // "Counted separately from completion_tokens, but in the total_tokens"; states its bill.
    Row {
        names: &["xai", "x-ai", "grok"],
        host: "api.x.ai",
        habits: Habits {
            thinking: Thinking::Beside,
            bill: Some(Bill::Ticks),
        },
        source: "https://docs.x.ai/developers/cost-tracking https://github.com/vercel/ai/pull/12425",
    },
    // Counts as OpenAI does, whatever the vendor behind it; states its bill.
    Row {
        names: &["openrouter"],
        host: "openrouter.ai",
        habits: Habits {
            bill: Some(Bill::Dollars),
            ..USUAL
        },
        source: "https://openrouter.ai/docs/use-cases/usage-accounting",
    },
    // `cached_tokens` at top level; usage in the last choice of a stream.
    Row {
        names: &["moonshot", "moonshotai", "kimi"],
        host: "api.moonshot.ai",
        habits: USUAL,
        source: "https://github.com/promptfoo/promptfoo/issues/10132",
    },
    // `reasoning_tokens` at top level, beside the output; states its bill, with its searches.
    Row {
        names: &["perplexity"],
        host: "api.perplexity.ai",
        habits: Habits {
            thinking: Thinking::Beside,
            bill: Some(Bill::Total),
        },
        source: "https://docs.perplexity.ai/api-reference/chat-completions-post",
    },
    // Usage in `x_groq.usage`; reasoning inside.
    Row {
        names: &["groq"],
        host: "api.groq.com",
        habits: USUAL,
        source: "https://console.groq.com/docs/api-reference",
    },
];

impl Habits {
    /// The habits of the vendor at `endpoint`: by its host, or by the name that the user gave it, as
    /// for a gateway in front of it.
    pub(crate) fn at(endpoint: &Endpoint) -> Self {
        let (host, name) = (endpoint.host(), endpoint.name.to_lowercase());
        let by_host = TABLE.iter().find(|row| host == row.host);
        let by_name = || TABLE.iter().find(|row| row.names.contains(&&*name));
        by_host.or_else(by_name).map_or(USUAL, |row| row.habits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_source_and_names_of_its_own() {
        let names: Vec<_> = TABLE.iter().flat_map(|row| row.names).collect();
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
        assert!(TABLE.iter().all(|row| row.source.starts_with("https://")));
    }

    #[test]
    fn a_vendor_is_known_by_its_host_and_by_its_name() {
        let at = |name: &str, url: &str| Habits::at(&Endpoint::new(name, url)).bill;
        assert_eq!(at("x", "https://openrouter.ai/api/v1"), Some(Bill::Dollars));
        assert_eq!(at("OpenRouter", "http://127.0.0.1:1"), Some(Bill::Dollars));
        assert_eq!(at("mine", "https://api.x.ai/v1"), Some(Bill::Ticks));
        assert_eq!(at("openrouter", "https://api.openai.com/v1"), None);
        assert_eq!(at("mine", "https://gateway.example/v1"), None);
    }
}
