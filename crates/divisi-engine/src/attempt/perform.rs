//! Performs the outputs of an attempt.
//!
//! The attempt is a state machine without IO, the core's [`divisi_core::attempt::Attempt`]. Here
//! are the clock, the texts, the vendor and the tools: each output is performed, and its outcome is
//! the next input. At most two steps are under way at once: the one that the attempt waits for, and
//! the hedge of a request.

use super::check::{self, Verdicts};
use super::dialogue::{Brief, Dialogue, opening, use_tools};
use super::place::Place;
use super::send::{Sending, bound, json};
use super::{Attempt, AttemptResult};
use crate::answer;
use crate::clock::wall_clock;
use crate::executor::{Context, Given, Rights, Signal};
use crate::governor::{Admission, Closed, Held, Leave, Permit};
use crate::models::Model;
use crate::tools::Toolbox;
use crate::toolset::Toolset;
use divisi_core::attempt::{
    End, Ended, Input, Output, Purpose, Reading, SCHEMA_TRIES_MAX, Say, Slot, hold_max,
};
use divisi_core::check::Check;
use divisi_core::content::Content;
use divisi_core::event::{Times, ToolCall, Turn};
use divisi_core::tokens::BYTES_OF_PROSE;
use divisi_core::{Digest, Failure, FailureClass, Millis, PicoUsd, Task, Timestamp};
use divisi_providers::{Block, ProviderError, Reply, Request};
use futures::future::BoxFuture;
use serde_json::Value;
use std::future::pending;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Longest last line of findings in a message, in bytes.
const LAST_LINE_BYTES_MAX: usize = 200;

/// Later than any timeout; the alarm is reset before it is first awaited.
const ALARM_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);

/// The outcome of an output.
enum Event {
    /// With its tools, if they differ from those of its assignment.
    Opened(Box<Result<(Place, Option<Toolset>), Failure>>),
    Granted(Option<u32>),
    Denied,
    PrefixNews,
    Permit(Slot, Result<Permit, Box<Closed>>),
    /// With the moment at which the reply began, in the attempt's time.
    Came(Slot, Box<Result<Reply, ProviderError>>, Option<Timestamp>),
    HedgeGranted(bool),
    Recorded,
    ToolsDone(Vec<Block>, Vec<ToolCall>),
    Checked(Box<Result<Option<String>, Failure>>),
    Worked(Box<AttemptResult>),
}

/// A step under way.
type Step = Option<BoxFuture<'static, Event>>;

/// Carries out one attempt to its end.
pub(crate) async fn carry_out(attempt: Box<Attempt>) -> AttemptResult {
    let mut performer = Box::new(Performer::new(attempt));
    performer.tell(Input::Begin);
    let result = performer.perform().await;
    // All steps have been dropped, so nothing works in the folder any more.
    match performer
        .place
        .take()
        .filter(|_| performer.is_tidied_up)
        .and_then(Arc::into_inner)
    {
        // A shared folder needs no cleaning up, and an extra await would move the result once more.
        Some(place) if place.is_shared() => result,
        Some(place) => place.leave(&performer.attempt.line, result).await,
        None => result,
    }
}

struct Performer {
    attempt: Arc<Attempt>,
    place: Option<Arc<Place>>,
    /// Whether its folder is cleaned up at the end: not if it was stopped during its work.
    is_tidied_up: bool,
    toolbox: Option<Arc<Toolbox>>,
    dialogue: Option<Dialogue>,
    verdicts: Option<Box<Verdicts>>,
    /// The current request.
    asked: Option<Asked>,
    admission: Option<Arc<Admission>>,
    permits: [Option<Permit>; 2],
    /// Errors of the two copies of the request.
    errors: [Option<Box<ProviderError>>; 2],
    /// The current reply, and what to record of it if it is new.
    reply: Option<Reply>,
    turn: Option<(Turn, Arc<str>)>,
    /// Results of the tools executed since the last request: JSON text.
    tool_results: Option<Arc<str>>,
    tools: Vec<ToolCall>,
    /// The result of a program.
    made: Option<Box<AttemptResult>>,
    /// Findings of a check.
    findings: Option<String>,
    /// Why the folder could not be prepared, or a check could not be made.
    failure: Option<Box<Failure>>,
    main: Step,
    second: Step,
    is_parking: bool,
}

