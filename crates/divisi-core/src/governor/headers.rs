//! What vendors say about what may be sent next.

use crate::Millis;

/// Vendors write moments in whole seconds, by a clock that they show in whole
/// seconds: a span between two of them may be wrong by this much.
const RESET_ERROR: Millis = Millis(2_000);

/// No limit takes longer than a month to fill. What is longer than this is no
/// span: some write the moment itself, in seconds since 1970.
const SPAN_MAX: Millis = Millis::from_secs(31 * 24 * 3_600);

/// What may be sent next.
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

/// One limit and how much of it is left. What the vendor did not say is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// How much there is in a minute, with few exceptions.
    pub limit: Option<u64>,
    /// How much is left.
    pub remaining: Option<u64>,
    /// How long until it is full again.
    pub resets_in: Option<Millis>,
}

impl Window {
    /// How much it gains in a minute: its limit, unless it takes longer to fill
    /// than that, as a limit per day does. A limit of nothing is none: whoever says
    /// so has answered.
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

    /// How long until it is full again, if that can be meant.
    pub(super) fn resets_in(&self) -> Option<Millis> {
        self.resets_in.filter(|span| is_span(*span))
    }
}

/// Whether a vendor can mean that something takes so long.
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
