use super::*;
use crate::event::{
    Caps, Edges, FlowSource, RunLabel, RunResumed, RunStarted, RunStatus, TaskSubmitted, Times,
};
use crate::price::{Rates, TokenClass};
use crate::{Content, Digest, Failure, FailureClass, Key, Limits, Millis, ModelPrice, Position};

fn submitted(task: u32, label: &str, phase: &str) -> Event {
    let facts = TaskFacts {
        label: label.into(),
        phase: Some(phase.into()),
        ..TaskFacts::default()
    };
    Event::TaskSubmitted(Box::new(TaskSubmitted {
        task: TaskId(task),
        key: Key(Digest::of(label.as_bytes())),
        occurrence: 0,
        facts: facts.into(),
        spec: Content::Inline("{}".into()),
        edges: Edges::default(),
    }))
}

fn attempt(task: u32, number: u32) -> AttemptId {
    AttemptId {
        task: TaskId(task),
        number,
    }
}

fn scheduled(attempt: AttemptId, model: &str, reserved: u64) -> Event {
    Event::AttemptScheduled {
        attempt,
        model: Some(model.into()),
        reserved: PicoUsd(reserved),
        reply_tokens: None,
    }
}

fn replied(attempt: AttemptId, model: &str, usage: Usage, cost: u64) -> Event {
    let turn = Turn {
        request: Digest::of(b""),
        reply: Content::Inline("{}".into()),
        model: model.into(),
        usage,
        cost: PicoUsd(cost),
        judges: false,
        estimated: false,
        took: Millis(1),
        times: Times::default(),
    };
    Event::TurnEnded {
        attempt,
        turn: Box::new(turn),
    }
}

/// The same reply, of a judge.
fn judged(attempt: AttemptId, model: &str, cost: u64) -> Event {
    match replied(attempt, model, usage(3, 0, 1), cost) {
        Event::TurnEnded { attempt, turn } => Event::TurnEnded {
            attempt,
            turn: Box::new(Turn {
                judges: true,
                ..*turn
            }),
        },
        other => other,
    }
}

/// The end of an attempt whose check accepted or refused the result.
fn checked(attempt: AttemptId, accepted: bool) -> Event {
    let refused = || Failure::new(FailureClass::Check, "too short");
    Event::attempt_ended(
        attempt,
        (!accepted).then(refused),
        PicoUsd::ZERO,
        PicoUsd::ZERO,
    )
}

/// A task on the ladder from small to large.
fn climbing(task: u32) -> Event {
    match submitted(task, &format!("bug {task}"), "mend") {
        Event::TaskSubmitted(submitted) => {
            let facts = TaskFacts {
                kind: Some("bug".into()),
                models: vec!["small".into(), "large".into()],
                checked: true,
                ..(*submitted.facts).clone()
            };
            Event::TaskSubmitted(Box::new(TaskSubmitted {
                facts: facts.into(),
                ..*submitted
            }))
        }
        other => other,
    }
}

fn recorded(events: impl IntoIterator<Item = Event>) -> Vec<Recorded> {
    let at = |n| (Position::default().after(n), Timestamp(n as u64));
    let events = events.into_iter().enumerate();
    events
        .map(|(n, event)| Recorded {
            position: at(n).0,
            at: at(n).1,
            event,
        })
        .collect()
}

/// Picodollars per input token; output tokens cost five times as much.
fn price(unit: u64) -> ModelPrice {
    let base = Rates {
        input: PicoUsd(unit),
        cache_write_5m: PicoUsd(2 * unit),
        cache_write_1h: PicoUsd(2 * unit),
        cache_read: PicoUsd(unit / 10),
        output: PicoUsd(5 * unit),
    };
    ModelPrice {
        base,
        ..ModelPrice::default()
    }
}

fn ended(attempt: AttemptId, failed: bool, cost: u64) -> Event {
    let failure = failed.then(|| Failure::new(FailureClass::Network, "cut"));
    Event::attempt_ended(
        attempt,
        failure,
        PicoUsd(cost),
        PicoUsd(if failed { cost } else { 0 }),
    )
}

fn usage(input: u64, cache_read: u64, output: u64) -> Usage {
    Usage {
        input,
        cache_read,
        output,
        ..Usage::default()
    }
}

