//! Carries out an attempt's outputs: the core's attempt as shipped, with a seeded vendor, tools
//! that take some time, and a prefix cache.

use super::sending::{Sending, Who};
use super::{Happening, Process, text};
use crate::ask::{Ask, Fate};
use crate::script::value_of;
use crate::vendor::{Family, Reply, Request};
use crate::watch::{CUT, ensure, is_cut};
use divisi_core::attempt::{
    Attempt, End, Ended, Input as Step, Known, Output, Purpose, Reading, Signs, Slot, Spec, Work,
    hold_max,
};
use divisi_core::budget::Unanswered;
use divisi_core::check::CheckKind;
use divisi_core::event::{Suspension, Times, Turn};
use divisi_core::governor::{Lead, Leader, PermitId, Place};
use divisi_core::retry::Told;
use divisi_core::run::{AttemptEnd, Bill, KeptTurn, Report, TaskStage, TaskState};
use divisi_core::run_loop::UnderWay;
use divisi_core::{
    AttemptId, Content, Digest, Failure, FailureClass, Input, Key, Millis, PicoUsd, TaskId,
    Timestamp, Usage,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Longest time that a request may be out without a sign of life.
const IDLE_TIMEOUT: Millis = Millis(10_000);

/// One attempt under way with its state.
pub(super) struct Carried<'f> {
    attempt: Attempt,
    ask: &'f Ask,
    kept: Vec<KeptTurn>,
    /// Requests built so far, of the conversation and to the judge.
    turns: usize,
    verdicts: usize,
    /// Index of the current request among them.
    turn: usize,
    /// Results of tools that no request has included yet.
    tool_results: Option<Content>,
    /// The record of the last reply, if it is new.
    reply: Option<Box<Turn>>,
    /// Its role as writer of a prefix, and when the request left.
    lead: Option<(Lead, Option<Timestamp>)>,
    /// The request whose prefix it waits for.
    waits_for: Option<Lead>,
    slots: [At; 2],
    /// Why each of its two requests failed.
    errors: [Option<AttemptEnd>; 2],
    /// The result of a program.
    made: Option<AttemptEnd>,
    /// After which time its requests count as slow.
    patience: Millis,
    /// When it wants its next tick.
    alarm: Option<Timestamp>,
    /// Whether it was informed that the run parks.
    is_parking: bool,
}

/// Where one of its two requests is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum At {
    Nowhere,
    InLine(Family, Place<u32>),
    /// It has a permit.
    Permit(Family, PermitId),
    Out {
        ticket: u64,
        gate: Option<(Family, PermitId)>,
        /// Since when a request that will never be answered has shown no sign of life.
        silent_since: Option<Timestamp>,
    },
}

