//! Simulates many runs of a flow under the user's limits.

use crate::preflight::Looked;
use divisi_core::preflight::forecast::Leg as Drawn;
use divisi_engine::Setup;
use divisi_engine::governor::family;
use divisi_sim::what_if::{Answer, Leg, Limits, Tasks, what_if};

/// The result of many simulated runs.
#[derive(Debug)]
pub struct Simulation {
    /// Their statistics.
    pub answer: Answer,
    /// The limits they were simulated under.
    pub limits: Limits,
    /// Names of the providers used, in the order of `limits.rates`.
    pub providers: Vec<String>,
    /// Number of tasks.
    pub tasks: usize,
    /// Whether any of them is a program, which needs a slot of programs, too.
    pub has_programs: bool,
}

/// Simulates the flow. Blocks for seconds if it is large.
pub fn simulate(looked: &Looked) -> Simulation {
    let (graph, draws) = (&looked.graph, looked.draws());
    let mut desks = Desks::default();
    let asked = draws.asked().iter();
    let places: Vec<Option<Place>> = asked
        .map(|(provider, model)| desks.place(provider, model, &looked.setup))
        .collect();
    let limits = Limits {
        in_flight_max: looked.setup.limits.in_flight_max,
        programs_max: looked.setup.limits.programs_max,
        cap: looked.settings.cap,
        ..desks.limits
    };
    let tasks = Tasks::new(graph.tasks.len(), |task| &graph.tasks[task].waits)
        .programs(|task| graph.tasks[task].is_program());
    let answer = what_if(&tasks, &limits, |repetition, works| {
        draws.draw(repetition, |task, drawn| {
            works.push(task, leg(&drawn, places[drawn.asked]));
        });
    });
    Simulation {
        answer,
        limits,
        providers: desks.providers,
        tasks: graph.tasks.len(),
        has_programs: tasks.has_programs(),
    }
}

/// The limits for requests to one model.
#[derive(Clone, Copy)]
struct Place {
    family: u16,
    count_cached: bool,
}

/// The model families used, with their limits.
#[derive(Default)]
struct Desks {
    limits: Limits,
    families: Vec<(String, String)>,
    providers: Vec<String>,
}

impl Desks {
    /// The place of a model at the provider `name`; `None` without a provider.
    fn place(&mut self, name: &str, model: &str, setup: &Setup) -> Option<Place> {
        let settings = setup.models.providers.get(name)?.governors.settings();
        let known = self.providers.iter().position(|provider| provider == name);
        let provider = known.unwrap_or_else(|| {
            self.providers.push(name.to_owned());
            self.limits.rates.push(*settings);
            self.providers.len() - 1
        });
        let limited_with = (name.to_owned(), family(model).to_owned());
        let known = self
            .families
            .iter()
            .position(|family| *family == limited_with);
        let family = known.unwrap_or_else(|| {
            self.families.push(limited_with);
            self.limits.families.push(provider);
            self.families.len() - 1
        });
        Some(Place {
            family: family as u16,
            count_cached: settings.count_cached,
        })
    }
}

fn leg(drawn: &Drawn, place: Option<Place>) -> Leg {
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let cached = if place.is_some_and(|place| place.count_cached) {
        drawn.cached
    } else {
        0
    };
    Leg {
        family: place.map(|place| place.family),
        requests: drawn.requests,
        took: small(drawn.took.0),
        input: small(drawn.input + cached),
        output: small(drawn.output),
        cost: drawn.cost,
        bound: drawn.bound,
    }
}
