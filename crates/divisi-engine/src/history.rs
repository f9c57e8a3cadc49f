//! Learns the cost of tasks from the runs of a store.

mod corrections;

pub use corrections::corrections;

use crate::driver;
use crate::store::{Store, StoreError};
use divisi_core::choice::Evidence;
use divisi_core::history::Reader;
use divisi_core::{Content, Event, History, Kinds, Position, RunId, Task};
use std::sync::Arc;

/// How much of a store is read.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// Most runs, newest first.
    pub runs_max: usize,
    /// Most events of all runs together.
    pub events_max: usize,
}

impl Default for Reach {
    /// About a third of a second of work (80 runs with 190,000 events), done in parallel with the
    /// first tasks of a run. Older runs say little about today's models and prices.
    fn default() -> Self {
        Self {
            runs_max: 100,
            events_max: 200_000,
        }
    }
}

/// Learns from the newest runs of a store, without the run `besides`.
///
/// Stops at the limits of `reach`, or when the history is full. Ended tasks of runs in progress
/// count, too. An unreadable journal is skipped and logged, because an estimate is not worth a
/// failure.
///
/// Tasks without a declared kind get the one that `kinds` finds in their prompts. A run with
/// options (see [`FlowSource`]) is read only if `counts` accepts them: scripted or replayed answers
/// are not billed.
///
/// [`FlowSource`]: divisi_core::event::FlowSource
pub async fn history(
    store: &dyn Store,
    kinds: &Kinds,
    Reach {
        runs_max,
        events_max,
    }: Reach,
    besides: Option<&RunId>,
    counts: fn(&str) -> bool,
) -> Result<History, StoreError> {
    let mut history = History::default();
    let mut events_left = events_max;
    let runs = store
        .runs(runs_max.saturating_add(usize::from(besides.is_some())))
        .await?;
    for run in runs
        .iter()
        .filter(|run| besides != Some(&run.id))
        .take(runs_max)
    {
        match learn(store, (kinds, counts), &run.id, events_left, &mut history).await {
            Ok(read) => events_left = events_left.saturating_sub(read),
            Err(problem @ StoreError::Unreadable { .. }) => {
                tracing::warn!(run = %run.id, %problem, "left out of estimates");
            }
            Err(problem) => return Err(problem),
        }
        if events_left == 0 || history.len() >= History::SAMPLES_MAX {
            break;
        }
    }
    Ok(history)
}

/// Learns from one run, page by page; returns its number of events.
async fn learn(
    store: &dyn Store,
    (kinds, counts): (&Kinds, fn(&str) -> bool),
    run: &RunId,
    events_max: usize,
    history: &mut History,
) -> Result<usize, StoreError> {
    let mut reader = Reader::default();
    let mut read = 0;
    while read < events_max {
        let page = store.events(run, Position(read as u64)).await?;
        if page.is_empty() {
            break;
        }
        read += page.len();
        for mut recorded in page {
            if let Event::RunStarted(started) = &recorded.event
                && let Some(options) = &started.flow.options
                && let Ok(options) = driver::read(store, options).await
                && !counts(&options)
            {
                return Ok(read);
            }
            if let Event::TaskSubmitted(submitted) = &mut recorded.event
                && submitted.facts.kind.is_none()
            {
                Arc::make_mut(&mut submitted.facts).kind =
                    kind_of(store, kinds, &submitted.spec).await;
            }
            reader.read(&recorded, history);
        }
    }
    Ok(read)
}

