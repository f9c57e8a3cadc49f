//! Tests of a run, written as stories.

mod attempts;
mod deaths;
mod depth;
mod hedge;
mod hopeless;
mod illegal;
mod ladder;
mod limits;
mod money;
mod nested;
mod parking;
mod reported;
mod resume;
mod suspended;
mod timers;
mod trace;

use super::{AttemptEnd, Run};
use crate::budget::TurnBound;
use crate::event::{Caps, FlowSource, RunLabel, TaskFacts, Times, Turn};
use crate::{
    AttemptId, Content, Digest, Event, Failure, Input, Key, Limits, Millis, PicoUsd, Timestamp,
    Usage,
};
use trace::{trace, traced};

/// Decides and applies.
fn step(run: &mut Run, input: Input) -> Vec<Event> {
    let now = Timestamp(0);
    let events = run.decide(now, input);
    for event in &events {
        run.apply(now, event).expect("what was decided can follow");
    }
    events
}

/// A run that has just begun.
fn started(limits: Limits) -> Run {
    let mut run = Run::new();
    step(
        &mut run,
        Input::Start {
            name: "test".into(),
            flow: flow_source(),
            limits,
            caps: Caps::default(),
        },
    );
    run
}

/// The same, taken up again.
fn resumed(mut run: Run) -> Run {
    let limits = run.limits().clone();
    step(
        &mut run,
        Input::Resume {
            flow: flow_source(),
            limits,
            caps: Caps::default(),
            reopen_failed: false,
            reopen: vec![],
        },
    );
    run
}

/// An attempt ends, and has cost nothing.
fn ended(attempt: AttemptId, result: Result<Content, Failure>) -> Input {
    let (usage, cost) = (Usage::default(), PicoUsd::ZERO);
    let end = AttemptEnd {
        usage,
        cost,
        ..AttemptEnd::of(result)
    };
    Input::AttemptEnded {
        attempt,
        end: Box::new(end),
    }
}

fn flow_source() -> FlowSource {
    FlowSource {
        label: RunLabel::default(),
        path: None,
        source: text("// a story"),
        args: None,
        folder: None,
        options: None,
    }
}

fn key(prompt: &str) -> Key {
    Key(Digest::of(prompt.as_bytes()))
}

fn facts(label: &str, priority: u32, first_turn_max: PicoUsd) -> TaskFacts {
    TaskFacts {
        label: label.into(),
        executor: "api".into(),
        priority,
        first_turns: vec![TurnBound::fixed(first_turn_max)],
        ..TaskFacts::default()
    }
}

fn turn(request: &str, cost: PicoUsd) -> Turn {
    Turn {
        request: Digest::of(request.as_bytes()),
        reply: text("reply"),
        model: "haiku".into(),
        usage: Usage {
            input: 10,
            output: 1,
            ..Usage::default()
        },
        cost,
        judges: false,
        estimated: false,
        took: Millis(1),
        times: Times::default(),
    }
}

fn text(text: &str) -> Content {
    Content::Inline(text.into())
}
