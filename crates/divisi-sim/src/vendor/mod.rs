//! Who answers: slowly, sometimes not, within limits, and for money.

mod desk;
mod weather;

use crate::chance::Chance;
use crate::scenario::Scenario;
use crate::watch::Known;
use desk::Desk;
use divisi_core::budget::TurnBound;
use divisi_core::governor::{RateLimits, RateSettings};
use divisi_core::retry::Told;
use divisi_core::{FailureClass, Millis, PicoUsd, Timestamp, Usage};
use std::collections::BTreeMap;

/// How long a prefix stays in the cache after its last use.
const CACHE_LIFE: Millis = Millis(300_000);

/// Models that are limited together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Small,
    Large,
    StandIn,
}

impl Family {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Small, Self::Large, Self::StandIn];

    /// That of a model of this name.
    pub(crate) fn of(model: &str) -> Self {
        match model {
            _ if model.starts_with("stand-in") => Self::StandIn,
            "rung-0" | "judge" => Self::Small,
            _ => Self::Large,
        }
    }
}

/// A vendor of models, and what it knows of us. It outlives every process.
#[derive(Clone, Debug)]
pub(crate) struct Vendor {
    chance: Chance,
    desks: BTreeMap<Family, Desk>,
    /// Faults in a hundred requests.
    faults: u64,
    /// Streams that break off, in a hundred.
    drops: u64,
    /// Requests in a hundred that find a model of a ladder out of order.
    outages: u64,
    /// How long a request is on its way, at the least and at the most.
    path: (u64, u64),
    /// Requests until the quota is used up.
    quota: Option<u64>,
    /// How long it then takes until there is some again, where that is told.
    quota_resets_in: Option<Millis>,
    quota_resets_at: Option<Timestamp>,
    /// Requests until the key is refused.
    key: Option<u64>,
    /// Whether it remembers how prompts begin; which ones, and until when.
    caches: bool,
    warm: BTreeMap<(Family, u8), Timestamp>,
    /// What it will ask of us, from the moment a request arrives.
    pub(crate) billed: PicoUsd,
    /// Replies in a hundred for which it claims more than they could cost.
    overcharges: u64,
    claims: Chance,
    /// The part of it for replies that were cut.
    pub(crate) billed_for_cut: PicoUsd,
    pub(crate) requests: u64,
}

/// A request as the vendor sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Whether it is the run's; others pay for theirs.
    pub(crate) ours: bool,
    /// The models that its own is limited with; `None` for what other programs send.
    pub(crate) family: Option<Family>,
    /// What it may cost with the longest reply it wants.
    pub(crate) bound: TurnBound,
    /// Tokens of its prompt.
    pub(crate) input: u64,
    /// What its prompt begins with, where others begin with it, too.
    pub(crate) prefix: Option<u8>,
    /// Longest reply it is given room for.
    pub(crate) room: u32,
    /// How long replies to it mostly are: twice this at the most.
    pub(crate) reply_usual: u32,
}

/// What becomes of a request, and what it says of limits.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    /// When that is known.
    pub(crate) after: Millis,
    pub(crate) reply: Reply,
    pub(crate) limits: RateLimits,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// It is answered, for this much.
    Answer {
        cost: PicoUsd,
        usage: Usage,
        /// Whether there was too little room for all of it.
        cut: bool,
    },
    /// It is refused, and costs nothing.
    Refusal { class: FailureClass, told: Told },
    /// It is answered and billed, but all of it never arrives.
    Lost { class: FailureClass },
}

