//! Reads what `claude -p --output-format stream-json` prints: one JSON object a line.
//!
//! Unknown events, fields and lines are passed over, because formats differ between versions. One
//! call can print several results; the last one is final. `subtype` does not tell success: an API
//! error is a `success` with `is_error`.

use crate::executor::agent_program::shown;
use crate::executor::reports::dollars;
use divisi_core::{PicoUsd, Usage};
use divisi_providers::usage_of_anthropic;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most ids of messages remembered to count each of them once.
const IDS_MAX: usize = 100_000;

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Whether it has begun to work: before that, nothing was sent.
    pub(super) has_begun: bool,
    /// Whether a variable names an account that is billed, although the program says that it has no
    /// key.
    has_billed_account: bool,
    /// Where its key comes from, as it says: `none` for a subscription.
    key_source: Option<String>,
    /// The final result, if there was any.
    pub(super) end: Option<End>,
    /// The vendor's word for the last API error.
    pub(super) error: Option<String>,
    /// The delay that the vendor asked for at the last refused request, in milliseconds.
    pub(super) retry_delay: Option<u64>,
    /// When the plan's quota is there again, in seconds since 1970.
    pub(super) resets_at: Option<u64>,
    /// Tokens of the replies so far, each reply counted once. Less than what is billed.
    pub(super) seen: Usage,
    /// What all has cost, as the last result says.
    pub(super) cost_in_all: Option<PicoUsd>,
    ids: BTreeSet<String>,
    /// Usage by model, summed over the results.
    since: BTreeMap<String, Spent>,
    has_since: bool,
    /// Usage by model up to the last result, as the program counts.
    total: BTreeMap<String, Spent>,
    denied: BTreeSet<String>,
}

/// A result event.
#[derive(Clone, Debug, Default)]
pub(super) struct End {
    pub(super) is_error: bool,
    pub(super) terminal_reason: Option<String>,
    pub(super) status: Option<u64>,
    /// Its text, or its errors.
    pub(super) text: String,
    pub(super) structured: Option<Value>,
    pub(super) turns: u64,
}

/// Usage of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) usage: Usage,
    /// The program's own figure; `None` if it has none, or guesses the price of an unknown model.
    pub(super) cost: Option<PicoUsd>,
}

/// Something to show or to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// A tool is at work: its name and its main argument.
    Tool(String),
    /// The agent says this.
    Says(String),
    /// The agent was denied a tool, or wanted one that it does not have.
    Denied(String),
    /// A request was refused and is tried again.
    Retries(String),
}

impl Stream {
    /// Nothing is read yet. `has_billed_account` as below.
    pub(super) fn new(has_billed_account: bool) -> Self {
        Self {
            has_billed_account,
            ..Self::default()
        }
    }

    /// Reads one line.
    pub(super) fn read(&mut self, line: &[u8]) -> Vec<Note> {
        let Ok(event @ Value::Object(_)) = serde_json::from_slice::<Value>(line) else {
            return vec![];
        };
        match (text(&event, "type"), text(&event, "subtype")) {
            (Some("system"), Some("init")) => {
                self.has_begun = true;
                self.key_source = text(&event, "apiKeySource").map(str::to_owned);
                vec![]
            }
            (Some("system"), Some("api_retry")) => {
                self.retry_delay = event.get("retry_delay_ms").and_then(Value::as_u64);
                let error = text(&event, "error").unwrap_or("unknown").replace('_', " ");
                vec![Note::Retries(format!("tries again: {error}"))]
            }
            (Some("system"), Some("permission_denied")) => {
                let tool = text(&event, "tool_name").unwrap_or_default().to_owned();
                self.denies(tool).into_iter().collect()
            }
            (Some("rate_limit_event"), _) => {
                let info = event.get("rate_limit_info");
                let is_rejected = info
                    .and_then(|info| text(info, "status"))
                    .is_some_and(|status| status == "rejected");
                let resets_at = info.and_then(|info| info.get("resetsAt")?.as_u64());
                if is_rejected {
                    self.resets_at = resets_at;
                }
                vec![]
            }
            (Some("assistant"), _) => self.assistant(&event),
            (Some("user"), _) => self.tool_results(&event),
            (Some("result"), _) => {
                self.result(&event);
                let denials = event.get("permission_denials").and_then(Value::as_array);
                let tools = denials
                    .into_iter()
                    .flatten()
                    .filter_map(|denial| text(denial, "tool_name"));
                let tools: Vec<_> = tools.map(str::to_owned).collect();
                tools
                    .into_iter()
                    .filter_map(|tool| self.denies(tool))
                    .collect()
            }
            _ => vec![],
        }
    }

    /// Whether a subscription pays for it.
    pub(super) fn is_in_plan(&self) -> bool {
        self.key_source.as_deref() == Some("none") && !self.has_billed_account
    }

    /// Usage by model: what the results say since the one before, or else the last totals.
    pub(super) fn spent(&self) -> &BTreeMap<String, Spent> {
        match self.has_since {
            true => &self.since,
            false => &self.total,
        }
    }

