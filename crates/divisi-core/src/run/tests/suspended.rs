//! Attempts that wait for something outside of the process.

use super::*;
use crate::event::{AnsweredBy, Event, ParkReason, RunStatus, Suspension};
use crate::run::{Stage, Submission, TaskStage};
use crate::{FailureClass, Outcome, TaskId};

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
    step(&mut ended, Input::FlowWaits);
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

fn at(run: &mut Run, now: u64, input: Input) -> Vec<Event> {
    let now = Timestamp(now);
    let events = run.decide(now, input);
    for event in &events {
        run.apply(now, event).expect("what was decided can follow");
    }
    events
}

/// A run of one question with this default, which waits no longer than 1,000 ms.
fn asking(default: Option<&str>) -> Run {
    let mut run = started(Limits::default());
    step(&mut run, submission("ask"));
    step(&mut run, Input::CaughtUp);
    at(&mut run, 100, Input::Tick);
    let suspension = Box::new(Suspension {
        default: default.map(text),
        timeout: Some(Millis(1_000)),
        ..Suspension::of("person")
    });
    at(
        &mut run,
        500,
        Input::AttemptSuspended {
            attempt: ATTEMPT,
            suspension,
        },
    );
    run
}

fn by(run: &Run) -> (Option<AnsweredBy>, Option<&Outcome>) {
    let task = run.task(TASK).unwrap();
    (task.answered_by(), task.outcome())
}

#[test]
fn the_time_of_a_question_counts_from_its_record_over_a_resume() {
    let mut run = asking(Some("false"));
    assert_eq!(run.wake_at(), Some(Timestamp(1_500)));
    assert_eq!(at(&mut run, 1_499, Input::Tick), []);
    step(&mut run, Input::FlowWaits);
    assert_eq!(run.wake_at(), None, "a parked run wakes for nothing");
    let mut run = resumed(run);
    assert_eq!(at(&mut run, 9_000, Input::Tick), [], "not while it replays");
    step(&mut run, submission("ask"));
    step(&mut run, Input::CaughtUp);
    at(&mut run, 9_000, Input::Tick);
    let value = text("false");
    assert_eq!(
        by(&run),
        (Some(AnsweredBy::Timeout), Some(&Outcome::Ok { value }))
    );
    assert_eq!(run.wake_at(), None);
}

#[test]
fn a_question_without_a_default_fails_at_the_end_of_its_time_and_is_not_asked_again() {
    let mut run = asking(None);
    at(&mut run, 1_500, Input::Tick);
    let (by, outcome) = by(&run);
    assert_eq!(by, Some(AnsweredBy::Timeout));
    let Some(Outcome::Failed(failure)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(failure.class, FailureClass::Timeout);
    assert_eq!(
        failure.message,
        "there was no answer within 1s, and it has no default"
    );
}

#[test]
fn an_answer_in_time_stays_and_a_default_is_only_taken_by_a_question_that_has_one() {
    let mut run = asking(Some("false"));
    step(&mut run, answered(Ok(text("true"))));
    assert_eq!(at(&mut run, 1_500, Input::Tick), []);
    assert_eq!(at(&mut run, 1_500, Input::TakeDefault { task: TASK }), []);
    let mut run = asking(None);
    assert_eq!(step(&mut run, Input::TakeDefault { task: TASK }), []);
    let mut run = asking(Some("false"));
    assert_eq!(step(&mut run, Input::TakeDefault { task: TASK }).len(), 2);
    assert_eq!(by(&run).0, Some(AnsweredBy::Default));
}

/// A question of abandoned work: what may still be billed counts as unconfirmed.
#[test]
fn a_default_books_what_the_suspended_work_has_kept() {
    for ends in [Input::Tick, Input::TakeDefault { task: TASK }] {
        let mut run = waiting(0);
        let suspension = Suspension {
            reserved: PicoUsd(30),
            default: Some(text("false")),
            timeout: Some(Millis(1)),
            ..Suspension::of("remote")
        };
        step(
            &mut run,
            answered(Err(Failure::new(FailureClass::Server, "once more"))),
        );
        at(&mut run, 60_000, Input::Tick);
        at(
            &mut run,
            60_000,
            Input::AttemptSuspended {
                attempt: AttemptId {
                    number: 2,
                    ..ATTEMPT
                },
                suspension: Box::new(suspension),
            },
        );
        at(&mut run, 60_001, ends);
        assert_eq!(run.budget().unconfirmed, PicoUsd(30));
        assert_eq!(run.budget().reserved, PicoUsd::ZERO);
        assert!(by(&run).0.is_some());
    }
}

/// The default of a question of an agent is the answer with which it goes on, not its result.
#[test]
fn a_default_of_an_agent_that_goes_on_starts_its_next_attempt() {
    let mut run = waiting(0);
    step(
        &mut run,
        answered(Err(Failure::new(FailureClass::Server, "once more"))),
    );
    at(&mut run, 60_000, Input::Tick);
    let suspension = Suspension {
        goes_on: true,
        default: Some(text("no")),
        ..Suspension::of("agent")
    };
    let attempt = AttemptId {
        number: 2,
        ..ATTEMPT
    };
    let suspension = Box::new(suspension);
    at(
        &mut run,
        60_000,
        Input::AttemptSuspended {
            attempt,
            suspension,
        },
    );
    at(&mut run, 60_000, Input::TakeDefault { task: TASK });
    assert_eq!(by(&run).1, None);
    at(&mut run, 60_000, Input::Tick);
    assert_eq!(run.in_flight(), 1);
}

/// A task whose outcome is known when it is asked for again needs no answer.
#[test]
fn an_outcome_that_is_known_ends_the_wait_and_books_what_it_kept() {
    let mut run = waiting(30);
    step(&mut run, Input::FlowWaits);
    let mut run = resumed(run);
    let Input::Submit(submission) = submission("ask") else {
        unreachable!()
    };
    let reason = "it is of no use".into();
    step(
        &mut run,
        Input::Submit(Box::new(Submission {
            outcome: Some(Outcome::Skipped { reason }),
            ..*submission
        })),
    );
    assert_eq!(run.budget().unconfirmed, PicoUsd(30));
    assert_eq!(run.suspended().count(), 0);
}

#[test]
fn a_cap_set_on_the_way_holds_for_what_waits() {
    let mut run = started(Limits {
        in_flight_max: 1,
        ..Limits::default()
    });
    for name in ["a", "b", "c"] {
        step(&mut run, submission(name));
    }
    step(&mut run, Input::CaughtUp);
    step(&mut run, Input::Tick);
    assert_eq!(run.in_flight(), 1);
    step(&mut run, Input::Width(3));
    step(&mut run, Input::Cap(PicoUsd(200)));
    assert_eq!(step(&mut run, Input::Cap(PicoUsd(200))), [], "nothing new");
    step(&mut run, Input::Tick);
    assert_eq!(run.in_flight(), 2, "the third would break the cap");
    step(&mut run, Input::Cap(PicoUsd(300)));
    step(&mut run, Input::Tick);
    assert_eq!(run.in_flight(), 3);
    step(&mut run, Input::Width(1));
    assert_eq!(run.in_flight(), 3, "what is under way goes on");
    assert_eq!(run.changed_cap(), Some(PicoUsd(300)));
    assert_eq!(resumed(run).changed_cap(), None, "a resume states its own");
}
