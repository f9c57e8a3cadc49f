//! One process that drives the run until it stops or is killed.
//!
//! The decisions are those of the core's [`RunLoop`], as shipped. This module has the event queue,
//! the journal, and the kills.

mod agenda;
mod attempt;
mod gate;
mod others;
mod sending;

use crate::ask::{self, Ask, Fate};
use crate::chance::Chance;
use crate::flow::Flow;
use crate::script::{Said, Script, value_of};
use crate::story::{Story, line};
use crate::vendor::Family;
use crate::watch::{Watch, ensure};
use crate::world::World;
use agenda::Happening;
use attempt::Carried;
pub(crate) use attempt::answer;
use divisi_core::attempt::Input as Step;
use divisi_core::event::{ParkReason, Recorded, TaskFacts};
use divisi_core::governor::PrefixCache;
use divisi_core::retry::QuotaWait;
use divisi_core::run::{Stage, Submission, TaskStage, TaskState};
use divisi_core::run_loop::{Attendance, Effect, Observer, RunLoop, Submitted};
use divisi_core::{
    AttemptId, Content, Event, Failure, FailureClass, IllegalEvent, Input, Millis, Outcome,
    PicoUsd, Position, Run, TaskId, Timestamp,
};
use gate::Gate;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Batches after which a process counts as endless.
const BATCHES_MAX: u64 = 200_000;

/// When a process is killed, by its number of appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    /// Before the append: the decisions are lost.
    Before(u64),
    /// After the append, before any of its effects.
    After(u64),
    /// After half of the effects have begun.
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
    began_at: Timestamp,
    runs: RunLoop<usize, (AttemptId, Step), Eyes>,
    script: Script<'f>,
    /// Number of answers given to the script, and the number at which it last reported that it
    /// waits.
    heard: u64,
    quiet_after: Option<u64>,
    /// The order of the last recorded outcome given to it in a replay of the same flow.
    told: Option<u32>,
    inbox: VecDeque<Message<'f>>,
    gates: BTreeMap<Family, Gate>,
    /// The known state of the prefixes in the vendor's cache.
    prefixes: BTreeMap<Family, PrefixCache>,
    /// The attempts under way, and when they want their next tick.
    carried: BTreeMap<AttemptId, Carried<'f>>,
    alarms: BTreeSet<(Timestamp, AttemptId)>,
    /// Whether the run is parking, and has not woken since.
    is_parking: bool,
    /// Steps of attempts, given after all effects of a batch have begun.
    steps: Vec<(AttemptId, Step)>,
    /// Steps that the run denied.
    denied: Vec<(AttemptId, Step)>,
    /// How long a reply may take.
    patience: Chance,
    /// How many requests each of the other runs has left.
    others: BTreeMap<u32, u32>,
    asks: BTreeMap<TaskId, &'f Ask>,
    /// Future events, in order.
    agenda: BTreeMap<(Timestamp, u64), Happening>,
    planned: u64,
    chance: Chance,
    kill: Kill,
    appends: u64,
}

#[expect(
    clippy::large_enum_variant,
    reason = "few are queued, and most are the large one"
)]
enum Message<'f> {
    Input(Input),
    Call {
        call: usize,
        ask: &'f Ask,
        prompt: String,
    },
    Timer {
        call: usize,
        delay: Millis,
    },
    /// The script waits, after this many answers.
    Quiet(u64),
}

/// Watches every event, and writes the story.
pub(super) struct Eyes {
    pub(super) watch: Watch,
    story: Story,
    /// Whether the run may resume by itself.
    may_wake: bool,
    /// The first violated condition.
    broken: Option<String>,
}

impl Observer for Eyes {
    fn before(&mut self, run: &Run, now: Timestamp, event: &Event) {
        self.story.tell(now, || line(event));
        let watched = match event {
            Event::RunWoken if !self.may_wake => {
                Err("it resumes although the user has parked it".into())
            }
            _ => self.watch.before(run, now, event),
        };
        self.note(watched);
    }

