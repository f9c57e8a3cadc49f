//! What commands that spend nothing find out about a flow.

use crate::cli::{Found, RunFlags};
use crate::context::Context;
use crate::launch::{Prepared, prepare_ahead};
use crate::problem::Problem;
use crate::{clock, output};
use divisi_core::choice::{Kind, Needs};
use divisi_core::history::History;
use divisi_core::preflight::checklist::{KindRule, Settings, Total};
use divisi_core::preflight::{Bounds, Forecast, Forecaster, Graph, Money, Priors, Rung, Spread, of_plan};
use divisi_core::{Millis, PicoUsd, Site, Tier};
use divisi_engine::Setup;
use divisi_engine::history::{RUNS_MAX, history};
use divisi_engine::preflight::{TraceLimits, trace};
use divisi_engine::resolve::Resolver;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What is known of a flow before it runs.
pub(crate) struct Looked {
    pub(crate) graph: Graph,
    pub(crate) forecast: Forecast,
    pub(crate) settings: Settings,
    forecaster: Forecaster,
    tiers: Tiers,
}

/// The model of each tier, with its price.
type Tiers = BTreeMap<Tier, Rung>;

/// Seed of the draws: the same flow has the same forecast as long as nothing is learnt.
const SEED: u64 = 1;

/// Looks at a flow as it would run under these flags. Asks no model, and needs no key.
pub(crate) async fn look(found: Found, flags: RunFlags, context: &Context) -> Result<Looked, Problem> {
    let max_cost = found.max_cost(flags.max_cost, context)?;
    let (Prepared { settings, setup, .. }, note) =
        prepare_ahead(RunFlags { max_cost, ..flags }, context).await?;
    if let Some(note) = note.filter(|_| !context.global.quiet) {
        output::say(&format!("note: {note}"));
    }
    let setup = Arc::new(setup);
    let history = match settings.store.exists() {
        true => history(&*context.store()?, RUNS_MAX, None).await?,
        false => History::default(),
    };
    let Foreseen { mut graph, forecast, forecaster, tiers } = foresee(&found, &setup, &history)?;
    for site in sites(&mut graph) {
        *site = near(site, context.folder());
    }
    Ok(Looked { settings: questions(&settings, &setup), graph, forecast, forecaster, tiers })
}

/// What a flow would ask for and what that is expected to cost.
pub(crate) struct Foreseen {
    pub(crate) graph: Graph,
    pub(crate) forecast: Forecast,
    forecaster: Forecaster,
    tiers: Tiers,
}

/// Foresees a flow in these surroundings. Blocks for as long as its script
/// computes: up to a second for a large one.
pub(crate) fn foresee(found: &Found, setup: &Arc<Setup>, history: &History) -> Result<Foreseen, Problem> {
    let graph = graph_of(found, setup)?;
    let bounds = Bounds { in_flight_max: setup.limits.in_flight_max, ..Bounds::default() };
    let forecaster =
        Forecaster::new(history, Priors::of(&setup.kinds)).of_flow(graph.name.clone()).within(bounds);
    let tiers = tiers(setup);
    let forecast = forecaster.graph(&graph, &|tier| tiers.get(&tier).cloned(), SEED);
    Ok(Foreseen { graph, forecast, forecaster, tiers })
}

/// What the checklist has to know of the settings.
fn questions(settings: &crate::settings::Settings, setup: &Setup) -> Settings {
    let provider = Some(setup.models.provider.as_str());
    let rule =
        |kind: &Kind| KindRule { tier: setup.kinds.tier(kind, provider), writes: kind.needs == Needs::Write };
    Settings {
        cap: settings.max_cost.map(|dollars| dollars.0),
        kinds: setup.kinds.iter().map(|kind| (kind.name.clone(), rule(kind))).collect(),
        agents_write: setup.permissions.write || setup.permissions.run,
    }
}

/// What the tiers stand for at the run's provider, and cost today.
fn tiers(setup: &Setup) -> Tiers {
    let rung = |tier: Tier| {
        let model = setup.models.find(Some(tier.as_str())).ok()?;
        let price = setup.prices.price_of(&model, clock::now()).filter(|_| !model.free);
        Some((tier, Rung { model: model.id, tier: Some(tier), price }))
    };
    Tier::ALL.into_iter().filter_map(rung).collect()
}

impl Money for Looked {
    fn cost(&self, place: usize) -> Option<PicoUsd> {
        self.forecast.tasks.get(place).map(|line| line.mean)
    }

    fn cost_on(&self, place: usize, tier: Tier) -> Option<PicoUsd> {
        let node = self.graph.tasks.get(place)?;
        self.forecaster.task(node, self.tiers.get(&tier)?).map(|task| task.mean)
    }

    fn time(&self, place: usize) -> Option<Millis> {
        self.forecast.tasks.get(place).map(|line| line.took)
    }

    fn total(&self) -> Option<Total> {
        let Spread { p10, p50, p90 } = self.forecast.cost;
        Some(Total { p10, p50, p90, ceiling: self.forecast.ceiling? })
    }
}

/// Every line of a flow that a graph names.
fn sites(graph: &mut Graph) -> impl Iterator<Item = &mut Site> {
    let tasks = graph.tasks.iter_mut().map(|task| &mut task.site);
    let groups = graph.groups.iter_mut().map(|group| &mut group.site);
    let open = graph.open.iter_mut().map(|open| &mut open.site);
    let nulls = graph.nulls.iter_mut().map(|null| &mut null.site);
    tasks.chain(groups).chain(open).chain(nulls).flatten()
}

/// The line as somebody in this folder would name it.
fn near(site: &Site, folder: &Path) -> Site {
    let below = Path::new(&*site.script).strip_prefix(folder).ok();
    match below.map(|path| path.display().to_string()) {
        Some(script) => Site { script: script.into(), line: site.line },
        None => site.clone(),
    }
}

fn graph_of(found: &Found, setup: &Arc<Setup>) -> Result<Graph, Problem> {
    match found {
        Found::Plan(file) => {
            let resolver = Resolver::new(setup.clone());
            Ok(of_plan(file.name(), &file.plan, |task| resolver.assigned(task), |place| file.site(place)))
        }
        Found::Script(flow) => Ok(trace(flow, setup.clone(), &TraceLimits::default())?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_named_from_where_one_is() {
        let named =
            |script: &str| near(&Site { script: script.into(), line: 3 }, Path::new("/home/me")).to_string();
        assert_eq!(named("/home/me/flows/x.js"), "flows/x.js:3");
        assert_eq!(named("/elsewhere/x.js"), "/elsewhere/x.js:3");
        assert_eq!(named("x.yaml"), "x.yaml:3");
    }
}
