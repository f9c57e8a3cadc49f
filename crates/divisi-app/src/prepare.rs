//! The settings of a run, and the setup of the engine made from them.

use crate::agent_programs;
use crate::plan_file::PlanFile;
use crate::settings::{
    self, AUTO, Dollars, Environment, ExecutorKind, ExecutorSettings, Loaded, Settings, Untrusted,
    permissions,
};
use crate::{App, FlowInput, Problem, RunRequest, clock, prices, providers, slip};
use anyhow::Context as _;
use divisi_core::PicoUsd;
use divisi_engine::executor::{
    AcpExecutor, ClaudeExecutor, CodexExecutor, CommandExecutor, Executors,
};
use divisi_engine::{Models, Setup};
use divisi_files::Refusal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest text of the setting `framing`: as much as the longest prompts hold.
const FRAMING_BYTES_MAX: u64 = 4 << 20;

/// The settings of a run, and its setup.
pub(crate) struct Prepared {
    pub(crate) settings: Settings,
    pub(crate) setup: Setup,
}

/// The settings and setup of a run that sends nothing, so that no key is needed. The note says
/// which provider is assumed if none is available.
pub(crate) async fn prepare_ahead(
    input: &FlowInput,
    request: RunRequest,
    purpose: Purpose,
    app: &App,
) -> Result<(Prepared, Option<String>), Problem> {
    let (request, mut settings, workspace) = settle(input, request, app, purpose)?;
    let (models, note) =
        providers::choose_ahead(&settings, app.environment(), request.answer_mode()).await?;
    if note.is_some()
        && let Some(program) = agent_programs::instead(&settings, app.environment())
    {
        settings.executor = program.to_owned();
    }
    let environment = app.environment();
    let scripted = request.is_scripted();
    let setup = setup(&settings, environment, models, &workspace, scripted)?;
    Ok((Prepared { settings, setup }, note))
}

/// The purpose of loading settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To execute or send something.
    Run,
    /// To examine something; nothing is sent or executed.
    Look,
}

/// The request with absolute paths, its settings, and the folder of its agents.
pub(crate) fn settle(
    input: &FlowInput,
    request: RunRequest,
    app: &App,
    purpose: Purpose,
) -> Result<(RunRequest, Settings, PathBuf), Problem> {
    let max_cost = max_cost(input, request.max_cost, app)?;
    let request = RunRequest {
        max_cost,
        ..request
    }
    .anchored()?;
    let workspace = request.workspace.clone().unwrap_or_default();
    if !workspace.is_dir() {
        return Err(Problem::usage(format!(
            "the workspace {} is no folder",
            workspace.display()
        )));
    }
    let said = request.leaves();
    let untrusted = match purpose {
        Purpose::Look => Untrusted::LookedAt,
        Purpose::Run if request.demo || request.untrusted == Some(true) => Untrusted::LeftOut,
        Purpose::Run => Untrusted::Refused,
    };
    let Loaded {
        settings,
        project,
        mcp_file,
        ..
    } = match untrusted {
        Untrusted::Refused => app.settings_to_act(&workspace, &said)?,
        untrusted => app.settings_in(&workspace, said, untrusted)?,
    };
    app.note_trust(project.as_ref(), untrusted);
    app.note_trust(mcp_file.as_ref(), untrusted);
    Ok((request, settings, workspace))
}

/// The cap of a run: that of the request, or else the lower of the settings' and the plan's.
fn max_cost(
    input: &FlowInput,
    asked: Option<Dollars>,
    app: &App,
) -> Result<Option<Dollars>, Problem> {
    let FlowInput::Plan(PlanFile { plan, .. }) = input else {
        return Ok(asked);
    };
    let Some(of_plan) = plan.head().max_cost.filter(|_| asked.is_none()) else {
        return Ok(asked);
    };
    let of_settings = app.settings(Untrusted::LeftOut)?.settings.cost_max;
    Ok(Some(Dollars(of_plan.min(
        of_settings.map_or(PicoUsd(u64::MAX), |dollars| dollars.0),
    ))))
}

