//! How many requests may be under way at once: an initial number until the first reply, twice as
//! many for each reply that begins, half of it when the vendor refuses too many, and slowly more
//! again.

use super::PermitId;

/// Most requests under way at once, for any run: beyond it, more requests only add cost.
pub const IN_FLIGHT_MAX: u32 = 1_024;

/// Requests under way before the first reply has begun: enough that most runs are not slowed, few
/// enough for a vendor whose limits are unknown.
const IN_FLIGHT_FIRST: u32 = 64;

/// Fewest requests under way, so that one of them detects the vendor's recovery.
const IN_FLIGHT_MIN: u32 = 1;

/// Fewest answers before the next step: fewer are no evidence.
const WINDOW_MIN: u32 = 16;

/// One refusal in this many answers is too many. A vendor that refuses one in twenty is unreliable
/// rather than full.
const REFUSED_ONE_IN: u32 = 5;

/// Increase after a window without too many refusals, once the number is no longer far below the
/// last one that worked.
const STEP: u32 = 4;

/// How many requests may be under way at once.
#[derive(Clone, Debug)]
pub(super) struct Concurrency {
    /// The user's number, if set.
    wanted: Option<u32>,
    /// Upper limit where the user sets none.
    most: u32,
    allowed: u32,
    /// Whether no request has been refused yet: then each reply that begins doubles the number.
    is_untroubled: bool,
    /// The number under way when it last turned out to be too many. Below half of it, every answer
    /// adds one, which doubles the number in each round.
    too_many: u32,
    /// Whether the number has grown since it was halved.
    has_grown: bool,
    /// The last request sent before the number was halved. Answers to it and to earlier ones no
    /// longer count.
    halved_after: PermitId,
    /// Since the last step: the largest number under way, and the answers and refusals among those
    /// that ended.
    peak: u32,
    answered: u32,
    refused: u32,
}

impl Concurrency {
    /// Starts with the user's number, or with the initial one.
    pub(super) fn new(wanted: Option<u32>) -> Self {
        let wanted = wanted.map(|wanted| wanted.clamp(IN_FLIGHT_MIN, IN_FLIGHT_MAX));
        Self {
            wanted,
            most: IN_FLIGHT_MAX,
            allowed: wanted.unwrap_or(IN_FLIGHT_FIRST),
            is_untroubled: true,
            too_many: IN_FLIGHT_MAX,
            has_grown: true,
            halved_after: PermitId(0),
            peak: 0,
            answered: 0,
            refused: 0,
        }
    }

    pub(super) fn allowed(&self) -> u32 {
        self.allowed.min(self.most())
    }

    /// Whether refusals keep the number below its maximum.
    pub(super) fn is_lowered(&self) -> bool {
        !self.is_untroubled && self.allowed < self.most()
    }

    /// Sets the upper limit by connections, which does not bound the user's number.
    pub(super) fn limit(&mut self, most: u32) {
        self.most = most.clamp(IN_FLIGHT_MIN, IN_FLIGHT_MAX);
    }

    fn most(&self) -> u32 {
        self.wanted.unwrap_or(self.most)
    }

    /// Whether the next reply that begins doubles the number.
    pub(super) fn doubles(&self) -> bool {
        self.is_untroubled && self.allowed < self.most()
    }

    /// A reply has begun, so the vendor has accepted the request.
    pub(super) fn begun(&mut self) {
        if self.doubles() {
            self.allowed = self.allowed.saturating_mul(2).min(IN_FLIGHT_MAX);
        }
    }

    /// One of `in_flight` requests was answered.
    pub(super) fn answered(&mut self, permit: PermitId, in_flight: u32) {
        if self.is_news(permit, in_flight) {
            if self.allowed < self.too_many / 2 {
                (self.allowed, self.has_grown) = (self.allowed + 1, true);
            }
            self.step();
        }
    }

    /// One of `in_flight` requests was refused because there are too many; `last` was sent last.
    pub(super) fn refused(&mut self, permit: PermitId, last: PermitId, in_flight: u32) {
        self.is_untroubled = false;
        if self.is_news(permit, in_flight) {
            self.refused += 1;
            match self.refused * REFUSED_ONE_IN >= self.window() {
                true => self.halve(last),
                false => self.step(),
            }
        }
    }

    fn is_news(&mut self, permit: PermitId, in_flight: u32) -> bool {
        let is_news = permit > self.halved_after;
        if is_news {
            self.peak = self.peak.max(in_flight);
            self.answered += 1;
        }
        is_news
    }

