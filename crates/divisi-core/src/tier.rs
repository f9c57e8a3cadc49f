//! Tiers of model strength, as used in flows.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The strength of a model, independent of its vendor. The settings map tiers to models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Fastest and cheapest.
    Haiku,
    /// The balanced default.
    Sonnet,
    /// Slow and dear.
    Opus,
    /// Strongest and dearest.
    Fable,
}

impl Tier {
    /// Every tier, cheapest first.
    pub const ALL: [Self; 4] = [Self::Haiku, Self::Sonnet, Self::Opus, Self::Fable];

    /// The word that flows use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Haiku => "haiku",
            Self::Sonnet => "sonnet",
            Self::Opus => "opus",
            Self::Fable => "fable",
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Tier {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Tier".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // One list of all values, because only then can the keys of a map be tiers.
        schemars::json_schema!({ "type": "string", "enum": Self::ALL.map(Self::as_str) })
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Tier {
    type Err = UnknownTier;
    fn from_str(word: &str) -> Result<Self, UnknownTier> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.as_str() == word)
            .ok_or_else(|| UnknownTier(word.to_owned()))
    }
}

/// A word that is no tier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no tier: it is one of haiku, sonnet, opus, fable")]
pub struct UnknownTier(pub String);
