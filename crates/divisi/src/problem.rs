//! Why a command could not do what it was asked, as it is printed.
//!
//! ```text
//! error: cannot open the store /var/lib/divisi/runs.db
//!   caused by: Permission denied (os error 13)
//!   hint: name another file with `--store`
//! ```
//!
//! Printed once, at the very top, on stderr.

use crate::display::{Line, Look, Tone, look};
use crate::exit::Exit;
use crate::output;
use crate::plan_file::PlanFileError;
use crate::settings::SettingsError;
use divisi_core::choice::BadKinds;
use divisi_engine::store::StoreError;
use divisi_engine::{DriveError, LockError, StartError};
use divisi_script::ScriptError;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
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

impl Problem {
    /// Something went wrong.
    pub(crate) fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Failed, reason: Reason::Error(error.into()), hints: vec![] }
    }

    /// The call makes no sense. `message` is a lower-case phrase.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::failed(anyhow::Error::msg(message.into())) }
    }

    /// A flow that cannot be read.
    pub(crate) fn script(error: ScriptError) -> Self {
        Self { exit: Exit::Usage, reason: Reason::Script(Box::new(error)), hints: vec![] }
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
    let theme = match look.color {
        true => GraphicalTheme::unicode(),
        false => GraphicalTheme::unicode_nocolor(),
    };
    let mut text = String::new();
    match GraphicalReportHandler::new_themed(theme).with_width(look.width).render_report(&mut text, error) {
        Ok(()) => text,
        Err(_) => format!("{error}\n"),
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
        Self { exit: Exit::Usage, ..Self::failed(error) }.hints(hint)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let hint = match &error {
            StoreError::TooNew { .. } => Some("update divisi, or name another store with `--store`"),
            StoreError::Foreign(_) | StoreError::Open { .. } => Some("name another file with `--store`"),
            StoreError::Full(_) => Some("make room, then resume the run; what had been written is kept"),
            StoreError::InUse { .. } => {
                Some("let that run end or stop it with Ctrl-C, which keeps what is finished; then try again")
            }
            StoreError::Busy(_) => Some(
                "see what holds it (a backup, a sync, `sqlite3`), then resume the run: what was written is kept",
            ),
            StoreError::Moved(_) => Some("that process goes on with the run"),
            StoreError::Unreadable { .. } | StoreError::Sqlite { .. } | StoreError::Closed => None,
        };
        Self::failed(error).hints(hint)
    }
}

impl From<DriveError> for Problem {
    fn from(error: DriveError) -> Self {
        match error {
            DriveError::Store(error) => error.into(),
            DriveError::Illegal(_) | DriveError::Missing(_) | DriveError::Unknown(_) => Self::failed(error),
        }
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Script(error) => Self::script(*error),
            StartError::Drive(error) => error.into(),
            StartError::Lock(error @ LockError::Held { .. }) => {
                Self::failed(error).hint("wait until it is done, or stop that process with Ctrl-C")
            }
            StartError::Lock(error @ LockError::Io { .. }) => Self::failed(error),
            StartError::Thread(_) => Self::failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

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
}
