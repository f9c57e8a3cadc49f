//! A provider without a model: it answers by rules, at once and free.
//!
//! Examples, tests and benchmarks use it, so a reply takes about a microsecond, and equal requests
//! always get equal replies, unless a rule has `times`. A request without a matching rule gets a
//! sample of its schema, or a text that is marked as not written by a model.
//!
//! Rules are a list, in JSON or YAML. The first one whose conditions all hold answers:
//!
//! ```yaml
//! - when: { contains: flaky }          # a part of the first message
//!   times: 1                           # then the following rules apply
//!   error: { status: 529 }             # or a class; code, message, retry_after_ms
//! - when: { contains: study, offers: [read_file], turn: 1 }
//!   tools: [{ name: read_file, input: { path: "{path}" } }]
//! - when: { contains: study, after_tool: read_file, tool_failed: false }
//!   delay_ms: 200
//!   text: "It has {read_file.lines} lines."
//! - when: { schema: true, model: haiku }
//!   json: { severity: low }            # or sample: true
//!   usage: { input: 1000, output: 50 }
//! - text: "cut off"
//!   stop: max_tokens
//! ```
//!
//! In texts, JSON and tool inputs, names in braces are replaced by parts of the conversation:
//! `{prompt}`, its `{first_line}` and the first `{path}` in it, `{model}`, `{digest}`, the last
//! `{tool_result}`; and of that, or of the latest result of a tool by its name,
//! `{tool_result.lines}` (their number), `{tool_result.first_line}` and, from a list of files, the
//! most relevant `{list_files.file}`.

mod rules;
mod seen;

use crate::classify;
use crate::endpoint::Endpoint;
use crate::error::ProviderError;
use crate::estimate;
use crate::provider::{Progress, Provider};
use crate::rate::RateLimits;
use crate::reply::{Reply, Stop};
use crate::request::{Block, Request};
use crate::sample::sample;
use async_trait::async_trait;
use divisi_core::{Digest, FailureClass, Millis, Usage};
use reqwest::header::HeaderMap;
use rules::{Answer, Rule, ScriptedError};
use seen::Seen;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub use rules::RulesError;

/// Longest part of the prompt in the default answer.
const ECHO_CHARS_MAX: usize = 80;

/// A provider without a model: it answers by rules, at once and free.
#[derive(Debug, Default)]
pub struct Scripted {
    rules: Vec<Used>,
    /// Whether its counts of tokens are taken as a vendor's, and not as estimates.
    counts: bool,
}

/// A rule, with the number of its answers.
#[derive(Debug)]
struct Used {
    rule: Rule,
    times: AtomicU32,
}

impl Scripted {
    /// A provider without rules: every answer is the default one.
    pub fn new() -> Self {
        Self::default()
    }

    /// A provider with a list of rules in JSON.
    ///
    /// Fails with line and column of the error.
    pub fn from_rules(json: &str) -> Result<Self, RulesError> {
        rules::from_json(json).map(Self::of)
    }

    /// A provider with the rules in a file, which is YAML if its name says so, else JSON.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, RulesError> {
        rules::from_file(path.as_ref()).map(Self::of)
    }

    /// A provider that imitates an agent for demonstrations.
    ///
    /// If `list_files` and `read_file` are offered, it lists what the prompt names and reads one
    /// file of it; then it answers with what it found.
    pub fn demo() -> Self {
        // A test parses the same rules.
        Self {
            counts: true,
            ..Self::from_rules(include_str!("demo.json")).unwrap_or_default()
        }
    }

    fn of(rules: Vec<Rule>) -> Self {
        Self {
            rules: rules
                .into_iter()
                .map(|rule| Used {
                    rule,
                    times: AtomicU32::new(0),
                })
                .collect(),
            counts: false,
        }
    }

    /// The rule that answers, counted as used.
    fn rule_for(&self, seen: Seen<'_>) -> Option<&Rule> {
        self.rules
            .iter()
            .find(|used| seen.fits(&used.rule.when) && used.take())
            .map(|used| &used.rule)
    }
}

impl Used {
    /// Counts one more answer, if the rule has any left.
    fn take(&self) -> bool {
        let Some(most) = self.rule.times else {
            return true;
        };
        let once_more = |times| (times < most).then_some(times + 1);
        self.times
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, once_more)
            .is_ok()
    }
}

#[async_trait]
impl Provider for Scripted {
    fn is_free(&self) -> bool {
        true
    }

    fn name(&self) -> &str {
        "scripted"
    }

