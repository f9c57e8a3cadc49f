//! The result of a call, as text for a model.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

/// The text of a result; an error if the server says that the call has failed. What is no text is
/// named, with its length.
pub(super) fn text(result: &CallToolResult) -> Result<String, String> {
    let mut parts: Vec<String> = result.content.iter().map(part).collect();
    if parts.is_empty() {
        parts.extend(result.structured_content.as_ref().map(ToString::to_string));
    }
    let text = match parts.is_empty() {
        true => "(no content)".to_owned(),
        false => parts.join("\n"),
    };
    match result.is_error {
        Some(true) => Err(text),
        Some(false) | None => Ok(text),
    }
}

/// A note in place of content that a newer protocol may bring.
const UNKNOWN: &str = "(content of a kind that is not passed on)";

fn part(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => left_out("an image", &image.mime_type, &image.data),
        ContentBlock::Audio(audio) => left_out("a sound", &audio.mime_type, &audio.data),
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => format!("{uri}:\n{text}"),
            ResourceContents::BlobResourceContents {
                mime_type, blob, ..
            } => left_out(
                "a file",
                mime_type.as_deref().unwrap_or("unknown type"),
                blob,
            ),
            _ => UNKNOWN.to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("(a resource: {} {})", link.name, link.uri),
        _ => UNKNOWN.to_owned(),
    }
}

/// A note in place of content in base64.
fn left_out(what: &str, kind: &str, base64: &str) -> String {
    format!(
        "({what} was left out: {kind}, {} bytes)",
        base64.len() / 4 * 3
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_no_text_is_named() {
        let said = |json| text(&serde_json::from_value(json).unwrap());
        let mixed = json!({"content": [
            {"type": "text", "text": "before"},
            {"type": "image", "data": "QUJD", "mimeType": "image/png"},
            {"type": "audio", "data": "QUJD", "mimeType": "audio/wav"},
            {"type": "resource", "resource": {"uri": "file:///a", "text": "content"}},
            {"type": "resource", "resource": {"uri": "file:///b", "blob": "QUJD"}},
            {"type": "resource_link", "uri": "file:///c", "name": "c"},
        ]});
        insta::assert_snapshot!(said(mixed).unwrap(), @r"
        before
        (an image was left out: image/png, 3 bytes)
        (a sound was left out: audio/wav, 3 bytes)
        file:///a:
        content
        (a file was left out: unknown type, 3 bytes)
        (a resource: c file:///c)
        ");
        let structured = json!({"content": [], "structuredContent": {"sum": 3}});
        assert_eq!(said(structured).unwrap(), r#"{"sum":3}"#);
        assert_eq!(said(json!({"content": []})).unwrap(), "(no content)");
        let failed =
            json!({"content": [{"type": "text", "text": "no such file"}], "isError": true});
        assert_eq!(said(failed).unwrap_err(), "no such file");
    }
}
