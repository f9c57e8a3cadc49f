//! Simulates one run of a flow: its cost, and its journal.

use super::agents::{Model, attempt, bell};
use super::flows::{Flow, Names, Reads, Step, Width};
use divisi_core::event::GroupKind;
use divisi_core::event::{
    CallSite, Edges, FlowSource, GroupBegan, RunStarted, TaskFacts, TaskSubmitted, Times, Turn,
};
use divisi_core::history::Reader;
use divisi_core::{
    AttemptId, Content, Digest, Event, Failure, FailureClass, History, Key, Limits, Millis,
    Outcome, PicoUsd, Position, Recorded, TaskId, Timestamp, Usage,
};
use fastrand::Rng;
use std::sync::Arc;

/// Share of attempts that fail half-way and are retried.
const FAILS: f64 = 0.03;

/// Share of the tasks with a shared prefix that find it in the cache, although a sibling has only
/// just begun to write it.
const FINDS_PREFIX: f64 = 0.95;

/// Tokens of a judge's verdict.
const VERDICT: u64 = 250;

/// The properties of a flow in one world: factors on its agents' turns and tool results. They are
/// the same in all its runs.
#[derive(Clone, Copy)]
pub(super) struct Habits {
    turns: f64,
    results: f64,
}

impl Habits {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        Self {
            turns: (0.25 * bell(rng)).exp(),
            results: (0.25 * bell(rng)).exp(),
        }
    }
}

/// A simulated run.
pub(super) struct Played {
    /// The bill of the vendor.
    pub(super) cost: PicoUsd,
    /// Its journal.
    pub(super) events: Vec<Recorded>,
}

/// Simulates a run of `flow` with these inputs, which starts at `at`.
pub(super) fn play(flow: &Flow, habits: Habits, (at, inputs): (u64, u64), rng: &mut Rng) -> Played {
    let mut player = Player {
        events: vec![],
        at,
        tasks: 0,
        cost: PicoUsd::ZERO,
        // Two runs of one flow have different work to do.
        run: (0.1 * bell(rng)).exp(),
        habits,
        inputs,
    };
    player.say(started(flow));
    let mut before: Vec<u64> = vec![];
    for (place, step) in flow.steps.iter().enumerate() {
        before = player.step(place, step, &before, rng);
    }
    player.say(Event::FlowEnded { result: Ok(text()) });
    Played {
        cost: player.cost,
        events: player.events,
    }
}

impl Played {
    /// Adds the journal to `history`.
    pub(super) fn teach(&self, history: &mut History) {
        let mut reader = Reader::default();
        for recorded in &self.events {
            reader.read(recorded, history);
        }
    }
}

struct Player {
    events: Vec<Recorded>,
    at: u64,
    tasks: u32,
    cost: PicoUsd,
    run: f64,
    habits: Habits,
    inputs: u64,
}

/// The line number of a step.
pub(super) fn line(place: usize) -> u32 {
    place as u32 * 10 + 5
}

/// The label of an item's task.
pub(super) fn label(step: &Step, item: u32, salt: u64) -> String {
    match step.names {
        Names::One => step.phase.to_owned(),
        Names::Each => format!("{} {item}", step.phase),
        Names::Found => format!("{} of {:x}", step.phase, salt >> 40),
    }
}

/// Tokens of an item's prompt, without results of other tasks.
pub(super) fn prompt(step: &Step, item: u32, inputs: u64) -> u64 {
    let mut rng = Rng::with_seed(inputs ^ u64::from(item) << 32);
    step.prompt.draw(&mut rng).max(step.shared as f64 + 1.0) as u64
}

impl Player {
    fn say(&mut self, event: Event) {
        self.at += 1;
        self.events.push(Recorded {
            position: Position(self.events.len() as u64),
            at: Timestamp(self.at),
            event,
        });
    }

    /// Simulates all tasks of a step; returns the lengths of their answers.
    fn step(&mut self, place: usize, step: &Step, before: &[u64], rng: &mut Rng) -> Vec<u64> {
        let width = match step.width {
            Width::Said(width) => width,
            Width::Found(about) => (about.draw(rng).round() as u32).clamp(1, 60),
        };
        let group = GroupBegan {
            group: place as u32,
            kind: GroupKind::Parallel,
            parent: None,
            width,
            site: Some(site(place)),
        };
        let mut answers = vec![];
        for item in 0..width {
            let read: u64 = match step.reads {
                Reads::Nothing => 0,
                Reads::All => before.iter().sum(),
                Reads::Own => before.get(item as usize).copied().unwrap_or(0),
            };
            let first = (item == 0).then(|| group.clone());
            answers.push(self.task(place, step, item, (first, read), rng));
        }
        answers
    }

