//! The order of answers, and what follows when.

use super::*;
use crate::budget::TurnBound;
use crate::event::GroupKind;
use crate::event::{Caps, Edges, FlowSource, ParkReason, RunLabel, Suspension, TaskFacts};
use crate::{Digest, Key, Limits, Outcome, PicoUsd};

const NOW: Timestamp = Timestamp(7);

type Loop = RunLoop<u32, AttemptId>;

fn text(text: &str) -> Content {
    Content::Inline(text.into())
}

fn source() -> FlowSource {
    FlowSource {
        label: RunLabel::default(),
        path: None,
        source: text("// a story"),
        args: None,
        folder: None,
        options: None,
    }
}

fn submission(name: &str) -> Submission {
    let first_turns = vec![TurnBound::fixed(PicoUsd(1))];
    let facts = TaskFacts {
        label: name.into(),
        executor: "api".into(),
        first_turns,
        ..TaskFacts::default()
    };
    Submission::new(Key(Digest::of(name.as_bytes())), facts, text("{}"), None)
}

fn begun(run: Run, position: Position, limits: Limits) -> Loop {
    let mut runs = RunLoop::new(run, position, None, ());
    let first = match runs.run().stage() {
        Stage::Unstarted => Input::Start {
            name: "test".into(),
            flow: source(),
            limits,
            caps: Caps::default(),
        },
        _ => Input::Resume {
            flow: source(),
            limits,
            caps: Caps::default(),
            reopen_failed: false,
            reopen: vec![],
        },
    };
    runs.begin(NOW, first).unwrap();
    runs
}

fn commits(runs: &mut Loop) -> Vec<Effect<AttemptId>> {
    runs.settle(NOW).unwrap();
    let (_, batch) = runs.take_batch();
    runs.committed(&batch)
}

fn starts(effects: &[Effect<AttemptId>]) -> Vec<AttemptId> {
    let start = |effect: &Effect<AttemptId>| match effect {
        Effect::Start { attempt, .. } => Some(*attempt),
        _ => None,
    };
    effects.iter().filter_map(start).collect()
}

fn ends(runs: &mut Loop, attempt: AttemptId) {
    let end = Box::new(AttemptEnd::of(Ok(text("1"))));
    runs.input(NOW, Input::AttemptEnded { attempt, end })
        .unwrap();
}

#[test]
fn a_replay_answers_in_recorded_order_and_hears_the_flow_in_between() {
    let mut runs = begun(Run::new(), Position(0), Limits::default());
    for (waiter, name) in ["a", "b", "c"].into_iter().enumerate() {
        runs.submit(NOW, submission(name), waiter as u32).unwrap();
    }
    runs.flow_waits(NOW, 0).unwrap();
    let attempts = starts(&commits(&mut runs));
    // The last one ends first, the first one last.
    for attempt in attempts.iter().rev() {
        ends(&mut runs, *attempt);
    }
    commits(&mut runs);
    assert_eq!(
        runs.answers()
            .iter()
            .map(|(waiter, _)| *waiter)
            .collect::<Vec<_>>(),
        [2, 1, 0]
    );
    let position = runs.take_batch().0;

    let mut again = begun(runs.into_run(), position, Limits::default());
    for (waiter, name) in ["a", "b"].into_iter().enumerate() {
        again.submit(NOW, submission(name), waiter as u32).unwrap();
    }
    commits(&mut again);
    assert_eq!(
        again.answers(),
        [],
        "the flow may not have asked for all of them yet"
    );
    again.flow_waits(NOW, 0).unwrap();
    let given = again.answers();
    assert_eq!(
        given.iter().map(|(waiter, _)| *waiter).collect::<Vec<_>>(),
        [1, 0]
    );
    again.flow_waits(NOW, 1).unwrap();
    assert_eq!(
        *again.run().stage(),
        Stage::Replaying,
        "it has not heard all of them"
    );
    again.submit(NOW, submission("c"), 2).unwrap();
    again.flow_waits(NOW, 2).unwrap();
    assert_eq!(again.answers().len(), 1);
    again.flow_waits(NOW, 3).unwrap();
    assert_eq!(
        *again.run().stage(),
        Stage::Running,
        "nothing is left that it has not heard"
    );
}