/// The kind that a task seems to be; `None` if its text cannot be read any more.
async fn kind_of(store: &dyn Store, kinds: &Kinds, spec: &Content) -> Option<Arc<str>> {
    let spec = driver::read(store, spec).await.ok()?;
    let task: Task = serde_json::from_str(&spec).ok()?;
    let evidence = Evidence {
        prompt: &task.prompt,
        agent: task.agent_type.as_deref(),
        schema: task.schema.as_deref(),
        ..Evidence::default()
    };
    kinds.choose(&evidence).ok().map(|choice| choice.kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Batch, MemoryStore, PAGE_EVENTS_MAX, RunSummary};
    use divisi_core::event::{Edges, TaskFacts, TaskSubmitted};
    use divisi_core::{AttemptId, Digest, Key, Outcome, PicoUsd, Recorded, Run, TaskId, Timestamp};

    /// Writes a run with this number of finished tasks, all labelled with the run's name.
    async fn write(store: &MemoryStore, name: &str, at: u64, tasks: u32) {
        let text = Content::Inline("1".into());
        let events = (0..tasks).flat_map(|i| {
            let (task, attempt) = (
                TaskId(i),
                AttemptId {
                    task: TaskId(i),
                    number: 1,
                },
            );
            let facts = Arc::new(TaskFacts {
                label: name.into(),
                ..TaskFacts::default()
            });
            let key = Key(Digest::of(&i.to_le_bytes()));
            let submitted = TaskSubmitted {
                task,
                key,
                occurrence: 0,
                facts,
                spec: text.clone(),
                edges: Edges::default(),
            };
            [
                Event::TaskSubmitted(Box::new(submitted)),
                Event::AttemptScheduled {
                    attempt,
                    model: Some("m".into()),
                    reserved: PicoUsd::ZERO,
                    reply_tokens: None,
                },
                Event::attempt_ended(attempt, None, PicoUsd(5), PicoUsd::ZERO),
                Event::TaskEnded {
                    task,
                    outcome: Outcome::Ok {
                        value: text.clone(),
                    },
                },
            ]
        });
        let place = |(i, event)| Recorded {
            position: Position(i as u64),
            at: Timestamp(at),
            event,
        };
        let id = RunId::new(name).unwrap();
        let summary = RunSummary {
            started_at: Timestamp(at),
            ..RunSummary::of(&id, &Run::new(), Timestamp(at))
        };
        let events = events.enumerate().map(place).collect();
        let batch = Batch {
            run: id,
            position: Position::default(),
            events,
            blobs: vec![],
            summary,
            receipts: vec![],
        };
        store.append(Arc::new(batch)).await.unwrap();
    }

    #[tokio::test]
    async fn all_runs_of_a_store_are_learnt_from_whole() {
        let store = MemoryStore::new();
        let long = PAGE_EVENTS_MAX as u32 / 4 + 10;
        write(&store, "old", 1, 3).await;
        write(&store, "new", 2, long).await;
        let history = history(&store, Kinds::built_in(), Reach::default(), None, |_| true)
            .await
            .unwrap();
        let labels: Vec<&str> = history
            .newest()
            .iter()
            .map(|sample| &*sample.label)
            .collect();
        assert_eq!(labels.len(), long as usize + 3);
        assert_eq!((labels[0], labels[labels.len() - 1]), ("new", "old"));
    }

    #[tokio::test]
    async fn a_run_does_not_learn_from_itself() {
        let store = MemoryStore::new();
        for (at, name) in ["old", "last", "self"].into_iter().enumerate() {
            write(&store, name, at as u64, 1).await;
        }
        let own = RunId::new("self").unwrap();
        let history = history(
            &store,
            Kinds::built_in(),
            Reach {
                runs_max: 1,
                ..Reach::default()
            },
            Some(&own),
            |_| true,
        )
        .await
        .unwrap();
        let labels: Vec<&str> = history
            .newest()
            .iter()
            .map(|sample| &*sample.label)
            .collect();
        assert_eq!(labels, ["last"]);
    }

    #[tokio::test]
    async fn an_empty_store_tells_nothing() {
        assert!(
            history(
                &MemoryStore::new(),
                Kinds::built_in(),
                Reach::default(),
                None,
                |_| true
            )
            .await
            .unwrap()
            .is_empty()
        );
    }
}
