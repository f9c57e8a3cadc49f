//! Events that cannot follow are refused and change nothing; inputs that come
//! too late lead to nothing.

use super::{ended, facts, flow_source, key, resumed, started, step, text, turn};
use crate::budget::TurnBound;
use crate::event::{Caps, Edges, ParkReason, Refusal, RunStatus, TaskSubmitted};
use crate::run::Submission;
use crate::{
    AttemptId, Event, Failure, FailureClass, Input, Limits, Outcome, PicoUsd, Run, TaskId,
    Timestamp,
};

/// Of four tasks `t0` is in flight, `t1` rests, `t2` has its outcome and `t3` waits.
fn running() -> Run {
    let mut run = Run::new();
    let limits = Limits {
        in_flight_max: 3,
        ..Limits::default()
    };
    let cap = Some(PicoUsd(1_000));
    step(
        &mut run,
        Input::Start {
            name: "test".into(),
            flow: flow_source(),
            limits,
            caps: Caps::of(cap),
        },
    );
    for name in ["a", "b", "c", "d"] {
        step(&mut run, submission(name));
    }
    step(&mut run, Input::Tick);
    let failure = Failure::new(FailureClass::Server, "500");
    step(&mut run, ended(first(1), Err(failure)));
    step(&mut run, ended(first(2), Ok(text("{}"))));
    run
}

fn parking() -> Run {
    let mut run = running();
    step(&mut run, Input::Park);
    run
}

fn parked() -> Run {
    let mut run = parking();
    step(&mut run, ended(first(0), Ok(text("{}"))));
    step(&mut run, Input::Tick);
    run
}

fn over() -> Run {
    let mut run = running();
    step(&mut run, Input::Cancel);
    run
}

fn first(task: u32) -> AttemptId {
    AttemptId {
        task: TaskId(task),
        number: 1,
    }
}

fn submission(name: &str) -> Input {
    let facts = facts(name, 0, PicoUsd(300));
    Input::Submit(Box::new(Submission::new(
        key(name),
        facts,
        text("{}"),
        None,
    )))
}

fn submitted(task: u32, name: &str, occurrence: u32) -> Event {
    Event::TaskSubmitted(Box::new(TaskSubmitted {
        task: TaskId(task),
        key: key(name),
        occurrence,
        facts: facts(name, 0, PicoUsd::ZERO).into(),
        spec: text("{}"),
        edges: Edges::default(),
    }))
}

fn claimed(task: u32) -> Event {
    Event::TaskClaimed {
        task: TaskId(task),
        facts: None,
    }
}

fn scheduled(task: u32, number: u32, reserved: u64) -> Event {
    let attempt = AttemptId {
        task: TaskId(task),
        number,
    };
    Event::AttemptScheduled {
        attempt,
        model: None,
        reserved: PicoUsd(reserved),
        reply_tokens: None,
    }
}

fn turn_scheduled(task: u32, reserved: u64) -> Event {
    Event::TurnScheduled {
        attempt: first(task),
        tool_results: None,
        reserved: PicoUsd(reserved),
        reply_tokens: None,
        tools: vec![],
    }
}

fn turn_ended(task: u32) -> Event {
    Event::TurnEnded {
        attempt: first(task),
        turn: Box::new(turn("1", PicoUsd(1))),
    }
}

fn attempt_ended(task: u32) -> Event {
    Event::attempt_ended(first(task), None, PicoUsd::ZERO, PicoUsd::ZERO)
}

fn retry(task: u32) -> Event {
    Event::RetryPlanned {
        task: TaskId(task),
        due: Timestamp(5),
    }
}

fn outcome(task: u32) -> Event {
    Event::TaskEnded {
        task: TaskId(task),
        outcome: Outcome::Cancelled,
    }
}

fn run_ended() -> Event {
    Event::RunEnded {
        status: RunStatus::Cancelled,
    }
}

fn start() -> Event {
    step(&mut Run::new(), start_input()).remove(0)
}

fn resume() -> Event {
    step(&mut over(), resume_input()).remove(0)
}

fn start_input() -> Input {
    Input::Start {
        name: "test".into(),
        flow: flow_source(),
        limits: Limits::default(),
        caps: Caps::default(),
    }
}

fn resume_input() -> Input {
    Input::Resume {
        flow: flow_source(),
        limits: Limits::default(),
        caps: Caps::default(),
        reopen_failed: false,
        reopen: vec![],
    }
}

const ASKED: ParkReason = ParkReason::Asked;