    fn halve(&mut self, last: PermitId) {
        let level = self.allowed.min(self.peak);
        if self.has_grown {
            // Otherwise the same outage continues, which is no evidence about the level.
            self.too_many = level;
        }
        self.allowed = (level / 2).max(IN_FLIGHT_MIN);
        (self.has_grown, self.halved_after) = (false, last);
        self.begin_window();
    }

    fn step(&mut self) {
        if self.answered >= self.window() {
            if self.allowed >= self.too_many / 2 {
                (self.allowed, self.has_grown) = ((self.allowed + STEP).min(IN_FLIGHT_MAX), true);
            }
            self.begin_window();
        }
    }

    fn begin_window(&mut self) {
        (self.peak, self.answered, self.refused) = (0, 0, 0);
    }

    fn window(&self) -> u32 {
        self.allowed.min(self.peak).max(WINDOW_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests that are sent all at once and end together, round by round.
    struct Rounds {
        concurrency: Concurrency,
        left: u64,
    }

    impl Rounds {
        fn new() -> Self {
            Self {
                concurrency: Concurrency::new(None),
                left: 0,
            }
        }

        /// A round of at most `most` requests, of which the vendor accepts `taken`. Returns the
        /// number sent.
        fn round(&mut self, most: u32, taken: u32) -> u32 {
            let leave = self.concurrency.allowed().min(most);
            let first = self.left + 1;
            self.left += u64::from(leave);
            for (place, permit) in (first..=self.left).enumerate() {
                let in_flight = leave - place as u32;
                match (place as u32) < taken {
                    true => self.concurrency.answered(PermitId(permit), in_flight),
                    false => {
                        self.concurrency
                            .refused(PermitId(permit), PermitId(self.left), in_flight);
                    }
                }
            }
            leave
        }
    }

    #[test]
    fn each_reply_that_begins_doubles_it_until_one_request_is_refused() {
        let mut concurrency = Concurrency::new(None);
        let mut begun = || {
            concurrency.begun();
            concurrency.allowed()
        };
        assert_eq!(
            [begun(), begun(), begun(), begun(), begun()],
            [128, 256, 512, 1_024, 1_024]
        );

        let mut concurrency = Concurrency::new(None);
        concurrency.refused(PermitId(1), PermitId(64), 64);
        concurrency.begun();
        assert_eq!(concurrency.allowed(), 64);
    }

    #[test]
    fn what_the_user_wants_is_begun_with_and_not_bounded_by_connections() {
        let mut wanted = Concurrency::new(Some(1_000));
        wanted.limit(250);
        assert_eq!((wanted.allowed(), wanted.doubles()), (1_000, false));
        let mut usual = Concurrency::new(None);
        usual.limit(250);
        (0..9).for_each(|_| usual.begun());
        assert_eq!((usual.allowed(), usual.doubles()), (250, false));
    }

    #[test]
    fn an_outage_halves_once_a_round_and_health_doubles_then_adds() {
        let mut rounds = Rounds::new();
        let outage: Vec<u32> = (0..5).map(|_| rounds.round(64, 0)).collect();
        assert_eq!(outage, [64, 32, 16, 8, 4]);
        let health: Vec<u32> = (0..14).map(|_| rounds.round(64, 64)).collect();
        assert_eq!(
            health,
            [2, 4, 8, 16, 32, 36, 40, 44, 48, 52, 56, 60, 64, 64]
        );
    }

    #[test]
    fn what_is_too_many_for_good_is_found_and_kept_to() {
        let mut rounds = Rounds::new();
        let leave: Vec<u32> = (0..200).map(|_| rounds.round(64, 10)).collect();
        let (refused, sent) = leave
            .iter()
            .skip(20)
            .fold((0, 0), |(refused, sent), leave| {
                (refused + leave.saturating_sub(10), sent + leave)
            });
        assert!(
            refused * 5 < sent && sent > 180 * 6,
            "{refused} of {sent}: {leave:?}"
        );
    }

    #[test]
    fn an_outage_without_end_leaves_one() {
        let mut rounds = Rounds::new();
        let last = (0..40).map(|_| rounds.round(64, 0)).last();
        assert_eq!(last, Some(IN_FLIGHT_MIN));
    }

    #[test]
    fn one_refusal_in_twenty_changes_nothing() {
        let mut concurrency = Concurrency::new(Some(IN_FLIGHT_MAX));
        for i in 1..=1_000 {
            match i % 20 {
                0 => concurrency.refused(PermitId(i), PermitId(i), 64),
                _ => concurrency.answered(PermitId(i), 64),
            }
            assert_eq!(concurrency.allowed, IN_FLIGHT_MAX);
        }
    }
}
