//! The supported APIs.
//!
//! Each has a folder of its own for its requests and replies. Its `Spec` has the properties used
//! elsewhere.

use crate::endpoint::{Endpoint, EndpointError};
use crate::provider::{Provider, Spec};
use crate::{anthropic, openai_chat, openai_responses};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A supported API. The settings use the same names, in kebab case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WireFormat {
    /// Anthropic's Messages.
    Anthropic,
    /// OpenAI's Responses.
    Openai,
    /// OpenAI's Chat Completions, which most other servers also offer.
    OpenaiChat,
}

impl WireFormat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Anthropic, Self::Openai, Self::OpenaiChat];

    fn spec(self) -> Spec {
        match self {
            Self::Anthropic => anthropic::SPEC,
            Self::Openai => openai_responses::SPEC,
            Self::OpenaiChat => openai_chat::SPEC,
        }
    }

    /// Its name in the settings.
    pub fn as_str(self) -> &'static str {
        self.spec().name
    }

    /// Whether cached prompt tokens count towards limits on input tokens.
    pub fn counts_cached(self) -> bool {
        self.spec().counts_cached
    }

    /// Creates a provider for `endpoint`; nothing is sent yet. Fails only if the endpoint is
    /// invalid.
    pub fn connect(self, endpoint: Endpoint) -> Result<Arc<dyn Provider>, EndpointError> {
        (self.spec().connect)(endpoint)
    }
}

impl fmt::Display for WireFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wire_format_is_named_alike_everywhere_and_connects() {
        for format in WireFormat::ALL {
            assert_eq!(serde_json::to_value(format).unwrap(), format.to_string());
            let provider = format
                .connect(Endpoint::new("main", "https://example.com"))
                .unwrap();
            assert_eq!(provider.name(), "main");
            assert!(format.connect(Endpoint::new("main", "nowhere")).is_err());
        }
        assert_eq!(
            WireFormat::ALL.map(WireFormat::counts_cached),
            [false, true, true]
        );
    }
}
