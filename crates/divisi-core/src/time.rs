//! Time as the core knows it: numbers it is told.

use serde::{Deserialize, Serialize};
use std::ops::Add;

/// A span of time in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// A span of whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000)
    }

    /// Reads a span as scripts and plans write it: `90s`, `1.5m`, `250ms`, `2h`.
    ///
    /// `None` when the text is no span, is shorter than a millisecond, or longer
    /// than a year, which is a mistake in the unit.
    pub fn parse(text: &str) -> Option<Self> {
        const YEAR_MILLIS: f64 = 365.0 * 24.0 * 3_600_000.0;
        let text = text.trim();
        let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
        let unit_millis = match unit.to_ascii_lowercase().as_str() {
            "ms" => 1.0,
            "s" | "sec" => 1_000.0,
            "m" | "min" => 60_000.0,
            "h" => 3_600_000.0,
            _ => return None,
        };
        let millis = number.trim().parse::<f64>().ok()? * unit_millis;
        (1.0..=YEAR_MILLIS).contains(&millis).then_some(Self(millis as u64))
    }
}

/// A moment: milliseconds since the Unix epoch, or since the start of a simulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

    #[test]
    fn spans_have_units() {
        for (text, millis) in [("30s", 30_000), ("1.5 m", 90_000), ("250ms", 250), ("2h", 7_200_000)] {
            assert_eq!(Millis::parse(text), Some(Millis(millis)), "{text}");
        }
        for wrong in ["", "30", "s", "5 days", "-", "-1s", "0s", "9000h"] {
            assert_eq!(Millis::parse(wrong), None, "{wrong}");
        }
    }
}