    fn task(
        &mut self,
        place: usize,
        step: &Step,
        item: u32,
        (group, read): (Option<GroupBegan>, u64),
        rng: &mut Rng,
    ) -> u64 {
        let task = TaskId(self.tasks);
        self.tasks += 1;
        let models = [Some(step.model), step.above.map(|(model, _)| model)];
        let facts = TaskFacts {
            label: label(step, item, rng.u64(..)).into(),
            phase: Some(step.phase.into()),
            executor: "api".into(),
            kind: Some(step.kind.into()),
            models: models
                .iter()
                .flatten()
                .map(|model| model.id.into())
                .collect(),
            checked: step.above.is_some(),
            ..TaskFacts::default()
        };
        self.say(Event::TaskSubmitted(Box::new(TaskSubmitted {
            task,
            key: Key(Digest::of(&self.at.to_le_bytes())),
            occurrence: 0,
            facts: facts.into(),
            spec: text(),
            edges: Edges {
                group: Some(place as u32),
                site: Some(site(place)),
                groups: group.into_iter().collect(),
                ..Edges::default()
            },
        })));
        let prompt = prompt(step, item, self.inputs ^ place as u64) + read;
        // A hard task is hard on every model.
        let hard = (0.2 * bell(rng)).exp() * self.run;
        let primed = step.shared > 0 && item > 0 && rng.f64() < FINDS_PREFIX;
        let mut number = 0;
        let mut answer = 0;
        for (rung, model) in models.into_iter().flatten().enumerate() {
            loop {
                number += 1;
                let attempt = AttemptId { task, number };
                let fails = rng.f64() < FAILS;
                let ask = (prompt, step.shared, primed);
                answer = self.attempt(step, model, attempt, (ask, hard, fails), rng);
                if !fails {
                    break;
                }
            }
            let attempt = AttemptId { task, number };
            let Some((_, share)) = step.above.filter(|_| rung == 0) else {
                self.say(ended(attempt, None));
                break;
            };
            self.judge(attempt, model, prompt + answer, rng);
            let accepted = rng.f64() < share;
            self.say(ended(attempt, (!accepted).then_some(FailureClass::Check)));
            if accepted {
                break;
            }
        }
        self.say(Event::TaskEnded {
            task,
            outcome: Outcome::Ok { value: text() },
        });
        answer
    }

    /// Simulates one attempt; returns the length of its answer. A failed attempt is ended here.
    fn attempt(
        &mut self,
        step: &Step,
        model: &Model,
        id: AttemptId,
        (ask, hard, fails): ((u64, u64, bool), f64, bool),
        rng: &mut Rng,
    ) -> u64 {
        self.say(Event::AttemptScheduled {
            attempt: id,
            model: Some(model.id.into()),
            reserved: PicoUsd::ZERO,
            reply_tokens: None,
        });
        let mut agent = step.agent;
        agent.turns = agent.turns.times(self.habits.turns * hard);
        agent.result = agent.result.times(self.habits.results);
        let mut turns = attempt(&agent, model, step.has_tools, ask, rng);
        if fails {
            turns.truncate(turns.len().div_ceil(2));
        }
        let answer = turns.last().map_or(0, |turn| turn.output);
        for usage in turns {
            self.at += 4_000;
            self.turn(id, model, usage, false);
        }
        if fails {
            self.say(ended(id, Some(FailureClass::Server)));
        }
        answer
    }

    fn judge(&mut self, attempt: AttemptId, model: &Model, read: u64, rng: &mut Rng) {
        let usage = Usage {
            input: read + 400,
            output: VERDICT + rng.u64(0..100),
            ..Usage::default()
        };
        self.turn(attempt, model, usage, true);
    }

    fn turn(&mut self, attempt: AttemptId, model: &Model, usage: Usage, judges: bool) {
        let cost = model.price().cost(&usage);
        self.cost += cost;
        let turn = Turn {
            request: Digest::of(&self.at.to_le_bytes()),
            reply: text(),
            model: model.id.into(),
            judges,
            usage,
            estimated: false,
            cost,
            took: Millis(4_000),
            times: Times::default(),
        };
        self.say(Event::TurnEnded {
            attempt,
            turn: Box::new(turn),
        });
    }
}

fn started(flow: &Flow) -> Event {
    Event::RunStarted(Box::new(RunStarted {
        format: 1,
        name: flow.name.into(),
        flow: FlowSource {
            path: Some("flow.js".into()),
            source: text(),
            args: None,
            folder: None,
            label: Default::default(),
            options: None,
        },
        limits: Limits::default(),
        caps: Default::default(),
    }))
}

fn ended(attempt: AttemptId, failure: Option<FailureClass>) -> Event {
    let failure = failure.map(|class| Failure::new(class, "no"));
    Event::attempt_ended(attempt, failure, PicoUsd::ZERO, PicoUsd::ZERO)
}

fn site(place: usize) -> CallSite {
    CallSite {
        script: None,
        line: line(place),
        column: 1,
    }
}

fn text() -> Content {
    Content::Inline(Arc::from("\"\""))
}
