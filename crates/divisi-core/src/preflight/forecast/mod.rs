//! Expected cost and duration of a flow, before it runs.
//!
//! Each task on each of its models has a distribution: a median from [`Priors`] corrected by the
//! history, and the shape of the unexplained rest. The whole graph is simulated: each draw gives
//! every task a cost, climbs ladders by the policy of real runs, and schedules the tasks under the
//! known limits. Percentiles of sums come from the draws; adding up the tasks' percentiles would
//! make the range of a large flow far too wide.

mod assumed;
mod ceiling;
mod conversation;
#[cfg(test)]
mod coverage;
mod draws;
mod fit;
mod guess;
mod ladder;
mod legs;
mod priors;
mod results;
#[cfg(test)]
mod sample;
mod schedule;
mod spread;
mod summary;
mod task;
mod tree;

pub use ladder::LadderAdvice;
pub use legs::{Draws, Leg};
pub use priors::{KindPrior, Priors, TierPrior};
pub use task::{Accepts, Forecaster, TaskForecast};

use crate::estimate::{Estimate, Spread};
pub(super) use schedule::{Demand, Schedule};

use crate::{Digest, Limits, Millis, PicoUsd, Tier};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Limits of the simulated run, and the effort of the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Tasks in flight at once.
    pub in_flight_max: u32,
    /// The number of these that may be programs on this machine.
    pub programs_max: u32,
    /// Requests per minute, if known.
    pub requests_per_minute: Option<u32>,
    /// Tokens in and out per minute, if known.
    pub tokens_per_minute: Option<u64>,
    /// The longest context of any model, used for ceilings.
    pub context_tokens_max: u64,
    /// Number of simulated runs. A thousand give percentiles within some percent.
    pub draws: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        let Limits {
            in_flight_max,
            programs_max,
            ..
        } = Limits::default();
        Self {
            in_flight_max,
            programs_max,
            requests_per_minute: None,
            tokens_per_minute: None,
            context_tokens_max: 1_000_000,
            draws: 1_000,
        }
    }
}

/// The source of a task's figures: the most specific group of past tasks that is large enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum Source {
    /// Tasks of this label in earlier runs of this flow, on the same model.
    Label {
        /// Their number.
        tasks: u64,
    },
    /// Tasks of this phase of this flow.
    Phase {
        /// Their number.
        tasks: u64,
    },
    /// Tasks of this kind, in any flow.
    Kind {
        /// Their number.
        tasks: u64,
    },
    /// Any task on this model.
    Model {
        /// Their number.
        tasks: u64,
    },
    /// No history; the figures are rough.
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

/// Expected cost and duration of a flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Forecast {
    /// Digest of the graph's shape.
    pub plan: Digest,
    /// Dollars, checks and failed attempts included.
    pub cost: Spread<PicoUsd>,
    /// The mean of that.
    pub mean: PicoUsd,
    /// The most it can cost.
    pub ceiling: PicoUsd,
    /// Tokens by class, checks left out.
    pub tokens: Tokens,
    /// Time under the known limits.
    pub took: Spread<Millis>,
    /// Expected share of the cost for failed attempts.
    pub lost: f64,
    /// Mean cost of checks.
    pub checks: PicoUsd,
    /// Mean number of tasks that climb to another model.
    pub climbs: f64,
    /// Mean number of tasks whose result fails its check on the last model.
    pub unsatisfied: f64,
    /// Number of tasks at each depth: without an earlier task, after one, after two, and so on.
    pub waves: Vec<usize>,
    /// The chain of tasks that takes longest, as indices of the graph.
    pub critical_path: Vec<usize>,
    /// Every task that can be assigned, in the graph's order.
    pub tasks: Vec<TaskLine>,
    /// By phase, in order of first use.
    pub phases: Vec<Total>,
    /// By model, in order of first use.
    pub models: Vec<Total>,
    /// The same flow with everything on the strongest tier.
    pub baseline: Option<Baseline>,
    /// A cap that nine of ten such runs stay below, with room for as many tasks at once as without
    /// a cap.
    pub budget: PicoUsd,
    /// Whether results decide the number of tasks; the ceiling then covers only the tasks of the
    /// graph.
    #[serde(default)]
    pub is_open: bool,
    /// Advice on each ladder, one for each kind of task and pair of models.
    pub ladders: Vec<LadderAdvice>,
    /// Number of simulated runs.
    pub draws: u32,
}

impl Forecast {
    /// The part of the forecast that is recorded with a run.
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tokens {
    /// Prompt tokens neither written to a cache nor read from one.
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskLine {
    /// Index in the graph.
    pub task: usize,
    /// Dollars, over all rungs it climbs.
    pub cost: Spread<PicoUsd>,
    /// The mean of that.
    pub mean: PicoUsd,
    /// The most it can cost.
    pub ceiling: PicoUsd,
    /// Typical time on the first rung.
    pub took: Millis,
    /// The source of these figures.
    pub source: Source,
}

/// Expected cost of a part of a flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Total {
    /// Name of the phase, or the model; empty for tasks outside phases.
    pub name: Arc<str>,
    /// Number of tasks; for a model, those that start on it or may climb to it.
    pub tasks: usize,
    /// Dollars.
    pub cost: Spread<PicoUsd>,
    /// The mean of that.
    pub mean: PicoUsd,
}

/// A flow with every model task on the strongest tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Baseline {
    /// The tier.
    pub tier: Tier,
    /// Its model.
    pub model: Arc<str>,
    /// Dollars.
    pub cost: Spread<PicoUsd>,
    /// The mean of that.
    pub mean: PicoUsd,
    /// The share of it that the flow saves; negative if the flow is dearer.
    pub saving: f64,
}
