//! Who answers: slowly, sometimes not, and for money.

use crate::chance::Chance;
use crate::scenario::Scenario;
use divisi_core::budget::TurnBound;
use divisi_core::{FailureClass, Millis, PicoUsd, Timestamp};

/// A vendor of models, and what it knows of us. It outlives every process.
#[derive(Clone, Debug)]
pub(crate) struct Vendor {
    chance: Chance,
    /// Faults in a hundred requests.
    faults: u64,
    /// Requests in a hundred that find a model of a ladder out of order.
    outages: u64,
    /// Requests answered per second.
    rate_max: u64,
    second: u64,
    sent_in_second: u64,
    /// Requests until the quota is used up.
    quota: Option<u64>,
    /// What it will ask of us, from the moment a request is sent.
    pub(crate) billed: PicoUsd,
    /// The part of it for replies that were cut.
    pub(crate) billed_for_cut: PicoUsd,
    pub(crate) requests: u64,
}

/// A request as the vendor sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// What it may cost with the longest reply it wants.
    pub(crate) bound: TurnBound,
    /// Longest reply it is given room for.
    pub(crate) room: u32,
    /// How long replies to it mostly are: twice this at the most.
    pub(crate) reply_usual: u32,
    /// Whether it goes to a model that stands in for another.
    pub(crate) stands_in: bool,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// It is answered, for this much.
    Answer {
        cost: PicoUsd,
        /// Whether there was too little room for all of it.
        cut: bool,
    },
    /// It is refused, and costs nothing.
    Refusal { class: FailureClass, retry_after: Option<Millis> },
    /// It is answered and billed, but the answer never arrives.
    Silence,
}

impl Vendor {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let mut chance = Chance::of(scenario.seed, "vendor");
        let rate_max = if scenario.fan_out { chance.within(200..2_000) } else { chance.within(2..40) };
        Self {
            faults: if scenario.faults { chance.within(1..25) } else { 0 },
            outages: if scenario.outages { 50 } else { 0 },
            rate_max: if scenario.faults { rate_max } else { u64::MAX },
            second: 0,
            sent_in_second: 0,
            quota: scenario.quota.then(|| chance.within(1..20)),
            billed: PicoUsd::ZERO,
            billed_for_cut: PicoUsd::ZERO,
            requests: 0,
            chance,
        }
    }

    /// Somebody pays.
    pub(crate) fn refill(&mut self) {
        self.quota = self.quota.map(|_| self.chance.within(1..40));
    }

    /// Nothing goes wrong from now on.
    pub(crate) fn calm(&mut self) {
        self.faults = 0;
        self.outages = 0;
        self.rate_max = u64::MAX;
        self.quota = None;
    }

    /// What becomes of a request that is sent now, and when that is known.
    pub(crate) fn answer(&mut self, now: Timestamp, request: Request) -> (Millis, Reply) {
        self.requests += 1;
        let quick = Millis(self.chance.within(1..30));
        if self.second != now.0 / 1_000 {
            (self.second, self.sent_in_second) = (now.0 / 1_000, 0);
        }
        self.sent_in_second += 1;
        if self.quota == Some(0) {
            return (quick, Reply::Refusal { class: FailureClass::Quota, retry_after: None });
        }
        if self.sent_in_second > self.rate_max {
            let retry_after = Some(Millis(1_000 - now.0 % 1_000));
            return (quick, Reply::Refusal { class: FailureClass::RateLimited, retry_after });
        }
        if !request.stands_in && self.chance.percent(self.outages) {
            return (quick, Reply::Refusal { class: FailureClass::Overloaded, retry_after: None });
        }
        if self.chance.percent(self.faults) {
            return self.fault(quick, request);
        }
        // Most are done in a second, some take half a minute.
        let span = if self.chance.percent(5) { 30_000 } else { 1_000 };
        let (cost, cut) = self.bill(request);
        (Millis(self.chance.within(10..span)), Reply::Answer { cost, cut })
    }

    fn fault(&mut self, quick: Millis, request: Request) -> (Millis, Reply) {
        let class = match self.chance.within(0..5) {
            0 => FailureClass::Overloaded,
            1 => FailureClass::Server,
            2 => FailureClass::Network,
            3 => {
                self.bill(request);
                return (Millis(10_000), Reply::Silence);
            }
            _ => FailureClass::Stalled,
        };
        let retry_after = self.chance.percent(20).then(|| Millis(self.chance.within(0..5_000)));
        (quick, Reply::Refusal { class, retry_after })
    }

    /// What it asks for a reply, and whether that was cut.
    fn bill(&mut self, Request { bound, room, reply_usual, .. }: Request) -> (PicoUsd, bool) {
        self.quota = self.quota.map(|left| left.saturating_sub(1));
        // A few replies are as long as they may be.
        let longest = if self.chance.percent(98) { reply_usual.saturating_mul(2) } else { u32::MAX };
        let longest = u64::from(longest.min(bound.reply_tokens_max));
        let wanted = self.chance.within(0..longest + 1);
        let tokens = wanted.min(room.into());
        let cost = PicoUsd(self.chance.within(0..bound.prompt.0 + 1) + tokens * bound.reply_token.0);
        self.billed += cost;
        if tokens < wanted {
            self.billed_for_cut += cost;
        }
        (cost, tokens < wanted)
    }
}
