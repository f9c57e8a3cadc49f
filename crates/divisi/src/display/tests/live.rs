//! The frame on a terminal, and that it stays where it is.

use super::{Memory, look, over, progress, under_way};
use crate::display::frame::frame;
use crate::display::live::LiveView;
use crate::display::look::Look;
use crate::display::progress::Progress;
use crate::display::story::Story;
use divisi_core::governor::{Amount, Rate};
use divisi_core::{AttemptId, FailureClass, Input, Millis, PicoUsd, RunView, TaskId};
use divisi_engine::{Signal, WaitsFor};
use insta::assert_snapshot;

const RATE: Option<Rate> = Some(Rate {
    per_minute: 50,
    of: Amount::Requests,
});

fn at_work() -> (Story, Progress) {
    let story = under_way();
    let mut progress = progress(&story);
    let attempt = |task| AttemptId {
        task: TaskId(task),
        number: 1,
    };
    progress.signal(Signal::Tool {
        attempt: attempt(3),
        what: "read_file src/payment/sums.rs".into(),
    });
    progress.signal(Signal::Writing {
        attempt: attempt(5),
        tokens: 310,
    });
    progress.signal(Signal::Begins {
        attempt: attempt(5),
        words: "The sums are rounded\nbefore they are added, because".into(),
    });
    progress.signal(Signal::Waiting {
        attempt: attempt(6),
        why: WaitsFor::Limit(RATE),
        until: None,
    });
    (story, progress)
}

fn shown(look: &Look, rows: usize) -> String {
    let (story, progress) = at_work();
    frame(&progress, look, rows, story.now()).join("\n")
}

