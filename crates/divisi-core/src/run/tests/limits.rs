//! What may not grow, and numbers from outside that are out of all proportion.

use super::{ended, facts, key, resumed, started, step, text, trace};
use crate::estimate::{Estimate, Spread};
use crate::event::{Refusal, RunStatus, TaskFacts};
use crate::retry::{RetryPolicy, Told, Tries};
use crate::run::{Run, Stage, Submission};
use crate::{
    AttemptId, Event, FailureClass, Input, Limits, Millis, Outcome, PicoUsd, TaskId, Timestamp,
    Usage,
};
use insta::assert_snapshot;

fn ok() -> Outcome {
    Outcome::Ok { value: text("{}") }
}

#[test]
fn a_run_has_as_many_tasks_as_it_may_have() {
    assert_snapshot!(trace("
        2 tasks at most
        a: success after 10 ms
        b: success after 10 ms
        c: success after 10 ms
    "), @r"
     0 ms  refused   1: Task { tasks_max: 2 }
     0 ms  scheduled a#1
     0 ms  scheduled b#1
    10 ms  reply     a#1
    10 ms  ended     a#1 success
    10 ms  outcome   a ok
    10 ms  reply     b#1
    10 ms  ended     b#1 success
    10 ms  outcome   b ok
    10 ms  finished  partial
    ");
}

#[test]
fn a_run_with_no_slots_still_has_one() {
    assert_snapshot!(trace("0 at once\na: success after 10 ms\nb: success after 10 ms"), @r"
     0 ms  scheduled a#1
    10 ms  reply     a#1
    10 ms  ended     a#1 success
    10 ms  outcome   a ok
    10 ms  scheduled b#1
    20 ms  reply     b#1
    20 ms  ended     b#1 success
    20 ms  outcome   b ok
    20 ms  finished  ok
    ");
}

#[test]
fn programs_have_slots_of_their_own_and_models_pass_them_by() {
    let mut run = started(Limits {
        in_flight_max: 4,
        programs_max: 1,
        ..Limits::default()
    });
    for (prompt, is_program) in [("p", true), ("q", true), ("m", false), ("n", false)] {
        let facts = TaskFacts {
            is_program,
            ..facts(prompt, 0, PicoUsd::ZERO)
        };
        let submission = Submission::new(key(prompt), facts, text("{}"), None);
        step(&mut run, Input::Submit(Box::new(submission)));
    }
    step(&mut run, Input::CaughtUp);
    let starts = |run: &mut Run| {
        let started = step(run, Input::Tick)
            .into_iter()
            .filter_map(|event| match event {
                Event::AttemptScheduled { attempt, .. } => Some(attempt.task.0),
                _ => None,
            });
        started.collect::<Vec<_>>()
    };
    assert_eq!((starts(&mut run), run.wake_at()), (vec![0, 2, 3], None));
    step(
        &mut run,
        ended(
            AttemptId {
                task: TaskId(0),
                number: 1,
            },
            Ok(text("{}")),
        ),
    );
    assert_eq!(starts(&mut run), [1]);
}

#[test]
fn a_flow_that_repeats_itself_is_heard_only_so_often() {
    let mut run = started(Limits {
        logs_max: 3,
        ..Limits::default()
    });
    let said: Vec<Event> = (0..10)
        .flat_map(|_| step(&mut run, Input::Log("again".into())))
        .collect();
    let refused = Event::Refused {
        refusal: Refusal::Log { logs_max: 3 },
        count: 1,
    };
    assert_eq!(
        (said.len(), &said[3]),
        (4, &refused),
        "that lines are dropped is said once"
    );
    step(&mut run, Input::FlowEnded(Ok(text("null"))));
    assert_eq!(
        step(&mut run, Input::Tick),
        [Event::RunEnded {
            status: RunStatus::Ok
        }]
    );
}

#[test]
fn what_a_limit_refuses_is_counted_and_leaves_the_run_partial() {
    let limits = Limits {
        tasks_max: 1,
        ..Limits::default()
    };
    let mut run = started(limits);
    let submit = |run: &mut Run, prompt: &str| {
        let (facts, spec, outcome) = (facts(prompt, 0, PicoUsd::ZERO), text("{}"), Some(ok()));
        step(
            run,
            Input::Submit(Box::new(Submission::new(key(prompt), facts, spec, outcome))),
        )
    };
    submit(&mut run, "a");
    let refused = Event::Refused {
        refusal: Refusal::Task { tasks_max: 1 },
        count: 1,
    };
    for prompt in ["b", "c"] {
        assert_eq!(submit(&mut run, prompt), std::slice::from_ref(&refused));
    }
    let more = [
        (Refusal::Call { calls_max: 7 }, 4_000),
        (Refusal::Tokens { total: 100 }, 2),
        (Refusal::Call { calls_max: 7 }, 5),
    ];
    for (refusal, count) in more {
        step(&mut run, Input::Refused { refusal, count });
    }
    let counted: Vec<u64> = run.refused().map(|(_, count)| count).collect();
    assert_eq!(counted, [2, 4_005, 2]);
    let end = |run: &mut Run| {
        step(run, Input::FlowEnded(Ok(text("null"))));
        step(run, Input::Tick)
    };
    assert_eq!(
        end(&mut run),
        [Event::RunEnded {
            status: RunStatus::Partial
        }]
    );
    // Another execution, which asks for less, is whole.
    let mut run = resumed(run);
    submit(&mut run, "a");
    assert_eq!(run.refused().count(), 0);
    assert!(end(&mut run).is_empty() || *run.stage() == Stage::Ended(RunStatus::Ok));
    assert_eq!(*run.stage(), Stage::Ended(RunStatus::Ok));
}

#[test]
fn a_run_that_was_refused_everything_has_failed() {
    let mut run = started(Limits {
        tasks_max: 0,
        ..Limits::default()
    });
    let (facts, spec) = (facts("a", 0, PicoUsd::ZERO), text("{}"));
    step(
        &mut run,
        Input::Submit(Box::new(Submission::new(key("a"), facts, spec, None))),
    );
    step(&mut run, Input::FlowEnded(Ok(text("null"))));
    assert_eq!(
        step(&mut run, Input::Tick),
        [Event::RunEnded {
            status: RunStatus::Failed
        }]
    );
}

#[test]
fn a_run_has_failed_whose_flow_threw_where_nothing_listens() {
    let mut run = started(Limits {
        log_bytes_max: 5,
        ..Limits::default()
    });
    step(
        &mut run,
        Input::Uncaught {
            message: "f.js:2: lost".into(),
            count: 2,
        },
    );
    assert_eq!(run.uncaught(), Some(("f.js:…", 2)));
    step(&mut run, Input::FlowEnded(Ok(text("1"))));
    assert_eq!(
        step(&mut run, Input::Tick),
        [Event::RunEnded {
            status: RunStatus::Failed
        }]
    );
    assert!(
        run.result().is_some_and(|result| result.is_ok()),
        "what it returned is kept"
    );
    assert_eq!(resumed(run).uncaught(), None);
}

#[test]
fn what_an_agent_was_refused_stands_with_its_task() {
    let mut run = started(Limits::default());
    let (facts, spec) = (facts("a", 0, PicoUsd::ZERO), text("{}"));
    let task = TaskId(0);
    let tool = |tool: &str, permission: &str| Refusal::Tool {
        task,
        tool: tool.into(),
        permission: permission.into(),
    };
    step(
        &mut run,
        Input::Submit(Box::new(Submission::new(key("a"), facts, spec, Some(ok())))),
    );
    for refusal in [
        tool("write_file", "write"),
        tool("write_file", "write"),
        tool("run_command", "run"),
    ] {
        step(&mut run, Input::Refused { refusal, count: 1 });
    }
    let of_task = |run: &Run| -> Vec<(String, u32)> {
        let task = run.task(task).unwrap();
        task.refused_tools()
            .map(|(tool, permission, n)| (format!("{tool}: {permission}"), n))
            .collect()
    };
    let expected = vec![
        ("run_command: run".to_owned(), 1),
        ("write_file: write".to_owned(), 2),
    ];
    assert_eq!(of_task(&run), expected);
    step(&mut run, Input::FlowEnded(Ok(text("null"))));
    assert_eq!(
        step(&mut run, Input::Tick),
        [Event::RunEnded {
            status: RunStatus::Ok
        }]
    );
    assert_eq!(
        of_task(&resumed(run)),
        expected,
        "its result is still that of an agent that was refused"
    );
    let other = Event::Refused {
        refusal: Refusal::Tool {
            task: TaskId(9),
            tool: "x".into(),
            permission: "y".into(),
        },
        count: 1,
    };
    assert!(
        started(Limits::default())
            .apply(Timestamp(0), &other)
            .is_err()
    );
}

#[test]
fn a_flow_has_only_so_many_phases() {
    let mut run = started(Limits::default());
    let begun: Vec<Event> = (0..2_000)
        .flat_map(|i| {
            step(
                &mut run,
                Input::Phase {
                    title: format!("{i}").into(),
                    cap: None,
                },
            )
        })
        .collect();
    assert_eq!(begun.len(), Run::PHASES_MAX + 1);
    let refusal = Refusal::Phase {
        title: "1000".into(),
        phases_max: 1_000,
    };
    assert_eq!(
        begun.last(),
        Some(&Event::Refused { refusal, count: 1 }),
        "said for the first of them"
    );
}

#[test]
fn each_execution_keeps_its_first_estimate() {
    let estimate = |dollars| Estimate {
        cost: Spread {
            p50: PicoUsd(dollars),
            ..Spread::default()
        },
        ceiling: None,
        took: Spread::default(),
        tasks: 1,
        guessed: 0,
        plan: None,
    };
    let tell =
        |run: &mut Run, dollars| step(run, Input::Estimate(Box::new(estimate(dollars)))).len();
    let mut run = started(Limits::default());
    assert_eq!((tell(&mut run, 5), tell(&mut run, 6)), (1, 0));
    assert_eq!(run.estimate(), Some(&estimate(5)));
    let mut run = resumed(run);
    assert_eq!(
        run.estimate(),
        Some(&estimate(5)),
        "a resume is not estimated by itself"
    );
    assert_eq!((tell(&mut run, 7), tell(&mut run, 8)), (1, 0));
    assert_eq!(run.estimate(), Some(&estimate(7)));
    let again = Event::Estimated {
        estimate: Box::new(estimate(9)),
    };
    assert!(
        run.apply(Timestamp(0), &again).is_err(),
        "two estimates of one execution"
    );
    step(&mut run, Input::Cancel);
    assert_eq!(
        tell(&mut resumed(Run::new()), 5),
        0,
        "nothing is expected of a run that is none"
    );
    assert_eq!(tell(&mut run, 9), 0, "nor of one that is over");
}

#[test]
fn absurd_token_counts_do_not_overflow() {
    let most = Usage {
        input: u64::MAX,
        output: u64::MAX,
        cache_read: u64::MAX,
        ..Usage::default()
    };
    assert_eq!((most + most).total(), u64::MAX);
}

#[test]
fn absurd_rests_do_not_overflow() {
    let policy = RetryPolicy {
        rest_first: Millis(u64::MAX),
        rest_max: Millis(u64::MAX),
        ..RetryPolicy::default()
    };
    let attempt = AttemptId {
        task: TaskId(7),
        number: 1,
    };
    policy.verdict(
        attempt,
        FailureClass::Server,
        Tries::default(),
        Told::default(),
        Timestamp(0),
    );
}