/// Two tasks, one of which has to be tried again, and a resume.
fn ledger() -> Ledger {
    let events = [
        submitted(0, "find", "look"),
        submitted(1, "judge", "think"),
        scheduled(attempt(0, 1), "small", 50),
        scheduled(attempt(1, 1), "large", 900),
        replied(attempt(0, 1), "small-20261007", usage(10, 0, 2), 20),
        Event::TurnScheduled {
            attempt: attempt(0, 1),
            tool_results: None,
            reserved: PicoUsd(60),
            reply_tokens: None,
            tools: vec![],
        },
        ended(attempt(1, 1), true, 900),
        replied(attempt(0, 1), "small-20261007", usage(4, 10, 2), 15),
        ended(attempt(0, 1), false, 0),
        Event::CaughtUp {
            reused: 1,
            saved: PicoUsd(35),
            to_run: 1,
        },
        scheduled(attempt(1, 2), "large", 900),
        replied(attempt(1, 2), "other", usage(10, 0, 3), 400),
        ended(attempt(1, 2), false, 0),
    ];
    Ledger::of(&recorded(events))
}

#[test]
fn every_picodollar_has_its_entry() {
    let ledger = ledger();
    let total = ledger.total();
    assert_eq!((total.cost, total.replies), (PicoUsd(20 + 15 + 400), 3));
    assert_eq!(total.unconfirmed, PicoUsd(900));
    assert_eq!(total.cost + total.unconfirmed, ledger.spent().total());
    assert_eq!(total.usage, usage(24, 10, 7));
    let costs = |totals: Vec<Total>| {
        totals
            .iter()
            .map(|total| (total.cost.0, total.unconfirmed.0))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        costs(
            ledger
                .by(|entry| ledger.phase(entry))
                .into_values()
                .collect()
        ),
        [(35, 0), (400, 900)]
    );
    assert_eq!(
        costs(
            ledger
                .by(|entry| entry.attempt.task)
                .into_values()
                .collect()
        ),
        [(35, 0), (400, 900)]
    );
    assert_eq!(
        costs(ledger.by(Entry::attempt).into_values().collect()),
        [(35, 0), (400, 0), (0, 900)]
    );
    assert_eq!(ledger.reused(), (1, PicoUsd(35)));
}

#[test]
fn a_request_without_an_answer_stands_at_its_reservation() {
    let ledger = ledger();
    let unanswered: Vec<_> = ledger
        .entries()
        .iter()
        .filter(|e| e.kind == Kind::Unanswered)
        .collect();
    assert_eq!(unanswered.len(), 1);
    assert_eq!(
        (unanswered[0].cost, unanswered[0].asked.as_deref()),
        (PicoUsd(900), Some("large"))
    );
}

#[test]
fn what_was_under_way_when_a_process_died_is_booked_as_a_resume_does() {
    let mut ledger = Ledger::default();
    let task = attempt(0, 1);
    ledger.record(Timestamp(1), &submitted(0, "find", "look"));
    ledger.record(Timestamp(2), &scheduled(task, "small", 50));
    ledger.record(
        Timestamp(3),
        &Event::TurnHedged {
            attempt: task,
            reserved: PicoUsd(40),
        },
    );
    assert_eq!(ledger.total().unconfirmed, PicoUsd::ZERO);
    ledger.end_in_flight();
    assert_eq!(
        (ledger.total().unconfirmed, ledger.spent().unconfirmed),
        (PicoUsd(90), PicoUsd(90))
    );
    ledger.end_in_flight();
    assert_eq!(ledger.total().unconfirmed, PicoUsd(90));
}

#[test]
fn another_model_than_the_one_asked_is_noticed() {
    let found = ledger().substitutions();
    let other = Substitution {
        asked: "large".into(),
        answered: "other".into(),
    };
    assert_eq!(found, BTreeMap::from([(other, 1)]));
}

#[test]
fn a_review_says_what_else_it_could_have_cost() {
    let known = |entry: &Entry| {
        entry
            .model()
            .is_some_and(|model| model.starts_with("small"))
    };
    let review = Review::of(
        &ledger(),
        |entry| known(entry).then(|| price(10)),
        |_| Some(price(100)),
    );
    let class = |class| review.classes[&class];
    assert_eq!(
        class(TokenClass::Input),
        ClassCost {
            tokens: 14,
            cost: PicoUsd(140)
        }
    );
    assert_eq!(
        class(TokenClass::CacheRead),
        ClassCost {
            tokens: 10,
            cost: PicoUsd(10)
        }
    );
    assert_eq!(
        class(TokenClass::Output),
        ClassCost {
            tokens: 4,
            cost: PicoUsd(200)
        }
    );
    assert_eq!((review.list, review.recorded), (PicoUsd(350), PicoUsd(35)));
    assert_eq!(review.uncached, PicoUsd(24 * 10 + 4 * 50));
    assert_eq!(
        (review.strongest, review.comparable),
        (PicoUsd(3_500), PicoUsd(350))
    );
    assert_eq!(review.unpriced, usage(10, 0, 3));
}