impl Vendor {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let mut chance = Chance::of(scenario.seed, "vendor");
        let mut desk = |family| (family, Desk::new(&mut chance, scenario));
        let desks = Family::ALL.into_iter().map(&mut desk).collect();
        // Every draw is made in any case, so that what is left out changes nothing else.
        let (faults, drops, quota, resets_in, key) = (
            chance.within(1..25),
            chance.within(1..10),
            chance.within(1..20),
            chance.within(1_000..40_000),
            chance.within(1..60),
        );
        let path = if scenario.uneven_paths {
            (0, 100)
        } else {
            (chance.within(0..26), 0)
        };
        Self {
            desks,
            faults: if scenario.faults { faults } else { 0 },
            drops: if scenario.drops { drops } else { 0 },
            outages: if scenario.outages { 50 } else { 0 },
            path,
            quota: scenario.quota.then_some(quota),
            quota_resets_in: scenario.quota_resets.then_some(Millis(resets_in)),
            quota_resets_at: None,
            key: scenario.refused_keys.then_some(key),
            caches: scenario.caches,
            warm: BTreeMap::new(),
            overcharges: if scenario.overcharges { 5 } else { 0 },
            claims: Chance::of(scenario.seed, "claims"),
            billed: PicoUsd::ZERO,
            billed_for_cut: PicoUsd::ZERO,
            requests: 0,
            chance,
        }
    }

    /// What the user knows of the limits of a family.
    pub(crate) fn settings(&self, family: Family) -> RateSettings {
        self.desks
            .get(&family)
            .map(Desk::settings)
            .unwrap_or_default()
    }

    /// How well a governor can know what it allows that begins now, with the settings.
    pub(crate) fn is_known(&mut self, family: Family, now: Timestamp) -> Known {
        let (_, uneven) = self.path;
        let Some(desk) = self
            .desks
            .get_mut(&family)
            .filter(|desk| desk.has_room_for(Millis(uneven)))
        else {
            return Known::Hardly;
        };
        match (desk.is_known(now), uneven) {
            (false, _) => Known::Hardly,
            (true, 0) => Known::Exactly,
            (true, _) => Known::Mostly,
        }
    }

    /// How long the next request is on its way.
    pub(crate) fn path(&mut self) -> Millis {
        let (least, more) = self.path;
        Millis(least + self.chance.within(0..more + 1))
    }

    /// When there is some quota again, where that has been told.
    pub(crate) fn quota_resets_at(&self) -> Option<Timestamp> {
        self.quota_resets_at
    }

    /// Somebody pays.
    pub(crate) fn refill(&mut self) {
        self.quota = self.quota.map(|_| self.chance.within(1..40));
        self.quota_resets_at = None;
    }

    /// Somebody gets another key.
    pub(crate) fn renew_key(&mut self) {
        self.key = self.key.map(|_| self.chance.within(1..200));
    }

    /// Nothing goes wrong from now on. Limits that are known remain.
    pub(crate) fn calm(&mut self) {
        (self.faults, self.drops, self.outages, self.overcharges) = (0, 0, 0, 0);
        (self.quota, self.key) = (None, None);
        self.desks.values_mut().for_each(Desk::calm);
    }

    /// What it claims for a reply that costs this much, where `most` is all that it
    /// could cost. What is above that is in none of its own books.
    pub(crate) fn claim(&mut self, cost: PicoUsd, most: PicoUsd) -> PicoUsd {
        match self.overcharges > 0 && self.claims.percent(self.overcharges) {
            true => most + PicoUsd(1 + self.claims.within(0..1_000)),
            false => cost,
        }
    }

    /// What becomes of a request that arrives now, and when that is known.
    pub(crate) fn answer(&mut self, now: Timestamp, request: Request) -> Answered {
        self.requests += u64::from(request.ours);
        let quick = Millis(self.chance.within(1..30));
        let (after, reply) = if let Some((class, retry_after)) = self.refuses(now, request) {
            (
                quick,
                Reply::Refusal {
                    class,
                    told: Told {
                        retry_after,
                        should_retry: None,
                    },
                },
            )
        } else if self.chance.percent(self.faults) {
            (quick, self.fault())
        } else {
            let (reply, output) = self.bill(now, request);
            let desk = request
                .family
                .and_then(|family| self.desks.get_mut(&family));
            let took = weather::latency(&mut self.chance, desk.as_ref().map(|desk| desk.pace));
            if let Some(desk) = desk {
                desk.writes(now + took, output);
            }
            if self.chance.percent(self.faults + self.drops) && self.chance.percent(40) {
                // Nobody waits longer than ten seconds for a sign of life.
                let (class, after) = match self.chance.percent(50) {
                    true => (FailureClass::Timeout, Millis(10_000)),
                    false => (FailureClass::Network, Millis(took.0 / 2)),
                };
                (after, Reply::Lost { class })
            } else {
                (took, reply)
            }
        };
        let desk = request
            .family
            .and_then(|family| self.desks.get_mut(&family));
        let limits = desk.map(|desk| desk.tells(now)).unwrap_or_default();
        Answered {
            after,
            reply,
            limits,
        }
    }

    /// Why it does not even look at a request.
    fn refuses(
        &mut self,
        now: Timestamp,
        request: Request,
    ) -> Option<(FailureClass, Option<Millis>)> {
        let family = request.family?;
        if self.key == Some(0) {
            return Some((FailureClass::Auth, None));
        }
        self.key = self.key.map(|left| left - 1);
        if self.quota == Some(0) {
            let known = self
                .quota_resets_in
                .map(|wait| *self.quota_resets_at.get_or_insert(now + wait));
            if known.is_none_or(|at| now < at) {
                return Some((FailureClass::Quota, known.map(|at| at.since(now))));
            }
            self.refill();
        }
        // What is read from the cache does not count.
        let warm = request
            .prefix
            .and_then(|prefix| self.warm.get(&(family, prefix)));
        let counted = if warm.is_some_and(|until| now < *until) {
            request.input / 4
        } else {
            request.input
        };
        let desk = self.desks.get_mut(&family)?;
        if let Err(retry_after) = desk.lets_in(now, counted) {
            return Some((FailureClass::RateLimited, retry_after));
        }
        let stormy = desk.storms(now, &mut self.chance);
        let out_of_order = family != Family::StandIn && self.chance.percent(self.outages);
        (stormy || out_of_order).then_some((FailureClass::Overloaded, None))
    }

    fn fault(&mut self) -> Reply {
        let class = match self.chance.within(0..4) {
            0 => FailureClass::Overloaded,
            1 => FailureClass::Server,
            2 => FailureClass::Network,
            _ => FailureClass::Stalled,
        };
        let retry_after = self
            .chance
            .percent(20)
            .then(|| Millis(self.chance.within(0..5_000)));
        let should_retry = self.chance.percent(20).then(|| self.chance.percent(50));
        Reply::Refusal {
            class,
            told: Told {
                retry_after,
                should_retry,
            },
        }
    }

    /// What it asks for a reply, which has so many tokens.
    fn bill(&mut self, now: Timestamp, request: Request) -> (Reply, u64) {
        let Request {
            bound,
            room,
            reply_usual,
            ..
        } = request;
        self.quota = self.quota.map(|left| left.saturating_sub(1));
        // A few replies are as long as they may be.
        let longest = if self.chance.percent(98) {
            reply_usual.saturating_mul(2)
        } else {
            u32::MAX
        };
        let longest = u64::from(longest.min(bound.reply_tokens_max));
        let wanted = self.chance.within(0..longest + 1);
        let (tokens, cut) = (wanted.min(room.into()), wanted > room.into());
        let read = if self.is_warm(now, request) {
            request.input - request.input / 4
        } else {
            0
        };
        let prompt_most = if read > 0 {
            bound.prompt.0 / 4
        } else {
            bound.prompt.0
        };
        let cost = PicoUsd(self.chance.within(0..prompt_most + 1) + tokens * bound.reply_token.0);
        if request.ours {
            self.billed += cost;
            self.billed_for_cut += if cut { cost } else { PicoUsd::ZERO };
        }
        let usage = Usage {
            input: request.input - read,
            cache_read: read,
            output: tokens,
            ..Usage::default()
        };
        (Reply::Answer { cost, usage, cut }, tokens)
    }

    /// Whether the prompt begins with something it remembers. From now on it does.
    fn is_warm(&mut self, now: Timestamp, request: Request) -> bool {
        let (true, Some(family), Some(prefix)) = (self.caches, request.family, request.prefix)
        else {
            return false;
        };
        let known_until = self.warm.insert((family, prefix), now + CACHE_LIFE);
        known_until.is_some_and(|until| now < until)
    }
}
