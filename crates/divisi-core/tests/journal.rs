//! The journal is a contract: what older versions wrote stays readable.

use divisi_core::budget::TurnBound;
use divisi_core::estimate::{Estimate, Spread};
use divisi_core::event::{
    AnsweredBy, Caps, Edges, FORMAT, FlowSource, ParkReason, Recorded, Refusal, RunLabel,
    RunResumed, RunStarted, RunStatus, Suspension, TaskFacts, TaskSubmitted, Times, Turn,
};
use divisi_core::run::Stage;
use divisi_core::{
    AttemptId, Content, Digest, Event, Failure, FailureClass, Key, Limits, Millis, Outcome,
    PicoUsd, Position, RetryPolicy, Run, TaskId, Timestamp, Usage,
};

/// Never edit a fixture: it represents journals that users have. When the vocabulary grows, add
/// one.
const V1: &str = include_str!("fixtures/journal-v1.jsonl");
const V2: &str = include_str!("fixtures/journal-v2.jsonl");
const V3: &str = include_str!("fixtures/journal-v3.jsonl");
const V4: &str = include_str!("fixtures/journal-v4.jsonl");
const V5: &str = include_str!("fixtures/journal-v5.jsonl");
const V6: &str = include_str!("fixtures/journal-v6.jsonl");

fn read(journal: &str) -> Vec<Recorded> {
    journal
        .lines()
        .map(|line| serde_json::from_str(line).expect("an event can be read"))
        .collect()
}

#[test]
fn a_journal_of_version_1_is_read_and_replayed() {
    let mut run = Run::new();
    for Recorded { at, event, .. } in read(V1) {
        run.apply(at, &event).expect("it follows");
    }
    assert_eq!(*run.stage(), Stage::Ended(RunStatus::Partial));
    assert_eq!(
        (run.name(), run.execution(), run.counts().total()),
        ("audit", 2, 4)
    );
    assert_eq!(run.budget().spent().total(), PicoUsd(1_610));
    let statuses: Vec<_> = run
        .tasks()
        .filter_map(|(_, task)| task.outcome())
        .map(Outcome::status)
        .collect();
    assert_eq!(statuses, ["ok", "failed", "skipped", "ok"]);
}

#[test]
fn a_journal_of_version_2_is_read_and_replayed() {
    let mut run = Run::new();
    for Recorded { at, event, .. } in read(V2) {
        run.apply(at, &event).expect("it follows");
    }
    assert_eq!(*run.stage(), Stage::Ended(RunStatus::Partial));
    assert_eq!(run.budget().spent().total(), PicoUsd(1_610));
}

#[test]
fn a_journal_of_version_3_is_read_and_replayed() {
    let mut run = Run::new();
    for Recorded { at, event, .. } in read(V3) {
        run.apply(at, &event).expect("it follows");
    }
    assert_eq!(*run.stage(), Stage::Ended(RunStatus::Partial));
    assert_eq!(run.budget().spent().total(), PicoUsd(2_210));
}

#[test]
fn a_journal_of_version_4_is_read_and_replayed() {
    let mut run = Run::new();
    for Recorded { at, event, .. } in read(V4) {
        run.apply(at, &event).expect("it follows");
    }
    assert_eq!(*run.stage(), Stage::Ended(RunStatus::Partial));
    assert_eq!(run.budget().spent().total(), PicoUsd(2_210));
    assert_eq!(run.budget().unconfirmed, PicoUsd(1_000));
}

#[test]
fn a_journal_of_version_5_is_read_and_replayed() {
    let mut run = Run::new();
    for Recorded { at, event, .. } in read(V5) {
        run.apply(at, &event).expect("it follows");
    }
    assert_eq!(*run.stage(), Stage::Ended(RunStatus::Partial));
    assert_eq!(run.budget().unconfirmed, PicoUsd(1_000));
    assert_eq!(run.flow().expect("a flow").label, RunLabel::default());
}

#[test]
fn a_journal_of_version_6_is_still_what_is_written() {
    let written: Vec<_> = every_event()
        .iter()
        .map(|event| serde_json::to_string(event).expect("written"))
        .collect();
    assert_eq!(
        written,
        V6.lines().collect::<Vec<_>>(),
        "the format has changed: old journals must stay readable"
    );
}

#[test]
fn every_event_survives_being_written() {
    assert_eq!(read(V6), every_event());
}

