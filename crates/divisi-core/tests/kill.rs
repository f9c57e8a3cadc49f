//! A run can be killed at every event: it goes on, ends in the same outcomes,
//! and asks for no reply that was recorded.

use divisi_core::budget::TurnBound;
use divisi_core::event::{Caps, FlowSource, RunLabel, TaskFacts, Times, Turn};
use divisi_core::run::{AttemptEnd, Stage, Submission, TaskStage};
use divisi_core::{
    AttemptId, Content, Digest, Event, Failure, FailureClass, Input, Key, Limits, Millis, Outcome,
    PicoUsd, Run, TaskId, Timestamp, Usage,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// One task of the flow.
#[derive(Clone, Debug)]
struct Job {
    /// Earlier jobs whose outcomes are part of its prompt.
    needs: Vec<usize>,
    turns: usize,
    /// How often its last turn fails before it succeeds.
    flaky: u32,
    declined: bool,
}

fn jobs() -> impl Strategy<Value = Vec<Job>> {
    let job = (
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        1..4usize,
        0..3u32,
        prop::bool::weighted(0.2),
    );
    prop::collection::vec(job, 1..6).prop_map(|jobs| {
        let job = |(at, (needs, turns, flaky, declined)): (
            usize,
            (Vec<prop::sample::Index>, _, _, _),
        )| Job {
            needs: if at == 0 {
                vec![]
            } else {
                needs.iter().map(|need| need.index(at)).collect()
            },
            turns,
            flaky,
            declined,
        };
        jobs.into_iter().enumerate().map(job).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_run_can_be_killed_at_every_event(jobs in jobs(), chance in any::<u64>()) {
        let mut undisturbed = World::new(&jobs, chance);
        undisturbed.begin();
        undisturbed.drive(usize::MAX);
        for cut in 1..undisturbed.journal.len() {
            let mut world = World::new(&jobs, chance);
            world.begin();
            world.drive(cut);
            world.kill();
            world.drive(usize::MAX);
            prop_assert_eq!(world.outcomes(), undisturbed.outcomes(), "killed after {} events", cut);
        }
    }
}

/// The flow, its driver, the store and the vendor.
struct World<'a> {
    jobs: &'a [Job],
    run: Run,
    now: Timestamp,
    journal: Vec<(Timestamp, Event)>,
    inbox: Vec<Input>,
    /// The flow's requests, and the outcomes given to it.
    asked: BTreeMap<Key, usize>,
    told: BTreeMap<usize, String>,
    outcomes: BTreeMap<u32, TaskId>,
    /// Requests in flight: attempt and turn.
    out: Vec<(AttemptId, usize)>,
    /// Replies in the journal.
    recorded: BTreeSet<(TaskId, Digest)>,
    failures: BTreeMap<Key, u32>,
    chance: u64,
}

impl<'a> World<'a> {
    fn new(jobs: &'a [Job], chance: u64) -> Self {
        Self {
            jobs,
            run: Run::new(),
            now: Timestamp(0),
            journal: vec![],
            inbox: vec![],
            asked: BTreeMap::new(),
            told: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            out: vec![],
            recorded: BTreeSet::new(),
            failures: BTreeMap::new(),
            chance,
        }
    }

    fn begin(&mut self) {
        let limits = Limits {
            in_flight_max: 3,
            ..Limits::default()
        };
        self.inbox = vec![Input::Start {
            name: "jobs".into(),
            flow: flow(),
            limits,
            caps: Caps::default(),
        }];
    }

    /// Only the journal is left.
    fn kill(&mut self) {
        let mut run = Run::new();
        for (at, event) in &self.journal {
            run.apply(*at, event).expect("a journal can be replayed");
        }
        self.run = run;
        self.out.clear();
        self.asked.clear();
        self.told.clear();
        self.outcomes.clear();
        let limits = self.run.limits().clone();
        self.inbox = vec![Input::Resume {
            flow: flow(),
            limits,
            caps: Caps::default(),
            reopen_failed: false,
            reopen: vec![],
        }];
    }

    /// Drives until the end, or until as many events are durable.
    fn drive(&mut self, events_max: usize) {
        while !matches!(self.run.stage(), Stage::Ended(_)) {
            let before = self.journal.len();
            for input in std::mem::take(&mut self.inbox) {
                self.decide(input);
            }
            while self.decide(Input::Tick) {}
            self.journal.truncate(events_max);
            for (_, event) in &self.journal[before..] {
                if let Event::TurnEnded { attempt, turn } = event {
                    self.recorded.insert((attempt.task, turn.request));
                }
            }
            if self.journal.len() == events_max {
                return;
            }
            for at in before..self.journal.len() {
                let event = self.journal[at].1.clone();
                self.react(&event);
            }
            self.flow_goes_on();
            if self.inbox.is_empty() && !matches!(self.run.stage(), Stage::Ended(_)) {
                self.something_arrives();
            }
        }
    }

    fn decide(&mut self, input: Input) -> bool {
        let events = self.run.decide(self.now, input);
        for event in &events {
            self.run
                .apply(self.now, event)
                .expect("what was decided can follow");
            self.journal.push((self.now, event.clone()));
        }
        !events.is_empty()
    }

    fn react(&mut self, event: &Event) {
        match event {
            Event::AttemptScheduled { attempt, .. } => match self.kept(*attempt) {
                0 => self.send(*attempt),
                kept if kept == self.job(*attempt).turns => self.answer(*attempt, None),
                _ => self.inbox.push(wanted(*attempt)),
            },
            Event::TurnScheduled { attempt, .. } => self.send(*attempt),
            Event::TaskEnded { task, .. } | Event::TaskClaimed { task, .. } => {
                let task_state = self.run.task(*task).expect("a task");
                if let TaskStage::Ended { order, .. } = task_state.stage() {
                    self.outcomes.insert(*order, *task);
                }
            }
            _ => {}
        }
    }

    fn kept(&self, attempt: AttemptId) -> usize {
        self.run
            .task(attempt.task)
            .expect("a task")
            .kept_turns()
            .len()
    }

    fn send(&mut self, attempt: AttemptId) {
        let turn = self.kept(attempt);
        let asked_before = self.recorded.contains(&(attempt.task, request(turn)));
        assert!(!asked_before, "turn {turn} of {attempt} is asked for again");
        self.out.push((attempt, turn));
    }

    /// A reply to any of the requests, or else the end of a rest.
    fn something_arrives(&mut self) {
        if self.out.is_empty() {
            self.now = self
                .run
                .wake_at()
                .expect("nothing is out, so something rests");
            return self.inbox.push(Input::Tick);
        }
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (attempt, number) = self
            .out
            .swap_remove((self.chance >> 33) as usize % self.out.len());
        let last_turn = Box::new(turn(number));
        if number + 1 < self.job(attempt).turns {
            self.inbox.push(Input::TurnEnded {
                attempt,
                turn: last_turn,
            });
            self.inbox.push(wanted(attempt));
        } else if self.fails_once_more(attempt) {
            let failure = Failure::new(FailureClass::Overloaded, "come back later");
            self.inbox.push(ended(attempt, Err(failure), None));
        } else {
            self.answer(attempt, Some(last_turn));
        }
    }

    /// The attempt ends by what its last reply says.
    fn answer(&mut self, attempt: AttemptId, last_turn: Option<Box<Turn>>) {
        let result = match self.job(attempt).declined {
            true => Err(Failure::new(FailureClass::Declined, "no")),
            false => Ok(text(&format!("result of {}", self.key(attempt)))),
        };
        self.inbox.push(ended(attempt, result, last_turn));
    }

    fn fails_once_more(&mut self, attempt: AttemptId) -> bool {
        let flaky = self.job(attempt).flaky;
        let failures = self.failures.entry(self.key(attempt)).or_default();
        *failures += 1;
        *failures <= flaky
    }

    fn job(&self, attempt: AttemptId) -> &'a Job {
        &self.jobs[self.asked[&self.key(attempt)]]
    }

    fn key(&self, attempt: AttemptId) -> Key {
        self.run.task(attempt.task).expect("a task").key()
    }

    /// The flow requests every task that it can, and gets one outcome at a time.
    fn flow_goes_on(&mut self) {
        if matches!(self.run.stage(), Stage::Ended(_)) {
            return;
        }
        loop {
            for (at, job) in self.jobs.iter().enumerate() {
                let known = self.asked.values().any(|asked| *asked == at);
                let inputs: Option<Vec<_>> =
                    job.needs.iter().map(|need| self.told.get(need)).collect();
                if let (false, Some(inputs)) = (known, inputs) {
                    let key = Key(Digest::of(format!("{at} {inputs:?}").as_bytes()));
                    self.asked.insert(key, at);
                    let first_turns = vec![TurnBound::fixed(PicoUsd(10))];
                    let facts = TaskFacts {
                        first_turns,
                        ..TaskFacts::default()
                    };
                    let submission = Submission::new(key, facts, text("{}"), None);
                    self.inbox.push(Input::Submit(Box::new(submission)));
                }
            }
            if !self.inbox.is_empty() {
                return;
            }
            let Some((_, id)) = self.outcomes.pop_first() else {
                break;
            };
            let task = self.run.task(id).expect("a task");
            self.told
                .insert(self.asked[&task.key()], format!("{:?}", task.outcome()));
        }
        if self.told.len() == self.jobs.len() {
            self.inbox.push(Input::FlowEnded(Ok(text("null"))));
        } else if *self.run.stage() == Stage::Replaying {
            self.inbox.push(Input::CaughtUp);
        }
    }

    fn outcomes(&self) -> BTreeMap<Key, Outcome> {
        self.run
            .tasks()
            .filter_map(|(_, task)| Some((task.key(), task.outcome()?.clone())))
            .collect()
    }
}

fn wanted(attempt: AttemptId) -> Input {
    Input::TurnWanted {
        attempt,
        tool_results: Some(text("done")),
        bound: TurnBound::fixed(PicoUsd(10)),
        tools: vec![],
    }
}

fn ended(
    attempt: AttemptId,
    result: Result<Content, Failure>,
    last_turn: Option<Box<Turn>>,
) -> Input {
    let (usage, cost) = (Usage::default(), PicoUsd::ZERO);
    let end = AttemptEnd {
        last_turn,
        usage,
        cost,
        ..AttemptEnd::of(result)
    };
    Input::AttemptEnded {
        attempt,
        end: Box::new(end),
    }
}

fn turn(number: usize) -> Turn {
    Turn {
        request: request(number),
        reply: text("reply"),
        model: "haiku".into(),
        usage: Usage::default(),
        cost: PicoUsd(5),
        judges: false,
        estimated: false,
        took: Millis(1),
        times: Times::default(),
    }
}

fn request(number: usize) -> Digest {
    Digest::of(&number.to_le_bytes())
}

fn flow() -> FlowSource {
    FlowSource {
        label: RunLabel::default(),
        path: None,
        source: text("// jobs"),
        args: None,
        folder: None,
        options: None,
    }
}

fn text(text: &str) -> Content {
    Content::Inline(text.into())
}
