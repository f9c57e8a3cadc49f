//! What waits and what fails, summed up, at every width and with many tasks.

use super::{Memory, look, progress, told_plainly};
use crate::display::frame::frame;
use crate::display::live::LiveView;
use crate::display::progress::Progress;
use crate::display::story::Story;
use divisi_core::governor::{Amount, Rate};
use divisi_core::{AttemptId, FailureClass, Millis, RunView, TaskId};
use divisi_engine::{Signal, WaitsFor};
use insta::assert_snapshot;

/// So many tasks under way for twelve seconds.
fn under_way(tasks: u32) -> Story {
    let mut story = Story::begin(tasks);
    for i in 0..tasks {
        story.task(&format!("audit module {i}"), "audit", "claude-haiku-4-5");
    }
    story.at(12_000);
    story
}

/// So many tasks under way, three of which are at work; the others wait for a rate limit.
fn limited(tasks: u32) -> (Story, Progress) {
    let story = under_way(tasks);
    let mut progress = progress(&story);
    let attempt = |task| AttemptId {
        task: TaskId(task),
        number: 1,
    };
    let rate = Rate {
        per_minute: 50,
        of: Amount::Requests,
    };
    for task in 3..tasks {
        progress.signal(Signal::Waiting {
            attempt: attempt(task),
            why: WaitsFor::Limit(Some(rate)),
            until: Some(story.now() + Millis(2_100 + u64::from(task))),
        });
    }
    progress.signal(Signal::Tool {
        attempt: attempt(0),
        what: "search_files fn (sum|total)_of_payments\\(".into(),
    });
    progress.signal(Signal::Writing {
        attempt: attempt(1),
        tokens: 1_310,
    });
    progress.signal(Signal::Begins {
        attempt: attempt(1),
        words: "The module has two holes: the session is not bound to the address, and".into(),
    });
    (story, progress)
}

fn shown(tasks: u32, width: usize, rows: usize) -> String {
    let (story, progress) = limited(tasks);
    frame(&progress, &look(width), rows, story.now()).join("\n")
}

