//! The identity of a task: what decides whether a result can be used again.

use crate::check::Check;
use crate::{Digest, Effort, Isolation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// The content identity of a task.
///
/// Two tasks have the same key exactly if they ask the same of the same model in the same way.
/// Neither the order of tasks nor the clock is part of it, so concurrency cannot change keys, and
/// editing one prompt changes one key. An occurrence number distinguishes tasks with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Key(pub Digest);

impl Key {
    /// Computes the key from its parts.
    pub fn of(parts: &KeyParts<'_>) -> Self {
        let mut hash = blake3::Hasher::new();
        // Bump the version when the meaning of a part changes: then old results are not found,
        // rather than used wrongly.
        field(&mut hash, b"divisi task v1");
        field(&mut hash, parts.prompt.as_bytes());
        optional(&mut hash, parts.context.map(str::as_bytes));
        match parts.schema {
            None => optional(&mut hash, None),
            Some(schema) => {
                hash.update(&[1]);
                canonical(&mut hash, schema);
            }
        }
        list(
            &mut hash,
            parts.models.iter().map(|model| model.as_ref().as_bytes()),
        );
        optional(
            &mut hash,
            parts.effort.map(|effort| effort.as_str().as_bytes()),
        );
        field(&mut hash, parts.executor.as_bytes());
        optional(
            &mut hash,
            parts
                .agent
                .as_ref()
                .map(|digest| digest.as_bytes().as_slice()),
        );
        list(
            &mut hash,
            parts.tools.iter().map(|tool| tool.as_ref().as_bytes()),
        );
        hash.update(&[match parts.isolation {
            Isolation::None => 0,
            Isolation::Worktree => 1,
        }]);
        list(
            &mut hash,
            parts
                .inputs
                .iter()
                .map(|digest| digest.as_bytes().as_slice()),
        );
        if !parts.check.is_empty() {
            // Written only if there are any, so that keys of tasks without checks stay the same.
            canonical(&mut hash, &serde_json::json!(parts.check));
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.short())
    }
}

/// The parts of a [`Key`], resolved: ids instead of tiers, digests instead of paths.
#[derive(Clone, Copy, Debug)]
pub struct KeyParts<'a> {
    /// The task's own prompt.
    pub prompt: &'a str,
    /// The shared prefix.
    pub context: Option<&'a str>,
    /// JSON Schema of the result; the order of its members does not matter.
    pub schema: Option<&'a Value>,
    /// The model ids it may run on, in the order in which they are tried.
    pub models: &'a [std::sync::Arc<str>],
    /// How hard the model should think.
    pub effort: Option<Effort>,
    /// Name of the executor.
    pub executor: &'a str,
    /// The agent definition's content.
    pub agent: Option<Digest>,
    /// The tools it may use, sorted.
    pub tools: &'a [std::sync::Arc<str>],
    /// Whether it works in a copy of the repository.
    pub isolation: Isolation,
    /// The content of its declared input files, in the order declared.
    pub inputs: &'a [Digest],
    /// Checks of its result: a result with fewer checks is not equivalent.
    pub check: &'a [Check],
}

/// The length comes first, so that no two lists of fields give the same bytes.
fn field(hash: &mut blake3::Hasher, bytes: &[u8]) {
    hash.update(&(bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn optional(hash: &mut blake3::Hasher, bytes: Option<&[u8]>) {
    match bytes {
        None => {
            hash.update(&[0]);
        }
        Some(bytes) => {
            hash.update(&[1]);
            field(hash, bytes);
        }
    }
}

fn list<'a>(hash: &mut blake3::Hasher, items: impl ExactSizeIterator<Item = &'a [u8]>) {
    hash.update(&(items.len() as u64).to_le_bytes());
    for item in items {
        field(hash, item);
    }
}

/// Hashes JSON by meaning: members of objects in sorted order.
fn canonical(hash: &mut blake3::Hasher, value: &Value) {
    match value {
        Value::Null => {
            hash.update(b"n");
        }
        Value::Bool(b) => {
            hash.update(if *b { b"t" } else { b"f" });
        }
        Value::Number(n) => {
            hash.update(b"#");
            field(hash, n.to_string().as_bytes());
        }
        Value::String(s) => {
            hash.update(b"s");
            field(hash, s.as_bytes());
        }
        Value::Array(items) => {
            hash.update(b"[");
            hash.update(&(items.len() as u64).to_le_bytes());
            for item in items {
                canonical(hash, item);
            }
        }
        Value::Object(members) => {
            hash.update(b"{");
            hash.update(&(members.len() as u64).to_le_bytes());
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            for (name, member) in sorted {
                field(hash, name.as_bytes());
                canonical(hash, member);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::sync::Arc;

    fn parts<'a>(prompt: &'a str, models: &'a [Arc<str>]) -> KeyParts<'a> {
        KeyParts {
            prompt,
            context: None,
            schema: None,
            models,
            effort: None,
            executor: "api",
            agent: None,
            tools: &[],
            isolation: Isolation::None,
            inputs: &[],
            check: &[],
        }
    }

    #[test]
    fn the_order_of_schema_members_does_not_matter() {
        let one = json!({"type": "object", "required": ["a"]});
        let other = json!({"required": ["a"], "type": "object"});
        let key = |schema| {
            Key::of(&KeyParts {
                schema: Some(schema),
                ..parts("p", &[])
            })
        };
        assert_eq!(key(&one), key(&other));
        assert_ne!(key(&one), Key::of(&parts("p", &[])));
    }

    #[test]
    fn every_part_counts() {
        let haiku: [Arc<str>; 1] = ["haiku".into()];
        let (schema, digest) = (json!({}), Digest::of(b"x"));
        let base = parts("p", &haiku);
        let variants = [
            base,
            KeyParts {
                prompt: "q",
                ..base
            },
            KeyParts {
                context: Some("c"),
                ..base
            },
            KeyParts {
                schema: Some(&schema),
                ..base
            },
            KeyParts {
                models: &[],
                ..base
            },
            KeyParts {
                effort: Some(Effort::Low),
                ..base
            },
            KeyParts {
                executor: "shell",
                ..base
            },
            KeyParts {
                agent: Some(digest),
                ..base
            },
            KeyParts {
                tools: &haiku,
                ..base
            },
            KeyParts {
                isolation: Isolation::Worktree,
                ..base
            },
            KeyParts {
                inputs: &[digest],
                ..base
            },
        ];
        let keys: std::collections::BTreeSet<_> = variants.iter().map(Key::of).collect();
        assert_eq!(keys.len(), variants.len());
    }

    proptest! {
        /// Text moved from one part to the next changes the key.
        #[test]
        fn neighbouring_parts_do_not_run_together(text in "[ab]{0,6}", cut in 0usize..6) {
            let cut = cut.min(text.len());
            let split = KeyParts { context: Some(&text[cut..]), ..parts(&text[..cut], &[]) };
            let whole = KeyParts { context: Some(""), ..parts(&text, &[]) };
            prop_assert_eq!(Key::of(&split) == Key::of(&whole), cut == text.len());
        }
    }
}
