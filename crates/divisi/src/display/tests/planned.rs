//! Progress, time and money beside what the plan expects.

use super::{look, progress, told_plainly};
use crate::display::frame::frame;
use crate::display::story::Story;
use divisi_core::estimate::{Estimate, Spread};
use divisi_core::{Input, Millis, PicoUsd, TaskId};
use insta::assert_snapshot;

/// A plan of 121 tasks and three minutes.
fn plan() -> Estimate {
    let dollars = |dollars| PicoUsd::parse_dollars(dollars).expect("dollars");
    Estimate {
        cost: Spread {
            p10: dollars("0.15"),
            p50: dollars("0.2"),
            p90: dollars("0.25"),
        },
        ceiling: None,
        took: Spread {
            p10: Millis(120_000),
            p50: Millis(180_000),
            p90: Millis(240_000),
        },
        tasks: 121,
        guessed: 0,
        plan: None,
    }
}

/// Sixty audits at once, each of which is verified as soon as it has ended, and a summary: so many
/// of them have ended, one a second.
fn audits(ended: u32) -> Story {
    let mut story = Story::with_cap("5");
    story.input(Input::Estimate(Box::new(plan())));
    for i in 0..60 {
        story.task(&format!("audit module {i}"), "audit", "claude-haiku-4-5");
    }
    for i in 0..ended {
        story.at(1_000 * u64::from(i + 1)).ok(TaskId(i), "fine");
        if i < 60 {
            story.task(&format!("verify module {i}"), "verify", "claude-sonnet-5");
        }
    }
    story
}

/// The figures below the tasks.
fn figures(story: &Story, width: usize) -> String {
    let shown = frame(&progress(story), &look(width), 24, story.now());
    shown[shown.len() - 2..].join("\n")
}

#[test]
fn progress_is_told_beside_the_plan_at_every_width() {
    let mut story = audits(40);
    story.at(50_000);
    let shown = [60, 100, 200].map(|width| figures(&story, width));
    assert_snapshot!(shown.join("\n\n"), @r"
    ━━━━━━─────────────  40/121 · 40 ok · 60 running
    ⠋ 0:50 · ~3 min to go · $0.1320 of ~$0.2000, cap $5.00

    ━━━━━━━━━─────────────────────  40/121 · 40 ok · 60 running
    ⠋ 0:50 · about 3 min to go · $0.1320 of about $0.2000, cap $5.00 · 103 k tokens

    ━━━━━━━━━─────────────────────  40/121 · 40 ok · 60 running
    ⠋ 0:50 · about 3 min to go · $0.1320 of about $0.2000, cap $5.00 · 103 k tokens
    ");
}

#[test]
fn the_bar_does_not_run_back_while_the_flow_requests_its_tasks() {
    let shares: Vec<f64> = (0..=60)
        .map(|ended| {
            let work = progress(&audits(ended)).work();
            f64::from(work.ended) / f64::from(work.total)
        })
        .collect();
    assert!(shares.is_sorted(), "{shares:?}");
    assert!(shares[60] < 0.5, "{shares:?}");
}

#[test]
fn the_time_to_go_follows_the_plan_and_then_the_pace() {
    let told = |ended: u32, at| {
        let mut story = audits(ended);
        story.at(at);
        let figures = figures(&story, 200);
        let figures = figures.lines().last().expect("a line").to_owned();
        figures.split(" · ").nth(1).expect("a part").to_owned()
    };
    assert_snapshot!([told(0, 5_000), told(0, 200_000), told(30, 45_000), told(100, 160_000)].join("\n"), @r"
    about 3 min to go
    longer than the planned 3 min
    about 3 min to go
    about 40 s to go
    ");
}

#[test]
fn spending_beyond_the_plan_is_warned_of_once() {
    let mut story = audits(60);
    for i in 60..100 {
        story.at(1_000 * u64::from(i + 1)).ok(TaskId(i), "fine");
    }
    let told = told_plainly(&story, &look(100));
    let warnings: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("warning"))
        .collect();
    assert_snapshot!(warnings.join("\n"), @"[1:16] warning: $0.2508 are spent, more than the plan's range of $0.1500 to $0.2500; the cap is $5.00");
}
