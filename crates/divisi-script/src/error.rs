//! Script errors, with the place in the script.

use crate::Site;
use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode, SourceSpan};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a script cannot run, or why it failed.
///
/// The message names the script and the line. As a [`Diagnostic`] it also carries the script's text
/// with the line marked, and advice.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub struct ScriptError(Box<Details>);

/// The kinds of script errors, by what the author must look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text is longer than permitted.
    Length,
    /// The text is not valid JavaScript.
    Syntax,
    /// `meta` is invalid.
    Meta,
    /// It uses modules, which scripts cannot.
    Import,
    /// An uncaught exception.
    Runtime,
    /// Its result cannot be written as JSON.
    Result,
    /// It computed for too long without waiting.
    Busy,
    /// It used too much memory.
    Memory,
    /// Its calls were nested too deeply.
    Stack,
    /// It waits although no answer is outstanding.
    Stuck,
    /// The caller answered a call that does not exist or is answered already.
    Answer,
}

impl ErrorKind {
    /// A machine-readable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Length => "script::length",
            Self::Syntax => "script::syntax",
            Self::Meta => "script::meta",
            Self::Import => "script::import",
            Self::Runtime => "script::runtime",
            Self::Result => "script::result",
            Self::Busy => "script::busy",
            Self::Memory => "script::memory",
            Self::Stack => "script::stack",
            Self::Stuck => "script::stuck",
            Self::Answer => "script::answer",
        }
    }
}

/// One frame of a script's stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The function, if it has a name.
    pub function: Option<String>,
    /// The line.
    pub site: Site,
    /// The column, from 1.
    pub column: u32,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = self.function.as_deref().unwrap_or("(script)");
        write!(f, "at {function} ({}:{})", self.site, self.column)
    }
}

impl ScriptError {
    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The line it is about, if known.
    pub fn site(&self) -> Option<&Site> {
        self.0.site.as_ref()
    }

    /// The message alone: the exception, without the name of the script.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Advice to the author.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The stack of the script, innermost frame first; only frames of scripts.
    pub fn frames(&self) -> &[Frame] {
        &self.0.frames
    }
}

impl Diagnostic for ScriptError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.0.kind.code()))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0
            .hint
            .as_deref()
            .map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0
            .source
            .as_ref()
            .map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let source = self.0.source.as_ref()?;
        let span = line_span(source.inner(), self.0.site.as_ref()?.line)?;
        let label = LabeledSpan::new_primary_with_span(Some(self.0.detail.clone()), span);
        Some(Box::new(std::iter::once(label)))
    }
}

#[derive(Clone, Debug)]
struct Details {
    kind: ErrorKind,
    message: String,
    detail: String,
    hint: Option<String>,
    site: Option<Site>,
    frames: Vec<Frame>,
    source: Option<NamedSource<Arc<str>>>,
}

/// A [`ScriptError`] under construction.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) kind: ErrorKind,
    pub(crate) detail: String,
    pub(crate) hint: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) frames: Vec<Frame>,
}

impl Problem {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            hint: None,
            line: None,
            frames: Vec::new(),
        }
    }

    /// A script that computed for longer than permitted.
    pub(crate) fn busy(busy_max: Duration) -> Self {
        Self::new(
            ErrorKind::Busy,
            format!("it computed for more than {busy_max:?} without waiting"),
        )
        .hint("look for a loop that does not end")
    }

    pub(crate) fn line(mut self, line: u32) -> Self {
        self.line = Some(line);
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Completes the error: it is about the script `name` with this `text`.
    pub(crate) fn of(self, name: &Arc<str>, text: &Arc<str>) -> ScriptError {
        let place = self
            .line
            .map(|line| format!(" at line {line}"))
            .unwrap_or_default();
        let detail = &self.detail;
        let message = match self.kind {
            ErrorKind::Length => format!("script `{name}` is too long: {detail}"),
            ErrorKind::Syntax | ErrorKind::Meta | ErrorKind::Import => {
                format!("script `{name}` cannot be read{place}: {detail}")
            }
            ErrorKind::Runtime => format!("script `{name}` failed{place}: {detail}"),
            ErrorKind::Result => {
                format!("script `{name}` returned what JSON cannot hold: {detail}")
            }
            ErrorKind::Busy | ErrorKind::Memory | ErrorKind::Stack => {
                format!("script `{name}` was stopped{place}: {detail}")
            }
            ErrorKind::Stuck => format!("script `{name}` {detail}"),
            ErrorKind::Answer => format!("script `{name}` cannot be answered: {detail}"),
        };
        ScriptError(Box::new(Details {
            kind: self.kind,
            message,
            site: self.line.map(|line| Site {
                script: name.clone(),
                line,
            }),
            source: Some(NamedSource::new(name.as_ref(), text.clone())),
            detail: self.detail,
            hint: self.hint,
            frames: self.frames,
        }))
    }
}

/// The bytes of a line, without surrounding blanks.
fn line_span(text: &str, line: u32) -> Option<SourceSpan> {
    let mut start = 0;
    for (number, whole) in (1..).zip(text.split_inclusive('\n')) {
        if number == line {
            let indent = whole.len() - whole.trim_start().len();
            return Some((start + indent, whole.trim().len()).into());
        }
        start += whole.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marked_line_is_the_one_that_is_named() {
        let text: Arc<str> = "let a\n  let é = 1 \nlet c".into();
        let error = Problem::new(ErrorKind::Runtime, "TypeError: no")
            .line(2)
            .of(&"a.js".into(), &text);
        assert_eq!(
            error.to_string(),
            "script `a.js` failed at line 2: TypeError: no"
        );
        let label = error.labels().unwrap().next().unwrap();
        assert_eq!(
            &text[label.offset()..label.offset() + label.len()],
            "let é = 1"
        );
    }

    #[test]
    fn a_line_beyond_the_text_is_not_marked() {
        assert_eq!(line_span("a", 2), None);
    }
}
