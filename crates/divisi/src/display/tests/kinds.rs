//! The same run on terminals of all kinds: without colours, dumb ones, narrow and wide ones.

use super::{Memory, look, over, told_plainly, under_way};
use crate::display::live::LiveView;
use crate::display::look::Look;
use crate::display::progress::Progress;
use crate::display::story::Story;
use divisi_core::event::Suspension;
use divisi_core::{Input, RunView};
use insta::assert_snapshot;

/// Columns of terminals.
const WIDTHS: [u16; 3] = [60, 100, 200];

/// The same with an approval that waits for its answer.
fn asking() -> Story {
    let mut story = under_way();
    let task = story.task("deploy to production", "verify", "");
    story.input(Input::AttemptSuspended {
        attempt: story.attempt(task),
        suspension: Box::new(Suspension {
            choices: vec!["yes".into(), "no".into()],
            ..Suspension::of("person")
        }),
    });
    story
}

/// What a terminal shows of a story, and all bytes that it was sent.
fn shown(story: &Story, look: Look, columns: u16) -> (String, String) {
    let term = Memory::new(24, columns);
    let mut progress = Progress::new(Story::id(), RunView::default());
    let mut view = LiveView::new(look, term.clone());
    for event in &story.events {
        progress.apply(event);
        view.event(&progress, event);
    }
    view.tick(&progress, story.now() + divisi_core::Millis(1_000));
    (term.contents(), term.sent())
}

#[test]
fn an_approval_that_waits() {
    for width in WIDTHS {
        let (shown, _) = shown(&asking(), look(width.into()), width);
        assert_snapshot!(format!("approval_{width}"), shown);
    }
}

#[test]
fn without_colours_the_same_is_shown_and_only_the_cursor_moves() {
    for width in WIDTHS {
        let plain = look(width.into());
        let coloured = Look {
            color: true,
            ..plain
        };
        let (without, sent) = shown(&over(), plain, width);
        let (with, sent_coloured) = shown(&over(), coloured, width);
        assert_eq!(without, with, "the meaning is in words and signs");
        let colours = |sent: &str| {
            let codes = sent.split("\x1b[").skip(1);
            let ends = codes.filter_map(|code| code.chars().find(char::is_ascii_alphabetic));
            ends.filter(|end| *end == 'm').count()
        };
        assert_eq!(colours(&sent), 0);
        assert!(colours(&sent_coloured) > 0);
        assert_snapshot!(format!("no_color_{width}"), without);
    }
}

#[test]
fn on_a_dumb_terminal_there_are_lines_of_ascii() {
    for width in WIDTHS {
        let dumb = Look {
            unicode: false,
            ..look(width.into())
        };
        let told = told_plainly(&asking(), &dumb);
        assert!(told.is_ascii() && !told.contains('\x1b'), "{told:?}");
        assert_snapshot!(format!("dumb_{width}"), told);
    }
}
