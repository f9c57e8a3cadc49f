//! Reads what an agent tells while it works: `session/update` and what agents add to it.
//!
//! Unknown notifications, updates and fields are passed over, because agents differ.

use crate::executor::agent_program::shown;
use crate::executor::reports::dollars;
use agent_client_protocol::UntypedMessage;
use divisi_core::PicoUsd;
use serde_json::Value;

/// Longest answer in bytes: all its messages together.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Most updates of an attempt. A long one has some ten thousand.
const UPDATES_MAX: u64 = 1_000_000;

/// Bytes of a token, where the agent counts none.
const TOKEN_BYTES: usize = 4;

/// What has been told so far.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The message that is arriving, and the last one before it that has text.
    message: String,
    before: String,
    /// The id of the message that is arriving, if the agent gives ids.
    id: Option<String>,
    /// Whether the next text begins another message: a tool was called.
    is_cut: bool,
    /// Whether the first line of the message was shown.
    is_shown: bool,
    /// Bytes of all messages, and of thoughts and tools.
    pub(super) bytes: usize,
    updates: u64,
    /// The title of the last tool.
    tool: String,
    /// Whether a model has replied: a tool was called, or usage told.
    pub(super) has_reply: bool,
    /// Dollars, as the agent counts: those of the session.
    pub(super) cost: Option<PicoUsd>,
    /// How it is logged in: `account` for that of a subscription.
    pub(super) login: Option<String>,
}

/// Something to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// A tool is at work.
    Tool(String),
    /// The agent says this: its first words.
    Says(String),
    /// The reply has about this many tokens so far.
    Writes(u64),
}

/// It tells more than any agent has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flood {
    #[error("its answer is longer than {} MiB", ANSWER_BYTES_MAX >> 20)]
    Text,
    #[error("it sent more than {UPDATES_MAX} updates")]
    Updates,
}

impl Said {
    /// Reads one notification.
    pub(super) fn read(&mut self, message: &UntypedMessage) -> Result<Vec<Note>, Flood> {
        self.updates += 1;
        if self.updates > UPDATES_MAX {
            return Err(Flood::Updates);
        }
        let params = message.params();
        match message.method() {
            "session/update" => self.update(params.get("update").unwrap_or(&Value::Null)),
            "_auth/status_update" => {
                let status = params.get("authStatus");
                self.login = status
                    .and_then(|status| text(status, "kind"))
                    .map(str::to_owned);
                Ok(vec![])
            }
            _ => Ok(vec![]),
        }
    }

    /// The last message: the answer.
    pub(super) fn answer(&self) -> &str {
        match self.message.trim() {
            "" => self.before.trim(),
            message => message,
        }
    }

    /// Tokens of all it has said, estimated from the text.
    pub(super) fn tokens(&self) -> u64 {
        tokens(self.bytes)
    }

    fn update(&mut self, update: &Value) -> Result<Vec<Note>, Flood> {
        match text(update, "sessionUpdate") {
            Some("agent_message_chunk") => self.chunk(update),
            Some("agent_thought_chunk") => {
                let thought = content(update).unwrap_or_default();
                self.bytes += thought.len();
                Ok(vec![Note::Writes(self.tokens())])
            }
            Some("tool_call") => {
                let words = self.first_line(true);
                (self.is_cut, self.has_reply) = (true, true);
                Ok(words.into_iter().chain(self.titled(update)).collect())
            }
            Some("tool_call_update") => Ok(self.titled(update).into_iter().collect()),
            Some("usage_update") => {
                let cost = update.get("cost");
                let is_dollars = cost.and_then(|cost| text(cost, "currency")) == Some("USD");
                let amount = cost.and_then(|cost| cost.get("amount"));
                // Totals of a session never fall.
                let amount = amount.filter(|_| is_dollars).and_then(dollars);
                self.cost = self.cost.max(amount);
                self.has_reply = true;
                Ok(vec![])
            }
            _ => Ok(vec![]),
        }
    }

