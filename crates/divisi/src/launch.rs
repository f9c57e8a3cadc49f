//! From a flow and flags to a run that is driven to its end.

use crate::again;
use crate::cli::{Found, RunFlags};
use crate::context::Context;
use crate::display::{json, text};
use crate::exit::Exit;
use crate::follow::{self, Telling};
use crate::problem::Problem;
use crate::protect;
use crate::providers::{Answering, Vendors};
use crate::settings::{self, Leaf, Loaded, Settings, Untrusted, permissions};
use crate::{clock, estimate, output, preflight, prices, providers, trust};
use anyhow::Context as _;
use divisi_core::retry::QuotaWait;
use divisi_core::run::Stage;
use divisi_core::{Run, RunId};
use divisi_engine::{Engine, Finished, Models, RunOptions, Setup};
use divisi_files::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Longest text that frames every agent: as much as the longest prompts hold.
const FRAMING_BYTES_MAX: u64 = 4 << 20;

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
    /// Who has answered it; `None` of a run of an older divisi, which has not kept it.
    pub(crate) vendors: Option<Vendors>,
}

/// What is kept with a run, to go on with it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    #[serde(flatten)]
    pub(crate) flags: RunFlags,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vendors: Option<Vendors>,
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
    let Prepared { mut flags, settings, setup, vendors } = prepare(flags, earlier.as_ref(), context).await?;
    preflight::priced(&found, &setup, context)?;
    // What an agent writes to a settings file gives a resume no more rights.
    flags.allow = Some(settings.allow.clone());
    protect::what_decides(&setup, &settings, &flags, &found, context)?;
    let engine = Engine::new(context.store()?);
    let kept = Kept { flags: flags.clone(), vendors };
    let (watcher, batches) = mpsc::unbounded_channel();
    let options = RunOptions {
        caps: settings.caps(),
        token_budget: flags.token_budget,
        folder: Some(context.place().name().into()),
        kept: Some(serde_json::to_value(&kept).map_err(cannot_keep)?),
        reopen_failed: earlier.as_ref().is_some_and(|earlier| earlier.reopen_failed),
        watcher: Some(watcher),
        quota_wait: flags.wait.then(QuotaWait::default),
    };
    let telling = Telling { global: &context.global, demo: flags.demo, script_is_ours: flow.path.is_none() };
    let (handle, before) = match earlier {
        None => {
            again::say_if_done_before(&engine, &flow, &kept, context).await?;
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
    if let (false, Some(Ok(result))) = (context.global.json, &finished.result) {
        print_result(result).context("cannot write the result to stdout")?;
    }
    Ok(Exit::of(finished.status()))
}

/// Without what is kept with it, a demo could go on as a run that costs money.
fn cannot_keep(error: serde_json::Error) -> Problem {
    Problem::failed(anyhow::Error::new(error).context("the flags of this run cannot be kept with it"))
        .hint("a folder or file whose name is no UTF-8 cannot be named by them")
}

/// What a run needs beside its flow.
pub(crate) struct Prepared {
    pub(crate) flags: RunFlags,
    pub(crate) settings: Settings,
    pub(crate) setup: Setup,
    /// Who answers, to be kept with the run; `None` where nobody will be asked.
    pub(crate) vendors: Option<Vendors>,
}

/// Finds the settings and the models that a run under these flags has.
async fn prepare(flags: RunFlags, earlier: Option<&Earlier>, context: &Context) -> Result<Prepared, Problem> {
    let (flags, settings, workspace) = settle(flags, context, Purpose::Run)?;
    let (environment, stand) = (&context.environment, flags.stand());
    let kept = earlier.and_then(|earlier| Some((&earlier.id, earlier.vendors.as_ref()?)));
    let Answering { models, vendors, notes } = match kept {
        Some(kept) => providers::choose_again(&settings, environment, stand, kept).await?,
        None => providers::choose_first(&settings, environment, stand).await?,
    };
    notes.iter().for_each(|note| context.note(note));
    if earlier.is_some() && kept.is_none() {
        context.note(&format!(
            "the run does not say who has answered it so far; from here on {} does",
            vendors.shown()
        ));
    }
    let setup = setup(&settings, models, &workspace)?;
    Ok(Prepared { flags, settings, setup, vendors: Some(vendors) })
}

/// The same for commands that ask nobody, and so need no key. The note says
/// whose models are taken where nobody can be asked.
pub(crate) async fn prepare_ahead(
    flags: RunFlags,
    purpose: Purpose,
    context: &Context,
) -> Result<(Prepared, Option<String>), Problem> {
    let (flags, settings, workspace) = settle(flags, context, purpose)?;
    let (models, note) = providers::choose_ahead(&settings, &context.environment, flags.stand()).await?;
    let setup = setup(&settings, models, &workspace)?;
    Ok((Prepared { flags, settings, setup, vendors: None }, note))
}

/// What settings are loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Something is carried out, or sent.
    Run,
    /// Nobody is asked and nothing runs.
    Look,
}

fn settle(
    flags: RunFlags,
    context: &Context,
    purpose: Purpose,
) -> Result<(RunFlags, Settings, PathBuf), Problem> {
    let flags = flags.anchored()?;
    let workspace = flags.workspace.clone().unwrap_or_default();
    if !workspace.is_dir() {
        return Err(Problem::usage(format!("the workspace {} is no folder", workspace.display())));
    }
    let leaves: Vec<Leaf> = flags.leaves().into_iter().chain(context.global.leaves()?).collect();
    let untrusted = match purpose {
        Purpose::Look => Untrusted::LookedAt,
        Purpose::Run if flags.demo || flags.untrusted == Some(true) => Untrusted::LeftOut,
        Purpose::Run => Untrusted::Refused,
    };
    let Loaded { settings, project, .. } = match untrusted {
        Untrusted::Refused => trust::settings(context, &workspace, &leaves)?,
        untrusted => settings::load(&context.environment, &workspace, leaves, untrusted)?,
    };
    trust::note(project.as_ref(), context, untrusted);
    Ok((flags, settings, workspace))
}

/// What the settings mean for the engine.
fn setup(settings: &Settings, models: Models, workspace: &Path) -> Result<Setup, Problem> {
    let prices = prices::of(settings)?;
    let checked = models.find(None).and_then(|model| prices.known(&model, clock::now()));
    checked.map_err(|failure| Problem::usage(failure.message).hints(failure.hint))?;
    let framing = settings.framing.as_deref().map(|path| {
        framing(path, workspace).with_context(|| format!("cannot read the framing {}", path.display()))
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

/// The text that frames every agent. A file that the project's settings name as
/// one of the project has to be one, whatever links say.
fn framing(path: &Path, workspace: &Path) -> Result<String, Refusal> {
    let root = divisi_files::repository(workspace).unwrap_or(workspace);
    let bytes = match settings::is_below(root, path) {
        true => divisi_files::read_below(root, path, FRAMING_BYTES_MAX),
        false => divisi_files::read(path, FRAMING_BYTES_MAX),
    };
    divisi_files::text(bytes?)
}

/// A text as it is, anything else as JSON; nothing where the flow returned nothing.
pub(crate) fn print_result(result: &str) -> anyhow::Result<()> {
    match serde_json::from_str(result)? {
        Value::Null => Ok(()),
        // On a terminal a text of a model must not act; a program gets its bytes.
        Value::String(text) if io::stdout().is_terminal() => Ok(output::print(&text::block(&text))?),
        Value::String(text) => Ok(output::print_as_it_is(&text)?),
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
