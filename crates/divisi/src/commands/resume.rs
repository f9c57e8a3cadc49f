//! `divisi resume`: goes on with a run.

mod edited;
pub(super) mod explain;

use super::show::find_task;
use crate::again;
use crate::context::Context;
use crate::display::number;
use crate::exit::Exit;
use crate::flags::{OutFlags, RunFlags};
use crate::launch::launch;
use anyhow::Context as _;
use divisi_app::launch::{Earlier, Kept, Launch};
use divisi_app::providers::Vendors;
use divisi_app::settings::Dollars;
use divisi_app::{App, FlowInput, Intent, Problem, RunRequest};
use divisi_core::event::{Awaited, RunLabel, RunStatus};
use divisi_core::run::Stage;
use divisi_core::{FailureClass, Key, Outcome, Run, RunId, Task, TaskId};
use divisi_engine::flow::Library;
use divisi_engine::{Engine, Flow};
use edited::{Edited, may_be_by_an_agent};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Go on with a run that was parked, killed or failed, or whose flow was edited
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi resume
  divisi resume k3f9 --max-cost 10
  divisi resume k3f9 --model opus
  divisi resume k3f9 --explain       # which tasks would run, and why

What is finished is kept; only what is missing or was edited since runs. The flow's file is read again \
if it is still there, and so are the settings; flags of the run hold unless others \
are given; `--hedge=false` and `--keep-going=false` take back what it was started with.

Tasks that failed because a key was refused are tried again; `divisi rerun --failed` tries all that failed.

The run stays with the provider and the models that it began with; `--provider` takes another one, and \
the models of today. A run that is finished and whose flow has not changed gives its result again; \
`--again` executes it again, for what else has changed: files that it reads, flows that it calls.")]
pub(crate) struct Args {
    /// The run: its id or the beginning of it, its name, its flow, or `last` of this folder
    #[arg(default_value = "last")]
    run: String,
    /// Go on although the flow has changed while agents of the run could write
    #[arg(long)]
    edited: bool,
    /// Execute a finished run again; unchanged tasks are not executed again
    #[arg(long)]
    again: bool,
    /// Say which tasks would run, and why, and send nothing
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    out: OutFlags,
    #[command(flatten)]
    flags: RunFlags,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args {
        run,
        edited,
        again,
        explain,
        out,
        flags,
    } = args;
    go_on(
        &run,
        flags.into(),
        How {
            edited,
            again,
            explain,
            out,
            ..How::default()
        },
        context,
    )
    .await
}

/// How a run is continued.
#[derive(Default)]
pub(super) struct How {
    /// Whether failed tasks are tried again.
    pub(super) reopen_failed: bool,
    /// Whether a flow is accepted that an agent may have changed.
    pub(super) edited: bool,
    /// Whether a finished run is executed again.
    pub(super) again: bool,
    /// Whether it is only said what would run.
    pub(super) explain: bool,
    /// Words for tasks that are carried out again, whatever their outcome.
    pub(super) tasks: Vec<String>,
    /// The model for those, instead of that of their flow.
    pub(super) model: Option<String>,
    /// Where its results go.
    pub(super) out: OutFlags,
}

