use super::*;
use crate::event::TaskSubmitted;
use crate::price::{Rates, TokenClass};
use crate::{Content, Digest, Failure, FailureClass, Key, Millis, ModelPrice, Position};

fn submitted(task: u32, label: &str, phase: &str) -> Event {
    let facts = TaskFacts { label: label.into(), phase: Some(phase.into()), ..TaskFacts::default() };
    Event::TaskSubmitted(Box::new(TaskSubmitted {
        task: TaskId(task),
        key: Key(Digest::of(label.as_bytes())),
        occurrence: 0,
        facts: facts.into(),
        spec: Content::Inline("{}".into()),
    }))
}

fn attempt(task: u32, number: u32) -> AttemptId {
    AttemptId { task: TaskId(task), number }
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
        took: Millis(1),
    };
    Event::TurnEnded { attempt, turn: Box::new(turn) }
}

fn ended(attempt: AttemptId, failed: bool, cost: u64) -> Event {
    Event::AttemptEnded {
        attempt,
        failure: failed.then(|| Box::new(Failure::new(FailureClass::Network, "cut"))),
        usage: Usage::default(),
        cost: PicoUsd(cost),
        next_turn: None,
        findings: None,
        tool_results: None,
    }
}

fn usage(input: u64, cache_read: u64, output: u64) -> Usage {
    Usage { input, cache_read, output, ..Usage::default() }
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
        },
        ended(attempt(1, 1), true, 900),
        replied(attempt(0, 1), "small-20261007", usage(4, 10, 2), 15),
        ended(attempt(0, 1), false, 0),
        Event::CaughtUp { reused: 1, saved: PicoUsd(35), to_run: 1 },
        scheduled(attempt(1, 2), "large", 900),
        replied(attempt(1, 2), "other", usage(10, 0, 3), 400),
        ended(attempt(1, 2), false, 0),
    ];
    let recorded = |(n, event): (usize, Event)| {
        let position = Position::default().after(n);
        Recorded { position, at: Timestamp(n as u64), event }
    };
    let recorded: Vec<Recorded> = events.into_iter().enumerate().map(recorded).collect();
    Ledger::of(&recorded)
}

#[test]
fn every_picodollar_has_its_entry() {
    let ledger = ledger();
    let total = ledger.total();
    assert_eq!((total.cost, total.replies), (PicoUsd(20 + 15 + 900 + 400), 3));
    assert_eq!(total.usage, usage(24, 10, 7));
    let costs = |totals: Vec<Total>| totals.iter().map(|total| total.cost.0).collect::<Vec<_>>();
    assert_eq!(costs(ledger.by(|entry| ledger.phase(entry)).into_values().collect()), [35, 1_300]);
    assert_eq!(costs(ledger.by(|entry| entry.attempt.task).into_values().collect()), [35, 1_300]);
    assert_eq!(costs(ledger.by(Entry::attempt).into_values().collect()), [35, 400, 900]);
    assert_eq!(ledger.reused(), (1, PicoUsd(35)));
}

#[test]
fn a_request_without_an_answer_stands_at_its_reservation() {
    let ledger = ledger();
    let unanswered: Vec<_> = ledger.entries().iter().filter(|e| e.kind == Kind::Unanswered).collect();
    assert_eq!(unanswered.len(), 1);
    assert_eq!((unanswered[0].cost, unanswered[0].asked.as_deref()), (PicoUsd(900), Some("large")));
}

#[test]
fn another_model_than_the_one_asked_is_noticed() {
    let found = ledger().substitutions();
    let other = Substitution { asked: "large".into(), answered: "other".into() };
    assert_eq!(found, BTreeMap::from([(other, 1)]));
}

#[test]
fn a_review_says_what_else_it_could_have_cost() {
    let price = |unit: u64| ModelPrice {
        base: Rates {
            input: PicoUsd(unit),
            cache_write_5m: PicoUsd(2 * unit),
            cache_write_1h: PicoUsd(2 * unit),
            cache_read: PicoUsd(unit / 10),
            output: PicoUsd(5 * unit),
        },
        ..ModelPrice::default()
    };
    let known = |entry: &Entry| entry.model().is_some_and(|model| model.starts_with("small"));
    let review = Review::of(&ledger(), |entry| known(entry).then(|| price(10)), |_| Some(price(100)));
    let class = |class| review.classes[&class];
    assert_eq!(class(TokenClass::Input), ClassCost { tokens: 14, cost: PicoUsd(140) });
    assert_eq!(class(TokenClass::CacheRead), ClassCost { tokens: 10, cost: PicoUsd(10) });
    assert_eq!(class(TokenClass::Output), ClassCost { tokens: 4, cost: PicoUsd(200) });
    assert_eq!((review.list, review.recorded), (PicoUsd(350), PicoUsd(35)));
    assert_eq!(review.uncached, PicoUsd(24 * 10 + 4 * 50));
    assert_eq!((review.strongest, review.comparable), (PicoUsd(3_500), PicoUsd(350)));
    assert_eq!(review.unpriced, usage(10, 0, 3));
}
