//! Timers of a flow.

use super::*;
use crate::event::{Event, ParkReason, RunStatus, Suspension, TaskFacts};
use crate::run::{Stage, Submission};
use crate::{Outcome, TaskId};

const TIMER: TaskId = TaskId(0);

/// Decides and applies at this moment; returns the outcomes.
fn at(run: &mut Run, now: u64, input: Input) -> Vec<(TaskId, bool)> {
    let now = Timestamp(now);
    let events = run.decide(now, input);
    for event in &events {
        run.apply(now, event).expect("what was decided can follow");
    }
    let outcome = |event: &Event| match event {
        Event::TaskEnded { task, outcome } => Some((*task, outcome.is_ok())),
        _ => None,
    };
    events.iter().filter_map(outcome).collect()
}

fn timer(millis: u64) -> Input {
    let facts = TaskFacts {
        label: "wait".into(),
        executor: "timer".into(),
        wait: Some(Millis(millis)),
        ..TaskFacts::default()
    };
    let key = key(&format!("{millis} ms"));
    Input::Submit(Box::new(Submission::new(key, facts, text("{}"), None)))
}

fn agent(name: &str) -> Input {
    let submission = Submission::new(key(name), facts(name, 0, PicoUsd(1)), text("{}"), None);
    Input::Submit(Box::new(submission))
}

/// A run of one slot, with a timer that was requested at 1,000.
fn waiting(millis: u64) -> Run {
    let mut run = started(Limits {
        in_flight_max: 1,
        ..Limits::default()
    });
    at(&mut run, 1_000, timer(millis));
    run
}

#[test]
fn a_timer_takes_no_slot_and_fires_at_its_time() {
    let mut run = waiting(500);
    at(&mut run, 1_000, agent("a"));
    at(&mut run, 1_000, Input::Tick);
    assert_eq!(run.in_flight(), 1, "of one slot");
    assert_eq!(run.wake_at(), Some(Timestamp(1_500)));
    assert_eq!(at(&mut run, 1_499, Input::Tick), []);
    assert_eq!(at(&mut run, 1_500, Input::Tick), [(TIMER, true)]);
    assert_eq!(run.wake_at(), None);
    assert_eq!(run.task(TIMER).unwrap().attempts(), 0);
}

#[test]
fn timers_fire_in_the_order_of_their_times() {
    let mut run = waiting(900);
    at(&mut run, 1_100, timer(200));
    at(&mut run, 1_100, timer(5_000));
    let fired = at(&mut run, 2_000, Input::Tick);
    assert_eq!(fired, [(TaskId(1), true), (TIMER, true)]);
}

#[test]
fn a_resume_keeps_the_time_and_fires_only_what_is_requested_again() {
    let mut run = waiting(60_000);
    at(&mut run, 1_000, timer(70_000));
    let mut again = resumed(run);
    assert_eq!(at(&mut again, 90_000, Input::Tick), [], "it replays");
    assert_eq!(again.wake_at(), None);
    at(&mut again, 90_000, timer(60_000));
    assert_eq!(at(&mut again, 90_000, Input::CaughtUp), []);
    assert_eq!(at(&mut again, 90_000, Input::Tick), [(TIMER, true)]);
    assert_eq!(again.wake_at(), None, "the other was not requested");
}

#[test]
fn a_timer_that_fired_keeps_its_place_among_the_outcomes() {
    let mut run = waiting(500);
    at(&mut run, 1_000, agent("a"));
    at(&mut run, 1_000, Input::Tick);
    at(&mut run, 1_500, Input::Tick);
    let mut again = resumed(run);
    at(&mut again, 9_000, timer(500));
    assert!(
        again
            .task(TIMER)
            .unwrap()
            .outcome()
            .is_some_and(Outcome::is_ok)
    );
    assert_eq!((again.reused(), again.counts().total()), (0, 0));
}

#[test]
fn a_flow_that_has_ended_needs_no_timers() {
    let mut run = waiting(600_000);
    at(&mut run, 1_000, agent("a"));
    at(&mut run, 1_000, Input::Tick);
    let attempt = AttemptId {
        task: TaskId(1),
        number: 1,
    };
    at(&mut run, 1_100, ended(attempt, Ok(text("1"))));
    at(&mut run, 1_100, Input::Tick);
    at(&mut run, 1_200, Input::FlowEnded(Ok(text("1"))));
    assert_eq!(at(&mut run, 1_200, Input::Tick), [(TIMER, false)]);
    at(&mut run, 1_200, Input::Tick);
    assert_eq!(run.stage(), &Stage::Ended(RunStatus::Ok));
    assert_eq!((run.counts().ok, run.counts().skipped), (1, 0));
    // It was not finished, so it waits again.
    let mut again = resumed(run);
    at(&mut again, 2_000, timer(600_000));
    at(&mut again, 2_000, Input::CaughtUp);
    assert_eq!(again.wake_at(), Some(Timestamp(601_000)));
}

#[test]
fn a_run_with_a_timer_does_not_rest_for_answers() {
    let mut run = waiting(500);
    at(&mut run, 1_000, agent("ask"));
    at(&mut run, 1_000, Input::Tick);
    let suspension = Box::new(Suspension::of("person"));
    let attempt = AttemptId {
        task: TaskId(1),
        number: 1,
    };
    at(
        &mut run,
        1_000,
        Input::AttemptSuspended {
            attempt,
            suspension,
        },
    );
    at(&mut run, 1_000, Input::FlowWaits);
    assert_eq!(run.stage(), &Stage::Running);
    assert_eq!(at(&mut run, 1_500, Input::Tick), [(TIMER, true)]);
    at(&mut run, 1_500, Input::FlowWaits);
    let rests = Stage::Parked(ParkReason::Suspended { tasks: 1 });
    assert_eq!(run.stage(), &rests);
}

#[test]
fn a_parked_run_fires_no_timer() {
    let mut run = waiting(500);
    at(&mut run, 1_000, Input::Park);
    assert_eq!(at(&mut run, 9_000, Input::Tick), []);
    assert_eq!(run.wake_at(), None);
}
