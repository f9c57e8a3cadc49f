//! The error of local token counts, learnt from the journal.

use crate::driver;
use crate::resolve::Resolver;
use crate::store::{Store, StoreError};
use crate::tokens::Correction;
use divisi_core::content::Content;
use divisi_core::{Event, Position, Task, TaskId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most runs examined, newest first: what vendors add changes with time.
const RUNS_MAX: usize = 5;

/// Most tasks counted again in all runs; more would hardly change the ratio.
const TASKS_MAX: usize = 100;

/// For each model of past runs: what was charged for the first requests of tasks, and what they are
/// counted at today.
pub async fn corrections(
    store: &dyn Store,
    resolver: &Resolver,
) -> Result<BTreeMap<Arc<str>, Correction>, StoreError> {
    let mut corrections = BTreeMap::new();
    let mut tasks_left = TASKS_MAX;
    for run in store.runs(RUNS_MAX).await? {
        // The first page has the beginning of a run, with more tasks than needed.
        let page = match store.events(&run.id, Position(0)).await {
            Ok(page) => page,
            // Reported where the history is read.
            Err(StoreError::Unreadable { .. }) => continue,
            Err(problem) => return Err(problem),
        };
        let mut specs: BTreeMap<TaskId, Content> = BTreeMap::new();
        for recorded in page {
            match recorded.event {
                Event::TaskSubmitted(submitted) => {
                    specs.insert(submitted.task, submitted.spec);
                }
                Event::TurnEnded { attempt, turn } if attempt.number == 1 && tasks_left > 0 => {
                    // Removed, so that only the first turn counts.
                    let Some(spec) = specs.remove(&attempt.task) else {
                        continue;
                    };
                    let Some(counted) = counted(store, resolver, &spec).await else {
                        continue;
                    };
                    let known: Correction =
                        corrections.get(&turn.model).copied().unwrap_or_default();
                    corrections.insert(turn.model, known.with(counted, turn.usage.prompt()));
                    tasks_left -= 1;
                }
                _ => {}
            }
        }
    }
    Ok(corrections)
}

/// Today's count for the first request of a task; `None` if the task cannot be resolved any more.
async fn counted(store: &dyn Store, resolver: &Resolver, spec: &Content) -> Option<u64> {
    let spec = driver::read(store, spec).await.ok()?;
    let task: Task = serde_json::from_str(&spec).ok()?;
    Some(resolver.assigned(&task).ok()?.prompt_tokens)
}
