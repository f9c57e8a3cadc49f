//! Requests that are sent twice.

use super::{ended, facts, flow_source, key, step, text, turn};
use crate::budget::TurnBound;
use crate::event::Caps;
use crate::run::Submission;
use crate::{AttemptId, Event, Input, Limits, PicoUsd, Run, TaskId};

const ATTEMPT: AttemptId = AttemptId {
    task: TaskId(0),
    number: 1,
};

/// A run with one request under way for which 40 are reserved.
fn under_way(cap: u64, own: Option<u64>) -> Run {
    let mut run = Run::new();
    let (limits, caps) = (Limits::default(), Caps::of(Some(PicoUsd(cap))));
    step(
        &mut run,
        Input::Start {
            name: "test".into(),
            flow: flow_source(),
            limits,
            caps,
        },
    );
    let mut facts = facts("a", 0, PicoUsd(40));
    facts.cost_max = own.map(PicoUsd);
    let submission = Submission::new(key("a"), facts, text("{}"), None);
    step(&mut run, Input::Submit(Box::new(submission)));
    step(&mut run, Input::Tick);
    run
}

fn hedge() -> Input {
    Input::HedgeWanted { attempt: ATTEMPT }
}

fn given_up(cost: u64) -> Event {
    Event::HedgeEnded {
        attempt: ATTEMPT,
        cost: PicoUsd(cost),
    }
}

#[test]
fn a_second_request_is_set_aside_for_and_the_loser_may_be_billed() {
    let mut run = under_way(100, None);
    assert_eq!(
        step(&mut run, hedge()),
        [Event::TurnHedged {
            attempt: ATTEMPT,
            reserved: PicoUsd(40)
        }]
    );
    assert_eq!(
        (run.budget().reserved, run.budget().settled),
        (PicoUsd(80), PicoUsd(0))
    );
    assert_eq!(step(&mut run, hedge()), [], "once is enough");

    let turn = Box::new(turn("1", PicoUsd(10)));
    let events = step(
        &mut run,
        Input::TurnEnded {
            attempt: ATTEMPT,
            turn: turn.clone(),
        },
    );
    assert_eq!(
        events,
        [
            given_up(40),
            Event::TurnEnded {
                attempt: ATTEMPT,
                turn
            }
        ]
    );
    assert_eq!(
        (run.budget().reserved, run.budget().settled),
        (PicoUsd(0), PicoUsd(50))
    );
    assert_eq!(
        run.task(TaskId(0)).map(|task| task.cost()),
        Some(PicoUsd(50))
    );
}

#[test]
fn a_loser_that_was_refused_costs_nothing() {
    let mut run = under_way(100, None);
    step(&mut run, hedge());
    assert_eq!(
        step(
            &mut run,
            Input::HedgeEnded {
                attempt: ATTEMPT,
                most: PicoUsd::ZERO
            }
        ),
        [given_up(0)]
    );
    assert_eq!(
        step(
            &mut run,
            Input::HedgeEnded {
                attempt: ATTEMPT,
                most: PicoUsd::MAX
            }
        ),
        [],
        "it is over"
    );
    step(&mut run, ended(ATTEMPT, Ok(text("{}"))));
    assert_eq!(
        (run.budget().reserved, run.budget().settled),
        (PicoUsd(0), PicoUsd(0))
    );
}

#[test]
fn no_budget_is_exceeded_for_it() {
    for (cap, own, holds) in [
        (80, None, true),
        (79, None, false),
        (100, Some(80), true),
        (100, Some(79), false),
    ] {
        let mut run = under_way(cap, own);
        assert_eq!(
            step(&mut run, hedge()).len(),
            usize::from(holds),
            "{cap} {own:?}"
        );
    }
}

#[test]
fn nothing_is_sent_twice_while_parking_and_a_death_settles_both() {
    let mut run = under_way(100, None);
    step(&mut run, Input::Park);
    assert_eq!(step(&mut run, hedge()), []);

    let mut run = under_way(100, None);
    step(&mut run, hedge());
    let events = step(&mut run, Input::Cancel);
    assert_eq!(events[0], given_up(40));
    assert_eq!(
        (run.budget().reserved, run.budget().settled),
        (PicoUsd(0), PicoUsd(80))
    );
}

#[test]
fn what_has_been_answered_is_not_sent_again() {
    let mut run = under_way(100, None);
    step(
        &mut run,
        Input::TurnEnded {
            attempt: ATTEMPT,
            turn: Box::new(turn("1", PicoUsd(10))),
        },
    );
    assert_eq!(step(&mut run, hedge()), [], "its tools run");
    let bound = TurnBound::default();
    step(
        &mut run,
        Input::TurnWanted {
            attempt: ATTEMPT,
            tool_results: None,
            bound,
            tools: vec![],
        },
    );
    assert_eq!(
        step(&mut run, hedge()).len(),
        1,
        "what costs nothing may be slow, too"
    );
}
