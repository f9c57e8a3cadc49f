//! Schemas that Anthropic's structured outputs can enforce.

use crate::strict;
use serde_json::Value;

/// The documented limits: optional properties, and properties with several types.
const OPTIONALS_MAX: usize = 24;
const UNIONS_MAX: usize = 16;

/// The part of `schema` that structured outputs can enforce; `None` if that would forbid valid
/// answers, or be refused.
pub(super) fn enforceable(schema: &Value) -> Option<Value> {
    let (reduced, size) = strict::reduced(schema)?;
    (size.optionals <= OPTIONALS_MAX && size.unions <= UNIONS_MAX).then_some(reduced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    #[test]
    fn anthropic_is_not_sent_more_optionals_and_unions_than_it_takes() {
        let optionals = |count: usize| {
            let properties: Map<_, _> = (0..count)
                .map(|n| (format!("f{n}"), json!({"type": "string"})))
                .collect();
            json!({"type": "object", "properties": properties})
        };
        let unions = |count: usize| {
            let properties: Map<_, _> = (0..count)
                .map(|n| (format!("f{n}"), json!({"type": ["string", "null"]})))
                .collect();
            json!({"type": "object", "required": properties.keys().collect::<Vec<_>>(), "properties": properties})
        };
        let takes = |schema: Value| enforceable(&schema).is_some();
        assert!(takes(optionals(OPTIONALS_MAX)) && !takes(optionals(OPTIONALS_MAX + 1)));
        assert!(takes(unions(UNIONS_MAX)) && !takes(unions(UNIONS_MAX + 1)));
    }
}