#[test]
fn what_nobody_bills_is_not_without_a_price() {
    let task = attempt(0, 1);
    let free = [
        submitted(0, "find", "look"),
        scheduled(task, "demo-haiku", 0),
        replied(task, "demo-haiku", usage(10, 0, 2), 0),
    ];
    let review = Review::of(&Ledger::of(&recorded(free)), |_| None, |_| None);
    assert_eq!(
        (review.free, review.unpriced),
        (usage(10, 0, 2), Usage::default())
    );
}

/// Three tasks on a ladder from `small` at 10 to `large` at 100: one is taken
/// below, one climbs, one is still at work.
fn ladders() -> Vec<LadderRecord> {
    let (low, first, second) = (attempt(0, 1), attempt(1, 1), attempt(1, 2));
    let events = [
        climbing(0),
        scheduled(low, "small", 900),
        // 20 in, 4 out: 20 * 10 + 4 * 50.
        replied(low, "small-20261007", usage(20, 0, 4), 400),
        judged(low, "judge", 80),
        checked(low, true),
        climbing(1),
        scheduled(first, "small", 900),
        replied(first, "small-20261007", usage(10, 0, 2), 200),
        judged(first, "judge", 80),
        checked(first, false),
        scheduled(second, "large", 9_000),
        replied(second, "large", usage(12, 0, 3), 2_700),
        checked(second, true),
        climbing(2),
        scheduled(attempt(2, 1), "small", 900),
        replied(attempt(2, 1), "small", usage(1, 0, 0), 10),
    ];
    let price = |model: &Arc<str>, _| Some(price(if &**model == "large" { 100 } else { 10 }));
    Ledger::of(&recorded(events)).ladders(price)
}

#[test]
fn a_ladder_tells_what_each_of_its_rungs_did() {
    let ladders = ladders();
    let [LadderRecord { kind, rungs, .. }] = &ladders[..] else {
        panic!("{ladders:?}")
    };
    assert_eq!(kind.as_deref(), Some("bug"));
    let small = RungRecord {
        model: "small".into(),
        tried: 2,
        accepted: 1,
        cost: PicoUsd(400 + 200 + 10),
        checks: PicoUsd(80 + 80),
        above: Some(PicoUsd(10 * (400 + 200 + 10))),
    };
    let large = RungRecord {
        model: "large".into(),
        tried: 1,
        accepted: 1,
        cost: PicoUsd(2_700),
        ..RungRecord::default()
    };
    assert_eq!(rungs, &[small, large]);
    let worth = rungs[0].worth().unwrap();
    assert_eq!(
        (worth.accepted, worth.break_even, worth.pays()),
        (0.5, 770.0 / 6_100.0, true)
    );
    assert_eq!(rungs[1].worth(), None, "nothing is above it");
}

#[test]
fn a_ladder_is_held_against_its_last_model_at_once() {
    // The first task's tokens on the last model, and the second's work there.
    let last_model = PicoUsd((20 * 100 + 4 * 500) + 2_700);
    let ladder = PicoUsd((400 + 80) + (200 + 80 + 2_700));
    assert_eq!(
        ladders()[0].instead,
        Some(Instead {
            tasks: 2,
            ladder,
            last_model
        })
    );
}

#[test]
fn a_judge_is_no_substitute() {
    let first = attempt(0, 1);
    let events = [
        climbing(0),
        scheduled(first, "small", 900),
        judged(first, "judge", 80),
    ];
    let ledger = Ledger::of(&recorded(events));
    assert_eq!(ledger.substitutions(), BTreeMap::new());
    assert_eq!(
        (ledger.total().replies, ledger.total().cost),
        (1, PicoUsd(80))
    );
}

#[test]
fn time_between_executions_does_not_count() {
    let mut ledger = Ledger::default();
    let started = RunStarted {
        format: 2,
        name: "audit".into(),
        flow: source(),
        limits: Limits::default(),
        caps: Caps::default(),
    };
    let resumed = RunResumed {
        flow: source(),
        limits: Limits::default(),
        caps: Caps::default(),
        reopen_failed: false,
        reopen: vec![],
    };
    ledger.record(Timestamp(1_000), &Event::RunStarted(Box::new(started)));
    ledger.record(
        Timestamp(1_500),
        &Event::Logged {
            message: "so far".into(),
        },
    );
    ledger.record(Timestamp(9_000), &Event::RunResumed(Box::new(resumed)));
    assert_eq!((ledger.took(), ledger.is_over()), (Millis(500), false));
    ledger.record(
        Timestamp(9_200),
        &Event::RunEnded {
            status: RunStatus::Ok,
        },
    );
    assert_eq!((ledger.took(), ledger.is_over()), (Millis(700), true));
    assert_eq!(ledger.rested(), Millis(7_500));
}

fn source() -> FlowSource {
    FlowSource {
        label: RunLabel::default(),
        path: None,
        source: Content::Inline("".into()),
        args: None,
        folder: None,
        options: None,
    }
}
