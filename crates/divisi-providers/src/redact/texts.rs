//! Redacts requests and replies.

use super::Redactor;
use crate::error::ProviderError;
use crate::reply::Reply;
use crate::request::{Block, Message, Request};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

impl Redactor {
    /// Redacts every text in `value`; returns whether there was a secret.
    pub fn value(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => self.string(text),
            Value::Array(items) => items
                .iter_mut()
                .fold(false, |any, item| self.value(item) | any),
            Value::Object(fields) => {
                let any = fields
                    .values_mut()
                    .fold(false, |any, field| self.value(field) | any);
                if !fields.keys().any(|name| self.finds(name)) {
                    return any;
                }
                let renamed = std::mem::take(fields).into_iter();
                *fields = renamed
                    .map(|(name, field)| (self.text(&name).into_owned(), field))
                    .collect();
                true
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// Redacts the strings of a JSON text; invalid JSON is treated as plain text.
    pub fn json(&self, json: Arc<str>) -> Arc<str> {
        if !self.finds(&json) {
            return json;
        }
        match serde_json::from_str::<Value>(&json) {
            Ok(mut value) => match self.value(&mut value) {
                true => value.to_string().into(),
                false => json,
            },
            Err(_) => self.shared(json),
        }
    }

    /// Redacts a request. Its tools are not searched.
    pub fn request<'a>(&self, request: &'a Request) -> Cow<'a, Request> {
        let is_found = request.system.iter().any(|block| self.finds(&block.text))
            || request
                .messages
                .iter()
                .any(|message| self.is_in(&message.blocks))
            || request
                .schema
                .as_deref()
                .is_some_and(|schema| self.is_in_value(schema));
        if !is_found {
            return Cow::Borrowed(request);
        }
        let mut request = request.clone();
        request
            .system
            .iter_mut()
            .for_each(|block| block.text = self.shared(block.text.clone()));
        request
            .messages
            .iter_mut()
            .for_each(|Message { blocks, .. }| self.blocks(blocks));
        if let Some(schema) = &mut request.schema {
            self.value(Arc::make_mut(schema));
        }
        Cow::Owned(request)
    }

    /// Redacts a reply with its names and ids.
    pub fn reply(&self, mut reply: Reply) -> Reply {
        self.blocks(&mut reply.blocks);
        self.string(&mut reply.model);
        reply
            .request_id
            .iter_mut()
            .for_each(|id| _ = self.string(id));
        reply
    }

    /// Redacts a vendor's error.
    pub fn error(&self, mut error: ProviderError) -> ProviderError {
        self.string(&mut error.message);
        for text in [&mut error.hint, &mut error.code, &mut error.request_id]
            .into_iter()
            .flatten()
        {
            self.string(text);
        }
        error
    }

    fn blocks(&self, blocks: &mut [Block]) {
        for block in &mut *blocks {
            match block {
                Block::Text { text, .. } => *text = self.shared(text.clone()),
                Block::ToolUse { id, name, input } => {
                    self.string(id);
                    self.string(name);
                    self.value(input);
                }
                Block::ToolResult {
                    tool_use_id,
                    content,
                    ..
                } => {
                    self.string(tool_use_id);
                    self.string(content);
                }
                Block::Opaque(value) => _ = self.value(value),
            }
        }
        // The texts of a reply are joined without separators, so a secret may span several.
        let texts: Vec<&str> = blocks.iter().filter_map(Block::as_text).collect();
        if texts.len() > 1
            && let Some(parts) = self.parts(&texts)
        {
            let texts = blocks.iter_mut().filter_map(|block| match block {
                Block::Text { text, .. } => Some(text),
                Block::ToolUse { .. } | Block::ToolResult { .. } | Block::Opaque(_) => None,
            });
            texts
                .zip(parts)
                .for_each(|(text, part)| *text = part.into());
        }
    }

