//! One process that drives the run, until it stops or is killed.
//!
//! It does what the engine's driver does: takes what has queued up, decides
//! and applies input by input, ticks until nothing follows, appends all of it
//! at once, and only then lets anything happen.

mod agenda;
mod attempt;
mod gate;
mod others;

use crate::ask::{Ask, Fate};
use crate::chance::Chance;
use crate::flow::Flow;
use crate::script::{Said, Script, value_of};
use crate::story::line;
use crate::vendor::Family;
use crate::watch::{Watch, ensure};
use crate::world::World;
use agenda::Happening;
use attempt::Carried;
use divisi_core::attempt::Input as Step;
use divisi_core::event::Recorded;
use divisi_core::governor::PrefixCache;
use divisi_core::retry::QuotaWait;
use divisi_core::run::{Stage, Submission, TaskStage};
use divisi_core::{
    AttemptId, Content, Event, Failure, FailureClass, Input, Outcome, Position, Run, TaskId, Timestamp,
};
use gate::Gate;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Ticks after which a decision is said never to come to an end.
const TICKS_MAX: usize = 1_000;
/// Batches after which a process is said never to come to an end.
const BATCHES_MAX: u64 = 200_000;

/// When a process is killed, by its number of appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    /// Before the append: what was decided is lost.
    Before(u64),
    /// After it: nobody has acted on it.
    After(u64),
    /// When half of what follows has begun.
    Amid(u64),
    Never,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The run is parked or over.
    Stopped,
    Killed,
}

/// One process.
pub(crate) struct Process<'w, 'f> {
    world: &'w mut World,
    run: Run,
    watch: Watch,
    script: Script<'f>,
    inbox: VecDeque<Message<'f>>,
    gates: BTreeMap<Family, Gate>,
    /// What is known of the prefixes in the vendor's cache.
    prefixes: BTreeMap<Family, PrefixCache>,
    /// The attempts under way, and when they want to look at their clocks.
    carried: BTreeMap<AttemptId, Carried<'f>>,
    alarms: BTreeSet<(Timestamp, AttemptId)>,
    /// Whether the run parks, and has not woken since.
    is_parking: bool,
    /// What attempts are told once all that follows from a batch has begun.
    steps: Vec<(AttemptId, Step)>,
    /// What attempts wanted and the run does not let them.
    denied: Vec<(AttemptId, Step)>,
    /// How long an answer may take.
    patience: Chance,
    /// Whether it stays while there is no quota.
    waits: bool,
    /// How many requests each of the other runs sends yet.
    others: BTreeMap<u32, u32>,
    calls: BTreeMap<TaskId, usize>,
    asks: BTreeMap<TaskId, &'f Ask>,
    /// Outcomes on their way to the script, in order.
    answers: BTreeMap<u32, TaskId>,
    /// What will happen, in order.
    agenda: BTreeMap<(Timestamp, u64), Happening>,
    planned: u64,
    chance: Chance,
    kill: Kill,
    appends: u64,
}

#[expect(clippy::large_enum_variant, reason = "few are queued, and most are the large one")]
enum Message<'f> {
    Input(Input),
    Call { call: usize, ask: &'f Ask, prompt: String },
}

impl<'w, 'f> Process<'w, 'f> {
    /// A process that executes `flow` from its start, on top of what is durable.
    pub(crate) fn new(world: &'w mut World, run: Run, watch: Watch, flow: &'f Flow, kill: Kill) -> Self {
        let chance = Chance::of(world.scenario.seed, &format!("process {}", world.tally.executions));
        let now = world.now;
        let gates = Family::ALL.map(|family| (family, Gate::new(&mut world.vendor, family, now)));
        Self {
            run,
            watch,
            script: Script::start(flow),
            inbox: VecDeque::new(),
            gates: gates.into_iter().collect(),
            prefixes: Family::ALL.map(|family| (family, PrefixCache::default())).into_iter().collect(),
            carried: BTreeMap::new(),
            alarms: BTreeSet::new(),
            is_parking: false,
            steps: vec![],
            denied: vec![],
            patience: Chance::of(world.scenario.seed, &format!("patience {}", world.tally.executions)),
            waits: world.scenario.waits,
            others: BTreeMap::new(),
            calls: BTreeMap::new(),
            asks: BTreeMap::new(),
            answers: BTreeMap::new(),
            agenda: BTreeMap::new(),
            planned: 0,
            chance,
            kill,
            appends: 0,
            world,
        }
    }

