//! No text of a model acts on the terminal.

use super::{look, progress, summed_up, told_plainly};
use crate::display::frame::frame;
use crate::display::look::page;
use crate::display::runs::runs;
use crate::display::show::{TaskPage, Texts, tree};
use crate::display::story::Story;
use crate::text::acts;
use divisi_core::{AttemptId, Failure, FailureClass, Input, Outcome, PicoUsd, TaskId};
use divisi_engine::Signal;
use divisi_engine::store::RunSummary;

/// Clears the screen, moves the cursor, sets the title, reverses the reading direction.
const HOSTILE: &str = "x\u{1b}[2J\u{1b}[1;1H\u{1b}]0;t\u{7}\u{9b}5A\r\u{8}\u{202e}y\nz";

#[test]
fn nothing_it_writes_acts_on_the_terminal() {
    let mut story = Story::begin(8);
    story.input(Input::Phase {
        title: HOSTILE.into(),
        cap: None,
    });
    story.input(Input::Log(HOSTILE.into()));
    let [ok, fails, runs_on, rests] = ["ok", "fails", "runs", "rests"]
        .map(|name| story.task(&format!("{name}{HOSTILE}"), HOSTILE, HOSTILE));
    let skipped = Outcome::Skipped {
        reason: HOSTILE.into(),
    };
    story.submit(HOSTILE, HOSTILE, HOSTILE, PicoUsd::ZERO, Some(skipped));
    story.turn(ok, HOSTILE, HOSTILE);
    story.at(1_000).ok(ok, HOSTILE);
    story.fail_with(
        fails,
        Failure::new(FailureClass::Declined, HOSTILE).hint(HOSTILE),
        None,
    );
    story.fail(rests, FailureClass::Server, HOSTILE);

    let look = look(80);
    let mut seen = told_plainly(&story, &look);
    let mut progress = progress(&story);
    let attempt = AttemptId {
        task: runs_on,
        number: 1,
    };
    progress.signal(Signal::Tool {
        attempt,
        what: HOSTILE.into(),
    });
    seen += &frame(&progress, &look, 24, story.now()).join("\n");
    seen += &page(
        &tree(
            &Story::id(),
            (&story.view(), &[]),
            "running",
            true,
            story.now(),
            &look,
        ),
        &look,
    );
    for task in 0..5 {
        let id = Story::id();
        let view = story.view();
        let shown = TaskPage {
            id: &id,
            view: &view,
            task: TaskId(task),
            events: &story.events,
        };
        seen += &page(
            &shown.render(&Texts::default(), true, story.now(), &look),
            &look,
        );
    }
    let summary = RunSummary {
        flow: HOSTILE.into(),
        name: Some(HOSTILE.into()),
        tags: vec![HOSTILE.into()],
        about: Some(HOSTILE.into()),
        ..RunSummary::of(&Story::id(), &story.run, story.now())
    };
    seen += &page(
        &runs(
            &[summary],
            false,
            &divisi_app::Place::of(std::path::Path::new("/")),
            story.now(),
            &look,
        ),
        &look,
    );
    story.throws(HOSTILE);
    seen += &summed_up(&story, &look);

    assert!(seen.matches('z').count() > 20, "{seen}");
    for line in seen.lines() {
        assert!(!line.chars().any(acts), "{line:?}");
    }
}