    async fn send(
        &self,
        request: &Request,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Reply, ProviderError> {
        let seen = Seen(request);
        let rule = self.rule_for(seen);
        if let Some(Rule {
            delay: Millis(delay),
            ..
        }) = rule
            && *delay > 0
        {
            tokio::time::sleep(Duration::from_millis(*delay)).await;
        }
        let blocks = match rule.map(|rule| &rule.answer) {
            None if request.schema.is_some() => vec![sampled(seen)],
            None => vec![echo(seen)],
            Some(Answer::Text(text)) => vec![Block::text(seen.fill(text))],
            Some(Answer::Json(value)) => vec![Block::text(seen.fill_json(value).to_string())],
            Some(Answer::Sample) => vec![sampled(seen)],
            Some(Answer::Tools(calls)) => {
                let call = |(n, call): (usize, &rules::ToolCall)| Block::ToolUse {
                    id: format!("call_{}_{}", seen.turn(), n + 1),
                    name: call.name.clone(),
                    input: if call.input.is_null() {
                        json!({})
                    } else {
                        seen.fill_json(&call.input)
                    },
                };
                calls.iter().enumerate().map(call).collect()
            }
            Some(Answer::Error(error)) => return Err(failure(error)),
        };
        let uses_tools = matches!(blocks.first(), Some(Block::ToolUse { .. }));
        let usage = rule.and_then(|rule| rule.usage).unwrap_or_else(|| Usage {
            input: estimate::prompt_tokens(request),
            output: estimate::output_tokens(&blocks),
            ..Usage::default()
        });
        progress(Progress::Started(RateLimits::default()));
        progress(Progress::OutputTokens(usage.output));
        Ok(Reply {
            model: request.model.to_string(),
            blocks,
            stop: rule.and_then(|rule| rule.stop).unwrap_or(if uses_tools {
                Stop::ToolUse
            } else {
                Stop::EndTurn
            }),
            usage,
            billing: Default::default(),
            usage_estimated: !self.counts && rule.is_none_or(|rule| rule.usage.is_none()),
            request_id: None,
            rate: RateLimits::default(),
        })
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        Ok(vec!["scripted".to_owned()])
    }
}

/// The default answer: the first line of the prompt, marked as not written by a model.
fn echo(seen: Seen<'_>) -> Block {
    let line = seen.first_line();
    let (line, cut) = match line.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => (&line[..end], "…"),
        None => (line, ""),
    };
    Block::text(format!("[scripted {}] {line}{cut}", seen.0.model))
}

/// A value that fits the schema, depending on the prompt.
fn sampled(seen: Seen<'_>) -> Block {
    let seed = Digest::of(seen.prompt().as_bytes());
    Block::text(sample(seen.0.schema.as_deref().unwrap_or(&Value::Null), &seed).to_string())
}

