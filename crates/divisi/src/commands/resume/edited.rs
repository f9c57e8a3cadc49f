//! A flow that has changed since the run started.
//!
//! Editing a flow and resuming is a main use, so the change is only reported. But if agents of the
//! run could write and the file changed while the run was at work, an agent may have changed it.
//! Then the user must agree, since the new text sets its own caps, models and tools.

use crate::context::Context;
use crate::output;
use anyhow::Context as _;
use divisi_app::{Problem, RunRequest};
use divisi_core::run::Stage;
use divisi_core::{PicoUsd, Run, RunId, Timestamp};
use divisi_engine::Flow;
use divisi_engine::executor::Executors;
use divisi_providers::redact;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A flow that has changed since the run started.
pub(super) struct Edited<'f> {
    path: &'f str,
    before: &'f Flow,
    now: &'f Flow,
}

impl<'f> Edited<'f> {
    /// The difference between a flow as the journal has it and as it is now; `None`
    /// where there is none.
    pub(super) fn of(before: &'f Flow, now: &'f Flow) -> Option<Self> {
        let path = now.path.as_deref()?;
        // The journal's copy is redacted.
        (*before.source != *redact(&now.source)).then_some(Self { path, before, now })
    }

    /// Reports the differences, and asks the user if an agent may have made them. `agreed` is the
    /// answer from the command line.
    pub(super) fn settle(
        &self,
        id: &RunId,
        run: &Run,
        kept: &RunRequest,
        agreed: bool,
        context: &Context,
    ) -> Result<(), Problem> {
        let told = format!(
            "{} differs from the flow that run {id} knows{}",
            self.path,
            self.caps()
        );
        if !may_be_by_an_agent(run, kept) || !changed_at_work(Path::new(self.path), run) {
            context.app.note(&told);
            return Ok(());
        }
        let told = format!("{told}; it changed while agents of the run could write");
        if agreed {
            output::say(&format!("warning: {told}"));
            return Ok(());
        }
        let question = format!("{told}. Go on with it as it is now?");
        match output::ask(&question, &[("yes", true), ("no", false)])
            .context("cannot read the answer")?
        {
            Some(true) => Ok(()),
            Some(false) => Err(Problem::usage("the run stays as it is")),
            None => Err(Problem::usage(told)
                .hint(format!(
                    "look at it, then say so: `divisi resume {id} --edited`"
                ))
                .hint("or put the file back as it was")),
        }
    }

    /// The differences between the caps of phases, in words.
    fn caps(&self) -> String {
        let caps = |flow: &Flow| -> BTreeMap<String, PicoUsd> {
            let phases = flow
                .parse()
                .map(|script| script.meta().phases.clone())
                .unwrap_or_default();
            phases
                .into_iter()
                .filter_map(|phase| Some((phase.title, phase.cap?)))
                .collect()
        };
        let (before, now) = (caps(self.before), caps(self.now));
        let word = |cap: Option<&PicoUsd>| cap.map_or("none".to_owned(), ToString::to_string);
        let titles = before
            .keys()
            .chain(now.keys().filter(|title| !before.contains_key(*title)));
        let changed = titles.filter(|title| before.get(*title) != now.get(*title));
        let changed: Vec<String> = changed
            .map(|title| {
                format!(
                    "`{title}` from {} to {}",
                    word(before.get(title)),
                    word(now.get(title))
                )
            })
            .collect();
        match changed.is_empty() {
            true => String::new(),
            false => format!(", and so do the caps of phases: {}", changed.join(", ")),
        }
    }
}

/// Whether agents or programs of the run could write files.
pub(super) fn may_be_by_an_agent(run: &Run, kept: &RunRequest) -> bool {
    let ours = Executors::default();
    let writes = |name: &str| ours.spec(name).is_none_or(|spec| spec.writes);
    let by_programs = run
        .all_tasks()
        .any(|(_, task)| task.attempts() > 0 && writes(&task.facts().executor));
    by_programs || kept.allow.as_ref().is_some_and(|allow| !allow.is_empty())
}

/// Whether the file changed between the run's start and its end. A killed run has no end: its
/// attempts may have gone on for a moment.
///
/// Uses the time at which the system last recorded a change of the file, which programs cannot set.
fn changed_at_work(path: &Path, run: &Run) -> bool {
    let Ok(there) = path.metadata() else {
        return false;
    };
    let changed_at =
        Timestamp(there.ctime().max(0) as u64 * 1_000 + there.ctime_nsec() as u64 / 1_000_000);
    let has_ended = matches!(run.stage(), Stage::Parked(_) | Stage::Ended(_));
    changed_at >= run.started_at() && !(has_ended && changed_at > run.ended_at())
}