/// Makes the engine's setup from the settings.
pub(crate) fn setup(
    settings: &Settings,
    environment: &Environment,
    models: Models,
    workspace: &Path,
    is_scripted: bool,
) -> Result<Setup, Problem> {
    let prices = prices::of(settings)?;
    let checked = models
        .find(None)
        .and_then(|model| prices.known(&model, clock::now()));
    checked.map_err(|failure| Problem::usage(failure.message).with_hints(failure.hint))?;
    let framing = settings.framing.as_deref().map(|path| {
        framing(path, workspace)
            .with_context(|| format!("cannot read the framing {}", path.display()))
    });
    let by_tier = settings
        .tier_executors
        .iter()
        .map(|(tier, name)| (*tier, name.as_str().into()));
    let executor = match settings.executor.as_str() {
        AUTO => Executors::USUAL,
        named => named,
    };
    let executors = executors(settings, is_scripted)?;
    let by_tiers = settings.tier_executors.values().map(String::as_str);
    for name in by_tiers.chain([executor]) {
        is_known(name, &executors)?;
    }
    Ok(Setup::new(models, workspace)
        .executors(executors)
        .executor(executor, by_tier.collect())
        .permissions(permissions(&settings.allow))
        .mcp(settings.mcp_servers(environment))
        .kinds(settings.kinds()?)
        .framing(framing.transpose()?.map(Arc::from))
        .limits(settings.limits.clone())
        .retry((&settings.retry).into())
        .timeout(settings.timeout.0)
        .idle_timeout(settings.idle_timeout.0)
        .check_timeout(settings.check_timeout.0)
        .hedge(settings.hedge)
        .turns_max(settings.turns_max)
        .agents_max(settings.agents_max)
        .reply_tokens_max(settings.reply_tokens_max)
        .task_cost_max(settings.budget.task_cost_max.map(|most| most.0))
        .prices(Arc::new(prices)))
}

/// Fails if there is no executor of this name.
fn is_known(name: &str, executors: &Executors) -> Result<(), Problem> {
    if executors.spec(name).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = executors.names().collect();
    let near = slip::nearest(name, known.iter().copied());
    Err(Problem::usage(format!("there is no executor `{name}`"))
        .with_hints(near.map(|near| format!("did you mean `{near}`?")))
        .hint(format!(
            "there are {}, and others can be added as [executors.NAME] in divisi.toml",
            known.join(", ")
        )))
}

/// The built-in executors, and those of the settings. Where answers are scripted, built-in agents
/// take the place of agent programs, because those would ask real models.
fn executors(settings: &Settings, is_scripted: bool) -> Result<Executors, Problem> {
    let mut all = Executors::default();
    let mut add = |name: &str, executor: &ExecutorSettings| {
        match executor.kind(name) {
            ExecutorKind::Command => all.add(name, CommandExecutor::new(executor.into())),
            ExecutorKind::Claude | ExecutorKind::Codex | ExecutorKind::Acp if is_scripted => {
                all.replace_by_usual(name);
                Ok(())
            }
            ExecutorKind::Claude => {
                let program = executor.agent_program(ClaudeExecutor::NAME);
                all.add(name, ClaudeExecutor::new(program))
            }
            ExecutorKind::Codex => {
                let program = executor.agent_program(CodexExecutor::NAME);
                all.add(name, CodexExecutor::new(program))
            }
            ExecutorKind::Acp => {
                let agent = AcpExecutor::new(name, executor.agent_program(name));
                all.add(name, agent.mode(executor.mode.clone()))
            }
        }
        .map_err(|taken| {
            Problem::usage(taken.to_string()).hint(format!(
                "give [executors.{name}] in divisi.toml another name"
            ))
        })
    };
    for (name, executor) in &settings.executors {
        add(name, executor)?;
    }
    let agents = [ClaudeExecutor::NAME, CodexExecutor::NAME].map(str::to_owned);
    for name in agents.into_iter().chain(AcpExecutor::names()) {
        if !settings.executors.contains_key(&name) {
            add(&name, &ExecutorSettings::default())?;
        }
    }
    Ok(all)
}

/// The text of the setting `framing`. A file that the settings name within the project must be
/// within it after following links, too.
fn framing(path: &Path, workspace: &Path) -> Result<String, Refusal> {
    let root = divisi_files::repository(workspace).unwrap_or(workspace);
    let bytes = match settings::is_below(root, path) {
        true => divisi_files::read_below(root, path, FRAMING_BYTES_MAX),
        false => divisi_files::read(path, FRAMING_BYTES_MAX),
    };
    divisi_files::text(bytes?)
}
