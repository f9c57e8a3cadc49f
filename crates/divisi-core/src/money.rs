//! Money in integers.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// An amount in picodollars (10⁻¹² USD).
///
/// The cheapest published price is some nanodollars per token, and discounts divide it further;
/// picodollars represent all of them exactly, and 64 bits reach 18 million dollars. Sums saturate
/// there.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PicoUsd(pub u64);

impl PicoUsd {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// The largest amount; means "without a limit".
    pub const MAX: Self = Self(u64::MAX);
    /// One dollar.
    pub const DOLLAR: Self = Self(1_000_000_000_000);

    /// One cent.
    const CENT: Self = Self(Self::DOLLAR.0 / 100);

    /// Parses dollars as written by hand: `5`, `0.35`, `$12.5`.
    ///
    /// `None` if the text is no amount, is negative, has more than twelve decimals, or exceeds 18
    /// million dollars.
    pub fn parse_dollars(text: &str) -> Option<Self> {
        let text = text.strip_prefix('$').unwrap_or(text);
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty())
            || fraction.len() > 12
            || !digits(whole)
            || !digits(fraction)
        {
            return None;
        }
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        let fraction: u64 = format!("{fraction:0<12}").parse().ok()?;
        whole
            .checked_mul(Self::DOLLAR.0)?
            .checked_add(fraction)
            .map(Self)
    }

    /// Rounds up to a round amount: two digits, whole cents, at least one cent.
    pub fn enough(self) -> Self {
        let mut step = Self::CENT.0;
        while self.0 / step >= 100 {
            step *= 10;
        }
        Self(self.0.div_ceil(step).max(1).saturating_mul(step))
    }

    /// The amount as a flag's value, rounded up to a cent: `0.35`, `12.00`.
    pub fn typed(self) -> String {
        let cents = self.0.div_ceil(Self::CENT.0);
        format!("{}.{:02}", cents / 100, cents % 100)
    }

    /// The difference, at least zero.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for PicoUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for PicoUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for PicoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// In cents from one dollar on, in hundredths of a cent below: `$4.10`, `$0.0312`.
impl fmt::Display for PicoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, decimals) = if self.0 >= Self::DOLLAR.0 {
            (10_000_000_000, 2)
        } else {
            (100_000_000, 4)
        };
        if self.0 > 0 && self.0 < unit {
            return write!(f, "<$0.0001");
        }
        let rounded = (self.0.saturating_add(unit / 2)) / unit;
        let per_dollar = 10u64.pow(decimals);
        write!(
            f,
            "${}.{:0width$}",
            rounded / per_dollar,
            rounded % per_dollar,
            width = decimals as usize
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(
            PicoUsd::parse_dollars("5"),
            Some(PicoUsd(5 * PicoUsd::DOLLAR.0))
        );
        assert_eq!(
            PicoUsd::parse_dollars("$0.35"),
            Some(PicoUsd(350_000_000_000))
        );
        assert_eq!(PicoUsd::parse_dollars(".5"), Some(PicoUsd(500_000_000_000)));
        for wrong in ["", ".", "-1", "1e3", "1.2.3", "five", "99999999999"] {
            assert_eq!(PicoUsd::parse_dollars(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_amount_to_type_is_round_and_no_less() {
        let enough = |dollars| PicoUsd::parse_dollars(dollars).unwrap().enough().typed();
        assert_eq!(
            ["0", "0.001", "0.351", "0.994", "1.02", "12", "12.5", "1234"].map(enough),
            [
                "0.01", "0.01", "0.36", "1.00", "1.10", "12.00", "13.00", "1300.00"
            ]
        );
        assert_eq!(
            PicoUsd::parse_dollars("1.230000000001").unwrap().typed(),
            "1.24"
        );
    }

    #[test]
    fn shows_as_many_digits_as_matter() {
        assert_eq!(PicoUsd::ZERO.to_string(), "$0.0000");
        assert_eq!(PicoUsd(1).to_string(), "<$0.0001");
        assert_eq!(PicoUsd(31_200_000_000).to_string(), "$0.0312");
        assert_eq!(PicoUsd(4_099_999_999_999).to_string(), "$4.10");
    }
}
