//! The display where there is no terminal.

use super::{look, over, told_plainly};
use crate::display::look::Look;
use crate::display::story::Story;
use divisi_core::estimate::{Estimate, Spread};
use divisi_core::{Failure, FailureClass, Input, Millis, Outcome, PicoUsd, TaskId};
use insta::assert_snapshot;

#[test]
fn every_end_is_a_line() {
    assert_snapshot!(told_plainly(&over(), &look(120)), @r"
    [0:00] audit k3f97a2m started
    [0:00] phase find
    [0:04] ✓ auth · claude-haiku-4-5 · 4.2 s · 2.6 k tokens · $0.0033
    [0:04] ✓ payment · claude-haiku-4-5 · 4.9 s · 2.6 k tokens · $0.0033
    [0:04] phase verify
    [0:04] › 2 findings to verify
    [0:06] ✗ user · too long: prompt and files do not fit the model
    [0:07] ○ payment finding 1: sums are rounded before they are added waits: rate limited, next try in 20 s
    [0:12] ✓ payment finding 0: sums are rounded before they are added · claude-sonnet-5 · 7.1 s · 5.2 k tokens · $0.0066
    [0:12] ○ payment finding 2: sums are rounded before they are added waits: server error, next try in 1 s
    [0:30] ✓ payment finding 1: sums are rounded before they are added · claude-sonnet-5 · 0 ms · 2.6 k tokens · $0.0033 · 2 attempts
    [0:31] ○ payment finding 2: sums are rounded before they are added waits: server error, next try in 1 s
    [0:33] ○ payment finding 2: sums are rounded before they are added waits: server error, next try in 2 s
    [0:37] ○ payment finding 2: sums are rounded before they are added waits: server error, next try in 4 s
    [0:41] ✗ payment finding 2: sums are rounded before they are added · server error: the server answered 500 · 5 attempts
    [0:41] ✓ payment finding 3: sums are rounded before they are added · claude-sonnet-5 · 0:36 · 2.6 k tokens · $0.0033
    [0:41] – plan · skipped: `user` has failed, and it needs its result
    ");
}

#[test]
fn an_estimate_is_one_line_unless_it_is_nothing() {
    let told = |cents: u64, ceiling| {
        let cents = |n: u64| PicoUsd(PicoUsd::DOLLAR.0 / 100 * n * cents);
        let estimate = Estimate {
            cost: Spread {
                p10: cents(21),
                p50: cents(35),
                p90: cents(62),
            },
            ceiling,
            took: Spread {
                p50: Millis::from_secs(180),
                ..Spread::default()
            },
            tasks: 4,
            guessed: 0,
            plan: None,
        };
        let mut story = Story::begin(1);
        story.input(Input::Estimate(Box::new(estimate)));
        told_plainly(&story, &look(120))
            .lines()
            .skip(1)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_snapshot!(told(1, Some(PicoUsd(4 * PicoUsd::DOLLAR.0))), @"[0:00] plan: about $0.3500 ($0.2100 to $0.6200); about 3:00");
    assert_snapshot!(told(10, None), @"[0:00] plan: about $3.50 ($2.10 to $6.20); about 3:00");
    assert_snapshot!(told(0, None), @"");
}

#[test]
fn a_demo_and_a_resume_say_so_first() {
    let mut story = over();
    story.at(100_000).resume(None);
    story.task("auth", "find", "claude-haiku-4-5");
    story.task("user", "find", "claude-haiku-4-5");
    story.input(Input::CaughtUp);
    story.at(101_000).ok(TaskId(2), "fine");
    let told = told_plainly(
        &story,
        &Look {
            demo: true,
            unicode: false,
            ..look(120)
        },
    );
    let resumed: Vec<&str> = told
        .lines()
        .skip_while(|line| !line.contains("resumed"))
        .collect();
    assert_snapshot!(told.lines().take(2).chain(resumed).collect::<Vec<_>>().join("\n"), @r"
    [0:00] DEMO | answers are scripted, and dollars an example
    [0:00] audit k3f97a2m started
    [0:00] audit k3f97a2m resumed
    [0:00] 1 reused ($0.0033), at least 1 to run
    [0:01] + user | claude-haiku-4-5 | 1.0 s | 2.6 k tokens | $0.0033 | 2 attempts
    ");
}

#[test]
fn logs_and_warnings_keep_their_lines() {
    let mut story = Story::begin(1);
    story.input(Input::Log("first\n  second".into()));
    story.input(Input::Log(
        "warning: a.js:3: option `modle` is ignored".into(),
    ));
    assert_snapshot!(told_plainly(&story, &look(120)), @r"
    [0:00] audit k3f97a2m started
    [0:00] › first
    [0:00]     second
    [0:00] › warning: a.js:3: option `modle` is ignored
    ");
}

#[test]
fn many_tasks_are_summed_up() {
    let mut story = Story::begin(64);
    for i in 0..1_000 {
        story.task(&format!("module {i}"), "", "haiku");
    }
    for i in 0..1_000 {
        story.at(u64::from(i) * 20);
        match i {
            77 => story.fail(
                TaskId(i),
                FailureClass::Declined,
                "the model declined to answer",
            ),
            _ => story.ok(TaskId(i), "fine"),
        }
    }
    story.returns("\"done\"");
    let told = told_plainly(&story, &look(120));
    assert_snapshot!(told, @r"
    [0:00] audit k3f97a2m started
    [0:00] 50/1,000 · 50 ok · 63 running · 129 k tokens · $0.1650
    [0:01] ✗ module 77 · declined: the model declined to answer
    [0:01] 100/1,000 · 99 ok · 1 failed · 63 running · 255 k tokens · $0.3267
    [0:02] 150/1,000 · 149 ok · 1 failed · 63 running · 384 k tokens · $0.4917
    [0:03] 200/1,000 · 199 ok · 1 failed · 63 running · 513 k tokens · $0.6567
    [0:04] 250/1,000 · 249 ok · 1 failed · 63 running · 642 k tokens · $0.8217
    [0:05] 300/1,000 · 299 ok · 1 failed · 63 running · 771 k tokens · $0.9867
    [0:06] 350/1,000 · 349 ok · 1 failed · 63 running · 900 k tokens · $1.15
    [0:07] 400/1,000 · 399 ok · 1 failed · 63 running · 1.0 M tokens · $1.32
    [0:08] 450/1,000 · 449 ok · 1 failed · 63 running · 1.2 M tokens · $1.48
    [0:09] 500/1,000 · 499 ok · 1 failed · 63 running · 1.3 M tokens · $1.65
    [0:10] 550/1,000 · 549 ok · 1 failed · 63 running · 1.4 M tokens · $1.81
    [0:11] 600/1,000 · 599 ok · 1 failed · 63 running · 1.5 M tokens · $1.98
    [0:12] 650/1,000 · 649 ok · 1 failed · 63 running · 1.7 M tokens · $2.14
    [0:13] 700/1,000 · 699 ok · 1 failed · 63 running · 1.8 M tokens · $2.31
    [0:14] 750/1,000 · 749 ok · 1 failed · 63 running · 1.9 M tokens · $2.47
    [0:15] 800/1,000 · 799 ok · 1 failed · 63 running · 2.1 M tokens · $2.64
    [0:16] 850/1,000 · 849 ok · 1 failed · 63 running · 2.2 M tokens · $2.80
    [0:17] 900/1,000 · 899 ok · 1 failed · 63 running · 2.3 M tokens · $2.97
    [0:18] 950/1,000 · 949 ok · 1 failed · 50 running · 2.4 M tokens · $3.13
    [0:19] 1,000/1,000 · 999 ok · 1 failed · 0 running · 2.6 M tokens · $3.30
    ");
}

#[test]
fn a_failure_that_repeats_is_not_told_forever() {
    let mut story = Story::begin(64);
    for i in 0..300 {
        let wrong = Outcome::Failed(Failure::new(FailureClass::Auth, "the key is wrong"));
        story.submit(
            &format!("module {i}"),
            "",
            "haiku",
            PicoUsd::ZERO,
            Some(wrong),
        );
    }
    let told = told_plainly(&story, &look(120));
    assert_eq!(told.matches("as another task before").count(), 49);
    assert_snapshot!(told.lines().filter(|line| !line.contains("as another task before")).collect::<Vec<_>>().join("\n"), @r"
    [0:00] audit k3f97a2m started
    [0:00] ✗ module 0 · not authorised: the key is wrong
    [0:00] ✗ 100 tasks have failed alike so far · not authorised: the key is wrong
    [0:00] 201/201 · 0 ok · 201 failed · 0 running · 0 tokens · $0.0000
    [0:00] 212/212 · 0 ok · 212 failed · 0 running · 0 tokens · $0.0000
    [0:00] 224/224 · 0 ok · 224 failed · 0 running · 0 tokens · $0.0000
    [0:00] 236/236 · 0 ok · 236 failed · 0 running · 0 tokens · $0.0000
    [0:00] 249/249 · 0 ok · 249 failed · 0 running · 0 tokens · $0.0000
    [0:00] 263/263 · 0 ok · 263 failed · 0 running · 0 tokens · $0.0000
    [0:00] 277/277 · 0 ok · 277 failed · 0 running · 0 tokens · $0.0000
    [0:00] 292/292 · 0 ok · 292 failed · 0 running · 0 tokens · $0.0000
    ");
}
