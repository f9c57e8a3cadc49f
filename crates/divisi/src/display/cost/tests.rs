use super::*;
use crate::display::look::page;
use crate::display::story::Story;
use divisi_core::event::Turn;
use divisi_core::price::Rates;
use divisi_core::{AttemptId, Content, Digest, Event, FailureClass, Millis, ModelPrice};

fn rates(input: u64) -> Rates {
    Rates {
        input: PicoUsd(input),
        cache_write_5m: PicoUsd(input * 5 / 4),
        cache_write_1h: PicoUsd(input * 2),
        cache_read: PicoUsd(input / 10),
        output: PicoUsd(input * 5),
    }
}

fn price(input: u64) -> ModelPrice {
    ModelPrice { base: rates(input), ..ModelPrice::default() }
}

/// A reply by another model than the one asked.
fn substituted(attempt: AttemptId) -> Event {
    let turn = Box::new(Turn {
        request: Digest::of(b""),
        reply: Content::Inline("{}".into()),
        model: "claude-sonnet-5-5".into(),
        usage: Usage { input: 400, cache_read: 2_000, output: 180, ..Usage::default() },
        cost: PicoUsd(3_300_000_000),
        judges: false,
        took: Millis(1),
    });
    Event::TurnEnded { attempt, turn }
}

/// A run of three tasks; one is tried twice, one is answered by another model.
fn bill(top: usize) -> Bill {
    let mut story = Story::begin(4);
    let find = story.task("find it", "look", "claude-haiku-5-5");
    let judge = story.task("judge it", "think", "claude-opus-5-5");
    let other = story.task("say it", "think", "claude-opus-5-5");
    story.at(400).ok(find, "found");
    story.at(500).fail(judge, FailureClass::Server, "the server answered 500");
    story.at(9_000).ok(judge, "good");
    story.at(9_500).ok(other, "said");
    let mut ledger = Ledger::of(&story.events);
    let attempt = AttemptId { task: judge, number: 3 };
    ledger.record(
        story.now(),
        &Event::AttemptScheduled {
            attempt,
            model: Some("claude-opus-5-5".into()),
            reserved: PicoUsd::ZERO,
            reply_tokens: None,
        },
    );
    ledger.record(story.now(), &substituted(attempt));
    ledger.record(story.now(), &Event::CaughtUp { reused: 2, saved: PicoUsd(4_000_000_000), to_run: 0 });
    let of = |entry: &Entry| match entry.model().map(|model| &**model) {
        Some("claude-haiku-5-5") => Some(price(100_000)),
        _ => Some(price(4_000_000)),
    };
    let review = Review::of(&ledger, of, |_| Some(price(8_000_000)));
    Bill::new(&Story::id(), &ledger, review, Some("claude-fable-5-2".into()), top)
}

fn shown(bill: &Bill) -> String {
    let look = Look { color: false, unicode: true, width: 80, demo: false };
    page(&cost(bill, &look), &look)
}

#[test]
fn every_breakdown_has_its_table() {
    insta::assert_snapshot!(shown(&bill(2)), @r"
    k3f97a2m $0.0132 · 4 replies · 10 k tokens
    other model: claude-sonnet-5-5 gave 1 reply for claude-opus-5-5

      phase  replies  tokens     cost  share
      think        3   7.7 k  $0.0099   75 %
      look         1   2.6 k  $0.0033   25 %

      model              replies  tokens     cost  share
      claude-opus-5-5          2   5.2 k  $0.0066   50 %
      claude-haiku-5-5         1   2.6 k  $0.0033   25 %
      claude-sonnet-5-5        1   2.6 k  $0.0033   25 %

      attempt        replies  tokens     cost  share
      first tries          2   5.2 k  $0.0066   50 %
      further tries        2   5.2 k  $0.0066   50 %

      task         replies  tokens     cost  share
      t1 judge it        2   5.2 k  $0.0066   50 %
      t0 find it         1   2.6 k  $0.0033   25 %
      … and 1 more; --top lists them

      tokens at list prices  tokens     cost
      fresh input             7.6 k  $0.0210
      cache reads             2.0 k  $0.0008
      output                    720  $0.0109
      -$0.0195 beside the list: served otherwise (batch, fast, region), or prices have changed since

      saved
        $0.0072  by caching, what writes cost more taken off
        $0.0040  by reusing 2 results of earlier executions
        $0.0585  against $0.0912 for the same tokens on claude-fable-5-2
    ");
}

#[test]
fn what_there_is_none_of_is_not_shown() {
    let ledger = Ledger::default();
    let review = Review::of(&ledger, |_| None, |_| None);
    insta::assert_snapshot!(shown(&Bill::new(&Story::id(), &ledger, review, None, 10)), @"k3f97a2m $0.0000 · 0 replies · 0 tokens");
}
