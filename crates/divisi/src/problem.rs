//! How a problem is printed.
//!
//! ```text
//! error: cannot open the store /var/lib/divisi/runs.db
//!   caused by: Permission denied (os error 13)
//!   hint: name another file with `--store`
//! ```
//!
//! Printed once, at the very top, on stderr.

use crate::display::{Line, Look, Tone, look};
use crate::output;
use crate::text;
use divisi_app::{Problem, Reason};
use divisi_providers::redact;
use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
};
use std::fmt::Display;

/// Prints a problem on stderr.
pub(crate) fn print(problem: &Problem) {
    output::say(render(problem, &Look::of_stderr(false)).trim_end());
}

fn render(problem: &Problem, look: &Look) -> String {
    let below = |title: &str, text: &dyn Display| Line::new().plain(format!("  {title}: {text}"));
    let mut lines = vec![];
    let mut text = String::new();
    match problem.reason() {
        Reason::Script(error) => text = shown(&**error, look),
        Reason::Plan(error) => text = shown(error, look),
        Reason::Error(error) => {
            lines.push(Line::of(Tone::Bad, "error: ").plain(error.to_string()));
            lines.extend(
                error
                    .chain()
                    .skip(1)
                    .map(|cause| below("caused by", &cause)),
            );
        }
    }
    lines.extend(problem.hints().iter().map(|hint| below("hint", hint)));
    text + &look::page(&lines, look)
}

/// An error of a flow with its source line.
pub(crate) fn shown(error: &dyn Diagnostic, look: &Look) -> String {
    let error = Harmless::of(error);
    let theme = match look.color {
        true => GraphicalTheme::unicode(),
        false => GraphicalTheme::unicode_nocolor(),
    };
    let mut text = String::new();
    match GraphicalReportHandler::new_themed(theme)
        .with_width(look.width)
        .render_report(&mut text, &error)
    {
        Ok(()) => redact(&text).into_owned(),
        Err(_) => format!("{error}\n"),
    }
}

/// An error whose message and source may hold text from a model, made safe for a terminal.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Harmless {
    message: String,
    code: Option<String>,
    help: Option<String>,
    source_text: Option<NamedSource<String>>,
    labels: Vec<LabeledSpan>,
}

impl Harmless {
    fn of(error: &dyn Diagnostic) -> Self {
        let labels: Vec<LabeledSpan> = error.labels().into_iter().flatten().collect();
        let whole = error
            .source_code()
            .zip(labels.first())
            .and_then(|(source, label)| {
                source.read_span(label.inner(), usize::MAX, usize::MAX).ok()
            });
        let source_text = whole
            .filter(|whole| whole.span().offset() == 0)
            .map(|whole| {
                let name = text::line(whole.name().unwrap_or_default());
                NamedSource::new(name, text::in_place(&String::from_utf8_lossy(whole.data())))
            });
        let harmless = |label: LabeledSpan| {
            let (offset, length) = (label.offset(), label.len());
            let said = label.label().map(text::line);
            match label.primary() {
                true => LabeledSpan::new_primary_with_span(said, (offset, length)),
                false => LabeledSpan::new(said, offset, length),
            }
        };
        Self {
            message: text::block(&error.to_string()),
            code: error.code().map(|code| text::line(&code.to_string())),
            help: error.help().map(|help| text::block(&help.to_string())),
            source_text,
            labels: labels.into_iter().map(harmless).collect(),
        }
    }
}

impl Diagnostic for Harmless {
    fn code<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        self.code
            .as_ref()
            .map(|code| Box::new(code) as Box<dyn Display>)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source_text
            .as_ref()
            .map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    const LOOK: Look = Look {
        color: false,
        unicode: true,
        width: 80,
        demo: false,
    };

    #[test]
    fn a_chain_is_printed_once_with_its_advice() {
        let error = std::fs::read("/nowhere/at/all")
            .context("cannot read the schema")
            .unwrap_err();
        insta::assert_snapshot!(render(&Problem::failed(error).hint("name a file that exists"), &LOOK), @r#"
        error: cannot read the schema
          caused by: No such file or directory (os error 2)
          hint: name a file that exists
        "#);
    }

    #[test]
    fn a_script_error_shows_the_line() {
        let error =
            divisi_script::Script::parse("a.js", "const a = 1\nconst a = 2\nreturn a").unwrap_err();
        insta::assert_snapshot!(render(&Problem::script(error), &LOOK), @r#"
        script::syntax

          × script `a.js` cannot be read at line 2: invalid redefinition of lexical
          │ identifier
           ╭─[a.js:2:1]
         1 │ const a = 1
         2 │ const a = 2
           · ─────┬─────
           ·      ╰── invalid redefinition of lexical identifier
         3 │ return a
           ╰────
        "#);
    }

    #[test]
    fn nothing_in_an_error_or_its_source_acts_on_the_terminal() {
        let hostile = "\u{1b}]0;t\u{7}\u{1b}[8m\u{202e}\u{9b}1m\u{e0041}é";
        let source = format!("const a = 1 // {hostile}\r\nconst a = '{hostile}'");
        let error = divisi_script::Script::parse(&format!("{hostile}.js"), &source).unwrap_err();
        let shown = render(&Problem::script(error), &LOOK);
        assert!(
            !shown.chars().any(|c| c != '\n' && text::acts(c)),
            "{shown:?}"
        );
        assert!(
            shown.contains("const a = '?]0;t??[8m\u{fffd}\u{bf}1m\u{fffd}?é'"),
            "{shown}"
        );
        let coloured = render(
            &Problem::failed(anyhow::anyhow!("{hostile}")),
            &Look {
                color: true,
                ..LOOK
            },
        );
        assert_eq!(text::printed(&coloured), coloured);
    }
}
