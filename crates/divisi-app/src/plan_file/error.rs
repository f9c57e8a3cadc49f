//! Errors in plan files, with their places.

use divisi_core::Site;
use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Why a plan file is invalid.
#[derive(Clone, Debug, thiserror::Error)]
#[error("plan `{}` cannot be used at line {}, column {}: {}", .0.name, .0.line, .0.column, .0.wrong.message)]
pub struct PlanFileError(Box<Details>);

#[derive(Clone, Debug)]
struct Details {
    name: Arc<str>,
    line: u32,
    column: usize,
    wrong: Wrong,
    source: NamedSource<Arc<str>>,
}

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The text is neither YAML nor JSON.
    Syntax,
    /// It is, but does not have the form of a plan.
    Form,
    /// The tasks do not form a graph.
    Dependencies,
}

impl Kind {
    fn code(self) -> &'static str {
        match self {
            Self::Syntax => "plan::syntax",
            Self::Form => "plan::form",
            Self::Dependencies => "plan::dependencies",
        }
    }
}

/// An error, before the name and text of the file are added.
#[derive(Clone, Debug)]
pub(super) struct Wrong {
    kind: Kind,
    message: String,
    hint: Option<String>,
    /// The byte ranges concerned, each with a label; the first is the place of the error.
    labels: Vec<(Range<usize>, String)>,
}

impl Wrong {
    /// An error at these bytes; the label is a shorter form of the message.
    pub(super) fn new(kind: Kind, message: impl Into<String>, bytes: Range<usize>) -> Self {
        let message = message.into();
        Self {
            kind,
            labels: vec![(bytes, message.clone())],
            message,
            hint: None,
        }
    }

    /// An error with several places.
    pub(super) fn of_several(
        kind: Kind,
        message: impl Into<String>,
        labels: Vec<(Range<usize>, String)>,
    ) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            labels,
        }
    }

    /// Adds advice.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// Adds advice, if there is any.
    pub(super) fn hints(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// The error in file `name` with this `text`.
    pub(super) fn of(self, name: &Arc<str>, text: &Arc<str>) -> PlanFileError {
        let start = self
            .labels
            .first()
            .map_or(0, |(bytes, _)| bytes.start.min(text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |end| end + 1);
        PlanFileError(Box::new(Details {
            name: name.clone(),
            line: line_of(text, start),
            column: text[line_start..start].chars().count() + 1,
            wrong: self,
            source: NamedSource::new(name.as_ref(), text.clone()),
        }))
    }
}

/// The line of a byte offset, from 1.
pub(super) fn line_of(text: &str, byte: usize) -> u32 {
    let before = &text.as_bytes()[..byte.min(text.len())];
    let breaks = before.iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(breaks + 1).unwrap_or(u32::MAX)
}

impl PlanFileError {
    /// The kind of error.
    pub fn kind(&self) -> Kind {
        self.0.wrong.kind
    }

    /// The message, without the place.
    pub fn message(&self) -> &str {
        &self.0.wrong.message
    }

    /// Advice for the author.
    pub fn hint(&self) -> Option<&str> {
        self.0.wrong.hint.as_deref()
    }

    /// The lines concerned, each with its label.
    pub fn sites(&self) -> impl Iterator<Item = (Site, &str)> {
        self.0.wrong.labels.iter().map(|(bytes, said)| {
            let line = line_of(self.0.source.inner(), bytes.start);
            (
                Site {
                    script: self.0.name.clone(),
                    line,
                },
                said.as_str(),
            )
        })
    }
}

impl Diagnostic for PlanFileError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.0.wrong.kind.code()))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint()
            .map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.0.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let labels = self.0.wrong.labels.iter().enumerate();
        Some(Box::new(labels.map(|(nth, (bytes, said))| {
            let span = (bytes.start, bytes.len());
            match nth {
                0 => LabeledSpan::new_primary_with_span(Some(said.clone()), span),
                _ => LabeledSpan::new_with_span(Some(said.clone()), span),
            }
        })))
    }
}
