//! Time in the core: numbers passed in by the caller.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Add;
use std::str::FromStr;
use thiserror::Error;

/// A span of time in whole milliseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// A span of whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000)
    }

    /// A time span given by a user in milliseconds: at least one millisecond, at most a year.
    pub fn asked(millis: u64) -> Result<Self, BadSpan> {
        Self::within(millis.into(), || format!("{millis}ms"))
    }

    fn within(millis: i128, written: impl FnOnce() -> String) -> Result<Self, BadSpan> {
        match u64::try_from(millis) {
            _ if millis < 1 => Err(BadSpan::TooShort(written())),
            Ok(millis @ 1..=YEAR_MILLIS) => Ok(Self(millis)),
            Ok(_) | Err(_) => Err(BadSpan::TooLong(written())),
        }
    }
}

/// Longest time span of a user: a longer one is a mistake in the unit.
const YEAR_MILLIS: u64 = 365 * 24 * 3_600_000;

/// Why a text, or a number of milliseconds, is no span of time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadSpan {
    /// It does not have the form of a time span.
    #[error("`{0}` is no span of time: write it with its unit, like 90s, 10m or 1h30m")]
    Unreadable(String),
    /// It is zero or negative.
    #[error("`{0}` is no span of time: it must be a millisecond or more")]
    TooShort(String),
    /// It exceeds a year.
    #[error("`{0}` is no span of time: it must be a year or less")]
    TooLong(String),
}

/// Parses a time span, in the same form for settings, flags, scripts and plans: `90s`, `1.5m`,
/// `250ms`, `1h30m`.
impl FromStr for Millis {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, BadSpan> {
        // The text may come from outside, and be of any length.
        let written = || match text.floor_char_boundary(SHOWN_BYTES_MAX) {
            end if end < text.len() => format!("{}…", &text[..end]),
            _ => text.to_owned(),
        };
        let span: SignedDuration = text
            .trim()
            .parse()
            .map_err(|_| BadSpan::Unreadable(written()))?;
        Self::within(span.as_millis(), written)
    }
}

/// Most bytes of an invalid text that are shown.
const SHOWN_BYTES_MAX: usize = 60;

/// In the form in which it is parsed: `1h 30m`.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        write!(f, "{:#}", SignedDuration::from_millis(millis))
    }
}

/// A moment: milliseconds since the Unix epoch, or since the start of a simulation.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The span since an earlier moment; zero if `earlier` is in fact later,
    /// because wall clocks can be set back.
    pub fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Millis> for Timestamp {
    type Output = Self;
    fn add(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_have_units() {
        for (text, millis) in [
            ("30s", 30_000),
            ("1.5 m", 90_000),
            ("250ms", 250),
            ("2h", 7_200_000),
            ("1h30m", 5_400_000),
            (" 5 minutes ", 300_000),
        ] {
            assert_eq!(text.parse(), Ok(Millis(millis)), "{text}");
        }
        for wrong in [
            "", "30", "s", "5 days", "-", "-1s", "0s", "9000h", "0.5ms", "1h ago",
        ] {
            assert!(wrong.parse::<Millis>().is_err(), "{wrong}");
        }
        let said = |text: &str| text.parse::<Millis>().unwrap_err().to_string();
        insta::assert_snapshot!(said("10"), @"`10` is no span of time: write it with its unit, like 90s, 10m or 1h30m");
        insta::assert_snapshot!(said("0s"), @"`0s` is no span of time: it must be a millisecond or more");
        assert!(said("2000000000000000h").ends_with("a year or less"));
        insta::assert_snapshot!(said("9000h"), @"`9000h` is no span of time: it must be a year or less");
        assert!(said(&"ä".repeat(1 << 20)).len() < 200);
        assert_eq!(Millis::asked(0), Err(BadSpan::TooShort("0ms".to_owned())));
        assert_eq!(
            Millis::asked(u64::MAX).map_err(|bad| matches!(bad, BadSpan::TooLong(_))),
            Err(true)
        );
    }

    proptest! {
        #[test]
        fn a_span_that_is_written_is_read_again(millis in 1..=YEAR_MILLIS) {
            prop_assert_eq!(Millis(millis).to_string().parse(), Ok(Millis(millis)));
        }
    }
}