    /// Whether the conversation contains a secret. Replies and tool results were redacted when they
    /// arrived.
    fn is_in(&self, blocks: &[Block]) -> bool {
        blocks.iter().any(|block| match block {
            Block::Text { text, .. } => self.finds_again(text),
            Block::ToolUse { id, name, input } => {
                [id, name].into_iter().any(|text| self.finds_again(text)) || self.is_in_value(input)
            }
            Block::ToolResult {
                tool_use_id,
                content,
                ..
            } => [tool_use_id, content]
                .into_iter()
                .any(|text| self.finds_again(text)),
            Block::Opaque(value) => self.is_in_value(value),
        })
    }

    /// Whether any text in `value` contains a secret.
    pub fn is_in_value(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.finds(text),
            Value::Array(items) => items.iter().any(|item| self.is_in_value(item)),
            Value::Object(fields) => fields
                .iter()
                .any(|(name, field)| self.finds(name) || self.is_in_value(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    fn string(&self, text: &mut String) -> bool {
        match self.text(text) {
            Cow::Borrowed(_) => false,
            Cow::Owned(left) => {
                *text = left;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_core::{FailureClass, Usage};
    use serde_json::json;

    const KEY: &str = "sk-ant-PLANTED-KEY-0123456789abcdef";

    fn redactor() -> Redactor {
        Redactor::new([KEY])
    }

    #[test]
    fn a_value_is_cut_wherever_it_stands() {
        let mut value = json!({KEY: [1, KEY, {"x": format!("a{KEY}b")}], "y": null});
        assert!(redactor().value(&mut value));
        assert_eq!(value, json!({"***": [1, "***", {"x": "a***b"}], "y": null}));
        assert!(!redactor().value(&mut value));
        assert_eq!(
            &*redactor().json(format!("[\"{KEY}\"]").into()),
            "[\"***\"]"
        );
        assert_eq!(
            &*redactor().json(format!("{KEY} is no JSON").into()),
            "*** is no JSON"
        );
    }

    #[test]
    fn a_reply_is_cut_in_all_its_parts() {
        let (a, b) = KEY.split_at(11);
        let reply = Reply {
            model: format!("model-{KEY}"),
            blocks: vec![
                Block::text(format!("it is {a}")),
                Block::text(format!("{b}.")),
                Block::ToolUse {
                    id: format!("id-{KEY}"),
                    name: KEY.to_owned(),
                    input: json!({"path": KEY}),
                },
                Block::Opaque(json!({"thinking": KEY})),
            ],
            stop: crate::reply::Stop::EndTurn,
            usage: Usage::default(),
            billing: Default::default(),
            usage_estimated: false,
            request_id: Some(format!("req-{KEY}")),
            rate: Default::default(),
        };
        let reply = redactor().reply(reply);
        let shown = serde_json::to_string(&reply).unwrap();
        assert!(!shown.contains("PLANTED"), "{shown}");
        assert_eq!(reply.text(), "it is ******.");
    }

    #[test]
    fn a_request_without_secrets_is_not_touched() {
        let request = Request::new("m", "hello", 10);
        assert!(matches!(redactor().request(&request), Cow::Borrowed(_)));
        let mut request = Request::new("m", format!("use {KEY}"), 10);
        request.schema = Some(Arc::new(json!({"const": KEY})));
        let redactor = redactor();
        let cut = redactor.request(&request);
        assert_eq!(cut.messages[0].blocks, [Block::text("use ***")]);
        assert_eq!(cut.schema.as_deref(), Some(&json!({"const": "***"})));
    }

    #[test]
    fn an_error_is_cut_in_all_its_parts() {
        let error = ProviderError {
            hint: Some(format!("check {KEY}")),
            code: Some(KEY.to_owned()),
            request_id: Some(KEY.to_owned()),
            ..ProviderError::new(FailureClass::Auth, format!("no such key {KEY}"))
        };
        let shown = format!("{:?}", redactor().error(error));
        assert!(!shown.contains("PLANTED"), "{shown}");
    }
}
