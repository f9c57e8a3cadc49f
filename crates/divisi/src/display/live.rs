//! The display on a terminal: a frame that is redrawn, and news above it.

use super::frame::frame;
use super::look::{Line, Look};
use super::news::{Detail, News};
use super::progress::Progress;
use divisi_core::{Millis, Recorded, Timestamp};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// The display on a terminal.
pub(crate) struct LiveView {
    look: Look,
    /// Rows and columns there are now; a person may change them.
    size: Box<dyn Fn() -> (u16, u16) + Send>,
    /// Draws the frame, which is its message, and keeps it below the news.
    bar: ProgressBar,
    news: News,
    unsaid: Vec<String>,
    drawn_at: Option<Timestamp>,
}

impl LiveView {
    /// Ten frames a second look alive and cost little.
    const FRAME_EVERY: Millis = Millis(100);

    /// A display on `screen`. Its width, not the look's, is what counts.
    pub(crate) fn new(look: Look, screen: impl TermLike + Clone + 'static) -> Self {
        let size = {
            let screen = screen.clone();
            Box::new(move || (screen.height(), screen.width()))
        };
        // Without a rate of its own: we pace ourselves, and a frame that we draw is to be seen.
        let target = ProgressDrawTarget::term_like(Box::new(screen));
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(
            ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        Self { look, size, bar, news: News::default(), unsaid: vec![], drawn_at: None }
    }

    /// Takes up what is to be said of an event, and draws if it is time.
    pub(crate) fn event(&mut self, progress: &Progress, recorded: &Recorded) {
        let look = self.look;
        let news = self.news.of(progress, recorded, Detail::Notable, &look);
        self.say(&news);
        self.tick(progress, recorded.at);
    }

    /// Says these lines above the frame, with the next one.
    pub(crate) fn say(&mut self, lines: &[Line]) {
        self.unsaid.extend(lines.iter().map(|line| line.render(&self.look)));
    }

    /// Draws if it is time.
    pub(crate) fn tick(&mut self, progress: &Progress, now: Timestamp) {
        // A clock that was set back must not stop the display.
        let due = self.drawn_at.is_none_or(|at| now < at || now.since(at) >= Self::FRAME_EVERY);
        if due {
            self.drawn_at = Some(now);
            let (rows, columns) = (self.size)();
            self.look.width = columns.into();
            self.flush();
            let rows = usize::from(rows).saturating_sub(1);
            self.bar.set_message(frame(progress, &self.look, rows, now).join("\n"));
        }
    }

    /// Takes the frame away; what was said stays.
    pub(crate) fn finish(&mut self) {
        self.flush();
        self.bar.finish_and_clear();
    }

    fn flush(&mut self) {
        if !self.unsaid.is_empty() {
            self.bar.println(std::mem::take(&mut self.unsaid).join("\n"));
        }
    }
}