/// The current request.
struct Asked {
    purpose: Purpose,
    request: Arc<Request>,
    model: Model,
    bytes: u64,
    digest: Digest,
    /// Longest reply in tokens, where that is less than was asked for.
    room: Option<u32>,
    /// When it was sent.
    sent_at: Option<Instant>,
}

impl Performer {
    fn new(attempt: Box<Attempt>) -> Self {
        Self {
            attempt: attempt.into(),
            place: None,
            is_tidied_up: true,
            toolbox: None,
            dialogue: None,
            verdicts: None,
            asked: None,
            admission: None,
            permits: [None, None],
            errors: [None, None],
            reply: None,
            turn: None,
            tool_results: None,
            tools: vec![],
            made: None,
            findings: None,
            failure: None,
            main: None,
            second: None,
            is_parking: false,
        }
    }

    fn tell(&self, input: Input) {
        let line = &self.attempt.line;
        line.state().handle(line.now(), input);
    }

    async fn perform(&mut self) -> AttemptResult {
        let line = self.attempt.line.clone();
        let mut stop = pin!(line.stop().cancelled());
        let mut parking = pin!(line.parking().cancelled());
        let mut alarm = pin!(sleep_until(Instant::now() + ALARM_MAX));
        loop {
            // Checked before each round, because the biased select below prefers finished steps.
            if line.stop().is_cancelled() {
                return self.stopped();
            }
            let timeout = loop {
                let (output, timeout) = {
                    let mut state = line.state();
                    let output = state.poll();
                    (
                        output,
                        if output.is_none() {
                            state.timeout()
                        } else {
                            None
                        },
                    )
                };
                match output {
                    Some(Output::End(ended)) => return self.end(ended),
                    Some(output) => self.does(output),
                    None => break timeout.map(|at| line.instant(at)),
                }
            };
            tokio::select! {
                // Steps are polled first: if one completes at once, no waker or timer is
                // registered.
                biased;
                event = next(&mut self.main) => self.happened(event),
                event = next(&mut self.second) => self.happened(event),
                () = &mut stop => return self.stopped(),
                () = &mut parking, if !self.is_parking => {
                    self.is_parking = true;
                    self.tell(Input::Park);
                }
                () = rings(alarm.as_mut(), timeout), if timeout.is_some() => self.tick(),
                () = line.changed() => {}
            }
        }
    }

    fn tick(&self) {
        let model = self.asked.as_ref().map(|asked| &asked.model.id);
        let durations = self.attempt.assignment.hedge.as_ref();
        let patience = durations
            .zip(model)
            .and_then(|(durations, model)| durations.patience(model));
        self.tell(Input::Tick {
            signs: self.attempt.line.signs(),
            patience,
        });
    }

    /// Performs an output.
    fn does(&mut self, output: Output) {
        let line = self.attempt.line.clone();
        match output {
            Output::Open => match Place::shared(&self.attempt) {
                Some(place) if !needs_servers(&self.attempt) => {
                    self.happened(Event::Opened(Box::new(Ok((place, None)))));
                }
                place => {
                    let attempt = self.attempt.clone();
                    self.main =
                        step(async move { Event::Opened(Box::new(opened(&attempt, place).await)) });
                }
            },
            Output::Build(purpose) => self.build(purpose),
            Output::Reuse(place) => self.reuse(place),
            Output::Order(bound) => {
                let (results, tools) = (self.tool_results.take(), std::mem::take(&mut self.tools));
                self.main = step(async move {
                    line.turn_wanted(results, tools, bound)
                        .await
                        .map_or(Event::Denied, Event::Granted)
                });
            }
            Output::AskPrefix { patient } => self.ask_prefix(patient),
            Output::AwaitPermit(slot) => {
                let Some(sending) = self.sending() else {
                    return;
                };
                match sending.ask() {
                    Leave::Answered(answer) => {
                        self.happened(Event::Permit(slot, answer.map_err(Box::new)));
                    }
                    Leave::Pending(pending) => {
                        // While the first copy is under way, the attempt as a whole is not waiting.
                        let shows = slot == Slot::First;
                        *self.step(slot) = step(async move {
                            Event::Permit(
                                slot,
                                sending.permit(pending, shows).await.map_err(Box::new),
                            )
                        });
                    }
                }
            }
            Output::Withdraw(slot) => {
                *self.step(slot) = None;
                self.permits[place(slot)] = None;
            }
            Output::Abandon(slot) => *self.step(slot) = None,
            Output::Send(slot, room) => self.send(slot, room),
            Output::Hedge => {
                self.second =
                    step(async move { Event::HedgeGranted(line.hedge_wanted().await.is_ok()) });
            }
            Output::HedgeEnded { billed } => line.hedge_ended(match billed {
                true => line.may_cost(),
                false => PicoUsd::ZERO,
            }),
            Output::Record => {
                if let Some((turn, json)) = self.turn.take() {
                    let durable = line.turn_ended(turn, json);
                    self.tell(Input::HandedOver);
                    self.main = step(async move {
                        durable.await.map_or(Event::Denied, |()| Event::Recorded)
                    });
                }
            }
            Output::UseTools { kept, may_run } => self.use_tools(kept, may_run),
            Output::Say(say) => self.say(say),
            Output::Work => {
                let (attempt, root) = (self.attempt.clone(), self.place.clone());
                self.main = step(async move {
                    Event::Worked(Box::new(work(attempt, root.as_deref()).await))
                });
            }
            Output::Check(check) => self.check(check),
            Output::End(_) => {}
        }
    }

