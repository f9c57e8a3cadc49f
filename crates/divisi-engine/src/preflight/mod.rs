//! The dry run of a flow: what it would request, without sending anything.
//!
//! The script runs in its host, and every call is answered with a placeholder that fits its schema
//! and contains a mark. Marks in later prompts show which task reads which; the moment of a request
//! shows what it waits for. Further runs with wider placeholders or failing tasks show which
//! assumptions the first one made.
//!
//! Nothing is sent or written, and nothing of it is part of a run.

mod explore;
mod graph;
mod learnt;
mod mark;
mod mood;
mod open;
mod order;
mod races;
mod placeholder;
mod play;
mod spoiled;

pub use placeholder::WIDTH;

use crate::engine::StartError;
use crate::flow::{Flow, Library};
use crate::resolve::Resolver;
use crate::setup::Setup;
use divisi_core::event::Caps;
use divisi_core::preflight::{Graph, Remark, Site};
use divisi_core::{Failure, History, Plan, Task};
use divisi_script::{HostLimits, HostOptions, Script, ScriptError};
use graph::Ordered;
use learnt::Learnt;
use mood::Mood;
use play::{Asked, End, Order, Played, Stage, Way};
use races::Races;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Rounds with new results, in loops that a result ends.
pub const ROUNDS: usize = 3;

/// Lengths of lists in further runs, which show what depends on them: fewer and more.
const OTHER_WIDTHS: [usize; 2] = [2, 5];

/// Most timers that fire in one dry run. An interval that is never cleared fires as often.
const TIMERS_MAX: u32 = 10_000;

/// Limits of a dry run.
#[derive(Clone, Debug)]
pub struct TraceLimits {
    /// Most tasks of a plan. A longer plan would not be read.
    pub tasks_max: usize,
    /// Rounds after which a loop counts as one that only a result ends. Lists written in scripts
    /// are shorter.
    pub rounds_max: usize,
    /// Most tasks answered in all runs after the first together.
    pub again_max: usize,
    /// Limits of the script itself.
    pub host: HostLimits,
}

impl Default for TraceLimits {
    fn default() -> Self {
        Self {
            tasks_max: 2_000,
            rounds_max: 64,
            again_max: 20_000,
            host: HostLimits::default(),
        }
    }
}

/// The graph of what `flow` would request with this setup.
///
/// A script that fails on placeholders, or requests too much, gives the graph up to there. Blocks
/// while the script computes, on a thread of its own. Fails if the script cannot be parsed or
/// stopped, or if there is no script engine or thread for it.
pub fn trace(flow: &Flow, setup: Arc<Setup>, limits: &TraceLimits) -> Result<Graph, StartError> {
    trace_after(flow, setup, limits, &History::default())
}

/// The same, with lists as long and loops with as many rounds as in past runs; `history` has the
/// shapes of these runs and of no others.
pub fn trace_after(
    flow: &Flow,
    setup: Arc<Setup>,
    limits: &TraceLimits,
    history: &History,
) -> Result<Graph, StartError> {
    let (name, history) = (flow.name.clone(), history.clone());
    on_stage(flow, setup, limits, move |tracer| {
        tracer.graph(&name, &history)
    })
}

/// A task whose cost cannot be bounded before it runs: it would ask a model that does not exist or
/// has no price, or an executor without a bound although a cap applies.
#[derive(Clone, Debug, PartialEq)]
pub struct Unpriced {
    /// Name of the task.
    pub task: String,
    /// Its place in the flow.
    pub site: Option<Site>,
    /// The reason, with advice.
    pub failure: Failure,
}

impl Unpriced {
    fn of(resolver: &Resolver, caps: &Caps, task: &Task, site: Option<Site>) -> Option<Self> {
        let failure = resolver
            .priced(task)
            .and_then(|()| resolver.bounded(task, caps))
            .err()?;
        Some(Self {
            task: task.title(),
            site,
            failure,
        })
    }
}

/// The first task of `flow` whose cost cannot be bounded, in a run with these `caps`, as far as one
/// run on placeholders shows. Blocks and fails like [`trace`].
pub fn unpriced(
    flow: &Flow,
    setup: Arc<Setup>,
    caps: &Caps,
    limits: &TraceLimits,
) -> Result<Option<Unpriced>, StartError> {
    let (rounds_max, caps) = (limits.rounds_max, caps.clone());
    on_stage(flow, setup, limits, move |tracer| {
        let played =
            tracer
                .stage
                .play(&tracer.usual(&BTreeSet::new(), &Learnt::default(), rounds_max))?;
        let unpriced = |asked: Asked| Unpriced::of(tracer.resolver, &caps, &asked.task, asked.site);
        Ok(played.tasks.into_iter().find_map(unpriced))
    })
}

