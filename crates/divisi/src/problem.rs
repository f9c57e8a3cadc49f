//! Why a command could not do what it was asked, as it is printed.
//!
//! ```text
//! error: cannot open the store /var/lib/divisi/runs.db
//!   caused by: Permission denied (os error 13)
//!   hint: name another file with `--store`
//! ```
//!
//! Printed once, at the very top, on stderr.

use crate::display::{Line, Look, Tone, look, text};
use crate::exit::Exit;
use crate::output;
use crate::plan_file::PlanFileError;
use crate::settings::SettingsError;
use crate::trust;
use divisi_core::choice::BadKinds;
use divisi_engine::store::{LeaseError, StoreError};
use divisi_engine::{DriveError, StartError};
use divisi_providers::redact;
use divisi_script::{ErrorKind, ScriptError};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use std::fmt::Display;

/// Why a command could not do what it was asked.
#[derive(Debug)]
pub(crate) struct Problem {
    /// What the process ends with.
    pub(crate) exit: Exit,
    pub(crate) reason: Reason,
    hints: Vec<String>,
}

/// What a problem is made of.
#[derive(Debug)]
pub(crate) enum Reason {
    /// Shown with its causes.
    Error(anyhow::Error),
    /// Shown with the line of the script.
    Script(Box<ScriptError>),
    /// Shown with the lines of the plan.
    Plan(PlanFileError),
}

/// What to do about a journal that does not add up: it is never written again.
const DAMAGED: &str =
    "take the store back from a backup, or start the run anew; other runs in it can be read";

impl Problem {
    /// Something went wrong.
    pub(crate) fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Failed, reason: Reason::Error(error.into()), hints: vec![] }
    }

    /// The call makes no sense. `message` is a lower-case phrase.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::failed(anyhow::Error::msg(message.into())) }
    }

    /// A flow that cannot be read, or computes without an end.
    pub(crate) fn script(error: ScriptError) -> Self {
        let exit = match error.kind() {
            // It can be read; what it asks for is known up to there.
            ErrorKind::Busy => Exit::Partial,
            _ => Exit::Usage,
        };
        Self { exit, reason: Reason::Script(Box::new(error)), hints: vec![] }
    }

    /// The same with advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same with such advice as there is.
    pub(crate) fn hints(mut self, hints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.hints.extend(hints.into_iter().map(Into::into));
        self
    }

    /// What is wrong, with its causes, on one line.
    pub(crate) fn message(&self) -> String {
        match &self.reason {
            Reason::Script(error) => error.to_string(),
            Reason::Plan(error) => error.to_string(),
            Reason::Error(error) => format!("{error:#}"),
        }
    }

    /// What to do about it, a line each.
    pub(crate) fn advice(&self) -> String {
        self.hints.join("\n")
    }

    /// Says it on stderr.
    pub(crate) fn print(&self) {
        output::say(self.render(&Look::of_stderr(false)).trim_end());
    }

    fn render(&self, look: &Look) -> String {
        let below = |title: &str, text: &dyn Display| Line::new().plain(format!("  {title}: {text}"));
        let mut lines = vec![];
        let mut text = String::new();
        match &self.reason {
            Reason::Script(error) => text = shown(&**error, look),
            Reason::Plan(error) => text = shown(error, look),
            Reason::Error(error) => {
                lines.push(Line::of(Tone::Bad, "error: ").plain(error.to_string()));
                lines.extend(error.chain().skip(1).map(|cause| below("caused by", &cause)));
            }
        }
        lines.extend(self.hints.iter().map(|hint| below("hint", hint)));
        text + &look::page(&lines, look)
    }
}

/// An error of a flow with the line that it is about.
pub(crate) fn shown(error: &dyn Diagnostic, look: &Look) -> String {
    let error = Harmless::of(error);
    let theme = match look.color {
        true => GraphicalTheme::unicode(),
        false => GraphicalTheme::unicode_nocolor(),
    };
    let mut text = String::new();
    match GraphicalReportHandler::new_themed(theme).with_width(look.width).render_report(&mut text, &error) {
        Ok(()) => redact(&text).into_owned(),
        Err(_) => format!("{error}\n"),
    }
}