    /// Drives until the run is parked or over, or the process is killed.
    pub(crate) fn drive(mut self, first: Input) -> Result<(End, Run), String> {
        self.inbox.push_back(Message::Input(first));
        self.others_begin();
        let end = self.go_on()?;
        self.all_arrive()?;
        Ok((end, self.run))
    }

    fn go_on(&mut self) -> Result<End, String> {
        for batches in 0..BATCHES_MAX {
            let batch = self.decide_batch()?;
            if self.commit(batch)? == End::Killed {
                return Ok(End::Killed);
            }
            let waits = self.waits && self.run.waits_until().is_some();
            if !waits && matches!(self.run.stage(), Stage::Parked(_) | Stage::Ended(_)) {
                ensure!(self.run.in_flight() == 0, "it stops with attempts in flight");
                return Ok(End::Stopped);
            }
            // What looks at every task is done less often where there are many.
            if batches % (1 + u64::from(self.run.counts().total()) / 100) == 0 {
                self.watch.at_rest(&self.run, self.world.now)?;
            }
            self.watch_gates()?;
            self.script_goes_on();
            if self.inbox.is_empty() {
                self.time_passes()?;
            }
        }
        Err("it never comes to an end".into())
    }

    /// Decides and applies some of what has queued up.
    fn decide_batch(&mut self) -> Result<Vec<Recorded>, String> {
        let mut batch = vec![];
        let most = if self.chance.percent(50) { self.inbox.len() as u64 } else { self.chance.within(0..4) };
        for _ in 0..most.max(1) {
            match self.inbox.pop_front() {
                Some(Message::Input(input)) => self.decide(input, &mut batch)?,
                Some(Message::Call { call, ask, prompt }) => self.submit(call, ask, &prompt, &mut batch)?,
                None => {}
            }
        }
        for _ in 0..TICKS_MAX {
            let before = batch.len();
            self.decide(Input::Tick, &mut batch)?;
            if batch.len() == before {
                if self.waits {
                    self.decide(Input::Wait(QuotaWait::default()), &mut batch)?;
                }
                return Ok(batch);
            }
        }
        Err("ticks never come to an end".into())
    }

    fn decide(&mut self, input: Input, batch: &mut Vec<Recorded>) -> Result<(), String> {
        let at = self.world.now;
        // Whoever wants it to rest does not want it to go on by itself.
        self.waits &= !matches!(input, Input::Park);
        if matches!(input, Input::Cancel) {
            self.withdraw_all(batch)?;
        }
        let denied = match &input {
            Input::HedgeWanted { attempt } => Some((*attempt, Step::HedgeDenied)),
            Input::TurnEnded { attempt, .. } | Input::TurnWanted { attempt, .. } => {
                Some((*attempt, Step::Denied))
            }
            _ => None,
        };
        let events = self.run.decide(at, input);
        self.denied.extend(denied.filter(|_| events.is_empty()));
        for event in events {
            ensure!(self.waits || event != Event::RunWoken, "it goes on although somebody has parked it");
            self.world.story.tell(at, || line(&event));
            self.watch.before(&self.run, at, &event)?;
            self.run.apply(at, &event).map_err(|illegal| format!("{event:?} was decided: {illegal}"))?;
            self.watch.after(&self.run, &event)?;
            let position = Position(self.world.journal.len() as u64).after(batch.len());
            batch.push(Recorded { position, at, event });
        }
        Ok(())
    }

    fn submit(
        &mut self,
        call: usize,
        ask: &'f Ask,
        prompt: &str,
        batch: &mut Vec<Recorded>,
    ) -> Result<(), String> {
        let before = batch.len();
        let facts = ask.facts();
        let useless = Failure::new(FailureClass::Unavailable, "there is no agent of that name");
        let outcome = (ask.fate == Fate::Useless).then_some(Outcome::Failed(useless));
        let submission =
            Submission { key: ask.key(prompt), facts: facts.clone(), spec: text(prompt), outcome };
        self.decide(Input::Submit(Box::new(submission)), batch)?;
        let task = match batch.get(before).map(|recorded| &recorded.event) {
            Some(Event::TaskSubmitted(submitted)) => submitted.task,
            Some(Event::TaskClaimed { task, .. }) => *task,
            _ => {
                let full = self.run.all_tasks().count() >= self.run.limits().tasks_max as usize;
                ensure!(full || !self.is_alive(), "a task was refused without need");
                self.script.resolve(call, None);
                return Ok(());
            }
        };
        let told = self.run.task(task).map(|task| task.facts());
        ensure!(told == Some(&facts), "{task} does not take what is now said of it");
        self.calls.insert(task, call);
        self.asks.insert(task, ask);
        Ok(())
    }

