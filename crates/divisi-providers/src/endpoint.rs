//! Address and credentials of a vendor.

use crate::dialect::Dialect;
use crate::error::ProviderError;
use crate::redact;
use crate::secret::{Secret, trim};
use divisi_core::{Digest, FailureClass};
use std::fmt;
use std::sync::Arc;

/// Longest quotation of an error. Some vendors repeat the whole request in theirs.
const QUOTE_CHARS_MAX: usize = 500;

/// Address and credentials of a vendor.
#[derive(Clone)]
pub struct Endpoint {
    /// Name of the provider in the settings and in messages.
    pub name: Arc<str>,
    /// Base address of the API, such as `https://api.openai.com/v1`. Anthropic's is without
    /// version.
    pub base_url: String,
    /// The key; servers on this machine need none.
    pub key: Option<Secret>,
    /// The environment variable of the key, used only in advice.
    pub key_env: Option<Arc<str>>,
    /// Further headers of every request, such as a gateway's.
    pub headers: Vec<(String, Secret)>,
    /// The dialect set by the user.
    pub dialect: Dialect,
}

impl Endpoint {
    /// An endpoint without a key.
    pub fn new(name: impl Into<Arc<str>>, base_url: impl Into<String>) -> Self {
        let base_url = base_of(&base_url.into());
        let (headers, dialect) = (Vec::new(), Dialect::default());
        Self {
            name: name.into(),
            base_url,
            key: None,
            key_env: None,
            headers,
            dialect,
        }
    }

    /// Sets the key, which was found in the variable `env`, or should be there.
    pub fn key(mut self, key: Option<Secret>, env: impl Into<Arc<str>>) -> Self {
        self.key = key;
        self.key_env = Some(env.into());
        self
    }

    /// Identifies the account of the key at this host without revealing the key. `None` without a
    /// key.
    pub fn account(&self) -> Option<Digest> {
        const CONTEXT: &str = "divisi 2026-11-23 account of a key at a host";
        let key = self.key.as_ref()?.expose();
        let host = reqwest::Url::parse(&self.base_url)
            .ok()?
            .origin()
            .ascii_serialization();
        let fingerprint = blake3::derive_key(CONTEXT, format!("{host}\n{key}").as_bytes());
        Some(blake3::Hash::from_bytes(fingerprint).into())
    }

    /// The host in lower case; empty if the address is invalid.
    pub(crate) fn host(&self) -> String {
        let url = reqwest::Url::parse(&self.base_url).ok();
        url.and_then(|url| url.host_str().map(str::to_lowercase))
            .unwrap_or_default()
    }

    /// Whether the address is only a host, although most servers have their API under `/v1`.
    pub(crate) fn lacks_a_version(&self) -> bool {
        reqwest::Url::parse(&self.base_url).is_ok_and(|url| matches!(url.path(), "" | "/"))
    }

    /// The base address without a user and password.
    pub(crate) fn shown_url(&self) -> String {
        let Ok(mut url) = reqwest::Url::parse(&self.base_url) else {
            return self.redact(&self.base_url);
        };
        // Both fail only for addresses that cannot have a user.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        self.redact(url.as_str().trim_end_matches('/'))
    }

    /// A vendor's text in one line, redacted and cut to a limited length.
    pub(crate) fn quoted(&self, said: &str) -> String {
        // Redacted first, because cutting could leave the beginning of a secret.
        let line = self
            .redact(said)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        match line.char_indices().nth(QUOTE_CHARS_MAX) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    /// Registers its secrets for redaction in the whole process.
    pub(crate) fn make_known(&self) {
        self.key
            .iter()
            .for_each(|key| redact::add_secret(key.expose()));
        self.headers
            .iter()
            .for_each(|(name, value)| redact::add_setting(name, value.expose()));
        redact::add_address(&self.base_url);
    }

    /// Redacts `text`, including secrets of this endpoint that are too short for general redaction.
    fn redact(&self, text: &str) -> String {
        let secrets = self
            .key
            .iter()
            .chain(self.headers.iter().map(|(_, value)| value));
        secrets.fold(redact::redact(text).into_owned(), |text, secret| {
            secret.redact(&text)
        })
    }
}

/// Paths of the APIs that are often copied with the address.
const PATHS: [&str; 5] = [
    "/chat/completions",
    "/completions",
    "/messages/count_tokens",
    "/messages",
    "/responses",
];

/// The base address in a copied one.
fn base_of(copied: &str) -> String {
    let unquoted = trim(copied);
    let (path, query) = unquoted
        .split_once('?')
        .map_or((unquoted, None), |(path, query)| (path, Some(query)));
    let path = path.trim_end_matches('/');
    let base = PATHS
        .iter()
        .find_map(|end| path.strip_suffix(end))
        .unwrap_or(path)
        .trim_end_matches('/');
    match query {
        Some(query) => format!("{base}?{query}"),
        None => base.to_owned(),
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({} at {})", self.name, self.shown_url())
    }
}

/// Why an endpoint is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("provider `{name}` cannot be set up: {what}")]
pub struct EndpointError {
    /// Name of the provider.
    pub name: Arc<str>,
    /// The invalid part.
    pub part: EndpointPart,
    /// The reason, without secrets.
    pub what: String,
}

/// A part of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointPart {
    /// The address.
    Address,
    /// The key, a header, or the system's network setup.
    Other,
}

/// A provider with an invalid endpoint counts as unavailable.
impl From<EndpointError> for ProviderError {
    fn from(error: EndpointError) -> Self {
        Self::new(FailureClass::Unavailable, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_a_key_at_a_host() {
        let account = |url: &str, key: &str| {
            Endpoint::new("x", url)
                .key(Some(Secret::new(key)), "KEY")
                .account()
        };
        let one = account("https://example.com/v1", "k1");
        assert_eq!(one, account("https://example.com:443/other", "k1\n"));
        assert_ne!(one, account("https://example.com/v1", "k2"));
        assert_ne!(one, account("https://example.org/v1", "k1"));
        assert_eq!(Endpoint::new("x", "https://example.com").account(), None);
    }

    #[test]
    fn addresses_are_taken_as_people_copy_them() {
        let base = |copied: &str| Endpoint::new("x", copied).base_url;
        for copied in [
            "https://a.example/v1",
            "https://a.example/v1/",
            "https://a.example/v1//",
            " https://a.example/v1\n",
            "\"https://a.example/v1\"",
            "\u{feff}https://a.example/v1\u{a0}",
            "https://a.example/v1/chat/completions",
            "https://a.example/v1/chat/completions/",
            "https://a.example/v1/messages",
            "https://a.example/v1/messages/count_tokens",
            "https://a.example/v1/responses",
        ] {
            assert_eq!(base(copied), "https://a.example/v1", "{copied}");
        }
        assert_eq!(base("https://a.example"), "https://a.example");
        assert_eq!(
            base("https://a.example/openai/deployments/d/chat/completions?api-version=2024-10-21"),
            "https://a.example/openai/deployments/d?api-version=2024-10-21"
        );
    }

    #[test]
    fn shows_addresses_without_secrets() {
        let mut endpoint = Endpoint::new("x", "https://me:hush@example.com/v1/?token=hush");
        assert_eq!(endpoint.shown_url(), "https://example.com/v1");
        endpoint.base_url = "https://example.com/k1/v1".into();
        endpoint.key = Some(Secret::new("k1"));
        assert_eq!(
            format!("{endpoint:?}"),
            "Endpoint(x at https://example.com/***/v1)"
        );
    }
}
