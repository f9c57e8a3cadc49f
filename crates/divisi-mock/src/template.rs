//! Replaces the placeholders of a reply.

use crate::ask::Conversation;
use crate::digest::text_digest;
use serde_json::Value;
use std::borrow::Cow;

/// Fills in `text`. Other text in braces stays, and inserted text is not searched for placeholders.
pub(crate) fn fill(text: &str, conversation: &Conversation<'_>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, from_brace) = rest.split_at(open);
        filled.push_str(before);
        let name = from_brace[1..].split('}').next().unwrap_or_default();
        match look_up(name, conversation) {
            Some(value) => {
                filled.push_str(&value);
                rest = &from_brace[name.len() + 2..];
            }
            None => {
                filled.push('{');
                rest = &from_brace[1..];
            }
        }
    }
    filled + rest
}

/// Fills in every string of `value`, keys excepted.
pub(crate) fn fill_value(value: &Value, conversation: &Conversation<'_>) -> Value {
    match value {
        Value::String(text) => fill(text, conversation).into(),
        Value::Array(items) => items
            .iter()
            .map(|item| fill_value(item, conversation))
            .collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), fill_value(value, conversation)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn look_up<'a>(name: &str, conversation: &'a Conversation<'_>) -> Option<Cow<'a, str>> {
    let prompt = || Cow::Borrowed(conversation.prompt.as_ref());
    let tool_result = || Cow::Borrowed(conversation.tool_result.as_deref().unwrap_or_default());
    Some(match name {
        "prompt" => prompt(),
        "prompt_digest" => text_digest(&prompt()).into(),
        "tool_result" => tool_result(),
        "tool_result_digest" => text_digest(&tool_result()).into(),
        "turn" => conversation.turn.to_string().into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_filled_in_once_and_other_braces_stay() {
        let conversation = Conversation {
            prompt: "say {turn}".into(),
            tool_result: Some("42".into()),
            turn: 3,
        };
        assert_eq!(
            fill("{prompt}: {tool_result} {x} {", &conversation),
            "say {turn}: 42 {x} {"
        );
        assert_eq!(
            fill_value(&json!({"{turn}": ["{turn}", 1]}), &conversation),
            json!({"{turn}": ["3", 1]})
        );
    }
}
