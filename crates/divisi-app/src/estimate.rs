//! The estimate of a run, computed while the run starts.
//!
//! It equals the forecast of `divisi plan`, because it is made from the same history with as many
//! dry and simulated runs. It is recorded with the run so that the cost can be compared with it.
//! Nothing waits for it: neither the first request, nor a run that ends before the estimate is
//! ready.

use crate::preflight::{Expected, Learnt, expect};
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

/// Most memory of the dry run. A flow that needs more has more tasks than an estimate covers.
const MEMORY_BYTES_MAX: usize = 64 << 20;

/// Delay of the estimate. The first requests have been sent by then, and the estimate is not needed
/// earlier.
const HEAD_START: Duration = Duration::from_millis(50);

/// Steps by which the priority of its thread is lowered.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;

/// Starts to estimate the run of `handle`, which runs `input`.
///
/// Runs on a thread of its own, which the end of the process does not wait for.
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
            yield_to_the_run();
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

/// Lowers the priority of this thread and of the threads that it starts, so that with few cores the
/// run comes first. Elsewhere than on Linux only the priority of a whole process can be set.
fn yield_to_the_run() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICER) {
        tracing::debug!(%error, "the estimate has the priority of the run");
    }
}

/// Limits the estimate to the cap of the run.
pub(crate) fn capped(estimate: Estimate, cap: Option<PicoUsd>) -> Estimate {
    let ceiling = [estimate.ceiling, cap].into_iter().flatten().min();
    Estimate {
        ceiling,
        ..estimate
    }
}

/// The expected cost of the run; `None` if it is free, or if the dry run of its script does not
/// reach the end.
fn estimate(
    input: &FlowInput,
    setup: Setup,
    store: &dyn Store,
    run: &RunId,
) -> Result<Option<Estimate>, Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(Problem::failed)?;
    let limits = limits();
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
    // The script runs ahead of its dry run, and may already exceed its limit.
    if matches!(input, FlowInput::Script(_)) && asked_for as usize > limits.tasks_max {
        return Ok(None);
    }
    let setup = Arc::new(setup);
    let learnt = runtime.block_on(Learnt::of(store, &setup, Reach::default(), Some(run)))?;
    Ok(recorded(&expect(input, &setup, &learnt, &limits)?))
}

/// What is known of a run before it starts; `None` if nothing in it costs money.
pub(crate) async fn ahead(
    input: &FlowInput,
    setup: &Setup,
    store: &dyn Store,
) -> Result<Option<Expected>, Problem> {
    if !setup.models.cost_money() && !setup.executors.cost_money() {
        return Ok(None);
    }
    let setup = Arc::new(setup.clone());
    let learnt = Learnt::of(store, &setup, Reach::default(), None).await?;
    expect(input, &setup, &learnt, &limits()).map(Some)
}

/// The part of it that is recorded with the run; `None` if it is free or unknown.
pub(crate) fn recorded(expected: &Expected) -> Option<Estimate> {
    let forecast = expected.forecast.as_ref()?;
    Some(forecast.estimate()).filter(|estimate| estimate.cost.p90 > PicoUsd::ZERO)
}

fn limits() -> TraceLimits {
    TraceLimits {
        host: HostLimits {
            memory_bytes_max: MEMORY_BYTES_MAX,
            ..HostLimits::default()
        },
        ..TraceLimits::default()
    }
}
