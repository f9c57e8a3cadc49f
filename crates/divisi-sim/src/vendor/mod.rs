//! The vendor: it answers after some time, refuses at limits, fails at times, and bills.

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

/// Models that share limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Small,
    Large,
    StandIn,
}

impl Family {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Small, Self::Large, Self::StandIn];

    /// The family of a model.
    pub(crate) fn of(model: &str) -> Self {
        match model {
            _ if model.starts_with("stand-in") => Self::StandIn,
            "rung-0" | "judge" => Self::Small,
            _ => Self::Large,
        }
    }
}

/// A vendor of models and its state, which outlives every process.
#[derive(Clone, Debug)]
pub(crate) struct Vendor {
    chance: Chance,
    desks: BTreeMap<Family, Desk>,
    /// Faults per hundred requests.
    faults: u64,
    /// Broken streams per hundred requests.
    drops: u64,
    /// Requests per hundred for which a model of a ladder is unavailable.
    outages: u64,
    /// Time of a request in transit: the minimum, and the most that may be added.
    path: (u64, u64),
    /// Requests left until the quota is used up.
    quota: Option<u64>,
    /// How long a refill then takes, if the vendor says so.
    quota_resets_in: Option<Millis>,
    quota_resets_at: Option<Timestamp>,
    /// Requests left until the key is refused.
    key: Option<u64>,
    /// Whether it caches prefixes; which ones, and until when.
    caches: bool,
    warm: BTreeMap<(Family, u8), Timestamp>,
    /// The total it will bill, counted when a request arrives.
    pub(crate) billed: PicoUsd,
    /// Replies per hundred billed above their bound.
    overcharges: u64,
    claims: Chance,
    /// The part of it for replies that were cut.
    pub(crate) billed_for_cut: PicoUsd,
    pub(crate) requests: u64,
}

/// A request as the vendor sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Whether it is from the watched run; other runs pay themselves.
    pub(crate) ours: bool,
    /// The model family; `None` for requests of other programs.
    pub(crate) family: Option<Family>,
    /// The bound of its cost with the longest reply it wants.
    pub(crate) bound: TurnBound,
    /// Tokens of its prompt.
    pub(crate) input: u64,
    /// The shared beginning of its prompt, if there is one.
    pub(crate) prefix: Option<u8>,
    /// Longest permitted reply.
    pub(crate) room: u32,
    /// Usual length of its replies; at most twice this.
    pub(crate) reply_usual: u32,
}

/// The end of a request, and the reported limits.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    /// When the end is known.
    pub(crate) after: Millis,
    pub(crate) reply: Reply,
    pub(crate) limits: RateLimits,
}

/// How a request ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// It is answered, at this cost.
    Answer {
        cost: PicoUsd,
        usage: Usage,
        /// Whether the reply was cut for lack of room.
        cut: bool,
    },
    /// It is refused, and costs nothing.
    Refusal { class: FailureClass, told: Told },
    /// It is answered and billed, but the reply never arrives in full.
    Lost { class: FailureClass },
}

impl Vendor {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let mut chance = Chance::of(scenario.seed, "vendor");
        let mut desk = |family| (family, Desk::new(&mut chance, scenario));
        let desks = Family::ALL.into_iter().map(&mut desk).collect();
        // Every number is drawn in any case, so that removing one thing does not change the others.
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

    /// The configured limits of a family.
    pub(crate) fn settings(&self, family: Family) -> RateSettings {
        self.desks
            .get(&family)
            .map(Desk::settings)
            .unwrap_or_default()
    }

    /// How well a governor with these settings, beginning now, can know what the vendor permits.
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

    /// Time of the next request in transit.
    pub(crate) fn path(&mut self) -> Millis {
        let (least, more) = self.path;
        Millis(least + self.chance.within(0..more + 1))
    }

    /// When the quota is refilled, if the vendor has said so.
    pub(crate) fn quota_resets_at(&self) -> Option<Timestamp> {
        self.quota_resets_at
    }

    /// The user buys quota.
    pub(crate) fn refill(&mut self) {
        self.quota = self.quota.map(|_| self.chance.within(1..40));
        self.quota_resets_at = None;
    }

    /// The user gets another key.
    pub(crate) fn renew_key(&mut self) {
        self.key = self.key.map(|_| self.chance.within(1..200));
    }

    /// Nothing fails from now on. Limits that the user knows remain.
    pub(crate) fn calm(&mut self) {
        (self.faults, self.drops, self.outages, self.overcharges) = (0, 0, 0, 0);
        (self.quota, self.key) = (None, None);
        self.desks.values_mut().for_each(Desk::calm);
    }

    /// The bill for a reply that costs `cost`, where `most` is its bound. The excess over the bound
    /// is not in the vendor's own totals.
    pub(crate) fn claim(&mut self, cost: PicoUsd, most: PicoUsd) -> PicoUsd {
        match self.overcharges > 0 && self.claims.percent(self.overcharges) {
            true => most + PicoUsd(1 + self.claims.within(0..1_000)),
            false => cost,
        }
    }

    /// The end of a request that arrives now, and when it is known.
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
                // Ten seconds are the idle timeout of attempts.
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

    /// Why a request is refused at once.
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
        // Tokens read from the cache do not count.
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

    /// The bill for a reply, and its tokens.
    fn bill(&mut self, now: Timestamp, request: Request) -> (Reply, u64) {
        let Request {
            bound,
            room,
            reply_usual,
            ..
        } = request;
        self.quota = self.quota.map(|left| left.saturating_sub(1));
        // A few replies are as long as permitted.
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

    /// Whether the cache has the prompt's beginning. From now on it does.
    fn is_warm(&mut self, now: Timestamp, request: Request) -> bool {
        let (true, Some(family), Some(prefix)) = (self.caches, request.family, request.prefix)
        else {
            return false;
        };
        let known_until = self.warm.insert((family, prefix), now + CACHE_LIFE);
        known_until.is_some_and(|until| now < until)
    }
}