    fn chunk(&mut self, update: &Value) -> Result<Vec<Note>, Flood> {
        let Some(words) = content(update).filter(|_| !is_remark(update)) else {
            return Ok(vec![]);
        };
        self.bytes += words.len();
        if self.bytes > ANSWER_BYTES_MAX {
            return Err(Flood::Text);
        }
        let id = text(update, "messageId");
        let is_other = id.is_some() && self.id.is_some() && self.id.as_deref() != id;
        let mut notes = vec![];
        if self.is_cut || is_other {
            notes.extend(self.first_line(true));
            let ended = std::mem::take(&mut self.message);
            if !ended.trim().is_empty() {
                self.before = ended;
            }
            (self.is_cut, self.is_shown) = (false, false);
        }
        if let Some(id) = id {
            self.id = Some(id.to_owned());
        }
        self.message.push_str(words);
        notes.push(Note::Writes(self.tokens()));
        notes.extend(self.first_line(false));
        Ok(notes)
    }

    /// The first line of the message, once: when it has ended, because its beginning could be that
    /// of a secret.
    fn first_line(&mut self, has_ended: bool) -> Option<Note> {
        if self.is_shown {
            return None;
        }
        let message = self.message.trim_start();
        let line = match message.split_once('\n') {
            Some((line, _)) => line,
            None if has_ended => message,
            None => return None,
        };
        let line = shown(line);
        self.is_shown = !line.is_empty();
        self.is_shown.then_some(Note::Says(line))
    }

    /// The title of a tool, if it is another one.
    fn titled(&mut self, update: &Value) -> Option<Note> {
        let title = shown(text(update, "title")?);
        if title.is_empty() || title == self.tool {
            return None;
        }
        self.tool.clone_from(&title);
        Some(Note::Tool(title))
    }
}

/// About how many tokens a text of this length has.
pub(super) fn tokens(bytes: usize) -> u64 {
    (bytes / TOKEN_BYTES) as u64
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name)?.as_str()
}

/// The text of a chunk.
fn content(update: &Value) -> Option<&str> {
    text(update.get("content")?, "text")
}

