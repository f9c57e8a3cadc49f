//! What carries out an attempt says how far it is: what it has cost, and how its work is
//! found again.

use super::*;
use crate::budget::Budget;
use crate::event::{ParkReason, Suspension};
use crate::run::{Bill, Report, Session, Stage, Submission, TaskStage};
use crate::{FailureClass, Outcome, TaskId};

const TASK: TaskId = TaskId(0);

fn attempt(number: u32) -> AttemptId {
    AttemptId { task: TASK, number }
}

/// A run of one task of which an attempt may cost 100.
fn at_work(caps: Caps, facts: TaskFacts) -> Run {
    let mut run = Run::new();
    let limits = Limits::default();
    step(
        &mut run,
        Input::Start {
            name: "test".into(),
            flow: flow_source(),
            limits,
            caps,
        },
    );
    submit(&mut run, facts);
    step(&mut run, Input::CaughtUp);
    step(&mut run, Input::Tick);
    run
}

fn submit(run: &mut Run, facts: TaskFacts) {
    let submission = Submission::new(key("work"), facts, text("{}"), None);
    step(run, Input::Submit(Box::new(submission)));
}

fn bounded() -> TaskFacts {
    facts("work", 0, PicoUsd(100))
}

fn unbounded() -> TaskFacts {
    TaskFacts {
        unbounded: true,
        first_turns: vec![],
        ..bounded()
    }
}

fn costs(run: &mut Run, bill: Bill) -> Vec<Event> {
    let report = Box::new(Report {
        model: None,
        usage: Usage {
            output: 1,
            ..Usage::default()
        },
        bill,
        handle: None,
    });
    step(
        run,
        Input::AttemptReports {
            attempt: attempt(1),
            report,
        },
    )
}

fn has_handle(run: &mut Run, handle: &str) {
    let report = Report {
        model: None,
        usage: Usage::default(),
        bill: Bill::Of(PicoUsd(0)),
        handle: Some(text(handle)),
    };
    step(
        run,
        Input::AttemptReports {
            attempt: attempt(1),
            report: Box::new(report),
        },
    );
}

fn money(run: &Run) -> (u64, u64, u64, u64) {
    let Budget {
        reserved,
        settled,
        unconfirmed,
        over,
        ..
    } = *run.budget();
    (reserved.0, settled.0, unconfirmed.0, over.0)
}

#[test]
fn what_is_reported_is_spent_at_once_of_what_was_set_aside() {
    let mut run = at_work(Caps::of(Some(PicoUsd(150))), bounded());
    assert_eq!(money(&run), (100, 0, 0, 0));
    costs(&mut run, Bill::Of(PicoUsd(30)));
    costs(&mut run, Bill::Of(PicoUsd(40)));
    assert_eq!(money(&run), (30, 70, 0, 0));
    assert_eq!(
        (run.usage().output, run.task(TASK).unwrap().cost()),
        (2, PicoUsd(70))
    );
    step(&mut run, ended(attempt(1), Ok(text("done"))));
    assert_eq!(money(&run), (0, 70, 0, 0), "what is left comes free");
}

#[test]
fn a_program_that_says_nothing_may_have_cost_all_that_was_set_aside() {
    let mut run = at_work(Caps::default(), bounded());
    costs(&mut run, Bill::Of(PicoUsd(30)));
    costs(&mut run, Bill::Unknown);
    assert_eq!(money(&run), (0, 100, 70, 0));
    step(&mut run, ended(attempt(1), Ok(text("done"))));
    assert_eq!(money(&run), (0, 100, 70, 0));
}

#[test]
fn one_that_costs_more_than_was_set_aside_is_ended_and_so_is_the_start_of_others() {
    let mut run = at_work(Caps::of(Some(PicoUsd(150))), bounded());
    costs(&mut run, Bill::Of(PicoUsd(90)));
    let events = costs(&mut run, Bill::Of(PicoUsd(25)));
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!(money(&run), (0, 100, 0, 15), "it is booked");
    let Some(Outcome::Failed(failure)) = run.task(TASK).unwrap().outcome() else {
        panic!("it goes on")
    };
    assert_eq!(failure.class, FailureClass::Budget);
    let Stage::Parking(ParkReason::Overcharged { reserved, cost, .. }) = run.stage() else {
        panic!("it is not said")
    };
    assert_eq!(
        (reserved.0, cost.0),
        (100, 115),
        "of the attempt as a whole"
    );
    assert_eq!(
        costs(&mut run, Bill::Of(PicoUsd(1))),
        [],
        "what comes later is too late"
    );
}

#[test]
fn one_that_costs_too_much_says_which_bound_it_had() {
    let hint = |facts| {
        let mut run = at_work(Caps::default(), facts);
        costs(&mut run, Bill::Of(PicoUsd(115)));
        let Some(Outcome::Failed(failure)) = run.task(TASK).unwrap().outcome() else {
            panic!("it goes on")
        };
        failure.hint.clone().unwrap()
    };
    assert_eq!(
        &*hint(bounded()),
        "raise `cost` of its executor in divisi.toml, or ask for less"
    );
    let own = TaskFacts {
        cost_max: Some(PicoUsd(100)),
        ..unbounded()
    };
    assert_eq!(&*hint(own), "raise `maxCost` of the task, or ask for less");
}