/// A run in which everything happens that can happen.
fn every_event() -> Vec<Recorded> {
    let first = |task: u32| AttemptId {
        task: TaskId(task),
        number: 1,
    };
    let second = |task: u32| AttemptId {
        task: TaskId(task),
        number: 2,
    };
    let failure = |class| Failure {
        class,
        message: "provider `main` is limiting requests".into(),
        hint: Some("lower `limits.in_flight_max`".into()),
        partial: Some(text("\"half\"")),
    };
    let flow = |source: &str| FlowSource {
        label: RunLabel {
            name: Some("nightly".into()),
            tags: vec!["ci".into()],
            about: Some(r#"{"modules":["auth"]}"#.into()),
        },
        path: Some("audit.js".into()),
        source: text(source),
        args: Some(text("{\"modules\":[\"auth\"]}")),
        folder: None,
        options: Some(text("{}")),
    };
    let submitted = |task: u32, prompt: &str, occurrence| {
        Event::TaskSubmitted(Box::new(TaskSubmitted {
            task: TaskId(task),
            key: Key(Digest::of(prompt.as_bytes())),
            occurrence,
            facts: facts(prompt).into(),
            spec: text("{\"prompt\":\"…\"}"),
            edges: Edges::default(),
        }))
    };
    let scheduled = |attempt, reserved| Event::AttemptScheduled {
        attempt,
        model: Some("claude-haiku-4-5".into()),
        reserved: PicoUsd(reserved),
        reply_tokens: (reserved == 600).then_some(2_000),
    };
    let refused = |refusal| Event::Refused { refusal, count: 3 };
    let overcharged = || ParkReason::Overcharged {
        task: TaskId(0),
        model: Some("claude-opus-4-1".into()),
        reserved: PicoUsd(500),
        cost: PicoUsd(900),
    };
    let ended = |attempt, failure: Option<Failure>, cost| Event::AttemptEnded {
        attempt,
        failure: failure.map(Box::new),
        usage: Usage {
            input: 1,
            output: 2,
            ..Usage::default()
        },
        cost: PicoUsd(cost),
        unconfirmed: PicoUsd(cost / 2),
        estimated: false,
        next_turn: Some(TurnBound::new(PicoUsd(30), PicoUsd(1), 10)),
        findings: Some(text("\"too short\"")),
        tool_results: None,
        waited: Millis(0),
        waits: vec![],
        worktree: None,
        answered_by: None,
    };
    let turn = |request: &str| Turn {
        request: Digest::of(request.as_bytes()),
        reply: Content::Stored {
            digest: Digest::of(b"a long reply"),
            bytes: 70_000,
        },
        model: "claude-haiku-4-5-20251001".into(),
        usage: Usage {
            input: 10,
            cache_write_5m: 20,
            cache_write_1h: 30,
            cache_read: 40,
            output: 50,
            thinking: 5,
        },
        cost: PicoUsd(400),
        judges: request == "2",
        estimated: false,
        took: Millis(1_200),
        times: Times::default(),
    };
    let outcome = |task: u32, outcome| Event::TaskEnded {
        task: TaskId(task),
        outcome,
    };
    let quota = || ParkReason::Quota {
        message: "your credit balance is too low".into(),
        until: Some(Timestamp(9_000)),
    };
    let hopeless = || ParkReason::Hopeless {
        class: FailureClass::Declined,
        failed: 5,
        phase: Some("Scan".into()),
        message: "the model declined to answer".into(),
        hint: Some("say what it is for".into()),
    };
    let limits = || Limits {
        in_flight_max: 8,
        programs_max: 64,
        tasks_max: 100,
        logs_max: 50,
        log_bytes_max: 1_024,
        hopeless_after: 5,
    };
    let events = vec![
        Event::RunStarted(Box::new(RunStarted {
            format: FORMAT,
            name: "audit".into(),
            flow: flow("agent('…')"),
            limits: limits(),
            caps: Caps {
                run: Some(PicoUsd(5_000)),
                phases: [("Scan".into(), PicoUsd(4_000))].into(),
                warn_percent: Some(80),
            },
        })),
        Event::PhaseStarted {
            title: "Scan".into(),
            cap: Some(PicoUsd(3_000)),
        },
        Event::Logged {
            message: "four modules".into(),
        },
        refused(Refusal::Log { logs_max: 50 }),
        refused(Refusal::Phase {
            title: "Last".into(),
            phases_max: 1_000,
        }),
        refused(Refusal::Task { tasks_max: 100 }),
        refused(Refusal::Call { calls_max: 100_000 }),
        refused(Refusal::Tokens { total: 9_000 }),
        Event::Estimated {
            estimate: Box::new(Estimate {
                cost: Spread {
                    p10: PicoUsd(900),
                    p50: PicoUsd(1_500),
                    p90: PicoUsd(2_500),
                },
                ceiling: Some(PicoUsd(9_000)),
                took: Spread {
                    p10: Millis(300),
                    p50: Millis(600),
                    p90: Millis(900),
                },
                tasks: 4,
                guessed: 2,
                plan: None,
            }),
        },
        submitted(0, "auth", 0),
        submitted(1, "auth", 1),
        submitted(2, "payment", 0),
        submitted(3, "user", 0),
        scheduled(first(0), 500),
        scheduled(first(1), 500),
        Event::TurnEnded {
            attempt: first(0),
            turn: Box::new(turn("1")),
        },
        Event::TurnScheduled {
            attempt: first(0),
            tool_results: Some(text("[]")),
            reserved: PicoUsd(600),
            reply_tokens: Some(3_000),
            tools: vec![],
        },
        refused(Refusal::Tool {
            task: TaskId(0),
            tool: "write_file".into(),
            permission: "write".into(),
        }),
        Event::TurnHedged {
            attempt: first(0),
            reserved: PicoUsd(600),
        },
        Event::HedgeEnded {
            attempt: first(0),
            cost: PicoUsd(600),
        },
        Event::TurnEnded {
            attempt: first(0),
            turn: Box::new(turn("2")),
        },
        ended(first(0), None, 10),
        outcome(
            0,
            Outcome::Ok {
                value: text("\"done\""),
            },
        ),
        ended(first(1), Some(failure(FailureClass::RateLimited)), 0),
        Event::RetryPlanned {
            task: TaskId(1),
            due: Timestamp(700),
        },
        scheduled(second(1), 500),
        Event::SoftLimitReached {
            spent: PicoUsd(810),
            cap: PicoUsd(5_000),
        },
        Event::ParkingStarted { reason: quota() },
        ended(second(1), Some(failure(FailureClass::Declined)), 200),
        outcome(1, Outcome::Failed(failure(FailureClass::Declined))),
        outcome(2, Outcome::Cancelled),
        Event::RunParked { reason: quota() },
        Event::WaitStarted {
            until: Timestamp(9_000),
        },
        Event::RunWoken,
        Event::ParkingStarted { reason: hopeless() },
        Event::ParkingStarted {
            reason: overcharged(),
        },
        Event::RunParked {
            reason: overcharged(),
        },
        Event::RunResumed(Box::new(RunResumed {
            flow: flow("agent('…') // edited"),
            limits: limits(),
            caps: Caps::of(Some(PicoUsd(9_000))),
            reopen_failed: false,
            reopen: vec![TaskId(2)],
        })),
        Event::TaskClaimed {
            task: TaskId(0),
            facts: None,
        },
        Event::TaskClaimed {
            task: TaskId(1),
            facts: Some(facts("auth, again").into()),
        },
        Event::TaskClaimed {
            task: TaskId(2),
            facts: None,
        },
        Event::TaskClaimed {
            task: TaskId(3),
            facts: None,
        },
        Event::CaughtUp {
            reused: 2,
            saved: PicoUsd(1_010),
            to_run: 2,
        },
        outcome(
            2,
            Outcome::Skipped {
                reason: "what it needs has failed".into(),
            },
        ),
        Event::CapChanged {
            cap: PicoUsd(12_000),
        },
        Event::WidthChanged { in_flight_max: 8 },
        scheduled(first(3), 600),
        Event::AttemptSuspended {
            attempt: first(3),
            suspension: Box::new(Suspension {
                default: Some(text("false")),
                timeout: Some(Millis(600_000)),
                ..Suspension::of("person")
            }),
        },
        Event::AttemptEnded {
            attempt: first(3),
            failure: None,
            usage: Usage::default(),
            cost: PicoUsd::ZERO,
            unconfirmed: PicoUsd::ZERO,
            estimated: false,
            next_turn: None,
            findings: None,
            tool_results: None,
            waited: Millis(0),
            waits: vec![],
            worktree: None,
            answered_by: Some(AnsweredBy::Person),
        },
        outcome(3, Outcome::Ok { value: text("{}") }),
        Event::Uncaught {
            message: "audit.js:7: Error: lost".into(),
            count: 2,
        },
        Event::FlowEnded {
            result: Ok(text("null")),
        },
        Event::RunEnded {
            status: RunStatus::Partial,
        },
    ];
    let recorded = |(place, event)| Recorded {
        position: Position(place),
        at: Timestamp(place * 20),
        event,
    };
    (0..).zip(events).map(recorded).collect()
}

/// What came later and has a default: an older divisi reads past it.
#[test]
fn what_came_later_survives_being_written() {
    let written = [
        r#"{"position":0,"at":0,"event":"task_submitted","task":3,"key":"K","occurrence":0,"facts":{"label":"","executor":"","chosen":"search: it is asked to \"find\""},"spec":{"inline":"{}"},"edges":{"given":3,"waits":{"task":2},"reads":[0,2],"group":1,"site":{"line":7,"column":20},"groups":[{"group":1,"kind":"parallel","parent":0,"width":4,"site":{"script":"lib.js","line":6}}]}}"#,
        r#"{"position":1,"at":0,"event":"turn_scheduled","attempt":{"task":3,"number":1},"tools":[{"name":"run_command","from":120,"took":45,"bytes":13,"failed":true,"exit":2}],"reserved":0}"#,
        r#"{"position":2,"at":0,"event":"turn_ended","attempt":{"task":3,"number":1},"turn":{"request":"K","reply":{"inline":"{}"},"model":"m","usage":{"input":1,"output":1},"cost":0,"took":900,"times":{"sent":130,"began":400,"waits":[{"for":"prefix","from":20,"took":100},{"for":"overload","from":120,"took":10}]}}}"#,
        r#"{"position":3,"at":0,"event":"attempt_ended","attempt":{"task":3,"number":1},"waited":115,"waits":[{"for":"limit","from":1200,"took":5}]}"#,
        r#"{"position":4,"at":0,"event":"estimated","estimate":{"cost":{"p10":1,"p50":2,"p90":3},"took":{"p10":1,"p50":2,"p90":3},"tasks":1,"guessed":0,"plan":"K"}}"#,
        r#"{"position":5,"at":0,"event":"task_submitted","task":4,"key":"K","occurrence":0,"facts":{"label":"","executor":"claude","program":true,"depth":2},"spec":{"inline":"{}"}}"#,
        r#"{"position":6,"at":0,"event":"attempt_reported","attempt":{"task":4,"number":1},"model":"claude-haiku-4-5","usage":{"input":1,"output":1},"cost":7,"unconfirmed":2,"handle":{"inline":"{}"}}"#,
        r#"{"position":7,"at":0,"event":"attempt_suspended","attempt":{"task":4,"number":1},"suspension":{"kind":"person","question":"Deploy?","goes_on":true,"choices":["yes","no"]}}"#,
        r#"{"position":8,"at":0,"event":"suspension_answered","attempt":{"task":4,"number":1},"answer":{"inline":"\"yes\""}}"#,
        r#"{"position":9,"at":0,"event":"attempt_ended","attempt":{"task":4,"number":1},"cost":3,"estimated":true}"#,
        r#"{"position":10,"at":0,"event":"refused","refusal":{"what":"unapproved","approval":"deploy"},"count":2}"#,
    ]
    .map(|line| line.replace("\"K\"", &serde_json::to_string(&Digest::of(b"K")).expect("JSON")));
    for line in written {
        let event: Recorded = serde_json::from_str(&line).expect("an event can be read");
        assert_eq!(serde_json::to_string(&event).expect("written"), line);
    }
}

fn facts(label: &str) -> TaskFacts {
    TaskFacts {
        label: label.into(),
        phase: Some("Scan".into()),
        executor: "api".into(),
        is_program: false,
        models: vec!["claude-haiku-4-5".into(), "claude-opus-4-1".into()],
        retry: Some(
            RetryPolicy {
                retries_max: 2,
                ..RetryPolicy::default()
            }
            .into(),
        ),
        priority: 3,
        depth: 0,
        kind: Some("search".into()),
        chosen: None,
        fallbacks: vec!["gpt-6-luna".into()],
        checked: true,
        first_turns: vec![
            TurnBound::fixed(PicoUsd(500)),
            TurnBound::new(PicoUsd(1), PicoUsd(2), 3),
        ],
        cost_max: Some(PicoUsd(2_000)),
        unbounded: false,
        words: false,
        wait: None,
    }
}

fn text(text: &str) -> Content {
    Content::Inline(text.into())
}

/// Fields that were not there in the beginning have a default.
#[test]
fn fields_that_are_missing_have_a_default() {
    let bare = [
        r#"{"position":0,"at":0,"event":"run_started","format":1,"name":"x","flow":{"source":{"inline":""}},"limits":{}}"#,
        r#"{"position":1,"at":0,"event":"attempt_ended","attempt":{"task":0,"number":1}}"#,
        r#"{"position":2,"at":0,"event":"flow_ended","result":{"Err":{"class":"program","message":"x is not a function"}}}"#,
        r#"{"position":3,"at":0,"event":"run_resumed","flow":{"source":{"inline":""}},"limits":{}}"#,
    ];
    assert_eq!(read(&bare.join("\n")).len(), 4);
}
