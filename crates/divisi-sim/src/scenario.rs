//! What a seed brings.

use crate::chance::Chance;

/// What happens in a simulation, besides its flow.
///
/// Each part can be left out without changing the others, which is how a
/// failing seed is made simpler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Makes everything.
    pub seed: u64,
    /// About how many tasks the flow has.
    pub tasks: u32,
    /// How often the process is killed, at most.
    pub kills: u32,
    /// Whether the flow is edited before it is resumed.
    pub edits: bool,
    /// Whether people park and cancel.
    pub people: bool,
    /// Whether requests fail, are limited, or get lost.
    pub faults: bool,
    /// Whether the account's quota is used up at some time.
    pub quota: bool,
    /// Whether there is a cap.
    pub capped: bool,
    /// Whether the run may have only a few tasks.
    pub cramped: bool,
}

impl Scenario {
    /// The scenario of this seed.
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::of(seed, "scenario");
        Self {
            seed,
            // Mostly small: what goes wrong goes wrong with few, and is easier to read.
            tasks: if chance.percent(10) { 100 } else { chance.within(1..20) as u32 },
            kills: chance.within(0..4) as u32,
            edits: chance.percent(40),
            people: chance.percent(30),
            faults: chance.percent(70),
            quota: chance.percent(20),
            capped: chance.percent(50),
            cramped: chance.percent(5),
        }
    }

    /// The same with one thing less.
    pub(crate) fn simpler(self) -> impl Iterator<Item = Self> {
        let candidates = [
            Self { tasks: self.tasks / 2, ..self },
            Self { tasks: self.tasks.saturating_sub(1), ..self },
            Self { kills: 0, ..self },
            Self { kills: self.kills.saturating_sub(1), ..self },
            Self { edits: false, ..self },
            Self { people: false, ..self },
            Self { faults: false, ..self },
            Self { quota: false, ..self },
            Self { capped: false, ..self },
            Self { cramped: false, ..self },
        ];
        candidates.into_iter().filter(move |simpler| *simpler != self && simpler.tasks > 0)
    }
}
