//! Tells the user about a run that asks, parks or ends, by the ways of the settings.

use crate::output;
use crate::text;
use divisi_app::notify::Notice;
use divisi_app::settings::{Notify, Occasion};
use divisi_core::event::ParkReason;
use divisi_core::run::Stage;
use divisi_core::{Event, Recorded, RunId, RunView, TaskId};
use divisi_engine::store::status_word;
use tokio::task::JoinSet;

/// The notices of one run.
pub(crate) struct Notices {
    settings: Notify,
    /// Those under way; each returns what went wrong.
    sent: JoinSet<Vec<String>>,
    /// Whether a failure was printed. Further ones are probably alike.
    has_warned: bool,
}

impl Notices {
    pub(crate) fn new(settings: Notify) -> Self {
        Self {
            settings,
            sent: JoinSet::new(),
            has_warned: false,
        }
    }

    /// Tells what is notable among these events of a run, which has applied them.
    pub(crate) fn heed(&mut self, id: &RunId, view: &RunView, events: &[Recorded]) {
        for recorded in events {
            match &recorded.event {
                Event::AttemptSuspended { attempt, .. }
                    if view.questions().any(|task| task == attempt.task) =>
                {
                    self.tell(Occasion::Question, id, view, Some(attempt.task));
                }
                // The questions were told one by one, and a wait goes on by itself.
                Event::RunParked { reason } => match reason {
                    ParkReason::Suspended { .. } => {}
                    ParkReason::Quota { .. } if view.waits_until().is_some() => {}
                    _ => self.tell(Occasion::Parked, id, view, None),
                },
                Event::RunEnded { .. } => self.tell(Occasion::Finished, id, view, None),
                _ => {}
            }
        }
    }

    fn tell(&mut self, occasion: Occasion, id: &RunId, view: &RunView, task: Option<TaskId>) {
        let settings = &self.settings;
        if !settings.on.contains(&occasion) {
            return;
        }
        let name = text::line(&view.name);
        let task = task
            .and_then(|task| view.task(task))
            .map(|task| text::line(&task.label));
        let status = match occasion {
            Occasion::Question => status_word(&Stage::Running),
            Occasion::Parked | Occasion::Finished => status_word(&view.stage),
        };
        let told = match &task {
            Some(task) => format!("{name} {id} asks: {task}"),
            None => format!("{name} {id}: {status}"),
        };
        if settings.bell {
            output::ring("\u{7}");
        }
        if settings.desktop {
            // The text has no control characters, so it cannot end the sequence early. OSC 777
            // separates its fields by semicolons.
            let plain = told.replace(';', ",");
            output::ring(&format!(
                "\u{1b}]9;{plain}\u{7}\u{1b}]777;notify;divisi;{plain}\u{7}"
            ));
        }
        if !settings.tells(occasion) {
            return;
        }
        let notice = Notice {
            occasion,
            run: id.clone(),
            name,
            folder: view
                .flow
                .as_ref()
                .and_then(|flow| flow.folder.as_deref())
                .map(str::to_owned),
            task,
            status,
            text: told,
        };
        let settings = settings.clone();
        self.sent.spawn(async move { settings.send(&notice).await });
    }

    /// What went wrong with a notice, once; for ever pending without any.
    pub(crate) async fn failed(&mut self) -> String {
        loop {
            match self.sent.join_next().await {
                Some(Ok(failures)) => {
                    let first = failures.into_iter().next();
                    if let Some(first) = first.filter(|_| !self.has_warned) {
                        self.has_warned = true;
                        return first;
                    }
                }
                // A panic of a hook's task is no reason to end the run.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Waits for notices under way, each no longer than its timeout; returns what went wrong.
    pub(crate) async fn finish(mut self) -> Option<String> {
        let mut failure = None;
        while let Some(sent) = self.sent.join_next().await {
            let failures = sent.unwrap_or_default();
            failure = failure.or(failures.into_iter().next());
        }
        failure.filter(|_| !self.has_warned)
    }
}
