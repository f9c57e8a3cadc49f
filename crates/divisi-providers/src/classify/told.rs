//! Extracts the content of an error body, in all shapes that vendors use.
//!
//! The reason may be under `error`, `detail`, `errors`, `message`, in a list, in JSON within a
//! string, or in the title of a page. So no fixed structure is assumed: the body is walked, and all
//! error codes, sentences and waits are collected.

use super::waits;
use crate::rate;
use divisi_core::Millis;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// Deepest nesting read: gateways wrap the errors of gateways, four or five deep.
const DEPTH_MAX: usize = 12;

/// Most sentences collected; a validator may have one for each field.
const TEXTS_MAX: usize = 24;

/// Most items of a list that are read.
const ITEMS_MAX: usize = 8;

/// The content of an error body.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Error codes, types and reasons.
    pub(super) kinds: Vec<String>,
    /// Sentences, from the outside of the body to the inside.
    pub(super) texts: Vec<String>,
    /// Fields of the request that it names.
    pub(super) params: Vec<String>,
    /// A status within the body: gateways pass on errors under HTTP 200.
    pub(super) status: Option<u16>,
    /// The time to wait, if a field gives it.
    pub(super) wait: Option<Millis>,
    /// Whether it marks parts of the prompt as objectionable.
    pub(super) is_flagged: bool,
    pub(super) request_id: Option<String>,
}

/// Fields with an error code.
const KINDS: [&str; 10] = [
    "error_code",
    "code",
    "type",
    "status",
    "reason",
    "errorcode",
    "__type",
    "error_type",
    "limit_source",
    "quotaid",
];

/// Fields with a sentence, or with nested errors in any shape.
const TEXTS: [&str; 22] = [
    "message",
    "error",
    "errors",
    "detail",
    "details",
    "msg",
    "error_message",
    "errormessage",
    "error_msg",
    "error_description",
    "description",
    "title",
    "status_msg",
    "metadata",
    "raw",
    "innererror",
    "base_resp",
    "violations",
    "fieldviolations",
    "cause",
    "body",
    "provider_specific_fields",
];

/// Sentences that only repeat the status; any other one is shown instead.
const EMPTY: [&str; 16] = [
    "error",
    "bad request",
    "unauthorized",
    "forbidden",
    "not found",
    "too many requests",
    "internal server error",
    "bad gateway",
    "service unavailable",
    "gateway timeout",
    "unprocessable entity",
    "provider returned error",
    "upstream error",
    "upstream request failed",
    "request failed",
    "unknown error",
];

impl Told {
    /// Reads a body; `now` is the present time by the vendor's clock.
    pub(super) fn read(body: &str, now: Timestamp) -> Self {
        let mut told = Self::default();
        told.text(body.trim().trim_start_matches('\u{feff}'), now, 0);
        told
    }

    /// Reads an error in a stream.
    pub(super) fn of(error: &Value, now: Timestamp) -> Self {
        let mut told = Self::default();
        told.value(error, now, 0);
        told
    }

    /// The reason to show: the first sentence that adds to the status.
    pub(super) fn reason(&self) -> Option<&str> {
        let says_more =
            |text: &&String| !EMPTY.contains(&text.trim_end_matches('.').to_lowercase().as_str());
        let text = self.texts.iter().find(says_more).or(self.texts.first());
        text.or(self.kinds.first()).map(String::as_str)
    }

    /// All sentences in lower case.
    pub(super) fn said(&self) -> String {
        self.texts
            .join("\n")
            .to_lowercase()
            .replace(['\u{2019}', '\u{2018}'], "'")
    }

