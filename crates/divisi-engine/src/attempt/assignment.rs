//! What is to be carried out.

use super::dialogue::Brief;
use super::send::SharedDurations;
use crate::agents::AgentDefinition;
use crate::executor::{Cost, Executor};
use crate::models::Model;
use crate::setup::Setup;
use crate::toolset::Toolset;
use divisi_core::{Isolation, Millis, Task};
use std::sync::Arc;

/// A task that can be carried out.
pub struct Assignment {
    /// As the flow asked for it.
    pub task: Task,
    /// What carries it out; `None` for agents of our own.
    pub executor: Option<Arc<dyn Executor>>,
    /// What is known of its cost.
    pub cost: Cost,
    /// Whether an attempt can go on where one was lost or suspended.
    pub resumes: bool,
    /// Whether it may stop to ask, and go on with the answer.
    pub may_ask: bool,
    /// The models of its ladder, then those that stand in for them; none where
    /// no model is asked.
    pub models: Vec<Model>,
    /// For each of its checks the model that judges, where one does.
    pub judges: Vec<Option<Model>>,
    /// The definition it names.
    pub agent: Option<Arc<AgentDefinition>>,
    /// The tools it may use.
    pub tools: Arc<Toolset>,
    /// Where it works.
    pub isolation: Isolation,
    /// Requests one attempt may send.
    pub turns_max: u32,
    /// Longest time one attempt may take.
    pub timeout: Millis,
    /// Longest time one attempt may go without any sign of progress.
    pub idle_timeout: Millis,
    /// How long requests of the run have taken, where one that takes far longer
    /// than others may be sent a second time.
    pub hedge: Option<Arc<SharedDurations>>,
    /// The surroundings.
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