    /// Passes the outcome of an output on to the attempt.
    fn happened(&mut self, event: Event) {
        match event {
            Event::Opened(place) => {
                let opened = (*place).and_then(|(place, tools)| self.open(place, tools));
                let ok = opened.is_ok();
                self.failure = opened.err().map(Box::new);
                self.tell(Input::Opened { ok });
            }
            Event::Granted(room) => self.tell(Input::Granted { room }),
            Event::Denied => self.tell(Input::Denied),
            Event::PrefixNews => self.tell(Input::PrefixNews),
            Event::Permit(slot, Ok(permit)) => {
                self.permits[place(slot)] = Some(permit);
                self.tell(Input::Permit(slot));
            }
            Event::Permit(slot, Err(closed)) => {
                self.errors[place(slot)] = Some(Box::new((*closed).into()));
                self.tell(Input::Closed(slot));
            }
            Event::Came(slot, came, begun) => match *came {
                Ok(reply) => self.replied(slot, reply, begun),
                Err(error) => self.failed(slot, error),
            },
            Event::HedgeGranted(true) => self.tell(Input::HedgeGranted),
            Event::HedgeGranted(false) => self.tell(Input::HedgeDenied),
            Event::Recorded => self.tell(Input::Recorded),
            Event::ToolsDone(results, tools) => {
                self.tools = tools;
                self.tool_results = serde_json::to_string(&results).ok().map(Into::into);
                self.use_results(results);
            }
            Event::Checked(checked) => {
                let accepted = checked.as_ref().as_ref().ok().map(Option::is_none);
                match *checked {
                    Ok(findings) => self.findings = findings,
                    Err(failure) => self.failure = Some(Box::new(failure)),
                }
                self.tell(Input::Checked(accepted));
            }
            Event::Worked(result) => {
                let input = match result.suspended.is_some() {
                    true => Input::Suspended,
                    false => Input::Worked {
                        ok: result.result.is_ok(),
                    },
                };
                self.made = Some(result);
                self.tell(input);
            }
        }
    }

    /// Prepares the attempt's tools and conversation in its folder.
    fn open(&mut self, place: Place, tools: Option<Toolset>) -> Result<(), Failure> {
        let place = self.place.insert(Arc::new(place));
        let Attempt {
            assignment,
            model,
            findings,
            ..
        } = &*self.attempt;
        if assignment.executor.is_some() {
            return Ok(());
        }
        let Some(model) = model else {
            return Err(Failure::new(
                FailureClass::Unavailable,
                "the task has no model",
            ));
        };
        let tools = tools.as_ref().unwrap_or(&assignment.tools);
        self.toolbox = Some(Arc::new(tools.at(place.root(), &assignment.setup)?));
        let brief = Brief {
            tools,
            ..assignment.brief()
        };
        let request = opening(brief, &model.id, findings.as_deref());
        self.dialogue = Some(Dialogue::new(request, assignment.task.schema.as_deref())?);
        Ok(())
    }