    fn denies(&mut self, tool: String) -> Option<Note> {
        (!tool.is_empty() && self.denied.insert(tool.clone())).then_some(Note::Denied(tool))
    }

    fn assistant(&mut self, event: &Value) -> Vec<Note> {
        let message = event.get("message").unwrap_or(&Value::Null);
        if let Some(error) = text(event, "error") {
            self.error = Some(error.to_owned());
        }
        // Each block of a reply comes as an event with the id and usage of the whole.
        let is_new = self.ids.len() < IDS_MAX
            && text(message, "id").is_some_and(|id| self.ids.insert(id.to_owned()));
        if let Some(usage) = message.get("usage").filter(|_| is_new) {
            // Those of the output are as of its beginning.
            self.seen += usage_of_anthropic(usage).0;
        }
        blocks(message)
            .iter()
            .filter_map(|block| match text(block, "type")? {
                "tool_use" => {
                    let name = text(block, "name")?;
                    let subject = block.get("input").and_then(subject).unwrap_or_default();
                    Some(Note::Tool(shown(&format!("{name} {subject}"))))
                }
                "text" => {
                    let said = shown(text(block, "text")?);
                    (!said.is_empty()).then_some(Note::Says(said))
                }
                _ => None,
            })
            .collect()
    }

    /// A tool that the agent does not have is refused by the program itself.
    fn tool_results(&mut self, event: &Value) -> Vec<Note> {
        const NO_TOOL: &str = "No such tool available: ";
        let message = event.get("message").unwrap_or(&Value::Null);
        let mut notes = vec![];
        for block in blocks(message) {
            let is_error = block.get("is_error").and_then(Value::as_bool) == Some(true);
            let Some(said) = text(block, "content").filter(|_| is_error) else {
                continue;
            };
            let Some((_, rest)) = said.split_once(NO_TOOL) else {
                continue;
            };
            let name: String = rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            notes.extend(self.denies(name));
        }
        notes
    }

    fn result(&mut self, event: &Value) {
        let errors = event.get("errors").and_then(Value::as_array);
        let errors = errors
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join("; ");
        let said = text(event, "result").map_or(errors, str::to_owned);
        self.cost_in_all = event.get("total_cost_usd").and_then(dollars);
        self.end = Some(End {
            is_error: event.get("is_error").and_then(Value::as_bool) == Some(true),
            terminal_reason: text(event, "terminal_reason").map(str::to_owned),
            status: event.get("api_error_status").and_then(Value::as_u64),
            text: said,
            structured: event
                .get("structured_output")
                .filter(|value| !value.is_null())
                .cloned(),
            turns: event
                .get("num_turns")
                .and_then(Value::as_u64)
                .unwrap_or_default(),
        });
        if let Some(Value::Object(models)) = event.get("model_usage_since_last_result") {
            self.has_since = true;
            for (model, used) in models {
                let more = model_usage(used);
                let spent = self.since.entry(model.clone()).or_insert(Spent {
                    cost: Some(PicoUsd::ZERO),
                    ..Spent::default()
                });
                spent.usage += more.usage;
                spent.cost = spent.cost.zip(more.cost).map(|(a, b)| a + b);
            }
        }
        if let Some(Value::Object(models)) = event.get("modelUsage") {
            // Totals of a session never fall.
            for (model, used) in models {
                self.total.insert(model.clone(), model_usage(used));
            }
        }
    }
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name)?.as_str()
}