impl<'f> Process<'_, 'f> {
    /// Begins an attempt.
    pub(super) fn begin(&mut self, id: AttemptId, room: Option<u32>) -> Result<(), String> {
        if !self.is_under_way(id) {
            // It was ended again by a later input of the same batch.
            return Ok(());
        }
        let ask = self.asks[&id.task];
        let Some(task) = self.run().task(id.task) else {
            return Ok(());
        };
        let told = task.rung() == 0 || task.findings().is_some();
        ensure!(
            told,
            "{id} is not told what was wrong with the result before"
        );
        let kept: Vec<KeptTurn> = task.kept_turns().to_vec();
        let spec = Spec {
            work: if ask.by_program {
                Work::Program
            } else {
                Work::Conversation
            },
            turns_max: 50,
            checks: checks(ask),
            rung: task.rung() as usize,
            can_climb: task.can_climb(),
            timeout: ask.timeout,
            idle_timeout: IDLE_TIMEOUT,
            hedges: self.world.scenario.hedges && !ask.by_program,
            room,
            kept: kept.iter().map(known).collect(),
        };
        // Longer than the time of any request in transit.
        let patience = Millis(self.patience.within(150..3_000));
        self.carried
            .insert(id, Carried::new(Attempt::new(spec), ask, kept, patience));
        self.steps.push((id, Step::Begin));
        Ok(())
    }

    /// Passes a step to an attempt, and carries out its outputs.
    pub(super) fn step(&mut self, id: AttemptId, step: Step) -> Result<(), String> {
        let now = self.world.now;
        let Some(carried) = self.carried.get_mut(&id) else {
            return Ok(());
        };
        if self.is_parking && !std::mem::replace(&mut carried.is_parking, true) {
            // As in the engine, parking is handled before any other step.
            carried.attempt.handle(now, Step::Park);
        }
        carried.attempt.handle(now, step);
        while let Some(output) = self
            .carried
            .get_mut(&id)
            .and_then(|carried| carried.attempt.poll())
        {
            self.perform(id, output)?;
        }
        if let Some(carried) = self.carried.get_mut(&id) {
            let alarm = carried.attempt.timeout();
            let before = std::mem::replace(&mut carried.alarm, alarm);
            before.map(|at| self.alarms.remove(&(at, id)));
            alarm.map(|at| self.alarms.insert((at, id)));
        }
        Ok(())
    }

    /// Ticks the attempts that are due.
    pub(super) fn look_at_clocks(&mut self) -> Result<(), String> {
        let now = self.world.now;
        while let Some(&(at, id)) = self.alarms.first().filter(|(at, _)| *at <= now) {
            self.alarms.remove(&(at, id));
            let Some(carried) = self.carried.get_mut(&id) else {
                continue;
            };
            carried.alarm = None;
            // A request that is out and not silent shows a sign of life at every moment.
            let since = |at: &At| match at {
                At::Out { silent_since, .. } => Some(silent_since.unwrap_or(now)),
                _ => None,
            };
            let heard_at = carried.slots.iter().filter_map(since).max().unwrap_or(now);
            let signs = Signs {
                alive_at: heard_at,
                grew_at: heard_at,
            };
            let patience = Some(carried.patience);
            self.step(id, Step::Tick { signs, patience })?;
            let next = self.carried.get(&id).and_then(|carried| carried.alarm);
            ensure!(
                next.is_none_or(|next| next >= now),
                "{id} wants to be looked at in the past"
            );
        }
        Ok(())
    }

    fn perform(&mut self, id: AttemptId, output: Output) -> Result<(), String> {
        let Some(carried) = self.carried.get_mut(&id) else {
            return Ok(());
        };
        let ask = carried.ask;
        match output {
            Output::Open => self.step(id, Step::Opened { ok: true }),
            Output::Build(purpose) => {
                let (built, first) = match purpose {
                    Purpose::Turn => (&mut carried.turns, 0),
                    Purpose::Verdict(_) => (&mut carried.verdicts, ask.turns),
                };
                carried.turn = first + *built;
                *built += 1;
                let turn = carried.turn;
                let bound = ask.bound(turn, self.model(id));
                self.step(
                    id,
                    Step::Built {
                        request: self.request(id, turn),
                        bound,
                    },
                )
            }
            Output::Reuse(_) => {
                let reading = self.reading(id);
                self.step(id, Step::Reused(Some(reading)))
            }
            Output::Order(bound) => {
                let tool_results = carried.tool_results.take();
                self.say(Input::TurnWanted {
                    attempt: id,
                    tool_results,
                    bound,
                    tools: vec![],
                });
                Ok(())
            }
            Output::AskPrefix { patient } => self.ask_prefix(id, patient),
            Output::AwaitPermit(slot) => self.await_permit(id, slot),
            Output::Withdraw(slot) | Output::Abandon(slot) => {
                self.world.tally.withdrawn += u64::from(matches!(output, Output::Withdraw(_)));
                self.take_back(id, slot)
            }
            Output::Send(slot, room) => self.send(id, slot, room),
            Output::Hedge => {
                self.say(Input::HedgeWanted { attempt: id });
                Ok(())
            }
            Output::HedgeEnded { billed } => {
                let most = match billed {
                    true => PicoUsd::MAX,
                    false => PicoUsd::ZERO,
                };
                self.say(Input::HedgeEnded { attempt: id, most });
                Ok(())
            }
            Output::Record => {
                if let Some(turn) = carried.reply.take() {
                    self.say(Input::TurnEnded { attempt: id, turn });
                }
                self.step(id, Step::HandedOver)
            }
            Output::UseTools { kept, may_run } => self.use_tools(id, kept, may_run),
            Output::Say(_) => Ok(()),
            Output::Work if ask.outside => self.step(id, Step::Suspended),
            Output::Work => {
                let request = self.request_of(id, None);
                self.planned += 1;
                let ticket = self.planned;
                let sending = Sending {
                    who: Who::Attempt(id, 0, Slot::First),
                    request,
                    priority: 0,
                    ticket,
                };
                self.out(id, Slot::First, ticket, None);
                self.depart(sending, None)
            }
            Output::Check(_) => {
                let after = Millis(self.chance.within(0..400));
                self.plan(after, Happening::Checked(id));
                Ok(())
            }
            Output::End(ended) => self.ended(id, ended),
        }
    }

    /// Asks if the prefix can be read.
    fn ask_prefix(&mut self, id: AttemptId, patient: bool) -> Result<(), String> {
        let (now, family) = (self.world.now, self.family(id));
        let Some(carried) = self.carried.get_mut(&id) else {
            return Ok(());
        };
        carried.waits_for = None;
        let wanted = prefix(carried.ask);
        let asked = match self
            .prefixes
            .get_mut(&family)
            .filter(|_| !wanted.is_empty())
        {
            Some(prefixes) => prefixes.ask(&wanted, now, patient).map(Some),
            None => Ok(None),
        };
        let step = match asked {
            Ok(lead) => {
                carried.lead = lead.map(|lead| (lead, None));
                Step::PrefixReady
            }
            Err(Leader { lead, has_left }) => {
                carried.waits_for = Some(lead);
                self.world.tally.held += 1;
                Step::PrefixHeld {
                    has_left,
                    most: hold_max(0),
                }
            }
        };
        self.step(id, step)?;
        self.prefix_news(family)
    }

    /// The reply to a request has begun, or the request is over.
    pub(super) fn prefix_is(&mut self, id: AttemptId, begun: bool) -> Result<(), String> {
        let (now, family) = (self.world.now, self.family(id));
        let Some(carried) = self.carried.get_mut(&id) else {
            return Ok(());
        };
        if let (Some((lead, left_at)), Some(prefixes)) =
            (carried.lead.take(), self.prefixes.get_mut(&family))
        {
            match begun {
                true => prefixes.begun(&prefix(carried.ask), lead, left_at.unwrap_or(now)),
                false => prefixes.failed(&prefix(carried.ask), lead),
            }
            self.prefix_news(family)?;
            let waits = |(id, carried): (&AttemptId, &Carried<'_>)| {
                // A withdrawn attempt waits for nothing, and is dropped soon.
                let is_alive = carried.attempt.timeout().is_some();
                is_alive && carried.waits_for == Some(lead) && self.family(*id) == family
            };
            ensure!(
                !self.carried.iter().any(waits),
                "a prefix is waited for whose request is over"
            );
        }
        self.prefix_news(family)
    }

    /// Attempts whose writer is over ask again.
    fn prefix_news(&mut self, family: Family) -> Result<(), String> {
        let over = self
            .prefixes
            .get_mut(&family)
            .map(|prefixes| prefixes.take_over())
            .unwrap_or_default();
        if over.is_empty() {
            return Ok(());
        }
        let waits =
            |carried: &Carried<'_>| carried.waits_for.is_some_and(|lead| over.contains(&lead));
        let waiting: Vec<_> = self
            .carried
            .iter()
            .filter(|(_, carried)| waits(carried))
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            if self.family(id) == family {
                self.step(id, Step::PrefixNews)?;
            }
        }
        Ok(())
    }

    fn await_permit(&mut self, id: AttemptId, slot: Slot) -> Result<(), String> {
        let Some(carried) = self.carried.get(&id) else {
            return Ok(());
        };
        let turn = carried.turn;
        let request = self.request_of(id, None);
        let priority = self
            .run()
            .task(id.task)
            .map_or(0, |task| task.facts().rank());
        self.enter(Who::Attempt(id, turn, slot), request, priority)
    }

    /// Sends a request with this room for its reply.
    fn send(&mut self, id: AttemptId, slot: Slot, room: Option<u32>) -> Result<(), String> {
        let (now, family) = (self.world.now, self.family(id));
        let request = self.request_of(id, room);
        let Some(carried) = self.carried.get_mut(&id) else {
            return Ok(());
        };
        let (turn, priority) = (carried.turn, 0);
        let At::Permit(_, permit) = carried.slots[place(slot)] else {
            return Err(format!("{id} sends without a permit"));
        };
        if let (Some((lead, left_at)), Some(prefixes)) =
            (&mut carried.lead, self.prefixes.get_mut(&family))
        {
            left_at.get_or_insert(now);
            prefixes.leaves(&prefix(carried.ask), *lead);
        }
        let least = request.bound.least_room();
        ensure!(
            request.room >= least,
            "{id} leaves a reply of {least} tokens only {}",
            request.room
        );
        self.planned += 1;
        let ticket = self.planned;
        self.out(id, slot, ticket, Some((family, permit)));
        self.depart(
            Sending {
                who: Who::Attempt(id, turn, slot),
                request,
                priority,
                ticket,
            },
            Some(permit),
        )
    }

    fn out(&mut self, id: AttemptId, slot: Slot, ticket: u64, gate: Option<(Family, PermitId)>) {
        self.at(
            id,
            slot,
            At::Out {
                ticket,
                gate,
                silent_since: None,
            },
        );
    }

    pub(super) fn at(&mut self, id: AttemptId, slot: Slot, at: At) {
        if let Some(carried) = self.carried.get_mut(&id) {
            carried.slots[place(slot)] = at;
        }
    }

    /// Takes back a request that is not needed any more, wherever it is.
    fn take_back(&mut self, id: AttemptId, slot: Slot) -> Result<(), String> {
        let Some(carried) = self.carried.get_mut(&id) else {
            return Ok(());
        };
        match std::mem::replace(&mut carried.slots[place(slot)], At::Nowhere) {
            At::Nowhere | At::Out { gate: None, .. } => Ok(()),
            At::InLine(family, place) => self.give_up(family, place),
            At::Permit(family, permit) => self.give_back(family, permit),
            At::Out {
                gate: Some((family, permit)),
                ..
            } => self.abandon(family, permit),
        }
    }

    /// Whether this request of an attempt has this permit.
    pub(super) fn has_permit(
        &self,
        id: AttemptId,
        slot: Slot,
        family: Family,
        permit: PermitId,
    ) -> bool {
        self.carried
            .get(&id)
            .is_some_and(|carried| carried.slots[place(slot)] == At::Permit(family, permit))
    }

    /// Whether a reply to this request of an attempt is still awaited.
    pub(super) fn is_out(&self, id: AttemptId, slot: Slot, ticket: u64) -> bool {
        let at = self
            .carried
            .get(&id)
            .map(|carried| carried.slots[place(slot)]);
        matches!(at, Some(At::Out { ticket: of, .. }) if of == ticket)
    }

    /// Marks a request that will never be answered.
    pub(super) fn falls_silent(&mut self, id: AttemptId, slot: Slot) {
        let now = self.world.now;
        if let Some(Carried { slots, .. }) = self.carried.get_mut(&id)
            && let At::Out { silent_since, .. } = &mut slots[place(slot)]
        {
            *silent_since = Some(now);
        }
    }

    /// Handles the end of a request.
    pub(super) fn hear(&mut self, id: AttemptId, slot: Slot, reply: Reply) -> Result<(), String> {
        self.at(id, slot, At::Nowhere);
        let Some(carried) = self.carried.get(&id) else {
            return Ok(());
        };
        let (ask, turn) = (carried.ask, carried.turn);
        let most = ask.bound(turn, self.model(id)).most();
        if ask.by_program {
            return self.worked(id, reply, most);
        }
        match reply {
            Reply::Answer { cost, usage, cut } => {
                self.prefix_is(id, true)?;
                let cost = self.world.vendor.claim(cost, most);
                let times = self.times(id);
                let model = self.model(id).filter(|_| !ask.judges(turn));
                let reply = Box::new(Turn {
                    request: self.request(id, turn),
                    reply: text(if cut { CUT } else { "reply" }),
                    model: model.cloned().unwrap_or_else(|| "judge".into()),
                    judges: ask.judges(turn),
                    usage,
                    cost,
                    estimated: false,
                    took: Millis(1),
                    times,
                });
                let reading = if cut {
                    Reading::Truncated
                } else {
                    self.reading(id)
                };
                if let Some(carried) = self.carried.get_mut(&id) {
                    carried.reply = Some(reply);
                }
                self.step(id, Step::Replied { slot, reading })
            }
            Reply::Refusal { class, told } => self.fails(id, slot, end_of(class, told), false),
            Reply::Lost { class } => self.fails(id, slot, failed(class), true),
        }
    }

    /// When the current request of an attempt left, and its waits since the previous one.
    fn times(&mut self, id: AttemptId) -> Times {
        let now = self.world.now;
        let Some(carried) = self.carried.get_mut(&id) else {
            return Times::default();
        };
        let sent = carried.attempt.sent().unwrap_or_default();
        Times {
            sent,
            began: None,
            waits: carried.attempt.take_waits(now),
        }
    }

    fn fails(
        &mut self,
        id: AttemptId,
        slot: Slot,
        end: AttemptEnd,
        maybe_billed: bool,
    ) -> Result<(), String> {
        if let Some(carried) = self.carried.get_mut(&id) {
            carried.errors[place(slot)] = Some(end);
        }
        self.step(
            id,
            Step::Failed {
                slot,
                maybe_billed,
                again: false,
            },
        )
    }

    /// Handles a request refused by its gate.
    pub(super) fn is_turned_away(
        &mut self,
        id: AttemptId,
        slot: Slot,
        end: AttemptEnd,
    ) -> Result<(), String> {
        self.at(id, slot, At::Nowhere);
        if let Some(carried) = self.carried.get_mut(&id) {
            carried.errors[place(slot)] = Some(end);
        }
        self.step(id, Step::Closed(slot))
    }

    /// Handles the end of a program. Most programs have reported their cost before, in parts.
    fn worked(&mut self, id: AttemptId, reply: Reply, most: PicoUsd) -> Result<(), String> {
        let made = match reply {
            Reply::Answer { cost, .. } => {
                let cost = self.world.vendor.claim(cost, most);
                let first = PicoUsd(cost.0 / 3);
                self.reports(id, Bill::Of(first));
                self.reports(
                    id,
                    match self.asks[&id.task].is_mute() {
                        true => Bill::Unknown,
                        false => Bill::Of(cost.saturating_sub(first)),
                    },
                );
                self.result(id)
            }
            Reply::Refusal { class, told } => end_of(class, told),
            Reply::Lost { class } => AttemptEnd {
                unanswered: Some(Unanswered::UNKNOWN),
                ..failed(class)
            },
        };
        let ok = made.result.is_ok();
        if let Some(carried) = self.carried.get_mut(&id) {
            carried.made = Some(made);
        }
        self.step(id, Step::Worked { ok })
    }

    fn reports(&mut self, id: AttemptId, bill: Bill) {
        let usage = Usage {
            output: 1,
            ..Usage::default()
        };
        let handle = Some(text("session"));
        self.say(Input::AttemptReports {
            attempt: id,
            report: Box::new(Report {
                model: None,
                usage,
                bill,
                handle,
            }),
        });
    }

    fn use_tools(
        &mut self,
        id: AttemptId,
        kept: Option<usize>,
        may_run: bool,
    ) -> Result<(), String> {
        let Some(carried) = self.carried.get(&id) else {
            return Ok(());
        };
        let request = self.request(id, carried.turn);
        let known = carried
            .kept
            .iter()
            .find(|known| known.request == request && !is_cut(&known.reply));
        let has_results = known.is_some_and(|known| known.tool_results.is_some());
        ensure!(
            has_results == kept.is_some(),
            "{id} uses the tools of a reply again, or has lost their results"
        );
        let deaths = known.map_or(0, |known| known.deaths);
        ensure!(
            may_run == (deaths < 2),
            "{id} uses tools after {deaths} deaths: {may_run}"
        );
        let after = if has_results {
            Millis(0)
        } else {
            Millis(self.chance.within(0..400))
        };
        self.plan(after, Happening::ToolsDone(id, !has_results));
        Ok(())
    }

    /// The tools of an attempt have results, new or recorded ones.
    pub(super) fn tools_are_done(&mut self, id: AttemptId, are_new: bool) -> Result<(), String> {
        if let Some(carried) = self.carried.get_mut(&id) {
            carried.tool_results = are_new.then(|| text(&format!("results of {}", carried.turn)));
        }
        self.step(id, Step::ToolsDone)
    }

    /// The check of an attempt has judged the result.
    pub(super) fn is_checked(&mut self, id: AttemptId) -> Result<(), String> {
        let rung = self.rung(id);
        let refuses = self
            .carried
            .get(&id)
            .is_some_and(|carried| carried.ask.refuses(rung));
        self.step(id, Step::Checked(Some(!refuses)))
    }

    /// Suspends an attempt until something outside happens.
    fn suspend(&mut self, id: AttemptId) -> Result<(), String> {
        let reserved = PicoUsd(self.asks[&id.task].bound(0, None).most().0 / 2);
        // With its default a question ends like with any other answer.
        let has_default = self.asks[&id.task].fate == Fate::Succeeds && self.chance.percent(40);
        let default = self
            .run()
            .task(id.task)
            .filter(|_| has_default)
            .map(|task| text(&value_of(&task.key()).to_string()));
        let within = self.chance.within(1..20_000);
        let suspension = Box::new(Suspension {
            reserved,
            timeout: default.is_some().then_some(Millis(within)),
            default,
            ..Suspension::of("person")
        });
        self.say(Input::AttemptSuspended {
            attempt: id,
            suspension,
        });
        self.will_be_answered(id.task);
        self.let_go(id)
    }

    /// If a task is suspended on something that the process asks for, the run does not park for it.
    pub(super) fn is_suspended(&mut self, task: TaskId) {
        let stage = self.run().task(task).map(|task| task.stage().clone());
        if let Some(TaskStage::Suspended(attempt)) = stage
            && self.asks[&task].is_polled()
        {
            self.world.tally.polled += 1;
            self.runs.polls(attempt);
        }
    }

    /// Plans the answer from outside, if the process still exists by then.
    pub(super) fn will_be_answered(&mut self, task: TaskId) {
        let after = Millis(self.chance.within(0..20_000));
        self.plan(after, Happening::Answered(task));
    }

    /// Gives the answer from outside.
    pub(super) fn is_answered(&mut self, task: TaskId) {
        let Some(state) = self.run().task(task) else {
            return;
        };
        let end = Box::new(answer(state, self.asks[&task].fate));
        self.say(Input::Resolve { task, end });
    }

    fn ended(&mut self, id: AttemptId, ended: Ended) -> Result<(), String> {
        if ended.end == End::Suspended {
            return self.suspend(id);
        }
        let Some(carried) = self.carried.get_mut(&id) else {
            return Ok(());
        };
        let Ended {
            end,
            unrecorded,
            unanswered,
        } = ended;
        let last_turn = carried.reply.take().filter(|_| unrecorded);
        let result = match end {
            End::NoReply(slot) => carried.errors[place(slot)]
                .take()
                .unwrap_or_else(|| failed(FailureClass::Server)),
            End::Done | End::NoResult => carried.made.take().unwrap_or_else(|| self.result(id)),
            End::Refused | End::NoVerdict(_) => {
                let made = carried
                    .made
                    .take()
                    .unwrap_or_else(|| failed(FailureClass::Check));
                let refused = Err(Failure::new(FailureClass::Check, "it did not work out"));
                AttemptEnd {
                    result: refused,
                    findings: Some(text("it is wrong")),
                    ..made
                }
            }
            End::Cut(_, bound) => AttemptEnd {
                next_turn: Some(bound),
                ..failed(FailureClass::Interrupted)
            },
            End::Stopped => failed(FailureClass::Interrupted),
            End::Timeout => failed(FailureClass::Timeout),
            End::Stalled => failed(FailureClass::Stalled),
            other => return Err(format!("{id} ends with {other:?}")),
        };
        self.world.tally.timeouts += u64::from(end == End::Timeout);
        let unanswered = unanswered
            .then_some(Unanswered::UNKNOWN)
            .or(result.unanswered);
        let now = self.world.now;
        let (waited, waits) = self
            .carried
            .get_mut(&id)
            .map_or((Millis(0), vec![]), |carried| {
                (carried.attempt.waited(now), carried.attempt.take_waits(now))
            });
        self.say(Input::AttemptEnded {
            attempt: id,
            end: Box::new(AttemptEnd {
                last_turn,
                unanswered,
                waited,
                waits,
                ..result
            }),
        });
        self.let_go(id)
    }

    /// Drops an attempt that is over, and returns what it holds.
    pub(super) fn let_go(&mut self, id: AttemptId) -> Result<(), String> {
        if !self.carried.contains_key(&id) {
            // It ended before it began, or was lost with the previous process.
            return Ok(());
        }
        for slot in [Slot::First, Slot::Second] {
            self.take_back(id, slot)?;
        }
        self.prefix_is(id, false)?;
        if let Some(alarm) = self.carried.remove(&id).and_then(|carried| carried.alarm) {
            self.alarms.remove(&(alarm, id));
        }
        Ok(())
    }

    /// The run parks: requests that have not left do not leave.
    pub(super) fn park_all(&mut self) -> Result<(), String> {
        self.is_parking = true;
        for id in self.carried.keys().copied().collect::<Vec<_>>() {
            self.step(id, Step::Park)?;
        }
        let waits =
            |carried: &Carried<'_>| carried.slots.iter().any(|at| matches!(at, At::InLine(..)));
        match self.carried.iter().find(|(_, carried)| waits(carried)) {
            Some((id, _)) => Err(format!(
                "{id} waits for leave to send although the run parks"
            )),
            None => Ok(()),
        }
    }

    /// The attempts without a request in flight and without a reply to record.
    pub(super) fn unsent(&self) -> BTreeSet<AttemptId> {
        let is_out = |at: &At| matches!(at, At::Out { .. });
        let unsent = self
            .carried
            .iter()
            .filter(|(_, carried)| carried.reply.is_none() && !carried.slots.iter().any(is_out));
        unsent.map(|(id, _)| *id).collect()
    }

    /// The run is about to be cancelled: from now on no request leaves.
    pub(super) fn withdraw_all(&mut self) -> Vec<UnderWay> {
        let now = self.world.now;
        let withdrawn = |(id, carried): (&AttemptId, &mut Carried<'_>)| UnderWay {
            attempt: *id,
            owed: carried.attempt.withdraw(),
            first: Unanswered::UNKNOWN,
            second_most: PicoUsd::MAX,
            waited: carried.attempt.waited(now),
            waits: carried.attempt.take_waits(now),
        };
        self.carried.iter_mut().map(withdrawn).collect()
    }

    /// What the last reply says: the same whenever it is read.
    fn reading(&self, id: AttemptId) -> Reading {
        let Some(carried) = self.carried.get(&id) else {
            return Reading::Empty;
        };
        carried.ask.reading(carried.turn, self.rung(id))
    }

    fn rung(&self, id: AttemptId) -> usize {
        self.run()
            .task(id.task)
            .map_or(0, |task| task.rung() as usize)
    }

    fn result(&self, id: AttemptId) -> AttemptEnd {
        match self.asks[&id.task].fate {
            Fate::Fails(class) => failed(class),
            Fate::Succeeds | Fate::Useless => {
                AttemptEnd::of(Ok(text(&value_of(&self.key(id)).to_string())))
            }
        }
    }

    /// Whether it has begun and not ended.
    pub(super) fn is_under_way(&self, attempt: AttemptId) -> bool {
        let stage = self.run().task(attempt.task).map(|task| task.stage());
        stage == Some(&TaskStage::InFlight(attempt))
    }

    /// The current request, as the vendor sees it.
    fn request_of(&self, id: AttemptId, room: Option<u32>) -> Request {
        let ask = self.asks[&id.task];
        let turn = self.carried.get(&id).map_or(0, |carried| carried.turn);
        let bound = ask.bound(turn, self.model(id));
        Request {
            ours: true,
            family: (!ask.by_program).then(|| self.family(id)),
            bound,
            input: ask.tokens(turn),
            prefix: ask.prefix,
            room: room.unwrap_or(u32::MAX).min(bound.reply_tokens_max),
            reply_usual: ask.reply_usual,
        }
    }

    fn family(&self, id: AttemptId) -> Family {
        let turn = self.carried.get(&id).map_or(0, |carried| carried.turn);
        let name = match self.asks[&id.task].judges(turn) {
            true => "judge",
            false => self.model(id).map_or("none", |model| model),
        };
        Family::of(name)
    }

    fn model(&self, attempt: AttemptId) -> Option<&Arc<str>> {
        self.run().task(attempt.task).and_then(|task| task.model())
    }

    /// The identity of a request: its model, its task, and the state of the conversation, but not
    /// the room for its reply.
    pub(super) fn request(&self, attempt: AttemptId, turn: usize) -> Digest {
        let model = self.model(attempt).map_or("none", |model| model);
        let mut request = self.key(attempt).0.as_bytes().to_vec();
        request.extend(turn.to_le_bytes());
        request.extend(model.as_bytes());
        Digest::of(&request)
    }

    fn key(&self, attempt: AttemptId) -> Key {
        self.run()
            .task(attempt.task)
            .map_or(Key(Digest::of(b"")), |task| task.key())
    }
}

