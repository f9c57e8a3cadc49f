//! How long a token is, where nobody counts.
//!
//! Two lengths, because a guess may be wrong to one side only. What must not be exceeded
//! takes neither: no tokeniser makes more tokens than bytes.

/// Bytes of a token in texts that make many: code, other languages than English, and all
/// texts to the newer tokenisers. For whatever should rather count too many tokens: pacing,
/// where what was not used is given back; whether a prefix is long enough to be cached,
/// where to wait for one that is not costs a moment.
pub const BYTES_OF_DENSE: u64 = 3;

/// Bytes, or characters, of a token in English prose. For whatever should rather count too
/// few tokens, or too many bytes for them: what a server that does not count is taken to
/// have charged, how many bytes a prompt of so many tokens may have.
pub const BYTES_OF_PROSE: u64 = 4;
