//! How a simulation is told: a line for whatever happens.

use divisi_core::budget::TurnBound;
use divisi_core::event::{Caps, ParkReason};
use divisi_core::{Event, Outcome, PicoUsd, Timestamp};
use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;

/// A story being told, or one that nobody listens to.
#[derive(Clone, Debug)]
pub(crate) struct Story(Option<Rc<RefCell<String>>>);

impl Story {
    pub(crate) fn told() -> Self {
        Self(Some(Rc::default()))
    }

    pub(crate) fn untold() -> Self {
        Self(None)
    }

    /// What has been told so far.
    pub(crate) fn text(&self) -> String {
        self.0.as_ref().map(|text| text.borrow().clone()).unwrap_or_default()
    }

    /// Adds a line, which is made only if somebody listens.
    pub(crate) fn tell(&self, at: Timestamp, line: impl FnOnce() -> String) {
        if let Some(text) = &self.0 {
            // A string takes everything.
            let _ = writeln!(text.borrow_mut(), "{:>7} ms  {}", at.0, line());
        }
    }
}

/// An event in one line.
pub(crate) fn line(event: &Event) -> String {
    match event {
        Event::RunStarted(started) => format!("started   {}", caps(&started.caps)),
        Event::RunResumed(resumed) => {
            let failed = if resumed.reopen_failed { ", failed tasks again" } else { "" };
            format!("resumed   {}{failed}", caps(&resumed.caps))
        }
        Event::CaughtUp { reused, to_run, .. } => format!("caught up {reused} reused, {to_run} to run"),
        Event::PhaseStarted { title, cap: most } => format!("phase     {title}, cap {}", cap(*most)),
        Event::Logged { message } => format!("logged    {message}"),
        Event::TaskSubmitted(task) => {
            let first = task.facts.first_turns.first().map(bound).unwrap_or_default();
            let own = task.facts.cost_max.map(|most| format!(", own {}", most.0)).unwrap_or_default();
            let phase = task.facts.phase.as_ref().map(|phase| format!(", in {phase}")).unwrap_or_default();
            format!("submitted {} {}/{} up to {first}{own}{phase}", task.task, task.key, task.occurrence)
        }
        Event::TaskClaimed { task, .. } => format!("claimed   {task}"),
        Event::AttemptScheduled { attempt, model, reserved, reply_tokens } => {
            let on = model.as_ref().map(|model| format!(" on {model}")).unwrap_or_default();
            format!("scheduled {attempt}{on} for {}{}", reserved.0, room(*reply_tokens))
        }
        Event::TurnScheduled { attempt, reserved, reply_tokens, .. } => {
            format!("turn      {attempt} for {}{}", reserved.0, room(*reply_tokens))
        }
        Event::TurnHedged { attempt, reserved } => format!("hedged    {attempt} for {}", reserved.0),
        Event::HedgeEnded { attempt, cost } => format!("given up  {attempt} cost {}", cost.0),
        Event::TurnEnded { attempt, turn } => format!("reply     {attempt} cost {}", turn.cost.0),
        Event::AttemptEnded { attempt, failure, cost, next_turn, .. } => {
            let how = failure.as_ref().map_or("success", |failure| failure.class.as_str());
            let next = next_turn.as_ref().map(|next| format!(", next {}", bound(next))).unwrap_or_default();
            format!("ended     {attempt} {how}, cost {}{next}", cost.0)
        }
        Event::RetryPlanned { task, due } => format!("retry     {task} at {} ms", due.0),
        Event::TaskEnded { task, outcome } => match outcome {
            Outcome::Failed(failure) => format!("outcome   {task} failed: {}", failure.class),
            Outcome::Ok { .. } | Outcome::Skipped { .. } | Outcome::Cancelled => {
                format!("outcome   {task} {}", outcome.status())
            }
        },
        Event::Estimated { estimate } => format!("estimated {}", estimate.cost.p50.0),
        Event::SoftLimitReached { spent, cap } => format!("warned    {} of {} spent", spent.0, cap.0),
        Event::ParkingStarted { reason } => format!("parking   {}", why(reason)),
        Event::RunParked { reason } => format!("parked    {}", why(reason)),
        Event::WaitStarted { until } => format!("waits     until {} ms", until.0),
        Event::RunWoken => "woken".into(),
        Event::FlowEnded { result } => {
            format!("flow      {}", if result.is_ok() { "returned" } else { "failed" })
        }
        Event::RunEnded { status } => format!("over      {status:?}"),
    }
}

fn why(reason: &ParkReason) -> String {
    match reason {
        ParkReason::Asked => "asked".into(),
        ParkReason::Budget { phase: None } => "budget".into(),
        ParkReason::Budget { phase: Some(phase) } => format!("budget of {phase}"),
        ParkReason::Hopeless { failed, class, .. } => format!("hopeless: {failed}, {class}"),
        ParkReason::Quota { .. } => "quota".into(),
    }
}

fn caps(caps: &Caps) -> String {
    let phases = caps.phases.iter().map(|(phase, most)| format!(", {phase} {}", most.0));
    format!("cap {}{}", cap(caps.run), phases.collect::<String>())
}

fn cap(cap: Option<PicoUsd>) -> String {
    cap.map_or_else(|| "none".into(), |cap| cap.0.to_string())
}

fn bound(bound: &TurnBound) -> String {
    let TurnBound { prompt, reply_token, reply_tokens_max, reply_tokens_min } = bound;
    format!("{} + {reply_tokens_min}..{reply_tokens_max} at {}", prompt.0, reply_token.0)
}

fn room(reply_tokens: Option<u32>) -> String {
    reply_tokens.map(|tokens| format!(", {tokens} tokens")).unwrap_or_default()
}
