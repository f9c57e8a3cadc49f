//! Identity of a request.

use super::{Block, Message, Request, Role, ToolDefinition};
use blake3::Hasher;
use divisi_core::Digest;
use serde_json::Value;

impl Request {
    /// The identity of this request: equal for two requests exactly if a reply to one answers the
    /// other.
    ///
    /// Stable between versions, because journals and cassettes use it. It does not depend on the
    /// order of tools and of JSON keys or on cache marks, which do not change the question.
    pub fn digest(&self) -> Digest {
        let mut turn = Hashing::new();
        turn.text("divisi turn 1");
        turn.text(&self.model);
        turn.count(self.system.len());
        for block in &self.system {
            turn.text(&block.text);
        }
        turn.count(self.messages.len());
        for message in &self.messages {
            turn.message(message);
        }
        turn.bytes(self.tools.fields());
        turn.number(u64::from(self.max_tokens));
        turn.text(self.effort.map_or("", |effort| effort.as_str()));
        turn.json(self.schema.as_deref().unwrap_or(&Value::Null));
        turn.digest()
    }
}

/// The beginning of a prompt up to a cache mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Equal for two requests exactly if one can read what the other wrote.
    pub digest: Digest,
    /// Bytes of all texts in it.
    pub bytes: u64,
}

impl Request {
    /// The prefixes of this prompt that siblings may share, shortest first: one for each mark in
    /// the system prompt and on the texts of the first message.
    ///
    /// Model, effort and schema are part of all of them. Vendors do not document whether effort
    /// matters for caching; treating equal prefixes as different costs a few writes, while treating
    /// different ones as equal would let a whole fan-out write.
    pub fn shared_prefixes(&self) -> Vec<Prefix> {
        let first = self
            .messages
            .first()
            .map_or(&[][..], |message| &message.blocks);
        let texts = first.iter().map_while(|block| match block {
            Block::Text { text, cache } => Some((b'u', text, *cache)),
            Block::ToolUse { .. } | Block::ToolResult { .. } | Block::Opaque(_) => None,
        });
        let system = self
            .system
            .iter()
            .map(|block| (b's', &block.text, block.cache));
        let texts: Vec<_> = system.chain(texts).collect();
        let Some(last) = texts.iter().rposition(|(.., cache)| *cache) else {
            return vec![];
        };
        let mut prefix = Hashing::new();
        let mut bytes = self.tools.bytes();
        prefix.text(&self.model);
        prefix.text(self.effort.map_or("", |effort| effort.as_str()));
        prefix.json(self.schema.as_deref().unwrap_or(&Value::Null));
        prefix.bytes(self.tools.digest().as_bytes());
        let mut found = vec![];
        for (place, text, cache) in &texts[..=last] {
            prefix.tag(*place);
            prefix.text(text);
            bytes += text.len() as u64;
            if *cache {
                found.push(Prefix {
                    digest: prefix.digest(),
                    bytes,
                });
            }
        }
        found
    }
}

/// The tools as fields of a digest.
pub(crate) fn fields_of(tools: &[ToolDefinition]) -> Vec<u8> {
    let mut fields = Vec::new();
    fields.count(tools.len());
    for tool in tools {
        fields.text(&tool.name);
        fields.text(&tool.description);
        fields.json(&tool.input_schema);
    }
    fields
}

/// Hashes the fields written to it.
struct Hashing {
    hash: Hasher,
    /// Buffered fields: lengths and tags are too short to be hashed one by one.
    short: Vec<u8>,
}

/// Shorter fields are buffered and hashed together.
const SHORT_BYTES_MAX: usize = 1_024;

impl Hashing {
    fn new() -> Self {
        Self {
            hash: Hasher::new(),
            short: Vec::with_capacity(SHORT_BYTES_MAX),
        }
    }

    /// The digest of all fields.
    fn digest(&mut self) -> Digest {
        self.flush();
        Digest::from(self.hash.finalize())
    }

    fn flush(&mut self) {
        self.hash.update(&self.short);
        self.short.clear();
    }
}

impl Fields for Hashing {
    fn bytes(&mut self, bytes: &[u8]) {
        if self.short.len() + bytes.len() > SHORT_BYTES_MAX {
            self.flush();
        }
        match bytes.len() {
            ..=SHORT_BYTES_MAX => self.short.extend_from_slice(bytes),
            _ => _ = self.hash.update(bytes),
        }
    }
}

impl Fields for Vec<u8> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Writes fields so that different sequences always give different bytes: a field of variable
/// length is preceded by its length, an enum by a tag.
trait Fields {
    fn bytes(&mut self, bytes: &[u8]);

    fn tag(&mut self, tag: u8) {
        self.bytes(&[tag]);
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes(text.as_bytes());
    }

