//! Rate limits in the headers of replies.

use crate::Millis;

/// Vendors give moments in whole seconds, by a clock in whole seconds: a span between two of them
/// may be wrong by this much.
const RESET_ERROR: Millis = Millis(2_000);

/// No limit takes longer than a month to fill. A larger value is not a span: some vendors give the
/// moment itself, in seconds since 1970.
const SPAN_MAX: Millis = Millis::from_secs(31 * 24 * 3_600);

/// The limits of one reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests.
    pub requests: Window,
    /// Tokens, in and out together.
    pub tokens: Window,
    /// Tokens of prompts; the part read from a cache usually does not count.
    pub input_tokens: Window,
    /// Tokens of replies.
    pub output_tokens: Window,
}

/// One limit and its remainder. Values that the vendor did not send are absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Capacity, usually per minute.
    pub limit: Option<u64>,
    /// What is left of it.
    pub remaining: Option<u64>,
    /// Time until it is full again.
    pub resets_in: Option<Millis>,
}

impl Window {
    /// Gain per minute: the limit, unless it takes longer than a minute to fill, as a limit per day
    /// does. A limit of zero is ignored, because the vendor did answer.
    pub(super) fn per_minute(&self) -> Option<u64> {
        let limit = self.limit.filter(|limit| *limit > 0)?;
        let missing = limit.saturating_sub(self.remaining.unwrap_or(limit));
        let span = self
            .resets_in()
            .map_or(0, |span| span.0.saturating_sub(RESET_ERROR.0));
        if missing == 0 || span == 0 {
            return Some(limit);
        }
        Some((missing.saturating_mul(60_000) / span).clamp(1, limit))
    }

    /// Time until it is full again, if the value is plausible.
    pub(super) fn resets_in(&self) -> Option<Millis> {
        self.resets_in.filter(|span| is_span(*span))
    }
}

/// Whether a vendor's time span is plausible.
pub(super) fn is_span(span: Millis) -> bool {
    span <= SPAN_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_per_day_is_told_by_its_reset() {
        let window = |limit, remaining, secs| Window {
            limit: Some(limit),
            remaining: Some(remaining),
            resets_in: Some(Millis::from_secs(secs)),
        };
        assert_eq!(window(50, 49, 2).per_minute(), Some(50));
        assert_eq!(window(50, 0, 60).per_minute(), Some(50));
        assert_eq!(window(10_000, 9_000, 8_640).per_minute(), Some(6));
        assert_eq!(Window::default().per_minute(), None);
        assert_eq!(window(0, 0, 60).per_minute(), None);
        assert_eq!(
            window(50, 0, 1_741_305_600).per_minute(),
            Some(50),
            "that is the year 2025"
        );
    }
}
