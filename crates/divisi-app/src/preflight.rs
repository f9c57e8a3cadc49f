//! Examines a flow without spending anything.

use crate::prepare::{Prepared, Purpose, prepare_ahead};
use crate::{App, FlowInput, Problem, RunRequest, clock};
use divisi_core::choice::{Kind, Needs};
use divisi_core::estimate::Spread;
use divisi_core::event::Caps;
use divisi_core::history::History;
use divisi_core::preflight::checklist::{KindRule, Settings, Total};
use divisi_core::preflight::forecast::Draws;
use divisi_core::preflight::{Bounds, Forecast, Forecaster, Graph, Money, Priors, Rung, of_plan};
use divisi_core::price::is_same_model;
use divisi_core::{Millis, PicoUsd, RunId, Site, Task, Tier};
use divisi_engine::Setup;
use divisi_engine::history::{Reach, corrections, history};
use divisi_engine::preflight::{TraceLimits, Unpriced, trace_after, unpriced, unpriced_of_plan};
use divisi_engine::resolve::Resolver;
use divisi_engine::store::{Store, StoreError};
use divisi_engine::tokens::Correction;
use divisi_script::HostLimits;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Most tasks examined for models without a price, while the run waits to start: a thousand tasks
/// use all models that a flow uses, and take some hundredths of a second.
const TASKS_MAX: usize = 1_000;

/// Longest computing time of the script between two answers meanwhile, and its memory limit.
const LOOK: (Duration, usize) = (Duration::from_millis(500), 64 << 20);

/// Fails if a task of a flow would ask a model that does not exist or has no price, or an executor
/// whose cost has no bound although there are `caps`, so that nothing is sent for other tasks. Not
/// examined if nothing costs money: local servers and scripted answers know every model. Tasks that
/// a dry run does not reach fail when they are requested.
pub(crate) fn priced(
    input: &FlowInput,
    setup: &Setup,
    caps: &Caps,
    app: &App,
) -> Result<(), Problem> {
    if !setup.models.cost_money() && !setup.executors.cost_money() {
        return Ok(());
    }
    let setup = Arc::new(setup.clone());
    let unpriced = match input {
        FlowInput::Plan(file) => {
            unpriced_of_plan(&file.plan, setup, caps, |place| file.site(place))
        }
        FlowInput::Script(flow) => {
            let (busy_max, memory_bytes_max) = LOOK;
            let host = HostLimits {
                busy_max,
                memory_bytes_max,
                ..HostLimits::default()
            };
            let limits = TraceLimits {
                tasks_max: TASKS_MAX,
                host,
                ..TraceLimits::default()
            };
            // Errors of the script are reported when it runs.
            unpriced(flow, setup, caps, &limits).unwrap_or_default()
        }
    };
    let Some(Unpriced {
        task,
        site,
        failure,
    }) = unpriced
    else {
        return Ok(());
    };
    let place = site
        .map(|site| format!(" at {}", near(&site, app.folder())))
        .unwrap_or_default();
    Err(
        Problem::usage(format!("task `{task}`{place}: {}", failure.message))
            .with_hints(failure.hint),
    )
}

/// The results of examining a flow before it runs.
pub struct Looked {
    /// The tasks it would request.
    pub graph: Graph,
    /// Expected cost and duration.
    pub forecast: Forecast,
    /// The settings for the checklist.
    pub settings: Settings,
    /// The setup it would run with.
    pub setup: Arc<Setup>,
    forecaster: Forecaster,
    tiers: Tiers,
}

impl Looked {
    /// Its tasks, for draws equal to those of the forecast.
    pub fn draws(&self) -> Draws {
        self.forecaster
            .draws(&self.graph, &|tier| self.tiers.get(&tier).cloned())
    }
}

/// The model of each tier, with its price.
type Tiers = BTreeMap<Tier, Rung>;

/// Seed of the draws, so that the same flow has the same forecast until there is new history.
const SEED: u64 = 1;

/// Examines a flow as it would run with this request. Asks no model, and needs no key.
///
/// With `exact`, vendors are asked to count the tokens of prompts.
pub async fn look(
    input: FlowInput,
    request: RunRequest,
    exact: bool,
    app: &App,
) -> Result<Looked, Problem> {
    // Token counts are requested from the vendors that would get the prompts.
    let purpose = if exact { Purpose::Run } else { Purpose::Look };
    let (Prepared { settings, setup }, note) = prepare_ahead(&input, request, purpose, app).await?;
    if let Some(note) = note {
        app.note(&note);
    }
    let setup = Arc::new(setup);
    let learnt = match settings.store.exists() {
        true => Learnt::of(&*app.store()?, &setup, Reach::default(), None).await?,
        false => Learnt::default(),
    };
    let mut graph = graph_of(&input, &setup, &learnt, &TraceLimits::default())?;
    for site in sites(&mut graph) {
        *site = site
            .take()
            .and_then(|site| shown(&site, &input, app.folder()));
    }
    if is_ours(&input) {
        // Whether a pattern has a synthesis is the user's choice.
        graph.unreached.clear();
    }
    if exact {
        count(&mut graph, &Resolver::new(setup.clone())).await?;
    }
    let Foreseen {
        graph,
        forecast,
        forecaster,
        tiers,
    } = Foreseen::of(graph, &setup, &learnt);
    Ok(Looked {
        settings: questions(&settings, &setup),
        setup,
        graph,
        forecast,
        forecaster,
        tiers,
    })
}

