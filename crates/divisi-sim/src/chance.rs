//! The source of all randomness.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::ops::Range;

/// A stream of random numbers, the same for the same seed on every machine.
///
/// Each part of a simulation has its own stream, so that removing one part does not change the
/// others.
#[derive(Clone, Debug)]
pub(crate) struct Chance(Pcg64Mcg);

impl Chance {
    /// The stream of this part of the simulation of `seed`.
    pub(crate) fn of(seed: u64, part: &str) -> Self {
        let part = part.bytes().fold(0, |sum: u64, byte| {
            sum.wrapping_mul(257).wrapping_add(byte.into())
        });
        Self(Pcg64Mcg::seed_from_u64(
            seed ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        ))
    }

    /// Any number.
    pub(crate) fn any(&mut self) -> u64 {
        self.0.random()
    }

    /// A number in this range.
    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        self.0.random_range(range)
    }

    /// True with this probability in percent.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.within(0..100) < percent
    }

    /// An index below `count`.
    pub(crate) fn place(&mut self, count: usize) -> usize {
        self.within(0..count as u64) as usize
    }
}
