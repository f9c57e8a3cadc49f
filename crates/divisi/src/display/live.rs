//! The display on a terminal: a frame that is redrawn, and news above it.

use super::frame::frame;
use super::look::{Line, Look};
use super::news::{Detail, News};
use super::progress::Progress;
use super::screen::{Painter, Stderr, Terminal};
use crate::keys;
use crate::output;
use divisi_core::{Millis, Recorded, Timestamp};

/// The display on a terminal.
pub(crate) struct LiveView {
    look: Look,
    terminal: Box<dyn Terminal>,
    painter: Painter,
    news: News,
    unsaid: Vec<Line>,
    /// Lines left out because the terminal accepted nothing.
    left_out: usize,
    drawn_at: Option<Timestamp>,
    /// Bytes that may be written now; negative after a frame with more.
    room: i64,
    /// Whether the terminal is left to a question.
    is_held: bool,
}

impl LiveView {
    /// Ten frames a second look smooth and cost little.
    const FRAME_EVERY: Millis = Millis(100);
    /// Most bytes written in a second, except for one frame: a slow connection, and a terminal over
    /// it, still keeps up. What 300 tasks usually change needs a third of it; on a large terminal
    /// where every line changes all the time, frames are drawn less often.
    pub(crate) const BYTES_PER_SECOND_MAX: i64 = 32 << 10;
    /// Most lines kept while the terminal accepts nothing, as after Ctrl-S: more than a terminal
    /// keeps for scrolling back.
    const UNSAID_MAX: usize = 10_000;

    /// A display on stderr.
    pub(crate) fn on_stderr(look: Look) -> Self {
        Self::new(look, Stderr::new())
    }

    /// A display on `terminal`, whose width replaces that of the look.
    pub(crate) fn new(look: Look, terminal: impl Terminal + 'static) -> Self {
        Self {
            look,
            terminal: Box::new(terminal),
            painter: Painter::default(),
            news: News::default(),
            unsaid: vec![],
            left_out: 0,
            drawn_at: None,
            room: Self::BYTES_PER_SECOND_MAX,
            is_held: false,
        }
    }

    /// Adds the lines for an event, and draws if it is time.
    pub(crate) fn event(&mut self, progress: &Progress, recorded: &Recorded) {
        let look = self.look;
        let news = self.news.of(progress, recorded, Detail::Notable, &look);
        self.say(news);
        self.tick(progress, recorded.at);
    }

    /// Prints these lines above the frame, with the next one.
    pub(crate) fn say(&mut self, lines: impl IntoIterator<Item = Line>) {
        self.unsaid.extend(lines);
        let excess = self.unsaid.len().saturating_sub(Self::UNSAID_MAX);
        self.unsaid.drain(..excess);
        self.left_out += excess;
    }

    /// Draws if it is time.
    pub(crate) fn tick(&mut self, progress: &Progress, now: Timestamp) {
        // A clock that was set back must not stop the display.
        let since = self
            .drawn_at
            .filter(|at| now >= *at)
            .map(|at| now.since(at));
        let is_early = since.is_some_and(|since| since < Self::FRAME_EVERY);
        if is_early || self.is_held || !self.terminal.is_free() {
            return;
        }
        self.drawn_at = Some(now);
        let gained = since.map_or(Self::BYTES_PER_SECOND_MAX, |since| {
            let millis = since.0.min(1_000) as i64;
            millis * Self::BYTES_PER_SECOND_MAX / 1_000
        });
        self.room = (self.room + gained).min(Self::BYTES_PER_SECOND_MAX);
        if self.room > 0 {
            self.draw(progress, now);
        }
    }

    fn draw(&mut self, progress: &Progress, now: Timestamp) {
        let (rows, columns) = self.terminal.size();
        self.look.width = columns.into();
        let rows = usize::from(rows).saturating_sub(1);
        let frame = frame(progress, &self.look, rows, now);
        self.write(frame);
    }

    /// Replaces the frame, below the lines not printed yet.
    fn write(&mut self, frame: Vec<String>) {
        let (columns, look) = (self.look.width, self.look);
        let mut above = vec![];
        if self.left_out > 0 {
            above.push(format!(
                "… {} lines left out",
                std::mem::take(&mut self.left_out)
            ));
        }
        let unsaid = std::mem::take(&mut self.unsaid);
        let lines = unsaid.iter().flat_map(|line| line.broken(columns, None));
        above.extend(lines.map(|line| line.render(&look)));
        let written = self.painter.paint(&above, frame, columns);
        self.room -= written.len() as i64;
        self.terminal.write(&written);
    }

    /// Runs `act` with the frame removed, so that other output appears below the lines above it.
    pub(crate) fn suspended(&mut self, act: impl FnOnce()) {
        if self.is_held {
            return act();
        }
        self.clear();
        output::finish_talk();
        act();
    }

    /// Removes the frame and keeps all lines, so that a question has the terminal for itself, with
    /// what is typed.
    pub(crate) fn hold(&mut self) {
        self.clear();
        self.is_held = true;
        keys::pause();
        output::finish_talk();
    }

    pub(crate) fn is_held(&self) -> bool {
        self.is_held
    }

    /// Shows what was kept, and draws again.
    pub(crate) fn release(&mut self) {
        if std::mem::take(&mut self.is_held) {
            keys::go_on();
            self.drawn_at = None;
        }
    }

    /// Removes the frame; the lines above it stay.
    pub(crate) fn finish(&mut self) {
        self.release();
        self.clear();
    }

    fn clear(&mut self) {
        if !self.unsaid.is_empty() || self.left_out > 0 {
            self.write(vec![]);
        }
        let removed = self.painter.remove(self.terminal.size().1.into());
        self.terminal.write(&removed);
    }
}
