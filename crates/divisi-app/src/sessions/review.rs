//! What the agents of sessions have cost, and what they could have.

use super::{Agent, Program, Session, Table};
use divisi_core::{Millis, PicoUsd, Task, Tier};
use divisi_engine::choose::choose;
use divisi_providers::vendors;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most agents listed whose model was more than they needed.
const DEARER_MAX: usize = 10;

/// Figures of sessions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Review {
    /// Number of sessions.
    pub sessions: usize,
    /// Number of agents, those of the sessions themselves included.
    pub agents: usize,
    /// What all replies cost by the list.
    pub cost: PicoUsd,
    /// What they would have cost if every agent with a single prompt had been on the tier that
    /// suffices for it, wherever that is cheaper: with the same tokens.
    pub sufficient: PicoUsd,
    /// Time that agents waited for one before them whose result their prompt does not contain.
    pub waited: Millis,
    /// Agents whose model was more than they needed, those with the greatest difference first.
    pub dearer: Vec<Dearer>,
    /// Models without a price: their replies are counted at nothing.
    pub unpriced: BTreeSet<String>,
}

/// An agent on a model that is dearer than the one that suffices.
#[derive(Clone, Debug, PartialEq)]
pub struct Dearer {
    /// Its name.
    pub label: String,
    /// The kind of work.
    pub kind: Arc<str>,
    /// Its model.
    pub model: Arc<str>,
    /// The model that suffices.
    pub sufficient: Arc<str>,
    /// What it has cost.
    pub cost: PicoUsd,
    /// What that would have cost.
    pub instead: PicoUsd,
}

impl Review {
    /// Adds a session.
    pub(super) fn add(&mut self, session: &Session, table: &Table<'_>) {
        self.sessions += 1;
        self.agents += session.agents.len();
        self.waited = Millis(self.waited.0.saturating_add(waited(session).0));
        for agent in &session.agents {
            let cost = cost(session.program, agent, table);
            for reply in &agent.replies {
                let model = &reply.reply.model;
                if table.price(session.program, model, reply.at).is_none() {
                    self.unpriced.insert(model.clone());
                }
            }
            let dearer = dearer(session.program, agent, cost, table);
            self.cost += cost;
            self.sufficient += dearer.as_ref().map_or(cost, |dearer| dearer.instead);
            self.dearer.extend(dearer);
        }
        self.dearer
            .sort_by_key(|dearer| std::cmp::Reverse(dearer.cost.saturating_sub(dearer.instead)));
        self.dearer.truncate(DEARER_MAX);
    }
}

fn cost(program: Program, agent: &Agent, table: &Table<'_>) -> PicoUsd {
    let costs = agent.replies.iter().map(|reply| table.cost(program, reply));
    costs.fold(PicoUsd::ZERO, |sum, cost| sum + cost)
}

/// What an agent could have cost, if that is less.
fn dearer(program: Program, agent: &Agent, cost: PicoUsd, table: &Table<'_>) -> Option<Dearer> {
    // A conversation is many tasks, and its first prompt is only one of them.
    if agent.prompts != 1 {
        return None;
    }
    let task = Task {
        agent_type: agent.kind.as_deref().map(Into::into),
        ..Task::new(agent.prompt.as_str())
    };
    let choice = choose(table.kinds, &task, None, program.vendor()).ok()?;
    let sufficient = model_of(program, choice.tier)?;
    let mut instead = PicoUsd::ZERO;
    for reply in &agent.replies {
        let price = table.price(program, &sufficient, reply.at)?;
        let own = table.cost(program, reply);
        instead += price
            .billed(&reply.reply.usage, reply.reply.billing)
            .min(own);
    }
    (instead < cost).then(|| Dearer {
        label: agent.label.clone(),
        kind: choice.kind,
        model: agent.model().unwrap_or_default(),
        sufficient,
        cost,
        instead,
    })
}

/// The vendor's model of a tier.
fn model_of(program: Program, tier: Tier) -> Option<Arc<str>> {
    let vendor = vendors()
        .into_iter()
        .find(|vendor| vendor.name == program.vendor())?;
    vendor.tiers.get(&tier).map(|model| model.as_str().into())
}

/// Time that agents of a session spent one after the other without need: of each chain of agents in
/// which no prompt contains the result of the one before, all but the longest could have run beside
/// it.
fn waited(session: &Session) -> Millis {
    let (waits, reads) = (session.waits(), session.reads());
    let took = |place: usize| {
        let agent = &session.agents[place];
        agent.ended.0.saturating_sub(agent.began.0)
    };
    let mut waited = 0;
    // For each agent at the end of a chain: the time of all its members, and of the longest.
    let mut chains: Vec<(u64, u64)> = (0..session.agents.len())
        .map(|place| (took(place), took(place)))
        .collect();
    for (place, before) in waits.into_iter().enumerate() {
        let Some(before) = before.filter(|_| reads[place].is_empty()) else {
            continue;
        };
        let (all, longest) = chains[before];
        let own = took(place);
        let (now_all, now_longest) = (all + own, longest.max(own));
        waited += (now_all - now_longest) - (all - longest);
        chains[place] = (now_all, now_longest);
    }
    Millis(waited)
}
