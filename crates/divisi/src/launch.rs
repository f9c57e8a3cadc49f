//! From a flow and flags to a run that is driven to its end.

use crate::cli::RunFlags;
use crate::context::Context;
use crate::exit::Exit;
use crate::follow::{self, Telling};
use crate::problem::Problem;
use crate::settings::{self, Loaded, Settings, permissions};
use crate::{output, providers};
use anyhow::Context as _;
use divisi_core::event::RunStatus;
use divisi_core::run::Stage;
use divisi_core::{Run, RunId};
use divisi_engine::{Engine, Flow, Models, RunOptions, Setup};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A run to be started, or to go on with.
pub(crate) struct Launch {
    pub(crate) flow: Flow,
    pub(crate) flags: RunFlags,
    pub(crate) earlier: Option<Earlier>,
}

/// A run to go on with.
pub(crate) struct Earlier {
    pub(crate) id: RunId,
    /// As its journal has it.
    pub(crate) run: Run,
    /// Whether tasks that have failed are tried again.
    pub(crate) reopen_failed: bool,
    /// The flow as it was executed last.
    pub(crate) source: Arc<str>,
}

impl Launch {
    /// A new run.
    pub(crate) fn new(flow: Flow, flags: RunFlags) -> Self {
        Self { flow, flags, earlier: None }
    }
}

/// Drives a run to its end, tells of it on stderr and writes its result to stdout.
///
/// Everything that can be known to be wrong is said before the run exists.
pub(crate) async fn launch(launch: Launch, context: &Context) -> Result<Exit, Problem> {
    let Launch { flow, flags, earlier } = launch;
    flow.parse().map_err(Problem::script)?;
    let mut flags = flags.anchored().context("cannot tell which folder is meant")?;
    let workspace = flags.workspace.clone().unwrap_or_default();
    if !workspace.is_dir() {
        return Err(Problem::usage(format!("the workspace {} is no folder", workspace.display())));
    }
    let leaves = flags.leaves().into_iter().chain(context.global.leaves()).collect();
    let Loaded { settings, .. } = settings::load(&context.environment, &workspace, leaves)?;
    let models = providers::choose(&settings, &context.environment, flags.stand()).await?;
    let setup = setup(&settings, models, &workspace)?;
    // What an agent writes to a settings file gives a resume no more rights.
    flags.allow = Some(settings.allow.clone());
    let engine = Engine::new(context.store()?);
    let (watcher, batches) = mpsc::unbounded_channel();
    let options = RunOptions {
        cap: settings.max_cost.map(|dollars| dollars.0),
        kept: serde_json::to_value(&flags).ok(),
        reopen_failed: earlier.as_ref().is_some_and(|earlier| earlier.reopen_failed),
        watcher: Some(watcher),
        ..RunOptions::default()
    };
    let is_ours = flow.path.is_none();
    let (handle, before) = match earlier {
        None => (engine.start(flow, setup, options).await?, Run::new()),
        Some(earlier) => {
            say_if_nothing_is_to_run(&earlier, &flow, context);
            (engine.resume(&earlier.id, flow, setup, options).await?, earlier.run)
        }
    };
    let telling = Telling { global: &context.global, demo: flags.demo, script_is_ours: is_ours };
    follow::follow(handle, batches, before, telling).await
}

/// What the settings mean for the engine.
fn setup(settings: &Settings, models: Models, workspace: &Path) -> Result<Setup, Problem> {
    models.find(None).map_err(|failure| Problem::usage(failure.message).hints(failure.hint))?;
    let framing = settings.framing.as_ref().map(|path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read the framing {}", path.display()))
    });
    Ok(Setup {
        executors: settings.executors.clone(),
        permissions: permissions(&settings.allow),
        framing: framing.transpose()?.map(Arc::from),
        limits: settings.limits.clone(),
        retry: (&settings.retry).into(),
        timeout: settings.timeout.0,
        idle_timeout: settings.idle_timeout.0,
        turns_max: settings.max_turns,
        ..Setup::new(models, workspace)
    })
}

/// A resume of what is over, with the flow it was over with, changes nothing.
fn say_if_nothing_is_to_run(earlier: &Earlier, flow: &Flow, context: &Context) {
    let Stage::Ended(status) = earlier.run.stage() else { return };
    if flow.source != earlier.source || earlier.reopen_failed || context.global.quiet {
        return;
    }
    let id = &earlier.id;
    match status {
        RunStatus::Ok => {
            output::say(&format!("note: nothing to run: {id} is over, and its flow is unchanged"));
        }
        RunStatus::Partial | RunStatus::Failed | RunStatus::Cancelled => output::say(&format!(
            "note: {id} is over, and its flow is unchanged: to try failed tasks again, type `divisi rerun {id} --failed`"
        )),
    }
}