    /// Reads a text in any form: JSON, a page, events, or plain words.
    fn text(&mut self, text: &str, now: Timestamp, depth: usize) {
        let text = text.trim();
        if text.is_empty() || text == "null" || depth > DEPTH_MAX {
            return;
        }
        let is_page = text.strip_prefix('<').is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '!' | '?'))
        });
        if text.starts_with("data:") || text.starts_with("event:") {
            text.lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .for_each(|data| self.text(data, now, depth + 1));
        } else if is_page {
            self.page(text);
        } else if let Some(json) = json(text) {
            self.value(&json, now, depth + 1);
        } else {
            // A gateway's text around another error.
            let inner = text
                .find(['{', '['])
                .and_then(|start| json(text.get(start..=text.rfind(['}', ']'])?)?));
            match inner
                .filter(|inner| inner.is_object() || inner.get(0).is_some_and(Value::is_object))
            {
                Some(inner) => {
                    self.value(&inner, now, depth + 1);
                    self.say(text);
                }
                None => self.say(text),
            }
        }
    }

    fn value(&mut self, value: &Value, now: Timestamp, depth: usize) {
        match value {
            _ if depth > DEPTH_MAX => {}
            Value::String(text) => self.text(text, now, depth),
            Value::Array(items) => {
                items
                    .iter()
                    .take(ITEMS_MAX)
                    .for_each(|item| self.value(item, now, depth + 1));
            }
            Value::Object(fields) => self.object(fields, now, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn object(&mut self, fields: &Map<String, Value>, now: Timestamp, depth: usize) {
        let by_name: Vec<(String, &Value)> = fields
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect();
        let get = |wanted: &str| {
            by_name
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| *value)
        };
        if let (Some(loc), Some(msg)) = (
            get("loc").and_then(Value::as_array),
            get("msg").and_then(Value::as_str),
        ) {
            return self.misfit(loc, msg);
        }
        for name in KINDS {
            get(name)
                .into_iter()
                .for_each(|value| self.kind(name, value));
        }
        if let Some(Value::String(param)) = get("param").or_else(|| get("field")) {
            self.params.push(param.to_lowercase());
        }
        for name in TEXTS {
            get(name)
                .into_iter()
                .for_each(|value| self.value(value, now, depth + 1));
        }
        for (name, value) in &by_name {
            self.wait = self.wait.max(waits::in_field(name, value, now));
        }
        if let Some(Value::Object(headers)) = get("headers") {
            let waits = headers
                .iter()
                .map(|(name, value)| waits::in_field(&name.to_lowercase(), value, now));
            self.wait = self.wait.max(waits.max().flatten());
        }
        self.is_flagged |= ["reasons", "flagged_input"]
            .iter()
            .any(|name| get(name).is_some_and(|value| !value.is_null()));
        if let (None, Some(Value::String(id))) = (
            &self.request_id,
            get("request_id").or_else(|| get("requestid")),
        ) {
            self.request_id = Some(id.clone());
        }
    }

    fn kind(&mut self, name: &str, value: &Value) {
        let word = match value {
            Value::String(word) => word.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return,
        };
        match word.parse::<u16>() {
            Ok(status @ 100..=599) => self.status = self.status.or(Some(status)),
            // Types of messages, and of the containers of details.
            _ if word.is_empty()
                || matches!(&*word, "error" | "None" | "null" | "0")
                || word.starts_with("type.googleapis") => {}
            // xAI puts sentences in code fields, and others in reason fields.
            _ if name == "reason" && word.contains(' ') => self.say(&word),
            _ => self.kinds.push(word),
        }
    }

    /// One error of a validator: its place, and its message.
    fn misfit(&mut self, loc: &[Value], msg: &str) {
        let path = loc.iter().map(|step| {
            step.as_str()
                .map_or_else(|| step.to_string(), str::to_owned)
        });
        let path: Vec<_> = path.filter(|step| step != "body").collect();
        self.params.push(path.join(".").to_lowercase());
        self.say(&format!("{}: {msg}", path.join(".")));
    }

    /// Reads the title of a page, or the message in an XML document.
    fn page(&mut self, page: &str) {
        let lower = page.to_ascii_lowercase();
        for tag in ["title", "message", "h1"] {
            let inner = lower.find(&format!("<{tag}")).and_then(|open| {
                let start = open + lower[open..].find('>')? + 1;
                Some(page[start..start + lower[start..].find(&format!("</{tag}"))?].trim())
            });
            if let Some(inner) = inner.filter(|inner| !inner.is_empty() && !inner.contains('<')) {
                return self.say(inner);
            }
        }
    }

    fn say(&mut self, text: &str) {
        let text = text.trim();
        if !text.is_empty()
            && self.texts.len() < TEXTS_MAX
            && !self.texts.iter().any(|known| known == text)
        {
            self.texts.push(text.to_owned());
        }
    }
}

/// Parses `text` as JSON, if it is an object, a list or a string of these.
fn json(text: &str) -> Option<Value> {
    text.starts_with(['{', '[', '"'])
        .then(|| serde_json::from_str(text).ok())
        .flatten()
}

/// The present time by the clock of the vendor that sent `headers`.
pub(super) fn now(headers: &reqwest::header::HeaderMap) -> Timestamp {
    rate::vendor_now(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(body: &str) -> String {
        Told::read(body, Timestamp::UNIX_EPOCH)
            .reason()
            .unwrap_or("none")
            .to_owned()
    }

    #[test]
    fn a_reason_is_found_wherever_it_stands() {
        for body in [
            r#"{"error": {"message": "why"}}"#,
            r#"{"error": "why"}"#,
            r#"{"error": {"message": {"detail": "why"}}}"#,
            r#"{"error": {"message": "{\n \"error\": {\"code\": 429, \"message\": \"why\"}}\n", "code": 429}}"#,
            r#"[{"error": {"code": 400, "errors": [{"message": "why", "domain": "global"}]}}]"#,
            r#"{"errors": ["why"]}"#,
            r#"{"errors": [{"message": "why"}]}"#,
            r#"{"detail": "why"}"#,
            r#"{"message": "why"}"#,
            r#"{"Message": "why"}"#,
            r#"{"msg": "why", "code": 1}"#,
            r#"{"error": "Too Many Requests", "message": "why"}"#,
            r#"{"error": {"message": "Provider returned error", "metadata": {"raw": "{\"error\": \"why\"}"}}}"#,
            r#"{"error_description": "why", "error": null}"#,
            r#"{"base_resp": {"status_code": 1008, "status_msg": "why"}}"#,
            r#"{"statusCode": 401, "title": "why"}"#,
            "\u{feff}{\"message\": \"why\"}",
            "event: error\ndata: {\"error\": {\"message\": \"why\"}}\n\n",
            "<html><head><title>why</title></head><body><h1>else</h1></body></html>",
            "<?xml version=\"1.0\"?><Error><Code>x</Code><Message>why</Message></Error>",
            "why",
            "\"why\"",
            "litellm.BadRequestError: {\"message\": \"why\"} and more",
        ] {
            assert_eq!(reason(body), "why", "{body}");
        }
        assert_eq!(
            reason(
                r#"{"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options", 0], "msg": "Extra inputs are not permitted", "input": true}]}"#
            ),
            "stream_options.0: Extra inputs are not permitted"
        );
        assert_eq!(
            reason(r#"{"error": {"code": "insufficient_quota"}}"#),
            "insufficient_quota"
        );
        assert_eq!(
            reason(r#"{"error": {"message": "Internal Server Error"}}"#),
            "Internal Server Error"
        );
        assert_eq!(reason("} no {"), "} no {");
        for nothing in [
            "",
            " \n",
            "null",
            "{}",
            "[]",
            "<html></html>",
            r#"{"error": {"message": ""}}"#,
            "{\"input\": \"secret\"}",
        ] {
            assert_eq!(reason(nothing), "none", "{nothing}");
        }
    }

    #[test]
    fn nesting_without_end_is_not_followed() {
        let body = format!("{}\"why\"{}", "{\"error\":".repeat(100), "}".repeat(100));
        assert_eq!(reason(&body), "none");
        assert!(
            Told::read(
                &format!("[{}1]", "\"x\",".repeat(1_000)),
                Timestamp::UNIX_EPOCH
            )
            .texts
            .len()
                < TEXTS_MAX
        );
    }
}