    fn after(&mut self, run: &Run, event: &Event) {
        let watched = self.watch.after(run, event);
        self.note(watched);
    }
}

impl Eyes {
    fn note(&mut self, watched: Result<(), String>) {
        self.broken = self.broken.take().or(watched.err());
    }
}

impl<'w, 'f> Process<'w, 'f> {
    /// A process that executes `flow` from its start, on top of the durable events.
    pub(crate) fn new(
        world: &'w mut World,
        run: Run,
        watch: Watch,
        flow: &'f Flow,
        kill: Kill,
    ) -> Self {
        let mut chance = Chance::of(
            world.scenario.seed,
            &format!("process {}", world.tally.executions),
        );
        let now = world.now;
        let gates = Family::ALL.map(|family| (family, Gate::new(&mut world.vendor, family, now)));
        let waits = world.scenario.waits;
        let eyes = Eyes {
            watch,
            story: world.story.clone(),
            may_wake: waits,
            broken: None,
        };
        let position = Position(world.journal.len() as u64);
        let is_attended = chance.percent(50);
        world.answered.clear();
        Self {
            began_at: now,
            runs: RunLoop::new(run, position, waits.then(QuotaWait::default), eyes)
                .attended(Attendance::of(is_attended)),
            script: Script::start(flow),
            heard: 0,
            quiet_after: None,
            told: None,
            inbox: VecDeque::new(),
            gates: gates.into_iter().collect(),
            prefixes: Family::ALL
                .map(|family| (family, PrefixCache::default()))
                .into_iter()
                .collect(),
            carried: BTreeMap::new(),
            alarms: BTreeSet::new(),
            is_parking: false,
            steps: vec![],
            denied: vec![],
            patience: Chance::of(
                world.scenario.seed,
                &format!("patience {}", world.tally.executions),
            ),
            others: BTreeMap::new(),
            asks: BTreeMap::new(),
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
        Ok((end, self.runs.into_run()))
    }

    fn go_on(&mut self) -> Result<End, String> {
        for batches in 0..BATCHES_MAX {
            self.decide_batch()?;
            if self.commit()? == End::Killed {
                return Ok(End::Killed);
            }
            if self.runs.is_over() {
                ensure!(
                    self.run().in_flight() == 0,
                    "it stops with attempts in flight"
                );
                let waits = matches!(self.run().stage(), Stage::Parked(_))
                    && self.watch().goes_on_by_itself();
                ensure!(
                    !waits,
                    "it stops although it has said that it goes on by itself"
                );
                let rests = matches!(
                    self.run().stage(),
                    Stage::Parked(ParkReason::Suspended { .. })
                );
                let polled = self
                    .run()
                    .suspended()
                    .find(|task| self.asks[task].is_polled());
                ensure!(
                    !rests || polled.is_none(),
                    "it parks for want of {polled:?}, which this process asks for"
                );
                return Ok(End::Stopped);
            }
            // Checks of every task are made less often when there are many.
            if batches % (1 + u64::from(self.run().counts().total()) / 100) == 0 {
                self.watch().at_rest(self.run(), self.world.now)?;
            }
            self.watch_gates()?;
            self.script_goes_on()?;
            if self.inbox.is_empty() {
                self.time_passes()?;
            }
        }
        Err("it never comes to an end".into())
    }

    /// Handles some of the queued inputs and their effects.
    fn decide_batch(&mut self) -> Result<(), String> {
        // As in the engine, a batch may contain any number of the queued inputs.
        let most = if self.chance.percent(50) {
            self.inbox.len() as u64
        } else {
            self.chance.within(0..4)
        };
        for _ in 0..most.max(1) {
            let Some(message) = self.inbox.pop_front() else {
                break;
            };
            self.take(message)?;
        }
        self.holds(|runs, now| runs.settle(now))?;
        let ahead = self.runs.answers_ahead();
        if ahead.is_empty() {
            return Ok(());
        }
        self.tell_script(ahead)?;
        while let Some(message) = self.inbox.pop_front() {
            self.take(message)?;
        }
        self.holds(|runs, now| runs.settle(now))
    }

    fn take(&mut self, message: Message<'f>) -> Result<(), String> {
        match message {
            Message::Input(input) => self.decide(input),
            Message::Call { call, ask, prompt } => self.submit(call, ask, &prompt),
            Message::Timer { call, delay } => self.set_timer(call, delay),
            Message::Quiet(heard) => self.holds(|runs, now| runs.flow_waits(now, heard)),
        }
    }

    fn decide(&mut self, input: Input) -> Result<(), String> {
        let answered_by = match &input {
            Input::Start { .. } | Input::Resume { .. } => {
                return self.holds(|runs, now| runs.begin(now, input));
            }
            Input::FlowEnded(result) => {
                let result = result.clone();
                return self.holds(|runs, now| runs.flow_ended(now, result));
            }
            Input::Park => {
                self.runs.observer_mut().may_wake = false;
                return self.holds(|runs, now| runs.park(now));
            }
            Input::Cancel => {
                // Taken before the withdrawal: nothing may be booked for requests that were not
                // sent.
                let (unsent, from) = (self.unsent(), self.runs.batch().len());
                let under_way = self.withdraw_all();
                self.holds(|runs, now| runs.cancel(now, under_way))?;
                for recorded in &self.runs.batch()[from..] {
                    if let Event::AttemptEnded {
                        attempt,
                        unconfirmed,
                        ..
                    } = &recorded.event
                    {
                        let is_free = *unconfirmed == PicoUsd::ZERO || !unsent.contains(attempt);
                        ensure!(
                            is_free,
                            "{attempt} is booked {}, and nothing of it has left",
                            unconfirmed.0
                        );
                    }
                }
                return Ok(());
            }
            Input::HedgeWanted { attempt } => (*attempt, Step::HedgeGranted),
            Input::TurnEnded { attempt, .. } => (*attempt, Step::Recorded),
            Input::TurnWanted { attempt, .. } => (*attempt, Step::Granted { room: None }),
            Input::AttemptSuspended { attempt, .. } => {
                let task = attempt.task;
                self.holds(|runs, now| runs.input(now, input))?;
                self.is_suspended(task);
                return Ok(());
            }
            _ => return self.holds(|runs, now| runs.input(now, input)),
        };
        let denied = self.holds(|runs, now| runs.ask(now, input, answered_by))?;
        self.denied.extend(denied.map(|(attempt, step)| match step {
            Step::HedgeGranted => (attempt, Step::HedgeDenied),
            _ => (attempt, Step::Denied),
        }));
        Ok(())
    }

    /// Runs `act` on the run, and fails if a promise is broken.
    fn holds<T>(
        &mut self,
        act: impl FnOnce(
            &mut RunLoop<usize, (AttemptId, Step), Eyes>,
            Timestamp,
        ) -> Result<T, IllegalEvent>,
    ) -> Result<T, String> {
        let done = act(&mut self.runs, self.world.now)
            .map_err(|illegal| format!("it was decided: {illegal}"));
        match self.runs.observer_mut().broken.take() {
            Some(broken) => Err(broken),
            None => done,
        }
    }

    fn submit(&mut self, call: usize, ask: &'f Ask, prompt: &str) -> Result<(), String> {
        let facts = ask.facts();
        let useless = Failure::new(FailureClass::Unavailable, "there is no agent of that name");
        let outcome = (ask.fate == Fate::Useless).then_some(Outcome::Failed(useless));
        let submission = Submission {
            asked_after: Some(self.heard),
            ..Submission::new(ask.key(prompt), facts.clone(), text(prompt), outcome)
        };
        match self.holds(|runs, now| runs.submit(now, submission, call))? {
            Submitted::Taken { task, .. } => {
                self.asks.insert(task, ask);
                let Some(state) = self.run().task(task) else {
                    return Ok(());
                };
                let is_suspended = matches!(state.stage(), TaskStage::Suspended(_));
                // The loop says how deep it is.
                let facts = TaskFacts {
                    depth: state.facts().depth,
                    ..facts
                };
                let is_known = *state.facts() == facts || is_suspended;
                ensure!(is_known, "{task} does not take what is now said of it");
                if is_suspended {
                    self.is_suspended(task);
                    self.will_be_answered(task);
                }
            }
            Submitted::Refused(call) => self.refused(call)?,
        }
        Ok(())
    }

    fn refused(&mut self, call: usize) -> Result<(), String> {
        let full = self.run().all_tasks().count() >= self.run().limits().tasks_max as usize;
        ensure!(full || !self.is_alive(), "a task was refused without need");
        self.world.answered.push(call);
        self.script.resolve(call, None);
        self.heard += 1;
        Ok(())
    }

    /// Submits a timer, as the engine's resolver describes one.
    fn set_timer(&mut self, call: usize, delay: Millis) -> Result<(), String> {
        let spec = format!("{} ms", delay.0);
        let facts = TaskFacts {
            executor: "timer".into(),
            wait: Some(delay),
            ..TaskFacts::default()
        };
        let submission = Submission {
            asked_after: Some(self.heard),
            ..Submission::new(ask::key("timer", &spec), facts, text(&spec), None)
        };
        match self.holds(|runs, now| runs.submit(now, submission, call))? {
            Submitted::Taken { task, .. } => {
                let is_timer = |state: &TaskState| state.facts().wait == Some(delay);
                let known = self.run().task(task).is_some_and(is_timer);
                ensure!(known, "{task} is not a timer of {delay}");
                Ok(())
            }
            Submitted::Refused(call) => self.refused(call),
        }
    }

    /// Makes the batch durable, then carries out its effects, unless it is killed.
    fn commit(&mut self) -> Result<End, String> {
        let (first, batch) = self.runs.take_batch();
        if batch.is_empty() {
            self.goes_on()?;
            return Ok(End::Stopped);
        }
        ensure!(
            first.0 == self.world.journal.len() as u64,
            "a batch begins at {first:?}"
        );
        self.appends += 1;
        if self.kill == Kill::Before(self.appends) {
            return Ok(End::Killed);
        }
        self.runs.observer_mut().watch.durable(&batch);
        self.world.tally.at_once = self.world.tally.at_once.max(self.run().in_flight() as u64);
        for Recorded { event, .. } in &batch {
            self.world.tally.count(event);
            if let Event::TaskEnded { task, outcome } = event
                && let Some(due) = self.watch().timer_due(*task)
            {
                self.world.tally.fired += u64::from(outcome.is_ok());
                self.world.tally.fired_late += u64::from(outcome.is_ok() && due < self.began_at);
            }
        }
        self.world.journal.extend(batch.iter().cloned());
        if self.kill == Kill::After(self.appends) {
            return Ok(End::Killed);
        }
        let effects = self.runs.committed(&batch);
        let half = effects.len() / 2;
        for (place, effect) in effects.into_iter().enumerate() {
            // Some of the effects have happened: requests may be in flight that a resume must count
            // as sent.
            if self.kill == Kill::Amid(self.appends) && place > half {
                self.goes_on()?;
                return Ok(End::Killed);
            }
            self.react(effect)?;
        }
        self.goes_on()?;
        Ok(if self.kill == Kill::Amid(self.appends) {
            End::Killed
        } else {
            End::Stopped
        })
    }

    /// Passes attempts the answers to their questions.
    fn goes_on(&mut self) -> Result<(), String> {
        let steps = std::mem::take(&mut self.steps);
        for (attempt, step) in steps.into_iter().chain(std::mem::take(&mut self.denied)) {
            self.step(attempt, step)?;
        }
        Ok(())
    }

    fn react(&mut self, effect: Effect<(AttemptId, Step)>) -> Result<(), String> {
        match effect {
            Effect::Start { attempt, room, .. } => self.begin(attempt, room)?,
            Effect::Granted((attempt, _), room) => {
                self.steps.push((attempt, Step::Granted { room }));
            }
            Effect::Recorded(step) => self.steps.push(step),
            Effect::Ended(attempt) => self.let_go(attempt)?,
            Effect::TaskEnded(_) => {}
            Effect::Park => self.park_all()?,
            Effect::Wait(until) => self.rest(until),
            Effect::Wake => {
                self.is_parking = false;
                self.reopen_gates()?;
            }
        }
        Ok(())
    }

    /// Gives the script its answers, and takes its new requests.
    fn script_goes_on(&mut self) -> Result<(), String> {
        self.listen();
        let answers = self.runs.answers();
        self.tell_script(answers)?;
        let waits = !self
            .inbox
            .iter()
            .any(|message| !matches!(message, Message::Input(_)));
        if !waits || !self.is_alive() {
            return Ok(());
        }
        match self.script.result() {
            Some(_) if self.run().result().is_some() => {}
            Some(Ok(value)) => self.say(Input::FlowEnded(Ok(text(&value.to_string())))),
            Some(Err(())) => {
                let failure = Failure::new(FailureClass::Flow, "a required task has failed");
                self.say(Input::FlowEnded(Err(Box::new(failure))));
            }
            // Once after each answer, and in a replay until it has caught up.
            None if *self.run().stage() == Stage::Replaying
                || self.quiet_after != Some(self.heard) =>
            {
                self.quiet_after = Some(self.heard);
                self.inbox.push_back(Message::Quiet(self.heard));
            }
            None => {}
        }
        Ok(())
    }

    fn tell_script(&mut self, answers: Vec<(usize, TaskId)>) -> Result<(), String> {
        for (call, task) in answers {
            self.heard += 1;
            let Some(state) = self.run().task(task) else {
                continue;
            };
            if let (Stage::Replaying, true, TaskStage::Ended { order, .. }) = (
                self.run().stage(),
                self.watch().is_same_flow(),
                state.stage(),
            ) {
                ensure!(
                    self.told < Some(*order),
                    "{task} is told after one that ended later"
                );
                self.told = Some(*order);
            }
            let Some(state) = self.run().task(task) else {
                continue;
            };
            let is_ok = state.outcome().is_some_and(Outcome::is_ok);
            let value = is_ok.then(|| value_of(&state.key()));
            self.world
                .story
                .tell(self.world.now, || format!("tells     the flow of {task}"));
            let is_new = *self.run().stage() != Stage::Replaying;
            if is_new && state.facts().wait.is_some() {
                self.world.tally.timed_out += u64::from(self.script.is_undecided_race(call));
            }
            self.world.answered.push(call);
            self.script.resolve(call, value);
            self.listen();
        }
        Ok(())
    }

    fn listen(&mut self) {
        for said in self.script.listen() {
            self.inbox.push_back(match said {
                Said::Call { call, ask, prompt } => Message::Call { call, ask, prompt },
                Said::Timer { call, delay } => Message::Timer { call, delay },
                Said::Phase(title) => {
                    let cap = self.world.flow_caps.get(title).copied();
                    Message::Input(Input::Phase {
                        title: title.into(),
                        cap,
                    })
                }
                Said::Log(line) => Message::Input(Input::Log(line.into())),
            });
        }
    }

    pub(super) fn run(&self) -> &Run {
        self.runs.run()
    }

    pub(super) fn watch(&self) -> &Watch {
        &self.runs.observer().watch
    }

    fn say(&mut self, input: Input) {
        self.inbox.push_back(Message::Input(input));
    }

    fn is_alive(&self) -> bool {
        !matches!(self.run().stage(), Stage::Unstarted | Stage::Ended(_))
    }
}

fn text(text: &str) -> Content {
    Content::Inline(text.into())
}