#[test]
fn an_outcome_that_comes_during_a_replay_waits_behind_those_recorded_before() {
    let mut runs = begun(Run::new(), Position(0), Limits::default());
    runs.submit(NOW, submission("a"), 0).unwrap();
    runs.flow_waits(NOW, 0).unwrap();
    let attempts = starts(&commits(&mut runs));
    ends(&mut runs, attempts[0]);
    commits(&mut runs);
    let position = runs.take_batch().0;
    let mut again = begun(runs.into_run(), position, Limits::default());
    again.submit(NOW, submission("a"), 0).unwrap();
    let useless = Outcome::Failed(Failure::new(
        FailureClass::Unavailable,
        "there is no such agent",
    ));
    let new = Submission {
        outcome: Some(useless),
        ..submission("b")
    };
    again.submit(NOW, new, 1).unwrap();
    commits(&mut again);
    assert_eq!(again.answers(), []);
    again.flow_waits(NOW, 0).unwrap();
    let given: Vec<_> = again
        .answers()
        .into_iter()
        .map(|(waiter, _)| waiter)
        .collect();
    assert_eq!(given, [0, 1]);
}

#[test]
fn outcomes_of_a_batch_are_given_in_the_order_in_which_they_are_recorded() {
    let mut runs = begun(Run::new(), Position(0), Limits::default());
    runs.submit(NOW, submission("a"), 0).unwrap();
    runs.flow_waits(NOW, 0).unwrap();
    let attempts = starts(&commits(&mut runs));
    ends(&mut runs, attempts[0]);
    let useless = Outcome::Failed(Failure::new(
        FailureClass::Unavailable,
        "there is no such agent",
    ));
    runs.submit(
        NOW,
        Submission {
            outcome: Some(useless),
            ..submission("b")
        },
        1,
    )
    .unwrap();
    commits(&mut runs);
    let given: Vec<_> = runs
        .answers()
        .into_iter()
        .map(|(waiter, _)| waiter)
        .collect();
    assert_eq!(given, [0, 1]);
}

#[test]
fn what_is_refused_is_answered_at_once_and_alike_refusals_are_one_event() {
    let mut runs = begun(
        Run::new(),
        Position(0),
        Limits {
            tasks_max: 1,
            ..Limits::default()
        },
    );
    runs.submit(NOW, submission("a"), 0).unwrap();
    for waiter in [1, 2] {
        assert_eq!(
            runs.submit(NOW, submission(&waiter.to_string()), waiter)
                .unwrap(),
            Submitted::Refused(waiter)
        );
    }
    assert_eq!(runs.answered(), 2);
    let refused = |recorded: &&Recorded| matches!(recorded.event, Event::Refused { count: 2, .. });
    assert_eq!(runs.batch().iter().filter(refused).count(), 1);
}

#[test]
fn a_flow_that_waited_before_the_last_attempt_was_suspended_lets_the_run_rest() {
    let mut runs = begun(Run::new(), Position(0), Limits::default());
    runs.submit(NOW, submission("a"), 0).unwrap();
    runs.flow_waits(NOW, 0).unwrap();
    let attempt = starts(&commits(&mut runs))[0];
    runs.flow_waits(NOW, 0).unwrap();
    commits(&mut runs);
    assert!(!runs.is_over());
    let suspension = Suspension::of("person");
    runs.input(
        NOW,
        Input::AttemptSuspended {
            attempt,
            suspension: Box::new(suspension),
        },
    )
    .unwrap();
    commits(&mut runs);
    assert!(runs.is_over());
}

/// A run of one question, which is recorded.
fn asks(attendance: Attendance, default: Option<Content>) -> (Loop, AttemptId) {
    let mut runs = begun(Run::new(), Position(0), Limits::default()).attended(attendance);
    runs.submit(NOW, submission("a"), 0).unwrap();
    runs.flow_waits(NOW, 0).unwrap();
    let attempt = starts(&commits(&mut runs))[0];
    runs.flow_waits(NOW, 0).unwrap();
    let suspension = Box::new(Suspension {
        default,
        ..Suspension::of("person")
    });
    let asked = Input::AttemptSuspended {
        attempt,
        suspension,
    };
    runs.input(NOW, asked).unwrap();
    (runs, attempt)
}

#[test]
fn an_attended_run_parks_once_its_questions_are_put_off() {
    let (mut runs, attempt) = asks(Attendance::of(true), Some(text("1")));
    commits(&mut runs);
    assert!(!runs.is_over(), "the question can be answered");
    runs.put_off(attempt.task);
    commits(&mut runs);
    assert!(runs.is_over());
    assert!(matches!(runs.run().stage(), Stage::Parked(_)));
    assert_eq!(
        runs.run().suspended().count(),
        1,
        "its default is not taken"
    );
}

