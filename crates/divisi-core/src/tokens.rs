//! Bytes per token, for estimates without a tokeniser.
//!
//! Two values, because an estimate may be wrong in one direction only. Strict bounds use neither:
//! no tokeniser gives more tokens than bytes.

/// Bytes per token in dense text: code, languages other than English, and all text for newer
/// tokenisers. Used where too many tokens are the safer error: for pacing, where unused amounts are
/// returned, and for whether a prefix is long enough for the cache, where waiting in vain costs
/// little.
pub const BYTES_OF_DENSE: u64 = 3;

/// Bytes, or characters, per token in English prose. Used where too few tokens, or too many bytes,
/// are the safer error: for the usage of servers that report none, and for the bytes of a prompt
/// with a known number of tokens.
pub const BYTES_OF_PROSE: u64 = 4;
