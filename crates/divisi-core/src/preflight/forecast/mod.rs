//! What a flow will cost and how long it will take, before it runs.
//!
//! Each task on each of its models has a distribution of its own: a middle from
//! [`Priors`] corrected by what the history shows, and the shape of what the
//! middle does not explain. The whole is simulated: in each draw every task
//! gets a cost, ladders are climbed by the policy that runs them, and the tasks
//! are scheduled under the known limits. Percentiles of the sums come from the
//! draws; they are never added up from those of the tasks, which would make
//! the range of a large flow far too wide.

mod assumed;
mod ceiling;
mod conversation;
#[cfg(test)]
mod coverage;
mod draws;
mod effects;
mod fit;
mod ladder;
mod legs;
mod middle;
mod priors;
#[cfg(test)]
mod sample;
mod schedule;
mod spread;
mod summary;
mod task;

pub use ladder::LadderAdvice;
pub use legs::{Draws, Leg};
pub use priors::{KindPrior, Priors, TierPrior};
pub use task::{Accepts, Forecaster, TaskForecast};

use crate::estimate::{Estimate, Spread};
use crate::{Digest, Limits, Millis, PicoUsd, Tier};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What holds a run back, and how carefully it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Tasks in flight at once.
    pub in_flight_max: u32,
    /// Requests that may be sent in a minute, where that is known.
    pub requests_per_minute: Option<u32>,
    /// Tokens in and out in a minute, where that is known.
    pub tokens_per_minute: Option<u64>,
    /// The longest context of any model: what a ceiling counts with.
    pub context_tokens_max: u64,
    /// Simulated runs. A thousand put percentiles within some percent.
    pub draws: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            in_flight_max: Limits::default().in_flight_max,
            requests_per_minute: None,
            tokens_per_minute: None,
            context_tokens_max: 1_000_000,
            draws: 1_000,
        }
    }
}

/// Where the figures of a task come from: the most specific history that has
/// enough tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum Source {
    /// Tasks of this label in earlier runs of this flow, on the same model.
    Label {
        /// How many.
        tasks: u64,
    },
    /// Tasks of this phase of this flow.
    Phase {
        /// How many.
        tasks: u64,
    },
    /// Tasks of this kind, whatever flow.
    Kind {
        /// How many.
        tasks: u64,
    },
    /// Any task on this model.
    Model {
        /// How many.
        tasks: u64,
    },
    /// Nothing has been seen; the figures are rough.
    Prior,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label { tasks } => write!(f, "{tasks} past tasks of this label"),
            Self::Phase { tasks } => write!(f, "{tasks} past tasks of this phase"),
            Self::Kind { tasks } => write!(f, "{tasks} past tasks of this kind"),
            Self::Model { tasks } => write!(f, "{tasks} past tasks on this model"),
            Self::Prior => f.write_str("no history: rough figures"),
        }
    }
}

/// What a flow is expected to cost and take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The shape of the graph that it is of.
    pub plan: Digest,
    /// Dollars, checks and failed attempts included.
    pub cost: Spread<PicoUsd>,
    /// The mean of that.
    pub mean: PicoUsd,
    /// What it can cost at the most.
    pub ceiling: PicoUsd,
    /// Tokens by class, checks left out.
    pub tokens: Tokens,
    /// Time under the known limits.
    pub took: Spread<Millis>,
    /// The share of the cost that failed attempts are expected to take.
    pub lost: f64,
    /// The part of the cost that goes into checks, on average.
    pub checks: PicoUsd,
    /// How many tasks are expected to climb to another model, on average.
    pub climbs: f64,
    /// How many are expected to end without a result that satisfies their check.
    pub unsatisfied: f64,
    /// Tasks that have no other before them, one, two, and so on.
    pub waves: Vec<usize>,
    /// The chain of tasks that takes longest: places in the graph.
    pub critical_path: Vec<usize>,
    /// Every task whose words mean something, in the graph's order.
    pub tasks: Vec<TaskLine>,
    /// By progress group, in the order in which they come up.
    pub phases: Vec<Total>,
    /// By model, in the order in which they come up.
    pub models: Vec<Total>,
    /// The same flow with everything on the strongest tier.
    pub baseline: Option<Baseline>,
    /// A budget that holds nine of ten such runs.
    pub budget: PicoUsd,
    /// Advice on each ladder, one for each kind of task and pair of models.
    pub ladders: Vec<LadderAdvice>,
    /// Simulated runs.
    pub draws: u32,
}

impl Forecast {
    /// The part of it that is kept with a run.
    pub fn estimate(&self) -> Estimate {
        Estimate {
            cost: self.cost,
            ceiling: Some(self.ceiling),
            took: self.took,
            tasks: self.tasks.len(),
            guessed: self
                .tasks
                .iter()
                .filter(|task| task.source == Source::Prior)
                .count(),
            plan: Some(self.plan),
        }
    }
}

/// Tokens by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Prompt tokens that no cache has to do with.
    pub input: Spread<u64>,
    /// Prompt tokens written to a cache.
    pub cache_write: Spread<u64>,
    /// Prompt tokens read from a cache.
    pub cache_read: Spread<u64>,
    /// Output tokens.
    pub output: Spread<u64>,
}

/// What one task of a flow is expected to cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskLine {
    /// Its place in the graph.
    pub task: usize,
    /// Dollars on all rungs it climbs.
    pub cost: Spread<PicoUsd>,
    /// The mean of that.
    pub mean: PicoUsd,
    /// The most that can be.
    pub ceiling: PicoUsd,
    /// Typical time on the first rung.
    pub took: Millis,
    /// Where that is known from.
    pub source: Source,
}

/// What a part of a flow is expected to cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Total {
    /// Name of the phase, or the model; empty for tasks outside phases.
    pub name: Arc<str>,
    /// Tasks in it; for a model, those that start on it or may climb to it.
    pub tasks: usize,
    /// Dollars.
    pub cost: Spread<PicoUsd>,
    /// The mean of that.
    pub mean: PicoUsd,
}

/// A flow with every model task on the strongest tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The tier.
    pub tier: Tier,
    /// The model that stands for it.
    pub model: Arc<str>,
    /// Dollars.
    pub cost: Spread<PicoUsd>,
    /// The mean of that.
    pub mean: PicoUsd,
    /// The share of it that the flow as it is saves; negative where it is dearer.
    pub saving: f64,
}
