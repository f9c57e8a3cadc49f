//! Attempts that wait for something outside of the process.

use super::*;
use crate::event::{Event, ParkReason, RunStatus, Suspension};
use crate::run::{Stage, Submission, TaskStage};
use crate::{FailureClass, TaskId};

const TASK: TaskId = TaskId(0);
const ATTEMPT: AttemptId = AttemptId {
    task: TASK,
    number: 1,
};

fn submission(name: &str) -> Input {
    let facts = facts(name, 0, PicoUsd(100));
    Input::Submit(Box::new(Submission::new(
        key(name),
        facts,
        text("{}"),
        None,
    )))
}

fn suspended(reserved: u64) -> Input {
    let suspension = Suspension {
        reserved: PicoUsd(reserved),
        ..Suspension::of("person")
    };
    Input::AttemptSuspended {
        attempt: ATTEMPT,
        suspension: Box::new(suspension),
    }
}

fn answered(result: Result<Content, Failure>) -> Input {
    Input::Resolve {
        task: TASK,
        end: Box::new(AttemptEnd::of(result)),
    }
}

/// A run of one task, which waits for a person.
fn waiting(reserved: u64) -> Run {
    let mut run = started(Limits {
        in_flight_max: 1,
        ..Limits::default()
    });
    step(&mut run, submission("ask"));
    step(&mut run, Input::CaughtUp);
    step(&mut run, Input::Tick);
    step(&mut run, suspended(reserved));
    run
}

#[test]
fn it_holds_no_slot_and_keeps_what_it_says() {
    let mut run = waiting(30);
    assert_eq!(run.in_flight(), 0);
    assert_eq!(run.budget().reserved, PicoUsd(30));
    assert_eq!(
        run.task(TASK).unwrap().stage(),
        &TaskStage::Suspended(ATTEMPT)
    );
    step(&mut run, submission("other"));
    step(&mut run, Input::Tick);
    assert_eq!(run.in_flight(), 1, "of one slot");
    assert_eq!(
        step(&mut run, Input::FlowWaits),
        [],
        "something is under way"
    );
    let all = waiting(1_000);
    assert_eq!(all.budget().reserved, PicoUsd(100), "no more than it had");
}

#[test]
fn the_run_rests_once_all_the_rest_waits_for_an_answer() {
    let mut run = waiting(0);
    assert_eq!(step(&mut run, Input::Tick), [], "the flow may ask for more");
    let reason = ParkReason::Suspended { tasks: 1 };
    step(&mut run, Input::FlowWaits);
    assert_eq!(run.stage(), &Stage::Parked(reason.clone()));
    let mut ended = waiting(0);
    step(&mut ended, Input::FlowEnded(Ok(text("null"))));
    step(&mut ended, Input::Tick);
    assert_eq!(
        ended.stage(),
        &Stage::Parked(reason),
        "its last task still gets its turn"
    );
}

#[test]
fn an_answer_is_taken_once_while_nothing_drives_the_run() {
    let mut run = waiting(30);
    step(&mut run, Input::FlowWaits);
    assert_eq!(step(&mut run, answered(Ok(text("yes")))).len(), 2);
    assert_eq!(step(&mut run, answered(Ok(text("no")))), []);
    assert_eq!(
        (run.budget().reserved, run.budget().settled),
        (PicoUsd(0), PicoUsd(0))
    );
    let mut run = resumed(run);
    step(&mut run, submission("ask"));
    let caught_up = Event::CaughtUp {
        reused: 1,
        saved: PicoUsd(0),
        to_run: 0,
    };
    assert_eq!(step(&mut run, Input::CaughtUp), [caught_up]);
}

#[test]
fn a_resume_waits_for_the_same_and_does_not_call_it_lost() {
    let mut run = resumed(waiting(30));
    assert_eq!(
        step(&mut run, answered(Ok(text("yes")))),
        [],
        "the flow has not asked for it"
    );
    step(&mut run, submission("ask"));
    step(&mut run, Input::CaughtUp);
    assert_eq!(step(&mut run, Input::Tick), [], "it does not start again");
    assert_eq!(run.budget().reserved, PicoUsd(30));
    step(&mut run, answered(Ok(text("yes"))));
    step(&mut run, Input::FlowEnded(Ok(text("null"))));
    step(&mut run, Input::Tick);
    assert_eq!(run.stage(), &Stage::Ended(RunStatus::Ok));
}

#[test]
fn a_bad_answer_is_a_failure_like_any_other() {
    let mut run = waiting(0);
    step(
        &mut run,
        answered(Err(Failure::new(FailureClass::Declined, "no"))),
    );
    assert!(run.task(TASK).unwrap().outcome().is_some());
    let mut run = waiting(0);
    step(
        &mut run,
        answered(Err(Failure::new(FailureClass::Network, "gone"))),
    );
    assert!(
        matches!(run.task(TASK).unwrap().stage(), TaskStage::Resting(_)),
        "it is tried again"
    );
}

#[test]
fn a_cancelled_run_counts_what_it_may_cost() {
    let mut run = waiting(30);
    step(&mut run, Input::Cancel);
    assert_eq!(
        (run.budget().settled, run.budget().unconfirmed),
        (PicoUsd(30), PicoUsd(30))
    );
    assert_eq!(run.stage(), &Stage::Ended(RunStatus::Cancelled));
}
