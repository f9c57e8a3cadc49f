//! How many requests may be under way at once: some until a vendor has answered, twice
//! as many for each reply that begins, half of it when the vendor has had enough, and
//! slowly more again.

use super::PermitId;

/// Most requests under way at once, however many a run may have: more of them only cost.
pub const IN_FLIGHT_MAX: u32 = 1_024;

/// Requests under way before the first reply has begun: enough not to wait for it with
/// most runs, few enough not to offend a vendor of whose limits nothing is known yet.
const IN_FLIGHT_FIRST: u32 = 64;

/// Fewest, so that somebody finds out when the vendor is well again.
const IN_FLIGHT_MIN: u32 = 1;

/// Answers of which the next step is made at the least: fewer say nothing.
const WINDOW_MIN: u32 = 16;

/// One refusal in so many answers is too many. A vendor that refuses one in
/// twenty is noisy, and not full.
const REFUSED_ONE_IN: u32 = 5;

/// What a window without too many refusals adds, once it is no longer far below
/// what went well.
const STEP: u32 = 4;

/// How many requests may be under way at once.
#[derive(Clone, Debug)]
pub(super) struct Concurrency {
    /// As many as the user wants, where that has been said.
    wanted: Option<u32>,
    /// More than this are never worth having under way.
    most: u32,
    allowed: u32,
    /// Whether no request has been refused yet: then each reply that begins doubles it.
    is_untroubled: bool,
    /// How many were under way when that turned out to be too many. Up to half of
    /// it, every answer adds one, which doubles it in each round.
    too_many: u32,
    /// Whether it has become more since it was halved.
    has_grown: bool,
    /// The last to leave before it was halved. What those before it met with has
    /// been heard.
    halved_after: PermitId,
    /// Since the last step: how many were under way at the most, and what became
    /// of those that came back.
    peak: u32,
    answered: u32,
    refused: u32,
}

impl Concurrency {
    /// As many as the user wants; where nothing is said, as many as turn out to be right.
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

    /// Whether it is fewer than it could be, because some were refused.
    pub(super) fn is_lowered(&self) -> bool {
        !self.is_untroubled && self.allowed < self.most()
    }

    /// What connections are worth having does not bound what the user wants.
    pub(super) fn limit(&mut self, most: u32) {
        self.most = most.clamp(IN_FLIGHT_MIN, IN_FLIGHT_MAX);
    }

    fn most(&self) -> u32 {
        self.wanted.unwrap_or(self.most)
    }

    /// Whether the next reply that begins makes it more.
    pub(super) fn doubles(&self) -> bool {
        self.is_untroubled && self.allowed < self.most()
    }

    /// A reply has begun: the vendor has taken the request.
    pub(super) fn begun(&mut self) {
        if self.doubles() {
            self.allowed = self.allowed.saturating_mul(2).min(IN_FLIGHT_MAX);
        }
    }

    /// One of `in_flight` requests has been answered.
    pub(super) fn answered(&mut self, permit: PermitId, in_flight: u32) {
        if self.is_news(permit, in_flight) {
            if self.allowed < self.too_many / 2 {
                (self.allowed, self.has_grown) = (self.allowed + 1, true);
            }
            self.step();
        }
    }

    /// One of `in_flight` requests has been refused, because they are too many;
    /// `last` was the last to leave.
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
            // Otherwise it is still the same outage, and shows nothing.
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

    /// Requests that leave all at once and come back together, round by round.
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

        /// A round of `most` or as many as may leave, of which the vendor takes
        /// `taken`. How many left.
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
