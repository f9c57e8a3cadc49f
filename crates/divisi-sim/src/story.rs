//! How a simulation is told: a line for whatever happens.

use divisi_core::event::ParkReason;
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
        Event::RunStarted(started) => format!("started   cap {}", cap(started.cap)),
        Event::RunResumed(resumed) => {
            let failed = if resumed.reopen_failed { ", failed tasks again" } else { "" };
            format!("resumed   cap {}{failed}", cap(resumed.cap))
        }
        Event::CaughtUp { reused, to_run, .. } => format!("caught up {reused} reused, {to_run} to run"),
        Event::PhaseStarted { title } => format!("phase     {title}"),
        Event::Logged { message } => format!("logged    {message}"),
        Event::TaskSubmitted(task) => {
            format!(
                "submitted {} {}/{} up to {}",
                task.task, task.key, task.occurrence, task.facts.first_turn_max.0
            )
        }
        Event::TaskClaimed { task, .. } => format!("claimed   {task}"),
        Event::AttemptScheduled { attempt, reserved, .. } => {
            format!("scheduled {attempt} for {}", reserved.0)
        }
        Event::TurnScheduled { attempt, reserved, .. } => format!("turn      {attempt} for {}", reserved.0),
        Event::TurnEnded { attempt, turn } => format!("reply     {attempt} cost {}", turn.cost.0),
        Event::AttemptEnded { attempt, failure, cost, next_turn_max, .. } => {
            let how = failure.as_ref().map_or("success", |failure| failure.class.as_str());
            format!("ended     {attempt} {how}, cost {}, next up to {}", cost.0, next_turn_max.0)
        }
        Event::RetryPlanned { task, due } => format!("retry     {task} at {} ms", due.0),
        Event::TaskEnded { task, outcome } => match outcome {
            Outcome::Failed(failure) => format!("outcome   {task} failed: {}", failure.class),
            Outcome::Ok { .. } | Outcome::Skipped { .. } | Outcome::Cancelled => {
                format!("outcome   {task} {}", outcome.status())
            }
        },
        Event::ParkingStarted { reason } => format!("parking   {}", why(reason)),
        Event::RunParked { reason } => format!("parked    {}", why(reason)),
        Event::FlowEnded { result } => {
            format!("flow      {}", if result.is_ok() { "returned" } else { "failed" })
        }
        Event::RunEnded { status } => format!("over      {status:?}"),
    }
}

fn why(reason: &ParkReason) -> &'static str {
    match reason {
        ParkReason::Asked => "asked",
        ParkReason::Budget => "budget",
        ParkReason::Quota { .. } => "quota",
    }
}

fn cap(cap: Option<PicoUsd>) -> String {
    cap.map_or_else(|| "none".into(), |cap| cap.0.to_string())
}
