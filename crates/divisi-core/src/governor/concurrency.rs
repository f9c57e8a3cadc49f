//! How many requests may be under way at once: more while all goes well, half
//! of it when a vendor has had enough.

/// Most requests under way at once, however many a run may have: more connections
/// than this only cost. Runs keep to fewer of their own accord (64 by default).
pub const IN_FLIGHT_MAX: u32 = 1_024;

/// Fewest, so that somebody finds out when the vendor is well again.
pub const IN_FLIGHT_MIN: u32 = 1;

/// Answers of which the next step is made at the least: fewer say nothing.
const WINDOW_MIN: u32 = 16;

/// One refusal in so many answers is too many. A vendor that refuses one in
/// twenty is noisy, and not full.
const REFUSED_ONE_IN: u32 = 5;

/// What a window without too many refusals adds.
const STEP: u32 = 4;

/// How many requests may be under way at once.
#[derive(Clone, Debug)]
pub(super) struct Concurrency {
    /// More than this are never worth having under way.
    most: u32,
    allowed: u32,
    answered: u32,
    refused: u32,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { most: IN_FLIGHT_MAX, allowed: IN_FLIGHT_MAX, answered: 0, refused: 0 }
    }
}

impl Concurrency {
    pub(super) fn allowed(&self) -> u32 {
        self.allowed.min(self.most)
    }

    pub(super) fn limit(&mut self, most: u32) {
        self.most = most.clamp(IN_FLIGHT_MIN, IN_FLIGHT_MAX);
    }

    /// One of `in_flight` requests has been answered.
    pub(super) fn answered(&mut self, in_flight: u32) {
        self.answered += 1;
        self.step(in_flight);
    }

    /// One of `in_flight` requests has been refused, because they are too many.
    pub(super) fn refused(&mut self, in_flight: u32) {
        (self.answered, self.refused) = (self.answered + 1, self.refused + 1);
        if self.refused * REFUSED_ONE_IN >= self.window(in_flight) {
            let allowed = (self.allowed.min(in_flight) / 2).max(IN_FLIGHT_MIN);
            *self = Self { allowed, answered: 0, refused: 0, ..*self };
        } else {
            self.step(in_flight);
        }
    }

    fn step(&mut self, in_flight: u32) {
        if self.answered >= self.window(in_flight) {
            let allowed = (self.allowed + STEP).min(IN_FLIGHT_MAX);
            *self = Self { allowed, answered: 0, refused: 0, ..*self };
        }
    }

    fn window(&self, in_flight: u32) -> u32 {
        self.allowed.min(in_flight).max(WINDOW_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_halves_and_health_adds() {
        let mut concurrency = Concurrency::default();
        let mut seen = vec![];
        for _ in 0..40 {
            concurrency.refused(concurrency.allowed.min(64));
            seen.push(concurrency.allowed);
        }
        seen.dedup();
        assert_eq!(seen, [1_024, 32, 16, 8, 4, 2, 1]);
        for _ in 0..16 {
            concurrency.answered(1);
        }
        assert_eq!(concurrency.allowed, 1 + STEP);
    }

    #[test]
    fn one_refusal_in_twenty_changes_nothing() {
        let mut concurrency = Concurrency::default();
        for i in 0..1_000 {
            match i % 20 {
                0 => concurrency.refused(64),
                _ => concurrency.answered(64),
            }
            assert_eq!(concurrency.allowed, IN_FLIGHT_MAX);
        }
    }
}