/// The failure of a rule, classified like a vendor's.
fn failure(error: &ScriptedError) -> ProviderError {
    let message = error.message.as_deref().unwrap_or("the rules say so");
    let endpoint = Endpoint::new("scripted", "http://localhost");
    let mut failure = match error.status {
        Some(status) => {
            let body = json!({"error": {"code": error.code, "message": message}}).to_string();
            classify::response(&endpoint, status, &HeaderMap::new(), &body)
        }
        None => {
            let class = error.class.unwrap_or(FailureClass::Server);
            ProviderError::new(class, format!("provider `scripted` failed: {message}"))
        }
    };
    failure.class = error.class.unwrap_or(failure.class);
    failure.code = error.code.clone();
    failure.retry_after = error.retry_after_ms.map(Millis);
    failure.maybe_billed = error.maybe_billed;
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Message, Role, ToolDefinition};
    use std::sync::Arc;

    async fn ask(provider: &Scripted, request: &Request) -> Reply {
        provider.send(request, &|_| {}).await.unwrap()
    }

    fn with_tools(prompt: &str) -> Request {
        let tool = |name: &str| ToolDefinition {
            name: name.into(),
            description: String::new(),
            input_schema: json!({"type": "object"}),
        };
        let mut request = Request::new("haiku", prompt, 100);
        request.tools = vec![tool("list_files"), tool("read_file")].into();
        request
    }

    /// Continues the conversation with `result` for each tool call in `reply`; returns the calls.
    fn go_on(request: &mut Request, reply: Reply, result: &str) -> Vec<String> {
        let mut used = Vec::new();
        let mut results = Vec::new();
        for block in &reply.blocks {
            let Block::ToolUse { id, name, input } = block else {
                continue;
            };
            used.push(format!("{name} {input}"));
            results.push(Block::ToolResult {
                tool_use_id: id.clone(),
                content: result.into(),
                is_error: result.starts_with("error"),
                cache: false,
            });
        }
        request.messages.push(reply.into_message());
        request.messages.push(Message {
            role: Role::User,
            blocks: results,
        });
        used
    }

    #[tokio::test]
    async fn answers_plainly_without_rules() {
        let provider = Scripted::new();
        let reply = ask(
            &provider,
            &Request::new("haiku", "\n  Count to ten.\nThen stop.", 100),
        )
        .await;
        assert_eq!(reply.text(), "[scripted haiku] Count to ten.");
        assert_eq!(
            (reply.usage.input, reply.usage.output, reply.stop),
            (7, 8, Stop::EndTurn)
        );
        let long = ask(&provider, &Request::new("haiku", "é".repeat(100), 100))
            .await
            .text();
        assert_eq!(long, format!("[scripted haiku] {}…", "é".repeat(80)));
    }

    #[tokio::test]
    async fn answers_a_schema_with_a_sample() {
        let mut request = Request::new("haiku", "Find one.", 100);
        request.schema = Some(Arc::new(
            json!({"type": "object", "properties": {"n": {"type": "integer"}}}),
        ));
        let text = ask(&Scripted::new(), &request).await.text();
        assert_eq!(ask(&Scripted::demo(), &request).await.text(), text);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(value["n"].is_i64(), "{value}");
    }

    #[tokio::test]
    async fn the_first_rule_that_fits_answers_as_often_as_it_may() {
        let provider = Scripted::from_rules(
            r#"[
                {"when": {"contains": "audit", "model": "haiku"}, "times": 2, "text": "{model} heard {prompt} {x}"},
                {"when": {"contains": "audit"}, "json": {"said": ["{first_line}"]}, "stop": "max_tokens"},
                {"when": {"turn": 2}, "text": "never"}
            ]"#,
        )
        .unwrap();
        let request = Request::new("claude-haiku", "audit it", 100);
        for _ in 0..2 {
            assert_eq!(
                ask(&provider, &request).await.text(),
                "claude-haiku heard audit it {x}"
            );
        }
        let third = ask(&provider, &request).await;
        assert_eq!(
            (third.text().as_str(), third.stop),
            (r#"{"said":["audit it"]}"#, Stop::MaxTokens)
        );
        let other = Request::new("opus", "another", 100);
        assert_eq!(
            ask(&provider, &other).await.text(),
            "[scripted opus] another"
        );
    }

    #[tokio::test]
    async fn fails_as_told() {
        let provider = Scripted::from_rules(
            r#"[
                {"times": 1, "error": {"status": 429, "code": "insufficient_quota", "retry_after_ms": 5}},
                {"error": {"class": "stalled", "message": "no sign of life", "maybe_billed": true}}
            ]"#,
        )
        .unwrap();
        let request = Request::new("haiku", "p", 100);
        let first = provider.send(&request, &|_| {}).await.unwrap_err();
        assert_eq!(
            (first.class, first.retry_after),
            (FailureClass::Quota, Some(Millis(5)))
        );
        let second = provider.send(&request, &|_| {}).await.unwrap_err();
        assert_eq!(
            (second.class, second.maybe_billed),
            (FailureClass::Stalled, true)
        );
        assert_eq!(
            second.message,
            "provider `scripted` failed: no sign of life"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_demo_looks_before_it_answers() {
        let provider = Scripted::demo();
        let mut request = with_tools("Study the crate `crates/core/`, briefly.");
        let list =
            "Cargo.toml\ncrates/core/Cargo.toml\ncrates/core/src/lib.rs\ncrates/other/src/lib.rs";
        let reply = ask(&provider, &request).await;
        assert_eq!(
            go_on(&mut request, reply, list),
            [r#"list_files {"path":"crates/core"}"#]
        );
        let reply = ask(&provider, &request).await;
        let file = "1\t//! What a run is.\n2\t\n3\tpub mod run;";
        assert_eq!(
            go_on(&mut request, reply, file),
            [r#"read_file {"path":"crates/core/src/lib.rs"}"#]
        );
        insta::assert_snapshot!(ask(&provider, &request).await.text(), @"[scripted haiku] crates/core: 4 files. The one to begin with is crates/core/src/lib.rs, 3 lines, which opens with: //! What a run is.");
    }

    #[tokio::test(start_paused = true)]
    async fn the_demo_answers_even_if_there_is_nothing_to_see() {
        let provider = Scripted::demo();
        let mut request = with_tools("Study it.");
        let reply = ask(&provider, &request).await;
        assert_eq!(
            go_on(&mut request, reply, "error: no such folder"),
            [r#"list_files {"path":"."}"#]
        );
        assert_eq!(
            ask(&provider, &request).await.text(),
            "[scripted haiku] Study it."
        );
    }
}
