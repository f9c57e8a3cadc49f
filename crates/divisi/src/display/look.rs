//! How things look on this terminal: colours, signs, width.

use crate::text;
use owo_colors::{OwoColorize, Style};
use std::io::IsTerminal;

/// How things look on this terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Whether colours are used.
    pub(crate) color: bool,
    /// Whether signs beyond ASCII are used.
    pub(crate) unicode: bool,
    /// Columns there are.
    pub(crate) width: usize,
    /// Whether answers are scripted, which every screen says.
    pub(crate) demo: bool,
}

/// What a piece of text means, which decides its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// What a line is about.
    Strong,
    /// What is there for those who look for it.
    Dim,
    /// Success.
    Good,
    /// Failure.
    Bad,
    /// Something to know about.
    Warn,
    /// At work.
    Busy,
}

impl Look {
    /// Said on every screen of a demo.
    pub(crate) const DEMO: &str = "answers are scripted, no model is asked";
    /// Lines that go to a file are not cut at the width of some terminal.
    const WIDTH_WITHOUT_TERMINAL: usize = 120;

    /// The look that suits what is written to stderr. Respects `NO_COLOR`.
    pub(crate) fn of_stderr(demo: bool) -> Self {
        let color =
            anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
        Self::of(
            console::Term::stderr(),
            std::io::stderr().is_terminal(),
            color,
            demo,
        )
    }

    /// The look that suits what is written to stdout. Respects `NO_COLOR`.
    pub(crate) fn of_stdout(demo: bool) -> Self {
        let color =
            anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
        Self::of(
            console::Term::stdout(),
            std::io::stdout().is_terminal(),
            color,
            demo,
        )
    }

    fn of(term: console::Term, attended: bool, color: bool, demo: bool) -> Self {
        let width = if attended {
            term.size().1.into()
        } else {
            Self::WIDTH_WITHOUT_TERMINAL
        };
        Self {
            color,
            unicode: locale_has_unicode(),
            width,
            demo,
        }
    }

    /// Between the parts of a line.
    pub(crate) fn dot(&self) -> &'static str {
        if self.unicode { " · " } else { " | " }
    }

    /// Where something was cut.
    pub(crate) fn ellipsis(&self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }

    /// Before how many there are.
    pub(crate) fn times(&self) -> &'static str {
        if self.unicode { "×" } else { "x" }
    }

    /// Between what leads to another.
    pub(crate) fn arrow(&self) -> &'static str {
        if self.unicode { " → " } else { " -> " }
    }

    /// The sign of a result.
    pub(crate) fn ok(&self) -> &'static str {
        if self.unicode { "✓" } else { "+" }
    }

    /// The sign of a failure.
    pub(crate) fn failed(&self) -> &'static str {
        if self.unicode { "✗" } else { "x" }
    }

    /// The sign of what was never tried or was stopped.
    pub(crate) fn skipped(&self) -> &'static str {
        if self.unicode { "–" } else { "-" }
    }

    /// The sign of what has not begun.
    pub(crate) fn waiting(&self) -> &'static str {
        if self.unicode { "○" } else { "o" }
    }

    /// The sign of what is under way.
    pub(crate) fn running(&self) -> &'static str {
        if self.unicode { "◐" } else { "*" }
    }

    /// Before something that is said.
    pub(crate) fn says(&self) -> &'static str {
        if self.unicode { "› " } else { "> " }
    }

    /// A full and an empty piece of a bar.
    pub(crate) fn bar(&self) -> (&'static str, &'static str) {
        if self.unicode {
            ("━", "─")
        } else {
            ("#", "-")
        }
    }

    /// The sign of something at work, which turns with time.
    pub(crate) fn spinner(&self, tenths: u64) -> &'static str {
        const UNICODE: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
        const ASCII: [&str; 4] = ["|", "/", "-", "\\"];
        let signs: &[&str] = if self.unicode { &UNICODE } else { &ASCII };
        signs[(tenths % signs.len() as u64) as usize]
    }

    /// Said on every screen of a demo; nothing otherwise.
    pub(crate) fn demo_line(&self) -> Option<Line> {
        self.demo.then(|| {
            Line::of(Tone::Warn, "DEMO")
                .plain(self.dot())
                .plain(Self::DEMO)
        })
    }

    fn paint(&self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Plain => Style::new(),
            Tone::Strong => Style::new().bold(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Good => Style::new().green(),
            Tone::Bad => Style::new().red(),
            Tone::Warn => Style::new().yellow(),
            Tone::Busy => Style::new().cyan(),
        };
        if self.color && tone != Tone::Plain {
            text.style(style).to_string()
        } else {
            text.to_owned()
        }
    }
}