#[test]
fn one_without_a_bound_starts_only_where_there_is_no_cap() {
    let mut run = at_work(Caps::default(), unbounded());
    costs(&mut run, Bill::Of(PicoUsd(1_000)));
    assert_eq!(*run.stage(), Stage::Running, "nothing was promised");
    assert_eq!(money(&run), (0, 1_000, 0, 0));

    let run = at_work(Caps::of(Some(PicoUsd(1_000_000))), unbounded());
    let Some(Outcome::Failed(failure)) = run.task(TASK).unwrap().outcome() else {
        panic!("it starts")
    };
    assert_eq!(
        failure.message,
        "what it may cost has no bound, and there is a cap"
    );
    let capped = Caps {
        phases: [("Audit".into(), PicoUsd(9))].into(),
        ..Caps::default()
    };
    let in_phase = TaskFacts {
        phase: Some("Audit".into()),
        ..unbounded()
    };
    assert!(
        at_work(capped.clone(), in_phase)
            .task(TASK)
            .unwrap()
            .outcome()
            .is_some()
    );
    assert!(
        at_work(capped, unbounded())
            .task(TASK)
            .unwrap()
            .outcome()
            .is_none(),
        "another phase's"
    );
}

#[test]
fn an_attempt_after_a_lost_one_is_given_the_handle() {
    let mut run = at_work(Caps::default(), bounded());
    has_handle(&mut run, "session 1");
    has_handle(&mut run, "session 2");
    let mut run = resumed(run);
    submit(&mut run, bounded());
    step(&mut run, Input::CaughtUp);
    step(&mut run, Input::Tick);
    let task = run.task(TASK).unwrap();
    assert_eq!(
        (task.stage(), task.session().handle.clone()),
        (&TaskStage::InFlight(attempt(2)), Some(text("session 2")))
    );
}

#[test]
fn a_session_that_led_to_a_failure_is_not_gone_on_with() {
    let left = |class| {
        let mut run = at_work(Caps::default(), bounded());
        has_handle(&mut run, "session");
        step(&mut run, ended(attempt(1), Err(Failure::new(class, "no"))));
        run.task(TASK).unwrap().session().handle.is_some()
    };
    use FailureClass as C;
    for class in [
        C::Overloaded,
        C::Network,
        C::RateLimited,
        C::Interrupted,
        C::Quota,
    ] {
        assert!(left(class), "{class}");
    }
    for class in [C::Program, C::Timeout, C::Stalled, C::Declined, C::Schema] {
        assert!(!left(class), "{class}");
    }
}

#[test]
fn an_answer_that_is_for_the_executor_comes_with_another_attempt() {
    let mut run = at_work(Caps::default(), bounded());
    let question = Some("May I delete it?".into());
    let handle = Some(text("session"));
    let suspension = Suspension {
        question,
        handle,
        goes_on: true,
        ..Suspension::of("permission")
    };
    step(
        &mut run,
        Input::AttemptSuspended {
            attempt: attempt(1),
            suspension: Box::new(suspension),
        },
    );
    step(&mut run, Input::FlowWaits);
    let answer = || Input::Answer {
        task: TASK,
        answer: text("\"yes\""),
    };
    assert_eq!(step(&mut run, answer()).len(), 3, "while nothing drives it");
    assert_eq!(step(&mut run, answer()), [], "once");

    let mut run = resumed(run);
    submit(&mut run, bounded());
    step(&mut run, Input::CaughtUp);
    step(&mut run, Input::Tick);
    let session = Session {
        handle: Some(text("session")),
        answer: Some(text("\"yes\"")),
    };
    let task = run.task(TASK).unwrap();
    assert_eq!(
        (task.stage(), task.session()),
        (&TaskStage::InFlight(attempt(2)), &session)
    );
    // If this process dies before it passes the session on, the next one has it.
    let mut run = resumed(run);
    submit(&mut run, bounded());
    assert_eq!(run.task(TASK).unwrap().session(), &session);
    step(&mut run, Input::CaughtUp);
    step(&mut run, Input::Tick);
    step(&mut run, ended(attempt(3), Ok(text("done"))));
    assert_eq!(run.task(TASK).unwrap().session(), &Session::default());
}

#[test]
fn a_person_who_is_asked_gives_the_result_and_no_answer() {
    let mut run = at_work(Caps::default(), bounded());
    let suspension = Box::new(Suspension::of("person"));
    step(
        &mut run,
        Input::AttemptSuspended {
            attempt: attempt(1),
            suspension,
        },
    );
    assert_eq!(
        step(
            &mut run,
            Input::Answer {
                task: TASK,
                answer: text("\"yes\"")
            }
        ),
        []
    );
}
