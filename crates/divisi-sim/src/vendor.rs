//! Who answers: slowly, sometimes not, and for money.

use crate::chance::Chance;
use crate::scenario::Scenario;
use divisi_core::{FailureClass, Millis, PicoUsd, Timestamp};

/// A vendor of models, and what it knows of us. It outlives every process.
#[derive(Clone, Debug)]
pub(crate) struct Vendor {
    chance: Chance,
    /// Faults in a hundred requests.
    faults: u64,
    /// Requests answered per second.
    rate_max: u64,
    second: u64,
    sent_in_second: u64,
    /// Requests until the quota is used up.
    quota: Option<u64>,
    /// What it will ask of us, from the moment a request is sent.
    pub(crate) billed: PicoUsd,
    pub(crate) requests: u64,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// It is answered, for this much.
    Answer { cost: PicoUsd },
    /// It is refused, and costs nothing.
    Refusal { class: FailureClass, retry_after: Option<Millis> },
    /// It is answered and billed, but the answer never arrives.
    Silence,
}

impl Vendor {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let mut chance = Chance::of(scenario.seed, "vendor");
        Self {
            faults: if scenario.faults { chance.within(1..25) } else { 0 },
            rate_max: if scenario.faults { chance.within(2..40) } else { u64::MAX },
            second: 0,
            sent_in_second: 0,
            quota: scenario.quota.then(|| chance.within(1..20)),
            billed: PicoUsd::ZERO,
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
        self.rate_max = u64::MAX;
        self.quota = None;
    }

    /// What becomes of a request that is sent now, and when that is known.
    pub(crate) fn answer(&mut self, now: Timestamp, cost_max: PicoUsd) -> (Millis, Reply) {
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
        if self.chance.percent(self.faults) {
            return self.fault(quick, cost_max);
        }
        // Most are done in a second, some take half a minute.
        let span = if self.chance.percent(5) { 30_000 } else { 1_000 };
        (Millis(self.chance.within(10..span)), Reply::Answer { cost: self.bill(cost_max) })
    }

    fn fault(&mut self, quick: Millis, cost_max: PicoUsd) -> (Millis, Reply) {
        let class = match self.chance.within(0..5) {
            0 => FailureClass::Overloaded,
            1 => FailureClass::Server,
            2 => FailureClass::Network,
            3 => {
                self.bill(cost_max);
                return (Millis(10_000), Reply::Silence);
            }
            _ => FailureClass::Stalled,
        };
        let retry_after = self.chance.percent(20).then(|| Millis(self.chance.within(0..5_000)));
        (quick, Reply::Refusal { class, retry_after })
    }

    fn bill(&mut self, cost_max: PicoUsd) -> PicoUsd {
        self.quota = self.quota.map(|left| left.saturating_sub(1));
        let cost = PicoUsd(self.chance.within(0..cost_max.0 + 1));
        self.billed += cost;
        cost
    }
}