/// Continues the run that `word` names.
pub(super) async fn go_on(
    word: &str,
    request: RunRequest,
    how: How,
    context: &Context,
) -> Result<Exit, Problem> {
    let engine = Engine::new(context.app.store()?);
    let id = context.app.find_run(word, Intent::Act).await?;
    let run = engine.load(&id).await?;
    let (kept_flow, kept) = engine.flow_of(&run).await?;
    if kept_flow.source.is_empty() {
        return Err(Problem::usage(format!(
            "run {id} is fed by a program, and only that program can go on with it"
        )));
    }
    let kept: Kept = match kept {
        // Without these flags a demo could turn into a run that costs money.
        Some(kept) => serde_json::from_value(kept)
            .with_context(|| format!("the flags that run {id} was started with cannot be read"))?,
        None => Kept::default(),
    };
    refuse_mixture(&id, &request, &kept.request)?;
    let flow = current(kept_flow.clone(), context);
    let Again {
        named,
        followers,
        replaced,
    } = Again::of(&engine, &id, &run, &how, &kept).await?;
    let refused = refused_keys(&run);
    if how.explain {
        // A look needs no consent to an edited flow.
    } else if let Some(edited) = Edited::of(&kept_flow, &flow) {
        edited.settle(&id, &run, &kept.request, how.edited, context)?;
        if how.model.is_some() {
            context.app.note(
                "--model holds for a named task as the run knows it; one whose prompt or options were \
                 edited is another task, and runs on the model that the flow gives it",
            );
        }
    } else if named.is_empty()
        && refused.is_empty()
        && is_done(&run, &request, how.reopen_failed)
        && !how.again
    {
        match newer_input(&engine, &run, kept.request.workspace.as_deref()).await? {
            None => {
                return again::give_result(
                    &engine,
                    (&id, &run),
                    kept.request.demo,
                    &how.out,
                    context,
                )
                .await;
            }
            Some(path) => context.app.note(&format!(
                "{path} has changed since {id} was last executed; what depends on it runs"
            )),
        }
    }
    let vendors = kept
        .vendors
        .map(|vendors| still(vendors, &id, &request, &context.app));
    if !refused.is_empty() && !how.reopen_failed {
        context.app.note(&format!(
            "{} failed because a key was refused; a resume tries that again",
            number::counted(refused.len() as u64, "task", "tasks")
        ));
    }
    // Failed tasks keep their replies; those that are opened by name do not.
    let all_refused = !refused.is_empty() && refused.len() == run.counts().failed as usize;
    let reopen = named.iter().chain(followers.keys());
    let earlier = Earlier {
        id: id.clone(),
        reopen_failed: how.reopen_failed || all_refused,
        reopen: match all_refused || how.reopen_failed {
            true => reopen.copied().collect(),
            false => reopen.chain(&refused).copied().collect(),
        },
        replaced,
        vendors,
    };
    let request = match kept.is_imported {
        true => request,
        false => with_changed_cap(request, &run),
    };
    let request = request.or(kept.request);
    let launched = Launch {
        input: FlowInput::Script(flow),
        request,
        label: RunLabel::default(),
        earlier: Some(earlier),
    };
    if how.explain {
        let asked = explain::Asked {
            id: &id,
            named: &named,
            followers: &followers,
            model: how.model.as_deref(),
        };
        return explain::explain(launched, &asked, &engine, context).await;
    }
    launch(launched, true, how.out, context).await
}

/// The tasks that are carried out again because the user has named them.
struct Again {
    named: Vec<TaskId>,
    /// Tasks that only waited for one of them, which is named here: where agents may change files,
    /// what they did may depend on it.
    followers: BTreeMap<TaskId, TaskId>,
    /// The models of single tasks, by key.
    replaced: BTreeMap<Key, Arc<str>>,
}

impl Again {
    async fn of(
        engine: &Engine,
        id: &RunId,
        run: &Run,
        how: &How,
        kept: &Kept,
    ) -> Result<Self, Problem> {
        let mut replaced = kept.replaced.clone();
        let (mut named, mut followers) = (vec![], BTreeMap::new());
        if how.tasks.is_empty() {
            return Ok(Self {
                named,
                followers,
                replaced,
            });
        }
        let (view, _) = engine.view(id).await?;
        for word in &how.tasks {
            let task = find_task(&view, word)?;
            if view
                .task(task)
                .is_none_or(|task| task.execution != view.execution)
            {
                return Err(Problem::usage(format!(
                    "{task} is of an earlier execution of run {id}, and its flow no longer asks for it"
                ))
                .hint(format!("`divisi show {id}` lists the tasks that it asks for now")));
            }
            if !named.contains(&task) {
                named.push(task);
            }
        }
        if let Some(model) = &how.model {
            for task in named.iter().filter_map(|task| run.task(*task)) {
                replaced.insert(task.key(), model.as_str().into());
            }
        }
        if may_be_by_an_agent(run, &kept.request) {
            // Tasks are numbered in the order in which they were requested, so one pass finds all
            // that waited for a named one, directly or not.
            for (task, shown) in view.current() {
                let Some(Awaited::Task(awaited)) = shown.waits else {
                    continue;
                };
                let follows = named.contains(&awaited) || followers.contains_key(&awaited);
                if follows && !named.contains(&task) {
                    followers.insert(task, awaited);
                }
            }
        }
        Ok(Self {
            named,
            followers,
            replaced,
        })
    }
}

