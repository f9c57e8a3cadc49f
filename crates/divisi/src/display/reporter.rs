//! Reports what a run does while it does it, to the user or to a program.

use super::json;
use super::live::LiveView;
use super::look::{Line, Look, page};
use super::plain::PlainView;
use super::progress::{KeysOf, Progress};
use super::readable::Readable;
use super::summary::{errors, summary};
use crate::keys::Key;
use crate::output;
use divisi_core::run::Stage;
use divisi_core::{Content, Event, PicoUsd, Recorded, RunId, RunView, Task, TaskId, Timestamp};
use divisi_engine::Signal;
use schemars::JsonSchema;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

/// Digits of an amount that is typed: more than the largest one has.
const TYPED_MAX: usize = 24;

/// How a run is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// On a terminal, with a frame that is redrawn.
    Live,
    /// One line after another.
    Plain,
    /// Every event as a line of JSON on stdout.
    Json,
    /// Errors only.
    Quiet,
}

impl Mode {
    /// The mode for the flags and the kind of stderr.
    pub(crate) fn of(json: bool, quiet: bool) -> Self {
        match () {
            () if json => Self::Json,
            () if quiet => Self::Quiet,
            () if io::stderr().is_terminal() && !console::is_dumb() => Self::Live,
            () => Self::Plain,
        }
    }
}

/// An event of a run.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Told<'a> {
    /// The run.
    run: &'a RunId,
    #[serde(flatten)]
    recorded: &'a Recorded,
}

/// An event of a run as one line of JSON.
pub(crate) fn told(run: &RunId, recorded: &Recorded) -> anyhow::Result<String> {
    let told = Told { run, recorded };
    let Event::TaskSubmitted(submitted) = &recorded.event else {
        return json::event(&told);
    };
    // A request is JSON text in the journal, with its amounts in picodollars.
    let mut value = serde_json::to_value(Readable(&told))?;
    if let Content::Inline(text) = &submitted.spec
        && let Ok(task) = serde_json::from_str::<Task>(text)
    {
        value["spec"] = serde_json::to_value(Readable(&task))?;
    }
    json::event(&value)
}

/// Reports what a run does.
///
/// It reads no clock and waits for nothing: it is given events, signals and, about every tenth of a
/// second, the time. Only JSON is written to stdout, so only there can reporting fail; a closed
/// stderr is ignored.
pub(crate) struct Reporter {
    progress: Progress,
    look: Look,
    view: View,
    /// Lines that are kept while the terminal is left to a question.
    held: Option<Vec<Line>>,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
}

enum View {
    Live(Box<LiveView>),
    Plain(PlainView),
    Json,
    Quiet,
}

impl Reporter {
    /// A reporter for a run with this view: a new run, or a resumed one as its journal has it.
    pub(crate) fn new(mode: Mode, look: Look, id: RunId, view: RunView) -> Self {
        let progress = Progress::new(id, view);
        let view = match mode {
            Mode::Live => View::Live(Box::new(LiveView::on_stderr(look))),
            Mode::Plain => View::Plain(PlainView::new(look)),
            Mode::Json => View::Json,
            Mode::Quiet => View::Quiet,
        };
        let (out, err) = (
            Box::new(io::BufWriter::new(output::results())),
            Box::new(output::talk()),
        );
        Self {
            progress,
            look,
            view,
            held: None,
            out,
            err,
        }
    }

    /// Its run's questions are asked on this terminal.
    pub(crate) fn attended(mut self) -> Self {
        self.progress.is_attended = true;
        self
    }

    /// The name of the run.
    pub(crate) fn id(&self) -> &RunId {
        &self.progress.id
    }

    /// The run as reported so far.
    pub(crate) fn run(&self) -> &RunView {
        &self.progress.view
    }

    /// Leaves the terminal to a question: nothing is printed until [`Reporter::release`].
    pub(crate) fn hold(&mut self) {
        match &mut self.view {
            View::Live(view) => view.hold(),
            View::Plain(_) => _ = self.held.get_or_insert_default(),
            View::Json | View::Quiet => {}
        }
    }

    /// Whether the terminal is left to a question.
    pub(crate) fn is_held(&self) -> bool {
        match &self.view {
            View::Live(view) => view.is_held(),
            View::Plain(_) => self.held.is_some(),
            View::Json | View::Quiet => false,
        }
    }

    /// Prints what was kept meanwhile, and goes on.
    pub(crate) fn release(&mut self) {
        match &mut self.view {
            View::Live(view) => view.release(),
            View::Plain(_) => {
                let held = self.held.take().unwrap_or_default();
                self.tell(&held);
            }
            View::Json | View::Quiet => {}
        }
    }