/// What was learnt from past runs.
#[derive(Default)]
pub(crate) struct Learnt {
    history: History,
    corrections: BTreeMap<Arc<str>, Correction>,
}

impl Learnt {
    /// Learns from the runs of a store within `reach`, except one of them.
    pub(crate) async fn of(
        store: &dyn Store,
        setup: &Arc<Setup>,
        reach: Reach,
        besides: Option<&RunId>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            corrections: corrections(store, &Resolver::new(setup.clone())).await?,
            history: history(store, &setup.kinds, reach, besides, was_billed).await?,
        })
    }
}

/// Whether the answers of a run with these options were billed. Unreadable options are from another
/// version, and count as billed.
fn was_billed(options: &str) -> bool {
    serde_json::from_str(options).map_or(true, |request: RunRequest| {
        !request.demo && request.replay.is_none()
    })
}

/// The graph of a flow, with its forecast.
struct Foreseen {
    graph: Graph,
    forecast: Forecast,
    forecaster: Forecaster,
    tiers: Tiers,
}

/// What is known of a run before it starts.
#[derive(Debug)]
pub struct Expected {
    /// Its name.
    pub name: Arc<str>,
    /// Number of tasks that the dry run reached.
    pub tasks: usize,
    /// Its cost and duration; `None` if the dry run did not reach the end.
    pub forecast: Option<Forecast>,
}

/// What is known of a run with this setup. Blocks while its script computes.
pub(crate) fn expect(
    input: &FlowInput,
    setup: &Arc<Setup>,
    learnt: &Learnt,
    limits: &TraceLimits,
) -> Result<Expected, Problem> {
    let graph = graph_of(input, setup, learnt, limits)?;
    Ok(Expected {
        name: graph.name.clone(),
        tasks: graph.tasks.len(),
        forecast: (!graph.ends_early).then(|| Foreseen::of(graph, setup, learnt).forecast),
    })
}

impl Foreseen {
    fn of(mut graph: Graph, setup: &Setup, learnt: &Learnt) -> Self {
        let bounds = bounds(setup);
        let priors = Priors::of(&setup.kinds);
        let forecaster = Forecaster::new(&learnt.history, priors)
            .of_flow(graph.name.clone())
            .within(bounds);
        forecaster.count_results(&mut graph);
        let tiers = tiers(setup);
        let forecast = forecaster.graph(&graph, &|tier| tiers.get(&tier).cloned(), SEED);
        Self {
            graph,
            forecast,
            forecaster,
            tiers,
        }
    }
}

/// Corrects token counts by what vendors charged.
fn correct(graph: &mut Graph, corrections: &BTreeMap<Arc<str>, Correction>) {
    for assigned in graph
        .tasks
        .iter_mut()
        .filter_map(|node| node.assigned.as_mut().ok())
    {
        let Some(rung) = assigned.rungs.first() else {
            continue;
        };
        let answered = |(model, _): &(&Arc<str>, &Correction)| is_same_model(&rung.model, model);
        if let Some((_, correction)) = corrections.iter().find(answered) {
            assigned.prompt_tokens = correction.apply(assigned.prompt_tokens);
            assigned.shared_tokens = correction.apply(assigned.shared_tokens);
        }
    }
}

/// Most concurrent requests for token counts.
const COUNTS_AT_ONCE: usize = 8;

/// Replaces estimated token counts by those of vendors that count.
async fn count(graph: &mut Graph, resolver: &Resolver) -> Result<(), Problem> {
    let count = async |place: usize, task: Task| (place, resolver.counted(&task).await);
    let tasks: Vec<_> = graph
        .tasks
        .iter()
        .map(|node| node.task.clone())
        .enumerate()
        .collect();
    let counts: Vec<_> = futures::stream::iter(tasks)
        .map(|(place, task)| count(place, task))
        .buffer_unordered(COUNTS_AT_ONCE)
        .collect()
        .await;
    for (place, counted) in counts {
        let counted = counted.map_err(|failure| {
            Problem::failed(anyhow::Error::msg(failure.message)).with_hints(failure.hint)
        })?;
        if let (Some(tokens), Ok(assigned)) = (counted, &mut graph.tasks[place].assigned) {
            assigned.prompt_tokens = tokens;
        }
    }
    Ok(())
}

/// The limits of a run that a forecast respects.
fn bounds(setup: &Setup) -> Bounds {
    Bounds {
        in_flight_max: setup.limits.in_flight_max,
        programs_max: setup.limits.programs_max,
        ..Bounds::default()
    }
}