    fn message(&mut self, message: &Message) {
        self.tag(match message.role {
            Role::User => b'u',
            Role::Assistant => b'a',
        });
        self.count(message.blocks.len());
        for block in &message.blocks {
            self.block(block);
        }
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Text { text, cache: _ } => {
                self.tag(b't');
                self.text(text);
            }
            Block::ToolUse { id, name, input } => {
                self.tag(b'c');
                self.text(id);
                self.text(name);
                self.json(input);
            }
            Block::ToolResult {
                tool_use_id,
                content,
                is_error,
                cache: _,
            } => {
                self.tag(b'r');
                self.text(tool_use_id);
                self.text(content);
                self.tag(u8::from(*is_error));
            }
            Block::Opaque(value) => {
                self.tag(b'o');
                self.json(value);
            }
        }
    }

    fn json(&mut self, value: &Value) {
        match value {
            Value::Null => self.tag(b'n'),
            Value::Bool(is) => self.tag(if *is { b'y' } else { b'f' }),
            Value::Number(number) => {
                self.tag(b'#');
                self.text(&number.to_string());
            }
            Value::String(text) => {
                self.tag(b's');
                self.text(text);
            }
            Value::Array(items) => {
                self.tag(b'[');
                self.count(items.len());
                for item in items {
                    self.json(item);
                }
            }
            Value::Object(fields) => {
                self.tag(b'{');
                self.count(fields.len());
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_unstable_by_key(|(name, _)| *name);
                for (name, value) in fields {
                    self.text(name);
                    self.json(value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{SystemBlock, ToolDefinition};
    use divisi_core::Effort;
    use serde_json::json;
    use std::sync::Arc;

    fn request() -> Request {
        let tool = |name: &str| ToolDefinition {
            name: name.into(),
            description: "does it".into(),
            input_schema: json!({"type": "object", "properties": {"path": {"type": "string"}}}),
        };
        let mut request = Request::new("m", "hello", 100);
        request.system = vec![SystemBlock {
            text: "be brief".into(),
            cache: false,
        }];
        request.tools = vec![tool("read"), tool("list")].into();
        request
    }

    #[test]
    fn never_changes() {
        insta::assert_snapshot!(
            request().digest().to_string(),
            @"d4707aba8071ecf43d96b54acd81a27b9f77e9da4a832a490545075e6cdd8e71"
        );
    }

    #[test]
    fn ignores_what_does_not_change_the_question() {
        let mut other = request();
        let mut tools = other.tools.to_vec();
        tools.reverse();
        tools[0].input_schema =
            json!({"properties": {"path": {"type": "string"}}, "type": "object"});
        other.tools = tools.into();
        other.system[0].cache = true;
        other.messages[0].blocks[0] = Block::Text {
            text: "hello".into(),
            cache: true,
        };
        assert_eq!(other.digest(), request().digest());
    }

    #[test]
    fn sees_every_field() {
        let changes: [fn(&mut Request); 9] = [
            |r| r.model = "n".into(),
            |r| r.system.clear(),
            |r| {
                r.system.push(SystemBlock {
                    text: "".into(),
                    cache: false,
                });
            },
            |r| r.messages.push(Message::user("more")),
            |r| r.messages[0].role = Role::Assistant,
            |r| r.tools = r.tools[..1].to_vec().into(),
            |r| r.max_tokens = 101,
            |r| r.effort = Some(Effort::Low),
            |r| r.schema = Some(Arc::new(json!({}))),
        ];
        let mut seen = vec![request().digest()];
        for change in changes {
            let mut other = request();
            change(&mut other);
            assert!(!seen.contains(&other.digest()));
            seen.push(other.digest());
        }
    }

    #[test]
    fn siblings_share_what_stands_before_the_last_mark() {
        let sibling = |prompt: &str| {
            let mut request = request();
            request.system[0].cache = true;
            let context = Block::Text {
                text: "all of the code".into(),
                cache: true,
            };
            request.messages[0].blocks = vec![context, Block::text(prompt)];
            request
        };
        let prefixes = sibling("a").shared_prefixes();
        assert_eq!(prefixes, sibling("b").shared_prefixes());
        assert_eq!(
            prefixes
                .iter()
                .map(|prefix| prefix.bytes)
                .collect::<Vec<_>>(),
            [144, 159]
        );
        assert_eq!(request().shared_prefixes(), []);

        let mut longer = sibling("a");
        longer.messages.push(Message {
            role: Role::User,
            blocks: vec![Block::Text {
                text: "its own".into(),
                cache: true,
            }],
        });
        longer.tools = longer
            .tools
            .iter()
            .rev()
            .cloned()
            .collect::<Vec<_>>()
            .into();
        longer.max_tokens += 1;
        assert_eq!(longer.shared_prefixes(), prefixes);

        let changes: [fn(&mut Request); 5] = [
            |r| r.model = "n".into(),
            |r| r.system[0].text = "be long".into(),
            |r| r.tools = r.tools[..1].to_vec().into(),
            |r| r.effort = Some(Effort::Low),
            |r| r.schema = Some(Arc::new(json!({}))),
        ];
        for change in changes {
            let mut other = sibling("a");
            change(&mut other);
            assert!(
                other
                    .shared_prefixes()
                    .iter()
                    .all(|prefix| !prefixes.contains(prefix))
            );
        }
    }
}
