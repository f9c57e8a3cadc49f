//! A run of very many events.

use super::{Memory, look};
use crate::display::live::LiveView;
use crate::display::plain::PlainView;
use crate::display::progress::Progress;
use crate::display::story::Story;
use divisi_core::{RunView, TaskId};

#[test]
fn a_hundred_thousand_events_are_digested() {
    let mut story = Story::begin(64);
    for i in 0..25_000 {
        story.task(&format!("module {i}"), "find", "haiku");
    }
    for i in 0..25_000 {
        story.at(u64::from(i)).ok(TaskId(i), "fine");
    }
    assert!(story.events.len() > 100_000);

    let term = Memory::new(24, 80);
    let mut live = LiveView::new(look(80), term.clone());
    let mut plain = PlainView::new(look(80));
    let mut progress = Progress::new(Story::id(), RunView::default());
    let mut lines = 0;
    for event in &story.events {
        progress.apply(event);
        live.event(&progress, event);
        lines += plain.event(&progress, event).len();
    }
    // The first 200 are shown one by one, then each twentieth part of the rest.
    assert!(lines < 300, "{lines} lines");
    live.tick(&progress, story.now() + divisi_core::Millis(1_000));
    assert!(
        term.contents().contains("25,000/25,000"),
        "{}",
        term.contents()
    );
}
