//! The resolved task that attempts execute.

use super::dialogue::Brief;
use super::send::SharedDurations;
use crate::agents::AgentDefinition;
use crate::executor::{Cost, Executor};
use crate::models::Model;
use crate::setup::Setup;
use crate::toolset::Toolset;
use divisi_core::{Isolation, Millis, Task};
use std::sync::Arc;

/// A task that can be executed.
pub struct Assignment {
    /// The task as requested.
    pub task: Task,
    /// Its executor; `None` for built-in agents.
    pub executor: Option<Arc<dyn Executor>>,
    /// What is known about its cost.
    pub cost: Cost,
    /// Whether an attempt can continue a lost or suspended one.
    pub resumes: bool,
    /// Whether it may suspend with a question, and continue with the answer.
    pub may_ask: bool,
    /// How often its executor is asked for the results of suspended attempts.
    pub poll_every: Option<Millis>,
    /// The models of its ladder, then its fallbacks; empty for executors without models.
    pub models: Vec<Model>,
    /// For each of its checks the judge's model, if there is one.
    pub judges: Vec<Option<Model>>,
    /// Its agent definition.
    pub agent: Option<Arc<AgentDefinition>>,
    /// The tools it may use.
    pub tools: Arc<Toolset>,
    /// Whether it works in a copy of the repository.
    pub isolation: Isolation,
    /// Requests one attempt may send.
    pub turns_max: u32,
    /// Longest time one attempt may take.
    pub timeout: Millis,
    /// Longest time one attempt may go without any sign of progress.
    pub idle_timeout: Millis,
    /// Durations of the run's requests, if slow ones may be hedged.
    pub hedge: Option<Arc<SharedDurations>>,
    /// The setup of the run.
    pub setup: Arc<Setup>,
}

impl Assignment {
    /// What its requests begin with.
    pub(crate) fn brief(&self) -> Brief<'_> {
        Brief {
            task: &self.task,
            setup: &self.setup,
            tools: &self.tools,
            agent: self.agent.as_deref(),
        }
    }
}
