//! How much is written to the terminal.

use super::{Memory, look};
use crate::display::live::LiveView;
use crate::display::progress::Progress;
use crate::display::story::Story;
use divisi_core::{AttemptId, Millis, RunView, TaskId};
use divisi_engine::Signal;

/// Bytes that are written each second for 300 tasks at work, on a terminal of this size.
fn bytes_per_second(
    (rows, columns): (u16, u16),
    signal: impl Fn(AttemptId, u64) -> Signal,
) -> usize {
    /// Long enough that each second has the same changes.
    const SECONDS: u64 = 60;
    let mut story = Story::begin(300);
    for i in 0..300 {
        story.task(&format!("audit module {i}"), "audit", "claude-haiku-4-5");
    }
    let term = Memory::new(rows, columns);
    let mut view = LiveView::new(look(columns.into()), term.clone());
    let mut progress = Progress::new(Story::id(), RunView::default());
    for event in &story.events {
        progress.apply(event);
    }
    for tick in 0..SECONDS * 10 {
        for task in 0..300 {
            let task = TaskId(task);
            progress.signal(signal(AttemptId { task, number: 1 }, tick));
        }
        view.tick(&progress, Story::BEGIN + Millis(tick * 100));
    }
    term.bytes() / SECONDS as usize
}

/// A reply grows by 80 tokens a second.
fn writes(attempt: AttemptId, tick: u64) -> Signal {
    let tokens = tick * 8 + u64::from(attempt.task.0);
    Signal::Writing { attempt, tokens }
}

/// Another tool in every tenth of a second.
fn works(attempt: AttemptId, tick: u64) -> Signal {
    let what = format!("read_file src/module_{}/part_{tick}.rs", attempt.task.0).into();
    Signal::Tool { attempt, what }
}

/// The figures are in docs/benchmarks.md.
#[test]
fn three_hundred_tasks_write_little_to_the_terminal() {
    let kilobytes = [(24, 80), (50, 200)].map(|size| bytes_per_second(size, writes) / 1_000);
    assert_eq!(kilobytes, [4, 14]);
}

#[test]
fn where_every_line_changes_frames_become_rarer() {
    let (rows, columns) = (120, 300);
    let written = bytes_per_second((rows, columns), works);
    let most = LiveView::BYTES_PER_SECOND_MAX as usize;
    // The last frame may have begun within the limit.
    let one_frame = usize::from(rows) * usize::from(columns) / 60;
    assert!(written <= most + one_frame, "{written} bytes a second");
    assert!(
        written > most * 9 / 10,
        "{written} bytes a second: the limit does not bind"
    );
}
