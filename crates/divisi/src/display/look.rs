//! Appearance on this terminal: colours, signs, width.

use crate::text;
use owo_colors::{OwoColorize, Style};
use std::io::IsTerminal;

/// Appearance on this terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Whether colours are used.
    pub(crate) color: bool,
    /// Whether signs beyond ASCII are used.
    pub(crate) unicode: bool,
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// Whether answers are scripted; every screen says so.
    pub(crate) demo: bool,
}

/// The meaning of a piece of text, which decides its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// No special meaning.
    #[default]
    Plain,
    /// The subject of a line.
    Strong,
    /// Details.
    Dim,
    /// Success.
    Good,
    /// Failure.
    Bad,
    /// Something to note.
    Warn,
    /// At work.
    Busy,
}

impl Look {
    /// Shown on every screen of a demo.
    pub(crate) const DEMO: &str = "answers are scripted, and dollars an example";
    /// Longest line of a page that is written to a file.
    const PAGE_COLUMNS_MAX: usize = 160;
    /// Lines written to a file are not cut at the width of some terminal.
    const WIDTH_WITHOUT_TERMINAL: usize = 120;

    /// The look for stderr. Respects `NO_COLOR`.
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

    /// The look for stdout. Respects `NO_COLOR`.
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

    /// Longest line of a page.
    fn page_columns(&self) -> usize {
        match self.width {
            Self::WIDTH_WITHOUT_TERMINAL => Self::PAGE_COLUMNS_MAX,
            // Narrower, words would be cut rather than lines broken.
            width => width.max(40),
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

    /// The sign before a count.
    pub(crate) fn times(&self) -> &'static str {
        if self.unicode { "×" } else { "x" }
    }

    /// The sign between a cause and its effect.
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

    /// The sign of something never tried, or stopped.
    pub(crate) fn skipped(&self) -> &'static str {
        if self.unicode { "–" } else { "-" }
    }

    /// The sign of something not begun.
    pub(crate) fn waiting(&self) -> &'static str {
        if self.unicode { "○" } else { "o" }
    }

    /// The sign of something under way.
    pub(crate) fn running(&self) -> &'static str {
        if self.unicode { "◐" } else { "*" }
    }

    /// The sign before a message.
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

    /// The sign of something at work; it changes with time.
    pub(crate) fn spinner(&self, tenths: u64) -> &'static str {
        const UNICODE: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
        const ASCII: [&str; 4] = ["|", "/", "-", "\\"];
        let signs: &[&str] = if self.unicode { &UNICODE } else { &ASCII };
        signs[(tenths % signs.len() as u64) as usize]
    }

    /// Shown on every screen of a demo; `None` otherwise.
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

/// Whether the locale can show signs beyond ASCII; assumed if no locale is set.
fn locale_has_unicode() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    set.is_none_or(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// One line, made of pieces with a meaning.
///
/// Each piece is made safe for the terminal when it is added.
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

    /// The line with a further piece without special meaning.
    pub(crate) fn plain(self, text: impl AsRef<str>) -> Self {
        self.put(Tone::Plain, text)
    }

    /// The line with the pieces of another one.
    pub(crate) fn join(mut self, other: Self) -> Self {
        self.pieces.extend(other.pieces);
        self
    }

    /// Columns of the line.
    pub(crate) fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| text::width(text)).sum()
    }

    /// The line in this look, uncut.
    pub(crate) fn render(&self, look: &Look) -> String {
        self.pieces
            .iter()
            .map(|(tone, text)| look.paint(*tone, text))
            .collect()
    }

    /// The line, broken at blanks into lines of at most `columns`. A word that is longer is cut with
    /// `ellipsis`, or left as it is.
    pub(super) fn broken(&self, columns: usize, ellipsis: Option<&str>) -> Vec<Self> {
        if self.width() <= columns {
            return vec![self.clone()];
        }
        let indent = self.indent().min(columns / 2);
        let mut lines = vec![Self::new()];
        let mut used = 0;
        for (tone, text) in &self.pieces {
            for word in text.split_inclusive(' ') {
                let width = text::width(word.trim_end());
                if used + width > columns && used > indent {
                    if let Some((_, end)) = lines.last_mut().and_then(|line| line.pieces.last_mut())
                    {
                        end.truncate(end.trim_end().len());
                    }
                    lines.push(Self::new().plain(" ".repeat(indent)));
                    used = indent;
                }
                let word = match ellipsis {
                    Some(ellipsis) if used + text::width(word) > columns => {
                        text::cut(word.trim_end(), columns - used, ellipsis)
                    }
                    _ => word.to_owned(),
                };
                used += text::width(&word);
                if let Some(line) = lines.last_mut() {
                    line.pieces.push((*tone, word));
                }
            }
        }
        lines
    }

    /// Columns before the further lines of a broken one: below the text after a heading of its own,
    /// or a little deeper than the line.
    fn indent(&self) -> usize {
        let head = self.pieces.first().map_or("", |(_, text)| text.as_str());
        let blanks = head.len() - head.trim_start().len();
        match blanks == 2 && head.len() > blanks && head.ends_with(' ') {
            true => text::width(head),
            false => blanks + 4,
        }
    }

    /// The line in this look, cut to `columns`.
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

/// The same, with no line longer than the terminal is wide, or than [`Look::PAGE_COLUMNS_MAX`] if
/// there is none.
pub(crate) fn page_within(lines: &[Line], look: &Look) -> String {
    let lines: Vec<Line> = lines
        .iter()
        .flat_map(|line| line.broken(look.page_columns(), Some(look.ellipsis())))
        .collect();
    page(&lines, look)
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

    #[test]
    fn a_page_is_no_wider_than_the_terminal() {
        let look = Look { width: 40, ..LOOK };
        let line = |text: &str| Line::new().plain(text);
        let lines = [
            Line::of(Tone::Dim, "  cost       ")
                .plain("about $1.00 and much more of it on average"),
            line("  a task of many words that do not fit in forty columns"),
            line(&format!("/{}", "x".repeat(60))),
            line("short"),
        ];
        let page = page_within(&lines, &look);
        assert!(page.lines().all(|line| text::width(line) <= 40), "{page}");
        insta::assert_snapshot!(page, @r"
          cost       about $1.00 and much more
                     of it on average
          a task of many words that do not fit
              in forty columns
        /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
        short
        ");
    }
}
