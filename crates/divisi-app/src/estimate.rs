//! The estimate of a run that has just begun, made beside it.
//!
//! It is what `divisi plan` would have said, kept with the run so that what the
//! run costs can be held against it. Nothing waits for it: the first request
//! does not, and a run that ends before the estimate is there goes without.

use crate::preflight::{Learnt, foresee};
use crate::{FlowInput, Problem};
use divisi_core::estimate::Estimate;
use divisi_core::{PicoUsd, RunId};
use divisi_engine::history::Reach;
use divisi_engine::preflight::TraceLimits;
use divisi_engine::store::{RunSummary, Store};
use divisi_engine::{RunHandle, Setup};
use divisi_script::HostLimits;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How far back is learnt from. Less far than a plan looks, because the run is
/// already at work beside it and shares the disk.
const REACH: Reach = Reach {
    runs_max: 20,
    events_max: 20_000,
};

/// Simulated runs. A tenth of what a plan draws: the run is at work beside it,
/// and what it costs is told against a range that is far wider than the error.
const DRAWS: u32 = 100;

/// Tasks that are answered to see what waits for what. A large flow is taken to
/// wait for what has ended before, which its first dry run shows.
const AGAIN_MAX: usize = 1_000;

/// Most memory of the dry run. Whatever needs more asks for more tasks than an
/// estimate is made of.
const MEMORY_BYTES_MAX: usize = 64 << 20;

/// How long the run has the processors for itself. The first requests have left
/// by then, and nobody reads an estimate sooner.
const HEAD_START: Duration = Duration::from_millis(50);

/// Begins to estimate the run of `handle`, which runs `input`.
///
/// On a thread of its own, which the end of the process does not wait for.
pub(crate) fn begin(
    input: FlowInput,
    setup: Setup,
    cap: Option<PicoUsd>,
    store: Arc<dyn Store>,
    handle: &RunHandle,
) {
    let (run, control) = (handle.id().clone(), handle.control());
    let made = thread::Builder::new()
        .name("divisi-estimate".into())
        .spawn(move || {
            thread::sleep(HEAD_START);
            match estimate(&input, setup, &*store, &run) {
                Ok(Some(estimate)) => control.estimate(capped(estimate, cap)),
                Ok(None) => {}
                Err(problem) => {
                    tracing::debug!(%run, problem = ?problem.reason(), "the run has no estimate");
                }
            }
        });
    if let Err(error) = made {
        tracing::debug!(%error, "the run has no estimate");
    }
}

/// The same where a run can cost no more than its cap.
fn capped(estimate: Estimate, cap: Option<PicoUsd>) -> Estimate {
    let ceiling = [estimate.ceiling, cap].into_iter().flatten().min();
    Estimate {
        ceiling,
        ..estimate
    }
}

/// What the run is expected to cost; `None` where it costs nothing, and where a
/// dry run of its script does not come to the end.
fn estimate(
    input: &FlowInput,
    setup: Setup,
    store: &dyn Store,
    run: &RunId,
) -> Result<Option<Estimate>, Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(Problem::failed)?;
    let host = HostLimits {
        memory_bytes_max: MEMORY_BYTES_MAX,
        ..HostLimits::default()
    };
    let limits = TraceLimits {
        host,
        again_max: AGAIN_MAX,
        ..TraceLimits::default()
    };
    let asked_for = runtime.block_on(store.run(run))?.map_or(0, |so_far| {
        let RunSummary {
            ok,
            failed,
            skipped,
            open,
            ..
        } = so_far;
        ok + failed + skipped + open
    });
    // A script is ahead of its dry run, and may be beyond the end of that already.
    if matches!(input, FlowInput::Script(_)) && asked_for as usize > limits.tasks_max {
        return Ok(None);
    }
    let setup = Arc::new(setup);
    let learnt = runtime.block_on(Learnt::of(store, &setup, REACH, Some(run)))?;
    let forecast = foresee(input, &setup, &learnt, (&limits, DRAWS))?;
    Ok(forecast
        .map(|forecast| forecast.estimate())
        .filter(|estimate| estimate.cost.p90 > PicoUsd::ZERO))
}