/// An error whose message and source may hold what a model wrote, so that nothing
/// of them acts on a terminal.
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
            .and_then(|(source, label)| source.read_span(label.inner(), usize::MAX, usize::MAX).ok());
        let source_text = whole.filter(|whole| whole.span().offset() == 0).map(|whole| {
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
        self.code.as_ref().map(|code| Box::new(code) as Box<dyn Display>)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source_text.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

impl From<BadKinds> for Problem {
    fn from(error: BadKinds) -> Self {
        let hint = error.hint();
        Self::usage(error.to_string()).hints(hint)
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(error)
    }
}

impl From<PlanFileError> for Problem {
    fn from(error: PlanFileError) -> Self {
        Self { exit: Exit::Usage, reason: Reason::Plan(error), hints: vec![] }
    }
}

impl From<SettingsError> for Problem {
    fn from(error: SettingsError) -> Self {
        let hint = error.hint().map(str::to_owned);
        let trust = match &error {
            SettingsError::Untrusted(project) => trust::hints(project),
            SettingsError::Read { .. }
            | SettingsError::Wrong { .. }
            | SettingsError::Variable { .. }
            | SettingsError::Merged(_) => vec![],
        };
        Self { exit: Exit::Usage, ..Self::failed(error) }.hints(hint).hints(trust)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let hint = match &error {
            StoreError::TooNew { .. } => Some("update divisi, or name another store with `--store`"),
            StoreError::Foreign(_) | StoreError::Open { .. } => Some("name another file with `--store`"),
            StoreError::Gone { .. } => Some(
                "if it was moved, move it back and resume the run; what was written after its last event is lost",
            ),
            StoreError::Linked { .. } => {
                Some("remove the other names, or copy the file and name the copy with `--store`")
            }
            StoreError::Full(_) => Some("make room, then resume the run; what had been written is kept"),
            StoreError::InUse { .. } => {
                Some("let that run end or stop it with Ctrl-C, which keeps what is finished; then try again")
            }
            StoreError::Busy(_) => Some(
                "see what holds it (a backup, a sync, `sqlite3`), then resume the run: what was written is kept",
            ),
            StoreError::Moved(_) => Some("that process goes on with the run"),
            StoreError::Unreadable { .. } => Some(DAMAGED),
            StoreError::Backend(error) => error.hint(),
            StoreError::Closed => Some("resume the run: what was written is kept"),
        };
        let hint = hint.map(str::to_owned);
        Self::failed(error).hints(hint)
    }
}

impl From<DriveError> for Problem {
    fn from(error: DriveError) -> Self {
        match error {
            DriveError::Store(error) => error.into(),
            DriveError::Lease(error) => error.into(),
            DriveError::Illegal(_) | DriveError::Missing(_) => Self::failed(error).hint(DAMAGED),
            DriveError::Unknown(_) => Self::failed(error).hint("`divisi runs` lists them"),
        }
    }
}

impl From<LeaseError> for Problem {
    fn from(error: LeaseError) -> Self {
        match &error {
            LeaseError::Held { .. } => {
                Self::failed(error).hint("wait until it is done, or stop that process with Ctrl-C")
            }
            LeaseError::Backend(backend) => {
                let hint = backend.hint().map(str::to_owned);
                Self::failed(error).hints(hint).hint("or name another store with `--store`")
            }
        }
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Script(error) => Self::script(*error),
            StartError::Drive(error) => error.into(),
            StartError::Lease(error) => error.into(),
            StartError::Thread(_) => Self::failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use divisi_engine::store::BackendError;

    const LOOK: Look = Look { color: false, unicode: true, width: 80, demo: false };

    #[test]
    fn a_chain_is_printed_once_with_its_advice() {
        let error = std::fs::read("/nowhere/at/all").context("cannot read the schema").unwrap_err();
        insta::assert_snapshot!(Problem::failed(error).hint("name a file that exists").render(&LOOK), @r#"
        error: cannot read the schema
          caused by: No such file or directory (os error 2)
          hint: name a file that exists
        "#);
    }

    #[test]
    fn a_script_error_shows_the_line() {
        let error = divisi_script::Script::parse("a.js", "const a = 1\nconst a = 2\nreturn a").unwrap_err();
        insta::assert_snapshot!(Problem::script(error).render(&LOOK), @r#"
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
        let shown = Problem::script(error).render(&LOOK);
        assert!(!shown.chars().any(|c| c != '\n' && text::acts(c)), "{shown:?}");
        assert!(shown.contains("const a = '?]0;t??[8m\u{fffd}\u{bf}1m\u{fffd}?é'"), "{shown}");
        let coloured = Problem::failed(anyhow::anyhow!("{hostile}")).render(&Look { color: true, ..LOOK });
        assert_eq!(text::printed(&coloured), coloured);
    }

    #[test]
    fn every_failure_of_a_store_comes_with_advice() {
        let run = divisi_core::RunId::new("k3f9").unwrap();
        let path = || "runs.db".to_owned();
        let failed = || {
            let what = BackendError::new("cannot lock run k3f9 with runs.db", "it is not allowed");
            what.with_hint("make its folder one that you may write in")
        };
        let cause = |error: StoreError| Problem::from(error).render(&LOOK);
        let position = divisi_core::Position(7);
        let broken = <serde_json::Error as serde::de::Error>::custom("events are missing");
        let all = [
            cause(StoreError::InUse {
                path: path(),
                found: 2,
                run: run.clone(),
                holder: "process 41".into(),
            }),
            cause(StoreError::Busy(path())),
            cause(StoreError::Unreadable { run, position, source: broken }),
            cause(StoreError::Closed),
            Problem::from(DriveError::Missing("a1b2".into())).render(&LOOK),
            cause(StoreError::Backend(failed())),
            Problem::from(StartError::Lease(failed().into())).render(&LOOK),
        ];
        insta::assert_snapshot!(all.concat(), @r"
        error: the store runs.db has format 2 and cannot be changed while process 41 drives run k3f9 in it
          hint: let that run end or stop it with Ctrl-C, which keeps what is finished; then try again
        error: another process keeps the store runs.db locked
          hint: see what holds it (a backup, a sync, `sqlite3`), then resume the run: what was written is kept
        error: the journal of run k3f9 cannot be read at position 7
          caused by: events are missing
          hint: take the store back from a backup, or start the run anew; other runs in it can be read
        error: the store is closed
          hint: resume the run: what was written is kept
        error: a text of the journal is missing from the store: a1b2
          hint: take the store back from a backup, or start the run anew; other runs in it can be read
        error: cannot lock run k3f9 with runs.db
          caused by: it is not allowed
          hint: make its folder one that you may write in
        error: cannot lock run k3f9 with runs.db
          caused by: it is not allowed
          hint: make its folder one that you may write in
          hint: or name another store with `--store`
        ");
    }
}