impl<'f> Carried<'f> {
    fn new(attempt: Attempt, ask: &'f Ask, kept: Vec<KeptTurn>, patience: Millis) -> Self {
        Self {
            attempt,
            ask,
            kept,
            turns: 0,
            verdicts: 0,
            turn: 0,
            tool_results: None,
            reply: None,
            lead: None,
            waits_for: None,
            slots: [At::Nowhere; 2],
            errors: [None, None],
            made: None,
            patience,
            alarm: None,
            is_parking: false,
        }
    }
}

/// How a suspended attempt ends when its answer is there.
pub(crate) fn answer(task: &TaskState, fate: Fate) -> AttemptEnd {
    let cost = task.suspension().map_or(PicoUsd::ZERO, |suspension| {
        PicoUsd(suspension.reserved.0 / 2)
    });
    let result = match fate {
        Fate::Fails(class) => failed(class),
        Fate::Succeeds | Fate::Useless => {
            AttemptEnd::of(Ok(text(&value_of(&task.key()).to_string())))
        }
    };
    AttemptEnd { cost, ..result }
}

/// The checks of a task.
fn checks(ask: &Ask) -> Vec<CheckKind> {
    match ask.by_program {
        true => vec![],
        false if ask.judged => vec![CheckKind::Opinion],
        false if ask.refused > 0 => vec![CheckKind::Fact],
        false => vec![],
    }
}

/// A recorded reply. For a cut one the digest is changed, as in the engine: the same request may be
/// sent again with more room.
fn known(kept: &KeptTurn) -> Known {
    let known = Known::from(kept);
    match is_cut(&kept.reply) {
        true => Known {
            request: Digest::of(known.request.as_bytes()),
            ..known
        },
        false => known,
    }
}

/// The shared beginning of its prompt.
fn prefix(ask: &Ask) -> Vec<Digest> {
    ask.prefix
        .map(|prefix| Digest::of(&[prefix]))
        .into_iter()
        .collect()
}

pub(super) fn place(slot: Slot) -> usize {
    usize::from(slot == Slot::Second)
}

fn end_of(
    class: FailureClass,
    Told {
        retry_after,
        should_retry,
    }: Told,
) -> AttemptEnd {
    AttemptEnd {
        retry_after,
        should_retry,
        ..failed(class)
    }
}

pub(super) fn failed(class: FailureClass) -> AttemptEnd {
    AttemptEnd::of(Err(Failure::new(class, "it did not work out")))
}