/// The same for a plan, which shows all its tasks. `site` gives the line of the task at an index.
pub fn unpriced_of_plan(
    plan: &Plan,
    setup: Arc<Setup>,
    caps: &Caps,
    site: impl Fn(usize) -> Option<Site>,
) -> Option<Unpriced> {
    let resolver = Resolver::new(setup);
    let tasks = plan.tasks().iter().enumerate();
    let tasks = tasks.map(|(place, task)| (task.task(task.prompt.as_str()), site(place)));
    let gather = plan
        .head()
        .gather
        .iter()
        .map(|gather| (gather.task(gather.prompt.as_str()), None));
    tasks
        .chain(gather)
        .find_map(|(task, site)| Unpriced::of(&resolver, caps, &task, site))
}

/// Most calls of a run with this script that its `meta` or the settings state.
fn calls_max(script: &Script, setup: &Setup) -> Option<usize> {
    match crate::flow::agents_max(script, setup) {
        (stated, 0) => Some(stated as usize),
        _ => None,
    }
}

/// A warning if a run would refuse further calls.
fn refused_calls(main: &Played) -> Option<Remark> {
    let End::Refused(site) = &main.end else {
        return None;
    };
    let most = main.tasks.len();
    Some(Remark {
        what: format!(
            "it makes more than {most} calls, and a run refuses those after {most}: write for \
             example `maxAgents: {}` in `meta` if they are meant",
            most * 4
        ),
        site: site.clone(),
    })
}

/// Runs `flow` on placeholders by `look`, on a thread for scripts.
fn on_stage<T: Send + 'static>(
    flow: &Flow,
    setup: Arc<Setup>,
    limits: &TraceLimits,
    look: impl FnOnce(Tracer<'_>) -> Result<T, ScriptError> + Send + 'static,
) -> Result<T, StartError> {
    let script = flow.parse().map_err(Box::new)?;
    // A run refuses calls beyond its limit, so the plan ends there, too.
    let calls_max = calls_max(&script, &setup);
    let options = HostOptions {
        // Twice the tasks of the plan, because calls of other scripts count, too.
        limits: HostLimits {
            agents_max: (limits.tasks_max as u32).saturating_mul(2),
            timers_max: TIMERS_MAX,
            ..limits.host.clone()
        },
        assumes_checks: true,
        mark: Some(mark::BEGINNING),
        cwd: Some(setup.workspace.display().to_string()),
        ..HostOptions::default()
    };
    let look = {
        let (flow, script, options, limits) = (
            flow.clone(),
            script.clone(),
            options.clone(),
            limits.clone(),
        );
        move || {
            let library = Library::new(&setup.workspace);
            let args = flow.args.as_ref();
            let stage = Stage {
                script: &script,
                args,
                options: &options,
                library: &library,
                limits: &limits,
                calls_max,
            };
            look(Tracer {
                stage,
                resolver: &Resolver::new(setup),
                tasks: 0,
                answered: 0,
            })
        }
    };
    Ok(crate::flow::on_stack(&script, &options, look)?.map_err(Box::new)?)
}

/// The requests whose repetition results end.
#[derive(Default)]
struct Ending {
    all: BTreeSet<Arc<str>>,
    /// Most rounds, where the flow itself bounds them.
    most: BTreeMap<Arc<str>, usize>,
}

struct Tracer<'a> {
    stage: Stage<'a>,
    resolver: &'a Resolver,
    /// Number of tasks of the first run.
    tasks: usize,
    /// Number of tasks answered in later runs.
    answered: usize,
}

/// Usual placeholders.
static USUAL: Mood = Mood {
    texts: BTreeMap::new(),
    first: 0,
    echoes: false,
    widths: BTreeMap::new(),
    is_long: false,
    turns: BTreeMap::new(),
};

/// No task fails.
fn never(_: &Asked) -> bool {
    false
}