    fn build(&mut self, purpose: Purpose) {
        match self.asked(purpose) {
            Ok(asked) => {
                let (request, price) = (asked.digest, asked.model.price.as_deref());
                let bound = bound(price, asked.bytes, asked.request.max_tokens);
                self.asked = Some(asked);
                self.tell(Input::Built { request, bound });
            }
            Err(failure) => {
                self.failure = Some(Box::new(failure));
                self.tell(Input::Unbuilt);
            }
        }
    }

    fn asked(&mut self, purpose: Purpose) -> Result<Asked, Failure> {
        if let Purpose::Verdict(place) = purpose
            && self
                .verdicts
                .as_ref()
                .is_none_or(|verdicts| verdicts.place != place)
        {
            self.verdicts = Some(Box::new(self.verdicts_of(place)?));
        }
        let (dialogue, model) = match (purpose, &self.dialogue, &self.attempt.model, &self.verdicts)
        {
            (Purpose::Turn, Some(dialogue), Some(model), _) => (dialogue, model),
            (Purpose::Verdict(_), _, _, Some(verdicts)) => (&verdicts.dialogue, &verdicts.model),
            _ => {
                return Err(Failure::new(
                    FailureClass::Unavailable,
                    "the task has no model",
                ));
            }
        };
        let (request, bytes) = (dialogue.request().clone(), dialogue.bytes());
        // The identity of a request does not include the longest reply, so that a complete reply to
        // a shortened request is found again.
        let digest = request.digest();
        Ok(Asked {
            purpose,
            request,
            model: model.clone(),
            bytes,
            digest,
            room: None,
            sent_at: None,
        })
    }

    fn verdicts_of(&self, place: usize) -> Result<Verdicts, Failure> {
        let assignment = &self.attempt.assignment;
        match (
            assignment.task.check.get(place),
            assignment.judges.get(place),
        ) {
            (Some(Check::Judge(judge)), Some(Some(model))) => Verdicts::of(
                place,
                judge,
                model,
                assignment,
                &self.value().unwrap_or_default(),
            ),
            _ => Err(Failure::new(
                FailureClass::Unavailable,
                "the check has no judge",
            )),
        }
    }

    /// The result, if there is one: JSON text.
    fn value(&self) -> Option<Arc<str>> {
        match &self.made {
            Some(made) => made.result.as_ref().ok().cloned(),
            None => self
                .dialogue
                .as_ref()
                .and_then(|dialogue| dialogue.value().cloned()),
        }
    }

    fn reuse(&mut self, place: usize) {
        let kept = self.attempt.kept.get(place);
        let reply: Option<Reply> = kept.and_then(|kept| serde_json::from_str(&kept.reply).ok());
        let reading = reply.map(|reply| self.read(reply));
        self.tell(Input::Reused(reading));
    }

    /// Classifies a reply, which becomes the current one.
    fn read(&mut self, reply: Reply) -> Reading {
        let purpose = self.asked.as_ref().map(|asked| (asked.purpose, asked.room));
        let reading = match (purpose, &mut self.dialogue, &mut self.verdicts) {
            (Some((Purpose::Verdict(_), room)), _, Some(verdicts)) => {
                verdicts.read(&reply, room.is_some())
            }
            (Some(_), Some(dialogue), _) => dialogue.read(&reply),
            _ => Reading::Empty,
        };
        self.reply = Some(reply);
        reading
    }

    /// Admits the request, or waits for another one that writes its prefix.
    fn ask_prefix(&mut self, patient: bool) {
        let Some(Asked {
            request,
            model,
            bytes,
            ..
        }) = &self.asked
        else {
            return;
        };
        let most = hold_max(bytes / BYTES_OF_PROSE);
        match model
            .governors
            .admit(model.cached_tokens_min(), request, patient)
        {
            Ok(admission) => {
                self.admission = Some(Arc::new(admission));
                self.tell(Input::PrefixReady);
            }
            Err(Held { over, has_left }) => {
                let until = wall_clock() + most;
                self.attempt
                    .line
                    .shows_waiting(|attempt| Signal::Held { attempt, until });
                self.main = step(async move {
                    over.cancelled().await;
                    Event::PrefixNews
                });
                self.tell(Input::PrefixHeld { has_left, most });
            }
        }
    }

