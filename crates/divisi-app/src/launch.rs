//! Starts a run from a flow and a request.

use crate::preflight::Expected;
use crate::prepare::{Purpose, settle, setup};
use crate::prices;
use crate::providers::{self, Answering, Vendors};
use crate::settings::Settings;
use crate::{App, FlowInput, Problem, RunRequest, agent_programs, estimate, preflight, protect};
use divisi_core::estimate::Estimate;
use divisi_core::event::RunLabel;
use divisi_core::retry::QuotaWait;
use divisi_core::{Key, RunId, TaskId};
use divisi_engine::{Engine, Flow, Rehearsed, RunHandle, RunOptions, Setup};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

/// A run to be started or continued.
#[derive(Debug)]
pub struct Launch {
    /// The flow.
    pub input: FlowInput,
    /// Its options.
    pub request: RunRequest,
    /// Name and tags of a new run.
    pub label: RunLabel,
    /// The run to continue; `None` for a new one.
    pub earlier: Option<Earlier>,
}

/// A run to continue.
#[derive(Debug)]
pub struct Earlier {
    /// Its id.
    pub id: RunId,
    /// Whether tasks that have failed are tried again.
    pub reopen_failed: bool,
    /// Tasks that are carried out again, whatever their outcome.
    pub reopen: Vec<TaskId>,
    /// Tasks, by their keys, that are carried out by another model than their flow says.
    pub replaced: BTreeMap<Key, Arc<str>>,
    /// Its vendors; `None` for a run of an older divisi, which did not record them.
    pub vendors: Option<Vendors>,
}

/// Data recorded with a run, for a resume.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Kept {
    /// The options of the run.
    #[serde(flatten)]
    pub request: RunRequest,
    /// Its vendors; `None` for a run of an older divisi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendors: Option<Vendors>,
    /// Tasks, by their keys, that are carried out by another model than their flow says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replaced: BTreeMap<Key, Arc<str>>,
    /// Whether it came with an imported run, so that the caps in its journal are not this user's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_imported: bool,
}

impl Launch {
    /// A new run.
    pub fn new(input: FlowInput, request: RunRequest) -> Self {
        Self {
            input,
            request,
            label: RunLabel::default(),
            earlier: None,
        }
    }

    /// Sets name and tags.
    pub fn labelled(self, label: RunLabel) -> Self {
        Self { label, ..self }
    }
}

/// A run that is ready to start: all errors that can be known beforehand have been reported.
pub struct Ready {
    engine: Engine,
    input: FlowInput,
    flow: Flow,
    settings: Settings,
    setup: Setup,
    kept: Kept,
    options: RunOptions,
    earlier: Option<Earlier>,
    estimate: Option<Estimate>,
}

/// A run that has started.
pub struct Started {
    /// The handle of the run, with its events.
    pub handle: RunHandle,
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("flow", &self.flow.name)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started")
            .field("run", self.handle.id())
            .finish_non_exhaustive()
    }
}

/// Prepares a run. Nothing is written or sent yet.
pub async fn prepare(launch: Launch, app: &App) -> Result<Ready, Problem> {
    let Launch {
        input,
        request,
        label,
        earlier,
    } = launch;
    let flow = input.flow();
    flow.parse().map_err(Problem::script)?;
    let (mut request, settings, setup, vendors) =
        surroundings(&input, request, earlier.as_ref(), app).await?;
    // The permissions are recorded now, so that an edit of a settings file by an agent gives a
    // resume no more.
    request.allow = Some(settings.allow.clone());
    // Pricing takes as long as all the rest, so both are done in parallel.
    let engine = thread::scope(|scope| {
        let priced = scope.spawn(|| preflight::priced(&input, &setup, &settings.caps(), app));
        let engine = protect::what_decides(&setup, &settings, &request, &input, app)
            .and_then(|()| Ok(Engine::new(app.store()?)));
        priced.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        engine
    })?;
    let kept = Kept {
        request,
        vendors: Some(vendors),
        replaced: earlier
            .as_ref()
            .map(|earlier| earlier.replaced.clone())
            .unwrap_or_default(),
        is_imported: false,
    };
    let options = RunOptions::default()
        .caps(settings.caps())
        .token_budget(kept.request.token_budget)
        .folder(app.place().name())
        .label(RunLabel {
            about: input.about(),
            ..label
        })
        .kept(serde_json::to_value(&kept).map_err(cannot_keep)?)
        .reopen_failed(
            earlier
                .as_ref()
                .is_some_and(|earlier| earlier.reopen_failed),
        )
        .reopen(
            earlier
                .as_ref()
                .map(|earlier| earlier.reopen.clone())
                .unwrap_or_default(),
        )
        .replaced(kept.replaced.clone())
        .quota_wait(kept.request.wait.then(QuotaWait::default));
    Ok(Ready {
        engine,
        input,
        flow,
        settings,
        setup,
        kept,
        options,
        earlier,
        estimate: None,
    })
}