#[test]
fn an_unattended_run_takes_defaults_but_not_those_of_polled_attempts() {
    let (mut runs, attempt) = asks(Attendance::of(false), Some(text("1")));
    runs.polls(attempt);
    commits(&mut runs);
    assert_eq!(runs.run().suspended().count(), 1);
    assert!(!runs.is_over(), "its result is asked for");

    let (mut runs, _) = asks(Attendance::of(false), Some(text("1")));
    commits(&mut runs);
    assert_eq!(runs.run().suspended().count(), 0);
    assert_eq!(runs.run().counts().ok, 1);
}

#[test]
fn what_an_attempt_asks_is_granted_once_it_is_durable_or_given_back() {
    let mut runs = begun(Run::new(), Position(0), Limits::default());
    runs.submit(NOW, submission("a"), 0).unwrap();
    runs.flow_waits(NOW, 0).unwrap();
    let attempt = starts(&commits(&mut runs))[0];
    let wants = |attempt| Input::TurnWanted {
        attempt,
        tool_results: None,
        bound: TurnBound::default(),
        tools: vec![],
    };
    assert_eq!(runs.ask(NOW, wants(attempt), attempt).unwrap(), None);
    assert!(commits(&mut runs).contains(&Effect::Granted(attempt, None)));
    runs.park(NOW).unwrap();
    assert_eq!(
        runs.ask(NOW, wants(attempt), attempt).unwrap(),
        Some(attempt)
    );
    let effects = commits(&mut runs);
    assert!(
        effects.contains(&Effect::Park) && effects.contains(&Effect::Ended(attempt)),
        "{effects:?}"
    );
    assert!(runs.is_over());
}

#[test]
fn the_flow_is_answered_ahead_only_where_everything_waits_for_it() {
    let mut runs = begun(Run::new(), Position(0), Limits::default());
    runs.submit(NOW, submission("a"), 0).unwrap();
    runs.submit(NOW, submission("b"), 1).unwrap();
    runs.flow_waits(NOW, 0).unwrap();
    let attempts = starts(&commits(&mut runs));
    ends(&mut runs, attempts[0]);
    assert_eq!(runs.answers_ahead(), []);
    ends(&mut runs, attempts[1]);
    assert_eq!(runs.answers_ahead().len(), 2);
    commits(&mut runs);
    assert_eq!(runs.answers(), [], "each is given once");
}

#[test]
fn a_cancelled_run_settles_only_what_has_left() {
    let mut runs = begun(Run::new(), Position(0), Limits::default());
    for (waiter, name) in ["a", "b"].into_iter().enumerate() {
        runs.submit(NOW, submission(name), waiter as u32).unwrap();
    }
    runs.flow_waits(NOW, 0).unwrap();
    let attempts = starts(&commits(&mut runs));
    let under_way = attempts
        .iter()
        .enumerate()
        .map(|(place, attempt)| UnderWay {
            attempt: *attempt,
            owed: Owed {
                first: place == 0,
                second: false,
            },
            first: Unanswered::UNKNOWN,
            second_most: PicoUsd::MAX,
            waited: Millis(0),
            waits: vec![],
        });
    runs.cancel(NOW, under_way).unwrap();
    assert_eq!(
        runs.run().budget().settled,
        PicoUsd(1),
        "of two, one had left"
    );
    runs.settle(NOW).unwrap();
    assert!(runs.is_over());
}

fn edges(runs: &Loop, task: u32) -> Edges {
    let of = |recorded: &Recorded| match &recorded.event {
        Event::TaskSubmitted(submitted) if submitted.task == TaskId(task) => {
            Some(submitted.edges.clone())
        }
        _ => None,
    };
    runs.batch().iter().find_map(of).unwrap()
}

