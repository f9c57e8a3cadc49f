//! What a person sees, as snapshots of stories.

mod hostile;
mod live;
mod many;
mod plain;
mod flicker;
mod kinds;
mod planned;
mod waits;
mod show;
mod summary;

use super::look::{Line, Look, page};
use super::plain::PlainView;
use super::progress::Progress;
use super::screen::Terminal;
use super::story::Story;
use divisi_core::{Failure, FailureClass, Millis, Outcome, PicoUsd, RunView};
use std::sync::{Arc, Mutex};

/// A terminal in memory.
#[derive(Clone)]
struct Memory(Arc<Mutex<Written>>);

struct Written {
    parser: vt100::Parser,
    sent: String,
}

impl Memory {
    fn new(rows: u16, columns: u16) -> Self {
        let parser = vt100::Parser::new(rows, columns, 0);
        Self(Arc::new(Mutex::new(Written {
            parser,
            sent: String::new(),
        })))
    }

    /// What it shows.
    fn contents(&self) -> String {
        let written = self.0.lock().expect("no test panics here");
        let columns = written.parser.screen().size().1;
        let rows: Vec<String> = written.parser.screen().rows(0, columns).collect();
        rows.join("\n").trim_end().to_owned()
    }

    /// All that was written to it.
    fn sent(&self) -> String {
        self.0.lock().expect("no test panics here").sent.clone()
    }

    /// Bytes written to it.
    fn bytes(&self) -> usize {
        self.0.lock().expect("no test panics here").sent.len()
    }
}

impl Terminal for Memory {
    fn size(&self) -> (u16, u16) {
        self.0
            .lock()
            .expect("no test panics here")
            .parser
            .screen()
            .size()
    }

    fn write(&mut self, text: &str) {
        let mut written = self.0.lock().expect("no test panics here");
        written.sent += text;
        written.parser.process(text.as_bytes());
    }
}

/// A look without colours, so that snapshots can be read.
fn look(width: usize) -> Look {
    Look {
        color: false,
        unicode: true,
        width,
        demo: false,
    }
}

/// What is known after all events of a story.
fn progress(story: &Story) -> Progress {
    let mut progress = Progress::new(Story::id(), RunView::default());
    for event in &story.events {
        progress.apply(event);
    }
    progress
}

/// Every line that the plain display writes.
fn told_plainly(story: &Story, look: &Look) -> String {
    let mut progress = Progress::new(Story::id(), RunView::default());
    let mut view = PlainView::new(*look);
    let mut told: Vec<Line> = vec![];
    for event in &story.events {
        progress.apply(event);
        told.extend(view.event(&progress, event));
    }
    page(&told, look)
}

/// What is said when a story is over, without the blank line before it.
fn summed_up(story: &Story, look: &Look) -> String {
    let said = page(
        &super::summary::summary(
            &progress(story),
            false,
            story.run.cap_least(),
            story.now(),
            look,
        ),
        look,
    );
    said.strip_prefix('\n')
        .expect("a blank line comes first")
        .to_owned()
}

/// A run of two phases, as far as 12 seconds.
fn under_way() -> Story {
    let mut story = Story::begin(64);
    story.input(divisi_core::Input::Phase {
        title: "find".into(),
        cap: None,
    });
    let find =
        ["auth", "payment", "user"].map(|module| story.task(module, "find", "claude-haiku-4-5"));
    story.at(4_200).ok(find[0], "nothing found");
    story.at(4_900).ok(find[1], "two holes");
    story.input(divisi_core::Input::Phase {
        title: "verify".into(),
        cap: None,
    });
    let verify: Vec<_> = (0..4)
        .map(|i| {
            story.task(
                &format!("payment finding {i}: sums are rounded before they are added"),
                "verify",
                "claude-sonnet-5",
            )
        })
        .collect();
    story.input(divisi_core::Input::Log("2 findings to verify".into()));
    story.at(6_000).fail(
        find[2],
        FailureClass::TooLong,
        "prompt and files do not fit the model",
    );
    story.turn(verify[0], "I look at it.", "read_file");
    story.at(7_000);
    let limited = Failure::new(
        FailureClass::RateLimited,
        "provider `anthropic` is limiting requests",
    );
    story.fail_with(verify[1], limited, Some(Millis(20_000)));
    story.at(12_000);
    story
}

/// The same to its end.
fn over() -> Story {
    let mut story = under_way();
    let verify = [3, 4, 5, 6].map(divisi_core::TaskId);
    story.ok(verify[0], "confirmed");
    story.fail(verify[2], FailureClass::Server, "the server answered 500");
    story.at(30_000);
    story.ok(verify[1], "confirmed");
    for second in [31, 33, 37, 41] {
        story
            .at(second * 1_000)
            .fail(verify[2], FailureClass::Server, "the server answered 500");
    }
    story.ok(verify[3], "no");
    let skipped = Outcome::Skipped {
        reason: "`user` has failed, and it needs its result".into(),
    };
    story.submit("plan", "", "claude-opus-4-8", PicoUsd::ZERO, Some(skipped));
    story.returns("\"one hole\"");
    story
}