#[test]
fn tasks_that_wait_for_a_limit_are_one_line_at_every_width() {
    assert_snapshot!([60, 100, 200].map(|width| shown(50, width, 24)).join("\n\n"), @r"
    audit k3f97a2m · audit 0/50
    ◐ audit module 0              0:12         search_files fn…
    ◐ audit module 1              0:12  1.3 k  The module has …
    ◐ audit module 2              0:12
    ○ 47 wait for a rate limit (50 a minute), the next in 3 s
    ───────────────────  0/50 · 3 running · 47 waiting
    ⠋ 0:12 · $0.0000 · 1.3 k tokens

    audit k3f97a2m · audit 0/50
      phase         task                         model                  time tokens  now
    ◐ audit         audit module 0               claude-haiku-4-5       0:12         search_files fn (…
    ◐ audit         audit module 1               claude-haiku-4-5       0:12  1.3 k  The module has tw…
    ◐ audit         audit module 2               claude-haiku-4-5       0:12
    ○ 47 wait for a rate limit (50 a minute), the next in 3 s
    ──────────────────────────────  0/50 · 3 running · 47 waiting
    ⠋ 0:12 · $0.0000 · 1.3 k tokens

    audit k3f97a2m · audit 0/50
      phase         task                                              model                  time tokens  now
    ◐ audit         audit module 0                                    claude-haiku-4-5       0:12         search_files fn (sum|total)_of_payments\(
    ◐ audit         audit module 1                                    claude-haiku-4-5       0:12  1.3 k  The module has two holes: the session is not bound to the address, and
    ◐ audit         audit module 2                                    claude-haiku-4-5       0:12
    ○ 47 wait for a rate limit (50 a minute), the next in 3 s
    ──────────────────────────────  0/50 · 3 running · 47 waiting
    ⠋ 0:12 · $0.0000 · 1.3 k tokens
    ");
    assert_snapshot!([5, 300].map(|tasks| shown(tasks, 100, 24)).join("\n\n"), @r"
    audit k3f97a2m · audit 0/5
      phase         task                         model                  time tokens  now
    ◐ audit         audit module 0               claude-haiku-4-5       0:12         search_files fn (…
    ◐ audit         audit module 1               claude-haiku-4-5       0:12  1.3 k  The module has tw…
    ◐ audit         audit module 2               claude-haiku-4-5       0:12
    ○ 2 wait for a rate limit (50 a minute), the next in 3 s
    ──────────────────────────────  0/5 · 3 running · 2 waiting
    ⠋ 0:12 · $0.0000 · 1.3 k tokens

    audit k3f97a2m · audit 0/300
      phase         task                         model                  time tokens  now
    ◐ audit         audit module 0               claude-haiku-4-5       0:12         search_files fn (…
    ◐ audit         audit module 1               claude-haiku-4-5       0:12  1.3 k  The module has tw…
    ◐ audit         audit module 2               claude-haiku-4-5       0:12
    ○ 297 wait for a rate limit (50 a minute), the next in 3 s
    ──────────────────────────────  0/300 · 3 running · 297 waiting
    ⠋ 0:12 · $0.0000 · 1.3 k tokens
    ");
}

#[test]
fn many_tasks_at_work_are_cut_to_the_rows() {
    let story = under_way(300);
    let shown = [60, 100, 200]
        .map(|width| frame(&progress(&story), &look(width), 12, story.now()).join("\n"));
    assert_snapshot!(shown.join("\n\n"), @r"
    audit k3f97a2m · audit 0/300
    ◐ audit module 0              0:12
    ◐ audit module 1              0:12
    ◐ audit module 2              0:12
    ◐ audit module 3              0:12
    ◐ audit module 4              0:12
    ◐ audit module 5              0:12
    ◐ audit module 6              0:12
    ◐ audit module 7              0:12
      … and 292 more running
    ───────────────────  0/300 · 300 running
    ⠋ 0:12 · $0.0000 · 0 tokens

    audit k3f97a2m · audit 0/300
      phase         task                         model                  time tokens  now
    ◐ audit         audit module 0               claude-haiku-4-5       0:12
    ◐ audit         audit module 1               claude-haiku-4-5       0:12
    ◐ audit         audit module 2               claude-haiku-4-5       0:12
    ◐ audit         audit module 3               claude-haiku-4-5       0:12
    ◐ audit         audit module 4               claude-haiku-4-5       0:12
    ◐ audit         audit module 5               claude-haiku-4-5       0:12
    ◐ audit         audit module 6               claude-haiku-4-5       0:12
      … and 293 more running
    ──────────────────────────────  0/300 · 300 running
    ⠋ 0:12 · $0.0000 · 0 tokens

    audit k3f97a2m · audit 0/300
      phase         task                                              model                  time tokens  now
    ◐ audit         audit module 0                                    claude-haiku-4-5       0:12
    ◐ audit         audit module 1                                    claude-haiku-4-5       0:12
    ◐ audit         audit module 2                                    claude-haiku-4-5       0:12
    ◐ audit         audit module 3                                    claude-haiku-4-5       0:12
    ◐ audit         audit module 4                                    claude-haiku-4-5       0:12
    ◐ audit         audit module 5                                    claude-haiku-4-5       0:12
    ◐ audit         audit module 6                                    claude-haiku-4-5       0:12
      … and 293 more running
    ──────────────────────────────  0/300 · 300 running
    ⠋ 0:12 · $0.0000 · 0 tokens
    ");
}

/// Two hundred tasks that fail with the same message, and one with another.
fn refused() -> Story {
    let mut story = Story::begin(210);
    let tasks: Vec<_> = (0..200)
        .map(|i| story.task(&format!("module {i}"), "", "haiku"))
        .collect();
    story.at(1_000).fail(
        tasks[7],
        FailureClass::Declined,
        "the model declined to answer",
    );
    for task in tasks.iter().filter(|task| task.0 != 7) {
        story.fail(
            *task,
            FailureClass::TooLong,
            "prompt and files do not fit the model",
        );
    }
    story
}

#[test]
fn equal_failures_are_summed_up_while_the_run_goes_on() {
    let story = refused();
    let term = Memory::new(30, 100);
    let mut view = LiveView::new(look(100), term.clone());
    let mut progress = Progress::new(Story::id(), RunView::default());
    for event in &story.events {
        progress.apply(event);
        view.event(&progress, event);
    }
    view.finish();
    assert_snapshot!(term.contents(), @r"
    ✗ module 7 · declined: the model declined to answer
    ✗ module 0 · too long: prompt and files do not fit the model
    ✗ 10 tasks have failed alike so far · too long: prompt and files do not fit the model
    ✗ 100 tasks have failed alike so far · too long: prompt and files do not fit the model
    ");
    let plainly = told_plainly(&story, &look(100));
    let failures: Vec<&str> = plainly.lines().filter(|line| line.contains('✗')).collect();
    assert_eq!(failures.len(), 52);
    let some = [
        failures[0],
        failures[1],
        failures[2],
        failures[50],
        failures[51],
    ];
    assert_snapshot!(some.join("\n"), @r"
    [0:01] ✗ module 7 · declined: the model declined to answer
    [0:01] ✗ module 0 · too long: prompt and files do not fit the model
    [0:01] ✗ module 1 · too long, as another task before
    [0:01] ✗ module 50 · too long, as another task before
    [0:01] ✗ 100 tasks have failed alike so far · too long: prompt and files do not fit the model
    ");
}