#[test]
fn a_frame_on_80_columns() {
    assert_snapshot!(shown(&look(80), 24), @r"
    audit k3f97a2m · find 3/3 · verify 0/4
    ◐ payment finding 0: sums a…  claude-sonnet-5    0:07  2.6 k  read_file src/pa…
    ◐ payment finding 2: sums a…  claude-sonnet-5    0:07    310  The sums are rou…
    ○ payment findi…ey are added waits for a rate limit (50 a minute)
    ○ payment findi…ey are added  waiting: rate limited, next try in 15 s
    ━━━━━━━━━━━───────────────  3/7 · 2 ok · 1 failed · 2 running · 2 waiting
    ⠋ 0:12 · $0.0099 · 8.1 k tokens
    ");
}

#[test]
fn a_task_that_is_held_says_what_it_waits_for() {
    let (story, mut progress) = at_work();
    let held = AttemptId {
        task: TaskId(5),
        number: 1,
    };
    let until = story.now() + Millis(12_345);
    progress.signal(Signal::Held {
        attempt: held,
        until,
    });
    let shown = frame(&progress, &look(120), 24, story.now());
    assert_eq!(
        shown
            .iter()
            .filter(|line| line.contains("waits for what they share to be cached"))
            .count(),
        1,
        "{shown:#?}"
    );
    progress.signal(Signal::Writing {
        attempt: held,
        tokens: 0,
    });
    let shown = frame(&progress, &look(120), 24, story.now());
    assert!(
        !shown.iter().any(|line| line.contains("to be cached")),
        "{shown:#?}"
    );
}

#[test]
fn those_who_wait_for_a_limit_say_until_when() {
    let (story, mut progress) = at_work();
    let now = story.now();
    for (task, left) in [(5, 3_200), (6, 2_400)] {
        let (attempt, until) = (
            AttemptId {
                task: TaskId(task),
                number: 1,
            },
            Some(now + Millis(left)),
        );
        progress.signal(Signal::Waiting {
            attempt,
            why: WaitsFor::Limit(RATE),
            until,
        });
    }
    let attempt = AttemptId {
        task: TaskId(3),
        number: 1,
    };
    progress.signal(Signal::Held {
        attempt,
        until: now + Millis(19_000),
    });
    assert_snapshot!(frame(&progress, &look(80), 24, now).join("\n"), @r"
    audit k3f97a2m · find 3/3 · verify 0/4
    ○ 2 wait for a rate limit (50 a minute), the next in 3 s
    ○ payment findi…ey are added waits for what they share to be cached, 19 s at m…
    ○ payment findi…ey are added  waiting: rate limited, next try in 15 s
    ━━━━━━━━━━━───────────────  3/7 · 2 ok · 1 failed · 4 waiting
    ⠋ 0:12 · $0.0099 · 8.1 k tokens
    ");
}

#[test]
fn a_frame_on_120_columns() {
    assert_snapshot!(shown(&look(120), 24), @r"
    audit k3f97a2m · find 3/3 · verify 0/4
      phase         task                                     model                  time tokens  now
    ◐ verify        payment finding 0: …fore they are added  claude-sonnet-5        0:07  2.6 k  read_file src/payment/sum…
    ◐ verify        payment finding 2: …fore they are added  claude-sonnet-5        0:07    310  The sums are rounded befo…
    ○ payment finding 3: …fore they are added waits for a rate limit (50 a minute)
    ○ payment finding 1: …fore they are added  waiting: rate limited, next try in 15 s
    ━━━━━━━━━━━━──────────────────  3/7 · 2 ok · 1 failed · 2 running · 2 waiting
    ⠋ 0:12 · $0.0099 · 8.1 k tokens
    ");
}

#[test]
fn a_frame_on_60_columns_without_unicode_in_a_demo() {
    let look = Look {
        unicode: false,
        demo: true,
        ..look(60)
    };
    assert_snapshot!(shown(&look, 24), @r"
    DEMO | answers are scripted, and dollars an example
    audit k3f97a2m | find 3/3 | verify 0/4
    * payment finding 0: sum...   0:07  2.6 k  read_file src...
    * payment finding 2: sum...   0:07    310  The sums are ...
    o payment ...re added waits for a rate limit (50 a minute)
    o payment ...re added  waiting: rate limited, next try i...
    ########-----------  3/7 | 2 ok | 1 failed | 2 running |...
    | 0:12 | $0.0099 | 8.1 k tokens
    ");
}

#[test]
fn a_frame_on_few_rows() {
    let mut story = Story::begin(64);
    for i in 0..80 {
        story.task(&format!("module {i}"), "", "haiku");
    }
    story.at(3_000);
    let told = |rows| frame(&progress(&story), &look(70), rows, story.now()).join("\n");
    assert_snapshot!(told(8), @r"
    audit k3f97a2m
    ◐ module 0                          0:03
    ◐ module 1                          0:03
    ◐ module 2                          0:03
    ◐ module 3                          0:03
      … and 60 more running
    ───────────────────────  0/80 · 64 running · 16 waiting
    ⠋ 0:03 · $0.0000 · 0 tokens
    ");
    assert_snapshot!(told(2), @r"
    ───────────────────────  0/80 · 64 running · 16 waiting
    ⠋ 0:03 · $0.0000 · 0 tokens
    ");
    let demo = Look {
        demo: true,
        ..look(70)
    };
    assert_snapshot!(frame(&progress(&story), &demo, 2, story.now()).join("\n"), @r"
    DEMO · answers are scripted, and dollars an example
    ⠋ 0:03 · $0.0000 · 0 tokens
    ");
}

#[test]
fn many_rests_are_told_by_reason() {
    let mut story = Story::begin(64);
    let tasks: Vec<_> = (0..12)
        .map(|i| story.task(&format!("module {i}"), "", "haiku"))
        .collect();
    story.at(3_000);
    for (i, task) in tasks.iter().enumerate().take(10) {
        let class = if i < 8 {
            FailureClass::Overloaded
        } else {
            FailureClass::Network
        };
        story.fail(*task, class, "no");
    }
    assert_snapshot!(frame(&progress(&story), &look(70), 24, story.now()).join("\n"), @r"
    audit k3f97a2m
    ◐ module 10                         0:03
    ◐ module 11                         0:03
    ○ 8 tasks  waiting: overloaded, next try in 1 s
    ○ 2 tasks  waiting: connection lost, next try in 1 s
    ───────────────────────  0/12 · 2 running · 10 waiting
    ⠋ 0:03 · $0.0000 · 0 tokens
    ");
}

#[test]
fn parking_says_what_it_waits_for() {
    let mut story = under_way();
    story.input(Input::Park);
    assert_snapshot!(frame(&progress(&story), &look(100), 4, story.now()).join("\n"), @r"
    ○ payment finding …e they are added  waiting: rate limited, next try in 15 s
    parking: you asked for it · 3 tasks to finish first
    ━━━━━━━━━━━━──────────────────  3/7 · 2 ok · 1 failed · 3 running · 1 waiting
    ⠋ 0:12 · $0.0099 · 7.7 k tokens
    ");
}

#[test]
fn spent_and_reused_are_told_after_a_resume() {
    let mut story = over();
    story.at(100_000).resume(PicoUsd::parse_dollars("5"));
    story.task("auth", "find", "claude-haiku-4-5");
    story.task("user", "find", "claude-haiku-4-5");
    story.input(Input::CaughtUp);
    story.at(101_500);
    assert_snapshot!(frame(&progress(&story), &look(80), 24, story.now()).join("\n"), @r"
    audit k3f97a2m · find 1/2
    ◐ user (attempt 2)            claude-haiku-4-5   0:01
    ━━━━━━━━━━━━━─────────────  1/2 · 1 ok · 1 running
    ⠴ 0:01 · $0.0198, cap $5.00 · 15 k tokens · 1 reused
    ");
}

/// Every line fits: none may wrap at any width.
#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in 1..200 {
        for unicode in [true, false] {
            let look = Look {
                unicode,
                ..look(width)
            };
            for line in shown(&look, 40).lines() {
                assert!(
                    console::measure_text_width(line) < width.max(2),
                    "{width}: {line}"
                );
            }
        }
    }
}

#[test]
fn the_terminal_keeps_the_news_and_one_frame() {
    let term = Memory::new(16, 80);
    let mut view = LiveView::new(look(80), term.clone());
    let mut progress = Progress::new(Story::id(), RunView::default());
    let story = under_way();
    for event in &story.events {
        progress.apply(event);
        view.event(&progress, event);
    }
    view.tick(&progress, story.now());
    assert_snapshot!(term.contents(), @r"
    › 2 findings to verify
    ✗ user · too long: prompt and files do not fit the model
    audit k3f97a2m · find 3/3 · verify 0/4
    ◐ payment finding 0: sums a…  claude-sonnet-5    0:07  2.6 k
    ◐ payment finding 2: sums a…  claude-sonnet-5    0:07
    ◐ payment finding 3: sums a…  claude-sonnet-5    0:07
    ○ payment findi…ey are added  waiting: rate limited, next try in 15 s
    ━━━━━━━━━━━───────────────  3/7 · 2 ok · 1 failed · 3 running · 1 waiting
    ⠋ 0:12 · $0.0099 · 7.7 k tokens
    ");
    view.finish();
    assert_snapshot!(term.contents(), @r"
    › 2 findings to verify
    ✗ user · too long: prompt and files do not fit the model
    ");
}

#[test]
fn sixty_four_tasks_do_not_scroll() {
    let term = Memory::new(12, 60);
    let mut view = LiveView::new(look(60), term.clone());
    let mut story = Story::begin(64);
    for i in 0..200 {
        story.task(&format!("module {i}"), "", "haiku");
    }
    for i in 0..150 {
        story.at(1_000 + u64::from(i) * 50).ok(TaskId(i), "fine");
    }
    let mut progress = Progress::new(Story::id(), RunView::default());
    let mut first_line = None;
    for event in &story.events {
        progress.apply(event);
        view.event(&progress, event);
        let line = term.contents().lines().next().map(str::to_owned);
        assert_eq!(*first_line.get_or_insert(line.clone()), line);
    }
    view.tick(&progress, story.now() + Millis(1_000));
    assert_snapshot!(term.contents(), @r"
    audit k3f97a2m
    ◐ module 150                  0:04
    ◐ module 151                  0:04
    ◐ module 152                  0:04
    ◐ module 153                  0:04
    ◐ module 154                  0:03
    ◐ module 155                  0:03
    ◐ module 156                  0:03
      … and 43 more running
    ━━━━━━━━━━━━━━─────  150/200 · 150 ok · 50 running
    ⠼ 0:09 · $0.4950 · 387 k tokens
    ");
}

#[test]
fn a_cap_that_keeps_tasks_waiting_is_named() {
    let mut story = Story::with_cap("0.01");
    for name in ["a", "b", "c", "d", "e", "f"] {
        story.task(name, "", "haiku");
    }
    let shown = frame(&progress(&story), &look(80), 24, story.now()).join("\n");
    assert_snapshot!(shown, @r"
    audit k3f97a2m
    ◐ a                           haiku              0:00
    ◐ b                           haiku              0:00
    ◐ c                           haiku              0:00
    ○ the cap leaves room for 3 at a time; `--max-cost 0.04` runs 6
    ──────────────────────────  0/6 · 3 running · 3 waiting
    ⠋ 0:00 · $0.0000, cap $0.0100 · 0 tokens
    ");
}
