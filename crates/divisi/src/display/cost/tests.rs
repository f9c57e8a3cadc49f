use super::*;
use crate::display::look::page;
use crate::display::story::Story;
use divisi_core::estimate::{Estimate, Spread};
use divisi_core::event::{RunStatus, Times, Turn};
use divisi_core::ledger::RungRecord;
use divisi_core::price::Rates;
use divisi_core::{AttemptId, Content, Digest, Event, FailureClass, Millis, ModelPrice};

const LOOK: Look = Look {
    color: false,
    unicode: true,
    width: 80,
    demo: false,
};

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
    ModelPrice {
        base: rates(input),
        ..ModelPrice::default()
    }
}

/// A reply from a model other than the requested one.
fn substituted(attempt: AttemptId) -> Event {
    let turn = Box::new(Turn {
        request: Digest::of(b""),
        reply: Content::Inline("{}".into()),
        model: "claude-sonnet-5-5".into(),
        usage: Usage {
            input: 400,
            cache_read: 2_000,
            output: 180,
            ..Usage::default()
        },
        cost: PicoUsd(3_300_000_000),
        judges: false,
        estimated: false,
        took: Millis(1),
        times: Times::default(),
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
    story
        .at(500)
        .fail(judge, FailureClass::Server, "the server answered 500");
    story.at(9_000).ok(judge, "good");
    story.at(9_500).ok(other, "said");
    let mut ledger = Ledger::of(&story.events);
    let attempt = AttemptId {
        task: judge,
        number: 3,
    };
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
    ledger.record(
        story.now(),
        &Event::CaughtUp {
            reused: 2,
            saved: PicoUsd(4_000_000_000),
            to_run: 0,
        },
    );
    let of = |entry: &Entry| match entry.model().map(|model| &**model) {
        Some("claude-haiku-5-5") => Some(price(100_000)),
        _ => Some(price(4_000_000)),
    };
    let review = Review::of(&ledger, of, |_| Some(price(8_000_000)));
    Bill::new(
        &Story::id(),
        &ledger,
        review,
        vec![],
        Some("claude-fable-5-2".into()),
        top,
    )
}

fn shown(bill: &Bill) -> String {
    page(&cost(bill, &LOOK), &LOOK)
}

#[test]
fn every_breakdown_has_its_table() {
    insta::assert_snapshot!(shown(&bill(2)), @"
    k3f97a2m $0.0099 + $0.0033 above what was set aside · 4 replies · 10 k tokens
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
fn what_nobody_bills_is_free_and_not_without_a_price() {
    let tokens = |input| Usage {
        input,
        ..Usage::default()
    };
    let bill = Bill {
        free: tokens(1_200),
        unpriced: tokens(40),
        ..bill(2)
    };
    let text = shown(&bill);
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("of models"))
        .collect();
    insta::assert_snapshot!(rows.join("\n"), @r"
    of models without a price      40        -
    of models without a bill    1.2 k     free
    ");
}

#[test]
fn what_there_is_none_of_is_not_shown() {
    let ledger = Ledger::default();
    let review = Review::of(&ledger, |_| None, |_| None);
    insta::assert_snapshot!(shown(&Bill::new(&Story::id(), &ledger, review, vec![], None, 10)), @"k3f97a2m $0.0000 · 0 replies · 0 tokens");
}

/// The bill of a run that was estimated at $0.006 and has cost $0.0066.
fn estimated(is_over: bool, ceiling: Option<PicoUsd>) -> Bill {
    estimated_and_lost(is_over, ceiling, PicoUsd::ZERO)
}

/// The same, with this much reserved for a request whose reply never came.
fn estimated_and_lost(is_over: bool, ceiling: Option<PicoUsd>, lost: PicoUsd) -> Bill {
    let mut story = Story::begin(4);
    let find = story.task("find it", "look", "claude-haiku-5-5");
    let other = story.task("find more", "look", "claude-haiku-5-5");
    story.at(400).ok(find, "found");
    story.at(2_000).ok(other, "found");
    if is_over {
        story.returns("null");
    }
    let mut ledger = Ledger::of(&story.events);
    let estimate = Estimate {
        cost: Spread {
            p10: PicoUsd(4_000_000_000),
            p50: PicoUsd(6_000_000_000),
            p90: PicoUsd(9_000_000_000),
        },
        ceiling,
        took: Spread {
            p50: Millis(3_000),
            ..Spread::default()
        },
        tasks: 2,
        guessed: 1,
        plan: None,
    };
    let is_last = ledger.is_over();
    if lost > PicoUsd::ZERO {
        let attempt = AttemptId {
            task: find,
            number: 2,
        };
        let model = Some("claude-haiku-5-5".into());
        let sent = Event::AttemptScheduled {
            attempt,
            model,
            reserved: lost,
            reply_tokens: None,
        };
        ledger.record(story.now(), &sent);
        ledger.end_in_flight();
    }
    ledger.record(
        story.now(),
        &Event::Estimated {
            estimate: Box::new(estimate),
        },
    );
    if is_last {
        ledger.record(
            story.now(),
            &Event::RunEnded {
                status: RunStatus::Ok,
            },
        );
    }
    Bill::new(&Story::id(), &ledger, Review::default(), vec![], None, 0)
}

fn against(bill: &Bill) -> String {
    let expected = bill.plan_against_actual.as_ref().expect("it was estimated");
    page(&expected::lines(expected), &LOOK)
}

#[test]
fn a_plan_is_held_against_what_came_of_it() {
    insta::assert_snapshot!(against(&estimated(true, Some(PicoUsd(40_000_000_000)))), @r"
    plan against actual
      plan     about $0.0060 ($0.0040 to $0.0090)
      actual   $0.0066, 10 % above the estimate, within its range
      time     about 3.0 s; took 2.0 s
      from     rough figures for 1 of 2 tasks: no history then
    ");
    insta::assert_snapshot!(against(&estimated(false, None)), @r"

    plan against actual
      plan     about $0.0060 ($0.0040 to $0.0090)
      so far   $0.0066, 110 % of the estimate
      time     about 3.0 s; took 2.0 s
      from     rough figures for 1 of 2 tasks: no history then
    ");
    insta::assert_snapshot!(against(&estimated(true, Some(PicoUsd(100)))), @r"
    plan against actual
      plan     about $0.0060 ($0.0040 to $0.0090)
      actual   $0.0066, 10 % above the estimate, within its range
      time     about 3.0 s; took 2.0 s
      warning  more than it ever should have cost: please report this
      from     rough figures for 1 of 2 tasks: no history then
    ");
    let unsure = estimated_and_lost(true, None, PicoUsd(20_000_000_000));
    insta::assert_snapshot!(against(&unsure), @"
    plan against actual
      plan     about $0.0060 ($0.0040 to $0.0090)
      actual   $0.0066 confirmed, 110 % of the estimate; at most $0.0200 more is not
      time     about 3.0 s; took 2.0 s
      from     rough figures for 1 of 2 tasks: no history then
    ");
    insta::assert_snapshot!(shown(&unsure), @"
    k3f97a2m $0.0066 + at most $0.0200 unconfirmed · 2 replies · 5.2 k tokens

      plan against actual
        plan     about $0.0060 ($0.0040 to $0.0090)
        actual   $0.0066 confirmed, 110 % of the estimate; at most $0.0200 more is not
        time     about 3.0 s; took 2.0 s
        from     rough figures for 1 of 2 tasks: no history then

      phase  replies  tokens     cost  share      unconfirmed
      look         2   5.2 k  $0.0066  100 %  at most $0.0200

      model             replies  tokens     cost  share      unconfirmed
      claude-haiku-5-5        2   5.2 k  $0.0066  100 %  at most $0.0200

      attempt          replies  tokens     cost  share      unconfirmed
      first tries            2   5.2 k  $0.0066  100 %
      without a reply        0       0  $0.0000    0 %  at most $0.0200
      … and 2 more; --top lists them

      tokens at list prices  tokens  cost
    ");
    let json = serde_json::to_value(unsure).unwrap();
    insta::assert_snapshot!(json["total"], @r#"{"replies":2,"usage":{"input":4800,"output":360},"cost":6600000000,"unconfirmed":20000000000}"#);
    let json = serde_json::to_value(estimated(true, None)).unwrap();
    insta::assert_snapshot!(json["plan_against_actual"], @r#"{"estimate":{"cost":{"p10":4000000000,"p50":6000000000,"p90":9000000000},"took":{"p10":0,"p50":3000,"p90":0},"tasks":2,"guessed":1},"actual":6600000000,"unconfirmed":0,"took":2000,"rested":0,"so_far":false,"error":{"actual":6600000000,"ratio":1.1,"inside":true,"above_ceiling":false}}"#);
}

#[test]
fn ladders_are_told_rung_by_rung() {
    let rung = |model: &str, tried, accepted, cents: u64, above| RungRecord {
        model: model.into(),
        tried,
        accepted,
        cost: PicoUsd(cents * 10_000_000_000),
        checks: PicoUsd(if tried == 80 { 20_000_000_000 } else { 0 }),
        above,
    };
    let strong = Some(PicoUsd(900_000_000_000));
    let pays = LadderRecord {
        kind: Some("bug".into()),
        rungs: vec![
            rung("haiku-5", 80, 62, 30, strong),
            rung("opus-5", 18, 18, 25, None),
        ],
        instead: Some(Instead {
            tasks: 80,
            ladder: PicoUsd(570_000_000_000),
            last_model: PicoUsd(940_000_000_000),
        }),
    };
    let does_not = LadderRecord {
        kind: None,
        rungs: vec![
            rung("haiku-5", 10, 2, 30, strong),
            rung("opus-5", 0, 0, 0, None),
        ],
        instead: None,
    };
    let ledger = Ledger::of(&Story::begin(1).events);
    let ladders = vec![pays, does_not];
    let bill = Bill::new(&Story::id(), &ledger, Review::default(), ladders, None, 0);
    insta::assert_snapshot!(shown(&bill), @r"
    k3f97a2m $0.0000 · 0 replies · 0 tokens

      ladder          results  accepted     cost   checks
      bug: haiku-5         80        62  $0.3000  $0.0200
      bug: opus-5          18        18  $0.2500
      other: haiku-5       10         2  $0.3000
      other: opus-5         0         0  $0.0000
      bug: accepted 62 of 80 on haiku-5: saves 42 %
      other: accepted 2 of 10 on haiku-5: does not pay: needs more than 34 %

      saved
        $0.3700  by ladders: $0.5700 for 80 tasks, against $0.9400 for the same tokens on the last model, unchecked
    ");
    let json = serde_json::to_value(&bill).unwrap();
    insta::assert_snapshot!(json["saved"]["ladders"], @r#"{"tasks":80,"ladder":570000000000,"last_model":940000000000,"saved":{"more":370000000000,"less":0}}"#);
    insta::assert_snapshot!(json["ladders"][0]["advice"], @r#"[{"kind":"bug","weak":"haiku-5","strong":"opus-5","accepted":62,"tried":80,"break_even":0.35555555555555557}]"#);
}