impl Ready {
    /// The engine that will drive it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The flow that will run.
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is known of a new run before it starts; `None` if nothing in it costs money. Blocks
    /// while a script computes.
    pub async fn expect(&mut self) -> Result<Option<Expected>, Problem> {
        let expected = estimate::ahead(&self.input, &self.setup, &**self.engine.store()).await?;
        self.estimate = expected.as_ref().and_then(estimate::recorded);
        Ok(expected)
    }

    /// Its questions can be answered while it runs.
    pub fn attended(mut self) -> Self {
        self.options = self.options.attended(true);
        self
    }

    /// The data that will be recorded with it.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Finds out what the run would carry out again; `None` for a new one. Nothing is written or
    /// sent.
    pub async fn rehearse(self) -> Result<Option<Rehearsed>, Problem> {
        let Some(earlier) = self.earlier else {
            return Ok(None);
        };
        let rehearsed = self
            .engine
            .rehearse(&earlier.id, self.flow, self.setup, self.options)
            .await?;
        Ok(Some(rehearsed))
    }

    /// Starts or continues the run. A new run is estimated in parallel, if the settings say so.
    pub async fn start(self) -> Result<Started, Problem> {
        let Self {
            engine,
            input,
            flow,
            settings,
            setup,
            kept,
            options,
            earlier,
            estimate,
        } = self;
        let handle = match earlier {
            None => {
                let estimating = settings.estimate && !kept.request.demo;
                let ahead = (estimating && estimate.is_none()).then(|| (input, setup.clone()));
                let handle = engine.start(flow, setup, options).await?;
                let most = settings.cost_max.map(|most| most.0);
                if let Some((input, setup)) = ahead {
                    estimate::begin(input, setup, most, engine.store().clone(), &handle);
                } else if let Some(estimate) = estimate.filter(|_| estimating) {
                    handle.control().estimate(estimate::capped(estimate, most));
                }
                handle
            }
            Some(earlier) => engine.resume(&earlier.id, flow, setup, options).await?,
        };
        Ok(Started { handle })
    }
}

/// Without the recorded data, a demo could be continued as a run that costs money.
fn cannot_keep(error: serde_json::Error) -> Problem {
    Problem::failed(
        anyhow::Error::new(error).context("the flags of this run cannot be kept with it"),
    )
    .hint("a folder or file whose name is no UTF-8 cannot be named by them")
}

/// Determines the settings and models of a run, and its vendors, which are recorded.
async fn surroundings(
    input: &FlowInput,
    request: RunRequest,
    earlier: Option<&Earlier>,
    app: &App,
) -> Result<(RunRequest, Settings, Setup, Vendors), Problem> {
    let (mut request, mut settings, workspace) = settle(input, request, app, Purpose::Run)?;
    let environment = app.environment();
    let kept = earlier.and_then(|earlier| Some((&earlier.id, earlier.vendors.as_ref()?)));
    let mode = request.answer_mode();
    let answering = match kept {
        Some(kept) => providers::choose_again(&settings, environment, mode, kept).await?,
        None => match providers::choose_first(&settings, environment, mode).await {
            Ok(answering) => answering,
            Err(problem) => {
                let program = agent_programs::instead(&settings, environment).ok_or(problem)?;
                app.note(&format!(
                    "there is no key and no local model, so {program} carries out the tasks"
                ));
                settings.executor = program.to_owned();
                let answering = providers::choose_first(&settings, environment, mode).await?;
                // A resume keeps it, whatever keys there are then.
                request.executor = Some(program.to_owned());
                answering
            }
        },
    };
    let Answering {
        models,
        vendors,
        notes,
    } = answering;
    notes.iter().for_each(|note| app.note(note));
    if !request.is_scripted() && agent_programs::lacks_login(&settings, environment) {
        app.note(&format!(
            "{} is not logged in, as far as divisi can see; `divisi doctor` shows what it looks for",
            settings.executor
        ));
    }
    if earlier.is_some() && kept.is_none() {
        app.note(&format!(
            "the run does not say who has answered it so far; from here on {} does",
            vendors.shown()
        ));
    }
    let setup = setup(
        &settings,
        environment,
        models,
        &workspace,
        request.is_scripted(),
    )?
    .prices(Arc::new(prices::of_runs(&settings)?));
    Ok((request, settings, setup, vendors))
}