    /// Reports one recorded event.
    ///
    /// Fails when stdout cannot be written to.
    pub(crate) fn event(&mut self, recorded: &Recorded) -> io::Result<()> {
        self.progress.apply(recorded);
        match &mut self.view {
            View::Live(view) => view.event(&self.progress, recorded),
            View::Plain(view) => {
                let lines = view.event(&self.progress, recorded);
                self.tell(&lines);
            }
            View::Json => {
                let line = told(&self.progress.id, recorded).map_err(io::Error::other)?;
                // A filter may leave nothing of it.
                if !line.is_empty() {
                    writeln!(self.out, "{line}")?;
                }
            }
            View::Quiet => {}
        }
        Ok(())
    }

    /// The stage of the run.
    pub(crate) fn stage(&self) -> &Stage {
        &self.progress.view.stage
    }

    /// Records that no process drives the run any more. A run that is neither parked nor over was
    /// interrupted: attempts under way count as lost, as a resume will record.
    pub(crate) fn is_left(&mut self) {
        if !matches!(self.stage(), Stage::Ended(_) | Stage::Parked(_)) {
            self.progress.view.assume_dead();
        }
    }

    /// Says that keys are received, and by whom.
    pub(crate) fn hears_keys(&mut self, of: KeysOf) {
        self.progress.sight.keys = Some(of);
    }

    /// Applies a key that changes only what is shown. Returns the task that is to be looked into.
    pub(crate) fn key(&mut self, key: Key) -> Option<TaskId> {
        let sight = &mut self.progress.sight;
        match key {
            Key::Up | Key::Down if sight.open.is_none() => self.progress.choose(key == Key::Down),
            Key::Back | Key::Erase => (sight.open, sight.has_help) = (None, false),
            Key::Cap => sight.typed = Some(String::new()),
            Key::Help => sight.has_help = !sight.has_help,
            Key::Open if sight.open.is_some() => sight.open = None,
            Key::Open => {
                if sight.chosen.is_none() {
                    self.progress.choose(true);
                }
                return self.progress.sight.chosen;
            }
            Key::Up
            | Key::Down
            | Key::More
            | Key::Fewer
            | Key::Park
            | Key::Stop
            | Key::Digit(_) => {}
        }
        None
    }

    /// Whether another cap is being typed, so that keys belong to it.
    pub(crate) fn is_typing(&self) -> bool {
        self.progress.sight.typed.is_some()
    }

    /// Applies a key to the cap that is being typed. Returns it once it is complete.
    pub(crate) fn typed(&mut self, key: Key) -> Option<String> {
        let typed = self.progress.sight.typed.as_mut()?;
        match key {
            Key::Digit(digit) if typed.len() < TYPED_MAX => typed.push(digit),
            Key::Erase => _ = typed.pop(),
            Key::Open => return self.progress.sight.typed.take(),
            Key::Back => self.progress.sight.typed = None,
            Key::Up
            | Key::Down
            | Key::More
            | Key::Fewer
            | Key::Cap
            | Key::Digit(_)
            | Key::Park
            | Key::Stop
            | Key::Help => {}
        }
        None
    }

    /// Shows a task with its prompt.
    pub(crate) fn look_into(&mut self, task: TaskId, prompt: Arc<str>) {
        self.progress.sight.open = Some((task, prompt));
    }