/// Whether the locale can show signs beyond ASCII. Where none is set, nothing
/// speaks against it.
fn locale_has_unicode() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    set.is_none_or(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// One line, made of pieces that mean something.
///
/// Every piece is made safe when it is put in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pieces: Vec<(Tone, String)>,
}

impl Line {
    /// An empty line.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A line that begins with this piece.
    pub(crate) fn of(tone: Tone, text: impl AsRef<str>) -> Self {
        Self::new().put(tone, text)
    }

    /// The line with a further piece.
    pub(crate) fn put(mut self, tone: Tone, text: impl AsRef<str>) -> Self {
        self.pieces.push((tone, text::flat(text.as_ref())));
        self
    }

    /// The line with a further piece that means nothing in particular.
    pub(crate) fn plain(self, text: impl AsRef<str>) -> Self {
        self.put(Tone::Plain, text)
    }

    /// The line with the pieces of another one.
    pub(crate) fn join(mut self, other: Self) -> Self {
        self.pieces.extend(other.pieces);
        self
    }

    /// How many columns it takes.
    pub(crate) fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| text::width(text)).sum()
    }

    /// The line in this look, however long it is.
    pub(crate) fn render(&self, look: &Look) -> String {
        self.pieces
            .iter()
            .map(|(tone, text)| look.paint(*tone, text))
            .collect()
    }

    /// The line in this look, cut where the columns end.
    pub(crate) fn render_cut(&self, look: &Look, columns: usize) -> String {
        if self.width() <= columns {
            return self.render(look);
        }
        let mark = text::cut(look.ellipsis(), columns, "");
        let mut left = columns - text::width(&mark);
        let mut shown = String::new();
        for (tone, text) in &self.pieces {
            let width = text::width(text);
            if width > left {
                let kept = text::cut(text, left, "");
                return shown + &look.paint(*tone, &(kept + &mark));
            }
            shown += &look.paint(*tone, text);
            left -= width;
        }
        shown
    }
}

/// Lines in this look, one below the other.
pub(crate) fn page(lines: &[Line], look: &Look) -> String {
    lines.iter().map(|line| line.render(look) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Look = Look {
        color: false,
        unicode: true,
        width: 80,
        demo: false,
    };

    #[test]
    fn a_line_is_cut_across_its_pieces() {
        let line = Line::of(Tone::Good, "good")
            .plain(" and ")
            .put(Tone::Bad, "bad");
        assert_eq!(line.render(&LOOK), "good and bad");
        assert_eq!(line.render_cut(&LOOK, 12), "good and bad");
        assert_eq!(line.render_cut(&LOOK, 11), "good and b…");
        assert_eq!(line.render_cut(&LOOK, 6), "good …");
        assert_eq!(line.render_cut(&LOOK, 4), "goo…");
    }

    #[test]
    fn colours_are_ours_only() {
        let line = Line::of(Tone::Bad, "\u{1b}[32mx\u{7}");
        assert_eq!(
            line.render(&Look {
                color: true,
                ..LOOK
            }),
            "\u{1b}[31mx\\u{7}\u{1b}[0m"
        );
    }
}