#[test]
fn events_that_cannot_follow_are_refused_and_change_nothing() {
    let caught_up = || Event::CaughtUp {
        reused: 0,
        saved: PicoUsd::ZERO,
        to_run: 0,
    };
    let park = || Event::ParkingStarted { reason: ASKED };
    let parked_now = || Event::RunParked { reason: ASKED };
    let logged = || Event::Logged {
        message: "x".into(),
    };
    let phase = || Event::PhaseStarted {
        title: "x".into(),
        cap: None,
    };
    let flow_ended = || Event::FlowEnded {
        result: Ok(text("null")),
    };
    let returned = || {
        let mut run = running();
        step(&mut run, Input::FlowEnded(Ok(text("null"))));
        run
    };
    let refused = [
        (
            "nothing before the start",
            Run::new(),
            vec![caught_up(), logged(), submitted(0, "a", 0), run_ended()],
        ),
        (
            "nothing before the start",
            Run::new(),
            vec![resume(), flow_ended(), park(), parked_now(), phase()],
        ),
        (
            "one start, and no catching up",
            running(),
            vec![start(), caught_up(), parked_now()],
        ),
        (
            "not while attempts are in flight",
            running(),
            vec![resume(), run_ended()],
        ),
        (
            "tasks are numbered",
            running(),
            vec![submitted(3, "x", 0), submitted(5, "x", 0)],
        ),
        (
            "occurrences are counted",
            running(),
            vec![
                submitted(4, "a", 0),
                submitted(4, "a", 2),
                claimed(0),
                claimed(9),
            ],
        ),
        (
            "attempts are numbered",
            running(),
            vec![scheduled(3, 0, 1), scheduled(3, 2, 1), scheduled(1, 1, 1)],
        ),
        (
            "only waiting tasks are tried",
            running(),
            vec![scheduled(0, 2, 1), scheduled(2, 2, 1), scheduled(9, 1, 1)],
        ),
        (
            "nothing is reserved over the cap",
            running(),
            vec![scheduled(3, 1, 701), turn_scheduled(0, 1_001)],
        ),
        (
            "turns are for attempts in flight",
            running(),
            vec![turn_scheduled(1, 1), turn_ended(1), attempt_ended(3)],
        ),
        (
            "a retry follows an attempt",
            running(),
            vec![retry(0), retry(1), retry(2), retry(3), retry(9)],
        ),
        (
            "one outcome, not in flight",
            running(),
            vec![outcome(0), outcome(2), outcome(9)],
        ),
        (
            "a flow ends once",
            returned(),
            vec![flow_ended(), run_ended()],
        ),
        (
            "nothing starts while parking",
            parking(),
            vec![
                scheduled(1, 2, 1),
                turn_scheduled(0, 1),
                park(),
                parked_now(),
            ],
        ),
        (
            "nothing starts while parked",
            parked(),
            vec![scheduled(1, 2, 1), park(), parked_now(), caught_up()],
        ),
        (
            "nothing starts in a replay",
            resumed(parked()),
            vec![scheduled(1, 2, 1), parked_now(), outcome(1)],
        ),
        (
            "claims come in order",
            resumed(parked()),
            vec![submitted(4, "a", 0), submitted(4, "x", 1), retry(1)],
        ),
        (
            "nothing after the end",
            over(),
            vec![
                logged(),
                phase(),
                submitted(4, "x", 0),
                claimed(0),
                flow_ended(),
            ],
        ),
        (
            "nothing after the end",
            over(),
            vec![
                park(),
                parked_now(),
                run_ended(),
                outcome(0),
                scheduled(3, 1, 1),
            ],
        ),
    ];
    for (rule, before, events) in refused {
        for event in events {
            let mut run = before.clone();
            assert!(
                run.apply(Timestamp(1), &event).is_err(),
                "{rule}: {event:?}"
            );
            assert_eq!(run, before, "{rule}: {event:?} has changed something");
        }
    }
}

#[test]
fn a_parked_run_is_parked_when_nothing_is_in_flight() {
    let mut run = parking();
    assert_eq!(run.decide(Timestamp(9), Input::Tick), []);
    step(&mut run, ended(first(0), Ok(text("{}"))));
    assert_eq!(
        run.decide(Timestamp(9), Input::Tick),
        [Event::RunParked { reason: ASKED }]
    );
}

#[test]
fn inputs_that_come_too_late_lead_to_nothing() {
    let late = || {
        let attempt = first(0);
        vec![
            Input::CaughtUp,
            submission("x"),
            Input::TurnWanted {
                attempt,
                tool_results: None,
                bound: TurnBound::fixed(PicoUsd(1)),
                tools: vec![],
            },
            Input::TurnEnded {
                attempt,
                turn: Box::new(turn("1", PicoUsd(1))),
            },
            ended(attempt, Ok(text("{}"))),
            Input::Phase {
                title: "x".into(),
                cap: None,
            },
            Input::Log("x".into()),
            Input::Uncaught {
                message: "x".into(),
                count: 1,
            },
            Input::Refused {
                refusal: Refusal::Call { calls_max: 1 },
                count: 1,
            },
            Input::FlowEnded(Ok(text("null"))),
            Input::Park,
            Input::Cancel,
            Input::Tick,
        ]
    };
    for (run, inputs) in [
        (Run::new(), late()),
        (Run::new(), vec![resume_input()]),
        (over(), late()),
        (over(), vec![start_input()]),
        (started(Limits::default()), vec![start_input()]),
    ] {
        for input in inputs {
            let told = format!("{input:?}");
            assert_eq!(run.decide(Timestamp(9), input), [], "{told}");
        }
    }
}