/// The settings for the checklist.
fn questions(settings: &crate::settings::Settings, setup: &Setup) -> Settings {
    let provider = Some(setup.models.provider.as_str());
    let rule = |kind: &Kind| KindRule {
        tier: setup.kinds.tier(kind, provider),
        writes: kind.needs == Needs::Write,
    };
    Settings {
        cap: settings.cost_max.map(|dollars| dollars.0),
        phase_caps: settings.caps().phases,
        kinds: setup
            .kinds
            .iter()
            .map(|kind| (kind.name.clone(), rule(kind)))
            .collect(),
        agents_write: setup.permissions.write || setup.permissions.run,
        has_repository: Some(
            setup
                .workspace
                .ancestors()
                .any(|folder| folder.join(".git").exists()),
        ),
        bounds: bounds(setup),
    }
}

/// The models of the tiers at the run's provider, with today's prices.
fn tiers(setup: &Setup) -> Tiers {
    let rung = |tier: Tier| {
        let model = setup.models.find(Some(tier.as_str())).ok()?;
        let price = setup.prices.charged(&model, clock::now());
        let provider = setup.models.provider.as_str().into();
        Some((
            tier,
            Rung {
                provider,
                model: model.id,
                tier: Some(tier),
                price,
            },
        ))
    };
    Tier::ALL.into_iter().filter_map(rung).collect()
}

impl Money for Looked {
    fn cost(&self, place: usize) -> Option<PicoUsd> {
        self.forecast.tasks.get(place).map(|line| line.mean)
    }

    fn cost_on(&self, place: usize, tier: Tier) -> Option<PicoUsd> {
        let node = self.graph.tasks.get(place)?;
        self.forecaster
            .task(node, self.tiers.get(&tier)?)
            .map(|task| task.mean)
    }

    fn time(&self, place: usize) -> Option<Millis> {
        self.forecast.tasks.get(place).map(|line| line.took)
    }

    fn total(&self) -> Option<Total> {
        let Spread { p10, p50, p90 } = self.forecast.cost;
        Some(Total {
            p10,
            p50,
            p90,
            ceiling: self.forecast.ceiling,
            budget: self.forecast.budget,
        })
    }
}

/// All places of a graph.
fn sites(graph: &mut Graph) -> impl Iterator<Item = &mut Option<Site>> {
    let tasks = graph.tasks.iter_mut().map(|task| &mut task.site);
    let groups = graph.groups.iter_mut().map(|group| &mut group.site);
    let open = graph.open.iter_mut().map(|open| &mut open.site);
    let nulls = graph.nulls.iter_mut().map(|null| &mut null.site);
    let said = graph
        .warnings
        .iter_mut()
        .chain(&mut graph.strays)
        .chain(&mut graph.broke_off)
        .map(|said| &mut said.site);
    let unreached = graph.unreached.iter_mut().map(|phase| &mut phase.site);
    tasks
        .chain(groups)
        .chain(open)
        .chain(nulls)
        .chain(said)
        .chain(unreached)
}

/// Whether the flow is the built-in script of a pattern.
fn is_ours(input: &FlowInput) -> bool {
    matches!(input, FlowInput::Script(flow) if flow.path.is_none())
}

/// The place as it is shown from `folder`; `None` in the built-in script of a pattern, which is not
/// the user's.
fn shown(site: &Site, input: &FlowInput, folder: &Path) -> Option<Site> {
    (!is_ours(input)).then(|| near(site, folder))
}

/// The place, relative to this folder.
fn near(site: &Site, folder: &Path) -> Site {
    let below = Path::new(&*site.script).strip_prefix(folder).ok();
    match below.map(|path| path.display().to_string()) {
        Some(script) => Site {
            script: script.into(),
            line: site.line,
        },
        None => site.clone(),
    }
}

/// The graph of a flow, with corrected token counts. Its name is that of its runs.
fn graph_of(
    input: &FlowInput,
    setup: &Arc<Setup>,
    learnt: &Learnt,
    limits: &TraceLimits,
) -> Result<Graph, Problem> {
    let name = input.run_name()?;
    let graph = match input {
        FlowInput::Plan(file) => {
            let resolver = Resolver::new(setup.clone());
            of_plan(
                file.name(),
                &file.plan,
                |task| resolver.assigned(task),
                |place| file.site(place),
            )
        }
        FlowInput::Script(flow) => trace_after(
            flow,
            setup.clone(),
            limits,
            &learnt.history.shapes_of(&name),
        )?,
    };
    let mut graph = Graph { name, ..graph };
    correct(&mut graph, &learnt.corrections);
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_named_from_where_one_is() {
        let named = |script: &str| {
            near(
                &Site {
                    script: script.into(),
                    line: 3,
                },
                Path::new("/home/me"),
            )
            .to_string()
        };
        assert_eq!(named("/home/me/flows/x.js"), "flows/x.js:3");
        assert_eq!(named("/elsewhere/x.js"), "/elsewhere/x.js:3");
        assert_eq!(named("x.yaml"), "x.yaml:3");
    }
}
