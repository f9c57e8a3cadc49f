//! From a flow and flags to a run that is driven to its end.

use crate::cli::{Found, RunFlags};
use crate::context::Context;
use crate::display::{json, text};
use crate::exit::Exit;
use crate::follow::{self, Telling};
use crate::problem::Problem;
use crate::settings::{self, Loaded, Settings, permissions};
use crate::{clock, estimate, output, prices, providers};
use anyhow::Context as _;
use divisi_core::retry::QuotaWait;
use divisi_core::run::Stage;
use divisi_core::{Run, RunId};
use divisi_engine::{Engine, Finished, Models, RunOptions, Setup};
use serde_json::Value;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// A run to be started, or to go on with.
pub(crate) struct Launch {
    pub(crate) found: Found,
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
}

impl Launch {
    /// A new run.
    pub(crate) fn new(found: Found, flags: RunFlags) -> Self {
        Self { found, flags, earlier: None }
    }
}

/// Drives a run to its end, tells of it on stderr and writes its result to stdout.
///
/// Everything that can be known to be wrong is said before the run exists.
pub(crate) async fn launch(launch: Launch, context: &Context) -> Result<Exit, Problem> {
    let Launch { found, flags, earlier } = launch;
    let flow = found.flow();
    flow.parse().map_err(Problem::script)?;
    let Prepared { mut flags, settings, setup } = prepare(flags, context).await?;
    // What an agent writes to a settings file gives a resume no more rights.
    flags.allow = Some(settings.allow.clone());
    let engine = Engine::new(context.store()?);
    let (watcher, batches) = mpsc::unbounded_channel();
    let options = RunOptions {
        caps: settings.caps(),
        token_budget: flags.token_budget,
        kept: serde_json::to_value(&flags).ok(),
        reopen_failed: earlier.as_ref().is_some_and(|earlier| earlier.reopen_failed),
        watcher: Some(watcher),
        quota_wait: flags.wait.then(QuotaWait::default),
    };
    let telling = Telling { global: &context.global, demo: flags.demo, script_is_ours: flow.path.is_none() };
    let (handle, before) = match earlier {
        None => {
            let estimating = settings.estimate && !flags.demo;
            let ahead = estimating.then(|| (found, setup.clone()));
            let handle = engine.start(flow, setup, options).await?;
            if let Some((found, setup)) = ahead {
                let most = settings.max_cost.map(|most| most.0);
                estimate::begin(found, setup, most, engine.store().clone(), &handle);
            }
            (handle, Run::new())
        }
        Some(earlier) => (engine.resume(&earlier.id, flow, setup, options).await?, earlier.run),
    };
    let is_resumed = *before.stage() != Stage::Unstarted;
    let finished = follow::follow(handle, batches, before, telling).await?;
    if is_resumed && !context.global.quiet {
        say_if_nothing_was_to_run(&finished);
    }
    if !context.global.json {
        print_result(&finished).context("cannot write the result to stdout")?;
    }
    Ok(Exit::of(finished.status()))
}

/// What a run needs beside its flow.
pub(crate) struct Prepared {
    pub(crate) flags: RunFlags,
    pub(crate) settings: Settings,
    pub(crate) setup: Setup,
}

/// Finds the settings and the models that a run under these flags would have.
pub(crate) async fn prepare(flags: RunFlags, context: &Context) -> Result<Prepared, Problem> {
    let (flags, settings, workspace) = settle(flags, context)?;
    let models = providers::choose(&settings, &context.environment, flags.stand()).await?;
    let setup = setup(&settings, models, &workspace)?;
    Ok(Prepared { flags, settings, setup })
}

/// The same for commands that ask nobody, and so need no key. The note says
/// whose models are taken where nobody can be asked.
pub(crate) async fn prepare_ahead(
    flags: RunFlags,
    context: &Context,
) -> Result<(Prepared, Option<String>), Problem> {
    let (flags, settings, workspace) = settle(flags, context)?;
    let (models, note) = providers::choose_ahead(&settings, &context.environment, flags.stand()).await?;
    let setup = setup(&settings, models, &workspace)?;
    Ok((Prepared { flags, settings, setup }, note))
}

fn settle(flags: RunFlags, context: &Context) -> Result<(RunFlags, Settings, PathBuf), Problem> {
    let flags = flags.anchored().context("cannot tell which folder is meant")?;
    let workspace = flags.workspace.clone().unwrap_or_default();
    if !workspace.is_dir() {
        return Err(Problem::usage(format!("the workspace {} is no folder", workspace.display())));
    }
    let leaves = flags.leaves().into_iter().chain(context.global.leaves()).collect();
    let Loaded { settings, .. } = settings::load(&context.environment, &workspace, leaves)?;
    Ok((flags, settings, workspace))
}

/// What the settings mean for the engine.
fn setup(settings: &Settings, models: Models, workspace: &Path) -> Result<Setup, Problem> {
    let prices = prices::of(settings)?;
    let checked = models.find(None).and_then(|model| prices.known(&model, clock::now()));
    checked.map_err(|failure| Problem::usage(failure.message).hints(failure.hint))?;
    let framing = settings.framing.as_ref().map(|path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read the framing {}", path.display()))
    });
    Ok(Setup {
        executors: settings.executors.clone(),
        permissions: permissions(&settings.allow),
        kinds: settings.kinds()?,
        framing: framing.transpose()?.map(Arc::from),
        limits: settings.limits.clone(),
        retry: (&settings.retry).into(),
        timeout: settings.timeout.0,
        idle_timeout: settings.idle_timeout.0,
        check_timeout: settings.check_timeout.0,
        hedge: settings.hedge,
        turns_max: settings.max_turns,
        reply_tokens_max: settings.max_reply_tokens,
        task_cost_max: settings.budget.task.map(|most| most.0),
        prices: Arc::new(prices),
        ..Setup::new(models, workspace)
    })
}

/// A text as it is, anything else as JSON; nothing where the flow returned nothing.
fn print_result(finished: &Finished) -> anyhow::Result<()> {
    let Some(Ok(result)) = &finished.result else { return Ok(()) };
    match serde_json::from_str(result)? {
        Value::Null => Ok(()),
        // On a terminal a text of a model must not act; a program gets its bytes.
        Value::String(text) if io::stdout().is_terminal() => Ok(output::print(&text::block(&text))?),
        Value::String(text) => Ok(output::print(&text)?),
        value => Ok(output::print(&json::harmless(&serde_json::to_string_pretty(&value)?))?),
    }
}

/// Says so when a resume found everything in the journal, failures included.
fn say_if_nothing_was_to_run(Finished { id, run, .. }: &Finished) {
    let counts = run.counts();
    if counts.total() == 0 || run.reused() < counts.total() {
        return;
    }
    match counts.total() - counts.ok {
        0 => output::say("note: nothing to run: every task was done before"),
        _ => output::say(&format!(
            "note: nothing to run: every task has its outcome; `divisi rerun {id} --failed` tries failed ones again"
        )),
    }
}