    /// The request in the form in which it is sent.
    fn sending(&self) -> Option<Sending> {
        let Asked {
            purpose,
            request,
            model,
            bytes,
            room,
            ..
        } = self.asked.as_ref()?;
        let request = match room {
            Some(max_tokens) => Arc::new(Request {
                max_tokens: *max_tokens,
                ..(**request).clone()
            }),
            None => request.clone(),
        };
        let durations = self
            .attempt
            .assignment
            .hedge
            .clone()
            .filter(|_| *purpose == Purpose::Turn);
        let (admission, line) = (self.admission.clone()?, self.attempt.line.clone());
        Some(Sending {
            request,
            model: model.clone(),
            bytes: *bytes,
            admission,
            durations,
            line,
        })
    }

    fn send(&mut self, slot: Slot, room: Option<u32>) {
        if let Some(asked) = &mut self.asked {
            asked.room = room;
            asked.sent_at.get_or_insert_with(Instant::now);
        }
        if let (Some(permit), Some(sending)) = (self.permits[place(slot)].take(), self.sending()) {
            self.attempt.line.shows_asking();
            *self.step(slot) = step(async move {
                let (reply, begun) = sending.exchange(slot, permit).await;
                Event::Came(slot, Box::new(reply), begun)
            });
        }
    }

    fn replied(&mut self, slot: Slot, reply: Reply, begun: Option<Timestamp>) {
        self.turn = self.turn_of(&reply, begun);
        let reading = self.read(reply);
        self.tell(Input::Replied { slot, reading });
    }

    /// The turn to record for a reply.
    fn turn_of(&self, reply: &Reply, begun: Option<Timestamp>) -> Option<(Turn, Arc<str>)> {
        let asked = self.asked.as_ref()?;
        let sent = self.attempt.line.state().sent().unwrap_or_default();
        let is_cut = asked.room.is_some() && reply.stop == divisi_core::attempt::Stop::MaxTokens;
        // A cut reply is recorded under the shortened request, so that a request with full room
        // does not reuse it.
        let request = match is_cut {
            true => self.sending()?.request.digest(),
            false => asked.digest,
        };
        let json = json(reply);
        let prices = &self.attempt.assignment.setup.prices;
        let turn = Turn {
            request,
            reply: Content::of(json.clone()).0,
            model: reply.model.as_str().into(),
            judges: asked.purpose != Purpose::Turn,
            usage: reply.usage,
            cost: prices
                .cost(&asked.model, reply, wall_clock())
                .unwrap_or(PicoUsd::ZERO),
            // A cost that the vendor itself states is none, whatever it counts.
            estimated: reply.usage_estimated && !reply.billing.is_stated(),
            took: Millis(asked.sent_at?.elapsed().as_millis() as u64),
            times: Times {
                sent,
                began: begun.map(|begun| begun.since(Timestamp(sent.0))),
                waits: self.attempt.line.take_waits(),
            },
        };
        Some((turn, json))
    }

    fn failed(&mut self, slot: Slot, error: ProviderError) {
        let (maybe_billed, again) = (
            error.maybe_billed,
            error.again.is_some() && slot == Slot::First,
        );
        if let Some(notice) = error
            .again
            .as_ref()
            .filter(|_| again)
            .and_then(|again| again.notice.as_ref())
        {
            self.attempt.line.log(format!("warning: {notice}"));
        }
        self.errors[place(slot)] = Some(Box::new(error));
        self.tell(Input::Failed {
            slot,
            maybe_billed,
            again,
        });
    }

    fn use_tools(&mut self, kept: Option<usize>, may_run: bool) {
        let recorded = kept.and_then(|place| self.attempt.kept.get(place));
        let recorded = recorded.and_then(|kept| kept.tool_results.as_ref());
        if let Some(results) = recorded.and_then(|json| serde_json::from_str(json).ok()) {
            return self.use_results(results);
        }
        let (Some(toolbox), Some(reply)) = (self.toolbox.clone(), self.reply.clone()) else {
            return;
        };
        let line = self.attempt.line.clone();
        self.main = step(async move {
            let (results, tools) = use_tools(&toolbox, &reply, may_run, &line).await;
            Event::ToolsDone(results, tools)
        });
    }

    fn use_results(&mut self, results: Vec<Block>) {
        self.asked = None;
        if let (Some(dialogue), Some(reply)) = (&mut self.dialogue, self.reply.take()) {
            dialogue.use_results(reply, results);
        }
        self.tell(Input::ToolsDone);
    }

