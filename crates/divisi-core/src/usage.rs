//! Token counts by the classes that vendors price separately.

use serde::{Deserialize, Serialize};
use std::ops::{Add, AddAssign};

/// Tokens of one or more replies, each counted in exactly one class. Sums saturate, because the
/// numbers come from outside.
///
/// Vendors disagree on whether "input" includes the cached part; readers of replies normalise to
/// this form, in which it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Usage {
    /// Prompt tokens that were neither read from nor written to a cache.
    pub input: u64,
    /// Prompt tokens written to the five-minute cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_5m: u64,
    /// Prompt tokens written to the one-hour cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    /// Prompt tokens read from a cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read: u64,
    /// Output tokens as billed, thinking included.
    pub output: u64,
    /// The part of `output` that was thinking.
    #[serde(skip_serializing_if = "is_zero")]
    pub thinking: u64,
}

impl Usage {
    /// The whole prompt: fresh, written and read.
    pub fn prompt(&self) -> u64 {
        [self.cache_write_5m, self.cache_write_1h, self.cache_read]
            .iter()
            .fold(self.input, |sum, n| sum.saturating_add(*n))
    }

    /// The difference to `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            input: self.input.saturating_sub(earlier.input),
            cache_write_5m: self.cache_write_5m.saturating_sub(earlier.cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_sub(earlier.cache_write_1h),
            cache_read: self.cache_read.saturating_sub(earlier.cache_read),
            output: self.output.saturating_sub(earlier.output),
            thinking: self.thinking.saturating_sub(earlier.thinking),
        }
    }

    /// All tokens, in and out.
    pub fn total(&self) -> u64 {
        self.prompt().saturating_add(self.output)
    }
}

impl Add for Usage {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cache_write_5m: self.cache_write_5m.saturating_add(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            output: self.output.saturating_add(other.output),
            thinking: self.thinking.saturating_add(other.thinking),
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}