    /// Reports a signal, which is not recorded.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.progress.signal(signal);
    }

    /// The number of requests in flight, and of tools and programs at work.
    pub(crate) fn at_work(&self) -> (usize, usize) {
        self.progress.at_work()
    }

    /// Prints a line that does not come from the run, above the frame.
    pub(crate) fn say(&mut self, line: Line) {
        match &mut self.view {
            View::Live(view) => view.say([line]),
            View::Plain(_) => self.tell(&[line]),
            View::Json | View::Quiet => {}
        }
    }

    /// Shows what has changed. To be called about every tenth of a second.
    pub(crate) fn tick(&mut self, now: Timestamp) -> io::Result<()> {
        match &mut self.view {
            View::Live(view) => view.tick(&self.progress, now),
            View::Plain(view) => {
                let lines = view.tick(&self.progress, now);
                self.tell(&lines);
            }
            View::Json => self.out.flush()?,
            View::Quiet => {}
        }
        Ok(())
    }

    /// Runs `act` with the frame removed from the screen.
    pub(crate) fn suspended(&mut self, act: impl FnOnce()) {
        match &mut self.view {
            View::Live(view) => view.suspended(act),
            View::Plain(_) | View::Json | View::Quiet => act(),
        }
    }

    /// Removes the frame from the screen, so that other output appears below the lines above it.
    pub(crate) fn remove_frame(&mut self) {
        if let View::Live(view) = &mut self.view {
            view.finish();
        }
    }

    /// Prints how the run ended and what can be done next.
    ///
    /// `flow_error` is the flow's own error with the line of its script; without it the recorded
    /// failure is printed. `cap_least` is the least cap with which a waiting task could start.
    pub(crate) fn finish(
        mut self,
        now: Timestamp,
        flow_error: Option<&str>,
        cap_least: Option<PicoUsd>,
    ) -> io::Result<()> {
        self.remove_frame();
        self.release();
        let told = flow_error.is_some();
        let lines = match self.view {
            View::Live(_) | View::Plain(_) => {
                summary(&self.progress, told, cap_least, now, &self.look)
            }
            View::Quiet => errors(&self.progress, told, &self.look),
            View::Json => return self.out.flush(),
        };
        if let Some(error) = flow_error {
            // A closed stderr is ignored.
            let _ = writeln!(self.err, "{}", error.trim_end());
        }
        self.tell(&lines);
        Ok(())
    }

    fn tell(&mut self, lines: &[Line]) {
        if let Some(held) = &mut self.held {
            held.extend_from_slice(lines);
        } else if !lines.is_empty() {
            // A closed stderr is ignored.
            let _ = self.err.write_all(page(lines, &self.look).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::story::Story;
    use divisi_core::FailureClass;
    use insta::assert_snapshot;
    use std::sync::Mutex;

    /// The text written to one stream.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no writer panics").write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("no writer panics").clone()).expect("UTF-8")
        }
    }

    /// The text on stdout and stderr after a run with one failed task.
    fn told(mode: Mode) -> (String, String) {
        let mut story = Story::begin(1);
        let task = story.task("auth", "", "haiku");
        story
            .at(1_500)
            .fail(task, FailureClass::Declined, "the model declined to answer");
        story.throws("TypeError: no");
        let (out, err) = (Written::default(), Written::default());
        let look = Look {
            color: false,
            unicode: true,
            width: 80,
            demo: true,
        };
        let mut reporter = Reporter {
            out: Box::new(out.clone()),
            err: Box::new(err.clone()),
            ..Reporter::new(mode, look, Story::id(), RunView::default())
        };
        for event in &story.events {
            reporter.event(event).expect("memory takes it");
        }
        reporter.say(Line::new().plain("a note"));
        reporter.tick(story.now()).expect("memory takes it");
        reporter
            .finish(story.now(), Some("a.js:3: no"), None)
            .expect("memory takes it");
        (out.text(), err.text())
    }

    #[test]
    fn plain_talks_on_stderr() {
        let (out, err) = told(Mode::Plain);
        assert_eq!(out, "");
        assert_snapshot!(err, @r"
        [0:00] DEMO · answers are scripted, and dollars an example
        [0:00] audit k3f97a2m started
        [0:01] ✗ auth · declined: the model declined to answer
        a note
        a.js:3: no

        error: task `auth` failed
          caused by: declined: the model declined to answer

        DEMO · answers are scripted, and dollars an example
        audit k3f97a2m failed: the flow did not come to its end
        0 ok · 1 failed · 1.5 s · 0 tokens · $0.0000
          divisi show k3f97a2m            what each task did
          divisi rerun k3f97a2m --failed  try the failed tasks again, keep the others
        ");
    }

    #[test]
    fn quiet_tells_errors_only() {
        let (out, err) = told(Mode::Quiet);
        assert_eq!(out, "");
        assert_snapshot!(err, @r"
        a.js:3: no
        error: task `auth` failed
          caused by: declined: the model declined to answer
        ");
    }

    #[test]
    fn what_an_interrupted_run_may_owe_is_in_its_figures() {
        let mut story = Story::begin(1);
        story.task("auth", "", "haiku");
        let err = Written::default();
        let look = Look {
            color: false,
            unicode: true,
            width: 80,
            demo: false,
        };
        let mut reporter = Reporter {
            err: Box::new(err.clone()),
            ..Reporter::new(Mode::Plain, look, Story::id(), RunView::of(&story.events))
        };
        reporter.is_left();
        reporter
            .finish(story.now(), None, None)
            .expect("memory takes it");
        assert_snapshot!(err.text(), @"

        audit k3f97a2m stopped: what is finished is kept
        0 ok · 1 waiting · 0 ms · 0 tokens · $0.0000 + at most $0.0033 unconfirmed
          divisi show k3f97a2m    what each task did
          divisi resume k3f97a2m  go on; what is finished is kept
        ");
    }

    #[test]
    fn json_is_every_event_on_stdout() {
        let (out, err) = told(Mode::Json);
        assert_eq!(err, "");
        let positions = out.lines().map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            event["position"].as_u64().expect("a position")
        });
        assert!(positions.eq(0..out.lines().count() as u64));
        assert!(
            out.lines()
                .last()
                .expect("lines")
                .contains(r#""event":"run_ended","status":"failed""#)
        );
    }
}