    fn say(&mut self, say: Say) {
        // Dropped first: then the dialogue is the only owner of the request and need not copy it.
        let purpose = self.asked.take().map(|asked| asked.purpose);
        let Some(reply) = self.reply.take() else {
            return;
        };
        match (purpose, &mut self.dialogue, &mut self.verdicts) {
            (Some(Purpose::Verdict(_)), _, Some(verdicts)) => verdicts.dialogue.say(reply, say),
            (_, Some(dialogue), _) => dialogue.say(reply, say),
            _ => {}
        }
    }

    fn check(&mut self, check: usize) {
        let (attempt, root, value) = (self.attempt.clone(), self.place.clone(), self.value());
        self.main = step(async move {
            let Attempt {
                assignment, line, ..
            } = &*attempt;
            let value = value.unwrap_or_default();
            Event::Checked(Box::new(match (assignment.task.check.get(check), &root) {
                (Some(Check::Schema(schema)), _) => answer::misfit(schema, &value),
                (Some(Check::Command(command)), Some(place)) => {
                    check::run(command, assignment, &value, place.root(), line).await
                }
                _ => Ok(None),
            }))
        });
    }

    fn end(
        &mut self,
        Ended {
            end,
            unrecorded,
            unanswered,
        }: Ended,
    ) -> AttemptResult {
        (self.main, self.second, self.permits) = (None, None, [None, None]);
        let result = match end {
            End::Done | End::NoResult | End::Suspended => self
                .made
                .take()
                .map_or_else(|| self.answered(), |made| *made),
            End::Refused | End::NoVerdict(_) => self.refused(end),
            End::Cut(_, next_turn) => AttemptResult {
                next_turn: Some(next_turn),
                ..self.without_result(end)
            },
            End::NoReply(slot) => match self.errors[place(slot)].take() {
                Some(error) => unanswered_by(*error),
                None => self.without_result(end),
            },
            _ => self.without_result(end),
        };
        self.is_tidied_up = !matches!(end, End::Timeout | End::Stalled);
        let last_turn = self.turn.take().filter(|_| unrecorded);
        AttemptResult {
            last_turn,
            unanswered: result
                .unanswered
                .or_else(|| self.attempt.line.billable(unanswered)),
            ..result
        }
    }

    /// The result of an attempt that is stopped during its work.
    fn stopped(&mut self) -> AttemptResult {
        self.is_tidied_up = false;
        let unanswered = self.attempt.line.unanswered();
        AttemptResult {
            unanswered,
            ..Failure::new(FailureClass::Interrupted, "stopped").into()
        }
    }

    fn answered(&self) -> AttemptResult {
        let none = || Failure::new(FailureClass::Unavailable, "there is no answer");
        AttemptResult::of(self.value().ok_or_else(none))
    }

    /// The result of an attempt that a check has refused.
    fn refused(&mut self, end: End) -> AttemptResult {
        let verdicts = self.verdicts.as_deref();
        let findings = match (end, self.findings.take()) {
            (End::NoVerdict(_), _) => verdicts.map(Verdicts::no_verdict).unwrap_or_default(),
            (_, Some(findings)) => findings,
            (_, None) => verdicts
                .map(|verdicts| verdicts.findings.clone())
                .unwrap_or_default(),
        };
        let mut failure = Failure::new(FailureClass::Check, in_short(&findings))
            .hint("look at the result, with `divisi show`, or carry out the check by hand");
        let value = self.value().unwrap_or_default();
        failure.partial = Some(match value.len() {
            0..=Content::INLINE_BYTES_MAX => Content::Inline(value),
            _ => beginning(&value),
        });
        let made = self
            .made
            .take()
            .map_or_else(|| self.answered(), |made| *made);
        AttemptResult {
            result: Err(failure),
            findings: Some(findings.into()),
            ..made
        }
    }