impl Tracer<'_> {
    fn graph(mut self, name: &Arc<str>, history: &History) -> Result<Graph, ScriptError> {
        let (mut main, mut ending) = self.first(&Learnt::default(), &Mood::default())?;
        let explored = explore::look(&mut self, &main, &ending)?;
        let mood = &explored.mood;
        if *mood != Mood::default() {
            (main, ending) = self.first(&Learnt::default(), mood)?;
        }
        self.tasks = main.tasks.len();
        let learnt = match history.is_shapeless() {
            true => Learnt::default(),
            false => self.learnt(history, &main, &ending, mood)?,
        };
        if !learnt.is_empty() {
            (main, ending) = self.first(&learnt, mood)?;
            self.tasks = main.tasks.len();
        }
        let usual = Way {
            mood,
            ..self.usual(&ending.all, &learnt, usize::MAX)
        };
        let mut orders = vec![];
        for order in [Order::FirstToEnd, Order::LastToEnd] {
            orders.extend(self.again(&Way { order, ..usual })?);
        }
        let mut widths = vec![];
        for width in OTHER_WIDTHS {
            widths.extend(self.again(&Way {
                width,
                widths: &BTreeMap::new(),
                ..usual
            })?);
        }
        let mut unexpected = vec![];
        for width in OTHER_WIDTHS
            .into_iter()
            .filter(|_| main.tasks.iter().any(Asked::is_expected))
        {
            unexpected.extend(self.again(&Way {
                width,
                widths: &BTreeMap::new(),
                heeds_expect: false,
                ..usual
            })?);
        }
        let order = Ordered {
            waits: order::waits(&main, &orders),
            unawaited: order::unawaited(&main, &orders),
        }
        .without(&Races::of(self.stage.script.source()), &main);
        let open = open::look(
            self.stage.script,
            &main,
            (&ending, &learnt),
            &widths,
            &unexpected,
        );
        let guesses = learnt::guesses(&main, (&ending, &open.guessed), &learnt);
        let spoiled = spoiled::look(&mut self, &main, &usual)?;
        let mut graph = graph::assemble(name.clone(), &main, order, open, spoiled, self.resolver);
        graph.warnings.extend(refused_calls(&main));
        Ok(Graph {
            guesses,
            unreached: explored.unreached(&self, &main),
            ..graph
        })
    }

    /// The lists and loops that this flow leaves open, as past runs have shown them.
    fn learnt(
        &mut self,
        history: &History,
        main: &Played,
        ending: &Ending,
        mood: &Mood,
    ) -> Result<Learnt, ScriptError> {
        let nothing = Learnt::default();
        let usual = Way {
            mood,
            ..self.usual(&ending.all, &nothing, usize::MAX)
        };
        let mut widths = vec![];
        for width in OTHER_WIDTHS {
            widths.extend(self.again(&Way { width, ..usual })?);
        }
        let guessed = open::uneven_groups(main, &widths);
        Ok(Learnt::of(
            history,
            self.stage.script,
            main,
            (ending, &guessed),
        ))
    }

    /// The options of a run without anything unusual.
    fn usual<'w>(
        &self,
        ending: &'w BTreeSet<Arc<str>>,
        learnt: &'w Learnt,
        rounds_max: usize,
    ) -> Way<'w> {
        Way {
            order: Order::Oldest,
            width: WIDTH,
            widths: &learnt.widths,
            rounds: &learnt.rounds,
            heeds_expect: true,
            ending,
            rounds_max,
            tasks_max: self.stage.limits.tasks_max,
            fails: &never,
            mood: &USUAL,
        }
    }

    /// The run from which the graph is made, and the loops that end in it after some rounds.
    ///
    /// A loop over a list of the script has a fixed number of rounds. A loop with fewer rounds when
    /// results say that nothing is left is ended by results.
    fn first(&self, learnt: &Learnt, mood: &Mood) -> Result<(Played, Ending), ScriptError> {
        let limits = self.stage.limits;
        let play = |ending: &BTreeSet<Arc<str>>, rounds_max| {
            self.stage.play(&Way {
                mood,
                ..self.usual(ending, learnt, rounds_max)
            })
        };
        let without = play(&BTreeSet::new(), limits.rounds_max)?;
        let most = |ending: BTreeSet<Arc<str>>| Ending {
            most: open::most_rounds(&ending, &without),
            all: ending,
        };
        let mut ending = open::repeated(&without);
        while !ending.is_empty() {
            let with = play(&ending, limits.rounds_max)?;
            let kept = open::ended(&ending, &with, &without);
            if kept.len() == ending.len() {
                return Ok((with, most(ending)));
            }
            ending = kept;
        }
        match without.end {
            End::TooOften => Ok((play(&ending, usize::MAX)?, most(ending))),
            _ => Ok((without, Ending::default())),
        }
    }

    /// One more run; `None` once the limit is reached, or if the flow is too large for another run.
    fn again(&mut self, way: &Way<'_>) -> Result<Option<Played>, ScriptError> {
        if self.answered + self.tasks > self.stage.limits.again_max {
            return Ok(None);
        }
        let played = self.stage.play(way)?;
        self.answered += played.tasks.len();
        Ok(Some(played))
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod order_rules;
