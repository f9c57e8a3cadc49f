//! Texts and values of any size, and the digests that name them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A BLAKE3 hash of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The raw hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first twelve hexadecimal digits: enough for display, too short for identity.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;
    fn try_from(hex: String) -> Result<Self, InvalidDigest> {
        blake3::Hash::from_hex(&hex)
            .map(Self::from)
            .map_err(|_| InvalidDigest(hex))
    }
}

/// A text that is not 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest of 64 hexadecimal digits")]
pub struct InvalidDigest(pub String);

/// A text in an event: short ones inline, long ones by digest.
///
/// A prompt or a result can be megabytes long. Only the digest of such a text is in the journal,
/// which stays small and quick to replay; the store keeps the bytes once, however many events refer
/// to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The text itself.
    Inline(Arc<str>),
    /// The text is in the store under this digest.
    Stored {
        /// Names the bytes.
        digest: Digest,
        /// How many there are.
        bytes: u64,
    },
}

impl Content {
    /// Longest inline text in bytes. The journal is read whole at every resume, and a replay never
    /// reads long texts, so these are stored apart.
    pub const INLINE_BYTES_MAX: usize = 512;

    /// Splits `text` into its event form and, if it is long, the bytes to store before the event is
    /// appended.
    pub fn of(text: Arc<str>) -> (Self, Option<Blob>) {
        if text.len() <= Self::INLINE_BYTES_MAX {
            return (Self::Inline(text), None);
        }
        let digest = Digest::of(text.as_bytes());
        let bytes = text.len() as u64;
        (Self::Stored { digest, bytes }, Some(Blob { digest, text }))
    }
}

/// Bytes on their way to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Names the text.
    pub digest: Digest,
    /// The text.
    pub text: Arc<str>,
}