/// Whether the adapter of Claude Code says this, and not the model.
fn is_remark(update: &Value) -> bool {
    let kind = update.pointer("/_meta/claudeCode/kind");
    kind.and_then(Value::as_str) == Some("informational")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(said: &mut Said, update: Value) -> Vec<Note> {
        let params = json!({"sessionId": "s", "update": update});
        said.read(&UntypedMessage::new("session/update", params).unwrap())
            .unwrap()
    }

    fn words(words: &str) -> Value {
        json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": words}})
    }

    fn tool(title: &str) -> Value {
        json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": title})
    }

    #[test]
    fn the_answer_is_the_last_message_that_has_text() {
        let mut said = Said::default();
        read(&mut said, words("Let me "));
        read(&mut said, words("look.\n"));
        read(&mut said, tool("ls"));
        read(&mut said, words("It is "));
        read(&mut said, words("done."));
        assert_eq!(said.answer(), "It is done.");
        read(&mut said, tool("todo"));
        read(&mut said, words("\n"));
        assert_eq!(said.answer(), "It is done.");
        let with_id = |id: &str, text: &str| {
            let mut chunk = words(text);
            chunk["messageId"] = id.into();
            chunk
        };
        read(&mut said, with_id("1", "One"));
        read(&mut said, with_id("1", " more"));
        assert_eq!(said.answer(), "One more");
        read(&mut said, with_id("2", "Last"));
        assert_eq!(said.answer(), "Last");
        let mut remark = words("Warning: something");
        remark["_meta"] = json!({"claudeCode": {"kind": "informational"}});
        read(&mut said, remark);
        assert_eq!(said.answer(), "Last");
    }

    #[test]
    fn first_words_are_shown_when_their_line_has_ended_and_tools_by_their_titles() {
        let mut said = Said::default();
        let shown = |notes: Vec<Note>| -> Vec<Note> {
            let notes = notes.into_iter();
            notes
                .filter(|note| !matches!(note, Note::Writes(_)))
                .collect()
        };
        assert_eq!(shown(read(&mut said, words("\nLet me "))), []);
        let notes = read(&mut said, tool("Preparing"));
        let expected = [Note::Says("Let me".into()), Note::Tool("Preparing".into())];
        assert_eq!(shown(notes), expected);
        let update = json!({"sessionUpdate": "tool_call_update", "title": "Write a.rs"});
        assert_eq!(
            shown(read(&mut said, update.clone())),
            [Note::Tool("Write a.rs".into())]
        );
        assert_eq!(shown(read(&mut said, update)), []);
        assert_eq!(
            shown(read(&mut said, words("Done.\nMore"))),
            [Note::Says("Done.".into())]
        );
        assert_eq!(shown(read(&mut said, words(" and more\n"))), []);
    }

    #[test]
    fn a_secret_is_not_cut_in_two() {
        let key = "cut-in-two-4813-secret-of-an-agent";
        divisi_providers::redact::add_secret(key);
        let mut said = Said::default();
        let long = format!("{} {}", "x".repeat(60), &key[..20]);
        read(&mut said, words(&long));
        let notes = read(&mut said, words(&format!("{}\n", &key[20..])));
        let all = format!("{notes:?}");
        assert!(!all.contains("cut-in-two"), "{all}");
    }

    #[test]
    fn costs_are_totals_in_dollars() {
        let mut said = Said::default();
        let cost = |amount: f64, currency: &str| {
            json!({"sessionUpdate": "usage_update", "used": 1, "size": 2,
                "cost": {"amount": amount, "currency": currency}})
        };
        read(
            &mut said,
            json!({"sessionUpdate": "usage_update", "used": 1, "size": 2}),
        );
        assert_eq!(said.cost, None);
        for (amount, currency) in [(0.25, "USD"), (0.125, "USD"), (9.0, "EUR"), (-1.0, "USD")] {
            read(&mut said, cost(amount, currency));
        }
        assert_eq!(said.cost, Some(PicoUsd(PicoUsd::DOLLAR.0 / 4)));
    }

    #[test]
    fn an_answer_has_a_limit() {
        let mut said = Said::default();
        let chunk = words(&"x".repeat(1 << 20));
        let params = json!({"update": chunk});
        let message = UntypedMessage::new("session/update", params).unwrap();
        let ended = (0..20).find_map(|_| said.read(&message).err());
        assert_eq!(ended, Some(Flood::Text));
        assert!(said.message.len() <= ANSWER_BYTES_MAX);
    }

    /// JSON of the shapes that updates have, with anything in place of its values.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[ -~\\n]{0,12}".prop_map(Value::from),
            Just(Value::from("USD")),
        ];
        let name = prop::sample::select(vec![
            "content",
            "text",
            "title",
            "cost",
            "amount",
            "currency",
            "messageId",
            "_meta",
            "claudeCode",
            "kind",
        ]);
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec((name.clone(), inner), 0..5).prop_map(|fields| {
                    fields
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect()
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn anything_can_be_read(updates in prop::collection::vec((0_usize..6, value()), 0..12)) {
            let kinds = ["agent_message_chunk", "tool_call", "tool_call_update", "usage_update",
                "agent_thought_chunk", "x"];
            let mut said = Said::default();
            let mut cost = None;
            for (kind, mut update) in updates {
                if let Value::Object(fields) = &mut update {
                    fields.insert("sessionUpdate".to_owned(), kinds[kind].into());
                }
                read(&mut said, update);
                prop_assert!(said.cost >= cost);
                cost = said.cost;
            }
        }
    }
}