    /// Makes the batch durable, then lets it have its effects, unless it dies.
    fn commit(&mut self, batch: Vec<Recorded>) -> Result<End, String> {
        if batch.is_empty() {
            self.goes_on()?;
            return Ok(End::Stopped);
        }
        self.appends += 1;
        if self.kill == Kill::Before(self.appends) {
            return Ok(End::Killed);
        }
        self.watch.durable(&batch);
        self.world.tally.at_once = self.world.tally.at_once.max(self.run.in_flight() as u64);
        batch.iter().for_each(|recorded| self.world.tally.count(&recorded.event));
        self.world.journal.extend(batch.iter().cloned());
        if self.kill == Kill::After(self.appends) {
            return Ok(End::Killed);
        }
        for (place, recorded) in batch.iter().enumerate() {
            if self.kill == Kill::Amid(self.appends) && place > batch.len() / 2 {
                self.goes_on()?;
                return Ok(End::Killed);
            }
            self.react(&recorded.event)?;
        }
        self.goes_on()?;
        Ok(if self.kill == Kill::Amid(self.appends) { End::Killed } else { End::Stopped })
    }

    /// Attempts are told what they may, and what they may not.
    fn goes_on(&mut self) -> Result<(), String> {
        let steps = std::mem::take(&mut self.steps);
        for (attempt, step) in steps.into_iter().chain(std::mem::take(&mut self.denied)) {
            self.step(attempt, step)?;
        }
        Ok(())
    }

    fn react(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::AttemptScheduled { attempt, reply_tokens, .. } => self.begin(*attempt, *reply_tokens),
            Event::TurnScheduled { attempt, reply_tokens, .. } => {
                self.steps.push((*attempt, Step::Granted { room: *reply_tokens }));
                Ok(())
            }
            Event::TurnEnded { attempt, .. } => {
                self.steps.push((*attempt, Step::Recorded));
                Ok(())
            }
            Event::TurnHedged { attempt, .. } => {
                self.steps.push((*attempt, Step::HedgeGranted));
                Ok(())
            }
            Event::AttemptEnded { attempt, .. } => self.let_go(*attempt),
            Event::WaitStarted { until } => {
                self.rest(*until);
                Ok(())
            }
            Event::ParkingStarted { .. } => self.park_all(),
            Event::RunWoken => {
                self.is_parking = false;
                self.reopen_gates()
            }
            Event::TaskEnded { task, .. } | Event::TaskClaimed { task, .. } => {
                if let Some(TaskStage::Ended { order, .. }) = self.run.task(*task).map(|task| task.stage()) {
                    self.answers.insert(*order, *task);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The script is told what there is to tell. While the run catches up, it
    /// is heard out before it is told the next thing.
    fn script_goes_on(&mut self) {
        self.listen();
        while self.inbox.is_empty() || *self.run.stage() != Stage::Replaying {
            let Some((_, task)) = self.answers.pop_first() else { break };
            let state = self.run.task(task);
            let value = state
                .filter(|task| task.outcome().is_some_and(Outcome::is_ok))
                .map(|task| value_of(&task.key()));
            if let Some(call) = self.calls.remove(&task) {
                self.script.resolve(call, value);
            }
            self.listen();
        }
        if !self.inbox.is_empty() || !self.is_alive() {
            return;
        }
        match self.script.result() {
            Some(_) if self.run.result().is_some() => {}
            Some(Ok(value)) => self.say(Input::FlowEnded(Ok(text(&value.to_string())))),
            Some(Err(())) => {
                let failure = Failure::new(FailureClass::Flow, "a required task has failed");
                self.say(Input::FlowEnded(Err(Box::new(failure))));
            }
            None if *self.run.stage() == Stage::Replaying => self.say(Input::CaughtUp),
            None => {}
        }
    }

    fn listen(&mut self) {
        for said in self.script.listen() {
            self.inbox.push_back(match said {
                Said::Call { call, ask, prompt } => Message::Call { call, ask, prompt },
                Said::Phase(title) => {
                    let cap = self.world.flow_caps.get(title).copied();
                    Message::Input(Input::Phase { title: title.into(), cap })
                }
                Said::Log(line) => Message::Input(Input::Log(line.into())),
            });
        }
    }

    fn say(&mut self, input: Input) {
        self.inbox.push_back(Message::Input(input));
    }

    fn is_alive(&self) -> bool {
        !matches!(self.run.stage(), Stage::Unstarted | Stage::Ended(_))
    }
}

fn text(text: &str) -> Content {
    Content::Inline(text.into())
}