#[test]
fn a_task_says_which_outcomes_the_flow_had_been_given() {
    let after = |name, answered| Submission {
        asked_after: Some(answered),
        ..submission(name)
    };
    let mut runs = begun(Run::new(), Position(0), Limits::default());
    for (waiter, name) in ["a", "b"].into_iter().enumerate() {
        runs.submit(NOW, after(name, 0), waiter as u32).unwrap();
    }
    assert_eq!(edges(&runs, 0), Edges::default());
    runs.flow_waits(NOW, 0).unwrap();
    let attempts = starts(&commits(&mut runs));
    ends(&mut runs, attempts[1]);
    ends(&mut runs, attempts[0]);
    commits(&mut runs);
    assert_eq!(runs.answers().len(), 2);
    // Both have been given, and the script has taken in the first only.
    runs.submit(NOW, after("c", 1), 2).unwrap();
    let waits = |task| Some(Awaited::Task(TaskId(task)));
    assert_eq!(
        edges(&runs, 2),
        Edges {
            given: 1,
            waits: waits(1),
            ..Edges::default()
        }
    );
    let group = Edges {
        waits: Some(Awaited::Group(4)),
        ..Edges::default()
    };
    runs.submit(
        NOW,
        Submission {
            edges: group,
            ..after("d", 2)
        },
        3,
    )
    .unwrap();
    assert_eq!(
        edges(&runs, 3),
        Edges {
            given: 2,
            waits: Some(Awaited::Group(4)),
            ..Edges::default()
        }
    );
    // A program does not say what it has waited for.
    runs.submit(NOW, submission("e"), 4).unwrap();
    let depth = |task| runs.run().task(TaskId(task)).unwrap().facts().depth;
    assert_eq!([0, 1, 2, 3, 4].map(depth), [0, 0, 1, 1, 0]);
    assert_eq!(
        edges(&runs, 4),
        Edges {
            given: 2,
            ..Edges::default()
        }
    );
}

#[test]
fn groups_are_recorded_with_the_first_new_task_and_once() {
    let began = |group, width| GroupBegan {
        group,
        kind: GroupKind::Parallel,
        parent: None,
        width,
        site: None,
    };
    let within = |name, group: u32, begun: &[GroupBegan]| {
        let edges = Edges {
            group: Some(group),
            groups: begun.to_vec(),
            ..Edges::default()
        };
        Submission {
            asked_after: Some(0),
            edges,
            ..submission(name)
        }
    };
    let mut runs = begun(Run::new(), Position(0), Limits::default());
    runs.submit(NOW, within("a", 1, &[began(0, 1), began(1, 2)]), 0)
        .unwrap();
    runs.submit(NOW, within("b", 1, &[]), 1).unwrap();
    assert_eq!(
        (edges(&runs, 0).groups, edges(&runs, 1).groups),
        (vec![began(0, 1), began(1, 2)], vec![])
    );
    commits(&mut runs);
    let position = runs.take_batch().0;

    let mut again = begun(runs.into_run(), position, Limits::default());
    again
        .submit(NOW, within("a", 1, &[began(0, 1), began(1, 3)]), 0)
        .unwrap();
    again
        .submit(NOW, within("c", 1, &[began(2, 9)]), 1)
        .unwrap();
    assert_eq!(
        edges(&again, 2).groups,
        [began(1, 3), began(2, 9)],
        "one of them is wider now"
    );
}

#[test]
fn a_run_does_not_park_for_what_its_process_asks_for() {
    for flow_ends in [false, true] {
        let mut runs = begun(Run::new(), Position(0), Limits::default());
        for (waiter, name) in ["person", "batch"].into_iter().enumerate() {
            runs.submit(NOW, submission(name), waiter as u32).unwrap();
        }
        runs.flow_waits(NOW, 0).unwrap();
        let attempts = starts(&commits(&mut runs));
        for attempt in &attempts {
            let (attempt, suspension) = (*attempt, Box::new(Suspension::of("test")));
            let suspended = Input::AttemptSuspended {
                attempt,
                suspension,
            };
            runs.input(NOW, suspended).unwrap();
        }
        runs.polls(attempts[1]);
        if flow_ends {
            runs.flow_ended(NOW, Ok(text("null"))).unwrap();
        }
        commits(&mut runs);
        assert_eq!(*runs.run().stage(), Stage::Running);

        ends(&mut runs, attempts[1]);
        commits(&mut runs);
        if !flow_ends {
            assert_eq!(
                *runs.run().stage(),
                Stage::Running,
                "the flow gets the outcome first"
            );
            let answered = runs.answers().len() as u64;
            runs.flow_waits(NOW, answered).unwrap();
            commits(&mut runs);
        }
        let rests = Stage::Parked(ParkReason::Suspended { tasks: 1 });
        assert_eq!(*runs.run().stage(), rests, "only the person is left");
    }
}