/// Keeps the cap that was set while the run was under way, unless this resume states another.
fn with_changed_cap(request: RunRequest, run: &Run) -> RunRequest {
    RunRequest {
        max_cost: request.max_cost.or(run.changed_cap().map(Dollars)),
        ..request
    }
}

/// Whether executing the unchanged flow again would lead to the same end: every task has its
/// outcome, and for failed tasks no flag requests anything that could change it.
fn is_done(run: &Run, now: &RunRequest, reopen_failed: bool) -> bool {
    match run.stage() {
        Stage::Ended(RunStatus::Ok) => true,
        Stage::Ended(RunStatus::Partial | RunStatus::Failed) => {
            let counts = run.counts();
            let is_known = counts.failed > 0 && counts.ok + counts.failed == counts.total();
            let is_same = *now == RunRequest::default() && run.refused().next().is_none();
            is_known && is_same && !reopen_failed
        }
        _ => false,
    }
}

/// The tasks of the last execution that failed because a key was refused: they were not carried out.
fn refused_keys(run: &Run) -> Vec<TaskId> {
    let is_refused = |outcome: Option<&Outcome>| matches!(outcome, Some(Outcome::Failed(failure)) if failure.class == FailureClass::Auth);
    let tasks = run.tasks().filter(|(_, task)| is_refused(task.outcome()));
    tasks.map(|(id, _)| id).collect()
}

/// A file that a task of the finished run names as an input and that was written after its end, or
/// is gone. Writes by agents during the run do not count.
async fn newer_input(
    engine: &Engine,
    run: &Run,
    workspace: Option<&Path>,
) -> Result<Option<String>, Problem> {
    let ended = UNIX_EPOCH + Duration::from_millis(run.ended_at().0);
    let is_newer = |path: &str| {
        let modified = std::fs::metadata(workspace.unwrap_or(Path::new(".")).join(path));
        modified
            .and_then(|found| found.modified())
            .map_or(true, |modified| modified > ended)
    };
    for (_, task) in run.tasks() {
        let spec = engine.read(task.spec()).await?;
        let inputs = serde_json::from_str::<Task>(&spec)
            .map(|task| task.inputs)
            .unwrap_or_default();
        if let Some(path) = inputs.iter().find(|path| is_newer(path)) {
            return Ok(Some(path.to_string()));
        }
    }
    Ok(None)
}

/// Fails if a run would mix scripted answers with answers of models.
fn refuse_mixture(id: &RunId, now: &RunRequest, kept: &RunRequest) -> Result<(), Problem> {
    let problem = if kept.demo && now.provider.is_some() {
        Problem::usage(format!(
            "run {id} is a demo: its answers are scripted, and no model goes on with it"
        ))
        .hint("start the flow anew, without `--demo`")
    } else if now.demo && !kept.demo {
        Problem::usage(format!(
            "run {id} is no demo: scripted answers do not go on with it"
        ))
        .hint("start the flow anew with `--demo`")
    } else {
        return Ok(());
    };
    Err(problem)
}

/// The vendors of this execution: those of the run so far, except for what the user names now.
fn still(kept: Vendors, id: &RunId, now: &RunRequest, app: &App) -> Vendors {
    if let Some(other) = now
        .provider
        .as_ref()
        .filter(|other| **other != kept.provider)
    {
        app.note(&format!(
            "{id} was answered by {} so far; from here on `{other}` answers",
            kept.shown()
        ));
    }
    kept.changed_to(now.provider.as_deref(), now.model.as_deref())
}

/// The flow as its file is now; as the journal has it if the file cannot be read.
fn current(kept: Flow, context: &Context) -> Flow {
    let Some(path) = kept.path.as_deref() else {
        return kept;
    };
    match Library::reread(path) {
        Ok(file) => Flow {
            source: Arc::from(file.source),
            ..kept
        },
        Err(error) => {
            context.app.note(&format!(
                "{error}; going on with the flow as the run knows it"
            ));
            kept
        }
    }
}