fn blocks(message: &Value) -> &[Value] {
    message
        .get("content")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn model_usage(used: &Value) -> Spent {
    let count = |name: &str| used.get(name).and_then(Value::as_u64).unwrap_or_default();
    let cache_write_1h = count("cacheCreationEphemeral1hInputTokens");
    // The program prices a model that it does not know like one that it does.
    let is_guess = text(used, "costBasis") == Some("unknown");
    Spent {
        usage: Usage {
            input: count("inputTokens"),
            cache_write_5m: count("cacheCreationInputTokens").saturating_sub(cache_write_1h),
            cache_write_1h,
            cache_read: count("cacheReadInputTokens"),
            output: count("outputTokens"),
            thinking: count("thinkingTokens"),
        },
        cost: used.get("costUSD").and_then(dollars).filter(|_| !is_guess),
    }
}

/// The main argument of a tool.
fn subject(input: &Value) -> Option<&str> {
    [
        "file_path",
        "path",
        "command",
        "pattern",
        "url",
        "query",
        "description",
    ]
    .into_iter()
    .find_map(|name| text(input, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(events: &[Value]) -> (Stream, Vec<Note>) {
        let mut stream = Stream::default();
        let notes = events
            .iter()
            .flat_map(|event| stream.read(event.to_string().as_bytes()))
            .collect();
        (stream, notes)
    }

    fn used(input: u64, dollars: f64) -> Value {
        json!({"claude-haiku-5-5": {"inputTokens": input, "outputTokens": 7, "costUSD": dollars,
            "cacheCreationInputTokens": 5, "cacheCreationEphemeral1hInputTokens": 2}})
    }

    #[test]
    fn costs_since_the_last_result_are_added_and_the_last_result_counts() {
        let result = |text: &str, total: Value, since: Value| {
            json!({"type": "result", "subtype": "success", "is_error": false, "result": text,
                "terminal_reason": "completed", "modelUsage": total,
                "model_usage_since_last_result": since})
        };
        let (stream, _) = read(&[
            result("first", used(10, 0.01), used(10, 0.01)),
            result("second", used(30, 0.03), used(20, 0.02)),
        ]);
        assert_eq!(stream.end.as_ref().map(|end| &*end.text), Some("second"));
        let spent = stream.spent()["claude-haiku-5-5"];
        assert_eq!(spent.cost, Some(PicoUsd(PicoUsd::DOLLAR.0 * 3 / 100)));
        assert_eq!(spent.usage.input, 30);
        assert_eq!(
            (spent.usage.cache_write_5m, spent.usage.cache_write_1h),
            (6, 4)
        );
    }

    #[test]
    fn without_differences_the_last_totals_count() {
        let result = |total: Value| json!({"type": "result", "result": "x", "modelUsage": total});
        let (stream, _) = read(&[result(used(10, 0.01)), result(used(30, 0.03))]);
        let spent = stream.spent()["claude-haiku-5-5"];
        assert_eq!(spent.usage.input, 30);
        assert_eq!(spent.cost, Some(PicoUsd(PicoUsd::DOLLAR.0 * 3 / 100)));
    }

    #[test]
    fn a_guessed_price_and_a_negative_one_are_none() {
        for odd in [
            json!({"costUSD": 0.5, "costBasis": "unknown"}),
            json!({"costUSD": -0.5}),
            json!({}),
        ] {
            assert_eq!(model_usage(&odd).cost, None, "{odd}");
        }
    }

    #[test]
    fn a_reply_in_several_blocks_is_counted_once_and_shown_by_its_tools_and_words() {
        let block = |block: Value| {
            json!({"type": "assistant", "message": {"id": "m1", "content": [block],
                "usage": {"input_tokens": 1000, "output_tokens": 30}}})
        };
        let (stream, notes) = read(&[
            block(json!({"type": "text", "text": "\n\nLet me look.\nMore"})),
            block(
                json!({"type": "tool_use", "name": "Bash", "input": {"description": "d", "command": "ls -l"}}),
            ),
        ]);
        assert_eq!((stream.seen.input, stream.seen.output), (1000, 30));
        let expected = [
            Note::Says("Let me look.".into()),
            Note::Tool("Bash ls -l".into()),
        ];
        assert_eq!(notes, expected);
    }

    #[test]
    fn a_tool_that_was_denied_is_named_once() {
        let (_, notes) = read(&[
            json!({"type": "system", "subtype": "permission_denied", "tool_name": "Write"}),
            json!({"type": "user", "message": {"content": [{"type": "tool_result", "is_error": true,
                "content": "<e>Error: No such tool available: Bash. It is disabled</e>"}]}}),
            json!({"type": "result", "permission_denials": [{"tool_name": "Write"}]}),
        ]);
        let expected = ["Write", "Bash"].map(|tool| Note::Denied(tool.into()));
        assert_eq!(notes, expected);
    }

    /// JSON of the shapes that the stream has, with anything in place of its values.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[ -~\\n]{0,12}".prop_map(Value::from),
        ];
        let name = prop::sample::select(vec![
            "type",
            "subtype",
            "message",
            "content",
            "usage",
            "id",
            "modelUsage",
            "model_usage_since_last_result",
            "costUSD",
            "inputTokens",
            "outputTokens",
            "errors",
            "permission_denials",
            "tool_name",
            "is_error",
            "result",
            "rate_limit_info",
            "status",
        ]);
        leaf.prop_recursive(5, 48, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((name.clone(), inner), 0..6).prop_map(|fields| {
                    fields
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect()
                }),
            ]
        })
    }

    fn event() -> impl Strategy<Value = Vec<u8>> {
        let kinds = prop::sample::select(vec!["system", "assistant", "user", "result", "x"]);
        prop_oneof![
            4 => (kinds, value()).prop_map(|(kind, mut value)| {
                if let Value::Object(fields) = &mut value {
                    fields.insert("type".to_owned(), kind.into());
                }
                value.to_string().into_bytes()
            }),
            1 => prop::collection::vec(any::<u8>(), 0..40),
        ]
    }

    proptest! {
        /// Whatever is printed, it is read to its end, and what was spent never falls.
        #[test]
        fn anything_can_be_read(lines in prop::collection::vec(event(), 0..12)) {
            let mut stream = Stream::default();
            let mut sum = PicoUsd::ZERO;
            for line in lines {
                stream.read(&line);
                if stream.has_since && stream.since.values().all(|spent| spent.cost.is_some()) {
                    let costs = stream.since.values().filter_map(|spent| spent.cost);
                    let now = costs.fold(PicoUsd::ZERO, |sum, cost| sum + cost);
                    prop_assert!(now >= sum);
                    sum = now;
                }
            }
        }
    }
}