    /// The result of an attempt without a reply or answer.
    fn without_result(&mut self, end: End) -> AttemptResult {
        let assignment = &self.attempt.assignment;
        let max_tokens = self
            .asked
            .as_ref()
            .map_or(0, |asked| asked.request.max_tokens);
        let failure = match end {
            End::NoPlace | End::Unbuilt | End::CheckFailed => self.failure.take(),
            _ => None,
        };
        let failure = failure.map(|failure| *failure).unwrap_or_else(|| match end {
            End::Turns => {
                let message = format!("did not finish in {} turns", assignment.turns_max);
                Failure::new(FailureClass::Turns, message)
                    .hint("raise `maxTurns` of the task or `turns_max` of the settings, or ask for less")
            }
            End::Schema => {
                let violations = self.dialogue.as_ref().map_or("", Dialogue::violations);
                let message = format!(
                    "no answer fitted the schema in {SCHEMA_TRIES_MAX} tries; the last: {violations}"
                );
                Failure::new(FailureClass::Schema, message)
            }
            End::Empty => {
                let message = "the answer was empty, and again when the model was asked once more";
                Failure::new(FailureClass::Empty, message)
                    .hint("ask another model, or raise `reply_tokens_max` for one that thinks at length")
            }
            End::NoCall => {
                let message =
                    "the model stopped to call a tool, but called none, and again when it was told so";
                Failure::new(FailureClass::Empty, message)
                    .hint("ask another model, or a server that passes on calls of tools")
            }
            End::Truncated => {
                let message = format!("the answer was cut off at {max_tokens} tokens");
                Failure::new(FailureClass::Truncated, message)
            }
            End::Cut(Purpose::Turn, _) => {
                let message = "the answer was cut off at the length that the budget had room for";
                Failure::new(FailureClass::Interrupted, message)
            }
            End::Cut(Purpose::Verdict(_), _) => {
                Failure::new(FailureClass::Interrupted, "the judge was cut off for want of money")
            }
            End::Declined => Failure::new(FailureClass::Declined, "the model declined to answer"),
            End::TooLong => {
                Failure::new(FailureClass::TooLong, "the conversation filled the model's context")
            }
            End::Timeout => {
                let message = format!("took longer than {}", seconds(assignment.timeout));
                Failure::new(FailureClass::Timeout, message)
            }
            End::Stalled => {
                let message = format!("no sign of progress for {}", seconds(assignment.idle_timeout));
                Failure::new(FailureClass::Stalled, message)
            }
            End::Stopped => Failure::new(FailureClass::Interrupted, "the run stopped"),
            End::NoPlace
            | End::Unbuilt
            | End::CheckFailed
            | End::Done
            | End::NoResult
            | End::Suspended
            | End::Refused
            | End::NoVerdict(_)
            | End::NoReply(_) => Failure::new(FailureClass::Unavailable, "the attempt came to nothing"),
        });
        let is_about_the_reply = matches!(
            end,
            End::Schema
                | End::Empty
                | End::NoCall
                | End::Truncated
                | End::Cut(Purpose::Turn, _)
                | End::Declined
                | End::TooLong
        );
        let said = self
            .reply
            .as_ref()
            .map(Reply::text)
            .filter(|_| is_about_the_reply);
        let said = said
            .as_deref()
            .map(answer::of)
            .filter(|said| !said.is_empty());
        let partial = said.map(beginning);
        AttemptResult::from(Failure { partial, ..failure })
    }

    fn step(&mut self, slot: Slot) -> &mut Step {
        match slot {
            Slot::First => &mut self.main,
            Slot::Second => &mut self.second,
        }
    }
}

/// Whether an attempt has tools of MCP servers.
fn needs_servers(attempt: &Attempt) -> bool {
    attempt.assignment.executor.is_none() && attempt.assignment.tools.selects_mcp()
}

/// The folder of an attempt, if it is not the shared one, and its tools, if some are of MCP
/// servers. Those come first, because an attempt without them leaves no folder behind.
async fn opened(
    attempt: &Attempt,
    place: Option<Place>,
) -> Result<(Place, Option<Toolset>), Failure> {
    let tools = match needs_servers(attempt) {
        true => {
            let tools = attempt.assignment.tools.connected().await?;
            for note in tools.take_notes() {
                attempt.line.log(note);
            }
            Some(tools)
        }
        false => None,
    };
    let place = match place {
        Some(place) => place,
        None => Place::worktree(attempt).await?,
    };
    Ok((place, tools))
}

/// Runs the program of an attempt.
async fn work(attempt: Arc<Attempt>, place: Option<&Place>) -> AttemptResult {
    let assignment = attempt.assignment.clone();
    let (Some(executor), Some(place)) = (&assignment.executor, place) else {
        return Failure::new(FailureClass::Unavailable, "the task has no executor").into();
    };
    let context = Context::new(given(&attempt, place.root()));
    let mut ended = AttemptResult::from(executor.run(&context).await);
    if let Some(suspended) = &ended.suspended {
        match suspended.goes_on && !assignment.may_ask {
            true => ended = undeclared().into(),
            false => return ended,
        }
    }
    context.settle();
    hold_to_schema(&mut ended, &assignment.task);
    ended
}

