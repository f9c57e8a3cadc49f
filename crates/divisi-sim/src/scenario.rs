//! What a seed decides.

use crate::ask::Ask;
use crate::chance::Chance;

/// The circumstances of a simulation, besides its flow.
///
/// Each can be removed without changing the others, so that a failing seed can be simplified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// Approximate number of tasks in the flow.
    pub tasks: u32,
    /// Whether all are requested at once, and cost more than the cap.
    pub fan_out: bool,
    /// Most kills of the process.
    pub kills: u32,
    /// Whether the flow is edited before it is resumed.
    pub edits: bool,
    /// Whether the user parks and cancels.
    pub people: bool,
    /// Whether requests fail or get lost.
    pub faults: bool,
    /// Whether replies break off before their end.
    pub drops: bool,
    /// Whether some replies take much longer than most.
    pub slow: bool,
    /// Whether the vendor is overloaded at times.
    pub storms: bool,
    /// Whether the vendor limits requests and tokens.
    pub limited: bool,
    /// Whether the user has configured these limits.
    pub limits_set: bool,
    /// Whether replies report them.
    pub headers: bool,
    /// Whether the time in transit varies between requests.
    pub uneven_paths: bool,
    /// Whether the vendor caches prefixes of prompts.
    pub caches: bool,
    /// Other runs of the process that use the same vendor.
    pub others: u32,
    /// Whether the models of ladders are often unavailable.
    pub outages: bool,
    /// Whether the account's quota is used up at some time.
    pub quota: bool,
    /// Whether the vendor says when it is refilled.
    pub quota_resets: bool,
    /// Whether the key is refused at some time.
    pub refused_keys: bool,
    /// Whether there is a cap.
    pub capped: bool,
    /// Whether a warning precedes it.
    pub warned: bool,
    /// Whether tasks are in phases, some of which have caps.
    pub phases: bool,
    /// Whether tasks have their own budgets.
    pub own_budgets: bool,
    /// Whether replies may get less room than they want.
    pub short_replies: bool,
    /// Whether tasks have ladders and checks that refuse some results.
    pub ladders: bool,
    /// Whether models have fallbacks.
    pub stand_ins: bool,
    /// Whether the run is limited to a few tasks.
    pub cramped: bool,
    /// Whether slow requests are hedged.
    pub hedges: bool,
    /// Whether a process waits for quota, and resumes by itself.
    pub waits: bool,
    /// Whether the vendor sometimes bills more than the bound of a request.
    pub overcharges: bool,
    /// Whether the flow has timers.
    pub timers: bool,
}

impl Scenario {
    /// The scenario of this seed.
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::of(seed, "scenario");
        Self {
            seed,
            // Mostly small: few tasks suffice for most errors, and are easier to read.
            tasks: if chance.percent(10) {
                100
            } else {
                chance.within(1..20) as u32
            },
            fan_out: false,
            kills: chance.within(0..4) as u32,
            edits: chance.percent(40),
            people: chance.percent(30),
            faults: chance.percent(60),
            drops: chance.percent(30),
            slow: chance.percent(50),
            storms: chance.percent(15),
            limited: chance.percent(60),
            limits_set: chance.percent(60),
            headers: chance.percent(60),
            uneven_paths: chance.percent(30),
            caches: chance.percent(40),
            others: if chance.percent(30) {
                chance.within(1..4) as u32
            } else {
                0
            },
            outages: chance.percent(15),
            quota: chance.percent(20),
            quota_resets: chance.percent(50),
            refused_keys: chance.percent(8),
            capped: chance.percent(60),
            warned: chance.percent(50),
            phases: chance.percent(40),
            own_budgets: chance.percent(30),
            short_replies: chance.percent(60),
            ladders: chance.percent(40),
            stand_ins: chance.percent(40),
            cramped: chance.percent(5),
            hedges: chance.percent(40),
            waits: chance.percent(50),
            overcharges: chance.percent(10),
            timers: chance.percent(40),
        }
    }

    /// A fan-out of `tasks` tasks at once under a cap that they exceed, with everything else of
    /// this seed that costs money.
    pub fn fan_out(seed: u64, tasks: u32) -> Self {
        let all = Self::of(seed);
        Self {
            tasks,
            fan_out: true,
            edits: false,
            people: false,
            storms: false,
            outages: false,
            quota: false,
            refused_keys: false,
            others: 0,
            capped: true,
            phases: false,
            own_budgets: false,
            short_replies: true,
            ladders: false,
            stand_ins: false,
            cramped: false,
            overcharges: false,
            timers: false,
            ..all
        }
    }

    /// The scenarios with one thing less.
    pub(crate) fn simpler(self) -> impl Iterator<Item = Self> {
        let candidates = [
            Self {
                tasks: self.tasks / 2,
                ..self
            },
            Self {
                tasks: self.tasks.saturating_sub(1),
                ..self
            },
            Self { kills: 0, ..self },
            Self {
                kills: self.kills.saturating_sub(1),
                ..self
            },
            Self {
                edits: false,
                ..self
            },
            Self {
                people: false,
                ..self
            },
            Self { others: 0, ..self },
            Self {
                others: self.others.saturating_sub(1),
                ..self
            },
            Self {
                faults: false,
                ..self
            },
            Self {
                drops: false,
                ..self
            },
            Self {
                slow: false,
                ..self
            },
            Self {
                storms: false,
                ..self
            },
            Self {
                limited: false,
                ..self
            },
            Self {
                limits_set: false,
                ..self
            },
            Self {
                headers: false,
                ..self
            },
            Self {
                uneven_paths: false,
                ..self
            },
            Self {
                caches: false,
                ..self
            },
            Self {
                outages: false,
                ..self
            },
            Self {
                quota: false,
                ..self
            },
            Self {
                quota_resets: false,
                ..self
            },
            Self {
                refused_keys: false,
                ..self
            },
            // Without a cap a fan-out shows nothing.
            Self {
                capped: self.fan_out,
                ..self
            },
            Self {
                warned: false,
                ..self
            },
            Self {
                phases: false,
                ..self
            },
            Self {
                own_budgets: false,
                ..self
            },
            Self {
                short_replies: false,
                ..self
            },
            Self {
                ladders: false,
                ..self
            },
            Self {
                stand_ins: false,
                ..self
            },
            Self {
                cramped: false,
                ..self
            },
            Self {
                hedges: false,
                ..self
            },
            Self {
                waits: false,
                ..self
            },
            Self {
                overcharges: false,
                ..self
            },
            Self {
                timers: false,
                ..self
            },
        ];
        candidates
            .into_iter()
            .filter(move |simpler| *simpler != self && simpler.tasks > 0)
    }

    /// Removes from a task what this scenario leaves out.
    pub(crate) fn strip(&self, ask: &mut Ask) {
        if !self.phases {
            ask.phase = None;
        }
        if !self.own_budgets {
            ask.own = None;
        }
        if !self.short_replies {
            (ask.first, ask.judge) = (ask.first.whole(), ask.judge.whole());
        }
        if !self.ladders {
            (ask.rungs, ask.refused, ask.judged) = (1, 0, false);
        }
        if !self.stand_ins {
            ask.stand_ins = 0;
        }
    }
}
