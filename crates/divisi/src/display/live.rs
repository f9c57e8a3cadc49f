//! The display on a terminal: a frame that is redrawn, and news above it.

use super::frame::frame;
use super::look::{Line, Look};
use super::news::{Detail, News};
use super::progress::Progress;
use super::screen::Screen;
use crate::output;
use divisi_core::{Millis, Recorded, Timestamp};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// The display on a terminal.
pub(crate) struct LiveView {
    look: Look,
    /// Current rows and columns; the user may resize the terminal.
    size: Box<dyn Fn() -> (u16, u16) + Send>,
    /// Draws the frame, which is its message, and keeps it below the news.
    bar: ProgressBar,
    /// Whether the terminal has accepted all earlier output.
    is_free: fn() -> bool,
    news: News,
    unsaid: Vec<String>,
    /// Lines left out because the terminal accepted nothing.
    left_out: usize,
    drawn_at: Option<Timestamp>,
    /// Whether the terminal is left to a question.
    is_held: bool,
}

impl LiveView {
    /// Ten frames a second look smooth and cost little.
    const FRAME_EVERY: Millis = Millis(100);
    /// Most lines kept while the terminal accepts nothing, as after Ctrl-S: more than a terminal
    /// keeps for scrolling back.
    const UNSAID_MAX: usize = 10_000;

    /// A display on stderr.
    pub(crate) fn on_stderr(look: Look) -> Self {
        Self {
            is_free: output::is_talk_heard,
            ..Self::new(look, Screen::new())
        }
    }

    /// A display on `screen`, whose width replaces that of the look.
    pub(crate) fn new(look: Look, screen: impl TermLike + Clone + 'static) -> Self {
        let size = {
            let screen = screen.clone();
            Box::new(move || (screen.height(), screen.width()))
        };
        // Without a rate limit: [`Self::tick`] limits the rate, and every frame drawn must be seen.
        let target = ProgressDrawTarget::term_like(Box::new(screen));
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(
            ProgressStyle::with_template("{msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        let (news, unsaid) = (News::default(), vec![]);
        Self {
            look,
            size,
            bar,
            is_free: || true,
            news,
            unsaid,
            left_out: 0,
            drawn_at: None,
            is_held: false,
        }
    }

    /// Adds the lines for an event, and draws if it is time.
    pub(crate) fn event(&mut self, progress: &Progress, recorded: &Recorded) {
        let look = self.look;
        let news = self.news.of(progress, recorded, Detail::Notable, &look);
        self.say(&news);
        self.tick(progress, recorded.at);
    }

    /// Prints these lines above the frame, with the next one.
    pub(crate) fn say(&mut self, lines: &[Line]) {
        self.unsaid
            .extend(lines.iter().map(|line| line.render(&self.look)));
        let excess = self.unsaid.len().saturating_sub(Self::UNSAID_MAX);
        self.unsaid.drain(..excess);
        self.left_out += excess;
    }

    /// Draws if it is time.
    pub(crate) fn tick(&mut self, progress: &Progress, now: Timestamp) {
        // A clock that was set back must not stop the display.
        let due = self
            .drawn_at
            .is_none_or(|at| now < at || now.since(at) >= Self::FRAME_EVERY);
        if due && !self.is_held && (self.is_free)() {
            self.drawn_at = Some(now);
            let (rows, columns) = (self.size)();
            self.look.width = columns.into();
            self.flush();
            let rows = usize::from(rows).saturating_sub(1);
            self.bar
                .set_message(frame(progress, &self.look, rows, now).join("\n"));
        }
    }

    /// Runs `act` with the frame removed, so that other output appears below the lines above it.
    pub(crate) fn suspended(&mut self, act: impl FnOnce()) {
        if self.is_held {
            return act();
        }
        self.flush();
        self.bar.suspend(|| {
            output::finish_talk();
            act();
        });
    }

    /// Removes the frame and keeps all lines, so that other output has the terminal for itself.
    pub(crate) fn hold(&mut self) {
        self.flush();
        self.is_held = true;
        self.bar.finish_and_clear();
        output::finish_talk();
    }

    /// Shows what was kept, and draws again.
    pub(crate) fn release(&mut self) {
        if std::mem::take(&mut self.is_held) {
            self.bar.set_message("");
            self.bar.reset();
            self.drawn_at = None;
        }
    }

    /// Removes the frame; the lines above it stay.
    pub(crate) fn finish(&mut self) {
        self.release();
        self.flush();
        self.bar.finish_and_clear();
    }

    fn flush(&mut self) {
        if self.left_out > 0 {
            let note = format!("… {} lines left out", std::mem::take(&mut self.left_out));
            self.unsaid.insert(0, note);
        }
        if !self.unsaid.is_empty() {
            self.bar
                .println(std::mem::take(&mut self.unsaid).join("\n"));
        }
    }
}