/// Fails an attempt whose result does not fit the task's schema.
pub(crate) fn hold_to_schema(ended: &mut AttemptResult, task: &Task) {
    if let (Ok(value), Some(schema)) = (&ended.result, task.schema.as_deref()) {
        match answer::misfit(schema, value) {
            Ok(None) => {}
            Ok(Some(violations)) => {
                let message =
                    format!("what its executor made does not fit the schema: {violations}");
                ended.result = Err(Failure::new(FailureClass::Schema, message));
            }
            Err(failure) => ended.result = Err(failure),
        }
    }
}

/// The parts of an attempt that its executor gets.
fn given(attempt: &Attempt, root: &Path) -> Given {
    let assignment = &attempt.assignment;
    let findings = attempt.findings.as_deref();
    let request = |model: &Model| opening(assignment.brief(), &model.id, findings);
    let agent = assignment.agent.as_deref();
    let (commands, forbidden) = assignment.tools.command_patterns();
    Given {
        id: attempt.id,
        task: assignment.task.clone(),
        root: root.to_owned(),
        findings: attempt.findings.clone(),
        scheduled: attempt.scheduled.clone(),
        model: attempt.model.clone(),
        request: attempt.model.as_ref().map(request),
        handle: attempt.handle.clone(),
        answer: attempt.answer.clone(),
        timeout: assignment.timeout,
        cost: assignment.cost,
        reserved: attempt.reserved,
        effort: assignment
            .task
            .effort
            .or(agent.and_then(|agent| agent.effort)),
        turns_max: assignment.turns_max,
        agent_prompt: agent.map(|agent| agent.prompt.clone()),
        rights: Rights {
            tools: assignment.tools.names().to_vec(),
            commands: commands.map(<[String]>::to_vec),
            forbidden: forbidden.to_vec(),
            permissions: assignment.setup.permissions,
            protected: assignment.setup.protected.clone(),
        },
        models: assignment.setup.models.clone(),
        prices: assignment.setup.prices.clone(),
        line: attempt.line.clone(),
    }
}

fn undeclared() -> Failure {
    let message =
        "its executor asks whether it may do something, and has not said that it can go on then";
    Failure::new(FailureClass::Program, message)
}

fn step(step: impl Future<Output = Event> + Send + 'static) -> Step {
    Some(Box::pin(step))
}

async fn next(step: &mut Step) -> Event {
    match step {
        Some(under_way) => {
            let event = under_way.await;
            *step = None;
            event
        }
        None => pending().await,
    }
}

/// Waits until `at`, or until the earlier moment that the alarm is set to. Setting it later takes a
/// lock shared by all timers, while waking once too often is cheap.
async fn rings(mut alarm: Pin<&mut Sleep>, at: Option<Instant>) {
    if let Some(at) = at.filter(|at| *at < alarm.deadline() || alarm.is_elapsed()) {
        alarm.as_mut().reset(at);
    }
    alarm.await;
}

fn place(slot: Slot) -> usize {
    match slot {
        Slot::First => 0,
        Slot::Second => 1,
    }
}

/// The result of an attempt whose request failed.
fn unanswered_by(error: ProviderError) -> AttemptResult {
    let (retry_after, should_retry) = (error.retry_after, error.should_retry);
    AttemptResult {
        retry_after,
        should_retry,
        ..Failure::from(error).into()
    }
}

/// The beginning of an unusable answer, for display: JSON text.
fn beginning(text: &str) -> Content {
    let most = text.floor_char_boundary(Content::INLINE_BYTES_MAX / 2);
    Content::Inline(Value::from(&text[..most]).to_string().into())
}

fn seconds(span: Millis) -> String {
    format!("{} s", span.0 as f64 / 1_000.0)
}

/// The first line of findings, which says which check they are of, and the last, which often says
/// what is wrong.
fn in_short(findings: &str) -> String {
    let mut lines = findings
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().trim_end_matches(':');
    match lines.next_back() {
        Some(last) => format!(
            "{first}: {}",
            &last[..last.floor_char_boundary(LAST_LINE_BYTES_MAX)]
        ),
        None => first.to_owned(),
    }
}
