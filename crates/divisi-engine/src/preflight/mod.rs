//! The dry run of a flow: what it would ask for, without asking anybody.
//!
//! The script runs in its host and every call is answered with a placeholder
//! that fits its schema and carries a mark. Marks that turn up in later prompts
//! show what reads what; the moment at which a task is asked for shows what it
//! waits for. Further runs of the same kind, in which placeholders are wider or
//! tasks fail, show what the first one assumed.
//!
//! Nothing is sent, nothing is written, and nothing of this is part of a run.

mod graph;
mod learnt;
mod mark;
mod open;
mod order;
mod placeholder;
mod play;
mod spoiled;

pub use placeholder::WIDTH;

use crate::engine::StartError;
use crate::flow::{Flow, Library};
use crate::resolve::Resolver;
use crate::setup::Setup;
use divisi_core::event::Caps;
use divisi_core::preflight::{Graph, Site};
use divisi_core::{Failure, History, Plan, Task};
use divisi_script::{HostLimits, HostOptions, ScriptError};
use learnt::Learnt;
use play::{Asked, End, Order, Played, Stage, Way};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Rounds of a loop that bring something, where results decide how many there are.
pub const ROUNDS: usize = 3;

/// Lengths of lists in the runs that show what depends on them: fewer and more.
const OTHER_WIDTHS: [usize; 2] = [2, 5];

/// How far a dry run goes.
#[derive(Clone, Debug)]
pub struct TraceLimits {
    /// Most tasks of a plan. A plan with more is one that nobody reads.
    pub tasks_max: usize,
    /// Rounds of a loop after which it is taken for one that only a result ends.
    /// Lists that people write into a script are shorter.
    pub rounds_max: usize,
    /// Tasks that are answered in the runs after the first, all together.
    pub again_max: usize,
    /// What the script itself may use.
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

/// What `flow` would ask for in these surroundings.
///
/// A script that fails on placeholders, or asks for too much, gives the graph
/// up to there. Blocks for as long as the script computes, on a thread of its
/// own. Fails when the script cannot be read or cannot be stopped, or there is no
/// engine or no thread to run it.
pub fn trace(flow: &Flow, setup: Arc<Setup>, limits: &TraceLimits) -> Result<Graph, StartError> {
    trace_after(flow, setup, limits, &History::default())
}

/// The same, with lists as long and loops as often as past runs of it have shown; `history`
/// holds the shapes of these runs and of no others.
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

/// A task whose cost cannot be known before it runs: it would ask a model without a price, or an
/// executor that may cost anything although there is a cap.
#[derive(Clone, Debug, PartialEq)]
pub struct Unpriced {
    /// What the task is called.
    pub task: String,
    /// Where the flow asks for it.
    pub site: Option<Site>,
    /// Why, and what can be done.
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

/// The first task of `flow` whose cost cannot be known before it runs, in a run with these
/// `caps`, as far as one run against placeholders shows. Blocks and fails like [`trace`].
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

/// The same of a plan, which shows all its tasks. `site` says where the task at a place of
/// it stands.
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

/// Lets `look` run `flow` against placeholders, on a thread for scripts.
fn on_stage<T: Send + 'static>(
    flow: &Flow,
    setup: Arc<Setup>,
    limits: &TraceLimits,
    look: impl FnOnce(Tracer<'_>) -> Result<T, ScriptError> + Send + 'static,
) -> Result<T, StartError> {
    let script = flow.parse().map_err(Box::new)?;
    let options = HostOptions {
        // A little more than is looked at: other scripts count, too.
        limits: HostLimits {
            agents_max: (limits.tasks_max as u32).saturating_mul(2),
            ..limits.host.clone()
        },
        assumes_checks: true,
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

struct Tracer<'a> {
    stage: Stage<'a>,
    resolver: &'a Resolver,
    /// Tasks of the first run.
    tasks: usize,
    /// Tasks that were answered after it.
    answered: usize,
}

/// Nothing fails.
fn never(_: &Asked) -> bool {
    false
}

impl Tracer<'_> {
    fn graph(mut self, name: &Arc<str>, history: &History) -> Result<Graph, ScriptError> {
        let (mut main, mut ending) = self.first(&Learnt::default())?;
        self.tasks = main.tasks.len();
        let learnt = match history.is_shapeless() {
            true => Learnt::default(),
            false => self.learnt(history, &main, &ending)?,
        };
        if !learnt.is_empty() {
            (main, ending) = self.first(&learnt)?;
            self.tasks = main.tasks.len();
        }
        let usual = self.usual(&ending, &learnt, usize::MAX);
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
        let waits = order::waits(&main, &orders);
        let open = open::look(
            self.stage.script,
            &main,
            (&ending, &learnt),
            &widths,
            &unexpected,
        );
        let guesses = learnt::guesses(&main, (&ending, &open.guessed), &learnt);
        let spoiled = spoiled::look(&mut self, &main, &usual)?;
        let graph = graph::assemble(name.clone(), &main, waits, open, spoiled, self.resolver);
        Ok(Graph { guesses, ..graph })
    }

    /// What past runs tell of the lists and loops that this flow leaves open.
    fn learnt(
        &mut self,
        history: &History,
        main: &Played,
        ending: &BTreeSet<Arc<str>>,
    ) -> Result<Learnt, ScriptError> {
        let nothing = Learnt::default();
        let usual = self.usual(ending, &nothing, usize::MAX);
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

    /// The way of a run in which nothing is unusual.
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
        }
    }

    /// The run that the graph is made of, and what ends in it after some rounds.
    ///
    /// A loop over a list of the script repeats as often as it repeats. One that
    /// repeats less often when results say that it is enough is ended by them.
    fn first(&self, learnt: &Learnt) -> Result<(Played, BTreeSet<Arc<str>>), ScriptError> {
        let limits = self.stage.limits;
        let play = |ending: &BTreeSet<Arc<str>>, rounds_max| {
            self.stage.play(&self.usual(ending, learnt, rounds_max))
        };
        let without = play(&BTreeSet::new(), limits.rounds_max)?;
        let mut ending = open::repeated(&without);
        while !ending.is_empty() {
            let with = play(&ending, limits.rounds_max)?;
            let kept = open::ended(&ending, &with, &without);
            if kept.len() == ending.len() {
                return Ok((with, ending));
            }
            ending = kept;
        }
        match without.end {
            End::TooOften => Ok((play(&ending, usize::MAX)?, ending)),
            _ => Ok((without, ending)),
        }
    }

    /// One more run; `None` when there were enough, or the flow is too large for one.
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
